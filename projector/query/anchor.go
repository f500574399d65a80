package query

import (
	"encoding/binary"
	"math"
	"time"

	"healthledger/authz"
	"healthledger/projector/view"
	"healthledger/proto/catalog"
)

const (
	anchorVersion = 1
	// anchorHorizon is how old an anchor may be. Deletions are kept longer.
	anchorHorizon = 400 * 24 * time.Hour
	pointSize     = 1 + 8 + 4 + placeSize
	anchorSize    = 1 + 1 + 8 + 2*pointSize // and 16 for each bound
)

// anchor is an app's bookmark in the changes of a type. It holds two positions: in what the
// scope has let the app see, and, while filling, in what it did not let the app see before.
type anchor struct {
	issued  time.Time
	changes view.Point
	// filling: what later grants added comes first, up to where changes stands.
	filling bool
	filled  view.Point
	// initial: it is everything, the reader's own too, and deletions are of no use.
	initial bool
	bounds  []bound
}

// bound is what the anchor has seen under a type code: samples of other apps that end at
// since or later, but while filling none yet of those that end before a time. Of a type that
// is granted object by object they are numbers of decisions: it has seen what was granted up
// to since, but while filling none yet of what was granted after before.
type bound struct{ since, before int64 }

// unseen is before every decision.
const unseen = -1

// anchorCodes are the type codes under which samples of a type lie, and the types whose
// grants open them.
func anchorCodes(t *catalog.Type) (codes, access []uint32) {
	if t.Kind != catalog.Correlation {
		return []uint32{t.Code}, []uint32{t.Code}
	}
	for _, m := range t.Members() {
		codes, access = append(codes, view.Pair(t.Code, m.Code)), append(access, m.Code)
	}
	return codes, access
}

// nobody is the number of no app.
const nobody = math.MaxUint64

// sinceOf returns when the earliest samples of other apps end that a scope may see, or of
// which decisions it is made.
func sinceOf(scope authz.Scope, access []uint32) []int64 {
	all := make([]int64, len(access))
	for i, code := range access {
		access := scope.Access(code)
		if access.Objects() != nil {
			all[i] = int64(scope.Decision())
			continue
		}
		since, ok := access.Since(nobody, "")
		if all[i] = since; !ok {
			all[i] = math.MaxInt64
		}
	}
	return all
}

// newAnchor stands before everything that is there now or, from now on, after it.
func newAnchor(since []int64, sequence uint64, fromNow bool) *anchor {
	a := &anchor{changes: view.Point{Sequence: sequence, Whole: true}, filling: !fromNow, initial: !fromNow, filled: view.Beginning}
	for _, s := range since {
		a.bounds = append(a.bounds, bound{s, math.MaxInt64})
	}
	return a
}

// follow takes over what the scope may see now. What a grant added is filled in; after a
// revocation the anchor goes on in what is left, and says nothing.
func (a *anchor) follow(since []int64) {
	grown := false
	for i := range a.bounds {
		b := &a.bounds[i]
		if !a.filling {
			b.before = b.since
		}
		grown = grown || since[i] < b.since
		b.since = since[i]
		b.before = max(b.before, b.since)
	}
	if grown {
		a.filling, a.filled = true, view.Beginning
	}
}

// followObjects is follow for a type that is granted object by object.
func (a *anchor) followObjects(decision int64, objects *authz.Objects) {
	b := &a.bounds[0]
	if !a.filling {
		b.before = b.since
	}
	if objects.Grew(uint64(b.since)) {
		a.filling, a.filled = true, view.Beginning
	}
	b.since = decision
}

// complete ends the filling.
func (a *anchor) complete() { a.filling, a.initial, a.filled = false, false, view.Beginning }

func (a *anchor) appendTo(b []byte) []byte {
	b = append(b, anchorVersion, flags(a.filling, a.initial))
	b = binary.BigEndian.AppendUint64(b, uint64(a.issued.UnixMicro()))
	b = appendPoint(appendPoint(b, &a.changes), &a.filled)
	for _, bound := range a.bounds {
		b = binary.BigEndian.AppendUint64(b, uint64(bound.since))
		b = binary.BigEndian.AppendUint64(b, uint64(bound.before))
	}
	return b
}

func appendPoint(b []byte, p *view.Point) []byte {
	b = binary.BigEndian.AppendUint64(append(b, flags(p.Whole, p.Deleted)), p.Sequence)
	return appendPlace(binary.BigEndian.AppendUint32(b, p.Source), &p.Place)
}

func flags(first, second bool) (b byte) {
	if first {
		b |= 1
	}
	if second {
		b |= 2
	}
	return b
}

// readAnchor reads what appendTo appends, of a type with so many bounds.
func readAnchor(b []byte, bounds int) (*anchor, bool) {
	if len(b) != anchorSize+16*bounds || b[0] != anchorVersion || b[1] > 3 {
		return nil, false
	}
	a := &anchor{filling: b[1]&1 != 0, initial: b[1]&2 != 0, issued: time.UnixMicro(int64(binary.BigEndian.Uint64(b[2:])))}
	var ok [2]bool
	a.changes, ok[0] = readPoint(b[10:])
	a.filled, ok[1] = readPoint(b[10+pointSize:])
	for b = b[anchorSize:]; len(b) > 0; b = b[16:] {
		a.bounds = append(a.bounds, bound{int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))})
	}
	return a, ok[0] && ok[1]
}

func readPoint(b []byte) (view.Point, bool) {
	return view.Point{
		Sequence: binary.BigEndian.Uint64(b[1:]), Whole: b[0]&1 != 0, Deleted: b[0]&2 != 0,
		Source: binary.BigEndian.Uint32(b[9:]), Place: readPlace(b[13:]),
	}, b[0] <= 3
}

// anchorContext is what anchors are bound to: the reader and the type.
func anchorContext(scope authz.Scope, t *catalog.Type) []byte {
	b := binary.BigEndian.AppendUint64([]byte("healthledger anchor 1"), scope.Reader())
	return binary.BigEndian.AppendUint32(b, t.Code)
}
