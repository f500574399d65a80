package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"reflect"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestSecretsNeverShareMemory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type held struct {
			s    *Secret
			want []byte
		}
		var live []held
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(live) > 0 && rapid.Bool().Draw(t, "destroy") {
				at := rapid.IntRange(0, len(live)-1).Draw(t, "which")
				live[at].s.Destroy()
				live[at].s.Destroy()
				live = append(live[:at], live[at+1:]...)
			} else {
				n := rapid.SampledFrom([]int{1, 31, 32, 33, 64, 65, 4096, 4097}).Draw(t, "size")
				s := NewSecret(n)
				if !bytes.Equal(s.Bytes(), make([]byte, n)) {
					t.Fatal("a new secret is not zero")
				}
				want := bytes.Repeat([]byte{byte(len(live) + 1)}, n)
				copy(s.Bytes(), want)
				live = append(live, held{s, want})
			}
			for _, l := range live {
				if !bytes.Equal(l.s.Bytes(), l.want) {
					t.Fatal("a secret has changed")
				}
			}
		}
		for _, l := range live {
			l.s.Destroy()
		}
	})
}

func TestDestroyWipesWholeCells(t *testing.T) {
	s := NewSecret(20)
	b := s.Bytes()
	_ = append(b, "beyond"...) // into the rest of the cell
	copy(b, "a key, or half a one")
	s.Destroy()
	if !bytes.Equal(b[:cap(b)], make([]byte, cap(b))) {
		t.Error("something is left")
	}
	defer func() {
		if recover() == nil {
			t.Error("a destroyed secret has bytes")
		}
	}()
	s.Bytes()
}

func TestSecretFromWipesItsSource(t *testing.T) {
	b := []byte("key")
	s := SecretFrom(b)
	defer s.Destroy()
	if string(s.Bytes()) != "key" || !bytes.Equal(b, make([]byte, 3)) {
		t.Error("not moved")
	}
}

func TestSecretsAreSafeForConcurrentUse(t *testing.T) {
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			for range 2000 {
				s := NewSecret(32)
				want := bytes.Repeat([]byte{byte(i)}, 32)
				copy(s.Bytes(), want)
				if !bytes.Equal(s.Bytes(), want) {
					t.Error("a secret was shared")
				}
				s.Destroy()
			}
		})
	}
	wait.Wait()
}

func TestMemoryIsLockedHere(t *testing.T) {
	s := NewSecret(32)
	defer s.Destroy()
	if s.Locked() != MemoryLocked() && s.Locked() {
		t.Log("some other page could not be locked")
	}
	if !s.Locked() {
		t.Log("this machine locks no memory; status warns about it")
	}
}

func TestExpandIsHKDFExpand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), keySize, keySize).Draw(t, "key")
		info := rapid.SliceOfN(rapid.Byte(), 0, maxInfo).Draw(t, "info")
		want, err := hkdf.Expand(sha256.New, key, string(info), keySize)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, keySize)
		expand(got, key, info)
		if !bytes.Equal(got, want) {
			t.Fatalf("got %x, want %x", got, want)
		}
		expand(key, key, info)
		if !bytes.Equal(key, want) {
			t.Fatal("in place it differs")
		}
	})
}

func TestKeySchedulesAreWiped(t *testing.T) {
	g := newGCM(bytes.Repeat([]byte{7}, keySize))
	for _, part := range []any{g.block, g.aead} {
		if reflect.ValueOf(part).Elem().IsZero() {
			t.Fatalf("%T holds no key, so this test sees nothing", part)
		}
	}
	g.wipe()
	for _, part := range []any{g.block, g.aead} {
		if !reflect.ValueOf(part).Elem().IsZero() {
			t.Errorf("%T still holds something", part)
		}
	}
}

func TestTheRatchetAllocatesNothing(t *testing.T) {
	var chain, key [keySize]byte
	if n := testing.AllocsPerRun(100, func() { segmentKey(key[:], chain[:]); step(chain[:]) }); n > 0 {
		t.Errorf("%v allocations per step", n)
	}
}

func TestDoRunsAndPanicsThrough(t *testing.T) {
	ran := false
	func() {
		defer func() { _ = recover() }()
		Do(func() { ran = true; panic("through") })
		t.Error("the panic is lost")
	}()
	if !ran {
		t.Error("f did not run")
	}
}
