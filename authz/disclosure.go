package authz

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// ErrNoDisclosure is returned for a grant that is not there, and wrapped with why for one
// that has ended.
var ErrNoDisclosure = errors.New("there is no such grant to disclose")

// Disclosure is a grant to hand data to a third party that an app's manifest names (spec
// section 8). Nothing else lets data out to somebody. What an app itself passes on of what
// it has read is bound by the same manifest, which nobody can enforce.
type Disclosure struct {
	// Number of the decision that granted it.
	Number uint64
	App    uint64
	// Recipient as the manifest had it.
	Recipient *pb.Recipient
	// Types are codes in order.
	Types []uint32
	// Samples that lie in [From, To) whole, in microseconds since the Unix epoch, open ends
	// at the extremes.
	From, To int64
	// Purpose is one of the manifest's; Statement is the owner's.
	Purpose, Statement string
	// Granted and Expires are in microseconds since the Unix epoch, and so is Ended, when
	// something else ended it.
	Granted, Expires, Ended int64
	// Why it ended before it expired; empty: it has not.
	Why string
}

// EndedBy says since when and why a grant is not there any more; why is empty while it is.
func (d *Disclosure) EndedBy(now int64) (at int64, why string) {
	switch {
	case d.Why != "":
		return d.Ended, d.Why
	case now >= d.Expires:
		return d.Expires, "expired"
	}
	return 0, ""
}

// Disclosures returns all grants that ever were, in order. They must not be changed.
func (s *State) Disclosures() []*Disclosure {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.SortedFunc(maps.Values(s.disclosures), func(a, b *Disclosure) int { return int(a.Number) - int(b.Number) })
}

// Disclose returns a grant that holds as of now, and what may be seen under it: what it
// names of what its app may read. The period's end is the caller's to see to.
// Errors: ErrNoDisclosure.
func (s *State) Disclose(number uint64, now int64) (*Disclosure, Scope, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	d, ok := s.disclosures[number]
	if !ok {
		return nil, Scope{}, ErrNoDisclosure
	}
	if _, why := d.EndedBy(now); why != "" {
		return nil, Scope{}, fmt.Errorf("%w: %s", ErrNoDisclosure, why)
	}
	return d, Scope{app: d.App, reads: s.apps[d.App].readable, disclosure: d}, nil
}

// narrow leaves of an access what a grant names.
func (d *Disclosure) narrow(typeCode uint32, a Access) Access {
	if !slices.Contains(d.Types, typeCode) {
		return Access{}
	}
	a.since, a.own = max(a.since, d.From), d.From
	return a
}

// fitting are the purposes for which a category of recipients may be given data.
var fitting = map[string][]string{
	"health_service":  {"health", "fitness"},
	"fitness_service": {"health", "fitness"},
	"research":        {"research"},
}

// GrantDisclosure lets data be handed to a recipient. Errors: ErrNoApp, *DraftError.
func (a *Author) GrantDisclosure(now int64, req *pb.GrantDisclosureRequest) (*pb.NewDecision, error) {
	app, ok := a.State.AppByBundle(req.GetBundleId())
	if !ok {
		return nil, ErrNoApp
	}
	g := &pb.DisclosureGranted{
		App: app.Number, Purpose: req.GetPurpose(), Statement: strings.TrimSpace(req.GetStatement()), ConsentSha256: req.GetConsentSha256(),
	}
	named := slices.IndexFunc(app.Manifest.GetRecipients(), func(r *pb.Recipient) bool { return r.GetName() == req.GetRecipient() })
	if named < 0 {
		return nil, &DraftError{"recipient", req.GetRecipient(), "it is not among the recipients in the app's manifest"}
	}
	g.Recipient = app.Manifest.GetRecipients()[named]
	var err error
	if g.Types, err = parseTypes("types", req.GetTypes(), WhyNoRead); err != nil {
		return nil, err
	}
	if g.From, err = boundOf("from", req.GetFrom()); err != nil {
		return nil, err
	}
	if g.To, err = boundOf("to", req.GetTo()); err != nil {
		return nil, err
	}
	expires, err := boundOf("expires", req.GetExpires())
	if err != nil {
		return nil, err
	}
	if expires != nil {
		g.Expires = *expires
	}
	if err := app.checkDisclosure(now, g); err != nil {
		return nil, err
	}
	return a.sign(&pb.Decision{Time: now}, &pb.DecisionDetail{Body: &pb.DecisionDetail_DisclosureGranted{DisclosureGranted: g}})
}

// RevokeDisclosure ends a grant. Errors: ErrNoDisclosure.
func (a *Author) RevokeDisclosure(now int64, number uint64) (*pb.NewDecision, error) {
	if _, _, err := a.State.Disclose(number, now); err != nil {
		return nil, err
	}
	return a.sign(&pb.Decision{Time: now}, &pb.DecisionDetail{
		Body: &pb.DecisionDetail_DisclosureRevoked{DisclosureRevoked: &pb.DisclosureRevoked{Grant: number}},
	})
}

func boundOf(part string, t *timestamppb.Timestamp) (*int64, error) {
	if t == nil {
		return nil, nil
	}
	micros, err := health.Micros(t)
	if err != nil {
		return nil, &DraftError{part, "", err.Error()}
	}
	return &micros, nil
}

