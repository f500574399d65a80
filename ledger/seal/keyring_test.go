package seal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

func mustParse(content []byte) *Keyring {
	k, err := ParseKeyring(content)
	if err != nil {
		panic(err)
	}
	return k
}

// sameKeys reports whether two key sets open and sign the same things.
func sameKeys(a, b *OwnerKeys) bool {
	return bytes.Equal(a.sealing.Bytes(), b.sealing.Bytes()) && bytes.Equal(a.signing.Bytes(), b.signing.Bytes())
}

func TestPassphraseAndWordsOpenTheSameKeys(t *testing.T) {
	h := theHouse()
	k := mustParse(h.keyring)
	if k.Store() != h.store || k.Hash() != sha256.Sum256(h.keyring) {
		t.Error("store or hash differ")
	}
	if public := h.owner.PublicKeys(); !bytes.Equal(k.StoreKey(), public.StoreKey) || !k.OwnerKey().Equal(public.OwnerKey) || public.Store != h.store {
		t.Error("public keys differ")
	}
	if bytes.Equal(k.RecoveryKey(), k.StoreKey()) {
		t.Error("the recovery key is the store key")
	}
	opened, err := k.Open([]byte(testPassphrase))
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Destroy()
	recovered, err := k.Recover([]byte(h.words))
	if err != nil {
		t.Fatal(err)
	}
	defer recovered.Destroy()
	if !sameKeys(opened, h.owner) || !sameKeys(recovered, h.owner) {
		t.Error("private keys differ")
	}
}

