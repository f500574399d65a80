package authz

import (
	"maps"
	"slices"

	pb "healthledger/proto/healthledger/v1"
)

// Share is an app's standing to write a type (spec section 1.2).
type Share uint8

// The standings. They are visible to the app.
const (
	ShareNotDetermined Share = iota
	ShareDenied
	ShareAuthorized
)

// App is a registered client of a store.
type App struct {
	// Number of the decision that registered it; never reused.
	Number uint64
	// Key is its address on NATS.
	Key string
	// Manifest is nil where the details cannot be opened.
	Manifest *pb.Manifest
	Importer bool
	// Registered is in microseconds since the Unix epoch.
	Registered int64
	// Removed apps keep their number, since their samples stay.
	Removed bool

	explained  Explained
	credential Credential
	purposes   []purposesSince
	shares     map[uint32]bool
	reads      map[uint32]Read
	// readable are the read grants that have effect.
	readable map[uint32]Read
	// objects are what was decided object by object, by type.
	objects map[uint32]*Objects
	// required are the clinical types of which the app may read all or none.
	required []uint32
	// lapsed are the types that were answered before the app asked again, at lapsedAt.
	lapsed   Request
	lapsedAt int64
	// asked are the types about whose reading the owner ever decided, either way.
	asked map[uint32]bool
}

// clone returns a copy that may be changed.
func (a *App) clone() *App {
	b := *a
	b.shares, b.reads, b.asked, b.objects = maps.Clone(a.shares), maps.Clone(a.reads), maps.Clone(a.asked), maps.Clone(a.objects)
	return &b
}

// BundleID is empty where the details cannot be opened.
func (a *App) BundleID() string { return a.Manifest.GetBundleId() }

// Explained says which requests the app's manifest explains.
func (a *App) Explained() Explained { return a.explained }

// Share tells whether the app may write a type.
func (a *App) Share(typeCode uint32) Share {
	allowed, asked := a.shares[typeCode]
	switch {
	case a.Removed || !asked:
		return ShareNotDetermined
	case allowed:
		return ShareAuthorized
	default:
		return ShareDenied
	}
}

// Shares returns the codes of the types the app may write, in order.
func (a *App) Shares() []uint32 {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(a.shares)), func(t uint32) bool { return !a.shares[t] })
}

// Reads returns the read grants of the app that have effect, by type code.
func (a *App) Reads() map[uint32]Read { return maps.Clone(a.readable) }

// AppByKey returns the app with the given address, unless it was removed.
func (s *State) AppByKey(key string) (*App, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a, ok := s.byKey[key]
	return a, ok && !a.Removed
}

// AppByNumber returns an app, removed ones too.
func (s *State) AppByNumber(number uint64) (*App, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a, ok := s.apps[number]
	return a, ok
}

// AppByBundle returns the app with the given bundle id, unless it was removed.
func (s *State) AppByBundle(bundleID string) (*App, bool) {
	for _, a := range s.Apps() {
		if a.BundleID() == bundleID {
			return a, true
		}
	}
	return nil, false
}

// NumbersOf returns the numbers of all apps that ever had a bundle id, removed ones too.
func (s *State) NumbersOf(bundleID string) (numbers []uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for number, a := range s.apps {
		if a.BundleID() == bundleID {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// Apps returns the apps that were not removed, in the order they were registered.
func (s *State) Apps() []*App {
	s.mu.RLock()
	defer s.mu.RUnlock()
	apps := slices.DeleteFunc(slices.Collect(maps.Values(s.apps)), func(a *App) bool { return a.Removed })
	slices.SortFunc(apps, func(a, b *App) int { return int(a.Number) - int(b.Number) })
	return apps
}
