package backup

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"

	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var store = seal.StoreID([]byte("aaaaaaaaaaaaaaaa"))

// tester is what a test and rapid have in common.
type tester interface {
	Helper()
	Fatal(args ...any)
}

func checkpointOf(t tester, payloads [][]byte) (tree.Checkpoint, []byte) {
	t.Helper()
	private := ed25519.NewKeyFromSeed(make([]byte, 32))
	key, err := tree.DeviceKey(store.String(), private.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	var all tree.Tree
	for _, p := range payloads {
		all.Append(tree.Leaf(p))
	}
	c := tree.Checkpoint{Origin: key.Name(), Size: all.Size(), Root: all.Root()}
	signed, err := c.Sign(note.Verifier(key), func(message []byte) []byte { return ed25519.Sign(private, message) })
	if err != nil {
		t.Fatal(err)
	}
	return c, signed
}

// backUp brings a file up to the payloads, and returns how many of them were new.
func backUp(t tester, path string, payloads [][]byte) int {
	t.Helper()
	l, err := OpenLog(path, store, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	before := int(l.Size())
	for _, p := range payloads[before:] {
		if err := l.Append(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Commit(checkpointOf(t, payloads)); err != nil {
		t.Fatal(err)
	}
	return len(payloads) - before
}

func restored(path string) (payloads [][]byte, behind int64, err error) {
	s, err := OpenSource(path)
	if err != nil {
		return nil, 0, err
	}
	r := &reread{}
	err = s.Each(context.Background(), r)
	return r.payloads, s.Behind, err
}

// reread takes note of what is in a file, nil for what is gone.
type reread struct {
	payloads    [][]byte
	decisions   []*pb.SignedDecision
	checkpoints int
}

func (r *reread) Segment(_ uint64, payload []byte) error {
	r.payloads = append(r.payloads, payload)
	return nil
}

func (r *reread) Gone(from, to uint64, decisions []*pb.SignedDecision) error {
	r.payloads, r.decisions = append(r.payloads, make([][]byte, to-from+1)...), append(r.decisions, decisions...)
	return nil
}

func (r *reread) Checkpoint([]byte) error { r.checkpoints++; return nil }

// Whatever byte a crash stops the writing at, the next backup goes on from what is there, and
// what was complete before stays.
func TestABackupGoesOnFromWhereverItBrokeOff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "backup")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		path := filepath.Join(dir, "log")
		payload := rapid.SliceOfN(rapid.Byte(), 1, 40)
		payloads := rapid.SliceOfN(payload, 1, 6).Draw(t, "payloads")
		committed := rapid.IntRange(1, len(payloads)).Draw(t, "committed")
		backUp(t, path, payloads[:committed])
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		backUp(t, path, payloads)
		all, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		end := rapid.IntRange(len(whole), len(all)).Draw(t, "end")
		zeros := rapid.IntRange(0, 50).Draw(t, "zeros")
		if err := os.WriteFile(path, append(all[:end:end], make([]byte, zeros)...), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, _, err := restored(path); err != nil || len(got) < committed || !equal(got, payloads[:len(got)]) {
			t.Fatalf("%d of %d segments are left: %v", len(got), committed, err)
		}
		backUp(t, path, payloads)
		if got, behind, err := restored(path); err != nil || behind != 0 || !equal(got, payloads) {
			t.Fatalf("%q, %d bytes behind, %v", got, behind, err)
		}
	})
}

func equal(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

func TestEveryFlippedBitOfABackupIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	payloads := [][]byte{[]byte("one"), []byte("two")}
	backUp(t, path, payloads)
	all, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	keys := (&Keys{Store: store, Files: []KeyFile{{"keyring", []byte("k")}}, Size: 2, Checkpoint: []byte("note")}).encode()
	// Of each byte one: it is the checksum that sees them, and it sees any.
	for i := range all {
		bit := i*8 + i%8
		flipped := bytes.Clone(all)
		flipped[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(path, flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		// What makes a frame seem longer than the file makes it seem to have broken off.
		if got, _, err := restored(path); !errors.Is(err, ErrDamaged) && len(got) > 0 {
			t.Fatalf("bit %d: %q, %v", bit, got, err)
		}
	}
	for bit := range len(keys) * 8 {
		flipped := bytes.Clone(keys)
		flipped[bit/8] ^= 1 << (bit % 8)
		var damage *DamageError
		if _, err := parseKeys(bytes.NewReader(flipped)); !errors.As(err, &damage) || damage.Offset > int64(bit/8) {
			t.Fatalf("bit %d: %v", bit, err)
		}
	}
	for end := range len(keys) {
		if _, err := parseKeys(bytes.NewReader(keys[:end])); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut at %d: %v", end, err)
		}
	}
}

// Where the newer keys are missing, what goes with the older ones can be read alone.
func TestABackupIsReadUpToItsKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	all := [][]byte{[]byte("one"), []byte("two"), []byte("three")}
	backUp(t, path, all[:2])
	backUp(t, path, all)
	for until, left := range map[uint64]uint64{2: 1, 3: 0, 4: 0} {
		s, err := OpenSource(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Until(until); got != left {
			t.Errorf("until %d: %d are left out", until, got)
		}
		r := &reread{}
		err = s.Each(t.Context(), r)
		if want := min(int(until), 3); err != nil || len(r.payloads) != want || s.Size() != uint64(want) || r.checkpoints != want-1 {
			t.Errorf("until %d: %d segments, %d checkpoints, %v", until, len(r.payloads), r.checkpoints, err)
		}
	}
}

func TestABackupOfAnotherLogIsRefusedAndUntouched(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	backUp(t, path, [][]byte{[]byte("one"), []byte("two")})
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	l, err := OpenLog(path, store, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenLog(path, store, nil); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	if err := l.Append([]byte("three")); err != nil {
		t.Fatal(err)
	}
	if err := l.Commit(checkpointOf(t, [][]byte{[]byte("one"), []byte("2"), []byte("three")})); !errors.Is(err, ErrOtherLog) {
		t.Fatal(err)
	}
	l.Close()
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Fatal("the file was changed", err)
	}
	if _, err := OpenLog(path, seal.NewStoreID(), nil); !errors.Is(err, ErrOtherStore) {
		t.Error(err)
	}
}

func TestKeysOfABackupAreForTheirUserAndTheOnesBeforeAreOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	k := &Keys{Store: store, Files: []KeyFile{{"keyring", []byte("k")}, {"epochs/health-0000000000000001", []byte("w\x00w")}}, Size: 7, Checkpoint: []byte("note")}
	if replaced, err := WriteKeys(path, k); err != nil || replaced {
		t.Fatal(replaced, err)
	}
	witness := filepath.Join(t.TempDir(), "witness")
	if err := os.Link(path, witness); err != nil {
		t.Fatal(err)
	}
	// What a crash in the middle of replacing it has left.
	leftover := filepath.Join(filepath.Dir(path), ".keys.0011223344556677.tmp")
	if err := os.Link(path, leftover); err != nil {
		t.Fatal(err)
	}
	k.Size++
	if replaced, err := WriteKeys(path, k); err != nil || !replaced {
		t.Fatal(replaced, err)
	}
	if content, err := os.ReadFile(witness); err != nil || len(bytes.Trim(content, "\x00")) > 0 {
		t.Fatal("the one before is on the disk", err)
	}
	if _, err := os.Lstat(leftover); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Error(info.Mode(), err)
	}
	got, err := ReadKeys(path)
	if err != nil || got.Size != 8 || !bytes.Equal(got.Find("epochs/health-0000000000000001"), []byte("w\x00w")) {
		t.Fatal(got, err)
	}
}

