package seal

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io/fs"
	"testing"
)

// left is what an erasure leaves of epoch 5: the segments 3 and 8, sealed again.
func left(t testing.TB, store StoreID, keys *OwnerKeys) (sealed map[uint64][]byte, wrap []byte) {
	t.Helper()
	r, wrap, err := NewReseal(store, 77, 5, [][]byte{keys.PublicKeys().StoreKey})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Destroy()
	sealed = map[uint64][]byte{}
	for _, seq := range []uint64{3, 8} {
		if sealed[seq], err = r.Seal(seq, []byte("survivor")); err != nil {
			t.Fatal(err)
		}
	}
	for _, seq := range []uint64{8, 1, 0} {
		if _, err := r.Seal(seq, nil); !errors.Is(err, ErrResealOrder) {
			t.Errorf("segment %d once more: %v", seq, err)
		}
	}
	r.Destroy()
	if _, err := r.Seal(9, nil); !errors.Is(err, ErrDestroyed) {
		t.Error(err)
	}
	return sealed, wrap
}

func TestWhatIsSealedAgainOpensInItsPlaceOnly(t *testing.T) {
	store := NewStoreID()
	_, _, keys, err := NewKeyring(store, []byte("passphrase"), MinCost)
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Destroy()
	sealed, wrap := left(t, store, keys)
	hash := sha256.Sum256(wrap)
	opener := keys.Opener(store, directory{{Resealed, 77}: wrap, {Resealed, 78}: wrap})
	defer opener.Destroy()
	for _, seq := range []uint64{8, 3, 8} {
		if got, err := opener.OpenResealed(77, hash, 5, seq, sealed[seq]); err != nil || !bytes.Equal(got, []byte("survivor")) {
			t.Errorf("segment %d: %q, %v", seq, got, err)
		}
	}
	flipped := bytes.Clone(sealed[3])
	flipped[2] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another segment": func() ([]byte, error) { return opener.OpenResealed(77, hash, 5, 8, sealed[3]) },
		"another epoch":   func() ([]byte, error) { return opener.OpenResealed(77, hash, 6, 3, sealed[3]) },
		"another key":     func() ([]byte, error) { return opener.OpenResealed(78, hash, 5, 3, sealed[3]) },
		"another wrap":    func() ([]byte, error) { return opener.OpenResealed(77, [32]byte{1}, 5, 3, sealed[3]) },
		"flipped":         func() ([]byte, error) { return opener.OpenResealed(77, hash, 5, 3, flipped) },
		"cut":             func() ([]byte, error) { return opener.OpenResealed(77, hash, 5, 3, sealed[3][:3]) },
	} {
		if _, err := open(); !errors.Is(err, ErrTampered) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := opener.OpenResealed(79, hash, 5, 3, sealed[3]); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	device, err := NewDeviceKey()
	if err != nil {
		t.Fatal(err)
	}
	defer device.Destroy()
	daemons := device.Opener(store, directory{{Resealed, 77}: wrap})
	defer daemons.Destroy()
	if _, err := daemons.OpenResealed(77, hash, 5, 3, sealed[3]); !errors.Is(err, ErrNotRecipient) {
		t.Error("a daemon opens it:", err)
	}
	// A segment of this class is none.
	if _, err := ParseSegment(append([]byte{segmentVersion<<4 | byte(Resealed)}, make([]byte, 200)...)); !errors.Is(err, ErrTampered) {
		t.Error(err)
	}
}

func FuzzOpenResealed(f *testing.F) {
	store := NewStoreID()
	_, _, keys, err := NewKeyring(store, []byte("passphrase"), MinCost)
	if err != nil {
		f.Fatal(err)
	}
	sealed, wrap := left(f, store, keys)
	opener := keys.Opener(store, directory{{Resealed, 77}: wrap})
	f.Cleanup(func() { opener.Destroy(); keys.Destroy() })
	f.Add(sealed[3])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := opener.OpenResealed(77, sha256.Sum256(wrap), 5, 3, b)
		if err == nil && !bytes.Equal(b, sealed[3]) {
			t.Fatalf("%x opens as %x", b, got)
		}
	})
}
