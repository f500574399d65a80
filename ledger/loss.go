package ledger

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/authz"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

// A log that has lost segments is gone on with on its owner's word, a decision in the log that
// names them. Sequences are never used again: where a log ends too early, it is filled up with
// segments that say nothing, to where it was acknowledged. The tree goes on from the one that was
// acknowledged, too, so that every checkpoint made before still is of the log; the leaves that are
// lost are in it for good. What is lost shows in every verification.

var (
	// ErrNotLost: what is to be accepted is not what is lost now.
	ErrNotLost = errors.New("that is not what is lost")
	// ErrUnknownDecisions: decisions are lost that this daemon does not remember.
	ErrUnknownDecisions = errors.New("decisions of the owner are lost, and this daemon does not remember them")
)

// fillerPayload stands where a segment was that is gone. It is no segment. A restoration appends what
// the log had of decisions about its losses (see Gone), as a LostDecisions.
var fillerPayload = []byte("healthledger: a segment that was here is lost")

// fillerDecisions returns what a restoration has left where a segment was. Nothing vouches for it.
func fillerDecisions(payload []byte) []*pb.SignedDecision {
	rest, ok := bytes.CutPrefix(payload, fillerPayload)
	lost := &pb.LostDecisions{}
	if !ok || proto.Unmarshal(rest, lost) != nil {
		return nil
	}
	return lost.GetDecisions()
}

// Signer makes a decision of the owner of what a draft says.
type Signer func(ctx context.Context, draft *pb.LossDraft) (*pb.NewDecision, error)

// AcceptLoss goes on with the log without what a survey has found to be lost. Errors: ErrNotLost,
// ErrUnknownDecisions, those of the signer and of Decide.
func (s *Store) AcceptLoss(ctx context.Context, survey *Survey, sign Signer) error {
	if err := s.acceptLoss(ctx, survey, sign); err != nil {
		return fmt.Errorf("accept the loss of store %s: %w", s.id, err)
	}
	return nil
}

func (s *Store) acceptLoss(ctx context.Context, survey *Survey, sign Signer) error {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	if !s.Knows() {
		return ErrUnknownDecisions
	}
	s.mu.Lock()
	at, closed := head{tree: s.tree}, s.closed != nil
	s.mu.Unlock()
	if closed {
		var err error
		if at, err = s.behind(ctx, survey.Lost); err != nil {
			return err
		}
	}
	if len(survey.Lost) == 0 || survey.Lost[len(survey.Lost)-1].GetTo() > at.tree.Size() {
		return ErrNotLost
	}
	frontier, err := at.tree.MarshalBinary()
	if err != nil {
		return err
	}
	decision, err := sign(ctx, &pb.LossDraft{
		Loss:      &pb.LossAccepted{Lost: survey.Lost, Tree: frontier, Decisions: survey.Decisions},
		Decisions: s.decisions.All(),
	})
	if err != nil {
		return err
	}
	if closed {
		// Not before: nothing of a log that was filled up shows that it was cut short.
		if err := s.mend(ctx, at); err != nil {
			return err
		}
	}
	if _, err := s.decide(ctx, decision); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.damage = nil
	return nil
}

// behind returns where a log is to go on to which nothing is written: where it was acknowledged, or
// behind that. What is lost of it is not accepted by that.
func (s *Store) behind(ctx context.Context, lost []*pb.LostSegments) (head, error) {
	at := s.known
	if number, _ := s.state.Head(); number != uint64(len(s.decisions.All())) {
		return head{}, ErrUnknownDecisions
	}
	last, err := s.reader.Last(ctx)
	if err != nil {
		return head{}, err
	}
	supposed := &log.Losses{}
	supposed.Suppose(lost)
	for _, l := range s.state.Losses() {
		if err := supposed.Accept(l.LossAccepted); err != nil {
			return head{}, err
		}
	}
	// It is for this one only, and keeps nothing of what is read again later.
	behind := &Store{
		id: s.id, path: s.path, devices: s.devices, directory: s.directory, pin: s.pin,
		reader: log.NewReader(s.conn, s.id).PassOver(supposed), losses: supposed, decisions: s.decisions,
	}
	if err := behind.readOn(ctx, &at, max(last, at.tree.Size())); err != nil {
		return head{}, fmt.Errorf("what is not lost: %w", err)
	}
	if behind.unknown {
		return head{}, ErrUnknownDecisions
	}
	for known, _ := s.state.Head(); known < at.decision; known++ {
		if err := s.state.Decide(s.decisions.All()[known], nil); err != nil {
			return head{}, err
		}
	}
	return at, s.takeLosses()
}

// mend fills up a log that ends too early, and lets it be written again behind a place.
func (s *Store) mend(ctx context.Context, at head) error {
	last, err := s.reader.Last(ctx)
	if err != nil {
		return err
	}
	for ; last < at.tree.Size(); last++ {
		if err := s.appender.publisher.Publish(ctx, last+1, fillerPayload); err != nil {
			return err
		}
	}
	if err := s.head.Write(at); err != nil {
		return err
	}
	s.appender.reopen(at)
	s.appended(at)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = nil
	return nil
}

