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

	"github.com/google/uuid"
	"golang.org/x/term"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// maxDecided is how many objects one decision names.
const maxDecided = 1000

// objectsAnswer is what decide wants to know of single objects.
type objectsAnswer struct {
	Objects string `help:"Decide about single objects of this type: visionPrescription, or userAnnotatedMedication with its doses." placeholder:"TYPE"`
	Own     string `help:"With --objects: show the app what it has saved itself, as is the rule, or hide that too." enum:",show,hide" default:""`
}

var ownObjects = map[string]pb.OwnObjects{"show": pb.OwnObjects_OWN_OBJECTS_READABLE, "hide": pb.OwnObjects_OWN_OBJECTS_HIDDEN}

// decideObjects shows the objects that an app asks for, or all if it does not ask, and takes
// the owner's answers from flags or a terminal. What is not answered stays as it is.
func (c *decideCmd) decideObjects(ctx context.Context, g *globals, o *owner) error {
	if c.Since != "" {
		return usagef("--since: it does not go with --objects")
	}
	app, err := o.registered(ctx, c.ID)
	if err != nil {
		return err
	}
	asked, err := c.asked(ctx, o)
	if err != nil {
		return err
	}
	objects, err := o.objects(ctx, &pb.ListObjectsRequest{
		BundleId: c.ID, Type: c.Objects, From: asked.GetFrom(), To: asked.GetTo(), Limit: asked.GetLimit(),
	})
	if err != nil {
		return err
	}
	asks := len(c.Allow)+len(c.Deny) == 0 && c.Own == ""
	if asks && g.JSON {
		return printMessages(g, objects)
	}
	if !g.JSON {
		printManifest(g.out, app.GetManifest())
		fmt.Fprintf(g.out, "Asked     %s\n", askedText(asked))
		printObjects(g.out, objects)
	}
	req := &pb.DecideObjectsRequest{BundleId: c.ID, Type: c.Objects, Own: ownObjects[c.Own]}
	switch terminal, ok := g.in.(*os.File); {
	case !asks:
		err = c.answerObjects(ctx, o, req, objects)
	case ok && term.IsTerminal(int(terminal.Fd())):
		err = askObjects(g.in, g.out, req, objects)
	default:
		_, err = fmt.Fprintln(g.out, "\nAnswer with --allow, --deny and --own.")
		return err
	}
	if err != nil {
		return err
	}
	return o.decideObjects(ctx, g, req)
}

// asked is what an app asks for of the type, nil if it does not ask.
func (c *decideCmd) asked(ctx context.Context, o *owner) (*pb.PendingObjects, error) {
	t, ok := catalog.Lookup(c.Objects)
	if !ok {
		return nil, nil // the daemon says so
	}
	requests, err := o.requests(ctx)
	for _, r := range requests {
		for _, p := range r.GetObjects() {
			if r.GetManifest().GetBundleId() == c.ID && p.GetType() == t.Short() {
				return p, nil
			}
		}
	}
	return nil, err
}

// askedText says which objects are shown.
func askedText(p *pb.PendingObjects) string {
	if p == nil {
		return "nothing; these are all that there are"
	}
	text := p.GetAsked().AsTime().Local().Format(time.DateTime)
	if p.GetFrom() != nil || p.GetTo() != nil {
		text += ", " + periodText(p.GetFrom(), p.GetTo(), "the last")
	}
	if p.GetLimit() > 0 {
		text += fmt.Sprintf(", the newest %d", p.GetLimit())
	}
	return text
}

// objects lists what there is on all pages, as the owner.
func (o *owner) objects(ctx context.Context, req *pb.ListObjectsRequest) (all []*pb.StoredObject, err error) {
	for {
		var page *pb.ListObjectsResponse
		err := o.with(ctx, func() (err error) {
			page, err = o.Owner().ListObjects(ctx, req)
			return err
		})
		if err != nil {
			return nil, err
		}
		all = append(all, page.GetObjects()...)
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return all, nil
		}
	}
}