// checkDisclosure says what a grant lacks, or may not name. The error is a *DraftError.
func (a *App) checkDisclosure(now int64, g *pb.DisclosureGranted) error {
	m, recipient := a.Manifest, g.GetRecipient()
	if !slices.ContainsFunc(m.GetRecipients(), func(r *pb.Recipient) bool { return proto.Equal(r, recipient) }) {
		return &DraftError{"recipient", recipient.GetName(), "it is not among the recipients in the app's manifest"}
	}
	if err := checkOneOf("purpose", g.GetPurpose(), purposes); err != nil {
		return err
	}
	switch allowed := fitting[recipient.GetCategory()]; {
	case !slices.Contains(m.GetPurposes(), g.GetPurpose()):
		return &DraftError{"purpose", g.GetPurpose(), "it is not among the purposes in the app's manifest"}
	case !slices.Contains(allowed, g.GetPurpose()):
		return &DraftError{"purpose", g.GetPurpose(), "a recipient of the category " + recipient.GetCategory() + " gets data only for " + strings.Join(allowed, " or ")}
	}
	if err := checkText("statement", g.GetStatement(), maxDescription); err != nil {
		return err
	}
	if err := checkConsent(m, g); err != nil {
		return err
	}
	switch {
	case g.From != nil && g.To != nil && g.GetFrom() >= g.GetTo():
		return &DraftError{"to", "", "it is not after from"}
	case g.GetExpires() == 0:
		return &DraftError{"expires", "", "missing: a grant ends some day"}
	case g.GetExpires() <= now:
		return &DraftError{"expires", time.UnixMicro(g.GetExpires()).UTC().Format(time.RFC3339), "it is over"}
	}
	return a.checkDisclosed(g.GetTypes())
}

// checkConsent wants of research the document that the owner has agreed to.
func checkConsent(m *pb.Manifest, g *pb.DisclosureGranted) error {
	consent, research := g.GetConsentSha256(), g.GetPurpose() == "research"
	switch {
	case !research && consent != "":
		return &DraftError{"consent_sha256", "", "it goes with the purpose research only"}
	case research && consent == "":
		return &DraftError{"consent_sha256", "", "missing: research needs the document that the owner has agreed to"}
	case research && consent != m.GetResearch().GetConsentSha256():
		return &DraftError{"consent_sha256", consent, "the app's manifest is about another document of consent"}
	}
	return nil
}

// checkDisclosed wants types in order that the app may read, be it only its own samples.
func (a *App) checkDisclosed(codes []uint32) error {
	if len(codes) == 0 {
		return &DraftError{"types", "", "no type is named"}
	}
	for i, code := range codes {
		t, ok := catalog.ByCode(code)
		switch {
		case !ok || i > 0 && codes[i-1] >= code:
			return &DraftError{"types", typeName(code), "unknown type, or named twice"}
		case WhyNoRead(t) != "":
			return &DraftError{"types", t.Short(), WhyNoRead(t)}
		case a.readable[code].Extent == ExtentNone && !a.shares[code]:
			return &DraftError{"types", t.Short(), "the app may neither read nor write it"}
		}
	}
	return nil
}

// grantDisclosure takes a grant. One that the app's manifest does not allow gives nothing:
// refused it would end the log for who knows manifests, and a locked daemon knows none.
func (s *State) grantDisclosure(d *pb.Decision, g *pb.DisclosureGranted) {
	if s.apps[g.GetApp()].checkDisclosure(d.GetTime(), g) != nil {
		return
	}
	disclosure := &Disclosure{
		Number: d.GetNumber(), App: g.GetApp(), Recipient: g.GetRecipient(), Types: g.GetTypes(), From: math.MinInt64, To: math.MaxInt64,
		Purpose: g.GetPurpose(), Statement: g.GetStatement(), Granted: d.GetTime(), Expires: g.GetExpires(),
	}
	if g.From != nil {
		disclosure.From = g.GetFrom()
	}
	if g.To != nil {
		disclosure.To = g.GetTo()
	}
	s.disclosures[disclosure.Number] = disclosure
}

// disclose takes what a decision that was followed means for disclosures. touched is what
// it made of an app.
func (s *State) disclose(d *pb.Decision, detail *pb.DecisionDetail, touched *App) {
	if g := detail.GetDisclosureGranted(); g != nil {
		s.grantDisclosure(d, g)
	}
	if r := detail.GetDisclosureRevoked(); r != nil {
		s.end(d, r.GetGrant(), "revoked")
	}
	if touched == nil || d.GetAppRemoved() == nil && d.GetAppUpdated() == nil {
		return
	}
	for number, g := range s.disclosures {
		if g.App != touched.Number {
			continue
		}
		named := func(r *pb.Recipient) bool { return proto.Equal(r, g.Recipient) }
		switch {
		case touched.Removed:
			s.end(d, number, "the app was removed")
		case d.GetAppUpdated().GetAsksAgain():
			s.end(d, number, "the app's policy, purposes or study are others")
		case !slices.ContainsFunc(touched.Manifest.GetRecipients(), named):
			s.end(d, number, "the app's manifest does not name this recipient any more")
		}
	}
}

// end ends a grant for good: what a later manifest says does not bring it back.
func (s *State) end(d *pb.Decision, number uint64, why string) {
	g := s.disclosures[number]
	if g == nil {
		return
	}
	if _, ended := g.EndedBy(d.GetTime()); ended != "" {
		return
	}
	over := *g
	over.Ended, over.Why = d.GetTime(), why
	s.disclosures[number] = &over
}
