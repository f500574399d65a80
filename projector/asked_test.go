package projector

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/authz/authztest"
	"healthledger/ledger"
	pb "healthledger/proto/healthledger/v1"
)

// asker is a registered app with what an owner and the app itself can do.
type asker struct {
	t   *testing.T
	h   *house
	s   *service
	app *authz.App
	id  string
}

func newAsker(t *testing.T, h *house, s *service, manifest *pb.Manifest) *asker {
	t.Helper()
	h.decide(t, s, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_AddApp{
		AddApp: &pb.AppDraft{Manifest: manifest, Key: ledger.NewAppKey(), TokenHash: make([]byte, 32)},
	}})
	a := &asker{t: t, h: h, s: s, id: manifest.GetBundleId()}
	open, err := s.opened()
	if err != nil {
		t.Fatal(err)
	}
	a.app, _ = open.live.state.AppByBundle(a.id)
	return a
}

func (a *asker) asks(share, read []string) {
	a.t.Helper()
	if _, err := a.h.store.RequestAuthorization(a.t.Context(), a.app, &pb.RequestAuthorizationRequest{Share: share, Read: read}); err != nil {
		a.t.Fatal(err)
	}
}

func (a *asker) decides(shares []*pb.ShareGrant, reads ...*pb.ReadGrant) {
	a.t.Helper()
	a.h.decide(a.t, a.s, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_Decide{Decide: &pb.DecideRequest{BundleId: a.id, Shares: shares, Reads: reads}}})
}

func (a *asker) reads(name string, extent pb.ReadExtent) *pb.ReadGrant {
	return &pb.ReadGrant{Type: codeOf(a.t, name), Extent: extent, Since: 7}
}

// pending wants what the owner is shown.
func (a *asker) pending(what string, share, read []string) {
	a.t.Helper()
	sequence, _, _ := a.h.store.Head()
	resp, err := a.s.ReadRequests(a.t.Context(), &pb.ReadRequestsRequest{Sequence: sequence})
	if err != nil {
		a.t.Fatal(err)
	}
	got := &pb.PendingRequest{}
	for _, r := range resp.GetRequests() {
		if r.GetManifest().GetBundleId() == a.id {
			got = r
		}
	}
	if !slices.Equal(got.GetShare(), share) || !slices.Equal(got.GetRead(), read) {
		a.t.Errorf("%s: %v is asked for, want to share %v, to read %v", what, got, share, read)
	}
	if shown := got.GetManifest() != nil; shown != (len(share)+len(read) > 0) || shown && got.GetAsked() == nil {
		a.t.Errorf("%s: %v", what, got)
	}
}

// status wants what the app is told.
func (a *asker) status(what string, share, read []string, ask, notGranted bool) {
	a.t.Helper()
	sequence, _, _ := a.h.store.Head()
	resp, err := a.s.Read(a.t.Context(), &pb.ReadRequest{Reader: &pb.Reader{App: a.app.Number}, Sequence: sequence, Query: &pb.ReadRequest_RequestStatus{
		RequestStatus: &pb.GetRequestStatusRequest{Share: share, Read: read},
	}})
	if err != nil {
		a.t.Fatal(err)
	}
	got := &pb.GetRequestStatusResponse{}
	if err := proto.Unmarshal(resp.GetAnswer(), got); err != nil {
		a.t.Fatal(err)
	}
	if (got.GetStatus() == pb.RequestStatus_REQUEST_STATUS_SHOULD_ASK) != ask || got.GetRequiredNotGranted() != notGranted {
		a.t.Errorf("%s: %v", what, got)
	}
}

const (
	readAll   = pb.ReadExtent_READ_EXTENT_ALL
	readNone  = pb.ReadExtent_READ_EXTENT_NONE
	readSince = pb.ReadExtent_READ_EXTENT_SINCE
)

// Pitfalls 4 and 5 of the spec: asking twice shows nothing, and a request with one new type
// shows the new one; a status tells that something was answered, and not what.
func TestOnlyWhatWasNeverAnsweredIsShown(t *testing.T) {
	h := newHouse(t)
	s := h.opened(t)
	a := newAsker(t, h, s, authztest.Manifest("org.example.a"))
	other := newAsker(t, h, s, authztest.Manifest("org.example.b"))
	share, read := []string{"bodyMass"}, []string{"heartRate", "stepCount"}
	a.pending("at first", nil, nil)
	a.status("at first", share, read, true, false)
	a.asks(share, read)
	a.asks(nil, read[1:])
	a.pending("asked", share, read)
	a.status("asked", share, read, true, false)
	other.pending("another app", nil, nil)

	a.decides(nil, a.reads("stepCount", readNone))
	a.pending("one denied", share, read[:1])
	a.status("one denied", nil, read[1:], false, false)
	a.status("one denied", share, nil, true, false)
	a.decides([]*pb.ShareGrant{{Type: codeOf(t, "bodyMass"), Allowed: true}}, a.reads("heartRate", readSince))
	a.pending("all answered", nil, nil)
	a.status("all answered", share, read, false, false)

	// A share that is decided is no read.
	a.status("the other direction", nil, share, true, false)
	a.asks(share, append(slices.Clone(read), "height"))
	a.pending("one is new", nil, []string{"height"})
	a.decides(nil, a.reads("stepCount", readAll), a.reads("heartRate", readNone))
	a.pending("another mind", nil, []string{"height"})

	// A rebuilt view asks for the same.
	payloads := h.payloads(t)
	again := open(t, h.config(t, h.server, h.folder(t)), payloads)
	waitReady(t, again, payloads)
	a.s = again
	a.pending("rebuilt", nil, []string{"height"})
}

