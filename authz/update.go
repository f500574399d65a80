package authz

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// asksAgain says whether what the owner has agreed to is not what a new manifest says: the
// model or the text of the policy, the purposes, or what a study's participants consent to.
func asksAgain(old, next *pb.Manifest) bool {
	a, b := old.GetPrivacyPolicy(), next.GetPrivacyPolicy()
	return a.GetModel() != b.GetModel() || a.GetSha256() != b.GetSha256() ||
		!slices.Equal(slices.Sorted(slices.Values(old.GetPurposes())), slices.Sorted(slices.Values(next.GetPurposes()))) ||
		!proto.Equal(old.GetResearch(), next.GetResearch())
}

// update takes a new manifest's consequences. What it does not explain any more is not
// answered any more, either; when it asks again, nothing is.
func (a *App) update(now int64, u *pb.AppUpdated) {
	a.explained = explainedOf(u.GetExplained())
	if u.GetAsksAgain() {
		a.lapse(now)
		return
	}
	if !a.explained.Share {
		clear(a.shares)
	}
	unexplained := func(code uint32) bool {
		t, ok := catalog.ByCode(code)
		return ok && UnexplainedRead(t, a.explained) != ""
	}
	a.revokeObjects(unexplained)
	maps.DeleteFunc(a.reads, func(code uint32, _ Read) bool { return unexplained(code) })
	maps.DeleteFunc(a.asked, func(code uint32, _ bool) bool { return unexplained(code) })
}

// lapse ends all answers, and remembers of what they were.
func (a *App) lapse(now int64) {
	a.lapsed = Request{
		Shares: slices.Sorted(maps.Keys(a.shares)),
		Reads:  slices.Sorted(maps.Keys(a.asked)),
	}.With(a.lapsed)
	a.lapsedAt = now
	clear(a.shares)
	clear(a.reads)
	clear(a.asked)
	a.revokeObjects(func(uint32) bool { return true })
}

// With is both requests in one.
func (r Request) With(other Request) Request {
	join := func(a, b []uint32) []uint32 { return slices.Compact(slices.Sorted(slices.Values(slices.Concat(a, b)))) }
	return Request{join(r.Shares, other.Shares), join(r.Reads, other.Reads)}
}

// describe takes what an app says of itself, when it is registered or updated. It refuses
// nothing that a locked daemon, which does not know what the app said before, would take.
func (s *State) describe(d *pb.Decision, app *App, m *pb.Manifest) error {
	switch {
	case d.GetAppRegistered() == nil && d.GetAppUpdated() == nil:
		return fmt.Errorf("%w: decision %d describes an app and does something else", ErrForged, d.GetNumber())
	case Explains(m) != app.explained:
		return fmt.Errorf("%w: decision %d explains other requests than its manifest", ErrForged, d.GetNumber())
	}
	app.Manifest, app.required = m, nil
	app.purposes = append(slices.Clip(app.purposes), purposesSince{d.GetTime(), m.GetPurposes()})
	for _, name := range m.GetRequiredClinicalTypes() {
		if t, ok := catalog.Lookup(name); ok {
			app.required = append(app.required, t.Code)
		}
	}
	return nil
}
