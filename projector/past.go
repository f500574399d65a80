package projector

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/projector/query"
	"healthledger/projector/view"
	pb "healthledger/proto/healthledger/v1"
)

const (
	// maxPasts is how many views of the past are open at once; another one takes the room of
	// the one that was not used for the longest.
	maxPasts = 2
	// pastIdle is how long one stays open that nobody uses.
	pastIdle = 10 * time.Minute
)

// past is a view of the log as it was. Its key is in memory only.
type past struct {
	*projection
	sequence uint64
	// Under openStore.mu:
	sessions map[pastReader]string
	used     time.Time
	idle     *time.Timer
	users    int
	gone     chan struct{} // closed when it is to go and nobody uses it; nil until it is to go
}

// pastReader is who reads the past: the owner (0), or an app with the grants of then or of now.
type pastReader struct {
	app uint64
	now bool
}

// openPast makes a view of the past for one reader, or finds it.
func (o *openStore) openPast(ctx context.Context, req *pb.OpenPastRequest) (*pb.OpenPastResponse, error) {
	answer, run, at, err := o.step(ctx, req.GetRun(), func(ctx context.Context, report func(progress)) (proto.Message, error) {
		resp := &pb.OpenPastResponse{}
		err := o.alone(ctx, func(ctx context.Context) (err error) {
			if resp.Sequence, err = o.sequenceOf(ctx, req); err != nil {
				return err
			}
			v, err := o.pastAt(ctx, resp.Sequence, report)
			if err != nil {
				return err
			}
			resp.Done, resp.Total, resp.Samples = resp.Sequence, resp.Sequence, samplesIn(v.view)
			resp.Session, err = o.admitPast(v, req)
			return err
		})
		return resp, err
	})
	if err != nil {
		return nil, err
	}
	if resp, ok := answer.(*pb.OpenPastResponse); ok {
		return resp, nil
	}
	return &pb.OpenPastResponse{Run: run, Done: at.done, Total: at.total, Samples: at.samples}, nil
}

// sequenceOf finds the last segment that is meant.
func (o *openStore) sequenceOf(ctx context.Context, req *pb.OpenPastRequest) (sequence uint64, err error) {
	last := o.cursor().Sequence
	if req.GetTime() == nil {
		sequence = req.GetSequence()
		if sequence == 0 || sequence > last {
			return 0, noSegment(sequence, last)
		}
		return sequence, nil
	}
	at, err := microsOr(req.GetTime(), "time", 0)
	if err != nil {
		return 0, err
	}
	err = o.with(func(p *projection) (err error) {
		sequence, err = p.follower.lastUntil(ctx, at, last)
		return err
	})
	if err == nil && sequence == 0 {
		err = &query.ArgumentError{Field: "time", Value: req.GetTime().AsTime().Format(time.RFC3339), Why: "it is before the first segment of the log"}
	}
	return sequence, err
}

// pastAt returns the view of the past up to a segment.
func (o *openStore) pastAt(ctx context.Context, sequence uint64, report func(progress)) (*past, error) {
	o.mu.Lock()
	v := o.pasts[sequence]
	if v != nil {
		v.touch()
	}
	o.mu.Unlock()
	if v != nil {
		return v, nil
	}
	if err := o.makeRoom(); err != nil {
		return nil, err
	}
	p, err := o.beside(ctx, o.passingFolder(), passingKey(), view.Cursor{Sequence: sequence}, report)
	if err != nil {
		return nil, err
	}
	v = &past{projection: p, sequence: sequence, sessions: map[pastReader]string{}, used: time.Now()}
	o.mu.Lock()
	defer o.mu.Unlock()
	v.idle = time.AfterFunc(pastIdle, func() {
		_ = o.alone(o.ctx, func(context.Context) error { return o.closePast(v) })
	})
	o.pasts[sequence] = v
	return v, nil
}