// Spec section 1.7: of the required clinical types all can be read, or none; the app learns
// that not all were granted, and never which.
func TestRequiredClinicalTypesAreAllOrNone(t *testing.T) {
	h := newHouse(t)
	s := h.opened(t)
	m := authztest.Manifest("org.example.a")
	m.RequiredClinicalTypes = []string{"labResultRecord", "conditionRecord", "medicationRecord"}
	required := []string{"conditionRecord", "labResultRecord", "medicationRecord"}
	visible := func(a *asker) (names []string) {
		open, err := a.s.opened()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range append(slices.Clone(required), "vitalSignRecord") {
			if _, ok := open.live.state.Scope(a.app.Number).Access(codeOf(t, name)).Since(999, ""); ok {
				names = append(names, name)
			}
		}
		return names
	}
	told := func(a *asker, ask, notGranted bool) {
		t.Helper()
		for _, name := range required {
			a.status(name, nil, []string{name}, ask, notGranted)
		}
	}
	for i, refused := range required {
		m.BundleId = "org.example.a" + refused
		a := newAsker(t, h, s, m)
		a.asks(nil, []string{required[i], "vitalSignRecord"})
		a.pending("one stands for all", nil, append(slices.Clone(required), "vitalSignRecord"))
		told(a, true, false)
		var answers []*pb.ReadGrant
		for _, name := range required {
			extent := readAll
			if name == refused {
				extent = readNone
			}
			answers = append(answers, a.reads(name, extent))
		}
		a.decides(nil, append(answers, a.reads("vitalSignRecord", readAll))...)
		told(a, false, true)
		if got := visible(a); !slices.Equal(got, []string{"vitalSignRecord"}) {
			t.Errorf("%s is refused, and %v can be read", refused, got)
		}
		a.decides(nil, a.reads(refused, readSince))
		told(a, false, false)
		if got := visible(a); len(got) != 4 {
			t.Errorf("all are granted, and %v can be read", got)
		}
		a.decides(nil, a.reads(required[(i+1)%3], readNone))
		told(a, false, true)
		if got := visible(a); !slices.Equal(got, []string{"vitalSignRecord"}) {
			t.Errorf("one is revoked, and %v can be read", got)
		}
	}
}

// Another policy or other purposes end all answers: the owner is asked again for what he
// had answered and for what waits, and until then the app has nothing.
func TestAnotherPolicyAsksAgain(t *testing.T) {
	h := newHouse(t)
	s := h.opened(t)
	m := authztest.Manifest("org.example.a")
	a := newAsker(t, h, s, m)
	share := []*pb.ShareGrant{{Type: codeOf(t, "bodyMass"), Allowed: true}}
	standing := func(what string, want authz.Share, reads bool) {
		t.Helper()
		open, err := a.s.opened()
		if err != nil {
			t.Fatal(err)
		}
		app, _ := open.live.state.AppByNumber(a.app.Number)
		_, ok := open.live.state.Scope(app.Number).Access(codeOf(t, "stepCount")).Since(999, "")
		// The daemon, which cannot open the manifest, knows the same of what may be written.
		outside, _ := h.store.State().AppByNumber(a.app.Number)
		if app.Share(codeOf(t, "bodyMass")) != want || outside.Share(codeOf(t, "bodyMass")) != want || ok != reads {
			t.Errorf("%s: it may write: %v, read: %v", what, app.Share(codeOf(t, "bodyMass")), ok)
		}
	}
	update := func(change func(*pb.Manifest)) {
		t.Helper()
		change(m)
		h.decide(t, s, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_UpdateApp{UpdateApp: &pb.UpdateAppRequest{Manifest: m}}})
	}
	a.asks(nil, []string{"stepCount", "heartRate"})
	a.decides(share, a.reads("stepCount", readAll))
	standing("decided", authz.ShareAuthorized, true)
	update(func(m *pb.Manifest) { m.Version, m.Name, m.ReadUsageDescription = "2", "B", "Shows more." })
	standing("another version", authz.ShareAuthorized, true)
	a.pending("another version", nil, []string{"heartRate"})

	for what, change := range map[string]func(*pb.Manifest){
		"another policy":   func(m *pb.Manifest) { m.PrivacyPolicy.Sha256 = "00" + m.GetPrivacyPolicy().GetSha256()[2:] },
		"another model":    func(m *pb.Manifest) { m.PrivacyPolicy.Model = "hipaa" },
		"another purpose":  func(m *pb.Manifest) { m.Purposes = []string{"fitness"} },
		"one more purpose": func(m *pb.Manifest) { m.Purposes = append(m.Purposes, "personal_export") },
	} {
		update(change)
		standing(what, authz.ShareNotDetermined, false)
		a.pending(what, []string{"bodyMass"}, []string{"heartRate", "stepCount"})
		a.status(what, []string{"bodyMass"}, nil, true, false)
		a.decides(share, a.reads("stepCount", readAll))
		standing(what+", decided", authz.ShareAuthorized, true)
		a.pending(what+", decided", nil, []string{"heartRate"})
	}

	// Without a reason to write there is nothing to write, and to be asked.
	update(func(m *pb.Manifest) { m.ShareUsageDescription = "" })
	standing("no reason", authz.ShareNotDetermined, true)
	a.pending("no reason", nil, []string{"heartRate"})

	payloads := h.payloads(t)
	again := open(t, h.config(t, h.server, h.folder(t)), payloads)
	waitReady(t, again, payloads)
	a.s = again
	standing("rebuilt", authz.ShareNotDetermined, true)
	a.pending("rebuilt", nil, []string{"heartRate"})
}
