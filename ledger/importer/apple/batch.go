package apple

import (
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// Limits of one save: a request has at most 700 KiB.
const (
	fullSamples = 8000
	// fullBytes leaves room for one more sample, however large.
	fullBytes = 700<<10 - health.MaxMetadata - health.MaxSource - 4096
)

// batch gathers samples until they are a request.
type batch struct {
	builder *health.Builder
	sender  *sender
}

// add puts one sample into the batch, and sends the batch when it is full.
func (b *batch) add(t *catalog.Type, unit string, s *pb.Source, row *health.Row) error {
	b.builder.Add(t, unit, s, *row)
	if b.builder.Len() < fullSamples && b.builder.Bytes() < fullBytes {
		return nil
	}
	return b.flush()
}

// flush sends what is gathered.
func (b *batch) flush() error {
	samples := b.builder.Len()
	if samples == 0 {
		return nil
	}
	return b.sender.send(request{b.builder.Take(), samples})
}
