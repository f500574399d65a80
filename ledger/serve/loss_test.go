package serve

import (
	"context"
	"errors"
	"testing"

	"healthledger/ledger"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// Who waits for what is lost of a log that nobody can look through is told so, and may try again.
func TestASurveyThatFailsEnds(t *testing.T) {
	f := newFront(t)
	k, err := f.keeper(f.genesis.Store)
	if err != nil {
		t.Fatal(err)
	}
	tries := make(chan error, 9)
	k.survey = func(context.Context) (*ledger.Survey, error) {
		err := <-tries
		if err != nil {
			return nil, err
		}
		return &ledger.Survey{}, nil
	}
	f.unlock(t)
	accept := func() (*pb.AcceptLossResponse, error) {
		var resp *pb.AcceptLossResponse
		var err error
		eventually(t, "the survey goes on for ever", func() bool {
			resp, err = f.owner.Owner().AcceptLoss(t.Context(), &pb.AcceptLossRequest{})
			return !resp.GetPending()
		})
		return resp, err
	}
	for range 2 {
		tries <- errors.New("an I/O error")
		if _, err := accept(); rpc.Reason(err) != rpc.ReasonInternal {
			t.Fatal(err)
		}
	}
	tries <- nil
	if _, err := accept(); err != nil {
		t.Fatal(err)
	}
}
