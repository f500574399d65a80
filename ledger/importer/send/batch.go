package send

import (
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// Limits of one save: a request has at most 700 KiB.
const (
	fullSamples = 8000
	// fullBytes leaves room for one more sample without a body, however large.
	fullBytes = maxBytes - health.MaxMetadata - health.MaxSource - 4096
	maxBytes  = 700 << 10
)

// Batch gathers samples until they are a request. It is for one goroutine.
type Batch struct {
	builder *health.Builder
	sender  *Sender
}

// NewBatch returns an empty Batch of a Sender.
func NewBatch(s *Sender) *Batch { return &Batch{builder: health.NewBuilder(), sender: s} }

// Add puts one sample into the batch, and sends the batch when it is full. Nothing is
// checked here; source and metadata must not change any more.
func (b *Batch) Add(t *catalog.Type, unit string, s *pb.Source, row *health.Row) error {
	if len(row.Body) > 0 && b.builder.Bytes()+len(row.Body) >= fullBytes {
		if err := b.Flush(); err != nil {
			return err
		}
	}
	b.builder.Add(t, unit, s, *row)
	if b.builder.Len() < fullSamples && b.builder.Bytes() < fullBytes {
		return nil
	}
	return b.Flush()
}

// Flush sends what is gathered.
func (b *Batch) Flush() error {
	if b.builder.Len() == 0 {
		return nil
	}
	return b.sender.Send(b.builder.Take())
}
