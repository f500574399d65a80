package projector

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"connectrpc.com/connect"

	"healthledger/authz"
	"healthledger/ledger/log"
	"healthledger/projector/erase"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// An erasure seals again what is left of the epochs that something is erased of. It hands that
// to the daemon, piece by piece, and reads it back from the log before it has finished: the
// keys of the epochs are destroyed then, and nothing else would be left.
type erasure struct {
	stop  context.CancelFunc
	ended chan struct{}
	// pieces go to the daemon, and from appended comes where the log has them.
	pieces   chan []*pb.Resealed
	appended chan []uint64

	mu          sync.Mutex
	done, total uint64
	// Once it has ended.
	err    error
	order  *pb.ErasureOrdered
	epochs []*pb.ErasedEpoch
	// rebuilt is closed when the view was made anew; nil: that was not begun.
	rebuilt chan struct{}
}

// stepTime is how long Reseal waits for a piece.
const stepTime = time.Second

// BeginErasure implements pb.ProjectorServiceHandler.
func (s *service) BeginErasure(ctx context.Context, req *pb.BeginErasureRequest) (*pb.BeginErasureResponse, error) {
	s.cancelErasure()
	return &pb.BeginErasureResponse{}, s.using(ctx, req.GetHidden(), func(o *openStore, p *projection) error {
		s.replaceErasure(o.beginErasure(req))
		return nil
	})
}

// CancelErasure implements pb.ProjectorServiceHandler.
func (s *service) CancelErasure(context.Context, *pb.CancelErasureRequest) (*pb.CancelErasureResponse, error) {
	s.cancelErasure()
	return &pb.CancelErasureResponse{}, nil
}

func (s *service) cancelErasure() {
	if last := s.replaceErasure(nil); last != nil {
		last.cancel()
	}
}

func (s *service) replaceErasure(next *erasure) (last *erasure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, s.erasure = s.erasure, next
	return last
}

func (s *service) currentErasure() (*erasure, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.erasure == nil {
		return nil, rpc.Error(connect.CodeFailedPrecondition, &pb.ErrorDetail{Reason: rpc.ReasonFailedPrecondition}, "no erasure was begun")
	}
	return s.erasure, nil
}

