package main

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

// What a drill knows of erasing, of the store's keys, and of backups.

// chooseErased chooses what is erased next: what was to be and was not, or a sample that was
// acknowledged under its writer's UUID.
func (d *drill) chooseErased() {
	d.t.Helper()
	if d.erasing != 0 {
		d.count("erased again")
		return
	}
	c := d.dial(drillWriter)
	defer c.Close()
	for d.erasing == 0 {
		n, request := d.take()
		if err := d.save(d.t.Context(), c, n, request); err != nil {
			d.t.Fatal(err)
		}
		d.mu.Lock()
		for n, fate := range d.beats {
			// Those of odd numbers have no UUID of their writer's.
			if fate == there && n%2 == 0 {
				d.erasing = n
			}
		}
		d.mu.Unlock()
	}
}

func (d *drill) eraseArgs() []string {
	return []string{"erase", "--sample", beatUUID(d.erasing), "--yes"}
}

func (d *drill) setFate(n int64, f fate) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.beats[n] = f
}

func (d *drill) wasErased() {
	d.setFate(d.erasing, gone)
	d.erased, d.erasing = append(d.erased, d.erasing), 0
}

// checkErased wants what a crash has left of an erasure to be finished by another, its keys to be
// destroyed, and nothing to come back when its writer saves it once more.
func (d *drill) checkErased() {
	d.t.Helper()
	if d.erasing != 0 && rand.IntN(2) == 0 {
		if stderr, ok := d.owns(d.eraseArgs()...); !ok {
			d.t.Errorf("erased again: %s", stderr)
		}
		d.count("erased again")
		d.wasErased()
	}
	if d.erasing != 0 || len(d.erased) == 0 {
		return
	}
	if out, stderr, code := d.exec("erase", "--prove"); code != 0 {
		d.t.Errorf("keys that were destroyed are there: %s%s", out, stderr)
	}
	c := d.dial(drillWriter)
	defer c.Close()
	n := d.erased[len(d.erased)-1]
	if _, err := c.Health().Save(d.t.Context(), beat(n)); err != nil {
		d.t.Errorf("saved once more: %v", err)
	}
}

// keys is the store's keyring.
func (d *drill) keys() *pb.Keyring {
	d.t.Helper()
	keyring := &pb.Keyring{}
	if err := proto.Unmarshal(read(d.t, filepath.Join(d.keyFolder(), "keyring")), keyring); err != nil {
		d.t.Fatal(err)
	}
	return keyring
}

func (d *drill) keyFolder() string { return filepath.Join(d.dir, "stores", d.id()) }

// noteKeys takes note of the keys that are to be replaced.
func (d *drill) noteKeys() { d.replacing = d.keys().GetStoreKey() }

func (d *drill) wasRekeyed() { d.retired = append(d.retired, d.replacing) }

// checkKeys wants the keys in use to be none that others have followed on.
func (d *drill) checkKeys() {
	d.t.Helper()
	now := d.keys().GetStoreKey()
	if slices.ContainsFunc(d.retired, func(key []byte) bool { return bytes.Equal(key, now) }) {
		d.t.Error("the store has keys again that were replaced")
	}
}

// checkSettled wants a daemon that was started to have left nothing of keys that are not in use.
func (d *drill) checkSettled() {
	d.t.Helper()
	var left []string
	entries, err := os.ReadDir(d.keyFolder())
	if err != nil {
		d.t.Fatal(err)
	}
	for _, e := range entries {
		for _, prefix := range []string{"keyring.", "epochs.", "."} {
			if strings.HasPrefix(e.Name(), prefix) {
				left = append(left, e.Name())
			}
		}
	}
	if len(left) > 0 {
		d.t.Errorf("left in the key directory: %q", left)
	}
}

// keptBackup is what a backup must bring back, and the passphrase that opens it.
type keptBackup struct {
	beats    map[int64]fate
	imported fate
	open     string
	// since is another that has broken off since then, all of which may be in the files.
	since *keptBackup
}

// backupNow is what a backup must bring back that is made now.
func (d *drill) backupNow() *keptBackup {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &keptBackup{beats: maps.Clone(d.beats), imported: d.imported, open: d.open[0]}
}

func (d *drill) backupArgs() []string {
	beside := filepath.Dir(d.dir)
	return []string{"backup", "--log", filepath.Join(beside, "backup.log"), "--keys", filepath.Join(beside, "backup.keys")}
}

func (d *drill) beginBackup() {
	d.copying = d.backupNow()
	if d.backup != nil {
		d.backup.since = d.copying
	}
}

func (d *drill) wasBackedUp() {
	now := d.backupNow()
	now.beats = sometime(d.copying.beats, now.beats)
	d.backup = now
}

// sometime is what may be found of samples at some time between two.
func sometime(before, now map[int64]fate) map[int64]fate {
	all := map[int64]fate{}
	for n, fate := range now {
		all[n] = either
		if then, ok := before[n]; ok && then == fate {
			all[n] = fate
		}
	}
	return all
}

// checkBackup makes a store of the last backup that was answered, and wants everything in it.
func (d *drill) checkBackup() {
	d.t.Helper()
	if d.backup == nil {
		return
	}
	s := &store{t: d.t, work: d.work, dir: filepath.Join(d.t.TempDir(), "restored")}
	args := append([]string{"restore"}, d.backupArgs()[1:]...)
	out, stderr, code := s.exec(args...)
	since := d.backup.since
	if code != 0 && since != nil && strings.Contains(stderr, "the keys are too old") {
		// It broke off between its files.
		d.count("backups restored up to their keys")
		since = nil
		out, stderr, code = s.exec(append(args, "--up-to-keys")...)
	}
	if code != 0 {
		d.t.Errorf("a backup is not restored: %s%s", out, stderr)
		return
	}
	d.count("backups restored")
	daemon := s.serve()
	beats, imported, opens := d.backup.beats, d.backup.imported, d.backup.open
	if since != nil {
		beats, imported = sometime(beats, d.beats), imported.or(d.imported)
		if since.open != opens {
			opens = s.opensWith(opens, since.open)
		}
	}
	s.run("--passphrase-file", opens, "unlock")
	s.checkBeats(beats)
	s.checkImport(imported)
	s.checkView(opens)
	kill(d.t, daemon)
}
