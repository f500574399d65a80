package authz

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// Some types are never granted as a whole: the owner picks single objects (spec section
// 1.6). An object is known by a name that it keeps for good, so that a decision needs
// nothing of what is stored, and a scope with a few names in it is all that a reader has.

const (
	// maxNamed is how many objects one decision names at most.
	maxNamed = 1000
	// maxGranted is how many objects of a type an app may read at most.
	maxGranted = 10_000
)

// Object is the name of an object within its type: see pb.ObjectName.
type Object struct {
	// App is the number of the app that saved it.
	App  uint64
	Name string
}

func (o Object) compare(p Object) int {
	return cmp.Or(cmp.Compare(o.App, p.App), cmp.Compare(o.Name, p.Name))
}

// Granted is an object that an app may read.
type Granted struct {
	Object
	// Since is the number of the decision since which it may.
	Since uint64
}

// Objects are what an app may read of a type that is granted object by object. They never
// change.
type Objects struct {
	// Granted are in order of app and name.
	Granted []Granted
	// OwnHidden says that the app may not even read what it has saved itself, unless that is
	// granted. Otherwise it may since the decision OwnSince, 0: since ever.
	OwnHidden bool
	OwnSince  uint64
}

// ownOnly is what is decided where nothing was.
var ownOnly = &Objects{}

// since returns the number of the decision since which an object may be read.
func (o *Objects) since(reader uint64, object Object) (decision uint64, ok bool) {
	if object.App == reader && !o.OwnHidden {
		return o.OwnSince, true
	}
	i, ok := slices.BinarySearchFunc(o.Granted, object, func(g Granted, object Object) int { return g.compare(object) })
	if !ok {
		return 0, false
	}
	return o.Granted[i].Since, true
}

// objectsOf is what the scope may see of a type object by object. Nothing of such a type is
// handed on.
func (s Scope) objectsOf(t *catalog.Type) *Objects {
	if s.disclosure != nil {
		return &Objects{OwnHidden: true}
	}
	if o, ok := s.objects[t.GrantedThrough().Code]; ok {
		return o
	}
	return ownOnly
}

// Grew says whether anything may be read only since a decision after one.
func (o *Objects) Grew(after uint64) bool {
	return !o.OwnHidden && o.OwnSince > after ||
		slices.ContainsFunc(o.Granted, func(g Granted) bool { return g.Since > after })
}

// with is what a decision makes of them.
func (o *Objects) with(number uint64, d *pb.ObjectsDecided) *Objects {
	next := &Objects{OwnHidden: o.OwnHidden, OwnSince: o.OwnSince}
	switch d.GetOwn() {
	case pb.OwnObjects_OWN_OBJECTS_HIDDEN:
		next.OwnHidden = true
	case pb.OwnObjects_OWN_OBJECTS_READABLE:
		if next.OwnHidden {
			next.OwnHidden, next.OwnSince = false, number
		}
	}
	all := map[Object]uint64{}
	if !d.GetRevokeAll() {
		for _, g := range o.Granted {
			all[g.Object] = g.Since
		}
	}
	for _, name := range d.GetRevoked() {
		delete(all, objectOf(name))
	}
	for _, name := range d.GetGranted() {
		if _, there := all[objectOf(name)]; !there {
			all[objectOf(name)] = number
		}
	}
	for object, since := range all {
		next.Granted = append(next.Granted, Granted{object, since})
	}
	slices.SortFunc(next.Granted, func(a, b Granted) int { return a.compare(b.Object) })
	return next
}

func objectOf(name *pb.ObjectName) Object { return Object{name.GetApp(), string(name.GetName())} }

// Objects returns what was decided object by object, by type code.
func (a *App) Objects() map[uint32]*Objects { return maps.Clone(a.objects) }

// objectsOf is what the app may read of a type that is granted object by object.
func (a *App) objectsOf(code uint32) *Objects {
	if o, ok := a.objects[code]; ok {
		return o
	}
	return ownOnly
}