// Reseal implements pb.ProjectorServiceHandler.
func (s *service) Reseal(ctx context.Context, req *pb.ResealRequest) (*pb.ResealResponse, error) {
	e, err := s.currentErasure()
	if err != nil {
		return nil, err
	}
	if len(req.GetAppended()) > 0 {
		select {
		case e.appended <- req.GetAppended():
		case <-e.ended:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	resp := &pb.ResealResponse{}
	timer := time.NewTimer(stepTime)
	defer timer.Stop()
	select {
	case resp.Resealed = <-e.pieces:
	case <-timer.C:
	case <-e.ended:
		resp.Finished = true
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	resp.Done, resp.Total = e.done, e.total
	if resp.Finished {
		if e.err != nil {
			return nil, s.internal("erase", e.err)
		}
		resp.Samples, resp.Epochs = e.order.GetSamples(), uint64(len(e.epochs))
	}
	return resp, nil
}

// beginErasure begins an erasure, which ends with the store at the latest.
func (o *openStore) beginErasure(req *pb.BeginErasureRequest) *erasure {
	ctx, cancel := context.WithCancel(o.ctx)
	e := &erasure{
		stop: cancel, ended: make(chan struct{}), pieces: make(chan []*pb.Resealed), appended: make(chan []uint64), order: req.GetOrder(),
	}
	o.done.Go(func() {
		defer close(e.ended)
		defer cancel()
		err := o.with(func(p *projection) error { return o.erase(ctx, p, e, req) })
		e.mu.Lock()
		defer e.mu.Unlock()
		e.err = err
	})
	return e
}

// cancel returns when the erasure has ended.
func (e *erasure) cancel() {
	e.stop()
	<-e.ended
}

func (e *erasure) report(done uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done = done
}

// put hands a piece to the daemon and returns where it has put it.
func (e *erasure) put(ctx context.Context, piece []*pb.Resealed) ([]uint64, error) {
	select {
	case e.pieces <- piece:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case at := <-e.appended:
		if len(at) != len(piece) {
			return nil, errors.New("the daemon has not appended what it was given")
		}
		return at, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// decided returns what the decision of an erasure that has finished is to say.
func (e *erasure) decided() ([]*pb.ErasedEpoch, *pb.ErasureOrdered, error) {
	select {
	case <-e.ended:
	default:
		return nil, nil, errors.New("the erasure has not finished")
	}
	if e.err != nil || len(e.epochs) == 0 {
		return nil, nil, errors.Join(errors.New("there is nothing to erase"), e.err)
	}
	return e.epochs, e.order, nil
}

// erase looks at the whole log, seals again, and reads back.
func (o *openStore) erase(ctx context.Context, p *projection, e *erasure, req *pb.BeginErasureRequest) error {
	hidden, err := p.view.Snapshot()
	if err != nil {
		return err
	}
	defer hidden.Close()
	rewriter, err := erase.New(erase.Order{
		Erasure: uint64(len(p.state.Erasures())) + 1, Deletions: req.GetOrder().GetDeletions(), Before: req.GetHidden(),
		Hidden: hidden, Since: sinceOf(p.state), Granted: grantedOf(p.state), Random: rand.Reader,
	})
	if err != nil {
		return err
	}
	defer rewriter.Close()
	opener := o.keys.Opener(o.store, o.directory)
	defer opener.Destroy()
	// Each segment is looked at once, sealed again, and read back.
	e.mu.Lock()
	e.total = 3 * req.GetSequence()
	e.mu.Unlock()
	spans, err := o.survey(ctx, opener, e, rewriter, req.GetSequence())
	if err != nil {
		return err
	}
	r := resealing{o: o, erasure: e, rewriter: rewriter, unsealer: o.unsealer(opener), standing: p.state}
	r.unsealer.begin(ctx)
	defer r.unsealer.end()
	for _, span := range spans {
		if err := r.epoch(ctx, span); err != nil {
			return fmt.Errorf("epoch %d: %w", span.epoch, err)
		}
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	if err := o.readBack(ctx, opener, e, spans); err != nil {
		return err
	}
	e.report(e.total)
	e.order.Samples = rewriter.Erased()
	return nil
}

// FinishErasure implements pb.ProjectorServiceHandler.
func (s *service) FinishErasure(ctx context.Context, _ *pb.FinishErasureRequest) (*pb.FinishErasureResponse, error) {
	e, err := s.currentErasure()
	if err != nil {
		return nil, err
	}
	open, err := s.opened()
	if err != nil {
		return nil, err
	}
	timer := time.NewTimer(stepTime)
	defer timer.Stop()
	resp := &pb.FinishErasureResponse{}
	select {
	case <-e.rebuilding(open):
		resp.Finished = true
	case <-timer.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if resp.Finished && e.err != nil {
		return nil, s.internal("rebuild the view", e.err)
	}
	resp.Done, resp.Total = e.done, e.total
	return resp, nil
}

// rebuilding makes the view anew, once.
func (e *erasure) rebuilding(o *openStore) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.rebuilt != nil {
		return e.rebuilt
	}
	e.rebuilt = make(chan struct{})
	o.done.Go(func() {
		defer close(e.rebuilt)
		// Views of the past that were made before it have what is erased.
		err := o.alone(o.ctx, func(context.Context) error { return o.closePasts() })
		if err == nil {
			err = o.rebuild(o.ctx, func(at progress) {
				e.mu.Lock()
				defer e.mu.Unlock()
				e.done, e.total = at.done, at.total
			})
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.err = err
	})
	return e.rebuilt
}

// sinceOf returns from when on apps may read a type, of grants that have such a date.
func sinceOf(state *authz.State) func(typeCode uint32) []int64 {
	bounds := map[uint32][]int64{}
	for _, app := range state.Apps() {
		for code, read := range app.Reads() {
			if read.Extent == authz.ExtentSince {
				bounds[code] = append(bounds[code], read.Since)
			}
		}
	}
	return func(typeCode uint32) []int64 { return bounds[typeCode] }
}

// grantedOf says whether an app may read an object of a type that is granted object by object.
func grantedOf(state *authz.State) func(authz.Object) bool {
	granted := map[authz.Object]bool{}
	for _, app := range state.Apps() {
		for _, objects := range app.Objects() {
			for _, g := range objects.Granted {
				granted[g.Object] = true
			}
		}
	}
	return func(object authz.Object) bool { return granted[object] }
}

// ReadErasures implements pb.ProjectorServiceHandler.
func (s *service) ReadErasures(ctx context.Context, req *pb.ReadErasuresRequest) (*pb.ReadErasuresResponse, error) {
	resp := &pb.ReadErasuresResponse{}
	err := s.using(ctx, req.GetSequence(), func(_ *openStore, p *projection) error {
		for _, e := range p.state.Erasures() {
			resp.Erasures = append(resp.Erasures, e.Order)
		}
		return nil
	})
	return resp, err
}

// missing is what an erasure has lost of what it has just sealed.
func missing(sequence uint64) error {
	return fmt.Errorf("%w: what was left of segment %d cannot be read back", log.ErrLoss, sequence)
}
