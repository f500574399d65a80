package query

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"healthledger/authz"
	"healthledger/authz/authztest"
	"healthledger/authz/statetest"
	"healthledger/projector/view"
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// Numbers of the apps of a test store, which are those of the decisions that made them.
const (
	anna = uint64(iota + 1)
	bert
	carl
)

// grants makes the scopes of three apps.
func grants(t testing.TB, reads map[uint64][]*pb.ReadGrant) *authz.State {
	t.Helper()
	state := statetest.New()
	decide := func(d *pb.Decision, detail *pb.DecisionDetail) { statetest.Decide(t, state, d, detail) }
	for _, app := range []uint64{anna, bert, carl} {
		decide(&pb.Decision{Body: &pb.Decision_AppRegistered{AppRegistered: &pb.AppRegistered{Key: fmt.Sprint(app), TokenHash: make([]byte, sha256.Size), Explained: &pb.Explained{Read: true, Share: true, Clinical: true}}}},
			&pb.DecisionDetail{Body: &pb.DecisionDetail_AppDescribed{AppDescribed: &pb.AppDescribed{Manifest: authztest.Manifest(bundleID(app))}}})
	}
	for app, g := range reads {
		decide(&pb.Decision{}, &pb.DecisionDetail{Body: &pb.DecisionDetail_ReadsDecided{ReadsDecided: &pb.ReadsDecided{App: app, Reads: g}}})
	}
	return state
}

func bundleID(app uint64) string { return fmt.Sprintf("com.example.app%d", app) }

// sealed is a token seal that gives the same bytes for the same input, so that answers
// can be compared.
type sealed struct{ aead cipher.AEAD }

func newSealed() sealed {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return sealed{aead}
}

func (s sealed) Seal(context, plaintext []byte) ([]byte, error) {
	return s.aead.Seal(nil, make([]byte, s.aead.NonceSize()), plaintext, context), nil
}

func (s sealed) Open(context, token []byte) ([]byte, error) {
	return s.aead.Open(nil, make([]byte, s.aead.NonceSize()), token, context)
}

// store is a view with an engine over it, and beside it the samples as a plain list.
type store struct {
	view     *view.View
	engine   *Engine
	samples  []reference
	ids      map[string][]string // UUIDs of all that was saved, by type
	sequence uint64
	touched  map[string]int
}

// reference is a sample as it must come back.
type reference struct {
	app     uint64
	typ     *catalog.Type
	place   view.Place
	message *pb.Sample
	// input is what was saved, of objects.
	input *pb.Sample
}

func newStore(t testing.TB) *store {
	t.Helper()
	s := &store{touched: map[string]int{}, ids: map[string][]string{}}
	v, err := view.Open(vfs.NewMem(), "view", view.Options{AppKey: keyOf, CacheSize: 1 << 20, Touched: func(lower, upper []byte) {
		s.touched[fmt.Sprintf("%x-%x", lower, upper)]++
	}, Stepped: func() { s.touched["rows"]++ }})
	if err != nil {
		t.Fatal(err)
	}
	s.view, s.engine = v, New(v, Options{Tokens: newSealed(), BundleID: bundleID})
	return s
}

func (s *store) close(t testing.TB) {
	t.Helper()
	if err := s.view.Close(); err != nil {
		t.Fatal(err)
	}
}

// apply applies a request of an app.
func (s *store) apply(t testing.TB, app uint64, columns []*pb.SampleColumns) (request []byte) {
	t.Helper()
	s.sequence++
	request = binary.BigEndian.AppendUint64(make([]byte, 8), app<<32|s.sequence)
	s.applyEvent(t, &pb.Event{Body: &pb.Event_SamplesSaved{SamplesSaved: &pb.SamplesSaved{App: app, RequestId: request, Columns: columns}}})
	return request
}

func (s *store) applyEvent(t testing.TB, event *pb.Event) {
	t.Helper()
	b := s.view.Begin()
	err := b.Apply(s.sequence, 0, event)
	if err := errors.Join(err, b.Commit(view.Cursor{Sequence: s.sequence})); err != nil {
		t.Fatal(err)
	}
}

// save applies a request of an app and notes what must come back; the sequence may have gaps.
func (s *store) save(t testing.TB, app uint64, gap uint64, columns ...*pb.SampleColumns) {
	t.Helper()
	s.sequence += gap
	request := s.apply(t, app, columns)
	next := map[uint32]uint32{}
	for _, c := range columns {
		typ, _ := catalog.ByCode(c.GetType())
		for _, row := range health.Rows(c) {
			index := next[c.GetType()]
			next[c.GetType()]++
			source := &pb.Source{}
			if c.GetSource() != nil {
				source = proto.CloneOf(c.GetSource())
			}
			if source.App != "" {
				source.Importer = bundleID(app)
			} else {
				source.App = bundleID(app)
			}
			if !row.HasUUID {
				row.UUID, row.HasUUID = health.DeriveUUID([16]byte(request), keyOf(app), c.GetType(), index), true
			}
			message := health.Sample(typ, c.GetUnit(), source, row, nil)
			s.ids[typ.Short()] = append(s.ids[typ.Short()], message.Uuid)
			s.samples = append(s.samples, reference{app: app, typ: typ, message: message, place: view.Place{
				Start: row.Start, End: row.End, Sequence: s.sequence, Index: index,
			}})
		}
	}
}

// saveSources makes the sources that samples are drawn from, so that their numbers in the
// view do not depend on what else is saved.
func (s *store) saveSources(t testing.TB) {
	t.Helper()
	for _, app := range []uint64{anna, bert, carl} {
		for _, source := range someSources {
			s.save(t, app, 0, &pb.SampleColumns{Type: code("height"), Unit: "m", Tick: 1, Source: source, Start: []int64{0}, Mantissa: []int64{1}})
		}
	}
}

