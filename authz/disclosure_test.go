package authz

import (
	"crypto/rand"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"healthledger/authz/authztest"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

var (
	doctor     = &pb.Recipient{Name: "Doctor", Category: "health_service", Address: "Main Street 1"}
	coach      = &pb.Recipient{Name: "Coach", Category: "fitness_service", Address: "Main Street 2"}
	university = &pb.Recipient{Name: "University", Category: "research", Address: "Main Street 3"}
)

// drawDiscloser draws a manifest that names some of the recipients, one of them at times at
// another address, and is at times of another policy or other purposes.
func drawDiscloser(r *rapid.T, bundle string) *pb.Manifest {
	m := authztest.Manifest(bundle)
	m.Purposes = []string{"health", "personal_export"}
	if rapid.IntRange(0, 2).Draw(r, "research") > 0 {
		m.Purposes = append(m.Purposes, "research")
		m.Research = &pb.Research{
			ConsentSha256: strings.Repeat("ab", 32), Protocol: "P", BoardApproval: "B", WithdrawUrl: "https://example.com/withdraw",
		}
		m.Recipients = append(m.Recipients, university)
	}
	if rapid.IntRange(0, 4).Draw(r, "policy") == 0 {
		m.PrivacyPolicy.Sha256 = strings.Repeat("6f", 32)
	}
	if rapid.IntRange(0, 4).Draw(r, "doctor") > 0 {
		m.Recipients = append(m.Recipients, doctor)
	}
	if rapid.IntRange(0, 4).Draw(r, "coach") > 0 {
		moved := proto.CloneOf(coach)
		moved.Address = rapid.SampledFrom([]string{coach.Address, "Main Street 4"}).Draw(r, "address")
		m.Recipients = append(m.Recipients, moved)
	}
	return m
}

// granting is the model of a grant.
type granting struct {
	number, app uint64
	request     *pb.GrantDisclosureRequest
	recipient   *pb.Recipient
	over        bool
}

// discloser is the model of a store with one app that discloses.
type discloser struct {
	state    *State
	locked   *State
	author   *Author
	manifest *pb.Manifest
	app      uint64
	now      int64
	grants   []*granting
}

func (m *discloser) take(r *rapid.T, d *pb.NewDecision, err error) uint64 {
	if err != nil {
		r.Fatal(err)
	}
	for _, state := range []*State{m.state, m.locked} {
		if err := state.Check(d.GetDecision(), d.GetDetail()); err != nil {
			r.Fatal("Check:", err)
		}
	}
	if err := errors.Join(m.state.Decide(d.GetDecision(), d.GetDetail()), m.locked.Decide(d.GetDecision(), nil)); err != nil {
		r.Fatal("Decide:", err)
	}
	number, _ := m.state.Head()
	return number
}

func (m *discloser) endIf(over func(*granting) bool) {
	for _, g := range m.grants {
		g.over = g.over || over(g)
	}
}

func (m *discloser) register(r *rapid.T) {
	m.manifest = drawDiscloser(r, "org.example")
	d, err := m.author.AddApp(m.now, &pb.AppDraft{Manifest: m.manifest, Key: rapid.StringMatching("[a-z]{20}").Draw(r, "key"), TokenHash: aHash}, false, nil)
	m.app = m.take(r, d, err)
}

func (m *discloser) update(r *rapid.T) {
	next := drawDiscloser(r, "org.example")
	again := !slices.Equal(next.GetPurposes(), m.manifest.GetPurposes()) || next.GetPrivacyPolicy().GetSha256() != m.manifest.GetPrivacyPolicy().GetSha256()
	d, err := m.author.UpdateApp(m.now, next)
	m.take(r, d, err)
	m.manifest = next
	m.endIf(func(g *granting) bool {
		named := slices.ContainsFunc(next.GetRecipients(), func(one *pb.Recipient) bool { return proto.Equal(one, g.recipient) })
		return g.app == m.app && (again || !named)
	})
}

func (m *discloser) decide(r *rapid.T) {
	d, err := m.author.Grant(m.now, &pb.DecideRequest{BundleId: "org.example", Shares: []*pb.ShareGrant{{
		Type: rapid.Uint32Range(1, 3).Draw(r, "share"), Allowed: rapid.Bool().Draw(r, "allowed"),
	}}, Reads: []*pb.ReadGrant{{
		Type: rapid.Uint32Range(1, 3).Draw(r, "read"), Extent: pb.ReadExtent(rapid.Int32Range(1, 3).Draw(r, "extent")), Since: rapid.Int64Range(-5, 5).Draw(r, "since"),
	}}})
	m.take(r, d, err)
}

// drawGrant draws a request, and says which part of it must not be granted; "" if it may be.
// Most of it may be.
func (m *discloser) drawGrant(r *rapid.T) (req *pb.GrantDisclosureRequest, part string) {
	time := func(name string, values ...int64) *timestamppb.Timestamp {
		t := rapid.SampledFrom(append(values, math.MinInt64)).Draw(r, name)
		if t == math.MinInt64 {
			return nil
		}
		return health.Timestamp(t)
	}
	app, _ := m.state.AppByNumber(m.app)
	req = &pb.GrantDisclosureRequest{
		BundleId: "org.example", From: time("from", -3, 0, 3), To: time("to", 4, 6), Expires: health.Timestamp(m.now + rapid.Int64Range(1, 5).Draw(r, "lasts")),
		Purpose: "health", Statement: "Why",
	}
	for code := range uint32(4) {
		if _, reads := app.Reads()[code]; reads || app.Share(code) == ShareAuthorized && rapid.Bool().Draw(r, "own") {
			req.Types = append(req.Types, typeName(code))
		}
	}
	req.Recipient = "Doctor"
	if len(m.manifest.GetRecipients()) > 0 {
		req.Recipient = rapid.SampledFrom(m.manifest.GetRecipients()).Draw(r, "named").GetName()
	}
	if req.Recipient == "University" {
		req.Purpose, req.ConsentSha256 = "research", strings.Repeat("ab", 32)
	}
	switch rapid.IntRange(0, 12).Draw(r, "change") {
	case 0:
		req.Recipient = rapid.SampledFrom([]string{"Doctor", "Coach", "University", "Broker"}).Draw(r, "recipient")
	case 1:
		req.Types = rapid.SliceOfN(rapid.SampledFrom([]string{typeName(1), typeName(2), typeName(3)}), 0, 3).Draw(r, "types")
	case 2:
		req.To = time("to", 0, 3)
	case 3:
		req.Expires = time("expires", m.now)
	case 4:
		req.Purpose = rapid.SampledFrom([]string{"health", "research", "fitness", "personal_export", "advertising"}).Draw(r, "purpose")
	case 5:
		req.Statement = " "
	case 6:
		req.ConsentSha256 = rapid.SampledFrom([]string{"", strings.Repeat("ab", 32), strings.Repeat("cd", 32)}).Draw(r, "consent")
	}
	return req, m.wrong(req)
}

// wrong is the obvious list of what may not be granted.
func (m *discloser) wrong(req *pb.GrantDisclosureRequest) string {
	research := req.GetPurpose() == "research"
	app, _ := m.state.AppByNumber(m.app)
	switch {
	case m.recipient(req.GetRecipient()) == nil:
		return "recipient"
	case !slices.Contains(m.manifest.GetPurposes(), req.GetPurpose()), req.GetPurpose() == "personal_export", research != (req.GetRecipient() == "University"):
		return "purpose"
	case req.GetStatement() == " ":
		return "statement"
	case research != (req.GetConsentSha256() == strings.Repeat("ab", 32)) || !research && req.GetConsentSha256() != "":
		return "consent_sha256"
	case req.From != nil && req.To != nil && !req.From.AsTime().Before(req.To.AsTime()):
		return "to"
	case req.Expires == nil || req.Expires.AsTime().UnixMicro() <= m.now:
		return "expires"
	}
	if len(req.GetTypes()) == 0 {
		return "types"
	}
	for _, name := range req.GetTypes() {
		if _, reads := app.Reads()[codeNamed(name)]; !reads && app.Share(codeNamed(name)) != ShareAuthorized {
			return "types"
		}
	}
	return ""
}

func (m *discloser) recipient(name string) *pb.Recipient {
	for _, one := range m.manifest.GetRecipients() {
		if one.GetName() == name {
			return one
		}
	}
	return nil
}

// grant wants that what may not be granted is refused by the author, and gives nothing to
// whoever reads it in the log.
func (m *discloser) grant(r *rapid.T) {
	req, part := m.drawGrant(r)
	d, err := m.author.GrantDisclosure(m.now, req)
	if part == "" {
		number := m.take(r, d, err)
		m.grants = append(m.grants, &granting{number: number, app: m.app, request: req, recipient: m.recipient(req.GetRecipient())})
		return
	}
	if partOf(err) != part {
		r.Fatalf("%v is granted, or refused for another reason than its %s: %v", req, part, err)
	}
	recipient := m.recipient(req.GetRecipient())
	if recipient == nil {
		recipient = &pb.Recipient{Name: req.GetRecipient(), Category: "health_service", Address: "Main Street 9"}
	}
	forged := &pb.DisclosureGranted{
		App: m.app, Recipient: recipient, Purpose: req.GetPurpose(), Statement: req.GetStatement(), ConsentSha256: req.GetConsentSha256(),
		Expires: req.GetExpires().AsTime().UnixMicro(),
	}
	if req.GetExpires() == nil {
		forged.Expires = 0
	}
	for _, name := range req.GetTypes() {
		forged.Types = append(forged.Types, codeNamed(name))
	}
	slices.Sort(forged.Types)
	forged.Types = slices.Compact(forged.Types)
	if req.From != nil && req.To != nil {
		from, to := req.From.AsTime().UnixMicro(), req.To.AsTime().UnixMicro()
		forged.From, forged.To = &from, &to
	}
	d, err = m.author.sign(&pb.Decision{Time: m.now}, &pb.DecisionDetail{Body: &pb.DecisionDetail_DisclosureGranted{DisclosureGranted: forged}})
	if err != nil {
		r.Fatal(err)
	}
	number := m.take(r, d, nil)
	if _, scope, err := m.state.Disclose(number, m.now); !errors.Is(err, ErrNoDisclosure) || scope.Reader() != 0 {
		r.Fatalf("a log that grants %v has it granted: %v", forged, err)
	}
}

func (m *discloser) revoke(r *rapid.T) {
	if len(m.grants) == 0 {
		return
	}
	g := rapid.SampledFrom(m.grants).Draw(r, "revoked")
	d, err := m.author.RevokeDisclosure(m.now, g.number)
	if !m.stands(g) {
		if !errors.Is(err, ErrNoDisclosure) {
			r.Fatalf("grant %d is revoked twice: %v", g.number, err)
		}
		return
	}
	m.take(r, d, err)
	g.over = true
}

func (m *discloser) stands(g *granting) bool {
	return !g.over && m.now < g.request.GetExpires().AsTime().UnixMicro()
}

// check wants of every grant that it stands if it should, and then gives what it names of
// what the app may read and nothing else.
func (m *discloser) check(r *rapid.T) {
	for _, g := range m.grants {
		d, scope, err := m.state.Disclose(g.number, m.now)
		if m.stands(g) != (err == nil) || err != nil && !errors.Is(err, ErrNoDisclosure) {
			r.Fatalf("grant %d should stand: %v, and does: %v", g.number, m.stands(g), err)
		}
		if err == nil && (!proto.Equal(d.Recipient, g.recipient) || d.Statement != g.request.GetStatement() || scope.Reader() == g.app || scope.Reader() == 0) {
			r.Fatalf("%+v was granted as %v", d, g.request)
		}
		for code := range uint32(5) {
			for source := range uint64(20) {
				bound, sees := m.state.Scope(g.app).Access(code).Since(source, "")
				named := slices.ContainsFunc(g.request.GetTypes(), func(name string) bool { return codeNamed(name) == code })
				if g.request.From != nil {
					bound = max(bound, g.request.From.AsTime().UnixMicro())
				}
				got, gives := scope.Access(code).Since(source, "")
				if want := sees && named && err == nil; gives != want || want && got != bound {
					r.Fatalf("type %d of app %d under grant %d: %d, %v; want %d, %v", code, source, g.number, got, gives, bound, want)
				}
			}
		}
	}
	if len(m.state.Disclosures()) != len(m.grants) || len(m.locked.Disclosures()) != 0 {
		r.Fatal("a grant was forgotten, or known without its detail")
	}
}

func TestDisclosuresReachNoFurtherThanTheirGrants(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m := &discloser{state: NewState(anna, true), locked: NewState(anna, false), now: 100}
		m.author = &Author{State: m.state, Signer: anna, Random: rand.Reader}
		m.register(r)
		for range rapid.IntRange(1, 30).Draw(r, "steps") {
			switch rapid.IntRange(0, 9).Draw(r, "what") {
			case 0:
				m.update(r)
			case 1:
				m.now++
			case 2:
				m.revoke(r)
			case 3:
				if rapid.IntRange(0, 3).Draw(r, "removes") == 0 {
					d, err := m.author.RemoveApp(m.now, "org.example")
					m.take(r, d, err)
					m.endIf(func(g *granting) bool { return g.app == m.app })
					m.register(r)
				}
			case 4, 5:
				m.decide(r)
			default:
				m.grant(r)
			}
			m.check(r)
		}
	})
}