// takeLosses takes what the owner has accepted to have lost.
func (s *Store) takeLosses() error {
	var lost []*pb.SignedDecision
	all := s.decisions.All()
	for _, loss := range s.state.Losses() {
		if err := s.losses.Accept(loss.LossAccepted); err != nil {
			return err
		}
		for _, number := range loss.GetDecisions() {
			if number <= uint64(len(all)) {
				lost = append(lost, all[number-1])
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = lost
	return nil
}

// seekLosses looks in the whole log for losses that the owner has accepted and that are not known.
func (s *Store) seekLosses(ctx context.Context) (found bool, err error) {
	sought, err := seekLosses(ctx, s.reader, s.id, s.pin.first)
	if err != nil {
		return false, err
	}
	for _, d := range sought {
		if loss := d.GetLossAccepted(); loss != nil && !s.losses.Has(loss) {
			found = true
			if err := s.losses.Accept(loss); err != nil {
				return false, err
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sought = sought
	return found, nil
}

// soughtDecision is one that was found in the log.
type soughtDecision struct {
	*pb.Decision
	signed *pb.SignedDecision
}

// seekLosses returns the decisions by which the owner of a log has accepted losses in it, and those
// that give the store the keys with which they are signed. Of those that are lost themselves it
// finds what a restoration has left in their place, with the daemons that they enrolled.
func seekLosses(ctx context.Context, reader *log.Reader, id seal.StoreID, first []byte) (sought []soughtDecision, err error) {
	last, err := reader.Last(ctx)
	if err != nil {
		return nil, err
	}
	trail := log.NewTrail(id, first)
	var told []*pb.SignedDecision
	for next := uint64(1); next <= last; {
		next, err = reader.Step(ctx, time.Minute, next, last, func(e log.Entry) {
			for _, d := range fillerDecisions(e.Payload) {
				trail.Tell(d)
				told = append(told, d)
			}
			segment, err := seal.ParseSegment(e.Payload)
			if err != nil || segment.Class != seal.Open {
				return
			}
			events, _ := log.AllEvents(segment.Body)
			for _, event := range events {
				if d := event.GetDecision(); d != nil {
					sought = appendSought(sought, trail.Follow(d), d)
				}
			}
		}, func(uint64, uint64) {})
		if err != nil {
			return nil, err
		}
	}
	for _, d := range told {
		sought = appendSought(sought, trail.Signed(d), d)
	}
	slices.SortStableFunc(sought, func(a, b soughtDecision) int { return cmp.Compare(a.GetNumber(), b.GetNumber()) })
	return slices.CompactFunc(sought, func(a, b soughtDecision) bool { return bytes.Equal(a.signed.GetDecision(), b.signed.GetDecision()) }), nil
}

// appendSought appends a decision, if it is one that is sought.
func appendSought(sought []soughtDecision, decision *pb.Decision, signed *pb.SignedDecision) []soughtDecision {
	if !opensWithoutKeys(decision) {
		return sought
	}
	return append(sought, soughtDecision{decision, signed})
}

// opensWithoutKeys tells whether a decision stands in the open, since whoever follows the log has to
// know it first.
func opensWithoutKeys(d *pb.Decision) bool {
	return d.GetLossAccepted() != nil || d.GetStoreRekeyed() != nil || d.GetDeviceEnrolled() != nil
}

// Gone returns the last of the segments, from one on, that its owner has accepted to be gone, and the
// decisions by which they are, in order of their numbers: those that accept losses, that give the
// store other keys, and that enrol the daemons which wrote the log. The last is 0 if the segment is
// not gone.
func (s *Store) Gone(sequence uint64) (to uint64, by []*pb.SignedDecision) {
	gone, ok := s.losses.Next(sequence)
	if !ok || gone.From > sequence {
		return 0, nil
	}
	for _, d := range s.decisions.All() {
		decision := &pb.Decision{}
		if proto.Unmarshal(d.GetDecision(), decision) == nil && opensWithoutKeys(decision) {
			by = append(by, d)
		}
	}
	return gone.To, by
}

// FindLosses returns what a log that nobody serves says of its losses, as Gone does.
func FindLosses(ctx context.Context, reader *log.Reader, id seal.StoreID, first []byte) (by []*pb.SignedDecision, err error) {
	sought, err := seekLosses(ctx, reader, id, first)
	for _, d := range sought {
		by = append(by, d.signed)
	}
	return by, err
}

// checkLoss refuses a loss behind which nobody could follow the log.
func (s *Store) checkLoss(loss *pb.LossAccepted) error {
	var t tree.Tree
	if err := t.UnmarshalBinary(loss.GetTree()); err != nil {
		return fmt.Errorf("%w: %w", authz.ErrForged, err)
	}
	s.mu.Lock()
	size := s.tree.Size()
	s.mu.Unlock()
	lost := loss.GetLost()
	if t.Size() > size || lost[len(lost)-1].GetTo() > t.Size() {
		return fmt.Errorf("%w: it is not behind what is lost that the log goes on", authz.ErrForged)
	}
	return nil
}

// AcceptedLosses returns what the owner has accepted to have lost, in the order in which he has.
func (s *Store) AcceptedLosses() (all []*pb.AcceptedLoss) {
	for _, loss := range s.state.Losses() {
		all = append(all, acceptedLosses(loss.LossAccepted, loss.Time)...)
	}
	return all
}

func acceptedLosses(loss *pb.LossAccepted, at int64) (all []*pb.AcceptedLoss) {
	for _, l := range loss.GetLost() {
		all = append(all, &pb.AcceptedLoss{From: l.GetFrom(), To: l.GetTo(), Kind: l.GetKind(), Accepted: timestamppb.New(time.UnixMicro(at))})
	}
	return all
}

// TimeOf returns when a segment was written, as JetStream has it.
func (s *Store) TimeOf(ctx context.Context, sequence uint64) (time.Time, error) {
	if sequence == 0 {
		return time.Time{}, ErrNoSegment
	}
	entry, err := s.reader.Get(ctx, sequence)
	return entry.Time, err
}

// LostAt tells whether the owner has accepted that a segment is lost.
func (s *Store) LostAt(sequence uint64) bool {
	return s.losses.Within(log.Segments{From: sequence, To: sequence})
}
