//go:build goexperiment.runtimesecret && !race

// The race detector has memory of its own and makes the search twenty times
// slower; without it the test sees what the product does.

package seal

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// These tests read the whole memory of their own process and look for keys that
// must be gone. What is looked for is kept masked, so that the search does not
// find itself.

const mask = 0xa5

// wanted is 16 bytes of a key, masked; half a key is a find.
type wanted struct {
	name   string
	masked [16]byte
}

// hide remembers both ends of a secret. b must be off the heap.
func hide(name string, b []byte) []wanted {
	w := []wanted{{name: name + ", begin"}, {name: name + ", end"}}
	Do(func() {
		for i := range 16 {
			w[0].masked[i] = b[i] ^ mask
			w[1].masked[i] = b[len(b)-16+i] ^ mask
		}
	})
	return w
}

// search counts where each wanted piece stands in the process's memory.
func search(t *testing.T, list []wanted) map[string]int {
	t.Helper()
	const window, overlap = 1 << 20, 15
	buf, err := unix.Mmap(-1, 0, window+4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(buf)
	buffer := uint64(uintptr(unsafe.Pointer(&buf[0])))

	// Most positions are dismissed by the low half of their first word.
	var candidates [1 << 16]bool
	for _, w := range list {
		candidates[binary.LittleEndian.Uint16(w.masked[:])] = true
	}
	found := map[string]int{}
	scan := func(b []byte) {
		for at := 0; at+16 <= len(b); at++ {
			if !candidates[binary.LittleEndian.Uint16(b[at:])^(mask<<8|mask)] {
				continue
			}
			for i := range list {
				same := true
				for j := range 16 {
					same = same && b[at+j]^mask == list[i].masked[j]
				}
				if same {
					found[list[i].name]++
				}
			}
		}
	}

	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Skip("this system does not show a process its memory: ", err)
	}
	defer memory.Close()
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	var zeros [4096]byte
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to uint64
		var rights string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &rights); err != nil {
			t.Fatal(err)
		}
		// Larger than 1 GiB is what the race detector reserves for itself.
		if !strings.HasPrefix(rights, "rw") || to-from > 1<<30 || from == buffer {
			continue
		}
		for ; from < to; from += window {
			b := buf[:min(window+overlap, to-from)]
			if _, err := memory.ReadAt(b, int64(from)); err != nil {
				continue // unmapped since, or a page of the kernel's
			}
			for at := 0; at < min(len(b), window); at += len(zeros) {
				page := b[at:min(at+len(zeros)+overlap, len(b))]
				if len(page) >= len(zeros) && [4096]byte(page[:4096]) == zeros {
					continue // a match begins with no zero page: keys are random
				}
				scan(page)
			}
		}
	}
	return found
}

