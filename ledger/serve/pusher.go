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
	// pushPace is how often a pusher looks at most: at whole multiples of it, so that when
	// an update comes says nothing of changes that its app cannot see.
	pushPace = 50 * time.Millisecond
	// pushIdle is how often it looks when nothing is to be expected: a look may have failed,
	// or the clock been set.
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
	for look := time.Now(); ctx.Err() == nil; {
		sequence, _, changed := p.keeper.store.Head()
		next := p.push(ctx, sequence, look)
		began := time.Now()
		idle := time.NewTimer(next.Sub(began))
		select {
		case <-changed:
		case <-idle.C:
		case <-ctx.Done():
		}
		idle.Stop()
		look = lookAt(began, time.Now(), next)
		select {
		case <-time.After(time.Until(look)):
		case <-ctx.Done():
		}
	}
}

// lookAt returns when to look, at which whole multiple of pushPace: of a wait that began
// and was over, because of a change or because next was reached.
func lookAt(began, over, next time.Time) time.Time {
	if next.Before(began) {
		next = began
	}
	if next.Before(over) {
		// A timer is late. What is next comes when it would have with a change before it.
		over = next
	}
	look := over.Truncate(pushPace)
	if look.Before(over) {
		look = look.Add(pushPace)
	}
	return look
}

// push tells every app what is due to it at a time, and returns when to look again if
// nothing changes. sequence is how far the log was then.
func (p *pusher) push(ctx context.Context, sequence uint64, now time.Time) (next time.Time) {
	next = now.Add(pushIdle)
	answer, err := p.process.Read(ctx, &pb.ReadRequest{
		Reader: &pb.Reader{}, Sequence: sequence, Query: &pb.ReadRequest_Due{Due: &pb.DueRequest{At: now.UnixMicro()}},
	})
	var found *pb.DueResponse
	if err == nil {
		found, err = decoded[pb.DueResponse](answer)
	}
	if err != nil {
		if ctx.Err() == nil {
			p.keeper.logger.Error("updates cannot be pushed", "error", err)
		}
		return next
	}
	due, next := p.pick(found, sequence, now)
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

// pick returns by app what is to be told now, and when there is more to tell if nothing
// changes.
func (p *pusher) pick(found *pb.DueResponse, sequence uint64, now time.Time) (pick map[uint64][]*pb.DueUpdate, next time.Time) {
	pick, next = map[uint64][]*pb.DueUpdate{}, now.Add(pushIdle)
	if again := time.UnixMicro(found.GetAgain()); found.GetAgain() != 0 && again.Before(next) {
		// Otherwise the next change, whosever, would bring it.
		next = again
	}
	before := p.told
	p.told = make(map[told]*retry, len(found.GetUpdates()))
	for _, d := range found.GetUpdates() {
		key := told{d.GetApp(), d.GetType(), d.GetAfter()}
		r := before[key]
		if r == nil {
			r = &retry{now, firstRetry / 2}
			if d.GetSequence() > sequence {
				// It came after this look had begun, which may have been for what the app
				// cannot see: its own look is the next.
				r.at = now.Add(pushPace)
			}
		}
		if !now.Before(r.at) {
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
		p.keeper.logger.Error("an update was not pushed", "error", err)
	}
}
