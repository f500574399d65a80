package projector

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

// decisionsBytes is about how much an answer of ReadDecisions holds.
const decisionsBytes = 512 << 10

var errEnough = errors.New("enough")

// ReadDecisions returns the owner's signed decisions, in order, as many as fit an answer.
func (s *service) ReadDecisions(ctx context.Context, req *pb.ReadDecisionsRequest) (*pb.ReadDecisionsResponse, error) {
	resp, size := &pb.ReadDecisionsResponse{}, 0
	err := s.using(ctx, req.GetSequence(), func(_ *openStore, p *projection) error {
		return p.view.Decisions(func(number uint64, record []byte) error {
			if number < req.GetFrom() {
				return nil
			}
			if size > decisionsBytes {
				return errEnough
			}
			d := &pb.NewDecision{}
			if err := proto.Unmarshal(record, d); err != nil {
				return err
			}
			if d.GetDecision() != nil { // else a detail whose decision has not come
				resp.Decisions = append(resp.Decisions, d.GetDecision())
				size += proto.Size(d.GetDecision())
			}
			return nil
		})
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return resp, nil
}
