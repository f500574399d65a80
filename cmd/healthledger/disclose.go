package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
)

type discloseCmd struct {
	Grant   discloseGrantCmd   `cmd:"" help:"Show what a third party would get and what for, and grant it."`
	List    discloseListCmd    `cmd:"" help:"List the grants, with those that have ended."`
	Revoke  discloseRevokeCmd  `cmd:"" help:"End a grant, at once."`
	Export  discloseExportCmd  `cmd:"" help:"Write what a grant allows to a file for its recipient. That it was done is recorded first."`
	Account discloseAccountCmd `cmd:"" help:"Show what was handed to whom, when and what for, in the last six years."`
}

type discloseGrantCmd struct {
	span
	zoned
	ID        string   `arg:"" name:"bundle-id" help:"Bundle id of the app whose manifest names the recipient."`
	Recipient string   `required:"" help:"Name of the recipient, as in the manifest." placeholder:"NAME"`
	Type      []string `required:"" help:"Types to hand over (comma-separated)." placeholder:"TYPE"`
	Purpose   string   `required:"" help:"One of the app's purposes: health or fitness for a service, research for research." placeholder:"WORD"`
	Statement string   `required:"" help:"What for, in your words. It stands in the account." placeholder:"TEXT"`
	Expires   string   `required:"" help:"Nothing is handed over from this date on." placeholder:"DATE"`
	Consent   string   `help:"For research: the document of consent that you have agreed to. It must be the one that the manifest names." type:"existingfile" placeholder:"FILE"`
	Yes       bool     `help:"Grant it without asking."`
}

// Run shows the sheet and asks.
func (c *discloseGrantCmd) Run(ctx context.Context, g *globals) error {
	req, err := c.request()
	if err != nil {
		return err
	}
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	app, err := o.registered(ctx, c.ID)
	if err != nil {
		return err
	}
	if !g.JSON {
		printDisclosureSheet(g.out, app.GetManifest(), req)
	}
	if yes, err := c.confirmed(g); err != nil || !yes {
		return err
	}
	var resp *pb.GrantDisclosureResponse
	err = o.with(ctx, func() (err error) {
		resp, err = o.Owner().GrantDisclosure(ctx, req)
		return err
	})
	if err != nil {
		return err
	}
	if g.JSON {
		return g.printMessage(resp)
	}
	return g.say(fmt.Sprintf("granted as number %d", resp.GetNumber()))
}

func (c *discloseGrantCmd) request() (*pb.GrantDisclosureRequest, error) {
	loc, err := c.zone()
	if err != nil {
		return nil, err
	}
	req := &pb.GrantDisclosureRequest{BundleId: c.ID, Recipient: c.Recipient, Types: c.Type, Purpose: c.Purpose, Statement: c.Statement}
	if req.From, req.To, err = c.period(loc); err != nil {
		return nil, err
	}
	if req.Expires, err = date("--expires", c.Expires, loc); err != nil {
		return nil, err
	}
	if c.Consent != "" {
		req.ConsentSha256, err = hashFile(c.Consent)
	}
	return req, err
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	_, err = io.Copy(hash, f)
	return hex.EncodeToString(hash.Sum(nil)), errors.Join(err, f.Close())
}

// confirmed asks at a terminal; elsewhere only --yes is an answer.
func (c *discloseGrantCmd) confirmed(g *globals) (bool, error) {
	if c.Yes {
		return true, nil
	}
	terminal, ok := g.in.(*os.File)
	if g.JSON || !ok || !term.IsTerminal(int(terminal.Fd())) {
		return false, errors.New("nothing was granted: confirm with --yes")
	}
	fmt.Fprint(g.out, "\nGrant it (y or n)? ")
	lines := bufio.NewScanner(g.in)
	if !lines.Scan() {
		return false, errors.Join(errors.New("nothing was granted"), lines.Err())
	}
	if answer := strings.TrimSpace(lines.Text()); answer != "y" && answer != "yes" {
		return false, errors.New("nothing was granted")
	}
	return true, nil
}

// printDisclosureSheet prints who hands what to whom, what for and until when.
func printDisclosureSheet(out io.Writer, m *pb.Manifest, req *pb.GrantDisclosureRequest) {
	printManifest(out, m)
	line := func(name, text string) {
		fmt.Fprintf(out, "%-10s%s\n", name, strings.ReplaceAll(text, "\n", "\n          "))
	}
	fmt.Fprintln(out)
	recipient := req.GetRecipient() + " (the manifest does not name it)"
	for _, r := range m.GetRecipients() {
		if r.GetName() == req.GetRecipient() {
			recipient = describeRecipient(r)
		}
	}
	line("To", recipient)
	line("Data", strings.Join(req.GetTypes(), ", "))
	line("Period", periodText(req.GetFrom(), req.GetTo(), whileGranted))
	line("Purpose", req.GetPurpose()+": "+req.GetStatement())
	if req.GetConsentSha256() != "" {
		line("Consent", "to the document with SHA-256 "+req.GetConsentSha256())
	}
	line("Expires", req.GetExpires().AsTime().Local().Format(time.DateTime))
	line("Note", "What was handed over cannot be taken back; only more of it is refused.")
}

