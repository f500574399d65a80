package send

import (
	"fmt"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"

	"google.golang.org/protobuf/proto"
)

// maxPayload is how much payload goes into a request with other samples. A sample with more
// is a request of its own, of which the client sends the payload ahead.
const maxPayload = 128 << 10

// AddSample puts a sample of any kind into the batch. The error is a *health.FieldError for a
// sample that the ledger would refuse, large payloads apart.
func (b *Batch) AddSample(s *pb.Sample) error {
	switch {
	case payload(s) > maxPayload:
		return b.sender.send(&pb.SaveRequest{Samples: []*pb.Sample{s}})
	case s.Object == nil && len(s.Members)+len(s.Kept)+len(s.Payload) == 0 && s.Upload == nil:
		t, unit, source, row, err := health.Member(s)
		if err != nil {
			return err
		}
		return b.Add(t, unit, source, &row)
	}
	// A body has a normal form, which the check makes.
	columns, err := health.Columns([]*pb.Sample{s}, health.Policy{Importer: true})
	if err != nil {
		return err
	}
	for _, c := range columns {
		t, ok := catalog.ByCode(c.Type)
		if !ok {
			return fmt.Errorf("no type %d", c.Type)
		}
		for _, row := range health.Rows(c) {
			if err := b.Add(t, c.Unit, c.Source, &row); err != nil {
				return err
			}
		}
	}
	return nil
}

// payload is the size of what a sample and its members carry.
func payload(s *pb.Sample) (size int) {
	for _, chunk := range s.Payload {
		size += proto.Size(chunk)
	}
	for _, m := range s.Members {
		size += payload(m)
	}
	return size
}