// decideObjects decides, in as many decisions as it takes. What is denied goes first.
func (o *owner) decideObjects(ctx context.Context, g *globals, req *pb.DecideObjectsRequest) error {
	first := &pb.DecideObjectsRequest{BundleId: req.GetBundleId(), Type: req.GetType(), Own: req.GetOwn(), RevokeAll: req.GetRevokeAll()}
	decisions := []*pb.DecideObjectsRequest{first}
	for names := range slices.Chunk(req.GetRevoked(), maxDecided) {
		decisions = append(decisions, &pb.DecideObjectsRequest{BundleId: req.GetBundleId(), Type: req.GetType(), Revoked: names})
	}
	for names := range slices.Chunk(req.GetGranted(), maxDecided) {
		decisions = append(decisions, &pb.DecideObjectsRequest{BundleId: req.GetBundleId(), Type: req.GetType(), Granted: names})
	}
	if len(req.GetRevoked())+len(req.GetGranted()) <= maxDecided {
		decisions = []*pb.DecideObjectsRequest{req}
	}
	for _, d := range decisions {
		err := o.with(ctx, func() error {
			_, err := o.Owner().DecideObjects(ctx, d)
			return err
		})
		if err != nil {
			return err
		}
	}
	return g.say("decided")
}

// printObjects prints what there is to choose from.
func printObjects(out io.Writer, objects []*pb.StoredObject) {
	fmt.Fprintln(out)
	for _, o := range objects {
		mark := " "
		if o.GetReadable() {
			mark = "x"
		}
		fmt.Fprintf(out, "  [%s] %s\n", mark, objectText(o))
	}
	if len(objects) == 0 {
		fmt.Fprintln(out, "  there are none")
	}
}

// objectText tells an object apart from others.
func objectText(o *pb.StoredObject) string {
	s := o.GetSample()
	var parts []string
	if at := s.GetStart().AsTime(); at.Unix() != 0 { // medications have no dates
		parts = append(parts, at.Local().Format("2006-01-02 15:04"))
	}
	source := words(s.GetSource().GetName(), "("+s.GetSource().GetApp()+")")
	if o.GetOwn() {
		source += ", its own"
	}
	return printable(strings.Join(append(parts, s.GetUuid(), summary(s), source), "  "))
}

// answerObjects takes the answers from the flags.
func (c *decideCmd) answerObjects(ctx context.Context, o *owner, req *pb.DecideObjectsRequest, asked []*pb.StoredObject) error {
	for _, word := range c.Deny {
		if word == "all" {
			req.RevokeAll = true
			continue
		}
		name, err := o.objectNamed(ctx, req, "--deny", word)
		if err != nil {
			return err
		}
		req.Revoked = append(req.Revoked, name)
	}
	for _, word := range c.Allow {
		if word == "all" {
			for _, object := range asked {
				req.Granted = append(req.Granted, object.GetName())
			}
			continue
		}
		name, err := o.objectNamed(ctx, req, "--allow", word)
		if err != nil {
			return err
		}
		req.Granted = append(req.Granted, name)
	}
	return nil
}

// objectNamed finds the object with a UUID, whether it was asked for or not. Apps may give
// the same UUIDs, and then only the sheet tells which one is meant.
func (o *owner) objectNamed(ctx context.Context, req *pb.DecideObjectsRequest, flag, id string) (*pb.ObjectName, error) {
	if _, err := uuid.Parse(id); err != nil {
		return nil, usagef("%s: %q is neither all nor a UUID", flag, id)
	}
	objects, err := o.objects(ctx, &pb.ListObjectsRequest{
		BundleId: req.GetBundleId(), Type: req.GetType(),
		Predicate: &pb.Predicate{Kind: &pb.Predicate_Uuid{Uuid: &pb.UuidPredicate{Uuids: []string{id}}}},
	})
	switch {
	case err != nil:
		return nil, err
	case len(objects) == 0:
		return nil, fmt.Errorf("there is no %s with the UUID %s", req.GetType(), id)
	case len(objects) > 1:
		return nil, fmt.Errorf("%d of %s have the UUID %s: answer on the terminal", len(objects), req.GetType(), id)
	}
	return objects[0].GetName(), nil
}

// askObjects takes the answers from a terminal, one a line.
func askObjects(in io.Reader, out io.Writer, req *pb.DecideObjectsRequest, objects []*pb.StoredObject) error {
	fmt.Fprintln(out, "\ny: allow, n: deny, empty: leave it as it is")
	lines := bufio.NewScanner(in)
	for _, o := range objects {
		for done := false; !done; {
			fmt.Fprintf(out, "%s? ", objectText(o))
			if !lines.Scan() {
				return errors.Join(errors.New("nothing was decided"), lines.Err())
			}
			done = true
			switch strings.TrimSpace(lines.Text()) {
			case "y", "yes":
				req.Granted = append(req.Granted, o.GetName())
			case "n", "no":
				req.Revoked = append(req.Revoked, o.GetName())
			case "":
			default:
				done = false
			}
		}
	}
	return nil
}
