package health

import (
	"encoding/hex"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

func anyDeriver(t *rapid.T) (Deriver, [16]byte, string, uint32) {
	request := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "request"))
	app, code := rapid.StringMatching(`[a-z2-7]{26}`).Draw(t, "app"), rapid.Uint32().Draw(t, "type")
	return NewDeriver(request, app, code), request, app, code
}

func TestDerivedUUIDsInvert(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, request, app, code := anyDeriver(t)
		index := rapid.Uint32().Draw(t, "index")
		id := d.UUID(index)
		if id != DeriveUUID(request, app, code, index) {
			t.Fatal("the two ways differ")
		}
		if got, ok := d.Index(id); !ok || got != index {
			t.Fatalf("index %d came back as %d, %v", index, got, ok)
		}
		if u := uuid.UUID(id); u.Version() != 8 || u.Variant() != uuid.RFC4122 {
			t.Fatalf("%s is no UUID of version 8", u)
		}
		other := NewDeriver(request, app, code+1)
		if _, ok := other.Index(id); ok {
			t.Fatal("another type takes it for its own")
		}
		if other = NewDeriver(request, app+"a", code); other.Prefix() == d.Prefix() {
			t.Fatal("another app has the same prefix")
		}
	})
}

func TestPermutationIsOneToOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, _, _, _ := anyDeriver(t)
		x := rapid.Uint32().Draw(t, "image")
		if d.permute(d.invert(x)) != x {
			t.Fatalf("%d has no origin", x)
		}
	})
	d := NewDeriver([16]byte{1}, "app", 3)
	seen := make(map[uint32]bool, 100_000)
	for i := range uint32(100_000) {
		if seen[d.permute(i)] {
			t.Fatalf("index %d collides", i)
		}
		seen[d.permute(i)] = true
	}
}

// Neighbours must differ in half of the bits on average, in any position.
func TestNeighboursDoNotShow(t *testing.T) {
	d := NewDeriver([16]byte{9}, "app", 1)
	const n = 20_000
	var flips [32]int
	ascending := 0
	for i := range uint32(n) {
		a, b := d.permute(i), d.permute(i+1)
		for bit := range flips {
			flips[bit] += int((a ^ b) >> bit & 1)
		}
		if a < b {
			ascending++
		}
	}
	for bit, got := range append(flips[:], ascending) {
		if got < n/2-n/30 || got > n/2+n/30 {
			t.Errorf("bit %d: %d of %d", bit, got, n)
		}
	}
}

func TestSipHashIsTheReference(t *testing.T) {
	// Reference vector 8 of SipHash-2-4: key 00…0f, message 00…07.
	if got := sipHash(0x0706050403020100, 0x0f0e0d0c0b0a0908, 0x0706050403020100); got != 0x93f5f5799a932462 {
		t.Errorf("%x", got)
	}
}

// UUIDs stand in exports and in other people's databases.
func TestDerivedUUIDsAreForever(t *testing.T) {
	request := [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	for _, c := range []struct {
		app   string
		code  uint32
		index uint32
		want  string
	}{
		{"5ga2akzo4tmlmblcfwhrrggghe", 107, 0, "7ff75678bf2688a8a004241c5ce13279"},
		{"5ga2akzo4tmlmblcfwhrrggghe", 107, 1, "7ff75678bf2688a8a004241cf55df93f"},
		{"5ga2akzo4tmlmblcfwhrrggghe", 107, 4294967295, "7ff75678bf2688a8a004241c472b46c4"},
		{"ffjbeh4kv7zaibmr6ve3rmxmoy", 1056, 7, "008629f35bd588bb8392edd68b84778c"},
	} {
		id := DeriveUUID(request, c.app, c.code, c.index)
		if got := hex.EncodeToString(id[:]); got != c.want {
			t.Errorf("app %s, type %d, index %d: %s, want %s", c.app, c.code, c.index, got, c.want)
		}
	}
}

func BenchmarkDeriver(b *testing.B) {
	d := NewDeriver([16]byte{1}, "app", 1)
	for i := uint32(0); b.Loop(); i++ {
		d.UUID(i)
	}
}
