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
