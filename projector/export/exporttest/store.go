// Package exporttest is a store in memory for tests of exporters and importers. It keeps
// the rules by which the ledger and the view take samples, with none of their machinery:
// what it answers is what the client would answer.
package exporttest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// Store is the store of one owner, to which one app, an importer, writes.
type Store struct {
	// App is who saves.
	App string
	// Hidden are types that the reader may not read.
	Hidden map[string]bool

	objects map[uint32][]*object
	ids     map[identity]*object
	content map[string]*object
	parts   map[string]*pb.Chunk
	made    uint64
	// Incomplete counts objects that lacked a part of their payload.
	Incomplete int
}

// identity of an object.
type identity struct{ app, typ, uuid string }

// object is a stored sample; its members are objects of their own.
type object struct {
	*pb.Sample
	members []*object
}

// New returns an empty store.
func New() *Store {
	return &Store{
		App: "healthledger.importer", Hidden: map[string]bool{}, objects: map[uint32][]*object{},
		ids: map[identity]*object{}, content: map[string]*object{}, parts: map[string]*pb.Chunk{},
	}
}

// Save takes samples as the ledger does.
func (s *Store) Save(_ context.Context, req *pb.SaveRequest) (*pb.SaveResponse, error) {
	if err := s.lighten(req.GetColumns()); err != nil {
		return nil, err
	}
	columns, err := health.Collect(req.GetSamples(), req.GetColumns(), health.Policy{Importer: true})
	if err != nil {
		return nil, err
	}
	if n := proto.Size(req); n > 700<<10 {
		return nil, fmt.Errorf("a request of %d bytes", n)
	}
	response := &pb.SaveResponse{}
	for _, c := range columns {
		t, _ := catalog.ByCode(c.Type)
		for _, row := range health.Rows(c) {
			body, err := health.ParseBody(row.Body)
			if err != nil {
				return nil, err
			}
			source := &pb.Source{}
			if c.Source != nil {
				source = proto.CloneOf(c.Source)
			}
			s.take(proto.CloneOf(health.Sample(t, c.Unit, source, row, body)), req.GetByContent())
			response.Accepted++
		}
	}
	return response, nil
}

// SavePart takes a part of a payload.
func (s *Store) SavePart(_ context.Context, req *pb.SavePartRequest) (*pb.SavePartResponse, error) {
	t, ok := catalog.Lookup(req.GetType())
	if !ok || len(req.GetUpload()) != 16 {
		return nil, errors.New("a part of no payload")
	}
	if err := health.CheckChunk(t, req.GetChunk()); err != nil {
		return nil, err
	}
	s.parts[partKey(req.Upload, req.Number)] = req.Chunk
	return &pb.SavePartResponse{}, nil
}

func partKey(upload []byte, number uint32) string {
	return string(binary.BigEndian.AppendUint32(slices.Clone(upload), number))
}

// take stores a sample with its members, or finds that it has it.
func (s *Store) take(sample *pb.Sample, byContent bool) *object {
	if sample.Source.App == "" {
		sample.Source.App = s.App
	} else {
		sample.Source.Importer = s.App
	}
	if u := sample.Upload; u != nil {
		for number := range u.Parts {
			part := s.parts[partKey(u.Id, number)]
			if part == nil {
				s.Incomplete++
				return nil
			}
			sample.Payload = append(sample.Payload, part)
		}
		sample.Upload = nil
	}
	o := &object{Sample: sample}
	members := sample.Members
	sample.Members = nil
	for _, m := range members {
		if m.Source == nil {
			m.Source = proto.CloneOf(sample.Source)
			if sample.Source.Importer != "" {
				m.Source.Importer = ""
			} else {
				m.Source.App = ""
			}
		}
		if stored := s.take(m, byContent); stored != nil {
			o.members = append(o.members, stored)
		}
	}
	return s.store(o, byContent)
}

