package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

// catchUp brings the head and the decisions up to the end of the log. What comes after
// the head must be this daemon's own writing; what comes before it is vouched for by
// the head, which is compared where the log is read from its beginning. Where the log is
// damaged the store says so (see Damage).
func (s *Store) catchUp(ctx context.Context, known head) (head, error) {
	var err error
	if s.decisions, err = openDecisions(filepath.Join(s.path, "decisions")); err != nil {
		return head{}, err
	}
	cached := s.decisions.list
	s.state = s.replayDecisions()
	if err := s.takeLosses(); err != nil {
		return head{}, err
	}
	if !known.holds(cached) {
		// What is read from the beginning is read without what is lost.
		if _, err := s.seekLosses(ctx); err != nil {
			return head{}, err
		}
	}
	at, err := s.tryCatchUp(ctx, known)
	if isDamage(err) {
		// The owner may have gone on with it, by a decision that is not in the cache.
		found, seekErr := s.seekLosses(ctx)
		if seekErr != nil {
			return head{}, seekErr
		}
		if found {
			if err := s.decisions.Fill(cached); err != nil {
				return head{}, err
			}
			s.unknown = false
			at, err = s.tryCatchUp(ctx, known)
		}
	}
	if isDamage(err) {
		return s.salvage(ctx, known, cached, err)
	}
	return at, err
}

func (s *Store) tryCatchUp(ctx context.Context, at head) (head, error) {
	last, err := s.reach(ctx, &at)
	if err == nil {
		err = s.reader.Whole(ctx)
	}
	if errors.Is(err, log.ErrLoss) {
		err = fmt.Errorf("%w: %w", ErrDataLoss, err)
	}
	if err == nil {
		err = s.readOn(ctx, &at, last)
	}
	if err == nil {
		err = s.forget()
	}
	return at, err
}

// forget drops what is known of the decisions where they are not known.
func (s *Store) forget() error {
	if !s.unknown {
		return nil
	}
	s.state = s.newState()
	return s.decisions.Reset()
}

// reach returns where the log ends, which is not before the head. What a log was filled up with whose
// loss was not accepted in the end is not of it.
func (s *Store) reach(ctx context.Context, at *head) (last uint64, err error) {
	last, err = s.reader.Last(ctx)
	if err == nil && last < at.tree.Size() {
		err = fmt.Errorf("%w: the log ends at %d, but %d was acknowledged", ErrDataLoss, last, at.tree.Size())
	}
	if err != nil || at.tree.Size() == 0 {
		return last, err
	}
	err = s.reader.Read(ctx, at.tree.Size(), at.tree.Size(), func(e log.Entry) error {
		if bytes.HasPrefix(e.Payload, fillerPayload) {
			return fmt.Errorf("%w: the log was filled up to segment %d, and nobody has accepted that", ErrDataLoss, e.Sequence)
		}
		return nil
	})
	return last, err
}

// readOn takes what the log has behind the head, or all of it where the decisions are not known.
func (s *Store) readOn(ctx context.Context, at *head, last uint64) error {
	known := *at
	s.state = s.replayDecisions()
	inLog := known.decision
	if n, _ := s.state.Head(); known.decision == 0 || n < known.decision || n < uint64(len(s.decisions.list)) {
		// The cache is behind, or nothing vouches for it: the log has them all.
		s.state, at.tree, inLog = s.newState(), tree.Tree{}, 0
		if err := s.decisions.Reset(); err != nil {
			return err
		}
	}
	p := &place{number: inLog, device: s.deviceAt(inLog), owner: s.ownerAt(inLog + 1), at: at}
	s.losses.AddRoot(&at.tree, &p.roots)
	opener := s.devices.opener(s.id, s.directory)
	defer opener.Destroy()
	err := s.reader.Read(ctx, at.tree.Size()+1, last, func(e log.Entry) error {
		if e.Sequence > at.tree.Size()+1 {
			if err := s.pass(p, e.Sequence-1, &known.tree); err != nil {
				return err
			}
		}
		if err := s.losses.Append(&at.tree, e.Sequence, tree.Leaf(e.Payload)); err != nil {
			return err
		}
		if err := s.recognise(&at.tree, &known.tree); err != nil {
			return err
		}
		if s.unknown {
			return nil
		}
		p.fresh = e.Sequence > known.tree.Size()
		if err := s.readPublic(opener, e, p); err != nil {
			return fmt.Errorf("segment %d: %w", e.Sequence, err)
		}
		s.losses.AddRoot(&at.tree, &p.roots)
		return nil
	})
	if err == nil && at.tree.Size() < last {
		err = s.pass(p, last, &known.tree)
	}
	if errors.Is(err, log.ErrLoss) {
		return fmt.Errorf("%w: %w", ErrDataLoss, err)
	}
	if err != nil {
		return err
	}
	if s.unknown {
		return nil
	}
	number, hash := s.state.Head()
	switch {
	case number < known.decision || number == known.decision && !bytes.Equal(hash, known.decisionHash):
		return fmt.Errorf("%w: decision %d was acknowledged, the log has %d", ErrDataLoss, known.decision, number)
	case number > p.number:
		return fmt.Errorf("%w: decision %d was made, the log ends with %d", ErrDataLoss, number, p.number)
	}
	at.decision, at.decisionHash = number, hash
	return nil
}

