package projector

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

// opened is a segment after verification and decryption. One without a leaf is gone, and so are
// those before it that did not come.
type opened struct {
	sequence uint64
	leaf     *tree.Hash
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
	// last is the segment that came last.
	last uint64
	// passed: since the last decision there are segments that are lost.
	passed bool
}

func (o *openStore) decoder(opener *seal.Opener, state *authz.State) decoder {
	return decoder{unsealer: o.unsealer(opener), owner: o.config.GetFirstOwnerKey(), state: state, details: map[uint64][]byte{}}
}

// open verifies and opens a segment and learns the decisions in it.
func (d *decoder) open(e log.Entry) (opened, error) {
	leaf := tree.Leaf(e.Payload)
	o := opened{sequence: e.Sequence, leaf: &leaf}
	if e.Sequence > d.last+1 {
		d.restore(&o, 0)
	}
	d.last = e.Sequence
	segment, err := seal.ParseSegment(e.Payload)
	if err != nil {
		return o, fmt.Errorf("segment %d: %w", e.Sequence, err)
	}
	if segment.Class != seal.Open {
		if err := d.verify(&o, segment, e.Sequence); err != nil {
			return o, fmt.Errorf("segment %d: %w", e.Sequence, err)
		}
	}
	blocks, err := d.blocks(segment, e.Sequence)
	if errors.Is(err, errLost) {
		d.restore(&o, 0)
		return o, nil
	}
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
		if err := d.verify(&o, segment, e.Sequence); err != nil {
			return o, fmt.Errorf("segment %d: %w", e.Sequence, err)
		}
	}
	return o, nil
}

// verify checks that the device has signed a segment which the owner had enrolled then. Where it
// is not known which that was, since the decision may be lost, it is any that he ever has.
func (d *decoder) verify(o *opened, segment seal.Segment, sequence uint64) error {
	err := d.signed(segment, sequence)
	if err != nil && d.passed {
		d.restore(o, math.MaxUint64)
		err = d.signed(segment, sequence)
	}
	return err
}

func (d *decoder) signed(segment seal.Segment, sequence uint64) error {
	devices := d.state.Devices()
	if n := len(devices); n > 1 && !d.known.losses.Blind(sequence-1) {
		devices = devices[n-1:]
	}
	err := fmt.Errorf("%w: no device is enrolled before it", seal.ErrTampered)
	for _, device := range slices.Backward(devices) {
		if err = segment.Verify(d.store, sequence, device.GetSigningKey()); err == nil {
			return nil
		}
	}
	return err
}

// pass takes note of segments at the end of what is read that are gone.
func (d *decoder) pass(to uint64) opened {
	o := opened{sequence: to}
	d.last = to
	d.restore(&o, 0)
	return o
}

// restore learns the decisions that come next and are lost, where segments are. Each waits for its
// detail, which may not be lost, unless it is needed: those up to a number are.
func (d *decoder) restore(o *opened, needed uint64) {
	d.passed = true
	for {
		last, _ := d.state.Head()
		signed, detail := d.known.lost(last+1), d.details[last+1]
		decision := &pb.Decision{}
		if signed == nil || proto.Unmarshal(signed.GetDecision(), decision) != nil ||
			last+1 > needed && detail == nil && len(decision.GetDetailHash()) > 0 {
			return
		}
		if parsed := (&pb.DecisionDetail{}); proto.Unmarshal(detail, parsed) != nil || changesView(parsed) {
			detail = nil // its place in the view is lost
		}
		if d.decide(signed, detail) != nil {
			return
		}
		delete(d.details, last+1)
		o.records = append(o.records, &pb.NewDecision{Decision: signed, Detail: detail})
	}
}

// need learns the decisions up to a number that are lost.
func (d *decoder) need(o *opened, number uint64) {
	if last, _ := d.state.Head(); d.passed && number > last {
		d.restore(o, number)
	}
}

// decide learns the next decision, of which the detail may be lost.
func (d *decoder) decide(signed *pb.SignedDecision, detail []byte) error {
	if d.passed && detail == nil {
		return d.state.DecideWithout(signed)
	}
	return d.state.Decide(signed, detail)
}

func (d *decoder) learn(o *opened, at int, event *pb.Event) error {
	// What an app has done is of an app that is registered.
	d.need(o, max(event.GetSamplesSaved().GetApp(), event.GetSamplesDeleted().GetApp(), event.GetPartSaved().GetApp()))
	switch body := event.GetBody().(type) {
	case *pb.Event_DecisionDetail:
		detail := &pb.DecisionDetail{}
		if err := proto.Unmarshal(body.DecisionDetail, detail); err != nil {
			return fmt.Errorf("%w: malformed detail of a decision", seal.ErrTampered)
		}
		d.need(o, detail.GetNumber()-1)
		number, _ := d.state.Head()
		if number >= detail.GetNumber() && d.known.lost(detail.GetNumber()) != nil {
			return nil // the decision was needed without it
		}
		// One of a decision that is made already would take its place in the view.
		if detail.GetNumber() != number+1 {
			return fmt.Errorf("%w: detail of decision %d after decision %d", seal.ErrTampered, detail.GetNumber(), number)
		}
		d.details[detail.GetNumber()] = body.DecisionDetail
		o.records = append(o.records, &pb.NewDecision{Detail: body.DecisionDetail})
		if d.passed {
			d.restore(o, 0)
		}
	case *pb.Event_Decision:
		decision := &pb.Decision{}
		if err := proto.Unmarshal(body.Decision.GetDecision(), decision); err != nil {
			return fmt.Errorf("%w: malformed decision", seal.ErrTampered)
		}
		d.need(o, decision.GetNumber()-1)
		detail := d.details[decision.GetNumber()]
		if err := d.decide(body.Decision, detail); err != nil {
			return err
		}
		if err := d.known.meet(body.Decision, decision); err != nil {
			return err
		}
		d.passed = false
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
	if len(decision.GetDetailHash()) == 0 || proto.Unmarshal(detail, parsed) != nil || !changesView(parsed) {
		return
	}
	if o.details == nil {
		o.details = map[int]*pb.DecisionDetail{}
	}
	o.details[at] = parsed
}

func changesView(detail *pb.DecisionDetail) bool {
	return detail.GetOwnerDeleted() != nil || detail.GetObjectsDecided() != nil
}

// ownerNow returns the key that the owner signs with after the decisions so far.
func (d *decoder) ownerNow() []byte {
	if all := d.state.Rekeyings(); len(all) > 0 {
		return all[len(all)-1].GetOwnerKey()
	}
	return d.owner
}
