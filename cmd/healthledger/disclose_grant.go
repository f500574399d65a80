package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "healthledger/proto/healthledger/v1"
)

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
	if err := g.confirmed(c.Yes, "Grant it", "nothing was granted"); err != nil {
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

// printDisclosureSheet prints who hands what to whom, what for and until when.
func printDisclosureSheet(out io.Writer, m *pb.Manifest, req *pb.GrantDisclosureRequest) {
	printManifest(out, m)
	line := func(name, text string) {
		fmt.Fprintf(out, "%-10s%s\n", name, strings.ReplaceAll(printableLines(text), "\n", "\n          "))
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
