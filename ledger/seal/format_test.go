package seal

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/scripts/golden"
)

// The fixed values of the examples in FORMAT.md.
var (
	exampleStore     = StoreID{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	exampleRoot      = bytes.Repeat([]byte{3}, keySize)
	examplePlaintext = []byte("61 bpm")
)

const (
	exampleSequence = 41
	exampleEpoch    = 300
	exampleIndex    = 2
)

func secretOf(b []byte) *Secret { return SecretFrom(bytes.Clone(b)) }

func exampleDevice(t testing.TB) *DeviceKey {
	k, err := newDeviceKey(secretOf(bytes.Repeat([]byte{1}, keySize)), secretOf(bytes.Repeat([]byte{2}, keySize)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestDeviceKeyFormat(t *testing.T) {
	k := exampleDevice(t)
	defer k.Destroy()
	encoded := k.Encode()
	defer encoded.Destroy()
	want := golden.Bytes(t, "device", func() []byte { return encoded.Bytes() })
	if !bytes.Equal(encoded.Bytes(), want) {
		t.Errorf("got %x, want %x", encoded.Bytes(), want)
	}
	golden.OnPage(t, "device key file", want)
}

func TestWrapFormat(t *testing.T) {
	device := exampleDevice(t)
	defer device.Destroy()
	content := golden.Bytes(t, "wrap", func() []byte {
		b, err := newWrap(exampleStore, Management, exampleEpoch, secretOf(exampleRoot), [][]byte{device.SealingKey()})
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
	root, err := openWrap(content, exampleStore, Management, exampleEpoch, device.sealing, device.sealingKey)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Destroy()
	if !bytes.Equal(root.Bytes(), exampleRoot) {
		t.Errorf("root %x", root.Bytes())
	}
	recipient := sha256.Sum256(device.sealingKey)
	golden.OnPage(t, "recipient", recipient[:])
	golden.OnPage(t, "head of the wrap", content[:bytes.Index(content, recipient[:])+hashSize])
}

func TestSegmentFormat(t *testing.T) {
	device := exampleDevice(t)
	defer device.Destroy()
	wrap := golden.Bytes(t, "wrap", nil)
	e := &Epoch{store: exampleStore, class: Management, number: exampleEpoch, wrapHash: sha256.Sum256(wrap), chain: NewSecret(keySize)}
	defer e.Destroy()
	startChain(e.chain.Bytes(), exampleRoot, e.store, e.class, e.number)
	golden.OnPage(t, "first chain key", e.chain.Bytes())
	var payload []byte
	for range exampleIndex + 1 {
		key := make([]byte, keySize)
		segmentKey(key, e.chain.Bytes())
		if e.Index() == exampleIndex {
			golden.OnPage(t, "segment key", key)
		}
		var err error
		if payload, err = e.Seal(exampleSequence, device, nil, examplePlaintext); err != nil {
			t.Fatal(err)
		}
	}
	want := golden.Bytes(t, "segment", func() []byte { return payload })
	if !bytes.Equal(payload, want) {
		t.Errorf("got %x, want %x", payload, want)
	}
	s, err := ParseSegment(want)
	if err != nil {
		t.Fatal(err)
	}
	for what, b := range map[string][]byte{"header": s.header, "body": s.Body, "signature": s.signature} {
		golden.OnPage(t, what+" of the segment", b)
	}
	if err := s.Verify(exampleStore, exampleSequence, device.SigningKey()); err != nil {
		t.Error(err)
	}
	o := device.Opener(exampleStore, directory{{Management, exampleEpoch}: wrap})
	defer o.Destroy()
	if got, err := o.Open(s, exampleSequence, nil); err != nil || !bytes.Equal(got, examplePlaintext) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestOpenSegmentFormat(t *testing.T) {
	device := exampleDevice(t)
	defer device.Destroy()
	payload, err := SealOpen(exampleStore, exampleSequence, device, nil, []byte("checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	want := golden.Bytes(t, "segment-open", func() []byte { return payload })
	if !bytes.Equal(payload, want) {
		t.Errorf("got %x, want %x", payload, want)
	}
	golden.OnPage(t, "open segment", want)
}

func TestKeyringFormat(t *testing.T) {
	words := filepath.Join("testdata", "keyring.words")
	content := golden.Bytes(t, "keyring", func() []byte {
		b, list, keys, err := NewKeyring(exampleStore, []byte("example"), MinCost)
		if err != nil {
			t.Fatal(err)
		}
		keys.Destroy()
		if err := os.WriteFile(words, []byte(list+"\n"), 0o666); err != nil {
			t.Fatal(err)
		}
		return b
	})
	k, err := ParseKeyring(content)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := k.Open([]byte("example"))
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Destroy()
	list, err := os.ReadFile(words)
	if err != nil {
		t.Fatal(err)
	}
	recovered, err := k.Recover(list)
	if err != nil {
		t.Fatal(err)
	}
	defer recovered.Destroy()
	if !sameKeys(opened, recovered) {
		t.Error("passphrase and words differ")
	}
	decision := golden.Bytes(t, "decision", func() []byte { return SignDecision(opened, exampleStore, []byte("example")) })
	if err := VerifyDecision(k.OwnerKey(), exampleStore, []byte("example"), decision); err != nil {
		t.Error(err)
	}
	derived := golden.Bytes(t, "derived", func() []byte { return opened.Derive("example").Bytes() })
	if got := opened.Derive("example"); !bytes.Equal(got.Bytes(), derived) {
		t.Errorf("derived %x, want %x", got.Bytes(), derived)
	}
}

// The example's store with other keys: the same passphrase and words, and its wrap for them.
func TestRekeyedFormats(t *testing.T) {
	before := mustParse(golden.Bytes(t, "keyring", nil))
	old, err := before.Open([]byte("example"))
	if err != nil {
		t.Fatal(err)
	}
	defer old.Destroy()
	device := exampleDevice(t)
	defer device.Destroy()
	first, err := newWrap(exampleStore, Management, exampleEpoch, secretOf(exampleRoot), [][]byte{old.public.StoreKey, device.SealingKey()})
	if err != nil {
		t.Fatal(err)
	}
	var wrap []byte
	content := golden.Bytes(t, "keyring-rekeyed", func() []byte {
		content, keys, err := before.Rekey([]byte("example"))
		if err != nil {
			t.Fatal(err)
		}
		defer keys.Destroy()
		if wrap, err = Rewrap(first, Management, exampleEpoch, old, keys, device.SealingKey()); err != nil {
			t.Fatal(err)
		}
		return content
	})
	wrap = golden.Bytes(t, "rewrap", func() []byte { return wrap })
	after := mustParse(content)
	keys, err := after.Open([]byte("example"))
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Destroy()
	if !after.Succeeds(before) {
		t.Error("it does not succeed the example")
	}
	if err := CheckWrap(wrap, keys.public, Management, exampleEpoch); err != nil {
		t.Error(err)
	}
	root, err := openWrap(wrap, exampleStore, Management, exampleEpoch, keys.sealing, keys.public.StoreKey)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Destroy()
	origin := WrapOrigin(wrap)
	end := len(wrap) - len(rewrapSignatureTag) - signatureSize
	golden.OnPage(t, "head of the rewrap", wrap[:bytes.Index(wrap, recipientOf(mustWrap(t, wrap), keys.public.StoreKey).Recipient)+hashSize])
	golden.OnPage(t, "origin of the rewrap", origin[:])
	golden.OnPage(t, "end of the rewrap", wrap[end:])
	hash := after.Hash()
	r := &pb.StoreRekeyed{Keyring: hash[:]}
	SignRekeying(keys, before.OwnerKey(), bytes.Repeat([]byte{7}, hashSize), r)
	accepted := golden.Bytes(t, "rekeying", func() []byte { return r.Accepted })
	if !bytes.Equal(r.Accepted, accepted) {
		t.Errorf("accepted by %x, want %x", r.Accepted, accepted)
	}
	golden.OnPage(t, "acceptance", accepted)
}

func mustWrap(t testing.TB, content []byte) *pb.EpochWrap {
	t.Helper()
	wrap, err := parseWrap(content, exampleStore, Management, exampleEpoch)
	if err != nil {
		t.Fatal(err)
	}
	return wrap
}

func TestOfferFormat(t *testing.T) {
	private := bytes.Repeat([]byte{4}, keySize)
	public, err := publicKeyOf(secretOf(private))
	if err != nil {
		t.Fatal(err)
	}
	sealed := golden.Bytes(t, "offer", func() []byte {
		b, err := SealPassphrase(public, []byte("example"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
	got, err := (&Offer{secretOf(private), public}).Open(sealed)
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Bytes()) != "example" {
		t.Error("another passphrase")
	}
}

func TestBoxFormat(t *testing.T) {
	key := secretOf(bytes.Repeat([]byte{5}, keySize))
	defer key.Destroy()
	box := golden.Bytes(t, "box", func() []byte {
		b, err := sealBox(key, "example", bytes.Repeat([]byte{6}, boxSalt), []byte("61 bpm"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
	if got, err := Unbox(key, "example", box); err != nil || string(got) != "61 bpm" {
		t.Errorf("%q, %v", got, err)
	}
	again, err := sealBox(key, "example", bytes.Clone(box[:boxSalt]), []byte("61 bpm"))
	if err != nil || !bytes.Equal(again, box) {
		t.Errorf("got %x, want %x, %v", again, box, err)
	}
	golden.OnPage(t, "box", box)
}

func FuzzParseKeyring(f *testing.F) {
	f.Add(golden.Bytes(f, "keyring", nil))
	f.Add(golden.Bytes(f, "keyring-rekeyed", nil))
	f.Fuzz(func(t *testing.T, content []byte) {
		k, err := ParseKeyring(content)
		if err != nil {
			return
		}
		if k.cost.check() != nil || len(k.StoreKey()) != publicKeySize {
			t.Error("a keyring that must not parse")
		}
		// Whatever parses was signed, so it is one of the examples.
		if !bytes.Equal(content, golden.Bytes(t, "keyring", nil)) && !bytes.Equal(content, golden.Bytes(t, "keyring-rekeyed", nil)) {
			t.Errorf("another keyring parses: %x", content)
		}
	})
}

func FuzzParseSegment(f *testing.F) {
	f.Add(golden.Bytes(f, "segment", nil))
	f.Add(golden.Bytes(f, "segment-open", nil))
	device := exampleDevice(f)
	opener := device.Opener(exampleStore, directory{{Management, exampleEpoch}: golden.Bytes(f, "wrap", nil)})
	f.Fuzz(func(t *testing.T, payload []byte) {
		s, err := ParseSegment(payload)
		if err != nil {
			return
		}
		// A segment has one form only.
		again := []byte{versionAndClass(Open)}
		if s.Class != Open {
			again = appendHeader(nil, s.Class, s.Epoch, s.Index, &s.WrapHash)
		}
		if again = append(append(again, s.Body...), s.signature...); !bytes.Equal(again, payload) {
			t.Fatalf("%x parses and is written as %x", payload, again)
		}
		genuine := bytes.Equal(payload, golden.Bytes(t, "segment", nil)) || bytes.Equal(payload, golden.Bytes(t, "segment-open", nil))
		if err := s.Verify(exampleStore, exampleSequence, device.SigningKey()); (err == nil) != genuine {
			t.Errorf("verify %x: %v", payload, err)
		}
		_, _ = opener.Open(s, exampleSequence, nil)
	})
}

func FuzzEpochWrap(f *testing.F) {
	f.Add(golden.Bytes(f, "wrap", nil))
	f.Add(golden.Bytes(f, "rewrap", nil))
	device := exampleDevice(f)
	keys := mustParse(golden.Bytes(f, "keyring-rekeyed", nil)).PublicKeys()
	f.Fuzz(func(t *testing.T, content []byte) {
		wrap, err := parseWrap(content, exampleStore, Management, exampleEpoch)
		if err != nil {
			return
		}
		if !proto.Equal(wrap, func() *pb.EpochWrap { w := new(pb.EpochWrap); _ = proto.Unmarshal(content, w); return w }()) {
			t.Error("parsed twice, it differs")
		}
		root, err := openWrap(content, exampleStore, Management, exampleEpoch, device.sealing, device.sealingKey)
		if err == nil && !bytes.Equal(root.Bytes(), exampleRoot) {
			t.Error("another root")
		}
		root.Destroy()
		// What stands for another file was signed, so it is the example.
		if err := CheckWrap(content, keys, Management, exampleEpoch); err == nil && wrap.Version == rewrapVersion && !bytes.Equal(content, golden.Bytes(t, "rewrap", nil)) {
			t.Errorf("another wrap is sound: %x", content)
		}
	})
}

func FuzzParseDeviceKey(f *testing.F) {
	f.Add(golden.Bytes(f, "device", nil))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		k, err := ParseDeviceKey(encoded)
		if err != nil {
			return
		}
		defer k.Destroy()
		again := k.Encode()
		defer again.Destroy()
		if !bytes.Equal(again.Bytes(), encoded) {
			t.Errorf("%x is written as %x", encoded, again.Bytes())
		}
	})
}

func FuzzWords(f *testing.F) {
	words, err := os.ReadFile(filepath.Join("testdata", "keyring.words"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(words))
	f.Add("zoo Zoo\tzoo")
	f.Fuzz(func(t *testing.T, words string) {
		entropy, err := parseWords([]byte(words))
		if err != nil {
			return
		}
		defer entropy.Destroy()
		again, err := wordsOf(entropy.Bytes())
		if err != nil || again != strings.Join(strings.Fields(strings.ToLower(words)), " ") {
			t.Errorf("%q is written as %q, %v", words, again, err)
		}
	})
}

func TestResealedFormat(t *testing.T) {
	r := &Reseal{store: exampleStore, number: 7, epoch: exampleEpoch, root: secretOf(exampleRoot)}
	defer r.Destroy()
	sealed, err := r.Seal(exampleSequence, examplePlaintext)
	if err != nil {
		t.Fatal(err)
	}
	if want := golden.Bytes(t, "resealed", func() []byte { return sealed }); !bytes.Equal(sealed, want) {
		t.Errorf("got %x, want %x", sealed, want)
	}
	golden.OnPage(t, "what is sealed again", sealed)
}
