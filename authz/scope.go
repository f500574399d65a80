package authz

import (
	"math"

	"healthledger/proto/catalog"
)

// Extent says how much of what other apps wrote may be read.
type Extent uint8

// The extents. The zero value denies.
const (
	ExtentNone Extent = iota
	ExtentSince
	ExtentAll
)

// Scope is what one reader may see. Its fields are unexported and only State makes
// one that sees anything: holding a Scope is the proof that the owner's decisions
// were consulted. The zero Scope sees nothing.
type Scope struct {
	app      uint64
	owner    bool
	reads    map[uint32]Read
	objects  map[uint32]*Objects
	decision uint64
	// disclosure is what the owner hands to somebody else; nil: nothing.
	disclosure *Disclosure
}

// Read is a read grant for a type. Since is in microseconds since the Unix epoch
// and only meaningful with ExtentSince.
type Read struct {
	Extent Extent
	Since  int64
}

// Access is a scope narrowed to one type.
type Access struct {
	app   uint64
	all   bool
	since int64
	// own is the bound for the app's own samples.
	own int64
	// objects is nil unless the type is granted object by object.
	objects *Objects
}

// Scope returns what an app may see as of now; an unknown or removed app sees nothing.
func (s *State) Scope(app uint64) Scope {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a, ok := s.apps[app]
	if !ok || a.Removed {
		return Scope{}
	}
	return Scope{app: a.Number, reads: a.readable, objects: a.objects, decision: s.number}
}

// OwnerScope returns the scope that sees everything.
func (s *State) OwnerScope() Scope { return Scope{owner: true} }

// Access returns what the scope may see of a type.
func (s Scope) Access(typeCode uint32) Access {
	if s.owner {
		return Access{all: true, since: math.MinInt64}
	}
	a := Access{app: s.app, own: math.MinInt64}
	if t, ok := catalog.ByCode(typeCode); ok && t.PerObject {
		a.objects = s.objectsOf(t)
		return a
	}
	switch r := s.reads[typeCode]; r.Extent {
	case ExtentAll:
		a.all, a.since = true, math.MinInt64
	case ExtentSince:
		a.all, a.since = true, r.Since
	}
	if s.disclosure != nil {
		return s.disclosure.narrow(typeCode, a)
	}
	return a
}

// Reader returns the number of the reading app, 0 for the owner, and another one for each
// disclosure. Tokens are bound to it.
func (s Scope) Reader() uint64 {
	if s.disclosure != nil {
		return 1<<63 | s.disclosure.Number
	}
	return s.app
}

// Decision returns the number of the owner's last decision that the scope is made of, 0 for
// the owner.
func (s Scope) Decision() uint64 { return s.decision }

// Since returns the lower bound (on a sample's end, in microseconds since the Unix
// epoch) of what may be seen of a source that belongs to the given app, and whether
// anything of it may be seen at all. An app's own samples have no bound for itself. The object
// is the name of that which the source is about, "" where types are granted as a whole.
func (a Access) Since(sourceApp uint64, object string) (since int64, ok bool) {
	if a.objects != nil {
		_, ok := a.objects.since(a.app, Object{sourceApp, object})
		return math.MinInt64, ok && a.app != 0
	}
	if a.app != 0 && a.app == sourceApp {
		return a.own, true
	}
	return a.since, a.all
}

// Objects returns what may be seen of the type object by object, nil if it is granted as a
// whole.
func (a Access) Objects() *Objects { return a.objects }
