package seal

import (
	"bytes"
	"errors"
	"testing"

	pb "healthledger/proto/healthledger/v1"
)

// next gives the keyring's store other keys.
func next(t *testing.T, k *Keyring, passphrase string) (*Keyring, *OwnerKeys) {
	t.Helper()
	content, keys, err := k.Rekey([]byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keys.Destroy)
	return mustParse(content), keys
}

// The passphrase and the words stay, as often as the keys become others, and so does the key that
// the first decisions are signed with.
func TestOtherKeysOpenWithTheSamePassphraseAndWords(t *testing.T) {
	h := theHouse()
	before := mustParse(h.keyring)
	for range 2 {
		after, keys := next(t, before, testPassphrase)
		opened, err := after.Open([]byte(testPassphrase))
		if err != nil {
			t.Fatal(err)
		}
		recovered, err := after.Recover([]byte(h.words))
		if err != nil {
			t.Fatal(err)
		}
		if !sameKeys(opened, keys) || !sameKeys(recovered, keys) || sameKeys(keys, h.owner) {
			t.Error("not the new keys")
		}
		if !after.Succeeds(before) || after.Succeeds(after) || !after.FirstOwnerKey().Equal(h.owner.public.OwnerKey) || after.cost != before.cost {
			t.Error("the keyring does not follow on the one before")
		}
		// Another passphrase changes none of that.
		content, err := after.Rewrap(keys, []byte("another"))
		if err != nil {
			t.Fatal(err)
		}
		if changed := mustParse(content); !changed.FirstOwnerKey().Equal(before.FirstOwnerKey()) {
			t.Error("another passphrase changes the first key")
		}
		before = after
		opened.Destroy()
		recovered.Destroy()
	}
	for _, passphrase := range []string{"", string(make([]byte, MaxPassphrase+1))} {
		if content, keys, err := before.Rekey([]byte(passphrase)); err == nil || content != nil || keys != nil {
			t.Errorf("a passphrase of %d bytes is accepted", len(passphrase))
		}
	}
}

// Epochs that were wrapped again open with the last keys and none before, their segments as they
// are, and management for the device, too.
func TestWhatWasWrappedAgainOpensWithTheLastKeysOnly(t *testing.T) {
	h := theHouse()
	for _, class := range []Class{Health, Management} {
		d := directory{}
		e := h.epoch(t, d, class, 3)
		defer e.Destroy()
		payload := h.seal(t, e, 41, []byte("61 bpm"))
		s, err := ParseSegment(payload)
		if err != nil {
			t.Fatal(err)
		}
		keyring, from := mustParse(h.keyring), h.owner
		for range 2 {
			before := d[wrapName{class, 3}]
			after, to := next(t, keyring, testPassphrase)
			wrap, err := Rewrap(before, class, 3, from, to, h.device.SealingKey())
			if err != nil {
				t.Fatal(err)
			}
			if err := CheckRewrap(before, wrap, class, 3, to.public, h.device.SealingKey()); err != nil {
				t.Error(err)
			}
			d[wrapName{class, 3}] = wrap
			for _, o := range []struct {
				name   string
				opener *Opener
				opens  bool
			}{
				{"new keys", to.Opener(h.store, d), true},
				{"keys before", from.Opener(h.store, d), false},
				{"first keys", h.owner.Opener(h.store, d), false},
				{"device", h.device.Opener(h.store, d), class == Management},
			} {
				got, err := h.read(o.opener, payload, 41)
				if o.opens != (err == nil && string(got) == "61 bpm") || !o.opens && !errors.Is(err, ErrNotRecipient) {
					t.Errorf("%v, %s: %q, %v", class, o.name, got, err)
				}
				o.opener.Destroy()
			}
			if err := s.CheckWrap(wrap, to.public); err != nil {
				t.Error(err)
			}
			if err := s.CheckWrap(before, to.public); !errors.Is(err, ErrTampered) {
				t.Errorf("the wrap before, put back: %v", err)
			}
			if err := s.CheckWrap(wrap, from.public); !errors.Is(err, ErrTampered) {
				t.Errorf("for the keys before: %v", err)
			}
			keyring, from = after, to
		}
	}
}

