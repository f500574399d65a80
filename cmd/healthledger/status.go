package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	pb "healthledger/proto/healthledger/v1"
)

type statusCmd struct{}

func (c *statusCmd) Run(ctx context.Context, g *globals) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	s, err := o.Owner().Status(ctx, &pb.StatusRequest{})
	if err != nil {
		return err
	}
	if g.JSON {
		return g.printMessage(s)
	}
	w := tabwriter.NewWriter(g.out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "Store\t%s\n", s.GetStore())
	fmt.Fprintf(w, "State\t%s\n", stateName(s.GetState()))
	if s.GetAwaitsOwner() {
		fmt.Fprintln(w, "Writes\trefused: another daemon was the last to write this log. Unlock the store here once")
	}
	if s.GetDetailed() {
		printStatus(w, s, time.Now())
	}
	return w.Flush()
}

func stateName(s pb.LockState) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "LOCK_STATE_"))
}

// printStatus prints what only the owner is told, as a worried one wants to read it.
func printStatus(w io.Writer, s *pb.StatusResponse, now time.Time) {
	row := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	if at := s.GetLocksAt(); at != nil {
		row("Locks", "%s, in %s", at.AsTime().Local().Format(time.DateTime), about(at.AsTime().Sub(now)))
	}
	row("Log", "%d segments, %s%s", s.GetLogSegments(), byteSize(s.GetLogBytes()), lastWrite(s, now))
	if at := s.GetCheckpointTime(); at != nil {
		row("Checkpoint", "of %d segments, %s", s.GetCheckpointSize(), at.AsTime().Local().Format(time.DateTime))
	}
	row("Verified", "%s", lastVerify(s.GetVerified()))
	row("View", "%d segments, %d samples, %d came again", s.GetViewSegments(), s.GetViewSamples(), s.GetViewDuplicates())
	if behind := int64(s.GetLogSegments() - s.GetViewSegments()); behind > 0 {
		row("Backlog", "%d segments are not in the view yet", behind)
	} else {
		row("Backlog", "none: all of the log is in the view")
	}
	if n := s.GetViewIncomplete(); n > 0 {
		row("Incomplete", "%d objects were left out: parts of their payload are missing", n)
	}
	if s.GetDisk() != nil {
		row("Disk", "%s", roomLeft(s.GetDisk()))
	}
	row("Policy", "implausible values: %s", policyName(s.GetPlausibility()))
	row("Kept", "%s", keptText(s))
	if why := s.GetStopped(); why != "" {
		row("Stopped", "nothing is read: %s", printable(why))
	}
	for _, l := range s.GetLosses() {
		row("Lost", "%s", acceptedLoss(l))
	}
	for _, warning := range s.GetWarnings() {
		row("Warning", "%s", printable(warning))
	}
	for _, f := range s.GetFaults() {
		row("Fault", "%s: %s: %s", placeOf(f), f.GetKind(), printable(f.GetWhy()))
	}
	if more := s.GetMoreFaults(); more > 0 {
		row("Fault", "and %d more", more)
	}
	if len(s.GetFaults()) > 0 {
		row("To do", "stop the daemon, keep a copy of the data directory as it is, and put back a backup of what is lost, or go on without it (unlock --accept-loss); until then nothing is read")
	}
}

// lastVerify says how the last verification ended.
func lastVerify(v *pb.Verified) string {
	if v == nil {
		return "never (log verify)"
	}
	result := "sound"
	if n := v.GetFaults(); n > 0 {
		result = counted(n, "fault", "faults")
	}
	how := "without opening them"
	if v.GetOpened() > 0 {
		how = "opened"
	}
	return fmt.Sprintf("%s, %d segments %s: %s", v.GetTime().AsTime().Local().Format(time.DateTime), v.GetSegments(), how, result)
}

func lastWrite(s *pb.StatusResponse, now time.Time) string {
	if s.GetLastWrite() == nil {
		return ""
	}
	at := s.GetLastWrite().AsTime()
	if at.After(now) { // a warning says so
		return ", last written " + at.Local().Format(time.DateTime)
	}
	return fmt.Sprintf(", last written %s, %s ago", at.Local().Format(time.DateTime), about(now.Sub(at)))
}

// roomLeft says how much is left, and for how long.
func roomLeft(d *pb.Disk) string {
	left, reserve := byteSize(d.GetFreeBytes())+" left", byteSize(d.GetReserveBytes())
	lasts := ""
	if d.GetLasts() != nil {
		lasts = about(d.GetLasts().AsDuration()) + " at the pace of the last day"
	}
	switch free := d.GetFreeBytes(); {
	case free < d.GetLastBytes():
		return fmt.Sprintf("%s, less than the %s without which nothing is written", left, byteSize(d.GetLastBytes()))
	case free < d.GetReserveBytes() && lasts != "":
		return fmt.Sprintf("%s, less than the reserve of %s, which lasts for %s", left, reserve, lasts)
	case free < d.GetReserveBytes():
		return fmt.Sprintf("%s, less than the reserve of %s", left, reserve)
	case d.GetReserveBytes() == 0:
		return left
	case lasts != "":
		return fmt.Sprintf("%s; down to the reserve of %s in %s", left, reserve, lasts)
	}
	return fmt.Sprintf("%s; writes stop at the reserve of %s", left, reserve)
}

// about says a duration as people do.
func about(d time.Duration) string {
	const day = 24 * time.Hour
	for _, unit := range []struct {
		name string
		d    time.Duration
	}{{"year", 365 * day}, {"day", day}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}} {
		if n := d.Round(unit.d) / unit.d; n >= 2 || n == 1 && d >= unit.d {
			return fmt.Sprintf("%d %s%s", n, unit.name, plural(n))
		}
	}
	return "a moment"
}

func plural(n time.Duration) string {
	if n == 1 {
		return ""
	}
	return "s"
}
