package authz

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"healthledger/authz/authztest"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// owner signs with a hash: this package trusts whatever verifier it is given.
type owner string

func (o owner) SignDecision(decision []byte) []byte {
	sum := sha256.Sum256(append([]byte(o), decision...))
	return sum[:]
}

func (o owner) VerifyDecision(decision, signature []byte) error {
	if !bytes.Equal(o.SignDecision(decision), signature) {
		return errors.New("another's signature")
	}
	return nil
}

// accept agrees to follow on another owner, after a decision.
func (o owner) accept(from owner, previous []byte, r *pb.StoreRekeyed) {
	r.OwnerKey, r.Accepted = []byte(o), o.SignDecision(slices.Concat([]byte(from), previous, r.GetKeyring()))
}

func (o owner) Rekeyed(previous []byte, r *pb.StoreRekeyed) (Verifier, error) {
	next := owner(r.GetOwnerKey())
	return next, next.VerifyDecision(slices.Concat([]byte(o), previous, r.GetKeyring()), r.GetAccepted())
}

const anna = owner("anna")

// model is what a chain amounts to, the obvious way.
type model struct {
	order  []string
	apps   map[string]*modelApp
	policy pb.Plausibility
	orders map[uint32][]string
	units  map[uint32]string
}

var policies = []pb.Plausibility{pb.Plausibility_PLAUSIBILITY_WARN, pb.Plausibility_PLAUSIBILITY_REFUSE}

type modelApp struct {
	number   uint64
	manifest *pb.Manifest
	key      string
	importer bool
	token    string
	nkey     string
	shares   map[uint32]bool
	reads    map[uint32]Read
	asked    map[uint32]bool
	objects  map[uint32]*modelObjects
	// before are the types that were answered before the app asked again.
	sharedBefore, readBefore map[uint32]bool
}

// chain is a history of the owner's decisions with the model at its end.
type chain struct {
	decisions []*pb.NewDecision
	model     model
	removed   []uint64
}

func drawShares(r *rapid.T) []*pb.ShareGrant {
	return rapid.SliceOfN(rapid.Custom(func(r *rapid.T) *pb.ShareGrant {
		return &pb.ShareGrant{Type: rapid.Uint32Range(1, 4).Draw(r, "type"), Allowed: rapid.Bool().Draw(r, "allowed")}
	}), 0, 3).Draw(r, "shares")
}

func drawReads(r *rapid.T) []*pb.ReadGrant {
	return rapid.SliceOfN(rapid.Custom(func(r *rapid.T) *pb.ReadGrant {
		return &pb.ReadGrant{
			Type:   rapid.SampledFrom(drawnTypes).Draw(r, "type"),
			Extent: pb.ReadExtent(rapid.Int32Range(0, 4).Draw(r, "extent")), // 4 is none of ours
			Since:  rapid.Int64().Draw(r, "since"),
		}
	}), 0, 3).Draw(r, "reads")
}

// drawOrder draws an order of the sources of one of the types.
func drawOrder(r *rapid.T) *pb.SourceOrderSet {
	source := rapid.Custom(func(r *rapid.T) *pb.SourceName {
		return &pb.SourceName{App: rapid.StringN(1, 3, -1).Draw(r, "app"), Name: rapid.StringN(0, 2, -1).Draw(r, "name")}
	})
	return &pb.SourceOrderSet{
		Type:    rapid.Uint32Range(1, 4).Draw(r, "type"),
		Sources: rapid.SliceOfNDistinct(source, 0, 4, func(s *pb.SourceName) string { return s.GetApp() + "\x00" + s.GetName() }).Draw(r, "sources"),
	}
}

func namesOf(order []*pb.SourceName) (names []string) {
	for _, source := range order {
		names = append(names, source.GetApp()+"\x00"+source.GetName())
	}
	return names
}

// unitsOf are units for the types that are drawn.
var unitsOf = map[uint32][]string{1: {"", "kJ", "kcal"}, 2: {"", "s"}, 3: {"", "hr"}, 4: {"", "count", "%"}}