// pass takes note of segments that are gone, up to one.
func (s *Store) pass(p *place, to uint64, known *tree.Tree) error {
	p.passed = true
	for p.at.tree.Size() < to {
		if err := s.losses.Pass(&p.at.tree, p.at.tree.Size()+1); err != nil {
			return err
		}
		if err := s.recognise(&p.at.tree, known); err != nil {
			return err
		}
	}
	return nil
}

// recognise compares a tree with the one that is known, where it is as large. Where nobody knows
// the root the tree is that one.
func (s *Store) recognise(t, known *tree.Tree) error {
	switch {
	case t.Size() != known.Size() || *t == *known:
		return nil
	case s.losses.Blind(t.Size()):
		*t = *known
		return nil
	}
	return fmt.Errorf("%w: the log is not the one that was acknowledged up to segment %d", seal.ErrTampered, t.Size())
}

// place is how far a log was read: the last decision, the device that is enrolled there, and
// the latest roots.
type place struct {
	number uint64
	device *pb.DeviceEnrolled
	owner  []byte
	at     *head
	roots  tree.Roots
	// fresh: the head had not come so far.
	fresh bool
	// passed: there are lost segments before.
	passed bool
}

// deviceAt returns the device that is enrolled after a decision of the cache.
func (s *Store) deviceAt(number uint64) (device *pb.DeviceEnrolled) {
	for _, d := range s.decisions.list[:number] {
		decision := &pb.Decision{}
		if proto.Unmarshal(d.GetDecision(), decision) == nil && decision.GetDeviceEnrolled() != nil {
			device = decision.GetDeviceEnrolled()
		}
	}
	return device
}

func (s *Store) newState() *authz.State {
	return authz.NewState(s.pin.chain(), false)
}

// replayDecisions makes a state of the cached decisions, as far as they verify.
func (s *Store) replayDecisions() *authz.State {
	state := s.newState()
	for _, d := range s.decisions.list {
		if state.Decide(d, nil) != nil {
			break
		}
	}
	return state
}

// readPublic takes what a locked daemon can open in a segment: decisions, each of which must
// be the one after the last in the log, and checkpoints of the log before it. What cannot be verified is tampering. Of a segment of class
// health a locked daemon knows the signature at most. One of class management that was
// sealed to another device's key, or to one that is gone, makes the decisions unknown.
func (s *Store) readPublic(opener deviceOpener, e log.Entry, p *place) error {
	segment, err := seal.ParseSegment(e.Payload)
	if err != nil {
		return err
	}
	s.recall(segment, e.Sequence, p)
	switch {
	case segment.Class == seal.Open:
		// It may enrol the device that has signed it, so that is checked afterwards.
		if err := s.takeEvents(segment.Body, p); err != nil {
			return err
		}
		return p.verify(segment, s.id, e.Sequence)
	case segment.Class == seal.Health && !p.fresh:
		return nil
	}
	if err := p.verify(segment, s.id, e.Sequence); err != nil || segment.Class == seal.Health {
		return err
	}
	body, err := opener.Open(segment, e.Sequence)
	if errors.Is(err, seal.ErrNotRecipient) {
		s.unknown = true
		return nil
	}
	if err != nil {
		return err
	}
	return s.takeEvents(body, p)
}

