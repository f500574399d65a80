package serve

import (
	"context"
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect"

	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// Whoever guesses the passphrase waits twice as long after each guess, whichever transport
// it comes on and whether the daemon was started again in between.
func TestGuessingIsSlowedDownOverBothTransportsAndRestarts(t *testing.T) {
	f := newFront(t)
	began := time.Now()
	for i, transport := range []string{"NATS", "HTTP", "NATS", "HTTP"} {
		if i == 3 {
			f.Close()
			var err error
			if f.Daemon, err = Start(t.Context(), f.options); err != nil {
				t.Fatal(err)
			}
			defer f.Daemon.Close()
		}
		f.guess(t, transport)
		// The waits so far are those for the guesses before.
		if took, least := time.Since(began), firstDelay*(1<<i-1); took < least {
			t.Errorf("guess %d, over %s, after %v of %v", i, transport, took, least)
		}
	}
}

// guess tries a wrong passphrase.
func (f *front) guess(t *testing.T, transport string) {
	t.Helper()
	f.projector = reading{newFake(), make(chan *pb.ReadRequest, 1), newUpdating()}
	a, store := f.Address(), f.genesis.Store.String()
	owner := pb.NewOwnerServiceClient(http.DefaultClient, a.HTTP, connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
			r.Header().Set("Authorization", "Bearer "+rpc.Bearer(store, a.Key, a.Token))
			return next(ctx, r)
		}
	})))
	if transport == "NATS" {
		c, err := client.DialOwner(t.Context(), a.Credentials(), store, "")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		owner = c.Owner()
	}
	if _, err := owner.BeginUnlock(t.Context(), &pb.BeginUnlockRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := owner.Unlock(t.Context(), &pb.UnlockRequest{SealedPassphrase: []byte("wrong")}); rpc.Reason(err) != rpc.ReasonWrongPassphrase {
		t.Fatal(err)
	}
}