func TestAWrongPassphraseOpensNothing(t *testing.T) {
	h := theHouse()
	k := mustParse(h.keyring)
	for _, wrong := range []string{"", "correct horse battery stapl", testPassphrase + " ", strings.ToUpper(testPassphrase)} {
		if keys, err := k.Open([]byte(wrong)); !errors.Is(err, ErrWrongPassphrase) || keys != nil {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func TestEveryAlteredByteOfAKeyringIsDetected(t *testing.T) {
	content := theHouse().keyring
	for at := range content {
		altered := bytes.Clone(content)
		altered[at] ^= 1 << (at % 8)
		if _, err := ParseKeyring(altered); !errors.Is(err, ErrTampered) {
			t.Fatalf("byte %d of %d: %v", at, len(content), err)
		}
	}
	for _, altered := range [][]byte{nil, content[:len(content)-1], append(bytes.Clone(content), 0), append(bytes.Clone(content), content...)} {
		if _, err := ParseKeyring(altered); !errors.Is(err, ErrTampered) {
			t.Errorf("%d bytes: %v", len(altered), err)
		}
	}
}

// resigned is the keyring with a change that its owner, or whoever calls
// himself so, has signed.
func resigned(t *testing.T, h *house, keys *OwnerKeys, change func(*pb.Keyring)) []byte {
	file := new(pb.Keyring)
	if err := proto.Unmarshal(h.keyring, file); err != nil {
		t.Fatal(err)
	}
	file.Signature = nil
	change(file)
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	signature := keys.Sign(append([]byte(labelKeyring), content...))
	return append(append(content, signatureTag...), signature...)
}

func TestASignedKeyringOfBadFormIsRefused(t *testing.T) {
	h := theHouse()
	if _, err := ParseKeyring(resigned(t, h, h.owner, func(*pb.Keyring) {})); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*pb.Keyring){
		"version 2":         func(k *pb.Keyring) { k.Version = 2 },
		"no Argon2":         func(k *pb.Keyring) { k.Argon2 = nil },
		"weak time":         func(k *pb.Keyring) { k.Argon2.Time = 1 },
		"weak memory":       func(k *pb.Keyring) { k.Argon2.MemoryKib = 1024 },
		"no threads":        func(k *pb.Keyring) { k.Argon2.Threads = 0 },
		"256 threads":       func(k *pb.Keyring) { k.Argon2.Threads = 256 + 4 },
		"4 GiB":             func(k *pb.Keyring) { k.Argon2.MemoryKib = 4 << 20 },
		"hours":             func(k *pb.Keyring) { k.Argon2.Time = 1 << 31 },
		"short salt":        func(k *pb.Keyring) { k.Argon2.Salt = k.Argon2.Salt[1:] },
		"short store":       func(k *pb.Keyring) { k.Store = k.Store[1:] },
		"long store":        func(k *pb.Keyring) { k.Store = append(k.Store, 0) },
		"short store key":   func(k *pb.Keyring) { k.StoreKey = k.StoreKey[1:] },
		"no recovery key":   func(k *pb.Keyring) { k.RecoveryKey = nil },
		"no passphrase box": func(k *pb.Keyring) { k.PassphraseBox = nil },
		"no recovery box":   func(k *pb.Keyring) { k.RecoveryBox = nil },
		"unknown field":     func(k *pb.Keyring) { k.ProtoReflect().SetUnknown([]byte{0x78, 1}) },
	} {
		if _, err := ParseKeyring(resigned(t, h, h.owner, change)); !errors.Is(err, ErrTampered) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whoever can write to the key directory may put his own public key beside the
// owner's private ones, hoping that new data is sealed to him.
func TestForeignPublicKeysDoNotOpenWithThePassphrase(t *testing.T) {
	h := theHouse()
	_, foreignWords, foreign, err := NewKeyring(h.store, []byte("mine"), MinCost)
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Destroy()
	for name, change := range map[string]func(*pb.Keyring){
		"owner key": func(k *pb.Keyring) { k.OwnerKey = foreign.public.OwnerKey },
		"store key": func(k *pb.Keyring) {
			k.OwnerKey, k.StoreKey = foreign.public.OwnerKey, foreign.public.StoreKey
		},
	} {
		k, err := ParseKeyring(resigned(t, h, foreign, change))
		if err != nil {
			t.Fatal(err)
		}
		if keys, err := k.Open([]byte(testPassphrase)); err == nil || keys != nil {
			t.Errorf("%s: opens with the passphrase", name)
		}
		if keys, err := k.Recover([]byte(h.words)); err == nil || keys != nil {
			t.Errorf("%s: opens with the words", name)
		}
		if _, err := k.Recover([]byte(foreignWords)); !errors.Is(err, ErrWrongWords) {
			t.Errorf("%s: foreign words: %v", name, err)
		}
	}
}

func TestWordsTolerateCaseAndSpace(t *testing.T) {
	h := theHouse()
	k := mustParse(h.keyring)
	for _, words := range []string{strings.ToUpper(h.words), "\n\t " + strings.ReplaceAll(h.words, " ", " \r\n ") + " ", strings.ReplaceAll(h.words, " ", "\u00a0")} {
		keys, err := k.Recover([]byte(words))
		if err != nil {
			t.Error(err)
		}
		keys.Destroy()
	}
}

func TestWrongWordsAreNamedByPositionOnly(t *testing.T) {
	h := theHouse()
	k := mustParse(h.keyring)
	list := strings.Fields(h.words)
	with := func(at int, word string) string {
		l := append([]string(nil), list...)
		l[at] = word
		return strings.Join(l, " ")
	}
	swapped := append([]string(nil), list...)
	swapped[0], swapped[1] = swapped[1], swapped[0]
	if swapped[0] == swapped[1] {
		t.Skip("the first two words are the same")
	}
	for _, c := range []struct{ name, words, says string }{
		{"mistyped", with(6, "secretword"), "word 7 "},
		{"23 words", strings.Join(list[:23], " "), "23 words"},
		{"25 words", h.words + " " + list[0], "25 words"},
		{"none", "", "0 words"},
	} {
		_, err := k.Recover([]byte(c.words))
		if !errors.Is(err, ErrWrongWords) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
		if strings.Contains(err.Error(), "secretword") {
			t.Errorf("%s: quotes a word: %v", c.name, err)
		}
	}
	// 255 of 256 such words fail by checksum, the rest by belonging to nobody.
	if _, err := k.Recover([]byte(strings.Join(swapped, " "))); !errors.Is(err, ErrWrongWords) {
		t.Errorf("swapped: %v", err)
	}
}

func TestTheKeyringRefusesUselessPassphrasesAndCosts(t *testing.T) {
	store := NewStoreID()
	for _, passphrase := range []string{"", strings.Repeat("x", MaxPassphrase+1)} {
		if _, _, keys, err := NewKeyring(store, []byte(passphrase), MinCost); err == nil || keys != nil {
			t.Errorf("passphrase of %d bytes is accepted", len(passphrase))
		}
	}
	for _, cost := range []Cost{{}, {1, 19 << 10, 1}, {2, 19<<10 - 1, 1}, {1, 4 << 20, 4}, {17, 1 << 20, 4}, {3, 64 << 10, 17}} {
		if _, _, keys, err := NewKeyring(store, []byte("p"), cost); err == nil || keys != nil {
			t.Errorf("%+v is accepted", cost)
		}
	}
	for _, cost := range []Cost{MinCost, DefaultCost, {1, 2 << 20, 4}} {
		if err := cost.check(); err != nil {
			t.Errorf("%+v: %v", cost, err)
		}
	}
}

func TestDecisionsVerifyForTheirStoreAndOwnerOnly(t *testing.T) {
	h := theHouse()
	decision := []byte("grant")
	signature := SignDecision(h.owner, h.store, decision)
	owner := h.owner.PublicKeys().OwnerKey
	if err := VerifyDecision(owner, h.store, decision, signature); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"other store":    VerifyDecision(owner, NewStoreID(), decision, signature),
		"other decision": VerifyDecision(owner, h.store, []byte("grand"), signature),
		"other owner":    VerifyDecision(h.device.SigningKey(), h.store, decision, signature),
		"no owner":       VerifyDecision(nil, h.store, decision, signature),
		"no signature":   VerifyDecision(owner, h.store, decision, nil),
		// What the owner signs elsewhere must not pass for a decision.
		"plain signature": VerifyDecision(owner, h.store, decision, h.owner.Sign(decision)),
	} {
		if !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDerivedKeysDifferByLabelAndOrigin(t *testing.T) {
	h := theHouse()
	seen := map[string]string{}
	for name, s := range map[string]*Secret{
		"owner a": h.owner.Derive("a"), "owner b": h.owner.Derive("b"), "owner": h.owner.Derive(""),
		"device a": h.device.Derive("a"), "device b": h.device.Derive("b"),
	} {
		b := string(s.Bytes())
		if len(b) != 32 || seen[b] != "" {
			t.Errorf("%s equals %s", name, seen[b])
		}
		seen[b] = name
	}
	if a, b := h.owner.Derive("a"), h.owner.Derive("a"); !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("one label gives two keys")
	}
}

func TestADeviceKeySurvivesItsFile(t *testing.T) {
	k, err := NewDeviceKey()
	if err != nil {
		t.Fatal(err)
	}
	defer k.Destroy()
	encoded := k.Encode()
	defer encoded.Destroy()
	again, err := ParseDeviceKey(encoded.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Destroy()
	if !again.SigningKey().Equal(k.SigningKey()) || !bytes.Equal(again.SealingKey(), k.SealingKey()) {
		t.Error("keys differ")
	}
	if a, b := k.Derive("x"), again.Derive("x"); !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("derived keys differ")
	}
	if message := []byte("checkpoint"); !ed25519.Verify(k.SigningKey(), message, again.Sign(message)) {
		t.Error("the signature does not verify")
	}
	for bit := range 8 * len(encoded.Bytes()) {
		altered := bytes.Clone(encoded.Bytes())
		altered[bit/8] ^= 1 << (bit % 8)
		if _, err := ParseDeviceKey(altered); !errors.Is(err, ErrDeviceKey) {
			t.Fatalf("bit %d: %v", bit, err)
		}
	}
	if _, err := ParseDeviceKey(encoded.Bytes()[1:]); !errors.Is(err, ErrDeviceKey) {
		t.Error(err)
	}
}

func TestEveryAlteredByteOfAWrapIsDetected(t *testing.T) {
	h, d := theHouse(), directory{}
	h.epoch(t, d, Management, 9)
	wrap := d[wrapName{Management, 9}]
	open := func(wrap []byte) error {
		// As the attacker who also knows how to make the segment's hash fit.
		root, err := openWrap(wrap, h.store, Management, 9, h.device.sealing, h.device.sealingKey)
		root.Destroy()
		return err
	}
	if err := open(wrap); err != nil {
		t.Fatal(err)
	}
	file := new(pb.EpochWrap)
	if err := proto.Unmarshal(wrap, file); err != nil {
		t.Fatal(err)
	}
	// The owner's copy is not the device's to check, beyond its form: every
	// byte is covered by the hash in the segment.
	owners := bytes.Index(wrap, file.Keys[0].Sealed)
	ownersRecipient := bytes.Index(wrap, file.Keys[0].Recipient)
	devices := bytes.Index(wrap, file.Keys[1].Sealed)
	for at := range wrap {
		if at >= owners && at < owners+wrappedKeySize || at >= ownersRecipient && at < ownersRecipient+hashSize {
			continue
		}
		if at > devices && at%7 != 0 {
			continue // inside one HPKE ciphertext, which takes its time
		}
		altered := bytes.Clone(wrap)
		altered[at] ^= 1 << (at % 8)
		if err := open(altered); !errors.Is(err, ErrTampered) && !errors.Is(err, ErrNotRecipient) {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
	e := h.epoch(t, d, Health, 1)
	payload := h.seal(t, e, 1, nil)
	for _, at := range []int{0, 100, len(d[wrapName{Health, 1}]) - 1} {
		altered := bytes.Clone(d[wrapName{Health, 1}])
		altered[at] ^= 1
		o := h.owner.Opener(h.store, directory{{Health, 1}: altered})
		if _, err := h.read(o, payload, 1); !errors.Is(err, ErrTampered) {
			t.Errorf("byte %d of a wrap under its segment: %v", at, err)
		}
		o.Destroy()
	}
}

func TestAnEpochNeedsRecipientsAndASealedClass(t *testing.T) {
	h := theHouse()
	for name, c := range map[string]struct {
		class      Class
		recipients [][]byte
	}{
		"nobody":      {Health, nil},
		"class open":  {Open, h.recipients(Health)},
		"class 0":     {0, h.recipients(Health)},
		"a short key": {Health, [][]byte{make([]byte, 32)}},
		"too many":    {Health, make([][]byte, maxRecipients+1)},
	} {
		if e, wrap, err := NewEpoch(h.store, c.class, 1, c.recipients); err == nil || e != nil || wrap != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnOfferOpensOnceAndOnlyItsOwn(t *testing.T) {
	passphrase := []byte("p\u00e4ssphrase")
	newOffer := func() *Offer {
		o, err := NewOffer()
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	o := newOffer()
	sealed, err := SealPassphrase(o.PublicKey(), passphrase)
	if err != nil {
		t.Fatal(err)
	}
	got, err := o.Open(sealed)
	if err != nil || !bytes.Equal(got.Bytes(), passphrase) {
		t.Fatalf("%v", err)
	}
	got.Destroy()
	if _, err := o.Open(sealed); !errors.Is(err, ErrDestroyed) {
		t.Errorf("opened twice: %v", err)
	}
	another := newOffer()
	defer another.Destroy()
	if _, err := another.Open(sealed); !errors.Is(err, ErrOffer) {
		t.Errorf("another offer: %v", err)
	}
	o = newOffer()
	sealed, err = SealPassphrase(o.PublicKey(), passphrase)
	if err != nil {
		t.Fatal(err)
	}
	sealed[len(sealed)/2] ^= 1
	if _, err := o.Open(sealed); !errors.Is(err, ErrOffer) {
		t.Errorf("altered: %v", err)
	}
	sealed[len(sealed)/2] ^= 1
	got, err = o.Open(sealed)
	if err != nil {
		t.Fatalf("what was not for it used up the offer: %v", err)
	}
	got.Destroy()
}

func TestASealedPassphraseHidesItsLength(t *testing.T) {
	o, err := NewOffer()
	if err != nil {
		t.Fatal(err)
	}
	defer o.Destroy()
	for _, n := range []int{1, 12, MaxPassphrase} {
		sealed, err := SealPassphrase(o.PublicKey(), make([]byte, n))
		if err != nil || len(sealed) != offerSize+hpkeOverhead {
			t.Errorf("%d bytes: %d, %v", n, len(sealed), err)
		}
	}
	for _, n := range []int{0, MaxPassphrase + 1} {
		if _, err := SealPassphrase(o.PublicKey(), make([]byte, n)); err == nil {
			t.Errorf("%d bytes are accepted", n)
		}
	}
	if _, err := SealPassphrase(o.PublicKey()[1:], []byte("x")); err == nil {
		t.Error("a short public key is accepted")
	}
}

func TestABoxOpensWithItsKeyAndLabelOnly(t *testing.T) {
	key, other := newKey(), newKey()
	defer key.Destroy()
	defer other.Destroy()
	for _, plaintext := range []string{"", "page 7", strings.Repeat("x", 5000)} {
		box, err := Box(key, "token", []byte(plaintext))
		if err != nil || len(box) != len(plaintext)+BoxOverhead {
			t.Fatalf("%d bytes, %v", len(box), err)
		}
		if got, err := Unbox(key, "token", box); err != nil || string(got) != plaintext {
			t.Fatalf("%v", err)
		}
		if again, _ := Box(key, "token", []byte(plaintext)); bytes.Equal(again, box) {
			t.Error("two boxes are equal")
		}
		if _, err := Unbox(key, "tokens", box); !errors.Is(err, ErrBox) {
			t.Errorf("other label: %v", err)
		}
		if _, err := Unbox(other, "token", box); !errors.Is(err, ErrBox) {
			t.Errorf("other key: %v", err)
		}
		for at := range min(len(box), 60) {
			altered := bytes.Clone(box)
			altered[at] ^= 0x10
			if _, err := Unbox(key, "token", altered); !errors.Is(err, ErrBox) {
				t.Fatalf("byte %d: %v", at, err)
			}
			if _, err := Unbox(key, "token", box[:at]); !errors.Is(err, ErrBox) {
				t.Fatalf("cut to %d: %v", at, err)
			}
		}
	}
	secret := newKey()
	box, err := Box(key, "view key", secret.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	got, err := UnboxSecret(key, "view key", box)
	if err != nil || !bytes.Equal(got.Bytes(), secret.Bytes()) {
		t.Error(err)
	}
	if _, err := UnboxSecret(key, "x", box); !errors.Is(err, ErrBox) {
		t.Error(err)
	}
	short := NewSecret(16)
	if _, err := Box(short, "x", nil); err == nil {
		t.Error("a short key is accepted")
	}
	short.Destroy()
	if _, err := Box(short, "x", nil); !errors.Is(err, ErrDestroyed) {
		t.Error(err)
	}
}

func TestAnotherPassphraseOpensTheSameKeysAndTheOldOneNothing(t *testing.T) {
	h := theHouse()
	before := mustParse(h.keyring)
	content, err := before.Rewrap(h.owner, []byte("another"))
	if err != nil {
		t.Fatal(err)
	}
	after := mustParse(content)
	if after.Store() != before.Store() || !bytes.Equal(after.StoreKey(), before.StoreKey()) || !after.OwnerKey().Equal(before.OwnerKey()) ||
		!bytes.Equal(after.RecoveryKey(), before.RecoveryKey()) || after.cost != before.cost {
		t.Error("the public half or the cost is another")
	}
	if bytes.Equal(after.file.Argon2.Salt, before.file.Argon2.Salt) {
		t.Error("the salt is the same")
	}
	if keys, err := after.Open([]byte(testPassphrase)); !errors.Is(err, ErrWrongPassphrase) || keys != nil {
		t.Errorf("the old passphrase: %v", err)
	}
	opened, err := after.Open([]byte("another"))
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Destroy()
	recovered, err := after.Recover([]byte(h.words))
	if err != nil {
		t.Fatal(err)
	}
	defer recovered.Destroy()
	if !sameKeys(opened, h.owner) || !sameKeys(recovered, h.owner) {
		t.Error("the private keys are others")
	}
}

func TestAKeyringIsNotRewrappedForOtherKeysNorUselessPassphrases(t *testing.T) {
	h := theHouse()
	k := mustParse(h.keyring)
	for _, passphrase := range []string{"", strings.Repeat("x", MaxPassphrase+1)} {
		if content, err := k.Rewrap(h.owner, []byte(passphrase)); err == nil || content != nil {
			t.Errorf("a passphrase of %d bytes is accepted", len(passphrase))
		}
	}
	_, _, foreign, err := NewKeyring(h.store, []byte("mine"), MinCost)
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Destroy()
	if content, err := k.Rewrap(foreign, []byte("mine")); err == nil || content != nil {
		t.Error("foreign keys are accepted")
	}
}