// A grant that names what a manifest names is possible in each category.
func TestEachCategoryHasItsPurposes(t *testing.T) {
	m := authztest.Manifest("org.example")
	m.Purposes = []string{"health", "fitness", "research", "personal_export"}
	m.Research = &pb.Research{ConsentSha256: strings.Repeat("ab", 32), Protocol: "P", BoardApproval: "B", WithdrawUrl: "https://example.com/withdraw"}
	m.Recipients = []*pb.Recipient{doctor, coach, university}
	if err := CheckManifest(m); err != nil {
		t.Fatal(err)
	}
	m.Recipients[1] = proto.CloneOf(coach)
	m.Recipients[1].Name = doctor.Name
	if err := CheckManifest(m); partOf(err) != "recipients[1].name" {
		t.Error(err)
	}
	m.Recipients[1] = coach
	app := &App{Manifest: m, shares: map[uint32]bool{1: true}}
	for _, recipient := range m.Recipients {
		for _, purpose := range append(purposes, "sale") {
			g := &pb.DisclosureGranted{Recipient: recipient, Types: []uint32{1}, Purpose: purpose, Statement: "Why", Expires: 2}
			if purpose == "research" {
				g.ConsentSha256 = m.GetResearch().GetConsentSha256()
			}
			want := ""
			if !slices.Contains(fitting[recipient.GetCategory()], purpose) {
				want = "purpose"
			}
			if err := app.checkDisclosure(1, g); partOf(err) != want || want == "" && err != nil {
				t.Errorf("%s for %s: %v", recipient.GetName(), purpose, err)
			}
		}
	}
}