// visible returns what a reader may see of a type, nil for any, decided by the rules and
// not by scopes.
func (s *store) visible(reader uint64, reads map[uint64][]*pb.ReadGrant, typ *catalog.Type) []reference {
	var seen []reference
	sees := rules(reader, reads)
	for _, r := range s.samples {
		switch {
		case typ != nil && r.typ != typ:
		case r.input != nil:
			if left := strip(r.input, r.app, sees); left != nil {
				r.message = answered(left, r.app)
				seen = append(seen, r)
			}
		case sees(r.app, r.typ.Short(), r.place.End):
			seen = append(seen, r)
		}
	}
	return seen
}

func code(name string) uint32 {
	t, ok := catalog.Lookup(name)
	if !ok {
		panic(name)
	}
	return t.Code
}

const (
	second = int64(1_000_000)
	day    = 86400 * second
	// base lies in the months the random samples are in.
	base = 1_700_000_000 * second
)

// someTimes are close together, so that samples meet, touch and repeat, and now and then
// months away or without an end.
func drawTime(t *rapid.T, name string) int64 {
	return base + rapid.OneOf(
		rapid.Int64Range(-5, 5), rapid.Map(rapid.Int64Range(-40, 40), func(n int64) int64 { return n * day / 8 }),
		rapid.Map(rapid.Int64Range(-4, 4), func(n int64) int64 { return n * 20 * day }),
	).Draw(t, name)
}

var durations = rapid.OneOf(
	rapid.Just(int64(0)), rapid.Int64Range(0, 5), rapid.Map(rapid.Int64Range(0, 40), func(n int64) int64 { return n * day / 8 }),
	rapid.SampledFrom([]int64{60 * day, 2000 * 365 * day}),
)

func drawColumns(t *rapid.T, typeName string, units []string) *pb.SampleColumns {
	c := &pb.SampleColumns{
		Type: code(typeName), Unit: rapid.SampledFrom(units).Draw(t, "unit"), Tick: 1, Exponent: 1,
		Source: rapid.SampledFrom(someSources[:3]).Draw(t, "source"),
	}
	long := rapid.Bool().Draw(t, "long")
	last, value := int64(0), int64(0)
	for range rapid.IntRange(1, 8).Draw(t, "samples") {
		start, next := drawTime(t, "start"), rapid.Int64Range(1, 999).Draw(t, "value")
		if units[0] == "" {
			next = 10 * rapid.Int64Range(0, 5).Draw(t, "category")
		}
		c.Start, c.Mantissa = append(c.Start, start-last), append(c.Mantissa, next-value)
		if long {
			c.Duration = append(c.Duration, durations.Draw(t, "duration"))
		}
		last, value = start, next
	}
	if rapid.Bool().Draw(t, "metadatas") {
		c.Metadata = []*pb.Metadata{{Entries: []*pb.MetadataEntry{drawEntry(t, "k")}}, {Entries: []*pb.MetadataEntry{
			drawEntry(t, "k"), drawEntry(t, "k"), {Key: "HKMaximumLightIntensity", Value: &pb.MetadataEntry_Number{Number: 1}},
		}}}
		for range c.Start {
			c.MetadataIndex = append(c.MetadataIndex, rapid.Uint32Range(0, 2).Draw(t, "metadata"))
		}
	}
	return c
}

var someSources = []*pb.Source{nil, {Name: "watch"}, {Name: "phone", Device: &pb.Device{Model: "m"}}, {Name: "x", App: "org.other"}}

// someTypes have a style each and several units.
var someTypes = map[string][]string{
	"stepCount": {"count"}, "heartRate": {"count/min", "count/s"}, "bodyMass": {"kg", "lb"},
	"environmentalAudioExposure": {"dBASPL"}, "sleepAnalysis": {""},
}

var typeNames = []string{"stepCount", "heartRate", "bodyMass", "environmentalAudioExposure", "sleepAnalysis"}

// allNames are the types that random stores hold.
var allNames = slices.Concat(typeNames, objectNames, []string{"dietaryFiber"})

func drawGrants(t *rapid.T) map[uint64][]*pb.ReadGrant {
	reads := map[uint64][]*pb.ReadGrant{}
	for _, app := range []uint64{anna, bert} {
		for _, name := range slices.Concat(grantedNames, typeNames) {
			g := &pb.ReadGrant{Type: code(name), Extent: pb.ReadExtent(rapid.Int32Range(1, 3).Draw(t, "extent"))}
			if g.Extent == pb.ReadExtent_READ_EXTENT_SINCE {
				g.Since = drawTime(t, "since") + rapid.Int64Range(-1, 1).Draw(t, "beside")
			}
			reads[app] = append(reads[app], g)
		}
	}
	return reads
}

func scopeOf(state *authz.State, reader uint64) authz.Scope {
	if reader == 0 {
		return state.OwnerScope()
	}
	return state.Scope(reader)
}

func drawPeriod(t *rapid.T) period {
	p := period{math.MinInt64, math.MaxInt64}
	if rapid.Bool().Draw(t, "bounded below") {
		p.from = drawTime(t, "from")
	}
	if rapid.Bool().Draw(t, "bounded above") {
		p.to = drawTime(t, "to")
	}
	if p.from > p.to {
		p.from, p.to = p.to, p.from
	}
	return p
}

// keyOf stands for the key of an app.
func keyOf(app uint64) string { return fmt.Sprint("key", app) }
