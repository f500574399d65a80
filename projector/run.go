package projector

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"healthledger/projector/query"
)

const (
	// runStep is how long a call waits for a run to finish.
	runStep = time.Second
	// runIdle is how long a run goes on, or its answer is kept, when nobody asks for it.
	runIdle = time.Minute
)

// run is work that takes longer than a call. It ends with the store, and when nobody asks
// for it any more.
type run struct {
	cancel context.CancelFunc
	idle   *time.Timer
	done   chan struct{}

	mu     sync.Mutex
	at     progress
	answer proto.Message
	err    error
}

func (r *run) report(at progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = at
}

// start begins a run.
func (o *openStore) start(work func(ctx context.Context, report func(progress)) (proto.Message, error)) (string, *run) {
	name := rand.Text()
	r := &run{done: make(chan struct{})}
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(o.ctx)
	r.idle = time.AfterFunc(runIdle, func() { o.endRun(name) })
	o.mu.Lock()
	o.runs[name] = r
	o.mu.Unlock()
	o.done.Go(func() {
		defer close(r.done)
		answer, err := work(ctx, r.report)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.answer, r.err = answer, err
	})
	return name, r
}

func (o *openStore) endRun(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r := o.runs[name]; r != nil {
		r.idle.Stop()
		r.cancel()
		delete(o.runs, name)
	}
}

// step waits a little for a run, which begins where no name is given. It returns the answer
// when that is there, else how to go on and how far it is.
func (o *openStore) step(ctx context.Context, name string, work func(ctx context.Context, report func(progress)) (proto.Message, error)) (answer proto.Message, goOn string, at progress, err error) {
	var r *run
	if name == "" {
		name, r = o.start(work)
	} else {
		o.mu.Lock()
		r = o.runs[name]
		o.mu.Unlock()
		if r == nil {
			return nil, "", at, &query.ArgumentError{Field: "run", Why: "nothing of that name is under way: begin again"}
		}
		r.idle.Reset(runIdle)
	}
	timer := time.NewTimer(runStep)
	defer timer.Stop()
	select {
	case <-r.done:
		o.endRun(name)
	case <-timer.C:
	case <-ctx.Done():
		return nil, "", at, ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answer, name, r.at, r.err
}
