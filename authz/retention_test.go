package authz

import (
	"crypto/rand"
	"errors"
	"maps"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// keeping returns a state in which it was decided for how long samples are kept.
func keeping(t *testing.T, sets ...*pb.RetentionSet) *Author {
	t.Helper()
	author := &Author{State: NewState(anna, true), Signer: anna, Random: rand.Reader}
	for _, set := range sets {
		d, err := author.SetRetention(1, set)
		follow(t, author, d, err)
	}
	return author
}

// follow has a decision decided.
func follow(t *testing.T, a *Author, d *pb.NewDecision, err error) {
	t.Helper()
	if err == nil {
		err = a.State.Check(d.GetDecision(), d.GetDetail())
	}
	if err == nil {
		err = a.State.Decide(d.GetDecision(), d.GetDetail())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func month(year int, m time.Month) int64 {
	return time.Date(year, m, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
}

func TestRetentionIsThatOfTheLastDecisions(t *testing.T) {
	author := keeping(t, &pb.RetentionSet{Months: 24}, &pb.RetentionSet{Type: 1, Months: 12}, &pb.RetentionSet{Type: 2, Months: 6})
	before, kept := author.State.Retention(), maps.Clone(author.State.Retention())
	d, err := author.SetRetention(1, &pb.RetentionSet{Type: 1})
	follow(t, author, d, err)
	if !maps.Equal(before, kept) {
		t.Error("what was handed out has changed")
	}
	if got := author.State.Retention(); !maps.Equal(got, map[uint32]uint32{0: 24, 1: 0, 2: 6}) {
		t.Error(got)
	}
	birth, ok := catalog.Lookup("dateOfBirth")
	if !ok {
		t.Fatal("no dateOfBirth")
	}
	// A type's own goes before the one for all, and what has no dates never grows old.
	for code, want := range map[uint32]int64{1: 0, 2: month(2024, 5), 3: month(2022, 11), birth.Code: 0} {
		if got, expires := author.State.Expiry(month(2024, 11), code); got != want || expires != (want != 0) {
			t.Errorf("type %d: before %v", code, time.UnixMicro(got).UTC())
		}
	}
	for _, bad := range []*pb.RetentionSet{{Months: maxMonths + 1}, {Type: birth.Code, Months: 1}, {Type: 1 << 16, Months: 1}} {
		var draft *DraftError
		if _, err := author.SetRetention(1, bad); !errors.As(err, &draft) {
			t.Errorf("%v: %v", bad, err)
		}
		forged, err := author.sign(&pb.Decision{}, &pb.DecisionDetail{Body: &pb.DecisionDetail_RetentionSet{RetentionSet: bad}})
		if err != nil {
			t.Fatal(err)
		}
		if err := author.State.Check(forged.GetDecision(), forged.GetDetail()); !errors.Is(err, ErrForged) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestNothingIsDeletedForItsAgeThatIsToBeKept(t *testing.T) {
	author := keeping(t, &pb.RetentionSet{Months: 12}, &pb.RetentionSet{Type: 2}, &pb.RetentionSet{Type: 3, Months: 6})
	now, begun := month(2024, 11)+5, month(2024, 11)
	deletion := func(change func(*pb.DeletedSamples)) *pb.OwnerDeleted {
		d := &pb.DeletedSamples{Type: 1, EndedBefore: proto.Int64(month(2023, 11))}
		change(d)
		return &pb.OwnerDeleted{ByPolicy: begun, Deletions: []*pb.DeletedSamples{d}}
	}
	for name, c := range map[string]struct {
		deleted *pb.OwnerDeleted
		ok      bool
	}{
		"sound":             {deletion(func(*pb.DeletedSamples) {}), true},
		"a type's own":      {deletion(func(d *pb.DeletedSamples) { *d = pb.DeletedSamples{Type: 3, EndedBefore: proto.Int64(month(2024, 5))} }), true},
		"an earlier month":  {&pb.OwnerDeleted{ByPolicy: month(2024, 2), Deletions: []*pb.DeletedSamples{expired(1, month(2023, 2))}}, true},
		"a microsecond":     {deletion(func(d *pb.DeletedSamples) { d.EndedBefore = proto.Int64(month(2023, 11) + 1) }), false},
		"kept for good":     {deletion(func(d *pb.DeletedSamples) { d.Type = 2 }), false},
		"kept for longer":   {deletion(func(d *pb.DeletedSamples) { d.EndedBefore = proto.Int64(month(2024, 5)) }), false},
		"all types":         {deletion(func(d *pb.DeletedSamples) { d.Type, d.AllTypes = 0, true }), false},
		"what overlaps":     {deletion(func(d *pb.DeletedSamples) { d.To, d.EndedBefore = d.EndedBefore, nil }), false},
		"one by its UUID":   {deletion(func(d *pb.DeletedSamples) { d.Uuids, d.EndedBefore = [][]byte{make([]byte, 16)}, nil }), false},
		"of an app":         {deletion(func(d *pb.DeletedSamples) { d.App = 1 }), false},
		"nothing":           {&pb.OwnerDeleted{ByPolicy: begun}, false},
		"a month to come":   {&pb.OwnerDeleted{ByPolicy: month(2024, 12), Deletions: []*pb.DeletedSamples{expired(1, month(2023, 12))}}, false},
		"within a month":    {&pb.OwnerDeleted{ByPolicy: now, Deletions: []*pb.DeletedSamples{expired(1, month(2023, 11)+5)}}, false},
		"not by the policy": {&pb.OwnerDeleted{Deletions: []*pb.DeletedSamples{expired(2, now)}}, true},
	} {
		d, err := author.sign(&pb.Decision{Time: now}, &pb.DecisionDetail{Body: &pb.DecisionDetail_OwnerDeleted{OwnerDeleted: c.deleted}})
		if err != nil {
			t.Fatal(err)
		}
		if err := author.State.Check(d.GetDecision(), d.GetDetail()); errors.Is(err, ErrForged) == c.ok || c.ok && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, draft := range map[string]*pb.ExpiredDraft{
		"kept for good":   {Month: begun, Types: []uint32{1, 2}},
		"a month to come": {Month: month(2024, 12), Types: []uint32{1}},
		"within a month":  {Month: now, Types: []uint32{1}},
		"nothing":         {Month: begun},
	} {
		var refused *DraftError
		if _, err := author.DeleteExpired(now, draft); !errors.As(err, &refused) {
			t.Errorf("%s: it was signed: %v", name, err)
		}
	}
}

// By policy is erased once a month and once after each change, which only the erasures count for
// that a decision by policy has hidden.
func TestByPolicyIsErasedOnceAMonth(t *testing.T) {
	author := keeping(t)
	state := author.State
	expect := func(m int64, want bool) {
		t.Helper()
		if got := state.ErasesIn(m); got != want {
			t.Errorf("erases in %v: %v", time.UnixMicro(m).UTC(), got)
		}
	}
	erase := func(epoch uint64, byPolicy int64) {
		t.Helper()
		hidden, _ := state.Head()
		// What the order says of that is not asked.
		d, err := author.EraseEpochs(1, []*pb.ErasedEpoch{erasedEpoch(epoch, epoch)}, &pb.ErasureOrdered{Hidden: hidden, ByPolicy: 7})
		follow(t, author, d, err)
		all := state.Erasures()
		if got := all[len(all)-1].Order.GetByPolicy(); got != byPolicy {
			t.Errorf("erased by the policy of %d, want %d", got, byPolicy)
		}
	}
	first, second := month(2024, 11), month(2024, 12)
	set := func() {
		t.Helper()
		d, err := author.SetRetention(1, &pb.RetentionSet{Months: 12})
		follow(t, author, d, err)
	}
	hide := func(m int64) {
		t.Helper()
		d, err := author.DeleteExpired(m, &pb.ExpiredDraft{Month: m, Types: []uint32{1}})
		follow(t, author, d, err)
	}
	expect(first, false) // nothing was set
	set()
	expect(first, true)
	hide(first)
	expect(first, true) // hidden only
	erase(1, first)
	expect(first, false)
	expect(second, true)
	set()
	expect(first, true)
	hide(first)
	d, err := author.DeleteSamples(1, &pb.OwnerDeleted{Deletions: []*pb.DeletedSamples{{Type: 1}}})
	follow(t, author, d, err)
	erase(2, 0) // the owner's own, which is no answer to the one before
	expect(first, true)
	hide(first)
	erase(3, first)
	expect(first, false)
	forged, err := author.sign(&pb.Decision{Body: &pb.Decision_EpochsErased{EpochsErased: &pb.EpochsErased{
		Erasure: 4, Epochs: []*pb.ErasedEpoch{erasedEpoch(4, 4)},
	}}}, &pb.DecisionDetail{Body: &pb.DecisionDetail_ErasureOrdered{ErasureOrdered: &pb.ErasureOrdered{Hidden: 2, ByPolicy: second}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := state.Check(forged.GetDecision(), forged.GetDetail()); !errors.Is(err, ErrForged) {
		t.Errorf("an erasure that was not by policy: %v", err)
	}
}

// Where a detail is lost, what was erased by policy before or after it is followed, and nothing is
// until the owner decides again.
func TestErasingByPolicyIsFollowedWhereDetailsAreLost(t *testing.T) {
	begun := month(2024, 11)
	for lost, name := range []string{"nothing", "how long they are kept", "what was hidden", "what was erased"} {
		author, state := keeping(t), NewState(anna, true)
		for number, write := range []func() (*pb.NewDecision, error){
			1: func() (*pb.NewDecision, error) { return author.SetRetention(1, &pb.RetentionSet{Months: 12}) },
			2: func() (*pb.NewDecision, error) {
				return author.DeleteExpired(begun, &pb.ExpiredDraft{Month: begun, Types: []uint32{1}})
			},
			3: func() (*pb.NewDecision, error) {
				return author.EraseEpochs(1, []*pb.ErasedEpoch{erasedEpoch(1, 1)}, &pb.ErasureOrdered{Hidden: 2})
			},
		} {
			if number == 0 {
				continue
			}
			d, err := write()
			follow(t, author, d, err)
			if number == lost {
				err = state.DecideWithout(d.GetDecision())
			} else {
				err = state.Decide(d.GetDecision(), d.GetDetail())
			}
			if err != nil {
				t.Errorf("%s is lost: decision %d: %v", name, number, err)
			}
		}
		if _, expires := state.Expiry(begun, 1); expires != (lost == 0) {
			t.Errorf("%s is lost: it expires: %v", name, expires)
		}
	}
}