func golden(t *testing.T, name string, content []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(hex.Dump(content)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.Dump(content); got != string(want) {
		t.Errorf("%s:\n%s", name, got)
	}
}

func TestFormatsAreWhatTheyWere(t *testing.T) {
	for name, magic := range map[string]string{"log.hex": logMagic1, "log2.hex": logMagic} {
		b := appendHeader(nil, magic, store)
		for i, payload := range []string{"one", "two"} {
			b = appendFrame(b, frame{kindSegment, uint64(i) + 1, []byte(payload)})
			b = appendFrame(b, frame{kindCheckpoint, uint64(i) + 1, []byte("note")})
		}
		golden(t, name, b)
		r := &reread{}
		if _, size, _, err := readLog(bytes.NewReader(b), r); err != nil || size != 2 || len(r.payloads) != 2 {
			t.Error(name, size, err)
		}
	}
	golden(t, "gone.hex", withLoss())
	r := &reread{}
	if _, size, _, err := readLog(bytes.NewReader(withLoss()), r); err != nil || size != 5 || len(r.payloads) != 5 || len(r.decisions) != 1 {
		t.Error(size, err)
	}
	golden(t, "keys.hex", (&Keys{Store: store, Files: []KeyFile{{"keyring", []byte("k")}}, Size: 2, Checkpoint: []byte("note")}).encode())
}

func FuzzLogFile(f *testing.F) {
	b := appendHeader(nil, logMagic, store)
	b = appendFrame(b, frame{kindSegment, 1, []byte("one")})
	f.Add(appendFrame(b, frame{kindCheckpoint, 1, []byte("note")}))
	f.Add(withLoss())
	f.Fuzz(func(t *testing.T, content []byte) {
		again := &rewritten{b: bytes.Clone(content[:min(len(content), headerSize)])}
		_, _, end, err := readLog(bytes.NewReader(content), again)
		if err == nil && (!bytes.HasPrefix(content, again.b) || end > int64(len(again.b))) {
			t.Fatal("another file has the same log")
		}
	})
}

func FuzzKeysFile(f *testing.F) {
	f.Add((&Keys{Store: store, Files: []KeyFile{{"keyring", []byte("k")}}, Size: 2, Checkpoint: []byte("note")}).encode())
	f.Fuzz(func(t *testing.T, content []byte) {
		k, err := parseKeys(bytes.NewReader(content))
		if err == nil && !bytes.Equal(k.encode(), content) {
			t.Fatal("another file has the same keys")
		}
	})
}
