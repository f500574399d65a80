package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

type requestsCmd struct{}

// Run lists what waits for the owner.
func (c *requestsCmd) Run(ctx context.Context, g *globals) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	requests, err := o.requests(ctx)
	if err != nil {
		return err
	}
	if g.JSON {
		return printMessages(g, requests)
	}
	t := g.newListing(false, "bundle id", "name", "to write", "to read", "objects of", "asked")
	for _, r := range requests {
		err := t.row(asText(r.GetManifest().GetBundleId()), asText(r.GetManifest().GetName()),
			asText(listOr(r.GetShare(), "-")), asText(listOr(r.GetRead(), "-")), asText(listOr(objectTypes(r), "-")),
			asMinute(r.GetAsked(), time.Local))
		if err != nil {
			return err
		}
	}
	if t.rows == 0 {
		fmt.Fprintln(g.err, "no requests")
	}
	return t.flush()
}

// requests returns what waits for the owner.
func (o *owner) requests(ctx context.Context) (requests []*pb.PendingRequest, err error) {
	err = o.with(ctx, func() error {
		resp, err := o.Owner().ListRequests(ctx, &pb.ListRequestsRequest{})
		requests = resp.GetRequests()
		return err
	})
	return requests, err
}

type decideCmd struct {
	ID    string   `arg:"" name:"bundle-id" help:"Bundle id."`
	Allow []string `help:"What to allow of what was asked: all, share, read, share:TYPE or read:TYPE (comma-separated). With --objects: all that was asked for, or UUIDs." placeholder:"WHAT"`
	Deny  []string `help:"What to deny, in the same words; it goes before --allow." placeholder:"WHAT"`
	Since string   `help:"Of what is allowed to be read: only samples that end at or after this date."`
	objectsAnswer
}

// Run shows what an app asks for, and takes the owner's answers from flags or a terminal.
func (c *decideCmd) Run(ctx context.Context, g *globals) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	if c.Objects != "" {
		return c.decideObjects(ctx, g, o)
	}
	if c.Own != "" {
		return usagef("--own: it goes with --objects")
	}
	requests, err := o.requests(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(requests, func(r *pb.PendingRequest) bool { return r.GetManifest().GetBundleId() == c.ID })
	if i < 0 {
		if _, err := o.registered(ctx, c.ID); err != nil {
			return err
		}
		return fmt.Errorf("%s asks for nothing that is not decided", c.ID)
	}
	toggles := togglesOf(requests[i])
	asks := len(c.Allow)+len(c.Deny) == 0
	switch {
	case asks && c.Since != "":
		return usagef("--since limits what is allowed: name types with --allow")
	case asks && g.JSON:
		return g.printMessage(requests[i])
	case !g.JSON:
		printSheet(g.out, requests[i], toggles)
	}
	switch terminal, ok := g.in.(*os.File); {
	case !asks:
		err = c.answer(toggles)
	case ok && term.IsTerminal(int(terminal.Fd())):
		err = askToggles(g.in, g.out, toggles)
	default:
		_, err = fmt.Fprintln(g.out, "\nAnswer with --allow and --deny.")
	}
	if err != nil {
		return err
	}
	return c.decide(ctx, g, o, toggles)
}

func (c *decideCmd) decide(ctx context.Context, g *globals, o *owner, toggles []*toggle) error {
	req := &pb.DecideRequest{BundleId: c.ID}
	for _, t := range toggles {
		switch {
		case !t.answered:
		case t.read:
			req.Reads = append(req.Reads, t.readGrant())
		default:
			req.Shares = append(req.Shares, &pb.ShareGrant{Type: t.code, Allowed: t.allowed})
		}
	}
	if len(req.GetShares())+len(req.GetReads()) == 0 {
		return nil
	}
	err := o.with(ctx, func() error {
		_, err := o.Owner().Decide(ctx, req)
		return err
	})
	if err != nil {
		return err
	}
	return g.say("decided")
}

// toggle is one of the things that an app asks for, and the owner's answer.
type toggle struct {
	read              bool
	name              string
	code              uint32
	answered, allowed bool
	// since limits what may be read, in microseconds since the Unix epoch.
	since   int64
	limited bool
}

