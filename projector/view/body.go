package view

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/proto"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// object is what a sample has beyond its row, as it lies in the view.
type object struct {
	// rest is the serialized body without members, payload and upload.
	rest    []byte
	members []reference
	payload payload
}

// The places of a payload.
const (
	payloadNone byte = iota
	payloadInline
	payloadUploaded
)

// appendPlace encodes where the payload is.
func (p *payload) appendPlace(dst []byte) []byte {
	switch {
	case p.uploaded:
		dst = append(append(dst, payloadUploaded), p.upload[:]...)
	case p.chunks > 0:
		dst = append(dst, payloadInline)
	default:
		return append(dst, payloadNone)
	}
	return binary.AppendUvarint(dst, uint64(p.chunks))
}

// appendContent encodes what two bodies must share to be the same.
func (o *object) appendContent(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(o.rest)))
	dst = append(dst, o.rest...)
	dst = binary.AppendUvarint(dst, uint64(len(o.members)))
	for i := range o.members {
		dst = o.members[i].append(dst)
	}
	dst = binary.AppendUvarint(dst, o.payload.items)
	if o.payload.items > 0 {
		dst = append(dst, o.payload.sum[:]...)
	}
	return dst
}

// readPlace splits a row of a body into the place of the payload and the content.
func (p *payload) readPlace(row []byte) (content []byte, ok bool) {
	r := reader{b: row}
	switch r.byte() {
	case payloadNone:
	case payloadUploaded:
		p.uploaded = true
		copy(p.upload[:], r.take(16))
		p.chunks = r.uvarint32()
	case payloadInline:
		p.chunks = r.uvarint32()
		r.bad = r.bad || p.chunks == 0
	default:
		return nil, false
	}
	return r.b, !r.bad
}

func readObject(row []byte) (o object, ok bool) {
	content, ok := o.payload.readPlace(row)
	if !ok {
		return o, false
	}
	r := reader{b: content}
	o.rest = r.take(r.count())
	for range r.count() {
		o.members = append(o.members, r.reference())
		if r.bad {
			return o, false
		}
	}
	if o.payload.items = r.uvarint(); o.payload.items > 0 {
		copy(o.payload.sum[:], r.take(len(o.payload.sum)))
	}
	return o, r.done()
}

// readRest decodes a body without what lies elsewhere.
func (o *object) readRest() (*pb.Sample, bool) {
	body := &pb.Sample{}
	return body, proto.Unmarshal(o.rest, body) == nil
}

// restOf encodes a body without what lies elsewhere, with the counts that the ledger sets.
func restOf(body *pb.Sample, items uint64) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	rest := proto.CloneOf(&pb.Sample{Object: body.Object, Kept: body.Kept})
	switch o := rest.Object.(type) {
	case *pb.Sample_WorkoutRoute:
		o.WorkoutRoute.Count = items
	case *pb.Sample_HeartbeatSeries:
		o.HeartbeatSeries.Count = items
	case *pb.Sample_QuantitySeries:
		o.QuantitySeries.Count = items
	case *pb.Sample_Electrocardiogram:
		o.Electrocardiogram.Count = items
	case *pb.Sample_Document:
		o.Document.Size = items
	case *pb.Sample_ClinicalRecord:
		if items > 0 {
			o.ClinicalRecord.Size = items
		}
	}
	row, err := health.AppendBody(nil, rest)
	if err != nil {
		return nil, fmt.Errorf("%w: a body that is not UTF-8", ErrEvent)
	}
	return row, nil
}

// putBody writes a body and the payload that came with it.
func (b *Batch) putBody(s *Sample, o *incoming) error {
	key := appendBodyKey(nil, s.Sequence, s.Event, s.body-1)
	row := append(o.object.payload.appendPlace(nil), b.bodies[o.content]...)
	if o.identity != nil {
		b.keep(key, row) // a later version in the same batch has to find it
	} else {
		b.set(key, row)
	}
	for i, c := range o.body.GetPayload() {
		chunk, err := proto.MarshalOptions{Deterministic: true}.Marshal(c)
		if err != nil {
			return fmt.Errorf("%w: a payload that is not UTF-8", ErrEvent)
		}
		b.set(appendChunkKey(nil, s.Sequence, s.Event, s.body-1, uint32(i)), chunk)
	}
	return nil
}

// dropBody deletes the body of an object that has this row, and the payload that came with it.
func (b *Batch) dropBody(of *Locator, number uint32) error {
	key := appendBodyKey(nil, of.Sequence, of.Event, number)
	row, there, err := b.find(key)
	if err != nil {
		return err
	}
	o, ok := readObject(row)
	if !there || !ok {
		return errDamaged
	}
	for i := range o.payload.chunks {
		if o.payload.uploaded {
			break // other objects may have the same one
		}
		b.drop(appendChunkKey(nil, of.Sequence, of.Event, number, i))
	}
	b.drop(key)
	if isPair(of.Type) {
		return b.leave(of, o.members)
	}
	return nil
}