// touch puts off the end. It needs openStore.mu.
func (v *past) touch() {
	v.used = time.Now()
	v.idle.Reset(pastIdle)
}

// makeRoom closes views of the past until there is room for another one.
func (o *openStore) makeRoom() error {
	o.mu.Lock()
	var oldest *past
	if len(o.pasts) >= maxPasts {
		for _, v := range o.pasts {
			if oldest == nil || v.used.Before(oldest.used) {
				oldest = v
			}
		}
	}
	o.mu.Unlock()
	if oldest == nil {
		return nil
	}
	return o.closePast(oldest)
}

// closePast removes a view of the past when nobody reads it any more, or the store is closed.
func (o *openStore) closePast(v *past) error {
	o.mu.Lock()
	if o.pasts[v.sequence] != v {
		o.mu.Unlock()
		return nil
	}
	delete(o.pasts, v.sequence)
	v.idle.Stop()
	v.gone = make(chan struct{})
	if v.users == 0 {
		close(v.gone)
	}
	o.mu.Unlock()
	select {
	case <-v.gone:
	case <-o.ctx.Done():
	}
	return v.remove()
}

// closePasts removes all views of the past.
func (o *openStore) closePasts() error {
	o.mu.Lock()
	pasts := slices.Collect(maps.Values(o.pasts))
	o.mu.Unlock()
	var err error
	for _, v := range pasts {
		err = errors.Join(err, o.closePast(v))
	}
	return err
}

// admitPast returns the session of a reader of a view of the past.
func (o *openStore) admitPast(v *past, req *pb.OpenPastRequest) (string, error) {
	reader := pastReader{now: req.GetGrants() == pb.PastGrants_PAST_GRANTS_NOW}
	if id := req.GetBundleId(); id != "" {
		state := v.state
		if reader.now {
			_ = o.with(func(p *projection) error { state = p.state; return nil })
		}
		app, ok := state.AppByBundle(id)
		if !ok {
			return "", &query.ArgumentError{Field: "bundle_id", Value: id, Why: authz.ErrNoApp.Error()}
		}
		reader.app = app.Number
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if v.sessions[reader] == "" {
		v.sessions[reader] = rand.Text() + rand.Text()
	}
	return v.sessions[reader], nil
}

// errNoPast: the view of the past was closed, or there never was such a session.
var errNoPast = &query.ArgumentError{Field: "session", Why: "the view of the past is closed: open it again"}

// readPast has a query answered from a view of the past.
func (o *openStore) readPast(ctx context.Context, req *pb.ReadRequest) (proto.Message, error) {
	v, reader, ok := o.enterPast(req.GetReader().GetPast())
	if !ok {
		return nil, errNoPast
	}
	defer o.leavePast(v)
	asked := &pb.Reader{App: reader.app}
	scope := v.scope(asked)
	if reader.now {
		_ = o.with(func(p *projection) error { scope = p.scope(asked); return nil })
	}
	switch asks := req.GetQuery().(type) {
	case *pb.ReadRequest_Samples, *pb.ReadRequest_Statistics, *pb.ReadRequest_Payload, *pb.ReadRequest_Sources:
		return v.answer(ctx, scope, req)
	case *pb.ReadRequest_Changes:
		return v.engine.Changes(ctx, scope, asks.Changes)
	case *pb.ReadRequest_PreferredUnits:
		return v.preferredUnits(asked, asks.PreferredUnits)
	default:
		return nil, &query.ArgumentError{Field: "session", Why: "of the past only samples, changes, statistics and sources are read"}
	}
}

func (o *openStore) enterPast(session string) (*past, pastReader, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, v := range o.pasts {
		for reader, its := range v.sessions {
			if its == session {
				v.touch()
				v.users++
				return v, reader, true
			}
		}
	}
	return nil, pastReader{}, false
}

func (o *openStore) leavePast(v *past) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if v.users--; v.users == 0 && v.gone != nil {
		close(v.gone)
	}
}