func drawUnits(r *rapid.T) *pb.PreferredUnitsSet {
	set := &pb.PreferredUnitsSet{}
	for _, code := range rapid.SliceOfNDistinct(rapid.Uint32Range(1, 4), 1, 4, rapid.ID).Draw(r, "types") {
		set.Units = append(set.Units, &pb.TypeUnit{Type: code, Unit: rapid.SampledFrom(unitsOf[code]).Draw(r, "unit")})
	}
	return set
}

// drawManifest draws one that leaves out some of the descriptions.
func drawManifest(r *rapid.T, bundle string) *pb.Manifest {
	m := authztest.Manifest(bundle)
	switch rapid.SampledFrom([]string{"all", "required", "share", "read", "both"}).Draw(r, "explained") {
	case "share":
		m.ReadUsageDescription, m.ClinicalUsageDescription = "", ""
	case "read":
		m.ShareUsageDescription, m.ClinicalUsageDescription = "", ""
	case "both":
		m.ClinicalUsageDescription = ""
	case "required":
		m.RequiredClinicalTypes = []string{"labResultRecord", "conditionRecord", "HKClinicalTypeIdentifierMedicationRecord"}
	}
	return m
}

// clinicalTypes are those of the types that are drawn.
var clinicalTypes = []uint32{codeNamed("labResultRecord"), codeNamed("conditionRecord"), codeNamed("medicationRecord")}

// drawnTypes are more often clinical than not.
var drawnTypes = append([]uint32{1, 2, 3}, clinicalTypes...)

func codeNamed(name string) uint32 {
	t, ok := catalog.Lookup(name)
	if !ok {
		panic(name)
	}
	return t.Code
}

// update draws another manifest, and says whether the app asks again.
func (m *modelApp) update(r *rapid.T) (again bool) {
	next := drawManifest(r, m.manifest.GetBundleId())
	next.Version, next.Purposes, next.PrivacyPolicy = "2.0", m.manifest.GetPurposes(), m.manifest.GetPrivacyPolicy()
	switch rapid.SampledFrom([]string{"", "", "url", "purposes", "order", "policy"}).Draw(r, "change") {
	case "url":
		next.PrivacyPolicy = proto.CloneOf(next.GetPrivacyPolicy())
		next.PrivacyPolicy.Url += "/new"
	case "order":
		next.Purposes = slices.Clone(next.GetPurposes())
		slices.Reverse(next.Purposes)
	case "purposes":
		again = true
		next.Purposes = map[int][]string{1: {"fitness", "health"}, 2: {"health"}}[len(next.GetPurposes())]
	case "policy":
		again = true
		next.PrivacyPolicy = proto.CloneOf(next.GetPrivacyPolicy())
		next.PrivacyPolicy.Model = map[string]string{"phr": "hipaa", "hipaa": "phr"}[next.GetPrivacyPolicy().GetModel()]
	}
	m.manifest = next
	for _, o := range m.objects {
		if again || next.GetReadUsageDescription() == "" {
			clear(o.granted)
		}
	}
	for code := range maps.Clone(m.shares) {
		if again {
			m.sharedBefore[code] = true
		}
		if again || next.GetShareUsageDescription() == "" {
			delete(m.shares, code)
		}
	}
	for code := range maps.Clone(m.asked) {
		if again {
			m.readBefore[code] = true
		}
		if _, reads := m.explained(nil, []*pb.ReadGrant{{Type: code, Extent: pb.ReadExtent_READ_EXTENT_ALL}}); again || len(reads) == 0 {
			delete(m.asked, code)
			delete(m.reads, code)
		}
	}
	return again
}

// explained leaves out what the app's manifest does not explain.
func (m *modelApp) explained(shares []*pb.ShareGrant, reads []*pb.ReadGrant) ([]*pb.ShareGrant, []*pb.ReadGrant) {
	shares = slices.DeleteFunc(slices.Clone(shares), func(g *pb.ShareGrant) bool {
		return g.GetAllowed() && m.manifest.GetShareUsageDescription() == ""
	})
	reads = slices.DeleteFunc(slices.Clone(reads), func(g *pb.ReadGrant) bool {
		if g.GetExtent() != pb.ReadExtent_READ_EXTENT_ALL && g.GetExtent() != pb.ReadExtent_READ_EXTENT_SINCE {
			return false
		}
		return m.manifest.GetReadUsageDescription() == "" || slices.Contains(clinicalTypes, g.GetType()) && m.manifest.GetClinicalUsageDescription() == ""
	})
	return shares, reads
}

