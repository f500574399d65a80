package projector

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"healthledger/authz"
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

// A decoder verifies and opens the segments of a log in their order and learns the decisions
// in them.
type decoder struct {
	*unsealer
	owner []byte
	state *authz.State
	// details that came before the decision they belong to, by number.
	details map[uint64][]byte
}

func (o *openStore) decoder(opener *seal.Opener, state *authz.State) decoder {
	return decoder{unsealer: o.unsealer(opener), owner: o.config.GetFirstOwnerKey(), state: state, details: map[uint64][]byte{}}
}

// open verifies and opens a segment and learns the decisions in it.
func (d *decoder) open(e log.Entry) (opened, error) {
	o := opened{sequence: e.Sequence, leaf: tree.Leaf(e.Payload)}
	segment, err := seal.ParseSegment(e.Payload)
	if err != nil {
		return o, fmt.Errorf("segment %d: %w", e.Sequence, err)
	}
	blocks, err := d.blocks(segment, e.Sequence)
	if err != nil {
		return o, fmt.Errorf("segment %d: %w", e.Sequence, err)
	}
	for _, block := range blocks {
		o.events = append(o.events, block...)
	}
	for i, event := range o.events {
		if err := d.learn(&o, i, event); err != nil {
			return o, fmt.Errorf("segment %d: %w", e.Sequence, err)
		}
	}
	if segment.Class == seal.Open {
		if err := d.verify(segment, e.Sequence); err != nil {
			return o, fmt.Errorf("segment %d: %w", e.Sequence, err)
		}
	}
	return o, nil
}

func (d *decoder) blocks(segment seal.Segment, sequence uint64) ([][]*pb.Event, error) {
	if segment.Class != seal.Open {
		if err := d.verify(segment, sequence); err != nil {
			return nil, err
		}
	}
	return d.unsealer.blocks(segment, sequence)
}

func (d *decoder) verify(segment seal.Segment, sequence uint64) error {
	device := d.state.Device()
	if device == nil {
		return fmt.Errorf("%w: no device is enrolled before it", seal.ErrTampered)
	}
	return segment.Verify(d.store, sequence, device.GetSigningKey())
}

func (d *decoder) learn(o *opened, at int, event *pb.Event) error {
	switch body := event.GetBody().(type) {
	case *pb.Event_DecisionDetail:
		detail := &pb.DecisionDetail{}
		if err := proto.Unmarshal(body.DecisionDetail, detail); err != nil {
			return fmt.Errorf("%w: malformed detail of a decision", seal.ErrTampered)
		}
		// One of a decision that is made already would take its place in the view.
		if number, _ := d.state.Head(); detail.GetNumber() != number+1 {
			return fmt.Errorf("%w: detail of decision %d after decision %d", seal.ErrTampered, detail.GetNumber(), number)
		}
		d.details[detail.GetNumber()] = body.DecisionDetail
		o.records = append(o.records, &pb.NewDecision{Detail: body.DecisionDetail})
	case *pb.Event_Decision:
		decision := &pb.Decision{}
		if err := proto.Unmarshal(body.Decision.GetDecision(), decision); err != nil {
			return fmt.Errorf("%w: malformed decision", seal.ErrTampered)
		}
		detail := d.details[decision.GetNumber()]
		if err := d.state.Decide(body.Decision, detail); err != nil {
			return err
		}
		if err := d.known.meet(body.Decision, decision); err != nil {
			return err
		}
		delete(d.details, decision.GetNumber())
		o.changes(at, decision, detail)
		o.records = append(o.records, &pb.NewDecision{Decision: body.Decision, Detail: detail})
	case *pb.Event_Checkpointed:
		c, err := log.OpenCheckpointed(body.Checkpointed, d.store, d.state.Device().GetSigningKey(), d.ownerNow())
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
func (d *decoder) ownerNow() []byte {
	if all := d.state.Rekeyings(); len(all) > 0 {
		return all[len(all)-1].GetOwnerKey()
	}
	return d.owner
}