func TestEveryAlteredByteOfWhatWasWrappedAgainIsDetected(t *testing.T) {
	h := theHouse()
	d := directory{}
	e := h.epoch(t, d, Management, 3)
	defer e.Destroy()
	s, err := ParseSegment(h.seal(t, e, 1, []byte("anything")))
	if err != nil {
		t.Fatal(err)
	}
	before := d[wrapName{Management, 3}]
	_, to := next(t, mustParse(h.keyring), testPassphrase)
	wrap, err := Rewrap(before, Management, 3, h.owner, to, h.device.SealingKey())
	if err != nil {
		t.Fatal(err)
	}
	for at := range wrap {
		altered := bytes.Clone(wrap)
		altered[at] ^= 1
		if err := s.CheckWrap(altered, to.public); !errors.Is(err, ErrTampered) {
			t.Errorf("byte %d: %v", at, err)
		}
	}
	// Signed, and not what it takes the place of.
	h.epoch(t, d, Management, 4).Destroy()
	other, err := Rewrap(d[wrapName{Management, 4}], Management, 4, h.owner, to, h.device.SealingKey())
	if err != nil {
		t.Fatal(err)
	}
	withoutDevice, err := Rewrap(before, Management, 3, h.owner, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.epoch(t, d, Management, 3).Destroy()
	otherRoot, err := Rewrap(d[wrapName{Management, 3}], Management, 3, h.owner, to, h.device.SealingKey())
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string][]byte{"other epoch": other, "without the device": withoutDevice, "other root": otherRoot, "itself": before} {
		if err := CheckRewrap(before, w, Management, 3, to.public, h.device.SealingKey()); !errors.Is(err, ErrTampered) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The new key takes over in one store, from one key, at one place, with one keyring.
func TestTheAgreementOfANewKeyIsGoodForOnePlaceOnly(t *testing.T) {
	h := theHouse()
	_, to := next(t, mustParse(h.keyring), testPassphrase)
	from, previous := h.owner.public.OwnerKey, bytes.Repeat([]byte{1}, hashSize)
	sound := func() *pb.StoreRekeyed {
		r := &pb.StoreRekeyed{Keyring: bytes.Repeat([]byte{2}, hashSize)}
		SignRekeying(to, from, previous, r)
		return r
	}
	if err := VerifyRekeying(from, h.store, previous, sound()); err != nil {
		t.Fatal(err)
	}
	for name, verify := range map[string]func(r *pb.StoreRekeyed) error{
		"other store":    func(r *pb.StoreRekeyed) error { return VerifyRekeying(from, StoreID{}, previous, r) },
		"other owner":    func(r *pb.StoreRekeyed) error { return VerifyRekeying(to.public.OwnerKey, h.store, previous, r) },
		"other place":    func(r *pb.StoreRekeyed) error { return VerifyRekeying(from, h.store, r.Keyring, r) },
		"first decision": func(r *pb.StoreRekeyed) error { return VerifyRekeying(from, h.store, nil, r) },
		"other keyring":  func(r *pb.StoreRekeyed) error { r.Keyring[0] ^= 1; return VerifyRekeying(from, h.store, previous, r) },
		"no keyring":     func(r *pb.StoreRekeyed) error { r.Keyring = nil; return VerifyRekeying(from, h.store, previous, r) },
		"other store key": func(r *pb.StoreRekeyed) error {
			r.StoreKey = h.owner.public.StoreKey
			return VerifyRekeying(from, h.store, previous, r)
		},
		"other owner key": func(r *pb.StoreRekeyed) error { r.OwnerKey = from; return VerifyRekeying(from, h.store, previous, r) },
		"the same keys": func(r *pb.StoreRekeyed) error {
			SignRekeying(h.owner, from, previous, r)
			return VerifyRekeying(from, h.store, previous, r)
		},
	} {
		if err := verify(sound()); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