func describeRecipient(r *pb.Recipient) string {
	return fmt.Sprintf("%s, %s (%s)", r.GetName(), r.GetAddress(), strings.ReplaceAll(r.GetCategory(), "_", " "))
}

// whileGranted is the open end of what is handed over.
const whileGranted = "the last, as long as the grant holds"

// periodText is a period in words, last those for an end that is open.
func periodText(from, to *timestamppb.Timestamp, last string) string {
	end := func(t *timestamppb.Timestamp, open string) string {
		if t == nil {
			return open
		}
		return t.AsTime().Local().Format(time.DateTime)
	}
	return "from " + end(from, "the first") + " to " + end(to, last)
}

type discloseListCmd struct{}

func (c *discloseListCmd) Run(ctx context.Context, g *globals) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	var resp *pb.ListDisclosuresResponse
	err = o.with(ctx, func() (err error) {
		resp, err = o.Owner().ListDisclosures(ctx, &pb.ListDisclosuresRequest{})
		return err
	})
	if err != nil {
		return err
	}
	if g.JSON {
		return printMessages(g, resp.GetGrants())
	}
	t := g.newListing(false, "number", "app", "recipient", "types", "period", "purpose", "statement", "expires", "standing")
	for _, d := range resp.GetGrants() {
		standing := "stands"
		if d.GetEnded() != nil {
			standing = d.GetWhyEnded() + " " + d.GetEnded().AsTime().Local().Format(time.DateTime)
		}
		err := t.row(asCount(d.GetNumber()), asText(d.GetBundleId()), asText(d.GetRecipient().GetName()), asText(strings.Join(d.GetTypes(), ", ")),
			asText(periodText(d.GetFrom(), d.GetTo(), whileGranted)), asText(d.GetPurpose()), asText(d.GetStatement()), asMinute(d.GetExpires(), time.Local), asText(standing))
		if err != nil {
			return err
		}
	}
	if t.rows == 0 {
		fmt.Fprintln(g.err, "nothing was ever granted")
	}
	return t.flush()
}

type discloseRevokeCmd struct {
	Number uint64 `arg:"" help:"Number of the grant."`
}

func (c *discloseRevokeCmd) Run(ctx context.Context, g *globals) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	err = o.with(ctx, func() error {
		_, err := o.Owner().RevokeDisclosure(ctx, &pb.RevokeDisclosureRequest{Number: c.Number})
		return err
	})
	if err != nil {
		return err
	}
	return g.say("revoked")
}

type discloseExportCmd struct {
	exporting
	Number uint64 `arg:"" help:"Number of the grant."`
}

func (c *discloseExportCmd) Run(ctx context.Context, g *globals) error {
	if c.Number == 0 {
		return usagef("grants are numbered from 1: see \"healthledger disclose list\"")
	}
	loc, err := c.zone()
	if err != nil {
		return err
	}
	sel, err := c.selection(loc)
	if err != nil {
		return err
	}
	// What is wrong with the command line is said before anything is recorded.
	if _, err := c.writer(sel, loc); err != nil {
		return err
	}
	req := &pb.OpenExportRequest{Disclosure: c.Number, From: sel.From, To: sel.To}
	for _, t := range sel.Types {
		req.Types = append(req.Types, t.Short())
	}
	return g.openExport(ctx, req, func(_ *owner, from *client.Export) error {
		c.Type = from.Types
		if sel, err = c.selection(loc); err != nil {
			return err
		}
		write, err := c.writer(sel, loc)
		if err != nil {
			return err
		}
		return c.write(ctx, g, from, write, 0)
	})
}

// accountYears is how far back an accounting goes (45 CFR 164.528(a)(1)). Nothing older is
// gone: --from asks for it.
const accountYears = 6

type discloseAccountCmd struct {
	span
	zoned
	inCSV
	App       string `help:"Only by this app; one that was removed, too."`
	Recipient string `help:"Only to this recipient." placeholder:"NAME"`
	Summary   bool   `help:"Print the first, the last and how many, by app, recipient and purpose."`
}

