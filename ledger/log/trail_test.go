package log

import (
	"crypto/sha256"
	"math/rand/v2"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
)

// An owner, or somebody who would like to be, decides and has a device.
type decider struct {
	store  seal.StoreID
	keys   *seal.OwnerKeys
	device *seal.DeviceKey
}

func newDecider(t *testing.T, store seal.StoreID) decider {
	_, _, keys, err := seal.NewKeyring(store, []byte("passphrase"), seal.MinCost)
	ok(t, err)
	t.Cleanup(keys.Destroy)
	device, err := seal.NewDeviceKey()
	ok(t, err)
	t.Cleanup(device.Destroy)
	return decider{store, keys, device}
}

func (d decider) sign(decision *pb.Decision) *pb.SignedDecision {
	decision.Previous = make([]byte, sha256.Size)
	b, _ := proto.Marshal(decision)
	return &pb.SignedDecision{Decision: b, Signature: seal.SignDecision(d.keys, d.store, b)}
}

func (d decider) enrol(number uint64, device *seal.DeviceKey) *pb.SignedDecision {
	enrolled := &pb.DeviceEnrolled{SigningKey: device.SigningKey(), SealingKey: device.SealingKey()}
	return d.sign(&pb.Decision{Number: number, Body: &pb.Decision_DeviceEnrolled{DeviceEnrolled: enrolled}})
}

// rekey hands a store over to other keys.
func (d decider) rekey(number uint64, next *seal.OwnerKeys) *pb.SignedDecision {
	r := &pb.StoreRekeyed{Keyring: make([]byte, sha256.Size)}
	seal.SignRekeying(next, d.keys.PublicKeys().OwnerKey, make([]byte, sha256.Size), r)
	return d.sign(&pb.Decision{Number: number, Body: &pb.Decision_StoreRekeyed{StoreRekeyed: r}})
}

func (d decider) written(t *testing.T, sequence uint64, by *seal.DeviceKey) seal.Segment {
	payload, err := seal.SealOpen(d.store, sequence, by, nil, []byte("body"))
	ok(t, err)
	segment, err := seal.ParseSegment(payload)
	ok(t, err)
	return segment
}

// Whichever decisions a log has lost and the trail is told of, and whatever is told besides: a segment
// is taken from the daemon that its owner had enrolled, and nobody else decides anything.
func TestATrailFollowsNobodyButTheOwner(t *testing.T) {
	store := testStore(1)
	first, then, eve := newDecider(t, store), newDecider(t, store), newDecider(t, store)
	genuine := []*pb.SignedDecision{first.enrol(1, first.device), first.rekey(2, then.keys), then.enrol(3, then.device), then.enrol(4, first.device)}
	forged := []*pb.SignedDecision{{Decision: []byte{0xff}}, eve.rekey(2, eve.keys), first.enrol(3, eve.device)}
	for number := range uint64(5) {
		forged = append(forged, eve.enrol(number+1, eve.device))
	}
	// Segment n is behind decision n.
	var rights, wrongs []seal.Segment
	for i, by := range []*seal.DeviceKey{first.device, first.device, then.device, first.device} {
		rights = append(rights, first.written(t, uint64(i)+1, by))
		wrongs = append(wrongs, first.written(t, uint64(i)+1, eve.device))
	}
	for lost := range 1 << len(genuine) {
		isLost := func(i int) bool { return lost>>i&1 == 1 }
		told := slices.Clone(forged)
		for i, d := range genuine {
			if isLost(i) {
				told = append(told, d)
			}
		}
		rand.Shuffle(len(told), func(i, j int) { told[i], told[j] = told[j], told[i] })
		trail := NewTrail(store, first.keys.PublicKeys().OwnerKey)
		for _, d := range told {
			trail.Tell(d)
		}
		for i, d := range genuine {
			number := uint64(i) + 1
			if !isLost(i) && trail.Follow(d) == nil {
				t.Errorf("without %b: decision %d is not followed", lost, number)
			}
			if err := trail.Verify(rights[i], number); err != nil {
				t.Errorf("without %b: behind decision %d: %v", lost, number, err)
			}
			if number == 1 {
				continue // somebody else may have the keys that were right then
			}
			if trail.Verify(wrongs[i], number) == nil {
				t.Errorf("without %b: behind decision %d somebody else writes", lost, number)
			}
			for j, d := range forged {
				if trail.Follow(d) != nil {
					t.Errorf("without %b: behind decision %d forgery %d is followed", lost, number, j)
				}
			}
		}
		for i, d := range genuine {
			if trail.Signed(d) == nil {
				t.Errorf("without %b: decision %d is not the owner's", lost, i+1)
			}
		}
		for i, d := range forged {
			if trail.Signed(d) != nil {
				t.Errorf("without %b: forgery %d is the owner's", lost, i)
			}
		}
	}
}
