package authz

import (
	"fmt"
	"maps"
	"math"
	"time"

	"google.golang.org/protobuf/proto"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// maxMonths is a hundred years.
const maxMonths = 1200

// retention is what the owner's decisions say of how long samples are kept.
type retention struct {
	// By type; 0 stands for all types that are not in it. It is replaced, never changed.
	months map[uint32]uint32
	// doubted: a decision about it may be lost.
	doubted bool
	// set is the number of the last decision about it.
	set uint64
	// hidden is the number of the last decision that has deleted by it, and month what that
	// went by.
	hidden uint64
	month  int64
}

// Month returns the first moment of the month in UTC that holds a time. Both are in
// microseconds since the Unix epoch.
func Month(t int64) int64 {
	year, month, _ := time.UnixMicro(t).UTC().Date()
	return time.Date(year, month, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
}

// Retention returns for how many months samples of each type are kept, 0 of those for good.
// Type 0 stands for all types that are not in it. It is known with details only.
func (s *State) Retention() map[uint32]uint32 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.retention.months
}

// Expiry returns, for a month given by its first moment, which samples of a type are kept no
// longer: those that ended before; false: they are kept for good.
func (s *State) Expiry(month int64, typeCode uint32) (before int64, expires bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.retention.expiry(month, typeCode)
}

func (r *retention) expiry(month int64, typeCode uint32) (before int64, expires bool) {
	months, own := r.months[typeCode]
	if !own {
		months = r.months[0]
	}
	if months == 0 || !hasDates(typeCode) {
		return 0, false
	}
	return time.UnixMicro(month).UTC().AddDate(0, -int(months), 0).UnixMicro(), true
}

// hasDates says whether objects of a type can grow old.
func hasDates(typeCode uint32) bool {
	t, known := catalog.ByCode(typeCode)
	return !known || t.Kind.HasDates()
}

// ErasesIn says whether it is the turn of a month, given by its first moment, to erase what is
// kept no longer. That is once a month, and once after each change of how long samples are kept.
func (s *State) ErasesIn(month int64) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i := len(s.erasures) - 1; i >= 0; i-- {
		if order := s.erasures[i].Order; order.GetByPolicy() != 0 {
			return order.GetByPolicy() != month || order.GetHidden() < s.retention.set
		}
	}
	return s.retention.set > 0
}

// checkRetention checks a detail that says how long samples are kept, or that deletes by it. It
// needs mu.
func (s *State) checkRetention(d *pb.Decision, detail *pb.DecisionDetail) error {
	if set := detail.GetRetentionSet(); set != nil {
		if err := CheckRetention(set); err != nil {
			return fmt.Errorf("%w: decision %d: %w", ErrForged, d.GetNumber(), err)
		}
	}
	// Without details it is not known for how long they are kept.
	deleted := detail.GetOwnerDeleted()
	if !s.details || deleted.GetByPolicy() == 0 {
		return nil
	}
	month := deleted.GetByPolicy()
	if month != Month(month) || month > d.GetTime() || len(deleted.GetDeletions()) == 0 {
		return fmt.Errorf("%w: decision %d deletes for no month that has begun", ErrForged, d.GetNumber())
	}
	if s.retention.doubted {
		return nil // nobody knows what it was decided by
	}
	for _, one := range deleted.GetDeletions() {
		before, expires := s.retention.expiry(month, one.GetType())
		if !expires || !proto.Equal(one, expired(one.GetType(), before)) {
			return fmt.Errorf("%w: decision %d deletes for its age what is to be kept", ErrForged, d.GetNumber())
		}
	}
	return nil
}

// CheckRetention checks for how long samples are to be kept. The error is a *DraftError.
func CheckRetention(set *pb.RetentionSet) error {
	switch {
	case set.GetMonths() > maxMonths:
		return &DraftError{"months", fmt.Sprint(set.GetMonths()), fmt.Sprintf("at most %d", maxMonths)}
	case set.GetType() > math.MaxUint16:
		return &DraftError{"type", fmt.Sprint(set.GetType()), "no such type"}
	case set.GetType() != 0 && !hasDates(set.GetType()):
		return &DraftError{"type", typeName(set.GetType()), "it has no dates, and never grows old"}
	}
	return nil
}

// expired names the samples of a type that ended before a time.
func expired(typeCode uint32, before int64) *pb.DeletedSamples {
	return &pb.DeletedSamples{Type: typeCode, EndedBefore: &before}
}

// retain applies a detail that was checked. It needs mu.
func (s *State) retain(d *pb.Decision, detail *pb.DecisionDetail) {
	if set := detail.GetRetentionSet(); set != nil {
		months := maps.Clone(s.retention.months)
		if months == nil {
			months = map[uint32]uint32{}
		}
		months[set.GetType()] = set.GetMonths()
		s.retention.months, s.retention.set = months, d.GetNumber()
	}
	if month := detail.GetOwnerDeleted().GetByPolicy(); month != 0 {
		s.retention.hidden, s.retention.month = d.GetNumber(), month
	}
}

// SetRetention changes how long samples are kept. Errors: *DraftError.
func (a *Author) SetRetention(now int64, set *pb.RetentionSet) (*pb.NewDecision, error) {
	if err := CheckRetention(set); err != nil {
		return nil, err
	}
	return a.sign(&pb.Decision{Time: now}, &pb.DecisionDetail{Body: &pb.DecisionDetail_RetentionSet{RetentionSet: set}})
}

// DeleteExpired deletes, of some types, what is kept no longer in a month that has begun.
// Errors: *DraftError.
func (a *Author) DeleteExpired(now int64, draft *pb.ExpiredDraft) (*pb.NewDecision, error) {
	deleted := &pb.OwnerDeleted{ByPolicy: draft.GetMonth()}
	for _, code := range draft.GetTypes() {
		before, expires := a.State.Expiry(draft.GetMonth(), code)
		if !expires {
			return nil, &DraftError{"types", typeName(code), "it is kept for good"}
		}
		deleted.Deletions = append(deleted.Deletions, expired(code, before))
	}
	if month := draft.GetMonth(); month <= 0 || month > now || month != Month(month) || len(deleted.GetDeletions()) == 0 {
		return nil, &DraftError{"month", "", "nothing grows too old in it"}
	}
	return a.DeleteSamples(now, deleted)
}