func (c *discloseAccountCmd) Run(ctx context.Context, g *globals) error {
	if err := c.check(g); err != nil {
		return err
	}
	loc, err := c.zone()
	if err != nil {
		return err
	}
	filter := &pb.DisclosureFilter{App: c.App, Recipient: c.Recipient}
	if filter.From, filter.To, err = c.period(loc); err != nil {
		return err
	}
	if filter.From == nil {
		filter.From = timestamppb.New(time.Now().AddDate(-accountYears, 0, 0).Truncate(time.Second))
	}
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	all, err := o.disclosures(ctx, filter)
	switch {
	case err != nil:
		return err
	case c.Summary:
		return c.summarize(g, all, loc)
	case g.JSON:
		return printMessages(g, all)
	}
	if len(all) == 0 {
		c.nothing(g, "nothing was handed over")
	}
	t := g.newListing(c.CSV, "time", "recipient", "category", "address", "app", "what", "from", "to", "purpose", "statement", "outcome", "grant")
	for _, d := range all {
		r := d.GetRecipient()
		err := t.row(asMoment(d.GetTime(), loc), asText(r.GetName()), asText(r.GetCategory()), asText(r.GetAddress()), asText(d.GetBundleId()),
			asText(whatText(d)), asMoment(d.GetFrom(), loc), asMoment(d.GetTo(), loc), asText(d.GetPurpose()), asText(d.GetStatement()),
			asText(enumText(d.GetOutcome().String(), "DISCLOSURE_OUTCOME_")), asCount(d.GetGrant()))
		if err != nil {
			return err
		}
	}
	return t.flush()
}

// disclosures returns what a filter holds, the newest first.
func (o *owner) disclosures(ctx context.Context, filter *pb.DisclosureFilter) (all []*pb.Disclosure, err error) {
	req := &pb.AccountDisclosuresRequest{Filter: filter}
	for {
		var page *pb.AccountDisclosuresResponse
		err := o.with(ctx, func() (err error) {
			page, err = o.Owner().AccountDisclosures(ctx, req)
			return err
		})
		if err != nil {
			return nil, err
		}
		all = append(all, page.GetDisclosures()...)
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return all, nil
		}
	}
}

// whatText is which types, and how many samples where that is known.
func whatText(d *pb.Disclosure) string {
	var parts []string
	for _, name := range d.GetTypes() {
		i := slices.IndexFunc(d.GetCounts(), func(c *pb.TypeCount) bool { return c.GetType() == name })
		switch {
		case i >= 0:
			parts = append(parts, name+": "+strconv.FormatUint(d.GetCounts()[i].GetCount(), 10))
		case d.GetOutcome() == pb.DisclosureOutcome_DISCLOSURE_OUTCOME_UNKNOWN:
			parts = append(parts, name+": unknown")
		default:
			parts = append(parts, name+": 0")
		}
	}
	return strings.Join(parts, ", ")
}

// disclosureSummary is what went to a recipient for a purpose (45 CFR 164.528(b)(3)).
type disclosureSummary struct {
	App       string `json:"app"`
	Recipient string `json:"recipient"`
	Address   string `json:"address"`
	Purpose   string `json:"purpose"`
	Count     uint64 `json:"count"`
	First     string `json:"first"`
	Last      string `json:"last"`
}

func (c *discloseAccountCmd) summarize(g *globals, all []*pb.Disclosure, loc *time.Location) error {
	var sums []*disclosureSummary
	for _, d := range all {
		at := d.GetTime().AsTime().In(loc).Format(time.RFC3339)
		i := slices.IndexFunc(sums, func(s *disclosureSummary) bool {
			return s.App == d.GetBundleId() && s.Recipient == d.GetRecipient().GetName() && s.Address == d.GetRecipient().GetAddress() && s.Purpose == d.GetPurpose()
		})
		if i < 0 {
			i = len(sums)
			sums = append(sums, &disclosureSummary{
				App: d.GetBundleId(), Recipient: d.GetRecipient().GetName(), Address: d.GetRecipient().GetAddress(), Purpose: d.GetPurpose(), Last: at,
			})
		}
		sums[i].Count++
		sums[i].First = at
	}
	t := g.newListing(c.CSV, "app", "recipient", "address", "purpose", "count", "first", "last")
	for _, s := range sums {
		var err error
		if g.JSON {
			err = g.printJSON(s)
		} else {
			err = t.row(asText(s.App), asText(s.Recipient), asText(s.Address), asText(s.Purpose), asCount(s.Count), asText(s.First), asText(s.Last))
		}
		if err != nil {
			return err
		}
	}
	if len(sums) == 0 {
		c.nothing(g, "nothing was handed over")
	}
	return t.flush()
}
