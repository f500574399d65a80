package seal

import (
	"bytes"
	"errors"
	"io/fs"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

const testPassphrase = "correct horse battery staple"

// house is a store with an owner and a device, as most tests need one. Making
// keys takes Argon2id, so all tests share it and none changes it.
type house struct {
	store   StoreID
	keyring []byte
	words   string
	owner   *OwnerKeys
	device  *DeviceKey
}

var theHouse = sync.OnceValue(func() *house {
	h := &house{store: NewStoreID()}
	var err error
	if h.keyring, h.words, h.owner, err = NewKeyring(h.store, []byte(testPassphrase), MinCost); err != nil {
		panic(err)
	}
	if h.device, err = NewDeviceKey(); err != nil {
		panic(err)
	}
	return h
})

// recipients returns to whom the epochs of a class are wrapped.
func (h *house) recipients(class Class) [][]byte {
	if class == Management {
		return [][]byte{h.owner.PublicKeys().StoreKey, h.device.SealingKey()}
	}
	return [][]byte{h.owner.PublicKeys().StoreKey}
}

type wrapName struct {
	class Class
	epoch uint64
}

// directory is a key directory in memory.
type directory map[wrapName][]byte

func (d directory) Wrap(class Class, epoch uint64) ([]byte, error) {
	if w, ok := d[wrapName{class, epoch}]; ok {
		return w, nil
	}
	return nil, fs.ErrNotExist
}

// epoch begins an epoch and keeps its wrap.
func (h *house) epoch(t interface{ Fatal(...any) }, d directory, class Class, number uint64) *Epoch {
	e, wrap, err := NewEpoch(h.store, class, number, h.recipients(class))
	if err != nil {
		t.Fatal(err)
	}
	d[wrapName{class, number}] = wrap
	return e
}

func (h *house) seal(t interface{ Fatal(...any) }, e *Epoch, seq uint64, plaintext []byte) []byte {
	payload, err := e.Seal(seq, h.device, nil, plaintext)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// read does what a reader of the log does with a message.
func (h *house) read(o *Opener, payload []byte, seq uint64) ([]byte, error) {
	s, err := ParseSegment(payload)
	if err != nil {
		return nil, err
	}
	if err := s.Verify(h.store, seq, h.device.SigningKey()); err != nil {
		return nil, err
	}
	return o.Open(s, seq, nil)
}

func TestWhatIsSealedOpens(t *testing.T) {
	h := theHouse()
	rapid.Check(t, func(t *rapid.T) {
		d := directory{}
		class := rapid.SampledFrom([]Class{Health, Management}).Draw(t, "class")
		e := h.epoch(t, d, class, rapid.Uint64().Draw(t, "epoch"))
		defer e.Destroy()
		type written struct {
			seq           uint64
			payload, want []byte
		}
		var log []written
		prefix := []byte("before")
		for seq := range uint64(rapid.IntRange(1, 8).Draw(t, "segments")) {
			seq += rapid.Uint64Range(0, 1<<40).Draw(t, "first")
			plaintext := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "plaintext")
			got, err := e.Seal(seq, h.device, bytes.Clone(prefix), plaintext)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(got, prefix) {
				t.Fatal("Seal does not append")
			}
			log = append(log, written{seq, got[len(prefix):], plaintext})
		}
		openers := []*Opener{h.owner.Opener(h.store, d)}
		if class == Management {
			openers = append(openers, h.device.Opener(h.store, d))
		}
		for _, o := range openers {
			defer o.Destroy()
			// In any order, and some more than once.
			for range 2 * len(log) {
				w := log[rapid.IntRange(0, len(log)-1).Draw(t, "at")]
				got, err := h.read(o, w.payload, w.seq)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, w.want) {
					t.Fatalf("got %x, want %x", got, w.want)
				}
			}
		}
	})
}

