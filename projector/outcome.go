package projector

import (
	"errors"

	"healthledger/projector/view"
	pb "healthledger/proto/healthledger/v1"
)

// outcome is what became of a request of the reader's own; nothing, if there was none.
func (p *projection) outcome(reader *pb.Reader, req *pb.Outcome) (*pb.QueryOutcomeResponse, error) {
	if reader.GetApp() == 0 {
		return p.outcomeOf(0, view.OwnerRequest(int(req.GetDecision())))
	}
	if len(req.GetRequestId()) != 16 {
		return nil, errors.New("the id of a request has 16 bytes")
	}
	return p.outcomeOf(reader.GetApp(), [16]byte(req.GetRequestId()))
}

func (p *projection) outcomeOf(app uint64, request [16]byte) (*pb.QueryOutcomeResponse, error) {
	snapshot, err := p.view.Snapshot()
	if err != nil {
		return nil, err
	}
	outcome, _, err := snapshot.Outcome(app, request)
	if err := errors.Join(err, snapshot.Close()); err != nil {
		return nil, err
	}
	return &pb.QueryOutcomeResponse{
		Stored: outcome.Stored, Duplicates: outcome.Duplicates, Incomplete: outcome.Incomplete, Deleted: outcome.Deleted,
	}, nil
}