// refused wants that an author does not write a grant, and that no state takes it from
// one who does.
func refused(r *rapid.T, author *Author, req *pb.DecideRequest) {
	app, _ := author.State.AppByBundle(req.GetBundleId())
	if _, err := author.Grant(1, req); !strings.HasSuffix(partOf(err), "s") {
		r.Fatalf("what the manifest does not explain is granted: %v", err)
	}
	d, err := author.sign(&pb.Decision{Body: &pb.Decision_SharesDecided{SharesDecided: &pb.SharesDecided{App: app.Number, Shares: req.GetShares()}}},
		&pb.DecisionDetail{Body: &pb.DecisionDetail_ReadsDecided{ReadsDecided: &pb.ReadsDecided{App: app.Number, Reads: req.GetReads()}}})
	if err != nil {
		r.Fatal(err)
	}
	if err := author.State.Check(d.GetDecision(), d.GetDetail()); !errors.Is(err, ErrForged) {
		r.Fatalf("what the manifest does not explain is taken: %v", err)
	}
}

// effective are the reads without those of a required set that was not granted wholly.
func (m *modelApp) effective() map[uint32]Read {
	reads := maps.Clone(m.reads)
	for _, code := range clinicalTypes {
		if _, granted := m.reads[code]; !granted && len(m.manifest.GetRequiredClinicalTypes()) > 0 {
			maps.DeleteFunc(reads, func(code uint32, _ Read) bool { return slices.Contains(clinicalTypes, code) })
		}
	}
	return reads
}

// answered wants that nothing but what was never answered is left of a request, and that
// of a required set nothing is told but that not all of it was granted.
func (m *modelApp) answered(r *rapid.T, got *App) {
	lapsed, _ := got.Lapsed()
	if shares, reads := slices.Sorted(maps.Keys(m.sharedBefore)), slices.Sorted(maps.Keys(m.readBefore)); !slices.Equal(lapsed.Shares, shares) || !slices.Equal(lapsed.Reads, reads) {
		r.Fatalf("asks again for %v, want %v and %v", lapsed, shares, reads)
	}
	required := len(m.manifest.GetRequiredClinicalTypes()) > 0
	all := true
	for _, code := range clinicalTypes {
		all = all && m.asked[code]
	}
	_, every := m.effective()[clinicalTypes[0]]
	if got.RequiredNotGranted() != (required && all && !every) {
		r.Fatalf("not granted: %v", got.RequiredNotGranted())
	}
	for _, code := range drawnTypes {
		left := got.Unanswered(Request{Shares: []uint32{code}, Reads: []uint32{code}})
		_, answered := m.shares[code]
		if shares := m.manifest.GetShareUsageDescription() != "" && !answered; shares != slices.Equal(left.Shares, []uint32{code}) {
			r.Fatalf("%d left to share of %d, answered: %v", left.Shares, code, answered)
		}
		var want []uint32
		for _, c := range drawnTypes {
			if (c == code || required && slices.Contains(clinicalTypes, c) && slices.Contains(clinicalTypes, code)) && !m.asked[c] {
				if _, ungranted := m.explained(nil, []*pb.ReadGrant{{Type: c, Extent: pb.ReadExtent_READ_EXTENT_ALL}}); len(ungranted) > 0 {
					want = append(want, c)
				}
			}
		}
		slices.Sort(want)
		if !slices.Equal(left.Reads, want) {
			r.Fatalf("%d left to read of %d, want %d", left.Reads, code, want)
		}
	}
}

// partOf is what an error says is wrong.
func partOf(err error) string {
	var draft *DraftError
	if errors.As(err, &draft) {
		return draft.Field
	}
	return ""
}