func (t *toggle) String() string {
	if t.read {
		return "read:" + t.name
	}
	return "share:" + t.name
}

func (t *toggle) readGrant() *pb.ReadGrant {
	switch {
	case !t.allowed:
		return &pb.ReadGrant{Type: t.code, Extent: pb.ReadExtent_READ_EXTENT_NONE}
	case t.limited:
		return &pb.ReadGrant{Type: t.code, Extent: pb.ReadExtent_READ_EXTENT_SINCE, Since: t.since}
	}
	return &pb.ReadGrant{Type: t.code, Extent: pb.ReadExtent_READ_EXTENT_ALL}
}

func (t *toggle) allow(since string) error {
	t.answered, t.allowed = true, true
	if since == "" || !t.read {
		return nil
	}
	at, err := health.ParseTime(since, time.Local)
	t.since, t.limited = at.UnixMicro(), true
	return err
}

func togglesOf(r *pb.PendingRequest) (toggles []*toggle) {
	add := func(read bool, names []string) {
		for _, name := range names {
			if t, ok := catalog.Lookup(name); ok {
				toggles = append(toggles, &toggle{read: read, name: name, code: t.Code})
			}
		}
	}
	add(false, r.GetShare())
	add(true, r.GetRead())
	return toggles
}

// printSheet prints who asks, why, and for what.
func printSheet(out io.Writer, r *pb.PendingRequest, toggles []*toggle) {
	printManifest(out, r.GetManifest())
	fmt.Fprintf(out, "Asked     %s\n\n", r.GetAsked().AsTime().Local().Format(time.DateTime))
	for _, t := range toggles {
		fmt.Fprintf(out, "  [ ] %s\n", t)
	}
	for _, name := range objectTypes(r) {
		fmt.Fprintf(out, "  objects of %s: decide %s --objects %s\n", name, r.GetManifest().GetBundleId(), name)
	}
}

// objectTypes are the types of which an app asks for single objects.
func objectTypes(r *pb.PendingRequest) (names []string) {
	for _, o := range r.GetObjects() {
		names = append(names, o.GetType())
	}
	return names
}

// answer takes the answers from the flags.
func (c *decideCmd) answer(toggles []*toggle) error {
	for _, word := range c.Allow {
		found, err := meant(word, toggles)
		if err != nil {
			return err
		}
		for _, t := range found {
			if err := t.allow(c.Since); err != nil {
				return usagef("--since: %w", err)
			}
		}
	}
	for _, word := range c.Deny {
		found, err := meant(word, toggles)
		if err != nil {
			return err
		}
		for _, t := range found {
			t.answered, t.allowed = true, false
		}
	}
	return nil
}

// meant finds what a word stands for.
func meant(word string, toggles []*toggle) (found []*toggle, err error) {
	direction, name, one := strings.Cut(word, ":")
	if t, ok := catalog.Lookup(name); ok {
		name = t.Short()
	}
	for _, t := range toggles {
		if direction == "all" && !one || (direction == "read") == t.read && (direction == "share" || t.read) && (!one || name == t.name) {
			found = append(found, t)
		}
	}
	if len(found) == 0 {
		return nil, usagef("%s: nothing of the kind was asked for", word)
	}
	return found, nil
}

// askToggles takes the answers from a terminal, one a line. What is not answered is asked
// again next time.
func askToggles(in io.Reader, out io.Writer, toggles []*toggle) error {
	fmt.Fprintln(out, "\ny: allow, n: deny, a date: allow to read what ends at or after it, empty: decide later")
	lines := bufio.NewScanner(in)
	for _, t := range toggles {
		for done := false; !done; {
			fmt.Fprintf(out, "%s? ", t)
			if !lines.Scan() {
				return errors.Join(errors.New("nothing was decided"), lines.Err())
			}
			done = t.take(strings.TrimSpace(lines.Text()))
		}
	}
	return nil
}

// take takes an answer, and says whether it is one.
func (t *toggle) take(answer string) bool {
	switch answer {
	case "":
		return true
	case "y", "yes":
		return t.allow("") == nil
	case "n", "no":
		t.answered = true
		return true
	}
	if !t.read {
		return false
	}
	if _, err := health.ParseTime(answer, time.Local); err != nil {
		return false
	}
	return t.allow(answer) == nil
}