func TestEveryFlippedBitOfASegmentIsDetected(t *testing.T) {
	h, d := theHouse(), directory{}
	e := h.epoch(t, d, Health, 7)
	o := h.owner.Opener(h.store, d)
	defer o.Destroy()
	payload := h.seal(t, e, 41, []byte("heart rate 61"))
	readable, err := SealOpen(h.store, 41, h.device, nil, []byte("checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	for _, payload := range [][]byte{payload, readable} {
		if _, err := h.read(o, payload, 41); err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * len(payload) {
			altered := bytes.Clone(payload)
			altered[bit/8] ^= 1 << (bit % 8)
			if _, err := h.read(o, altered, 41); !errors.Is(err, ErrTampered) {
				t.Fatalf("bit %d of %d: %v", bit, 8*len(payload), err)
			}
		}
		for n := range payload {
			if _, err := h.read(o, payload[:n], 41); !errors.Is(err, ErrTampered) {
				t.Fatalf("cut to %d bytes: %v", n, err)
			}
		}
		if _, err := h.read(o, append(bytes.Clone(payload), 0), 41); !errors.Is(err, ErrTampered) {
			t.Fatalf("one byte longer: %v", err)
		}
	}
}

// The AEAD alone, without the signature, must already refuse.
func TestAnAlteredSegmentDoesNotOpenEvenUnverified(t *testing.T) {
	h, d := theHouse(), directory{}
	e := h.epoch(t, d, Health, 7)
	o := h.owner.Opener(h.store, d)
	defer o.Destroy()
	payload := h.seal(t, e, 41, []byte("heart rate 61"))
	for bit := range 8 * (len(payload) - signatureSize) {
		altered := bytes.Clone(payload)
		altered[bit/8] ^= 1 << (bit % 8)
		s, err := ParseSegment(altered)
		if err != nil || s.Class == Open { // as open it would be read as it is: only the signature tells
			continue
		}
		if _, err := o.Open(s, 41, nil); err == nil {
			t.Fatalf("bit %d opened", bit)
		}
	}
}

func TestASegmentOpensInItsPlaceOnly(t *testing.T) {
	h, d := theHouse(), directory{}
	e := h.epoch(t, d, Health, 7)
	payload := h.seal(t, e, 41, []byte("heart rate 61"))
	s, err := ParseSegment(payload)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := NewDeviceKey()
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Destroy()
	other := NewStoreID()

	o := h.owner.Opener(h.store, d)
	defer o.Destroy()
	if _, err := o.Open(s, 41, nil); err != nil {
		t.Fatal(err)
	}
	open := map[string]func() error{
		"other sequence": func() error { _, err := o.Open(s, 42, nil); return err },
		"other store": func() error {
			o := h.owner.Opener(other, d)
			defer o.Destroy()
			_, err := o.Open(s, 41, nil)
			return err
		},
		"other index": func() error { m := reheaded(t, s, Health, 7, 1); _, err := o.Open(m, 41, nil); return err },
		"other epoch": func() error {
			d[wrapName{Health, 8}] = d[wrapName{Health, 7}]
			_, err := o.Open(reheaded(t, s, Health, 8, 0), 41, nil)
			return err
		},
		"other class": func() error {
			d[wrapName{Management, 7}] = d[wrapName{Health, 7}]
			_, err := o.Open(reheaded(t, s, Management, 7, 0), 41, nil)
			return err
		},
		"other wrap of the same epoch": func() error {
			fresh := directory{}
			h.epoch(t, fresh, Health, 7).Destroy()
			o := h.owner.Opener(h.store, fresh)
			defer o.Destroy()
			_, err := o.Open(s, 41, nil)
			return err
		},
		"signature at another sequence": func() error { return s.Verify(h.store, 42, h.device.SigningKey()) },
		"signature in another store":    func() error { return s.Verify(other, 41, h.device.SigningKey()) },
		"foreign device":                func() error { return s.Verify(h.store, 41, foreign.SigningKey()) },
		"no device":                     func() error { return s.Verify(h.store, 41, nil) },
	}
	for name, f := range open {
		if err := f(); !errors.Is(err, ErrTampered) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// reheaded is s with another header; its signature no longer matters here.
func reheaded(t *testing.T, s Segment, class Class, epoch uint64, index uint32) Segment {
	payload := appendHeader(nil, class, epoch, index, &s.WrapHash)
	payload = append(append(payload, s.Body...), s.signature...)
	m, err := ParseSegment(payload)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAMissingWrapIsTheSourcesError(t *testing.T) {
	h, d := theHouse(), directory{}
	e := h.epoch(t, d, Health, 7)
	payload := h.seal(t, e, 41, nil)
	o := h.owner.Opener(h.store, directory{})
	defer o.Destroy()
	if _, err := h.read(o, payload, 41); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrTampered) {
		t.Errorf("got %v, want the error of the source", err)
	}
}

func TestTheDeviceOpensManagementOnly(t *testing.T) {
	h, d := theHouse(), directory{}
	o := h.device.Opener(h.store, d)
	defer o.Destroy()
	health := h.seal(t, h.epoch(t, d, Health, 1), 1, []byte("h"))
	if _, err := h.read(o, health, 1); !errors.Is(err, ErrNotRecipient) {
		t.Errorf("health: %v", err)
	}
	management := h.seal(t, h.epoch(t, d, Management, 1), 2, []byte("m"))
	if got, err := h.read(o, management, 2); err != nil || string(got) != "m" {
		t.Errorf("management: %q, %v", got, err)
	}
	readable, err := SealOpen(h.store, 3, h.device, nil, []byte("o"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := h.read(o, readable, 3); err != nil || string(got) != "o" {
		t.Errorf("open: %q, %v", got, err)
	}
	// Management that was not wrapped to this device: another daemon's.
	e, wrap, err := NewEpoch(h.store, Management, 2, [][]byte{h.owner.PublicKeys().StoreKey})
	if err != nil {
		t.Fatal(err)
	}
	d[wrapName{Management, 2}] = wrap
	if _, err := h.read(o, h.seal(t, e, 4, nil), 4); !errors.Is(err, ErrNotRecipient) {
		t.Errorf("foreign management: %v", err)
	}
}

func TestARetriedSegmentLeavesAReadableGap(t *testing.T) {
	h, d := theHouse(), directory{}
	e := h.epoch(t, d, Health, 1)
	h.seal(t, e, 10, []byte("same")) // the publish fails
	second := h.seal(t, e, 11, []byte("same"))
	third := h.seal(t, e, 12, []byte("next"))
	o := h.owner.Opener(h.store, d)
	defer o.Destroy()
	for i, want := range []string{"same", "next"} {
		got, err := h.read(o, [][]byte{second, third}[i], uint64(11+i))
		if err != nil || string(got) != want {
			t.Errorf("%q, %v", got, err)
		}
	}
}

func TestAnEpochEndsAfter1024Segments(t *testing.T) {
	h, d := theHouse(), directory{}
	e := h.epoch(t, d, Health, 3)
	var last []byte
	for i := range uint64(EpochSegments) {
		if e.Full() {
			t.Fatalf("full after %d", i)
		}
		last = h.seal(t, e, i, []byte{1})
	}
	if !e.Full() || e.Index() != EpochSegments {
		t.Errorf("not full at %d", e.Index())
	}
	if _, err := e.Seal(5000, h.device, nil, nil); !errors.Is(err, ErrEpochFull) {
		t.Errorf("got %v", err)
	}
	o := h.owner.Opener(h.store, d)
	defer o.Destroy()
	if _, err := h.read(o, last, EpochSegments-1); err != nil {
		t.Error(err)
	}
}

func TestManyEpochsAreReadInAnyOrder(t *testing.T) {
	h, d := theHouse(), directory{}
	payloads := make([][]byte, 2*maxPositions)
	for i := range payloads {
		e := h.epoch(t, d, Health, uint64(i))
		payloads[i] = h.seal(t, e, uint64(i), []byte{byte(i)})
	}
	o := h.owner.Opener(h.store, d)
	defer o.Destroy()
	for _, stride := range []int{1, 7, 15} {
		for i := range payloads {
			at := i * stride % len(payloads)
			if got, err := h.read(o, payloads[at], uint64(at)); err != nil || !bytes.Equal(got, []byte{byte(at)}) {
				t.Fatalf("%d: %x, %v", at, got, err)
			}
		}
	}
	if len(o.positions) > maxPositions {
		t.Errorf("%d epochs remembered", len(o.positions))
	}
}

func TestOneOpenerServesManyReaders(t *testing.T) {
	h, d := theHouse(), directory{}
	e := h.epoch(t, d, Health, 1)
	payloads := make([][]byte, 64)
	for i := range payloads {
		payloads[i] = h.seal(t, e, uint64(i), []byte{byte(i)})
	}
	o := h.owner.Opener(h.store, d)
	defer o.Destroy()
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for i, payload := range payloads {
				if got, err := h.read(o, payload, uint64(i)); err != nil || !bytes.Equal(got, []byte{byte(i)}) {
					t.Errorf("%d: %x, %v", i, got, err)
				}
			}
		})
	}
	wait.Wait()
}

func TestDestroyedKeysDoNothing(t *testing.T) {
	h, d := theHouse(), directory{}
	e := h.epoch(t, d, Health, 1)
	payload := h.seal(t, e, 1, nil)
	e.Destroy()
	e.Destroy()
	if _, err := e.Seal(2, h.device, nil, nil); !errors.Is(err, ErrDestroyed) {
		t.Errorf("seal: %v", err)
	}
	o := h.owner.Opener(h.store, d)
	o.Destroy()
	o.Destroy()
	if _, err := h.read(o, payload, 1); !errors.Is(err, ErrDestroyed) {
		t.Errorf("open: %v", err)
	}
	device, err := NewDeviceKey()
	if err != nil {
		t.Fatal(err)
	}
	device.Destroy()
	device.Destroy()
	if _, err := SealOpen(h.store, 1, device, nil, nil); !errors.Is(err, ErrDestroyed) {
		t.Errorf("seal open: %v", err)
	}
}

func TestASmallSegmentIsSmall(t *testing.T) {
	h := theHouse()
	e := h.epoch(t, directory{}, Health, 1000)
	for range EpochSegments - 1 {
		e.index++ // only the header is measured here
	}
	if n := len(h.seal(t, e, 1<<40, make([]byte, 60))); n > 60+117 {
		t.Errorf("60 bytes are %d when sealed", n)
	}
}

func TestClassesAndStoresHaveOneName(t *testing.T) {
	for c := Health; c <= Open; c++ {
		if got, err := ParseClass(c.String()); err != nil || got != c {
			t.Errorf("%v: %v, %v", c, got, err)
		}
	}
	if _, err := ParseClass(Resealed.String()); err == nil || Resealed.String() != "resealed" {
		t.Error("a segment can be of class resealed")
	}
	if _, err := ParseClass("class(5)"); err == nil || Class(5).String() != "class(5)" {
		t.Error("class 5 has a name")
	}
	rapid.Check(t, func(t *rapid.T) {
		var id StoreID
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		got, err := ParseStoreID(id.String())
		if err != nil || got != id || len(id.String()) != 26 {
			t.Fatalf("%v: %v, %v", id, got, err)
		}
	})
	for _, s := range []string{"", "aaaaaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaaaaab", "AAAAAAAAAAAAAAAAAAAAAAAAAA", "aaaaaaaaaaaa\naaaaaaaaaaaaa", "aaaaaaaaaaaa.aaaaaaaaaaaaa", "0aaaaaaaaaaaaaaaaaaaaaaaaa"} {
		if _, err := ParseStoreID(s); err == nil {
			t.Errorf("%q is accepted", s)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	h := theHouse()
	for _, size := range []int{60, 256 << 10} {
		b.Run(map[int]string{60: "60B", 256 << 10: "256KiB"}[size], func(b *testing.B) {
			e := h.epoch(b, directory{}, Health, 1)
			plaintext, dst := make([]byte, size), make([]byte, 0, size+Overhead)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				e.index = uint32(i) % EpochSegments
				if _, err := e.Seal(uint64(i), h.device, dst, plaintext); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	h := theHouse()
	for _, size := range []int{60, 256 << 10} {
		b.Run(map[int]string{60: "60B", 256 << 10: "256KiB"}[size], func(b *testing.B) {
			d := directory{}
			e := h.epoch(b, d, Health, 1)
			var segments []Segment
			for i := range 256 {
				s, err := ParseSegment(h.seal(b, e, uint64(i), make([]byte, size)))
				if err != nil {
					b.Fatal(err)
				}
				segments = append(segments, s)
			}
			o, dst := h.owner.Opener(h.store, d), make([]byte, 0, size)
			defer o.Destroy()
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := o.Open(segments[i%256], uint64(i%256), dst); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	h := theHouse()
	s, err := ParseSegment(h.seal(b, h.epoch(b, directory{}, Health, 1), 1, make([]byte, 60)))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := s.Verify(h.store, 1, h.device.SigningKey()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDo(b *testing.B) {
	for b.Loop() {
		Do(func() {})
	}
}

func BenchmarkNewEpoch(b *testing.B) {
	h := theHouse()
	for b.Loop() {
		h.epoch(b, directory{}, Health, 1).Destroy()
	}
}

func TestWrapOfASegmentIsCheckedWithoutAKey(t *testing.T) {
	h := theHouse()
	d := directory{}
	e := h.epoch(t, d, Health, 3)
	defer e.Destroy()
	s, err := ParseSegment(h.seal(t, e, 1, []byte("anything")))
	if err != nil {
		t.Fatal(err)
	}
	wrap := d[wrapName{Health, 3}]
	keys := h.owner.PublicKeys()
	if err := s.CheckWrap(wrap, keys); err != nil {
		t.Error(err)
	}
	if err := s.CheckWrap(wrap, PublicKeys{StoreKey: keys.StoreKey}); !errors.Is(err, ErrTampered) {
		t.Errorf("in another store: %v", err)
	}
	changed := bytes.Clone(wrap)
	changed[len(changed)-1] ^= 1
	if err := s.CheckWrap(changed, keys); !errors.Is(err, ErrTampered) {
		t.Errorf("changed: %v", err)
	}
}