func (m *modelApp) grant(shares []*pb.ShareGrant, reads []*pb.ReadGrant) {
	for _, g := range shares {
		m.shares[g.GetType()] = g.GetAllowed()
	}
	for _, g := range reads {
		if g.GetExtent() != 0 {
			m.asked[g.GetType()] = true
		}
		switch g.GetExtent() {
		case pb.ReadExtent_READ_EXTENT_ALL:
			m.reads[g.GetType()] = Read{Extent: ExtentAll}
		case pb.ReadExtent_READ_EXTENT_SINCE:
			m.reads[g.GetType()] = Read{Extent: ExtentSince, Since: g.GetSince()}
		default:
			delete(m.reads, g.GetType())
		}
	}
}

// drawChain lets an author decide, and keeps the model beside it.
func drawChain(r *rapid.T, most int) chain {
	state := NewState(anna, true)
	author := &Author{State: state, Signer: anna, Random: rand.Reader}
	c := chain{model: model{
		apps: map[string]*modelApp{}, policy: pb.Plausibility_PLAUSIBILITY_WARN, orders: map[uint32][]string{}, units: map[uint32]string{},
	}}
	take := func(d *pb.NewDecision, err error) {
		if err != nil {
			r.Fatal(err)
		}
		if err := state.Check(d.GetDecision(), d.GetDetail()); err != nil {
			r.Fatal("Check:", err)
		}
		if err := state.Decide(d.GetDecision(), d.GetDetail()); err != nil {
			r.Fatal("Decide:", err)
		}
		c.decisions = append(c.decisions, d)
	}
	take(author.EnrolDevice(1, &pb.DeviceEnrolled{SigningKey: []byte("signing"), SealingKey: []byte("sealing")}))
	for n := rapid.IntRange(0, most).Draw(r, "decisions"); n > 0; n-- {
		now := int64(len(c.decisions))
		what := rapid.IntRange(0, 10).Draw(r, "what")
		switch {
		case what == 5:
			order := drawOrder(r)
			c.model.orders[order.GetType()] = namesOf(order.GetSources())
			take(author.SetSourceOrder(now, order))
		case what == 6:
			set := drawUnits(r)
			for _, u := range set.GetUnits() {
				c.model.units[u.GetType()] = u.GetUnit()
			}
			take(author.SetPreferredUnits(now, set))
		case what == 7:
			take(author.DeleteSamples(now, &pb.OwnerDeleted{Deletions: []*pb.DeletedSamples{{Type: 1, Uuids: [][]byte{make([]byte, 16)}}}}))
		case what == 4:
			c.model.policy = rapid.SampledFrom(policies).Draw(r, "policy")
			take(author.SetPolicy(now, &pb.PolicySet{Plausibility: c.model.policy}))
		case what == 0 || len(c.model.order) == 0:
			bundle := fmt.Sprintf("org.example.app%d", len(c.decisions))
			app := &modelApp{
				manifest: drawManifest(r, bundle), number: uint64(len(c.decisions)) + 1, key: "key" + bundle, token: "token" + bundle,
				importer: rapid.Bool().Draw(r, "importer"), shares: map[uint32]bool{}, reads: map[uint32]Read{}, asked: map[uint32]bool{},
				objects: map[uint32]*modelObjects{}, sharedBefore: map[uint32]bool{}, readBefore: map[uint32]bool{},
			}
			shares, _ := app.explained(drawShares(r), nil)
			app.grant(shares, nil)
			take(author.AddApp(now, &pb.AppDraft{Manifest: app.manifest, Key: app.key, TokenHash: hashOf(app.token)}, app.importer, shares))
			c.model.order = append(c.model.order, bundle)
			c.model.apps[bundle] = app
		case what == 9:
			take(c.model.apps[rapid.SampledFrom(c.model.order).Draw(r, "app")].decideObjects(r, author, now))
		case what == 8:
			app := c.model.apps[rapid.SampledFrom(c.model.order).Draw(r, "app")]
			again := app.update(r)
			d, err := author.UpdateApp(now, app.manifest)
			take(d, err)
			decision := &pb.Decision{}
			if err := proto.Unmarshal(d.GetDecision().GetDecision(), decision); err != nil || decision.GetAppUpdated().GetAsksAgain() != again {
				r.Fatalf("%v, asks again: %v", decision, again)
			}
		case what == 10:
			app := c.model.apps[rapid.SampledFrom(c.model.order).Draw(r, "app")]
			draft := &pb.CredentialDraft{BundleId: app.manifest.GetBundleId()}
			app.token, app.nkey = "", rapid.SampledFrom(nkeysOfTests).Draw(r, "nkey")
			if app.nkey == "" {
				app.token = fmt.Sprint("token of ", len(c.decisions))
				draft.TokenHash = hashOf(app.token)
			}
			draft.Nkey = app.nkey
			take(author.ReplaceCredential(now, draft))
		case what == 1:
			bundle := rapid.SampledFrom(c.model.order).Draw(r, "app")
			take(author.RemoveApp(now, bundle))
			c.removed = append(c.removed, c.model.apps[bundle].number)
			delete(c.model.apps, bundle)
			c.model.order = slices.DeleteFunc(c.model.order, func(b string) bool { return b == bundle })
		default:
			bundle := rapid.SampledFrom(c.model.order).Draw(r, "app")
			app, req := c.model.apps[bundle], &pb.DecideRequest{BundleId: bundle, Shares: drawShares(r), Reads: drawReads(r)}
			shares, reads := app.explained(req.GetShares(), req.GetReads())
			if len(shares) < len(req.GetShares()) || len(reads) < len(req.GetReads()) {
				refused(r, author, req)
			}
			req.Shares, req.Reads = shares, reads
			app.grant(shares, reads)
			take(author.Grant(now, req))
		}
	}
	return c
}