// recall finds out who has signed a segment behind lost ones, by decisions that were found in the log.
func (s *Store) recall(segment seal.Segment, sequence uint64, p *place) {
	if !p.passed || p.verify(segment, s.id, sequence) == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	by := log.Enrolment{Owner: p.owner, Device: p.device, Number: p.number}
	for _, d := range s.sought {
		at := *p
		if by = by.Follow(s.id, d.signed); by.Device == nil {
			continue
		}
		if at.device = by.Device; at.verify(segment, s.id, sequence) == nil {
			p.device, p.owner = by.Device, by.Owner
			return
		}
	}
}

// verify checks that the enrolled device has signed a segment.
func (p *place) verify(segment seal.Segment, store seal.StoreID, sequence uint64) error {
	if p.device == nil {
		return fmt.Errorf("%w: no device is enrolled before it", seal.ErrTampered)
	}
	return segment.Verify(store, sequence, p.device.GetSigningKey())
}

func (s *Store) takeEvents(body []byte, p *place) error {
	events, err := log.AllEvents(body)
	if err != nil {
		return err
	}
	alone := !slices.ContainsFunc(events, func(e *pb.Event) bool { return e.GetCheckpointed() == nil })
	for _, event := range events {
		switch body := event.GetBody().(type) {
		case *pb.Event_Decision:
			if err := s.readDecision(body.Decision, p); err != nil {
				return fmt.Errorf("%w: %w", seal.ErrTampered, err)
			}
		case *pb.Event_Checkpointed:
			if err := s.readCheckpoint(body.Checkpointed, event.GetTime(), alone, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// readCheckpoint checks a checkpoint in the last segment, in which there is nothing else if
// it is alone, and takes note of it where the head has not.
func (s *Store) readCheckpoint(signed *pb.Checkpointed, time int64, alone bool, p *place) error {
	c, err := log.OpenCheckpointed(signed, s.id, p.device.GetSigningKey(), p.owner)
	if err != nil {
		return err
	}
	if err := s.losses.Compare(c, p.at.tree.Size(), &p.roots); err != nil {
		return err
	}
	if p.fresh {
		p.at.checkpointAt(checkpointed{size: c.Size, time: time, note: signed.GetNote()}, alone)
	}
	return nil
}

func (s *Store) readDecision(d *pb.SignedDecision, p *place) error {
	decision := &pb.Decision{}
	if err := proto.Unmarshal(d.GetDecision(), decision); err != nil {
		return errors.New("malformed decision")
	}
	number := decision.GetNumber()
	if p.passed && number > p.number+1 && !s.unknown {
		// Those before it are lost. Either the cache has them, or they are known to nobody here
		// before the owner has unlocked.
		if known, _ := s.state.Head(); known < number-1 {
			s.unknown = true
			return nil
		}
		p.number = number - 1
		p.device, p.owner = s.deviceAt(p.number), s.ownerAt(number)
	}
	if number != p.number+1 {
		return fmt.Errorf("%w: decision %d comes after decision %d", authz.ErrForged, number, p.number)
	}
	if known, _ := s.state.Head(); number > known {
		if err := s.learn(d); err != nil {
			return err
		}
	} else if !bytes.Equal(d.GetDecision(), s.decisions.list[number-1].GetDecision()) {
		// The cache has it already.
		return fmt.Errorf("%w: decision %d is another than it was", authz.ErrForged, number)
	}
	p.number = number
	if device := decision.GetDeviceEnrolled(); device != nil {
		p.device = device
	}
	if r := decision.GetStoreRekeyed(); r != nil {
		p.owner = r.GetOwnerKey()
	}
	return nil
}

// learn applies a decision that the log has.
func (s *Store) learn(d *pb.SignedDecision) error {
	if err := s.state.Decide(d, nil); err != nil {
		return err
	}
	// A cache that cannot be written only makes the next start slower.
	_ = s.decisions.Add(d)
	return s.takeLosses()
}
