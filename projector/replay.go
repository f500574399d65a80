package projector

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"healthledger/ledger/seal"
	"healthledger/projector/view"
	pb "healthledger/proto/healthledger/v1"
)

// replay makes the view anew, or compares it with one that is made anew.
func (o *openStore) replay(ctx context.Context, req *pb.ReplayRequest) (*pb.ReplayResponse, error) {
	answer, run, at, err := o.step(ctx, req.GetRun(), func(ctx context.Context, report func(progress)) (proto.Message, error) {
		resp := &pb.ReplayResponse{}
		watch := func(at progress) {
			resp.Done, resp.Total, resp.Samples = at.done, at.total, at.samples
			report(at)
		}
		if !req.GetCheck() {
			return resp, o.rebuild(ctx, watch)
		}
		return resp, o.compare(ctx, watch, resp)
	})
	if err != nil {
		return nil, err
	}
	if resp, ok := answer.(*pb.ReplayResponse); ok {
		return resp, nil
	}
	return &pb.ReplayResponse{Run: run, Done: at.done, Total: at.total, Samples: at.samples}, nil
}

// compare makes a view from the log beside the live one, up to where that is, and says what
// differs. Nothing of it stays.
func (o *openStore) compare(ctx context.Context, report func(progress), resp *pb.ReplayResponse) error {
	return o.alone(ctx, func(ctx context.Context) error {
		return o.with(func(live *projection) error {
			snapshot, err := live.view.Snapshot()
			if err != nil {
				return err
			}
			replayed, err := o.beside(ctx, o.passingFolder(), passingKey(), snapshot.Cursor(), report)
			if err == nil {
				resp.Rows, resp.Difference, err = compare(ctx, snapshot, replayed.view)
				err = errors.Join(err, replayed.remove())
			}
			return errors.Join(err, snapshot.Close())
		})
	})
}

func compare(ctx context.Context, live *view.Snapshot, replayed *view.View) (uint64, *pb.ViewDifference, error) {
	other, err := replayed.Snapshot()
	if err != nil {
		return 0, nil, err
	}
	rows, d, err := view.Compare(ctx, live, other)
	if err := errors.Join(err, other.Close()); err != nil || d == nil {
		return rows, nil, err
	}
	return rows, &pb.ViewDifference{
		Family: d.Family(), Key: d.Key, ViewBytes: bytesOrNone(d.Bytes[0]), ReplayBytes: bytesOrNone(d.Bytes[1]),
	}, nil
}

func bytesOrNone(n int) *uint64 {
	if n < 0 {
		return nil
	}
	return proto.Uint64(uint64(n))
}

// passingKey makes a key that is in memory only, for a view that is not to outlive it.
func passingKey() *seal.Secret {
	key := seal.NewSecret(32)
	rand.Read(key.Bytes())
	return key
}

// passingFolder is for such a view; what a crash leaves of it the next unlock removes.
func (o *openStore) passingFolder() string {
	return o.viewFolder([]byte(fmt.Sprint("passing ", rand.Text())))
}
