package serve

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// account is a log of what was handed over.
type account struct {
	events []*pb.Event
	err    error
}

func (a *account) Record(_ context.Context, app uint64, events ...*pb.Event) (uint64, error) {
	if a.err != nil || app != 0 {
		return 0, errors.Join(a.err, errors.New("not recorded"))
	}
	a.events = append(a.events, events...)
	return uint64(len(a.events)), nil
}

func (a *account) last() *pb.DisclosureEnded { return a.events[len(a.events)-1].GetDisclosureEnded() }

func newExports() (*exports, *account, *fakeClock) {
	log, clock := &account{}, &fakeClock{now: time.Hour}
	return &exports{store: log, clock: clock, logger: slog.New(slog.DiscardHandler), open: map[[32]byte]*export{}}, log, clock
}

func TestDisclosureIsRecordedBeforeAndAfter(t *testing.T) {
	x, log, _ := newExports()
	session, err := x.Open(t.Context(), &pb.DisclosureBegun{Grant: 7, Types: []uint32{1}})
	if begun := log.events[0].GetDisclosureBegun(); err != nil || begun.GetGrant() != 7 || len(begun.GetId()) != 16 || begun.GetTime() == 0 {
		t.Fatal(begun, err)
	}
	e, ok := x.Use(session)
	if !ok || e.operation() != "disclosure" || e.count([]*pb.DisclosureCount{{Type: 1, Count: 2}}) != nil || e.count([]*pb.DisclosureCount{{Type: 1, Count: 3}}) != nil {
		t.Fatal("it cannot be used")
	}
	if found, err := x.Close(t.Context(), session, true); !found || err != nil || !log.last().GetComplete() || log.last().GetCounts()[0].GetCount() != 5 {
		t.Error(log.last(), err)
	}
	if found, _ := x.Close(t.Context(), session, true); found || len(log.events) != 2 {
		t.Error("it ended twice")
	}
	if _, ok := x.Use(session); ok {
		t.Error("it goes on")
	}
	// An answer that was under way may not leave uncounted.
	if err := e.count([]*pb.DisclosureCount{{Type: 1, Count: 1}}); rpc.Reason(err) != rpc.ReasonNotFound {
		t.Error(err)
	}
	log.err = errors.New("disk full")
	if session, err := x.Open(t.Context(), &pb.DisclosureBegun{Grant: 7}); err == nil || session != "" || len(x.open) != 0 {
		t.Error("what is not recorded is disclosed")
	}
}

func TestExportsEndWithTheLockAndWhenTheyPause(t *testing.T) {
	x, log, clock := newExports()
	lockedOut, _ := x.Open(t.Context(), &pb.DisclosureBegun{Grant: 7})
	own, _ := x.Open(t.Context(), nil)
	if e, ok := x.Use(own); !ok || e.operation() != "export" || e.count(nil) != nil {
		t.Error("the owner's own copy cannot be used")
	}
	x.Cut()
	for _, session := range []string{lockedOut, own, ""} {
		if _, ok := x.Use(session); ok {
			t.Error("it outlasts the lock")
		}
	}
	if len(log.events) != 2 || log.last().GetComplete() {
		t.Error(log.events)
	}
	paused, _ := x.Open(t.Context(), &pb.DisclosureBegun{Grant: 8})
	clock.move(exportIdle, 0)
	if _, ok := x.Use(paused); !ok {
		t.Error("it ended too early")
	}
	clock.move(exportIdle+1, 0)
	if _, ok := x.Use(paused); ok {
		t.Error("it ended too late")
	}
	if _, err := x.Open(t.Context(), nil); err != nil || len(log.events) != 4 || log.last() == nil || len(x.open) != 1 {
		t.Error("its end is not recorded", log.events, err)
	}
}

