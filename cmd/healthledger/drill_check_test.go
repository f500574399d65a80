package main

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// unlock opens the store with one of the passphrases that may open it, and wants no other to.
func (d *drill) unlock() {
	d.t.Helper()
	if len(d.open) > 1 {
		d.open = []string{d.opensWith(d.open[0], d.open[1])}
	}
	if stderr, ok := d.owns("unlock"); !ok {
		d.t.Fatalf("unlock: %s", stderr)
	}
}

// check compares the store, which is unlocked then, with what it has answered.
func (d *drill) check() {
	d.t.Helper()
	d.again()
	d.unlock()
	d.checkErased()
	d.checkBeats(d.beats)
	d.checkImport(d.imported)
	d.checkDecisions()
	d.checkKeys()
	d.checkView(d.open[0])
	d.checkBackup()
	if d.t.Failed() {
		d.t.FailNow()
	}
}

// checkBeats compares the writer's samples with what was answered of them.
func (s *store) checkBeats(answered map[int64]fate) {
	s.t.Helper()
	found := map[int64]bool{}
	for _, row := range s.samples("heartRate", "--owner") {
		n := row.Start.Unix() - 1_700_000_000
		if found[n] {
			s.t.Errorf("sample %d is there twice", n)
		}
		found[n] = true
	}
	for n, fate := range answered {
		if !fate.agrees(found[n]) {
			s.t.Errorf("sample %d: found: %v, and what was answered is %d", n, found[n], fate)
		}
		delete(found, n)
	}
	if len(found) > 0 {
		s.t.Errorf("samples that nobody saved: %v", found)
	}
}

func (s *store) checkImport(answered fate) {
	s.t.Helper()
	values := map[float64]bool{}
	rows := s.samples("stepCount", "--owner")
	for _, row := range rows {
		if values[row.Value] || row.Value < 1 || row.Value > drillImport || !row.Start.Equal(minute(int(row.Value)-1)) {
			s.t.Errorf("imported twice, or never: %+v", row)
		}
		values[row.Value] = true
	}
	if answered == there && len(rows) != drillImport {
		s.t.Errorf("%d samples of an import of %d", len(rows), drillImport)
	}
}

// checkView wants the log to be as it was written, and the view to be what it gives.
func (s *store) checkView(passphrase string) {
	s.t.Helper()
	if out, stderr, code := s.exec("log", "verify"); code != 0 {
		s.t.Errorf("the log of %s is not as it was written: %s%s", filepath.Base(s.dir), out, stderr)
	}
	if out, stderr, code := s.exec("--passphrase-file", passphrase, "replay", "--check"); code != 0 {
		s.t.Errorf("the view of %s is not what the log gives: %s%s", filepath.Base(s.dir), out, stderr)
	}
}

// checkDecisions looks for the owner's decisions in what follows from them. From then on
// what was found is what must be.
func (d *drill) checkDecisions() {
	d.t.Helper()
	reads := len(d.samples("heartRate", "--app", drillReader, "--limit", "1")) > 0
	if any := slices.Contains(slices.Collect(maps.Values(d.beats)), there); any && !d.readable.agrees(reads) {
		d.t.Errorf("the app reads: %v, and what was answered is %d", reads, d.readable)
	} else if any {
		d.readable = map[bool]fate{true: there, false: gone}[reads]
	}
	listed := map[string]bool{}
	for decoder := json.NewDecoder(strings.NewReader(d.run("--json", "app", "list"))); decoder.More(); {
		var app struct {
			Manifest struct{ BundleId string }
		}
		if err := decoder.Decode(&app); err != nil {
			d.t.Fatal(err)
		}
		listed[app.Manifest.BundleId] = true
	}
	for id, fate := range d.apps {
		if !fate.agrees(listed[id]) {
			d.t.Errorf("app %s is registered: %v, and what was answered is %d", id, listed[id], fate)
		}
	}
}