func (s *Store) store(o *object, byContent bool) *object {
	id := identity{o.Source.App, o.Type, o.Uuid}
	if had := s.ids[id]; had != nil && o.Uuid != "" {
		return had
	}
	content := proto.CloneOf(o.Sample)
	content.Uuid = ""
	for _, m := range o.members {
		content.Members = append(content.Members, m.Sample)
	}
	text, err := proto.MarshalOptions{Deterministic: true}.Marshal(content)
	if err != nil {
		panic(err)
	}
	if had := s.content[string(text)]; had != nil && byContent {
		return had
	}
	if o.Uuid == "" {
		s.made++
		o.Uuid = uuid.NewSHA1(uuid.NameSpaceOID, binary.BigEndian.AppendUint64(nil, s.made)).String()
		id.uuid = o.Uuid
	}
	s.ids[id], s.content[string(text)] = o, o
	t, _ := catalog.Lookup(o.Type)
	s.objects[t.Code] = append(s.objects[t.Code], o)
	return o
}

// QuerySamples answers as the client does.
func (s *Store) QuerySamples(_ context.Context, req *pb.QuerySamplesRequest) iter.Seq2[*pb.Sample, error] {
	return func(yield func(*pb.Sample, error) bool) {
		t, ok := catalog.Lookup(req.GetTypes()[0])
		if !ok {
			yield(nil, errors.New("no such type"))
			return
		}
		if s.Hidden[t.Short()] {
			return
		}
		found := slices.Clone(s.objects[t.Code])
		slices.SortStableFunc(found, func(a, b *object) int { return a.Start.AsTime().Compare(b.Start.AsTime()) })
		for _, o := range found {
			if req.From != nil && o.End.AsTime().Before(req.From.AsTime()) || req.To != nil && !o.Start.AsTime().Before(req.To.AsTime()) {
				continue
			}
			answer := s.answer(o)
			if t.Kind == catalog.Correlation && len(answer.Members) == 0 {
				continue
			}
			if !yield(answer, nil) {
				return
			}
		}
	}
}

// answer is what a reader gets of an object.
func (s *Store) answer(o *object) *pb.Sample {
	a := proto.CloneOf(o.Sample)
	for _, m := range o.members {
		if !s.Hidden[m.Type] {
			a.Members = append(a.Members, s.answer(m))
		}
	}
	items := uint64(0)
	for _, c := range a.Payload {
		items += uint64(health.Items(c))
	}
	if items > 0 {
		a.PayloadToken = strings.Join([]string{o.Source.App, o.Type, o.Uuid}, "\n")
	}
	a.Payload = nil
	switch object := a.Object.(type) {
	case *pb.Sample_WorkoutRoute:
		object.WorkoutRoute.Count = items
	case *pb.Sample_HeartbeatSeries:
		object.HeartbeatSeries.Count = items
	case *pb.Sample_QuantitySeries:
		object.QuantitySeries.Count = items
	case *pb.Sample_Electrocardiogram:
		object.Electrocardiogram.Count = items
	case *pb.Sample_ClinicalRecord:
		object.ClinicalRecord.Size = items
	case *pb.Sample_Document:
		object.Document.Size = items
	}
	return a
}

// QueryPayload answers as the client does.
func (s *Store) QueryPayload(_ context.Context, typeName, token string) iter.Seq2[*pb.Chunk, error] {
	return func(yield func(*pb.Chunk, error) bool) {
		parts := strings.Split(token, "\n")
		if len(parts) != 3 || parts[1] != typeName || s.ids[identity{parts[0], parts[1], parts[2]}] == nil {
			yield(nil, errors.New("no such payload"))
			return
		}
		for _, c := range s.ids[identity{parts[0], parts[1], parts[2]}].Payload {
			if !yield(proto.CloneOf(c), nil) {
				return
			}
		}
	}
}

// Count is how many objects of a type there are.
func (s *Store) Count(t *catalog.Type) int { return len(s.objects[t.Code]) }
