package projector

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// errThere: what is to be accepted as lost is there.
var errThere = errors.New("it is there as it was written")

// signLoss signs that the owner goes on with a log that has lost segments. No view may have caught
// up, so the daemon says which decision is the last. That they are the owner's, each after the one
// before, shows here, and that what is to be lost cannot be read; so does which decisions are lost,
// of which the daemon may not be able to read all. Errors: INVALID_ARGUMENT.
func (s *service) signLoss(ctx context.Context, o *openStore, draft *pb.LossDraft) (*pb.SignDecisionResponse, error) {
	state := authz.NewState(verifier{o.config.GetFirstOwnerKey(), o.store}, false)
	for _, d := range draft.GetDecisions() {
		if err := state.Decide(d, nil); err != nil {
			return nil, rpc.InvalidValue("decisions", "", err.Error())
		}
	}
	err := o.checkLost(ctx, state.Devices(), draft.GetLoss().GetLost())
	if errors.Is(err, errThere) {
		return nil, rpc.InvalidValue("loss", "", err.Error())
	}
	loss := &pb.LossAccepted{Lost: draft.GetLoss().GetLost(), Tree: draft.GetLoss().GetTree()}
	var lost []*pb.SignedDecision
	if err == nil {
		loss.Decisions, lost, err = o.lostDecisions(ctx, draft)
	}
	if err != nil {
		return nil, s.internal("look for what is lost", err)
	}
	author := &authz.Author{State: state, Signer: signer{o.keys, s.store}, Random: rand.Reader}
	decision, err := author.AcceptLoss(time.Now().UnixMicro(), loss, lost)
	if err == nil {
		err = state.Check(decision.GetDecision(), decision.GetDetail())
	}
	if err != nil {
		return nil, rpc.InvalidValue("loss", "", err.Error())
	}
	return &pb.SignDecisionResponse{Decision: decision}, nil
}

// lostDecisions returns which decisions are lost of those that the daemon has not found.
func (o *openStore) lostDecisions(ctx context.Context, draft *pb.LossDraft) (numbers []uint64, lost []*pb.SignedDecision, err error) {
	if len(draft.GetLoss().GetDecisions()) == 0 {
		return nil, nil, nil
	}
	there, err := o.decisionsWithout(ctx, draft.GetLoss().GetLost())
	if err != nil {
		return nil, nil, err
	}
	for i, d := range draft.GetDecisions() {
		if number := uint64(i) + 1; !there[number] && slices.Contains(draft.GetLoss().GetDecisions(), number) {
			numbers, lost = append(numbers, number), append(lost, d)
		}
	}
	return numbers, lost, nil
}

// decisionsWithout returns the numbers of the decisions that are in the log without what is lost.
func (o *openStore) decisionsWithout(ctx context.Context, lost []*pb.LostSegments) (there map[uint64]bool, err error) {
	opener := o.keys.Opener(o.store, o.directory)
	defer opener.Destroy()
	losses := &log.Losses{}
	losses.Suppose(lost)
	reader := log.NewGuestReader(o.conn, o.store).PassOver(losses)
	last, err := reader.Last(ctx)
	if err != nil {
		return nil, err
	}
	there = map[uint64]bool{}
	for next := uint64(1); next <= last; {
		next, err = reader.Step(ctx, time.Minute, next, last, func(e log.Entry) {
			segment, err := seal.ParseSegment(e.Payload)
			if err != nil || segment.Class == seal.Health || losses.Sealed(e.Sequence) || o.known.losses.Sealed(e.Sequence) || o.known.losses.Gone(e.Sequence) {
				return
			}
			body, err := opener.Open(segment, e.Sequence, nil)
			if err != nil {
				return
			}
			events, _ := log.AllEvents(body)
			for _, event := range events {
				decision := &pb.Decision{}
				if event.GetDecision() != nil && proto.Unmarshal(event.GetDecision().GetDecision(), decision) == nil {
					there[decision.GetNumber()] = true
				}
			}
		}, func(uint64, uint64) {})
		if err != nil {
			return nil, err
		}
	}
	return there, nil
}

// checkLost looks whether segments can be read that are to be accepted as lost.
func (o *openStore) checkLost(ctx context.Context, devices []*pb.DeviceEnrolled, lost []*pb.LostSegments) error {
	opener := o.keys.Opener(o.store, o.directory)
	defer opener.Destroy()
	// With what was accepted before, which it passes over.
	reader := log.NewGuestReader(o.conn, o.store).PassOver(o.known.losses)
	for _, l := range lost {
		var there error
		for next := l.GetFrom(); next <= l.GetTo(); {
			var err error
			next, err = reader.Step(ctx, time.Minute, next, l.GetTo(), func(e log.Entry) {
				if there == nil && isWritten(o.store, opener, devices, e) {
					there = fmt.Errorf("segment %d: %w", e.Sequence, errThere)
				}
			}, func(uint64, uint64) {})
			if err = errors.Join(err, there); err != nil {
				return err
			}
		}
	}
	return nil
}

// isWritten tells whether a segment is in its place as a daemon of the store's has written it, and
// opens.
func isWritten(store seal.StoreID, opener *seal.Opener, devices []*pb.DeviceEnrolled, e log.Entry) bool {
	segment, err := seal.ParseSegment(e.Payload)
	if err != nil {
		return false
	}
	for _, device := range devices {
		if segment.Verify(store, e.Sequence, device.GetSigningKey()) != nil {
			continue
		}
		body, err := opener.Open(segment, e.Sequence, nil)
		if err == nil {
			_, err = log.AllEvents(body)
		}
		return err == nil
	}
	return false
}

// seekLost looks in the log for lost decisions that the daemon does not remember: they are brought
// back by the detail of the decision that accepts the loss.
func (o *openStore) seekLost(ctx context.Context) error {
	wanted := o.known.unheard()
	if len(wanted) == 0 {
		return nil
	}
	u := o.unsealer(o.keys.Opener(o.store, o.directory))
	defer u.opener.Destroy()
	u.begin(ctx)
	defer u.end()
	last, err := u.reader.Last(ctx)
	if err != nil {
		return err
	}
	return u.reader.Read(ctx, 1, last, func(e log.Entry) error {
		segment, err := seal.ParseSegment(e.Payload)
		if err != nil || segment.Class != seal.Health {
			return nil // whoever follows the log says so
		}
		blocks, err := u.blocks(segment, e.Sequence)
		if err != nil {
			return nil
		}
		for _, event := range slices.Concat(blocks...) {
			detail := &pb.DecisionDetail{}
			hash := sha256.Sum256(event.GetDecisionDetail())
			if event.GetDecisionDetail() == nil || !wanted[hash] || proto.Unmarshal(event.GetDecisionDetail(), detail) != nil {
				continue
			}
			for _, d := range detail.GetLostDecisions().GetDecisions() {
				if err := o.known.remember(d); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
