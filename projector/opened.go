package projector

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

// opened is a segment after verification and decryption.
type opened struct {
	sequence uint64
	leaf     tree.Hash
	events   []*pb.Event
	records  []*pb.NewDecision
	// details of decisions that change the view, by the place of the decision among the events.
	details map[int]*pb.DecisionDetail
	// checkpoints, which are yet to be compared with the tree.
	checkpoints []log.Checkpointed
}

// open verifies and opens a segment and learns the decisions in it.
func (f *follower) open(e log.Entry) (opened, error) {
	o := opened{sequence: e.Sequence, leaf: tree.Leaf(e.Payload)}
	segment, err := seal.ParseSegment(e.Payload)
	if err != nil {
		return o, fmt.Errorf("segment %d: %w", e.Sequence, err)
	}
	// An open segment may enrol the device that signed it, so it is checked afterwards.
	if segment.Class != seal.Open {
		if err := f.verify(segment, e.Sequence); err != nil {
			return o, fmt.Errorf("segment %d: %w", e.Sequence, err)
		}
	}
	if o.events, err = f.decode(segment, e.Sequence); err != nil {
		return o, err
	}
	for i, event := range o.events {
		if err := f.learn(&o, i, event); err != nil {
			return o, fmt.Errorf("segment %d: %w", e.Sequence, err)
		}
	}
	if segment.Class == seal.Open {
		if err := f.verify(segment, e.Sequence); err != nil {
			return o, fmt.Errorf("segment %d: %w", e.Sequence, err)
		}
	}
	return o, nil
}

// decode opens a segment and returns its events.
func (f *follower) decode(segment seal.Segment, sequence uint64) (events []*pb.Event, err error) {
	body := segment.Body
	if segment.Class != seal.Open {
		if body, err = f.opener.Open(segment, sequence, nil); err != nil {
			return nil, fmt.Errorf("segment %d: %w", sequence, err)
		}
	}
	if events, err = log.AllEvents(body); err != nil {
		return nil, fmt.Errorf("segment %d: %w", sequence, err)
	}
	return events, nil
}

func (f *follower) verify(segment seal.Segment, sequence uint64) error {
	device := f.state.Device()
	if device == nil {
		return fmt.Errorf("%w: no device is enrolled before it", seal.ErrTampered)
	}
	return segment.Verify(f.store, sequence, device.GetSigningKey())
}

func (f *follower) learn(o *opened, at int, event *pb.Event) error {
	switch body := event.GetBody().(type) {
	case *pb.Event_DecisionDetail:
		detail := &pb.DecisionDetail{}
		if err := proto.Unmarshal(body.DecisionDetail, detail); err != nil {
			return fmt.Errorf("%w: malformed detail of a decision", seal.ErrTampered)
		}
		// One of a decision that is made already would take its place in the view.
		if number, _ := f.state.Head(); detail.GetNumber() != number+1 {
			return fmt.Errorf("%w: detail of decision %d after decision %d", seal.ErrTampered, detail.GetNumber(), number)
		}
		f.details[detail.GetNumber()] = body.DecisionDetail
		o.records = append(o.records, &pb.NewDecision{Detail: body.DecisionDetail})
	case *pb.Event_Decision:
		decision := &pb.Decision{}
		if err := proto.Unmarshal(body.Decision.GetDecision(), decision); err != nil {
			return fmt.Errorf("%w: malformed decision", seal.ErrTampered)
		}
		detail := f.details[decision.GetNumber()]
		if err := f.state.Decide(body.Decision, detail); err != nil {
			return err
		}
		delete(f.details, decision.GetNumber())
		o.changes(at, decision, detail)
		o.records = append(o.records, &pb.NewDecision{Decision: body.Decision, Detail: detail})
	case *pb.Event_Checkpointed:
		c, err := log.OpenCheckpointed(body.Checkpointed, f.store, f.state.Device().GetSigningKey(), f.ownerNow())
		if err != nil {
			return err
		}
		o.checkpoints = append(o.checkpoints, c)
	}
	return nil
}

// changes notes what a decision changes in the view that the owner was found to have signed.
// Only a detail that the decision names is his.
func (o *opened) changes(at int, decision *pb.Decision, detail []byte) {
	parsed := &pb.DecisionDetail{}
	if len(decision.GetDetailHash()) == 0 || proto.Unmarshal(detail, parsed) != nil ||
		parsed.GetOwnerDeleted() == nil && parsed.GetObjectsDecided() == nil {
		return
	}
	if o.details == nil {
		o.details = map[int]*pb.DecisionDetail{}
	}
	o.details[at] = parsed
}

// ownerNow returns the key that the owner signs with after the decisions so far.
func (f *follower) ownerNow() []byte {
	if all := f.state.Rekeyings(); len(all) > 0 {
		return all[len(all)-1].GetOwnerKey()
	}
	return f.owner
}
