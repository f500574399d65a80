package serve

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

const (
	// pushPace is how often a pusher looks at most: at whole multiples of it after the
	// unlock, so that when an update comes says nothing of changes that its app cannot see.
	pushPace = 50 * time.Millisecond
	// pushIdle is how often it looks without a change: an hourly update may come by then.
	pushIdle = time.Minute
	// An update that is not acknowledged comes again after firstRetry, then after twice as
	// long each time, up to lastRetry.
	firstRetry = time.Second
	lastRetry  = time.Hour
)

// A pusher tells the apps of an unlocked store that types have changed, without being
// asked. What it has told is remembered until it is acknowledged or the store is locked.
type pusher struct {
	keeper  *keeper
	process Projector
	record  *recorder
	// send takes an update to an app; it does not wait for the app.
	send func(*nats.Msg) error
	told map[told]*retry
}

// told is an update that an app was told: what changed since it last acknowledged. More of
// the same does not come earlier.
type told struct {
	app   uint64
	code  uint32
	after uint64
}

// retry says when an update comes again.
type retry struct {
	at   time.Time
	wait time.Duration
}

// run pushes until the context ends.
func (p *pusher) run(ctx context.Context) {
	began := time.Now()
	for ctx.Err() == nil {
		sequence, _, changed := p.keeper.store.Head()
		next := p.push(ctx, sequence)
		idle := time.NewTimer(time.Until(next))
		select {
		case <-changed:
		case <-idle.C:
		case <-ctx.Done():
		}
		idle.Stop()
		passed := time.Since(began)
		select {
		case <-time.After((passed/pushPace+1)*pushPace - passed):
		case <-ctx.Done():
		}
	}
}

// push tells every app what is due to it, and returns when to look again if nothing changes.
func (p *pusher) push(ctx context.Context, sequence uint64) (next time.Time) {
	now := time.Now()
	next = now.Add(pushIdle)
	answer, err := p.process.Read(ctx, &pb.ReadRequest{
		Reader: &pb.Reader{}, Sequence: sequence, Query: &pb.ReadRequest_Due{Due: &pb.DueRequest{}},
	})
	var found *pb.DueResponse
	if err == nil {
		found, err = decoded[pb.DueResponse](answer)
	}
	if err != nil {
		if ctx.Err() == nil {
			p.keeper.logger.Error("updates cannot be pushed", "store", p.keeper.store.ID().String(), "error", err)
		}
		return next
	}
	due, next := p.pick(found.GetUpdates(), now)
	// Side by side: one app does not wait for the record of another's.
	var telling sync.WaitGroup
	for number, updates := range due {
		if app, ok := p.keeper.store.State().AppByNumber(number); ok && !app.Removed {
			telling.Go(func() { p.tell(ctx, app, updates) })
		}
	}
	telling.Wait()
	return next
}

// pick returns by app what is to be told now, and when there is more to tell again.
func (p *pusher) pick(due []*pb.DueUpdate, now time.Time) (pick map[uint64][]*pb.DueUpdate, next time.Time) {
	pick, next = map[uint64][]*pb.DueUpdate{}, now.Add(pushIdle)
	before := p.told
	p.told = make(map[told]*retry, len(due))
	for _, d := range due {
		key := told{d.GetApp(), d.GetType(), d.GetAfter()}
		r := before[key]
		switch {
		case r == nil:
			r = &retry{now.Add(firstRetry), firstRetry}
			pick[d.GetApp()] = append(pick[d.GetApp()], d)
		case !now.Before(r.at):
			r.wait = min(2*r.wait, lastRetry)
			r.at = now.Add(r.wait)
			pick[d.GetApp()] = append(pick[d.GetApp()], d)
		}
		p.told[key] = r
		if r.at.Before(next) {
			next = r.at
		}
	}
	return pick, next
}

// tell publishes updates to an app. Where that fails they come again like those that are
// not acknowledged.
func (p *pusher) tell(ctx context.Context, app *authz.App, due []*pb.DueUpdate) {
	if _, err := p.keeper.Reader(); err != nil {
		return // time is up, the lock is about to follow
	}
	updates, err := tell(ctx, p.keeper.store, p.record, app, due)
	if err == nil {
		msg := nats.NewMsg(rpc.UpdatesSubject(p.keeper.store.ID().String(), app.Key))
		msg.Header.Set(rpc.HeaderContentType, rpc.ContentTypeProtobuf)
		if msg.Data, err = proto.Marshal(updates); err == nil && ctx.Err() == nil {
			err = p.send(msg)
		}
	}
	if err != nil && ctx.Err() == nil {
		p.keeper.logger.Error("an update was not pushed", "store", p.keeper.store.ID().String(), "error", err)
	}
}
