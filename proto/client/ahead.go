package client

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// What travels in one request, in bytes. Payloads beyond that go ahead of it, the largest
// first. Both are below what the ledger takes (health.MaxBody, a segment of the log).
const (
	// maxObject is for what one object has beyond its columns.
	maxObject = 128 << 10
	// maxTogether is for the whole request. Importers, whose objects are the same
	// whenever they come, send less: what goes ahead of them depends on the object alone.
	maxTogether = 704 << 10
)

// upload is a payload that goes ahead of its object.
type upload struct {
	// index of the object in the request, and how errors call the one it belongs to:
	// "" for the object, "members[3]." for a member.
	index  int
	prefix string
	typ    *catalog.Type
	id     []byte
	parts  []*pb.Chunk
}

// object is an object of a request, with the payloads that are still in it.
type object struct {
	index int
	// size of what it has beyond its columns.
	size  int
	loads []load
}

// load is a payload in an object. The sample is a copy that may be changed.
type load struct {
	sample *pb.Sample
	typ    *catalog.Type
	prefix string
	member int
	start  int64
	size   int
}

// mover takes payloads out of a request.
type mover struct {
	request *pb.SaveRequest
	objects []*object
	// size of the request.
	size    int
	uploads []upload
	// finish puts changed bodies back into their columns.
	finish []func() error
}

// ahead returns the request without the payloads that would make it too large, and
// those payloads. The request given is not changed. The error is that of the call.
func ahead(request *pb.SaveRequest) (*pb.SaveRequest, []upload, error) {
	size := proto.Size(request)
	if size <= maxObject {
		return request, nil, nil
	}
	m := &mover{request: shallow(request), size: size}
	err := errors.Join(m.fromSamples(), m.fromColumns())
	for _, o := range m.objects {
		for err == nil && o.size > maxObject && len(o.loads) > 0 {
			err = m.move(o)
		}
	}
	for err == nil && m.size > maxTogether {
		o := m.heaviest()
		if o == nil {
			break
		}
		err = m.move(o)
	}
	for _, finish := range m.finish {
		if err == nil {
			err = finish()
		}
	}
	if err != nil {
		return nil, nil, invalid(err)
	}
	return m.request, m.uploads, nil
}

// fromSamples finds the payloads in the rows of the request.
func (m *mover) fromSamples() error {
	m.request.Samples = slices.Clone(m.request.Samples)
	for i, s := range m.request.Samples {
		if s == nil || !carries(s) {
			continue
		}
		// Times and types that are none are refused by the ledger.
		start, _ := health.Micros(s.Start)
		t, ok := catalog.Lookup(s.Type)
		if !ok {
			return &health.FieldError{Index: i, Field: "type", Value: s.Type, Why: "no such type"}
		}
		s = shallow(s)
		m.request.Samples[i] = s
		body := proto.Size(&pb.Sample{Object: s.Object, Members: s.Members, Kept: s.Kept, Payload: s.Payload})
		m.add(i, t, start, s, body)
	}
	return nil
}

// fromColumns finds the payloads in the columns of the request.
func (m *mover) fromColumns() error {
	m.request.Columns = slices.Clone(m.request.Columns)
	index := len(m.request.Samples)
	for at, c := range m.request.Columns {
		t, ok := catalog.ByCode(c.GetType())
		if !ok || len(c.GetBody()) != health.Count(c) {
			index += health.Count(c)
			continue
		}
		c = shallow(c)
		c.Body = slices.Clone(c.Body)
		m.request.Columns[at] = c
		var start int64
		for row, delta := range c.Start {
			start += delta
			if err := m.fromBody(index+row, t, start*int64(c.Tick), c, row); err != nil {
				return err
			}
		}
		index += health.Count(c)
	}
	return nil
}

func (m *mover) fromBody(index int, t *catalog.Type, start int64, c *pb.SampleColumns, row int) error {
	body := c.Body[row]
	s, err := health.ParseBody(body)
	if err != nil || s == nil || !carries(s) {
		return nil // the ledger says what is wrong with it
	}
	o := m.add(index, t, start, s, len(body))
	before := len(o.loads)
	m.finish = append(m.finish, func() (err error) {
		if len(o.loads) < before {
			c.Body[row], err = health.AppendBody(nil, s)
		}
		return err
	})
	return nil
}

// carries says whether a sample or one of its members has a payload.
func carries(s *pb.Sample) bool {
	return len(s.Payload) > 0 || slices.ContainsFunc(s.Members, func(m *pb.Sample) bool { return len(m.GetPayload()) > 0 })
}

