package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// keyFiles are what files of keys have held, by their names and when that was.
type keyFiles map[string][]byte

// keyFiles reads all files of keys that there are.
func (s *store) keyFiles(when string) keyFiles {
	s.t.Helper()
	all := keyFiles{}
	for _, glob := range []string{"stores/*/keyring", "stores/*/view.key", "stores/*/epochs/*", "device.key", "../backup.keys"} {
		paths, err := filepath.Glob(filepath.Join(s.dir, glob))
		if err != nil {
			s.t.Fatal(err)
		}
		for _, path := range paths {
			all[filepath.Base(path)+" "+when] = read(s.t, path)
		}
	}
	return all
}

// pieces cuts files into pieces to look for.
func (k keyFiles) pieces() secrets {
	all := secrets{}
	for name, content := range k {
		for at := 0; at+piece <= len(content); at += piece {
			if p := content[at : at+piece]; len(bytes.Trim(p, "\x00")) > 0 {
				all[fmt.Sprintf("%s at %d", name, at)] = p
			}
		}
	}
	return all
}

// inFiles says which secrets are in the files below a folder.
func inFiles(t *testing.T, folder string, wanted secrets) map[string][]string {
	t.Helper()
	s := newSearch(wanted)
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		s.in(bytes.NewReader(content), 0, int64(len(content)), entry.Name())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.where
}

// piecesOf are those that were found, each of which may have several names.
func piecesOf(wanted secrets, found map[string][]string) map[string]bool {
	pieces := map[string]bool{}
	for name := range found {
		pieces[string(wanted[name][:piece])] = true
	}
	return pieces
}

// raw says which secrets stand on the volume's disk, which is taken out for that.
func (v *volume) raw(wanted secrets) map[string][]string {
	v.t.Helper()
	within(v.t, 20*time.Second, "nobody uses the volume", func() bool { return unix.Unmount(v.path, 0) == nil })
	disk, err := os.Open(v.image)
	if err != nil {
		v.t.Fatal(err)
	}
	defer disk.Close()
	s := newSearch(wanted)
	s.in(disk, 0, volumeSize, "the disk")
	return s.where
}

// Of keys that were destroyed, by an erasure, with a passphrase or with other keys, nothing is left
// on the disk, used or free; and no key that opens anything has ever been there in the clear.
func TestNothingOfADestroyedKeyIsOnTheDisk(t *testing.T) {
	if rounds(0, 1) == 0 {
		t.Skip("only in a drill (make drill): ledger/log has the tests of overwriting each file")
	}
	v := newVolume(t, "loop")
	s := newStoreIn(t, v.path+"/data")
	daemon := s.serve()
	var lines strings.Builder
	for i := range 30 {
		fmt.Fprintf(&lines, `{"type":"stepCount","start":%q,"value":%d,"unit":"count"}`+"\n", minute(i).Format(time.RFC3339), i+1)
	}
	s.run("import", s.secret("lines.ndjson", lines.String()))
	s.run("unlock")
	backup := []string{"backup", "--keys", v.path + "/backup.keys"}
	s.run(backup...)
	were, pin := s.keyFiles("at first"), read(t, filepath.Join(s.dir, "pins", s.id()))
	clear := s.keyholder()
	used, _ := clear.epochs(s.log())
	maps.Copy(used, clear.owner)
	used["view key"] = clear.viewKey()
	for step, does := range [][]string{
		{"erase", "--type", "stepCount", "--to", "2024-03-01T00:10:00Z", "--yes"},
		// What is left of the first one goes, and its key.
		{"erase", "--type", "stepCount", "--to", "2024-03-01T00:20:00Z", "--yes"},
		{"rekey"},
		{"recover", "--words-file", filepath.Join(s.work, "words"), "--new-passphrase-file", s.secret("next", "the next one")},
		{"--passphrase-file", s.secret("next", "the next one"), "device", "replace"},
		backup,
	} {
		s.run(does...)
		maps.Copy(were, s.keyFiles(fmt.Sprint("after step ", step)))
	}
	if err := daemon.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = daemon.Wait()

	are := s.keyFiles("now")
	destroyed := maps.Clone(were)
	maps.DeleteFunc(destroyed, func(_ string, content []byte) bool {
		return slices.ContainsFunc(slices.Collect(maps.Values(are)), func(now []byte) bool { return bytes.Equal(now, content) })
	})
	// What they have in common with files that are there is no key, nor are the public keys in the
	// pin before, which is unlinked.
	wanted := destroyed.pieces()
	common := piecesOf(wanted, inFiles(t, v.path, wanted))
	maps.DeleteFunc(wanted, func(_ string, secret []byte) bool { return common[string(secret)] || bytes.Contains(pin, secret) })
	kinds := map[string]int{}
	for name := range destroyed {
		left := 0
		for at := range wanted {
			if strings.HasPrefix(at, name+" at ") {
				left++
			}
		}
		if left < 4 {
			t.Errorf("of %s there are %d pieces to look for", name, left)
		}
		kind, _, _ := strings.Cut(name, "-")
		kinds[strings.Fields(kind)[0]]++
	}
	for _, kind := range []string{"keyring", "view.key", "health", "management", "resealed", "device.key", "backup.keys"} {
		if kinds[kind] == 0 {
			t.Errorf("no %s was destroyed", kind)
		}
	}
	maps.Copy(wanted, used)
	// So that the test can fail: files that are there, and one that was only unlinked.
	there := are.pieces()
	maps.Copy(wanted, there)
	unlinked := make([]byte, 4096)
	rand.Read(unlinked)
	wanted["unlinked"] = unlinked
	path := filepath.Join(v.path, "unlinked")
	write(t, path, unlinked)
	unix.Sync()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	there["unlinked"] = unlinked

	found := v.raw(wanted)
	pieces := piecesOf(wanted, found)
	for name, secret := range there {
		if !pieces[string(secret[:piece])] {
			t.Errorf("the search does not find %s", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if there[name] == nil {
			t.Errorf("%s: %s", name, strings.Join(found[name], "; "))
		}
	}
	t.Logf("looked for %d pieces of %d destroyed files %v and %d keys", len(wanted)-len(there)-len(used), len(destroyed), kinds, len(used))
}
