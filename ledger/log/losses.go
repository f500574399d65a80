package log

import (
	"fmt"
	"slices"
	"sync"

	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

// Losses are what the owner of a log has accepted to have lost. A Reader that has them passes
// over what is gone. The tree of the log goes on behind that where the owner has said how; up
// to there nobody knows its root. The zero value, and nil, has none. It may be used by several
// goroutines at once.
type Losses struct {
	mu sync.RWMutex
	// In order, and none of them touch.
	gone, sealed []Segments
	// trees by their size.
	trees map[uint64]tree.Tree
}

// Segments are those from one to another, both included.
type Segments struct{ From, To uint64 }

// Accept adds a loss. The error is seal.ErrTampered for a tree that is none, or does not have what
// is lost.
func (l *Losses) Accept(loss *pb.LossAccepted) error {
	var t tree.Tree
	if err := t.UnmarshalBinary(loss.GetTree()); err != nil {
		return fmt.Errorf("%w: %w", seal.ErrTampered, err)
	}
	for _, s := range loss.GetLost() {
		if s.GetFrom() == 0 || s.GetTo() < s.GetFrom() || s.GetTo() > t.Size() {
			return fmt.Errorf("%w: segments %d to %d are lost of %d", seal.ErrTampered, s.GetFrom(), s.GetTo(), t.Size())
		}
	}
	l.Suppose(loss.GetLost())
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.trees == nil {
		l.trees = map[uint64]tree.Tree{}
	}
	l.trees[t.Size()] = t
	return nil
}

// Suppose adds a loss behind which it is not known how the tree goes on.
func (l *Losses) Suppose(lost []*pb.LostSegments) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range lost {
		segments := Segments{s.GetFrom(), s.GetTo()}
		if s.GetKind() == pb.LossKind_LOSS_KIND_SEALED {
			l.sealed = join(l.sealed, segments)
		} else {
			l.gone = join(l.gone, segments)
		}
	}
}

// Has tells whether a loss is known, and how the tree goes on behind it.
func (l *Losses) Has(loss *pb.LossAccepted) bool {
	var t tree.Tree
	if t.UnmarshalBinary(loss.GetTree()) != nil {
		return false
	}
	l.mu.RLock()
	_, ok := l.trees[t.Size()]
	l.mu.RUnlock()
	for _, s := range loss.GetLost() {
		if last := s.GetTo(); !ok || !l.Gone(last) && !l.Sealed(last) {
			return false
		}
	}
	return true
}

// join adds segments to others.
func join(all []Segments, s Segments) []Segments {
	i, _ := slices.BinarySearchFunc(all, s.From, func(at Segments, from uint64) int {
		if at.To+1 < from {
			return -1
		}
		return 1
	})
	j := i
	for ; j < len(all) && all[j].From <= s.To+1; j++ {
		s = Segments{min(s.From, all[j].From), max(s.To, all[j].To)}
	}
	return slices.Replace(slices.Clone(all), i, j, s)
}

// find returns the first segments that end at or behind a sequence.
func find(all []Segments, sequence uint64) (Segments, bool) {
	i, _ := slices.BinarySearchFunc(all, sequence, func(at Segments, sequence uint64) int {
		if at.To < sequence {
			return -1
		}
		return 1
	})
	if i == len(all) {
		return Segments{}, false
	}
	return all[i], true
}

// Next returns the first segments that are gone and end at or behind a sequence.
func (l *Losses) Next(sequence uint64) (Segments, bool) {
	if l == nil {
		return Segments{}, false
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	return find(l.gone, sequence)
}

// Gone tells whether a segment is gone.
func (l *Losses) Gone(sequence uint64) bool {
	s, ok := l.Next(sequence)
	return ok && s.From <= sequence
}

// Sealed tells whether a segment is there and nothing opens it.
func (l *Losses) Sealed(sequence uint64) bool {
	if l == nil {
		return false
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	s, ok := find(l.sealed, sequence)
	return ok && s.From <= sequence
}

// Within tells whether any of the segments is lost.
func (l *Losses) Within(s Segments) bool {
	if l == nil {
		return false
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, all := range [][]Segments{l.gone, l.sealed} {
		if at, ok := find(all, s.From); ok && at.From <= s.To {
			return true
		}
	}
	return false
}

// TreeAt returns how the tree goes on from a size, if the owner has said it.
func (l *Losses) TreeAt(size uint64) (tree.Tree, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	t, ok := l.trees[size]
	return t, ok
}

// Blind tells whether the root of so many segments is not known: some of them are gone, and the
// owner has not said how the tree goes on behind them.
func (l *Losses) Blind(size uint64) bool {
	if l == nil {
		return false
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	said := uint64(0)
	for at := range l.trees {
		if at <= size {
			said = max(said, at)
		}
	}
	s, ok := find(l.gone, said+1)
	return ok && max(s.From, said+1) <= size
}

// Pass adds to a tree segments that are gone, up to one. How many they are costs nothing: nobody
// knows the tree behind them before the owner has said it. Errors: *LossError.
func (l *Losses) Pass(t *tree.Tree, to uint64) error {
	for t.Size() < to {
		gone, ok := l.Next(t.Size() + 1)
		if !ok || gone.From > t.Size()+1 {
			return &LossError{From: t.Size() + 1, To: to}
		}
		end := min(gone.To, to)
		if *t, ok = l.TreeAt(end); !ok {
			*t = tree.Unknown(end)
		}
	}
	return nil
}

// Append adds a segment to a tree, and those before it that are gone. The error is
// seal.ErrTampered where the owner has said that the tree is another.
func (l *Losses) Append(t *tree.Tree, sequence uint64, leaf tree.Hash) error {
	if err := l.Pass(t, sequence-1); err != nil {
		return err
	}
	t.Append(leaf)
	if l == nil {
		return nil
	}
	l.mu.RLock()
	said, ok := l.trees[t.Size()]
	l.mu.RUnlock()
	if !ok {
		return nil
	}
	if !l.blindBut(t.Size()) && said != *t {
		return fmt.Errorf("%w: the log is not the one up to segment %d with which its owner goes on", seal.ErrTampered, t.Size())
	}
	*t = said
	return nil
}

// blindBut is Blind before the owner had said what the tree of this size is.
func (l *Losses) blindBut(size uint64) bool {
	return size > 0 && (l.Blind(size-1) || l.Gone(size))
}

// Compare is Checkpointed.Check where the root is known.
func (l *Losses) Compare(c Checkpointed, sequence uint64, roots *tree.Roots) error {
	if c.Size < sequence && l.Blind(c.Size) {
		return nil
	}
	return c.Check(sequence, roots)
}

// AddRoot adds the root of a tree to those that are known, if it is.
func (l *Losses) AddRoot(t *tree.Tree, roots *tree.Roots) {
	if !l.Blind(t.Size()) {
		roots.Add(t)
	}
}