func (c chain) state(r *rapid.T, details bool) *State {
	state := NewState(anna, details)
	for _, d := range c.decisions {
		detail := d.GetDetail()
		if !details {
			detail = nil
		}
		if err := state.Decide(d.GetDecision(), detail); err != nil {
			r.Fatal(err)
		}
	}
	return state
}

func TestStateOfAChainEqualsTheModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		c := drawChain(r, 12)
		for _, details := range []bool{true, false} {
			checkModel(r, c, c.state(r, details), details)
		}
	})
}

func checkModel(r *rapid.T, c chain, state *State, details bool) {
	if got := state.Plausibility(); got != c.model.policy {
		r.Fatalf("policy %v, want %v", got, c.model.policy)
	}
	for code := range uint32(6) {
		order, unit := c.model.orders[code], c.model.units[code]
		if !details {
			order, unit = nil, ""
		}
		if got := namesOf(state.SourceOrder(code)); !slices.Equal(got, order) {
			r.Fatalf("order %q of type %d, want %q", got, code, order)
		}
		if got := state.PreferredUnit(0, code); got != unit {
			r.Fatalf("the owner sees type %d in %q, want %q", code, got, unit)
		}
	}
	apps := state.Apps()
	if len(apps) != len(c.model.order) {
		r.Fatalf("%d apps, want %d", len(apps), len(c.model.order))
	}
	for i, bundle := range c.model.order {
		want, got := c.model.apps[bundle], apps[i]
		if got.Number != want.number || got.Key != want.key || got.Importer != want.importer || got.Removed {
			r.Fatalf("app %+v, want %+v", got, want)
		}
		if byKey, ok := state.AppByKey(want.key); !ok || byKey != got {
			r.Fatal("the app is not found by its key")
		}
		if got.Holds(want.token) != (want.token != "") || got.Holds(want.token+"x") || got.Holds("") ||
			got.Holds("token"+bundle) != (want.token == "token"+bundle) {
			r.Fatal("the token opens wrongly")
		}
		for _, nkey := range nkeysOfTests {
			if got.HoldsNKey(nkey) != (nkey != "" && nkey == want.nkey) {
				r.Fatal("the nkey opens wrongly")
			}
		}
		reads := want.effective()
		if details {
			if got.BundleID() != bundle || !proto.Equal(got.Manifest, want.manifest) {
				r.Fatal("the app has another manifest")
			}
		} else {
			reads = map[uint32]Read{}
			if got.BundleID() != "" || got.Manifest != nil {
				r.Fatal("a name is known without details")
			}
		}
		if got.Explained() != Explains(want.manifest) {
			r.Fatalf("the app explains %v, its manifest %v", got.Explained(), want.manifest)
		}
		if diff := cmp.Diff(reads, got.Reads()); diff != "" {
			r.Fatal(diff)
		}
		if details {
			want.answered(r, got)
		}
		want.checkObjects(r, state.Scope(want.number), details)
		for _, code := range clinicalTypes {
			checkAccess(r, state.Scope(want.number).Access(code), want.number, reads[code])
		}
		var may []uint32
		for code := range uint32(6) {
			standing := ShareNotDetermined
			if allowed, asked := want.shares[code]; asked {
				standing = ShareDenied
				if allowed {
					standing, may = ShareAuthorized, append(may, code)
				}
			}
			if got.Share(code) != standing {
				r.Fatalf("share of type %d is %d, want %d", code, got.Share(code), standing)
			}
			unit := ""
			if details && want.asked[code] {
				unit = c.model.units[code]
			}
			if prefers := state.PreferredUnit(want.number, code); prefers != unit {
				r.Fatalf("unit %q of type %d, want %q", prefers, code, unit)
			}
			checkAccess(r, state.Scope(want.number).Access(code), want.number, reads[code])
		}
		if !slices.Equal(got.Shares(), may) {
			r.Fatalf("may write %v, want %v", got.Shares(), may)
		}
	}
	for _, number := range append(slices.Clone(c.removed), 0, 1, 999) {
		if app, ok := state.AppByNumber(number); ok {
			if _, found := state.AppByKey(app.Key); found || !app.Removed || app.Share(1) != ShareNotDetermined || app.Holds("token"+app.BundleID()) {
				r.Fatal("a removed app still stands")
			}
		}
		for code := range uint32(6) {
			if number != 0 && state.PreferredUnit(number, code) != "" {
				r.Fatalf("app %d learns a unit", number)
			}
			if _, ok := state.Scope(number).Access(code).Since(7, ""); ok || state.Scope(number).Reader() != 0 {
				r.Fatalf("app %d sees something", number)
			}
		}
	}
}