// searchUntilGone collects garbage until nothing is found. What crypto/ed25519
// remembers takes a few rounds: a collection sees the key go, a cleanup drops
// the expanded one, a collection erases it.
func searchUntilGone(t *testing.T, list []wanted) map[string]int {
	t.Helper()
	var found map[string]int
	for range 6 {
		runtime.GC()
		runtime.GC()
		if found = search(t, list); len(found) == 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return found
}

// aside runs f on a goroutine of its own, whose stack is then gone.
func aside(f func()) {
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	<-done
}

func TestTheWriterForgetsWhatItSealed(t *testing.T) {
	const segments = 40
	h, d := theHouse(), directory{}
	var epoch *Epoch
	var used, next []wanted
	aside(func() {
		epoch = h.epoch(t, d, Health, 1)
		for seq := range uint64(segments) {
			if seq == segments/2 {
				runtime.GC() // moves stacks
			}
			h.seal(t, epoch, seq, make([]byte, 100*seq))
		}
	})
	defer epoch.Destroy()
	aside(func() {
		root, err := openWrap(d[wrapName{Health, 1}], h.store, Health, 1, h.owner.sealing, h.owner.public.StoreKey)
		if err != nil {
			t.Error(err)
			return
		}
		defer root.Destroy()
		used = hide("the root", root.Bytes())
		chain, key := NewSecret(keySize), NewSecret(keySize)
		defer chain.Destroy()
		defer key.Destroy()
		Do(func() { startChain(chain.Bytes(), root.Bytes(), h.store, Health, 1) })
		for i := range segments {
			Do(func() { segmentKey(key.Bytes(), chain.Bytes()) })
			used = append(used, hide(fmt.Sprintf("segment key %d", i), key.Bytes())...)
			used = append(used, hide(fmt.Sprintf("chain key %d", i), chain.Bytes())...)
			Do(func() { step(chain.Bytes()) })
		}
		next = hide("the next chain key", chain.Bytes())
	})

	runtime.GC()
	runtime.GC()
	if found := search(t, used); len(found) > 0 {
		t.Errorf("still in memory: %v", found)
	}
	// The controls: a search that finds nothing may be blind.
	found := search(t, next)
	for _, w := range next {
		if found[w.name] != 1 {
			t.Errorf("%s: found %d times, want once, in the epoch", w.name, found[w.name])
		}
	}
	control := NewSecret(keySize)
	copy(control.Bytes(), newKey().Bytes())
	pattern := hide("control", control.Bytes())
	heap := append([]byte(nil), control.Bytes()...)
	control.Destroy()
	for _, w := range pattern {
		if found := search(t, pattern); found[w.name] == 0 {
			t.Errorf("%s: a key left on the heap is not found", w.name)
		}
	}
	runtime.KeepAlive(heap)
}

func TestDestroyedOwnerKeysLeaveNothing(t *testing.T) {
	passphrase := newKey()
	defer passphrase.Destroy()
	var list []wanted
	var keyring []byte
	store := NewStoreID()
	d := directory{}
	aside(func() {
		content, words, keys, err := NewKeyring(store, passphrase.Bytes(), MinCost)
		if err != nil {
			t.Error(err)
			return
		}
		keyring = content
		entropy, err := parseWords([]byte(words))
		if err != nil {
			t.Error(err)
			return
		}
		list = append(list, hide("the words' entropy", entropy.Bytes())...)
		entropy.Destroy()
		text := NewSecret(len(words))
		copy(text.Bytes(), words)
		list = append(list, hide("the words", text.Bytes())...)
		text.Destroy()
		recovered, err := mustParse(content).Recover([]byte(words))
		if err != nil {
			t.Error(err)
			return
		}
		recovered.Sign([]byte("x"))
		recovered.Destroy()
		list = append(list, hide("the store's private key", keys.sealing.Bytes())...)
		list = append(list, hide("the owner's signing key", keys.signing.Bytes())...)
		keys.Sign([]byte("y"))
		keys.Destroy()
	})
	aside(func() {
		offer, err := NewOffer()
		if err != nil {
			t.Error(err)
			return
		}
		list = append(list, hide("the offer's key", offer.private.Bytes())...)
		sealed, err := SealPassphrase(offer.PublicKey(), passphrase.Bytes())
		if err != nil {
			t.Error(err)
			return
		}
		arrived, err := offer.Open(sealed)
		if err != nil {
			t.Error(err)
			return
		}
		keys, err := mustParse(keyring).Open(arrived.Bytes())
		arrived.Destroy()
		if err != nil {
			t.Error(err)
			return
		}
		e, wrap, err := NewEpoch(store, Health, 1, [][]byte{keys.PublicKeys().StoreKey})
		if err != nil {
			t.Error(err)
			return
		}
		d[wrapName{Health, 1}] = wrap
		payload, err := e.Seal(1, theHouse().device, nil, []byte("x"))
		if err != nil {
			t.Error(err)
			return
		}
		e.Destroy()
		s, _ := ParseSegment(payload)
		o := keys.Opener(store, d)
		if _, err := o.Open(s, 1, nil); err != nil {
			t.Error(err)
		}
		list = append(list, hide("an epoch's root", o.positions[0].root.Bytes())...)
		list = append(list, hide("an epoch's chain key", o.positions[0].chain.Bytes())...)
		o.Destroy()
		derived := keys.Derive("view")
		list = append(list, hide("a derived key", derived.Bytes())...)
		derived.Destroy()
		keys.Sign([]byte("z"))
		keys.Destroy()
	})
	if t.Failed() {
		return
	}
	if found := searchUntilGone(t, list); len(found) > 0 {
		t.Errorf("still in memory: %v", found)
	}
	// The passphrase is in the caller's Secret and nowhere else.
	for name, n := range search(t, hide("the passphrase", passphrase.Bytes())) {
		if n != 1 {
			t.Errorf("%s: found %d times, want once", name, n)
		}
	}
}
