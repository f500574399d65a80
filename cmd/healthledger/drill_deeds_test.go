package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// A deed is something of which its maker is answered when it is done.
type deed struct {
	name string
	args func(d *drill) []string
	// began and done say what may be, and must be, from then on.
	began, done func(d *drill)
	// first brings the store where the deed is one.
	first func(d *drill)
}

func nothing(*drill) {}

var deeds = []deed{
	{"unlock", func(*drill) []string { return []string{"unlock"} }, nothing, nothing, func(d *drill) { d.run("lock", "--now") }},
	{"lock", func(*drill) []string { return []string{"lock", "--now"} }, nothing, func(d *drill) {
		if left := projectorsOf(d.dir); len(left) > 0 {
			d.t.Errorf("locked, and projectors run: %v", left)
		}
	}, nothing},
	{"grant", func(*drill) []string { return []string{"grant", drillReader, "--read", "heartRate"} },
		func(d *drill) { d.readable = d.readable.or(there) }, func(d *drill) { d.readable = there }, nothing},
	{"revoke", func(*drill) []string { return []string{"revoke", drillReader, "--read", "heartRate"} },
		func(d *drill) { d.readable = d.readable.or(gone) }, func(d *drill) { d.readable = gone }, nothing},
	{"register", func(d *drill) []string {
		return []string{"app", "add", "--manifest", d.secret("manifest", string(manifestOf(d.nextApp())))}
	}, func(d *drill) { d.apps[d.nextApp()] = either }, func(d *drill) { d.apps[fmt.Sprint("com.example.app", len(d.apps))] = there }, nothing},
	{"passphrase", func(d *drill) []string { return []string{"passphrase", "--new-passphrase-file", d.nextPassphrase()} },
		func(d *drill) { d.open = append(d.open, d.nextPassphrase()) }, func(d *drill) { d.open = d.open[1:] }, nothing},
	{"replay", func(*drill) []string { return []string{"replay"} }, nothing, nothing, nothing},
	{"import", func(d *drill) []string { return []string{"import", d.file()} },
		func(d *drill) { d.imported = d.imported.or(there) }, func(d *drill) { d.imported = there }, nothing},
	{"erase", (*drill).eraseArgs, func(d *drill) { d.setFate(d.erasing, either) }, (*drill).wasErased, (*drill).chooseErased},
	{"rekey", func(*drill) []string { return []string{"rekey"} }, nothing, (*drill).wasRekeyed, (*drill).noteKeys},
	{"backup", (*drill).backupArgs, (*drill).beginBackup, (*drill).wasBackedUp, nothing},
}

// chosenDeeds are the deeds of a drill: all, or those that HEALTHLEDGER_DEEDS names.
func chosenDeeds(t *testing.T) []deed {
	t.Helper()
	names := os.Getenv("HEALTHLEDGER_DEEDS")
	if names == "" {
		return deeds
	}
	var some []deed
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(deeds, func(d deed) bool { return d.name == name })
		if i < 0 {
			t.Fatalf("HEALTHLEDGER_DEEDS: there is no deed %q", name)
		}
		some = append(some, deeds[i])
	}
	return some
}

// or is what may be when another fate was asked for and not answered.
func (f fate) or(other fate) fate {
	if f == other {
		return f
	}
	return either
}

func (d *drill) nextApp() string { return fmt.Sprint("com.example.app", len(d.apps)+1) }

// nextPassphrase is a file with another passphrase than the one in use.
func (d *drill) nextPassphrase() string {
	now, next := d.secret("now", passphrase), d.secret("next", "the next one")
	if d.open[0] == now {
		return next
	}
	return now
}

// A running deed is a command that was not answered yet.
type running struct {
	deed
	d      *drill
	cmd    *exec.Cmd
	stderr strings.Builder
	since  time.Time
	ended  chan struct{}
}

// begin starts a deed.
func (d *drill) begin(does deed) *running {
	d.t.Helper()
	args := append([]string{"--passphrase-file", d.open[0]}, does.args(d)...)
	does.began(d)
	r := &running{deed: does, d: d, cmd: d.command(args...), since: time.Now(), ended: make(chan struct{})}
	r.cmd.Stderr = &r.stderr
	if err := r.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	go func() {
		defer close(r.ended)
		_ = r.cmd.Wait()
	}()
	return r
}

// moment waits until a random moment of a deed, sometimes until it is over.
func (r *running) moment() {
	most := r.d.took[r.name]
	if most == 0 {
		// Nobody knows yet; longer than it was given before.
		most = time.Duration(2+r.d.counted(r.name+" interrupted")) * time.Second
	}
	select {
	case <-r.ended:
	case <-time.After(rand.N(most * 5 / 4)):
	}
}

// end ends a deed that has no answer, and takes note of one that has.
func (r *running) end() {
	r.d.t.Helper()
	_ = r.cmd.Process.Kill()
	r.settle()
}

func (r *running) settle() {
	r.d.t.Helper()
	<-r.ended
	switch {
	case r.cmd.ProcessState.Success():
		r.d.count(r.name + " answered")
		r.d.took[r.name] = max(r.d.took[r.name], time.Since(r.since))
		r.done(r.d)
	case r.cmd.ProcessState.Exited():
		r.d.count(r.name + " failed")
	default:
		r.d.count(r.name + " interrupted")
	}
}