func checkAccess(r *rapid.T, a Access, app uint64, want Read) {
	if since, ok := a.Since(app, ""); !ok || since != minTime {
		r.Fatal("an app does not see its own")
	}
	since, ok := a.Since(app+1, "")
	switch want.Extent {
	case ExtentNone:
		if ok {
			r.Fatal("a denied app sees something")
		}
	case ExtentSince:
		if !ok || since != want.Since {
			r.Fatalf("sees since %d, want %d", since, want.Since)
		}
	case ExtentAll:
		if !ok || since != minTime {
			r.Fatal("does not see all")
		}
	}
	if _, owners := a.Since(0, ""); owners && want.Extent == ExtentNone {
		r.Fatal("app 0 is everybody's")
	}
}

const minTime = -1 << 63

// picture is all that can be asked of a state.
func picture(s *State) string {
	number, head := s.Head()
	out := fmt.Sprintf("%d %x %v %v %v %v\n", number, head, s.Device(), s.Plausibility(), s.orders, s.units)
	for _, d := range s.Disclosures() {
		out += fmt.Sprintf("%+v\n", *d)
	}
	for _, n := range slices.Sorted(maps.Keys(s.apps)) {
		out += fmt.Sprintf("%+v\n", *s.apps[n])
	}
	return out + fmt.Sprint(len(s.byKey))
}

// forgeries makes of the next decision and the chain what is not the next decision.
func forgeries(r *rapid.T, c chain, at int) (what string, d *pb.SignedDecision, detail []byte) {
	next := c.decisions[at]
	d, detail = proto.CloneOf(next.GetDecision()), bytes.Clone(next.GetDetail())
	flip := func(b []byte) []byte {
		b = bytes.Clone(b)
		i := rapid.IntRange(0, len(b)*8-1).Draw(r, "bit")
		b[i/8] ^= 1 << (i % 8)
		return b
	}
	kinds := []string{"altered", "signature", "foreign", "cut", "unsigned"}
	if at > 0 {
		kinds = append(kinds, "repeated")
	}
	if at+1 < len(c.decisions) {
		kinds = append(kinds, "dropped")
	}
	if len(detail) > 0 {
		kinds = append(kinds, "detail altered", "detail missing", "detail of another")
	}
	switch what = rapid.SampledFrom(kinds).Draw(r, "forgery"); what {
	case "altered":
		d.Decision = flip(d.GetDecision())
	case "signature":
		d.Signature = flip(d.GetSignature())
	case "foreign":
		d.Signature = owner("eve").SignDecision(d.GetDecision())
	case "cut":
		d.Decision = d.GetDecision()[:rapid.IntRange(0, len(d.GetDecision())-1).Draw(r, "length")]
	case "unsigned":
		d.Signature = nil
	case "repeated":
		again := c.decisions[rapid.IntRange(0, at-1).Draw(r, "again")]
		d, detail = again.GetDecision(), again.GetDetail()
	case "dropped":
		later := c.decisions[rapid.IntRange(at+1, len(c.decisions)-1).Draw(r, "later")]
		d, detail = later.GetDecision(), later.GetDetail()
	case "detail altered":
		detail = flip(detail)
	case "detail missing":
		detail = nil
	case "detail of another":
		detail = append(bytes.Clone(detail), 0x12, 1, 'x') // another salt
	}
	return what, d, detail
}

