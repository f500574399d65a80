package log

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"healthledger/ledger/seal"
)

var theirKeyring = sha256.Sum256([]byte("the next keyring"))

var rewrapped = []WrapName{{seal.Health, 1}, {seal.Health, 2}, {seal.Management, 1}, {seal.Resealed, 1 << 63}}

func (w WrapName) content(generation int) []byte {
	return fmt.Appendf(nil, "%v %d, for keys %d", w.Class, w.Epoch, generation)
}

// wrapped is a key directory with wraps to keys 1, of which those to keys 2 are staged.
func wrapped(t testing.TB) (*KeyDirectory, string) {
	d, at := newKeyDirectory(t)
	for i, w := range rewrapped {
		ok(t, d.PutWrap(w.Class, w.Epoch, w.content(1)))
		missing, total, err := d.Unstaged(theirKeyring)
		if err != nil || len(missing) != 1 || missing[0] != w || total != i+1 {
			t.Fatalf("%v is missing of %d, %v", missing, total, err)
		}
		ok(t, d.StageWrap(theirKeyring, w, w.content(2)))
		if staged, err := d.StagedWrap(theirKeyring, w); err != nil || !bytes.Equal(staged, w.content(2)) {
			t.Fatalf("%q %v", staged, err)
		}
	}
	return d, at
}

func (d *KeyDirectory) wants(t testing.TB, what string, generation int, but ...WrapName) {
	t.Helper()
	for _, w := range rewrapped {
		if slices.Contains(but, w) {
			continue
		}
		if got, err := d.Wrap(w.Class, w.Epoch); err != nil || !bytes.Equal(got, w.content(generation)) {
			t.Errorf("%s: %q %v", what, got, err)
		}
	}
}

// Whenever a crash comes, the next start ends with whole wraps, all to the keys that the log
// says, and nothing beside them.
func TestReplacingWrapsIsFinishedFromEveryPointOfACrash(t *testing.T) {
	// linked and moved of the wraps were given their second and their new name, then destroyed of
	// those before were overwritten, and unlinked.
	for linked := range len(rewrapped) + 1 {
		for _, moved := range []int{linked - 1, linked} {
			d, at := wrapped(t)
			if moved < 0 {
				continue
			}
			put(t, filepath.Join(d.stagedWraps(theirKeyring), ".health-0000000000000003.0123456789abcdef.tmp"), []byte("half"))
			ok(t, os.Mkdir(filepath.Join(at, oldWraps), folderMode))
			for i, w := range rewrapped[:linked] {
				name := filepath.Base(WrapFile(w.Class, w.Epoch))
				ok(t, os.Link(filepath.Join(at, epochsFolder, name), filepath.Join(at, oldWraps, name)))
				if i < moved {
					ok(t, os.Rename(filepath.Join(d.stagedWraps(theirKeyring), name), filepath.Join(at, epochsFolder, name)))
				}
			}
			d, err := OpenKeyDirectory(at)
			ok(t, err)
			ok(t, d.UseWraps(theirKeyring))
			d.wants(t, fmt.Sprintf("linked %d, moved %d", linked, moved), 2)
			if d.WrapsPending(theirKeyring) {
				t.Error("there is something left to do")
			}
			ok(t, d.UseWraps(theirKeyring))
			ok(t, d.DropWraps(nil))
			if files := inventory(t, at); len(files) != len(rewrapped) {
				t.Errorf("%q are there", files)
			}
		}
	}
	// While they are being destroyed.
	d, at := wrapped(t)
	ok(t, d.UseWraps(theirKeyring))
	old, err := folderNames(filepath.Join(at, oldWraps))
	ok(t, err)
	put(t, filepath.Join(at, oldWraps, old[0]), make([]byte, 10))
	ok(t, os.Remove(filepath.Join(at, oldWraps, old[1])))
	ok(t, d.UseWraps(theirKeyring))
	ok(t, d.DropWraps(nil))
	d.wants(t, "destroyed", 2)
	if files := inventory(t, at); len(files) != len(rewrapped) {
		t.Errorf("%q are there", files)
	}
}

