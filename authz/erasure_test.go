package authz

import (
	"crypto/rand"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

func erasedEpoch(epoch, reseal uint64) *pb.ErasedEpoch {
	hash := func(b byte) []byte { return append(make([]byte, 31), b) }
	return &pb.ErasedEpoch{
		Epoch: epoch, WrapHash: hash(byte(epoch)), Reseal: reseal, ResealHash: hash(2), First: 5, Last: 9, Digest: hash(3),
	}
}

// Of an epoch that is erased again the last erasure counts, with details or without.
func TestTheLastErasureOfAnEpochCounts(t *testing.T) {
	for _, details := range []bool{false, true} {
		state := NewState(anna, details)
		author := &Author{State: state, Signer: anna, Random: rand.Reader}
		for _, epochs := range [][]*pb.ErasedEpoch{
			{erasedEpoch(1, 11), erasedEpoch(4, 12)}, {erasedEpoch(2, 13), erasedEpoch(4, 14)},
		} {
			d, err := author.EraseEpochs(1, epochs, &pb.ErasureOrdered{Samples: 7})
			if err == nil {
				err = state.Check(d.GetDecision(), d.GetDetail())
			}
			if err == nil {
				err = state.Decide(d.GetDecision(), d.GetDetail())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for epoch, want := range map[uint64]uint64{1: 11, 2: 13, 3: 0, 4: 14} {
			e, ok := state.Erased(epoch)
			if e.GetReseal() != want || ok != (want != 0) {
				t.Errorf("epoch %d: %v", epoch, e)
			}
		}
		if all := state.Erasures(); len(all) != 2 || all[1].Decision != 2 || details != (all[0].Order.GetSamples() == 7) {
			t.Errorf("%+v", all)
		}
	}
}

func TestForgedErasuresAreRefused(t *testing.T) {
	state := NewState(anna, true)
	author := &Author{State: state, Signer: anna, Random: rand.Reader}
	first, err := author.EraseEpochs(1, []*pb.ErasedEpoch{erasedEpoch(4, 12)}, &pb.ErasureOrdered{})
	if err == nil {
		err = state.Decide(first.GetDecision(), first.GetDetail())
	}
	if err != nil {
		t.Fatal(err)
	}
	order := &pb.DecisionDetail{Body: &pb.DecisionDetail_ErasureOrdered{ErasureOrdered: &pb.ErasureOrdered{}}}
	erasing := func(change func(*pb.EpochsErased)) *pb.Decision {
		e := &pb.EpochsErased{Erasure: 2, Epochs: []*pb.ErasedEpoch{erasedEpoch(4, 13), erasedEpoch(5, 14)}}
		change(e)
		return &pb.Decision{Body: &pb.Decision_EpochsErased{EpochsErased: e}}
	}
	same := func(*pb.EpochsErased) {}
	for name, c := range map[string]struct {
		d      *pb.Decision
		detail *pb.DecisionDetail
		ok     bool
	}{
		"sound":               {erasing(same), order, true},
		"no order":            {erasing(same), nil, false},
		"another detail":      {erasing(same), &pb.DecisionDetail{Body: &pb.DecisionDetail_OwnerDeleted{}}, false},
		"an order alone":      {&pb.Decision{}, order, false},
		"number":              {erasing(func(e *pb.EpochsErased) { e.Erasure = 3 }), order, false},
		"nothing":             {erasing(func(e *pb.EpochsErased) { e.Epochs = nil }), order, false},
		"order of the epochs": {erasing(func(e *pb.EpochsErased) { e.Epochs[1].Epoch = 4 }), order, false},
		"another epoch 4":     {erasing(func(e *pb.EpochsErased) { e.Epochs[0].WrapHash[0] = 1 }), order, false},
		"no key":              {erasing(func(e *pb.EpochsErased) { e.Epochs[1].Reseal = 0 }), order, false},
		"no hash":             {erasing(func(e *pb.EpochsErased) { e.Epochs[1].ResealHash = nil }), order, false},
		"no digest":           {erasing(func(e *pb.EpochsErased) { e.Epochs[1].Digest = nil }), order, false},
		"nowhere":             {erasing(func(e *pb.EpochsErased) { e.Epochs[1].First = 0 }), order, false},
		"ends before":         {erasing(func(e *pb.EpochsErased) { e.Epochs[1].Last = 4 }), order, false},
	} {
		var detail *pb.DecisionDetail
		if c.detail != nil {
			detail = proto.CloneOf(c.detail)
		}
		d, err := author.sign(c.d, detail)
		if err != nil {
			t.Fatal(err)
		}
		if err := state.Check(d.GetDecision(), d.GetDetail()); errors.Is(err, ErrForged) == c.ok || c.ok && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
