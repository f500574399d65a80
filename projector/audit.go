package projector

import (
	"context"
	"errors"
	"slices"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

const (
	// auditStep is how long a call opens segments.
	auditStep = time.Second
	// maxClockSkew is how far the time of an event may be behind that of one before it: events
	// get theirs when they are accepted, and may wait for one another.
	maxClockSkew = time.Minute
)

// Kinds of faults that an audit finds.
const (
	faultDamaged  = "damaged"
	faultDecision = "decision"
)

// An audit opens a whole log. It says what only the owner's keys show: the rest, signatures,
// order and keys, is the daemon's to verify, who needs none.
type audit struct {
	store   seal.StoreID
	state   *authz.State
	details map[uint64][]byte
	// chained: every decision so far follows the one before.
	chained bool
	// latest time of an event so far, and the segment with which it goes back.
	latest int64
	back   uint64

	next, opened uint64
	faults       []*pb.LogFault

	// unsealer stays where it is in what an erasure has left, nil: at the beginning or the end.
	unsealer *unsealer

	// last is the segment that came last; passed: segments that are lost came before.
	last   uint64
	passed bool
}

// AuditLog goes on with the audit of the log. Errors: STORE_LOCKED, FAILED_PRECONDITION where
// another audit was begun since.
func (s *service) AuditLog(ctx context.Context, req *pb.AuditLogRequest) (*pb.AuditLogResponse, error) {
	open, err := s.opened()
	if err != nil {
		return nil, err
	}
	open.auditing.Lock()
	defer open.auditing.Unlock()
	if req.GetFrom() == 1 {
		open.audit.end()
		open.audit = &audit{
			store: s.store, state: authz.NewState(verifier{s.config.GetFirstOwnerKey(), s.store}, true),
			details: map[uint64][]byte{}, chained: true, next: 1,
		}
	}
	a := open.audit
	if a == nil || a.next != req.GetFrom() {
		return nil, rpc.Error(connect.CodeFailedPrecondition, &pb.ErrorDetail{Reason: rpc.ReasonFailedPrecondition},
			"another verification has taken the place of this one: begin again")
	}
	if err := open.with(func(*projection) error { return a.step(ctx, open, req.GetTo()) }); err != nil {
		return nil, s.internal("audit", err)
	}
	resp := &pb.AuditLogResponse{Next: a.next, Faults: a.faults, Opened: a.opened, TimeBack: a.back}
	a.faults = nil
	return resp, nil
}

// step opens segments for about as long as auditStep. What the log does not have is left out:
// the daemon says so.
func (a *audit) step(ctx context.Context, o *openStore, to uint64) (err error) {
	if a.unsealer == nil {
		a.unsealer = o.unsealer(o.keys.Opener(o.store, o.directory))
		a.unsealer.begin(o.ctx)
	}
	a.next, err = a.unsealer.reader.Step(ctx, auditStep, a.next, to, a.segment, func(uint64, uint64) {})
	if a.next > to {
		a.end()
	}
	return err
}

// end destroys the keys that it has; a nil audit has none.
func (a *audit) end() {
	if a != nil && a.unsealer != nil {
		a.unsealer.end()
		a.unsealer.opener.Destroy()
		a.unsealer = nil
	}
}

// segment opens a segment, or what an erasure has left of it.
func (a *audit) segment(e log.Entry) {
	if e.Sequence > a.last+1 {
		a.passed = true
	}
	a.last = e.Sequence
	segment, err := seal.ParseSegment(e.Payload)
	if err != nil {
		return // the daemon says so
	}
	blocks, err := a.unsealer.blocks(segment, e.Sequence)
	switch {
	case errors.Is(err, errLost):
		a.passed = true
		return
	case errors.Is(err, log.ErrNoWrap):
		return // missing rightly or not, which the daemon knows
	case a.unsealer.ctx.Err() != nil:
		return // the store is being closed
	case errors.Is(err, log.ErrBodyMalformed):
		a.fault(faultDamaged, e.Sequence, "what is sealed in it is malformed")
		return
	case err != nil:
		a.fault(faultDamaged, e.Sequence, "it does not open")
		return
	}
	if segment.Class != seal.Open {
		a.opened++
	}
	for _, event := range slices.Concat(blocks...) {
		if event.GetBody() == nil {
			a.fault(faultDamaged, e.Sequence, "an event in it is of no known kind")
		}
		a.clock(event.GetTime(), e.Sequence)
		a.decision(a.unsealer.known, event, e.Sequence)
	}
}

// clock follows the time of events.
func (a *audit) clock(at int64, sequence uint64) {
	if a.back == 0 && at < a.latest-maxClockSkew.Microseconds() {
		a.back = sequence
	}
	a.latest = max(a.latest, at)
}

// decision checks that decisions follow one another, and that the details are those that they
// name. After one that does not follow, none can.
func (a *audit) decision(known *foreknown, event *pb.Event, sequence uint64) {
	switch body := event.GetBody().(type) {
	case *pb.Event_DecisionDetail:
		detail := &pb.DecisionDetail{}
		if proto.Unmarshal(body.DecisionDetail, detail) != nil {
			a.fault(faultDecision, sequence, "a malformed detail of a decision")
			return
		}
		a.details[detail.GetNumber()] = body.DecisionDetail
	case *pb.Event_Decision:
		decision := &pb.Decision{}
		err := proto.Unmarshal(body.Decision.GetDecision(), decision)
		if err == nil && a.chained {
			err = a.decide(known, body.Decision, decision)
		}
		delete(a.details, decision.GetNumber())
		if err != nil {
			a.chained = false
			a.fault(faultDecision, sequence, "a decision that is not the next one, or whose detail is missing or another; later ones cannot be checked")
		}
	}
}

// decide takes the next decision, after those before it that are lost.
func (a *audit) decide(known *foreknown, signed *pb.SignedDecision, d *pb.Decision) error {
	for last, _ := a.state.Head(); a.passed && last+1 < d.GetNumber(); last++ {
		lost := known.lost(last + 1)
		if lost == nil {
			break
		}
		if err := a.state.DecideWithout(lost); err != nil {
			return err
		}
	}
	detail, passed := a.details[d.GetNumber()], a.passed
	a.passed = false
	if detail != nil || !passed {
		return a.state.Decide(signed, detail)
	}
	return a.state.DecideWithout(signed)
}

// fault notes what is wrong with a segment. What goes on from segment to segment is one fault.
func (a *audit) fault(kind string, sequence uint64, why string) {
	if n := len(a.faults); n > 0 {
		last := a.faults[n-1]
		if last.GetKind() == kind && last.GetWhy() == why && last.GetTo()+1 >= sequence {
			last.Segments += sequence - last.GetTo()
			last.To = sequence
			return
		}
	}
	a.faults = append(a.faults, &pb.LogFault{From: sequence, To: sequence, Segments: 1, Kind: kind, Why: why})
}
