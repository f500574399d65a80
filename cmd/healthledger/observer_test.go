package main

import (
	"context"
	"testing"
	"time"

	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
)

// observer is an app that listens to updates.
type observer struct {
	t *testing.T
	*client.Client
	updates <-chan *pb.Update
	stop    func()
}

func (s *store) observe(app string) *observer {
	s.t.Helper()
	o := &observer{t: s.t, Client: s.dial(app)}
	ctx, cancel := context.WithCancel(s.t.Context())
	updates, done := make(chan *pb.Update, 100), make(chan struct{})
	go func() {
		defer close(done)
		for u, err := range o.Updates(ctx) {
			if err == nil {
				updates <- u
			}
		}
	}()
	o.updates, o.stop = updates, func() { cancel(); <-done; o.Close() }
	s.t.Cleanup(o.stop)
	return o
}

// next returns the next update, which must come soon.
func (o *observer) next() *pb.Update {
	o.t.Helper()
	select {
	case u := <-o.updates:
		if u.GetType() != "stepCount" {
			o.t.Error(u)
		}
		return u
	case <-time.After(8 * time.Second):
		o.t.Fatal("no update came")
	}
	return nil
}

// quiet wants that none comes, pushed or asked for.
func (o *observer) quiet(what string) {
	o.t.Helper()
	resp, err := o.Health().QueryUpdates(o.t.Context(), &pb.QueryUpdatesRequest{WaitMs: 200})
	if err != nil || len(resp.GetUpdates()) > 0 {
		o.t.Errorf("%s: %v %v", what, resp.GetUpdates(), err)
	}
	select {
	case u := <-o.updates:
		o.t.Errorf("%s: %v", what, u)
	default:
	}
}

// ack acknowledges an update and whatever came of it meanwhile.
func (o *observer) ack(u *pb.Update) {
	o.t.Helper()
	if err := o.AckUpdates(o.t.Context(), u); err != nil {
		o.t.Fatal(err)
	}
	// What is told while the acknowledgement is on its way may still come.
	for after := time.After(200 * time.Millisecond); ; {
		select {
		case <-o.updates:
		case <-after:
			return
		}
	}
}

func (s *store) saveAt(app string, minute int) {
	s.t.Helper()
	c := s.dial(app)
	defer c.Close()
	sample := steps(time.Date(2024, 5, 1, 0, minute, 0, 0, time.UTC), 1)
	if _, err := c.Save(s.t.Context(), &pb.SaveRequest{Samples: []*pb.Sample{sample}}); err != nil {
		s.t.Fatal(err)
	}
}

// What changes while the store is locked, and before a restart, is told after the unlock;
// what an app may not see is never.
func TestUpdatesOutlastLockAndRestartAndTellNothingHidden(t *testing.T) {
	s := newStore(t)
	daemon := s.serve()
	const watch, granted, denied = "com.example.watch", "com.example.granted", "com.example.denied"
	s.run("unlock")
	s.register(s.id(), watch, granted, denied)
	s.run("grant", granted, "--read", "stepCount")
	s.saveAt(watch, 0)
	s.run("lock", "--now")
	sees, blind := s.observe(granted), s.observe(denied)
	for _, o := range []*observer{sees, blind} {
		if err := o.SetUpdates(t.Context(), "stepCount", pb.Frequency_FREQUENCY_IMMEDIATE); err != nil {
			t.Fatal(err)
		}
	}
	s.saveAt(watch, 1)
	s.run("unlock")
	sees.ack(sees.next())
	sees.quiet("acknowledged")
	blind.quiet("hidden")

	s.saveAt(watch, 2)
	first := sees.next()
	if again := sees.next(); again.GetToken() == first.GetToken() {
		t.Error("it came again with the same token")
	}
	sees.ack(first)
	sees.quiet("acknowledged after it came twice")
	blind.quiet("hidden")

	s.run("lock", "--now")
	s.saveAt(watch, 3)
	sees.stop()
	blind.stop()
	if err := daemon.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = daemon.Wait()
	s.serve()
	sees, blind = s.observe(granted), s.observe(denied)
	s.run("unlock")
	u := sees.next()
	s.run("revoke", granted, "--read", "stepCount")
	sees.ack(u)
	s.saveAt(watch, 4)
	sees.quiet("revoked")
	blind.quiet("hidden")

	// Samples of its own count, as in HealthKit.
	s.saveAt(denied, 5)
	blind.ack(blind.next())
	if err := blind.SetUpdates(t.Context(), "stepCount", pb.Frequency_FREQUENCY_NEVER); err != nil {
		t.Fatal(err)
	}
	s.saveAt(denied, 6)
	blind.quiet("never")
}
