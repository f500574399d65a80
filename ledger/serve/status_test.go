package serve

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// A clock that was set shows, whichever way, and one that is right does not.
func TestAClockThatWasSetIsWarnedOf(t *testing.T) {
	for name, c := range map[string]struct {
		passed, set, behind time.Duration // since the start; by whom; the last write's future
		want                []string
	}{
		"right":           {passed: 30 * time.Hour},
		"kept right":      {passed: time.Hour, set: 2 * time.Second, behind: -time.Hour},
		"back":            {passed: time.Hour, set: -2 * time.Hour, want: []string{"set back by 2h0m0s since"}},
		"forward":         {passed: time.Hour, set: 48 * time.Hour, want: []string{"set forward by 48h0m0s since"}},
		"before a start":  {behind: 3 * time.Hour, want: []string{"3h0m0s behind the last write"}},
		"back and behind": {passed: time.Hour, set: -2 * time.Hour, behind: time.Hour, want: []string{"set back", "behind"}},
	} {
		clock, wall := &fakeClock{now: time.Hour}, time.Unix(1_800_000_000, 0)
		s := newSteps(clock, func() time.Time { return wall })
		clock.move(c.passed, 0)
		wall = wall.Add(c.passed + c.set)
		got := s.warnings(wall.Add(c.behind))
		if c.behind == 0 {
			got = s.warnings(time.Unix(0, 0))
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: %q", name, got)
			continue
		}
		for i, want := range c.want {
			if !strings.Contains(got[i], want) {
				t.Errorf("%s: %q does not say %q", name, got[i], want)
			}
		}
	}
}

// The owner's session is told of disk, log and clock; who has none learns the lock state and
// nothing else.
func TestStatusTellsTheOwnersSessionAlone(t *testing.T) {
	f := newFront(t)
	f.unlock(t)
	session := f.status(t)
	if session.GetDisk().GetFreeBytes() == 0 || session.GetLastWrite() == nil || session.GetLogBytes() == 0 {
		t.Error(session)
	}
	f.owner.SetSession("")
	bare := f.status(t)
	if text := protojson.Format(bare); protojson.Format(&pb.StatusResponse{Store: session.GetStore(), State: session.GetState()}) != text {
		t.Errorf("without a session: %s", text)
	}
}

func (f *front) status(t *testing.T) *pb.StatusResponse {
	t.Helper()
	s, err := f.owner.Owner().Status(t.Context(), &pb.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// On a disk that is nearly full apps read and do not write; when the reserve is used up, a
// read cannot be recorded, so it is refused. With room it all goes on, and nobody restarts
// anything.
func TestReadsGoOnUntilTheReserveIsUsedUp(t *testing.T) {
	var left atomic.Uint64
	const reserve = 64 << 20
	left.Store(2 * reserve)
	f := newFrontWith(t, Options{Reserve: reserve, Free: func() (uint64, error) { return left.Load(), nil }})
	f.unlock(t)
	read := func(typeName string) error {
		_, err := f.app.Health().QuerySamples(t.Context(), &pb.QuerySamplesRequest{Types: []string{typeName}})
		if err == nil {
			<-f.projector.asked
		}
		return err
	}
	write := func() error {
		_, err := f.app.Health().SavePart(t.Context(), aPart())
		return err
	}
	for i, c := range []struct {
		left        uint64
		read, write string
		warning     string
	}{
		{left: 2 * reserve},
		{left: reserve / 2, write: rpc.ReasonNoSpace, warning: "apps cannot write"},
		{left: reserve / 8, read: rpc.ReasonNoSpace, write: rpc.ReasonNoSpace, warning: "nothing can be written, so nothing is read"},
		{left: 2 * reserve},
	} {
		left.Store(c.left)
		time.Sleep(110 * time.Millisecond) // until the disk is asked again
		// Each of another type, which has no record in this minute.
		if got := rpc.Reason(read([]string{"stepCount", "bodyMass", "height", "heartRate"}[i])); got != c.read {
			t.Errorf("a read with %d left: %q", c.left, got)
		}
		if got := rpc.Reason(write()); got != c.write {
			t.Errorf("a write with %d left: %q", c.left, got)
		}
		text := strings.Join(f.status(t).GetWarnings(), "\n")
		if strings.Contains(text, "full") != (c.warning != "") || !strings.Contains(text, c.warning) {
			t.Errorf("with %d left the status warns of %q", c.left, text)
		}
	}
}