// Without the decision the wraps in use stay, whatever was staged for which keys.
func TestStagedWrapsAreDroppedAndThoseInUseAreNot(t *testing.T) {
	d, at := wrapped(t)
	other := sha256.Sum256([]byte("given up"))
	ok(t, d.StageWrap(other, rewrapped[0], []byte("given up")))
	// From before a crash of a change that a log which was put back does not have.
	ok(t, os.Mkdir(filepath.Join(at, oldWraps), folderMode))
	name := filepath.Base(WrapFile(rewrapped[0].Class, rewrapped[0].Epoch))
	ok(t, os.Link(filepath.Join(at, epochsFolder, name), filepath.Join(at, oldWraps, name)))
	ok(t, d.DropWraps(&theirKeyring))
	if missing, _, err := d.Unstaged(theirKeyring); err != nil || len(missing) > 0 || d.WrapsPending(other) {
		t.Errorf("%v, %v", missing, err)
	}
	ok(t, d.DropWraps(nil))
	d.wants(t, "dropped", 1)
	if files := inventory(t, at); len(files) != len(rewrapped) {
		t.Errorf("%q are there", files)
	}
}

// The files that held the wraps before hold zeros when their names are gone.
func TestTheWrapsBeforeAreOverwritten(t *testing.T) {
	d, at := wrapped(t)
	var held []*os.File
	for _, w := range rewrapped {
		file, err := os.Open(filepath.Join(at, WrapFile(w.Class, w.Epoch)))
		ok(t, err)
		defer file.Close()
		held = append(held, file)
	}
	ok(t, d.UseWraps(theirKeyring))
	ok(t, d.DropWraps(nil))
	for _, file := range held {
		content := make([]byte, 64)
		n, _ := file.ReadAt(content, 0)
		if n == 0 || !bytes.Equal(content[:n], make([]byte, n)) {
			t.Errorf("%s still holds %q", file.Name(), content[:n])
		}
	}
}

// An epoch that was erased meanwhile stays erased, and one that was begun stays as it is.
func TestUsingWrapsBringsNothingBack(t *testing.T) {
	d, _ := wrapped(t)
	ok(t, d.DestroyWraps(rewrapped[0].Class, rewrapped[0].Epoch))
	fresh := WrapName{seal.Health, 3}
	ok(t, d.PutWrap(fresh.Class, fresh.Epoch, fresh.content(2)))
	ok(t, d.UseWraps(theirKeyring))
	ok(t, d.DropWraps(nil))
	if _, err := d.Wrap(rewrapped[0].Class, rewrapped[0].Epoch); !errors.Is(err, ErrNoWrap) {
		t.Error(err)
	}
	d.wants(t, "used", 2, rewrapped[0])
	if got, err := d.Wrap(fresh.Class, fresh.Epoch); err != nil || !bytes.Equal(got, fresh.content(2)) {
		t.Errorf("%q %v", got, err)
	}
}

// A crash while a wrap was staged a second time leaves another name of the one that is used.
func TestASecondNameOfAStagedWrapDoesNotTakeItAway(t *testing.T) {
	d, at := wrapped(t)
	staged := d.stagedWraps(theirKeyring)
	name := filepath.Base(WrapFile(rewrapped[0].Class, rewrapped[0].Epoch))
	ok(t, os.Link(filepath.Join(staged, name), filepath.Join(staged, "."+name+".00.tmp")))
	ok(t, d.UseWraps(theirKeyring))
	ok(t, d.DropWraps(nil))
	d.wants(t, "used", 2)
	if files := inventory(t, at); len(files) != len(rewrapped) {
		t.Errorf("%q are there", files)
	}
}

func TestWrapsOfAnUnknownClassAreNotPassedOver(t *testing.T) {
	d, at := wrapped(t)
	put(t, filepath.Join(at, epochsFolder, "another-0000000000000001"), nil)
	if _, err := d.AllWraps(); err == nil {
		t.Error("passed over")
	}
}