func TestForgedDecisionIsRefusedAndChangesNothing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		c := drawChain(r, 8)
		at := rapid.IntRange(0, len(c.decisions)-1).Draw(r, "at")
		state := chain{decisions: c.decisions[:at]}.state(r, true)
		locked := chain{decisions: c.decisions[:at]}.state(r, false)
		before := picture(state)
		what, d, detail := forgeries(r, c, at)
		if err := state.Decide(d, detail); !errors.Is(err, ErrForged) {
			r.Fatalf("%s: %v", what, err)
		}
		if got := picture(state); got != before {
			r.Fatalf("%s: state changed from\n%s\nto\n%s", what, before, got)
		}
		// A daemon cannot open details that are in the log, but it sees those that are
		// about to be written there.
		for _, s := range []*State{state, locked} {
			if err := s.Check(d, detail); !errors.Is(err, ErrForged) {
				r.Fatalf("%s: Check: %v", what, err)
			}
		}
		next := c.decisions[at]
		if err := state.Decide(next.GetDecision(), next.GetDetail()); err != nil {
			r.Fatal("the right one is refused after it:", err)
		}
	})
}

// Whatever Check lets pass, Decide takes, with details and without: otherwise the log
// would end, for one reader or the other, at a decision that was written into it.
func TestCheckedDecisionIsTakenByEveryReader(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		c := drawChain(r, 6)
		full, locked := c.state(r, true), c.state(r, false)
		d, detail := drawAnyDecision(r, full)
		beforeFull, beforeLocked := picture(full), picture(locked)
		checked := locked.Check(d, detail)
		if picture(locked) != beforeLocked {
			r.Fatal("Check changed the state")
		}
		errFull, errLocked := full.Decide(d, detail), locked.Decide(d, nil)
		if checked == nil && (errFull != nil || errLocked != nil) {
			r.Fatalf("checked, but: %v; %v", errFull, errLocked)
		}
		if checked != nil && !errors.Is(checked, ErrForged) {
			r.Fatal(checked)
		}
		if errFull != nil && picture(full) != beforeFull {
			r.Fatal("a refused decision changed the state")
		}
	})
}

// drawHash draws what is at times no SHA-256.
func drawHash(r *rapid.T) []byte {
	return make([]byte, rapid.SampledFrom([]int{32, 32, 33, 31, 0}).Draw(r, "hash"))
}