// add notes an object with its payloads, the smallest first. The sample is a copy; its
// members are copied here.
func (m *mover) add(index int, t *catalog.Type, start int64, s *pb.Sample, size int) *object {
	o := &object{index: index, size: size}
	o.add(load{sample: s, typ: t, member: -1, start: start})
	s.Members = slices.Clone(s.Members)
	for i, member := range s.Members {
		if len(member.GetPayload()) == 0 {
			continue
		}
		// A member of an unknown type is refused by the ledger.
		if t, ok := catalog.Lookup(member.Type); ok {
			s.Members[i] = shallow(member)
			start, _ := health.Micros(member.Start)
			o.add(load{sample: s.Members[i], typ: t, prefix: "members[" + strconv.Itoa(i) + "].", member: i, start: start})
		}
	}
	slices.SortStableFunc(o.loads, func(a, b load) int { return cmp.Compare(a.size, b.size) })
	m.objects = append(m.objects, o)
	return o
}

func (o *object) add(l load) {
	l.size = proto.Size(&pb.Sample{Payload: l.sample.Payload})
	if l.size > 0 && l.sample.Upload == nil {
		o.loads = append(o.loads, l)
	}
}

// heaviest returns the object with the largest payload, nil if none has any.
func (m *mover) heaviest() (heaviest *object) {
	most := 0
	for _, o := range m.objects {
		if n := len(o.loads); n > 0 && o.loads[n-1].size > most {
			heaviest, most = o, o.loads[n-1].size
		}
	}
	return heaviest
}

// move sends the largest payload of an object ahead.
func (m *mover) move(o *object) error {
	l := o.loads[len(o.loads)-1]
	o.loads = o.loads[:len(o.loads)-1]
	parts, err := health.Cut(l.sample.Payload, health.MaxChunk)
	var field *health.FieldError
	switch {
	case errors.As(err, &field):
		field.Index, field.Field = o.index, l.prefix+field.Field
		return field
	case err != nil:
		return err
	case len(parts) > health.MaxParts:
		return &health.FieldError{Index: o.index, Field: l.prefix + "payload", Why: "larger than a payload may be: " +
			strconv.Itoa(health.MaxParts) + " parts of " + strconv.Itoa(health.MaxChunk) + " bytes"}
	}
	id, err := m.identify(o, l, parts)
	if err != nil {
		return err
	}
	l.sample.Payload, l.sample.Upload = nil, &pb.Upload{Id: id, Parts: uint32(len(parts))}
	m.uploads = append(m.uploads, upload{o.index, l.prefix, l.typ, id, parts})
	reference := proto.Size(&pb.Sample{Upload: l.sample.Upload})
	o.size += reference - l.size
	m.size += reference - l.size
	return nil
}

// identify names an upload. A save that is repeated under its request id sends the same
// parts under the same names. An import, whose objects are recognised by content,
// sends the same object under the same name whenever it comes.
func (m *mover) identify(o *object, l load, parts []*pb.Chunk) ([]byte, error) {
	h := sha256.New()
	if !m.request.ByContent {
		h.Write([]byte("healthledger upload of request "))
		h.Write(m.request.RequestId)
		binary.Write(h, binary.BigEndian, []int64{int64(o.index), int64(l.member)})
		return h.Sum(nil)[:16], nil
	}
	h.Write([]byte("healthledger upload by content "))
	binary.Write(h, binary.BigEndian, []int64{int64(l.typ.Code), l.start})
	for _, part := range parts {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(part)
		if err != nil {
			return nil, err
		}
		binary.Write(h, binary.BigEndian, int64(len(b)))
		h.Write(b)
	}
	return h.Sum(nil)[:16], nil
}

// invalid is the error of the ledger for a sample that was refused here already.
func invalid(err error) error {
	var field *health.FieldError
	if !errors.As(err, &field) {
		return rpc.InvalidArgument("samples", "they cannot be encoded")
	}
	return rpc.Error(connect.CodeInvalidArgument, &pb.ErrorDetail{
		Reason: rpc.ReasonInvalidSample, Index: uint32(field.Index), Field: field.Field, Value: field.Value, Why: field.Why,
	}, "%s", field)
}

// send sends the parts of an upload, one after the other. Its errors name the object.
func (c *Client) send(ctx context.Context, u upload) error {
	for number, part := range u.parts {
		request := &pb.SavePartRequest{Type: u.typ.Short(), Upload: u.id, Number: uint32(number), Chunk: part}
		_, err := repeat(ctx, c, func(ctx context.Context) (*pb.SavePartResponse, error) {
			return c.health.SavePart(ctx, request)
		})
		if d := rpc.Detail(err); d.GetReason() == rpc.ReasonInvalidSample {
			return invalid(&health.FieldError{Index: u.index, Field: u.prefix + "payload" + strings.TrimPrefix(d.Field, "chunk"), Value: d.Value, Why: d.Why})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
