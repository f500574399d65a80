package projector

import (
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"healthledger/proto/rpc"
)

// Of what goes wrong inside, the caller is told that the disk is full, and no more.
func TestOnlyAFullDiskIsTold(t *testing.T) {
	s := &service{logger: slog.New(slog.DiscardHandler)}
	for cause, reason := range map[error]string{
		syscall.ENOSPC: rpc.ReasonNoSpace,
		syscall.EDQUOT: rpc.ReasonNoSpace,
		syscall.EIO:    rpc.ReasonInternal,
	} {
		failed := fmt.Errorf("view: %w", &fs.PathError{Op: "write", Path: "/data/view", Err: cause})
		if err := s.internal("open view", failed); rpc.Reason(err) != reason || strings.Contains(err.Error(), "view") {
			t.Errorf("%v is told as %q: %v", cause, rpc.Reason(err), err)
		}
		// A view that cannot be written does not follow the log, of which nothing is lost.
		if reason == rpc.ReasonInternal {
			reason = rpc.ReasonDataLoss
		}
		for _, err := range []error{s.lost(failed), s.refuse("replay", lostError{failed})} {
			if rpc.Reason(err) != reason {
				t.Errorf("%v is told as %q: %v", cause, rpc.Reason(err), err)
			}
		}
	}
}