// drawAnyDecision is the owner's own signature under what no Author would write.
func drawAnyDecision(r *rapid.T, state *State) (*pb.SignedDecision, []byte) {
	number, head := state.Head()
	app := rapid.Uint64Range(0, number+2).Draw(r, "app")
	d := &pb.Decision{Number: number + 1, Previous: head}
	switch rapid.IntRange(0, 9).Draw(r, "body") {
	case 9:
		rekeyed := &pb.StoreRekeyed{Keyring: drawHash(r)}
		owner("berta").accept(anna, rapid.SampledFrom([][]byte{head, nil}).Draw(r, "after"), rekeyed)
		d.Body = &pb.Decision_StoreRekeyed{StoreRekeyed: rekeyed}
	case 0:
		d.Body = &pb.Decision_DeviceEnrolled{DeviceEnrolled: &pb.DeviceEnrolled{SigningKey: []byte("other")}}
	case 1:
		key := ""
		if apps := state.Apps(); len(apps) > 0 && rapid.Bool().Draw(r, "taken") {
			key = apps[0].Key
		} else if rapid.Bool().Draw(r, "named") {
			key = "new"
		}
		d.Body = &pb.Decision_AppRegistered{AppRegistered: &pb.AppRegistered{
			Key: key, TokenHash: drawHash(r), Shares: drawShares(r), Explained: &pb.Explained{Share: rapid.Bool().Draw(r, "explained"), Read: true, Clinical: true},
		}}
	case 2:
		d.Body = &pb.Decision_SharesDecided{SharesDecided: &pb.SharesDecided{App: app, Shares: drawShares(r)}}
	case 3:
		d.Body = &pb.Decision_AppRemoved{AppRemoved: &pb.AppRemoved{App: app}}
	case 5:
		d.Body = &pb.Decision_AppUpdated{AppUpdated: &pb.AppUpdated{
			App: app, Explained: &pb.Explained{Share: rapid.Bool().Draw(r, "explained"), Read: true}, AsksAgain: rapid.Bool().Draw(r, "again"),
		}}
	case 4:
		policy := pb.Plausibility(rapid.Int32Range(0, 3).Draw(r, "policy")) // 0 and 3 are none
		d.Body = &pb.Decision_PolicySet{PolicySet: &pb.PolicySet{Plausibility: policy}}
	case 7:
		d.Body = &pb.Decision_KeyringReplaced{KeyringReplaced: &pb.KeyringReplaced{Hash: drawHash(r)}}
	case 8:
		d.Body = &pb.Decision_CredentialReplaced{CredentialReplaced: &pb.CredentialReplaced{
			App: app, TokenHash: drawHash(r), Nkey: rapid.SampledFrom(nkeysOfTests).Draw(r, "nkey"),
		}}
	}
	var detail []byte
	if rapid.Bool().Draw(r, "detailed") {
		body := &pb.DecisionDetail{Number: number + 1, Salt: make([]byte, 16)}
		of := rapid.SampledFrom([]uint64{app, number + 1}).Draw(r, "of")
		switch rapid.IntRange(0, 8).Draw(r, "detail") {
		case 8:
			body.Body = &pb.DecisionDetail_DisclosureRevoked{DisclosureRevoked: &pb.DisclosureRevoked{Grant: of}}
		case 7:
			body.Body = &pb.DecisionDetail_DisclosureGranted{DisclosureGranted: &pb.DisclosureGranted{
				App: of, Recipient: doctor, Types: []uint32{1}, Purpose: "health", Statement: "Why", Expires: 1,
			}}
		case 6:
			body.Body = &pb.DecisionDetail_ObjectsDecided{ObjectsDecided: drawObjects(r, of)}
		case 3:
			body.Body = &pb.DecisionDetail_SourceOrderSet{SourceOrderSet: drawOrder(r)}
		case 4:
			body.Body = &pb.DecisionDetail_PreferredUnitsSet{PreferredUnitsSet: drawUnits(r)}
		case 5:
			body.Body = &pb.DecisionDetail_OwnerDeleted{OwnerDeleted: &pb.OwnerDeleted{}}
		case 0:
			body.Body = &pb.DecisionDetail_AppDescribed{AppDescribed: &pb.AppDescribed{Manifest: drawManifest(r, "org.example.new")}}
		case 1:
			body.Body = &pb.DecisionDetail_ReadsDecided{ReadsDecided: &pb.ReadsDecided{App: of, Reads: append(drawReads(r), &pb.ReadGrant{
				Type: 1, Extent: pb.ReadExtent_READ_EXTENT_ALL,
			})}}
		}
		detail, _ = proto.Marshal(body)
		if rapid.IntRange(0, 3).Draw(r, "hashed") > 0 {
			sum := sha256.Sum256(detail)
			d.DetailHash = sum[:]
		}
	}
	b, err := proto.Marshal(d)
	if err != nil {
		r.Fatal(err)
	}
	return &pb.SignedDecision{Decision: b, Signature: anna.SignDecision(b)}, detail
}
