package view

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"math"

	"google.golang.org/protobuf/proto"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// payload says where the chunks of an object are, and what all of them together hold.
type payload struct {
	// Chunks that came with the object lie beside its body; those that went ahead, one a
	// part, under their upload.
	chunks   uint32
	uploaded bool
	upload   [16]byte
	// items are counted over all chunks. Two payloads of the same items have the same
	// sum, however they are cut into chunks.
	items uint64
	sum   [sha256.Size]byte
}

// savePart keeps a part of a payload that goes ahead of its object.
func (b *Batch) savePart(p *pb.PartSaved) error {
	if p.GetErased() {
		return nil
	}
	if len(p.GetUpload()) != 16 || health.Items(p.GetChunk()) == 0 {
		return fmt.Errorf("%w: a part of nothing", ErrEvent)
	}
	key := appendPartKey(nil, p.GetApp(), (*[16]byte)(p.GetUpload()), p.GetNumber())
	if _, there, err := b.find(key); err != nil || there {
		return err
	}
	chunk, err := proto.MarshalOptions{Deterministic: true}.Marshal(p.GetChunk())
	if err != nil {
		return fmt.Errorf("%w: a part that is not UTF-8", ErrEvent)
	}
	b.keep(key, chunk)
	return nil
}

// payloadOf looks at all chunks of a body of a type; false if parts of it are missing, or
// are not what the payload of the type consists of.
func (b *Batch) payloadOf(typeCode uint32, body *pb.Sample) (payload, bool, error) {
	items := newItems()
	p := payload{chunks: uint32(len(body.GetPayload()))}
	for _, c := range body.GetPayload() {
		items.add(c)
	}
	if u := body.GetUpload(); u != nil {
		if len(u.GetId()) != 16 || len(body.GetPayload()) > 0 {
			return p, false, fmt.Errorf("%w: a malformed upload", ErrEvent)
		}
		p.uploaded, p.upload, p.chunks = true, [16]byte(u.GetId()), u.GetParts()
	}
	for number := range p.chunks {
		if !p.uploaded {
			break
		}
		b.key = appendPartKey(b.key[:0], b.column.app, &p.upload, number)
		row, there, err := b.find(b.key)
		if err != nil || !there {
			return p, false, err
		}
		c, ok := readChunk(row)
		if !ok {
			return p, false, errDamaged
		}
		if t, ok := catalog.ByCode(typeCode); !ok || health.CheckChunk(t, c) != nil {
			return p, false, nil
		}
		items.add(c)
	}
	p.items, p.sum = items.count, [sha256.Size]byte(items.hash.Sum(nil))
	return p, true, nil
}

func readChunk(row []byte) (*pb.Chunk, bool) {
	c := &pb.Chunk{}
	return c, proto.Unmarshal(row, c) == nil
}

// items sums up the items of a payload one by one.
type items struct {
	hash    hash.Hash
	count   uint64
	scratch []byte
}

func newItems() *items { return &items{hash: sha256.New()} }

func (s *items) add(c *pb.Chunk) {
	s.count += uint64(health.Items(c))
	s.hash.Write(c.GetData())
	for _, v := range c.GetMicrovolts() {
		s.put(math.Float64bits(v))
	}
	s.addBeats(c.GetBeats())
	s.addQuantities(c.GetQuantities())
	s.addLocations(c.GetLocations())
}

func (s *items) put(numbers ...uint64) {
	s.scratch = s.scratch[:0]
	for _, n := range numbers {
		s.scratch = binary.BigEndian.AppendUint64(s.scratch, n)
	}
	s.hash.Write(s.scratch)
}

func (s *items) addBeats(b *pb.Beats) {
	gaps := b.GetAfterGap()
	for i, offset := range b.GetOffset() {
		gap := uint64(0)
		if len(gaps) > 0 && int(gaps[0]) == i {
			gap, gaps = 1, gaps[1:]
		}
		s.put(uint64(offset), gap)
	}
}

func (s *items) addQuantities(q *pb.Quantities) {
	for i, offset := range q.GetOffset() {
		duration := int64(0)
		if i < len(q.GetDuration()) {
			duration = q.Duration[i]
		}
		s.put(uint64(offset), uint64(duration), math.Float64bits(q.GetValue()[i]))
	}
}

func (s *items) addLocations(l *pb.Locations) {
	t := int64(0)
	for i, delta := range l.GetTime() {
		t += delta
		s.put(uint64(t))
		for _, column := range [...][]float64{
			l.GetLatitude(), l.GetLongitude(), l.GetAltitude(), l.GetSpeed(), l.GetCourse(), l.GetHorizontalAccuracy(), l.GetVerticalAccuracy(),
		} {
			value := math.NaN() // an empty column is one in which all are missing
			if i < len(column) {
				value = column[i]
			}
			s.put(math.Float64bits(value))
		}
	}
}