// An export is begun with a fresh session, and what it has is good for reading samples only.
func TestExportNeedsThePassphraseAndReadsSamplesOnly(t *testing.T) {
	f := newFront(t)
	f.unlock(t)
	k, err := f.keeper(f.genesis.Store)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := f.owner.OpenExport(t.Context(), &pb.OpenExportRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.owner.Owner().OpenExport(t.Context(), &pb.OpenExportRequest{Types: []string{"stepCount"}}); rpc.Detail(err).GetField() != "disclosure" {
		t.Error(err)
	}
	for sample, err := range opened.QuerySamples(t.Context(), &pb.QuerySamplesRequest{Types: []string{"stepCount"}}) {
		t.Error(sample, err)
	}
	if asked := <-f.projector.asked; asked.GetReader().GetApp() != 0 || asked.GetReader().GetDisclosure() != nil {
		t.Error(asked)
	}
	for session := range k.sessions.made {
		k.sessions.made[session] -= freshFor
	}
	if _, err := f.owner.Owner().ListApps(t.Context(), &pb.ListAppsRequest{}); err != nil {
		t.Error(err)
	}
	if _, err := f.owner.OpenExport(t.Context(), &pb.OpenExportRequest{}); rpc.Reason(err) != rpc.ReasonReauthenticate {
		t.Error(err)
	}
	resp, err := k.exports.Open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	f.owner.SetSession(resp)
	if _, err := f.owner.Health().QueryStatistics(t.Context(), &pb.QueryStatisticsRequest{Type: "stepCount"}); rpc.Reason(err) != rpc.ReasonPermissionDenied {
		t.Error(err)
	}
	if _, err := f.owner.Owner().ListApps(t.Context(), &pb.ListAppsRequest{}); rpc.Reason(err) != rpc.ReasonReauthenticate {
		t.Error(err)
	}
	if err := opened.Close(t.Context(), true); err != nil {
		t.Error(err)
	}
}

// Whoever knows the passphrase before has nothing of what was begun with it.
func TestExportsEndWithThePassphrase(t *testing.T) {
	x, log, _ := newExports()
	session, err := x.Open(t.Context(), &pb.DisclosureBegun{Grant: 7})
	if err != nil {
		t.Fatal(err)
	}
	w := newWarden(t, newStore(t), 0)
	defer w.keeper.Close()
	w.exports = x
	wrong := errors.New("wrong")
	if _, err := w.Change(t.Context(), "local", func() error { return wrong }); !errors.Is(err, wrong) {
		t.Fatal(err)
	}
	if _, ok := x.Use(session); !ok {
		t.Error("it ended with a passphrase that was not changed")
	}
	if _, err := w.Change(t.Context(), "local", func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, ok := x.Use(session); ok || log.last() == nil || log.last().GetComplete() {
		t.Error("it outlasts the passphrase", log.events)
	}
}

// meanwhile is a log in which something happens before a disclosure stands in it.
type meanwhile struct {
	account
	do func()
}

func (m *meanwhile) Record(ctx context.Context, app uint64, events ...*pb.Event) (uint64, error) {
	if events[0].GetDisclosureBegun() != nil {
		m.do()
	}
	return m.account.Record(ctx, app, events...)
}

// A lock, or another passphrase, cuts the export that is just being begun, too.
func TestAnExportThatIsBegunMeanwhileEndsWithTheSessions(t *testing.T) {
	for what, reason := range map[string]string{"lock": rpc.ReasonStoreLocked, "passphrase": rpc.ReasonReauthenticate} {
		t.Run(what, func(t *testing.T) {
			f := newFront(t)
			f.unlock(t)
			k, err := f.keeper(f.genesis.Store)
			if err != nil {
				t.Fatal(err)
			}
			log := &meanwhile{do: func() {
				if what == "lock" {
					k.Lock(0)
				} else if _, err := k.Change(t.Context(), localCaller, func() error { return nil }); err != nil {
					t.Error(err)
				}
			}}
			k.exports.store = log
			ctx := rpc.WithCaller(t.Context(), rpc.Caller{Store: f.genesis.Store.String(), Key: f.Address().Key, Session: k.sessions.New()})
			if _, err := (&ownerService{daemon: f.Daemon}).OpenExport(ctx, &pb.OpenExportRequest{Disclosure: 7}); rpc.Reason(err) != reason {
				t.Error(err)
			}
			if len(k.exports.open) != 0 || log.last() == nil {
				t.Error("it goes on", log.events)
			}
		})
	}
}