// WhyNoObjects says why objects of a type are not granted one by one, "" if they are.
func WhyNoObjects(t *catalog.Type) string {
	switch {
	case !t.PerObject:
		return "this type is granted as a whole, not object by object"
	case t.GrantedThrough() != t:
		return "it goes with " + t.GrantedThrough().Short() + ": ask for that"
	}
	return ""
}

// ParseObjectRequest finds the type of whose objects an app asks for some. What it may not
// even ask for is decided as in ParseRequest. Errors: *DraftError.
func (a *App) ParseObjectRequest(name string) (*catalog.Type, error) {
	codes, err := parseTypes("type", []string{name}, func(t *catalog.Type) string {
		if why := WhyNoObjects(t); why != "" {
			return why
		}
		return UnexplainedRead(t, a.explained)
	})
	if err != nil {
		return nil, err
	}
	t, _ := catalog.ByCode(codes[0])
	return t, nil
}

// badObjects says what is wrong with a decision about an app's objects, nil if nothing is.
func (a *App) badObjects(d *pb.ObjectsDecided) *DraftError {
	t, ok := catalog.ByCode(d.GetType())
	if !ok {
		return &DraftError{"type", typeName(d.GetType()), "unknown type"}
	}
	if why := WhyNoObjects(t); why != "" {
		return &DraftError{"type", t.Short(), why}
	}
	named := slices.Concat(d.GetGranted(), d.GetRevoked())
	switch {
	case len(named) > maxNamed:
		return &DraftError{"granted", "", "a decision names at most " + strconv.Itoa(maxNamed) + " objects"}
	case slices.ContainsFunc(named, func(n *pb.ObjectName) bool { return n.GetApp() == 0 || len(n.GetName()) == 0 }):
		return &DraftError{"granted", "", "an object without an app or a name"}
	}
	if why := UnexplainedRead(t, a.explained); why != "" && len(d.GetGranted()) > 0 {
		return &DraftError{"granted", t.Short(), why}
	}
	return nil
}

func setObjects(d *pb.Decision, a *App, decided *pb.ObjectsDecided) error {
	if bad := a.badObjects(decided); bad != nil {
		return fmt.Errorf("%w: decision %d: %s", ErrForged, d.GetNumber(), bad.Why)
	}
	a.objects[decided.GetType()] = a.objectsOf(decided.GetType()).with(d.GetNumber(), decided)
	return nil
}

// revokeObjects ends the grants of objects of some types. What is hidden stays hidden.
func (a *App) revokeObjects(of func(code uint32) bool) {
	for code, o := range a.objects {
		if of(code) {
			a.objects[code] = o.with(0, &pb.ObjectsDecided{RevokeAll: true})
		}
	}
}

// DecideObjects changes which objects of a type an app may read. Errors: ErrNoApp,
// *DraftError.
func (a *Author) DecideObjects(now int64, req *pb.DecideObjectsRequest) (*pb.NewDecision, error) {
	app, ok := a.State.AppByBundle(req.GetBundleId())
	if !ok {
		return nil, ErrNoApp
	}
	t, ok := catalog.Lookup(req.GetType())
	if !ok {
		return nil, &DraftError{"type", req.GetType(), "unknown type"}
	}
	decided := &pb.ObjectsDecided{
		App: app.Number, Type: t.Code, RevokeAll: req.GetRevokeAll(), Revoked: req.GetRevoked(), Granted: req.GetGranted(), Own: req.GetOwn(),
	}
	if bad := app.badObjects(decided); bad != nil {
		return nil, bad
	}
	// Only whoever knows what was granted before can tell, so it is no rule for the log.
	if len(app.objectsOf(t.Code).with(0, decided).Granted) > maxGranted {
		return nil, &DraftError{"granted", t.Short(), "an app may read at most " + strconv.Itoa(maxGranted) + " objects of a type"}
	}
	return a.sign(&pb.Decision{Time: now}, &pb.DecisionDetail{Body: &pb.DecisionDetail_ObjectsDecided{ObjectsDecided: decided}})
}
