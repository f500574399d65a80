package view_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"healthledger/authz"
	"healthledger/authz/statetest"
	"healthledger/projector/erase"
	"healthledger/projector/query"
	"healthledger/projector/view"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// open is a token seal that gives the same bytes for the same input.
type open struct{}

func (open) Seal(context, plaintext []byte) ([]byte, error) {
	return slices.Concat(plaintext, make([]byte, 16)), nil
}
func (open) Open(context, token []byte) ([]byte, error) {
	if len(token) < 16 {
		return nil, errors.New("too short")
	}
	return token[:len(token)-16], nil
}

// grants makes a state in which three apps may read: types from a date or all of them, and
// some objects.
func grants(r *rapid.T) *authz.State {
	state := statetest.New()
	decide := func(d *pb.Decision, detail *pb.DecisionDetail) { statetest.Decide(r, state, d, detail) }
	for app := range uint64(3) {
		decide(&pb.Decision{Body: &pb.Decision_AppRegistered{AppRegistered: &pb.AppRegistered{Key: fmt.Sprint(app), TokenHash: make([]byte, 32), Explained: &pb.Explained{Read: true}}}}, &pb.DecisionDetail{})
	}
	for app := uint64(1); app <= 3; app++ {
		reads := &pb.ReadsDecided{App: app}
		for _, code := range []uint32{1, 2, 13, 14, 300, 2102, 2401, 2502, 2801} {
			g := &pb.ReadGrant{Type: code, Extent: pb.ReadExtent(rapid.IntRange(1, 3).Draw(r, "extent"))}
			if g.Extent == pb.ReadExtent_READ_EXTENT_SINCE {
				g.Since = rapid.SampledFrom([]int64{-1_000_000, 0, 1, 2, 1_000_000, 3_600_000_000, 86_400_000_000, 86_400_000_001, 20 * 86_400_000_000}).Draw(r, "since")
			}
			reads.Reads = append(reads.Reads, g)
		}
		decide(&pb.Decision{}, &pb.DecisionDetail{Body: &pb.DecisionDetail_ReadsDecided{ReadsDecided: reads}})
		if rapid.Bool().Draw(r, "medication") {
			decide(&pb.Decision{}, &pb.DecisionDetail{Body: &pb.DecisionDetail_ObjectsDecided{ObjectsDecided: &pb.ObjectsDecided{
				App: app, Type: 2701, Granted: []*pb.ObjectName{{App: 1, Name: []byte("c1")}, {App: 2, Name: []byte("c1")}, {App: 2, Name: []byte("c2")}},
			}}})
		}
	}
	return state
}

// since returns from when on somebody may read a type.
func since(state *authz.State) func(uint32) []int64 {
	return func(code uint32) (all []int64) {
		for app := uint64(1); app <= 3; app++ {
			if t, ok := state.Scope(app).Access(code).Since(99, ""); ok && t > math.MinInt64 {
				all = append(all, t)
			}
		}
		return all
	}
}

func granted(state *authz.State) func(authz.Object) bool {
	return func(o authz.Object) bool {
		for app := uint64(1); app <= 3; app++ {
			if _, ok := state.Scope(app).Access(2701).Since(o.App, o.Name); ok && o.App != app {
				return true
			}
		}
		return false
	}
}

func now() time.Time { return time.Unix(1_700_000_000, 0) }

// reader is somebody who reads a type, with the anchors of all that it ever asked.
type reader struct {
	name    string
	scope   authz.Scope
	typ     string
	anchors []string
}

// house is a store on its way through erasures.
type house struct {
	t       testing.TB
	state   *authz.State
	log     []view.Logged
	sent    []view.Logged // the log as if nothing was erased: what comes again comes as it was
	last    uint64
	lasts   map[uint64]uint64 // of erasures
	view    *view.View
	readers []*reader
}

func openErased(t testing.TB, lasts map[uint64]uint64) *view.View {
	v, err := view.Open(vfs.NewMem(), "view", view.Options{AppKey: view.KeyOf, CacheSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for k, last := range lasts {
		v.SetErasure(k, last)
	}
	return v
}

func (h *house) engine(v *view.View) *query.Engine {
	return query.New(v, query.Options{Tokens: open{}, BundleID: func(app uint64) string { return fmt.Sprint("app", app) }, Now: now})
}

// apply applies a log, in batches that end after some segments, and up to a cursor.
func apply(t testing.TB, v *view.View, log []view.Logged, last uint64, cut func() bool) {
	b := v.Begin()
	for i, l := range log {
		if err := view.ApplyLogged(b, l); err != nil {
			t.Fatal(err)
		}
		if i+1 < len(log) && log[i+1].Sequence > l.Sequence && cut() {
			if err := b.Commit(view.Cursor{Sequence: l.Sequence}); err != nil {
				t.Fatal(err)
			}
			b = v.Begin()
		}
	}
	if err := b.Commit(view.Cursor{Sequence: last}); err != nil {
		t.Fatal(err)
	}
}

// read has readers read on, some a few changes only.
func (h *house) read(r *rapid.T) {
	e := h.engine(h.view)
	for _, reader := range h.readers {
		anchor := ""
		if n := len(reader.anchors); n > 0 {
			anchor = reader.anchors[rapid.IntRange(0, n-1).Draw(r, "anchor")]
		}
		req := &pb.QueryChangesRequest{Type: reader.typ, Anchor: anchor, Limit: rapid.Uint32Range(0, 3).Draw(r, "limit")}
		if a, err := e.Changes(context.Background(), reader.scope, req); err == nil {
			reader.anchors = append(reader.anchors, a.GetAnchor())
		}
	}
}

// extend adds segments, one by one, and has readers read in between.
func (h *house) extend(r *rapid.T, segments int) {
	for range segments {
		next := view.ExtendLog(r, h.sent, h.last, 1)
		added := next[len(h.sent):]
		for _, l := range added {
			outlast(l.Body)
		}
		h.log, h.sent, h.last = append(h.log, added...), next, next[len(next)-1].Sequence
		apply(h.t, h.view, added, h.last, func() bool { return false })
		if rapid.Bool().Draw(r, "read") {
			h.read(r)
		}
	}
}

// outlast has correlations end after all of their members. One that did not would stand
// elsewhere among what a segment changed when its last member is erased.
func outlast(e *pb.Event) {
	for _, c := range e.GetSamplesSaved().GetColumns() {
		for i := range c.GetDuration() {
			if c.GetType() == 2001 {
				c.Duration[i] = max(c.Duration[i], 100)
			}
		}
	}
}

// drawExpired draws deletions of some types of what ended before a day.
func drawExpired(r *rapid.T) (all []*pb.DeletedSamples) {
	for _, code := range rapid.SliceOfNDistinct(rapid.SampledFrom([]uint32{1, 2, 13, 14, 300, 2001, 2102, 2401, 2502, 2604, 2607, 2701, 2801}), 1, 6, rapid.ID).Draw(r, "types") {
		all = append(all, &pb.DeletedSamples{Type: code, EndedBefore: proto.Int64(86_400_000_000 * rapid.Int64Range(-1, 22).Draw(r, "day"))})
	}
	return all
}

// hide deletes for the owner and returns what, and where.
func (h *house) hide(r *rapid.T, number byte) ([]*pb.DeletedSamples, uint64) {
	deletions := view.DrawDeletions(r, h.sent)
	if rapid.IntRange(0, 2).Draw(r, "for its end") == 0 {
		deletions = drawExpired(r)
	}
	id := view.OwnerRequest(1000 + int(number))
	h.last += uint64(rapid.IntRange(1, 9).Draw(r, "hidden after"))
	l := view.Logged{Sequence: h.last, Body: &pb.Event{Body: &pb.Event_SamplesDeleted{SamplesDeleted: &pb.SamplesDeleted{RequestId: id[:], Deletions: deletions}}}}
	h.log, h.sent = append(h.log, l), append(h.sent, l)
	apply(h.t, h.view, []view.Logged{l}, h.last, func() bool { return false })
	return deletions, h.last
}

// erased returns the log without what is erased, and what the rewriter says.
func (h *house) erased(r *rapid.T, number uint64, deletions []*pb.DeletedSamples, before uint64) ([]view.Logged, uint64) {
	s, err := h.view.Snapshot()
	if err != nil {
		r.Fatal(err)
	}
	defer s.Close()
	w, err := erase.New(erase.Order{
		Erasure: number, Deletions: deletions, Before: before, Hidden: s, Since: since(h.state), Granted: granted(h.state),
		Random: bytes.NewReader(bytes.Repeat([]byte{byte(number)}, 64)),
	})
	if err != nil {
		r.Fatal(err)
	}
	defer w.Close()
	parts := bySegment(h.log)
	for _, part := range parts {
		if err := w.Survey(part[0].Sequence, events(part)); err != nil {
			r.Fatal(err)
		}
	}
	var log []view.Logged
	for _, part := range parts {
		// The events of a segment lie in blocks of several apps.
		split := rapid.IntRange(0, len(part)).Draw(r, "block")
		blocks := [][]*pb.Event{events(part)[:split], events(part)[split:]}
		out, err := w.Rewrite(part[0].Sequence, blocks)
		if err != nil {
			r.Fatal(err)
		}
		if len(out) != 2 || len(out[0]) != split || len(out[1]) != len(part)-split {
			r.Fatalf("%d blocks", len(out))
		}
		all, changed := slices.Concat(out[0], out[1]), false
		for i, e := range all {
			changed = changed || !proto.Equal(e, part[i].Body)
			log = append(log, view.Logged{Sequence: part[i].Sequence, Event: part[i].Event, Body: e})
		}
		if changed && !w.Touches(part[0].Sequence) {
			r.Fatalf("segment %d changes and is not touched", part[0].Sequence)
		}
	}
	return log, w.Erased()
}

// expired returns the types of which a view says that the log has something of what deletions
// name by when it ended.
func (h *house) expired(r *rapid.T, v *view.View, deletions []*pb.DeletedSamples) []uint32 {
	s, err := v.Snapshot()
	if err != nil {
		r.Fatal(err)
	}
	defer s.Close()
	types, err := s.Expired(func(code uint32) (cut int64, asked bool) {
		cut = math.MinInt64
		for _, d := range deletions {
			if d.GetAllTypes() || d.GetType() == code {
				cut, asked = max(cut, d.GetEndedBefore()), true
			}
		}
		return cut, asked
	}, func(sequence uint64) bool {
		for _, last := range h.lasts {
			if last == sequence {
				return true
			}
		}
		return false
	})
	if err != nil {
		r.Fatal(err)
	}
	return types
}

func events(part []view.Logged) (all []*pb.Event) {
	for _, l := range part {
		all = append(all, l.Body)
	}
	return all
}

func bySegment(log []view.Logged) (parts [][]view.Logged) {
	for len(log) > 0 {
		n := 1
		for n < len(log) && log[n].Sequence == log[0].Sequence {
			n++
		}
		parts, log = append(parts, log[:n]), log[n:]
	}
	return parts
}

// changes reads all that comes after an anchor: what there is, and the UUIDs of what is gone.
func changes(r *rapid.T, e *query.Engine, reader *reader, anchor string) (added, deleted map[string]bool, refused error) {
	added, deleted = map[string]bool{}, map[string]bool{}
	for {
		a, err := e.Changes(context.Background(), reader.scope, &pb.QueryChangesRequest{Type: reader.typ, Anchor: anchor})
		if err != nil {
			return nil, nil, err
		}
		for _, s := range a.GetSamples() {
			added[prototext.Format(s)] = true
		}
		for _, d := range a.GetDeleted() {
			deleted[d.GetUuid()] = true
		}
		if anchor = a.GetAnchor(); !a.GetMore() {
			return added, deleted, nil
		}
	}
}

// answers are all answers to a reader but for changes.
func answers(e *query.Engine, reader *reader) (all []string) {
	ctx := context.Background()
	note := func(m proto.Message, err error) { all = append(all, prototext.Format(m), fmt.Sprint(err)) }
	samples, err := e.Samples(ctx, reader.scope, &pb.QuerySamplesRequest{Types: []string{reader.typ}})
	note(samples, err)
	for _, s := range samples.GetSamples() {
		if s.GetPayloadToken() != "" {
			payload, err := e.Payload(ctx, reader.scope, &pb.QueryPayloadRequest{PayloadToken: s.GetPayloadToken()})
			note(payload, err)
		}
	}
	sources, err := e.Sources(ctx, reader.scope, &pb.QuerySourcesRequest{Type: reader.typ})
	note(sources, err)
	for _, interval := range []*pb.Interval{nil, {Unit: pb.CalendarUnit_CALENDAR_UNIT_DAY}} {
		statistics, err := e.Statistics(ctx, reader.scope, &pb.QueryStatisticsRequest{Type: reader.typ, Interval: interval, BySource: true})
		note(statistics, err)
	}
	return all
}

// compare checks that the rebuilt view answers as the one in which it is only hidden.
func (h *house) compare(r *rapid.T, rebuilt *view.View) {
	hidden, erased := h.engine(h.view), h.engine(rebuilt)
	for _, reader := range h.readers {
		if diff := cmp.Diff(answers(hidden, reader), answers(erased, reader)); diff != "" {
			r.Fatalf("%s reads %s otherwise:\n%s", reader.name, reader.typ, diff)
		}
		_, ever, _ := changes(r, hidden, reader, reader.anchors[0])
		for i, anchor := range reader.anchors {
			added, deleted, refused := changes(r, hidden, reader, anchor)
			added2, deleted2, refused2 := changes(r, erased, reader, anchor)
			if fmt.Sprint(refused) != fmt.Sprint(refused2) {
				r.Fatalf("%s, %s, anchor %d: %v, %v", reader.name, reader.typ, i, refused, refused2)
			}
			if diff := cmp.Diff(added, added2); diff != "" {
				r.Fatalf("%s, after anchor %d of %s, other samples are there:\n%s", reader.name, i, reader.typ, diff)
			}
			for id := range deleted {
				if !deleted2[id] {
					r.Fatalf("%s is not told after anchor %d that %s %s is gone", reader.name, i, reader.typ, id)
				}
			}
			for id := range deleted2 {
				if !ever[id] {
					r.Fatalf("%s is told that %s %s is gone, which it never could see", reader.name, reader.typ, id)
				}
			}
		}
	}
	h.compareOutcomes(r, rebuilt)
}

func (h *house) compareOutcomes(r *rapid.T, rebuilt *view.View) {
	var got []string
	for _, v := range []*view.View{h.view, rebuilt} {
		s, err := v.Snapshot()
		if err != nil {
			r.Fatal(err)
		}
		all := map[string]string{}
		for _, l := range h.log {
			app, request := l.Body.GetSamplesSaved().GetApp(), l.Body.GetSamplesSaved().GetRequestId()
			if d := l.Body.GetSamplesDeleted(); d != nil {
				app, request = d.GetApp(), d.GetRequestId()
			}
			if len(request) != 16 || app == 0 {
				continue
			}
			o, ok, err := s.Outcome(app, [16]byte(request))
			all[fmt.Sprint(app, hex.EncodeToString(request))] = fmt.Sprint(o, ok, err)
		}
		var lines []string
		for _, key := range slices.Sorted(maps.Keys(all)) {
			lines = append(lines, key+" "+all[key])
		}
		got = append(got, fmt.Sprint(lines))
		if err := s.Close(); err != nil {
			r.Fatal(err)
		}
	}
	if diff := cmp.Diff(got[0], got[1]); diff != "" {
		r.Fatal(diff)
	}
}

// Hiding, erasing and building the view again answers everybody as hiding alone does, but that
// deletions may be told again; however the log is cut, it gives one view.
func TestErasedAnswersEqualHiddenOnes(t *testing.T) {
	erased, expired := uint64(0), uint64(0)
	rapid.Check(t, func(r *rapid.T) {
		h := &house{t: t, state: grants(r), lasts: map[uint64]uint64{}}
		h.view = openErased(t, nil)
		apply(t, h.view, nil, 0, nil)
		types := map[string]bool{}
		for _, code := range view.ModelTypes {
			t, ok := catalog.ByCode(code)
			if !ok {
				t, _ = catalog.ByCode(2001)
			}
			types[t.Short()] = true
		}
		for _, typ := range slices.Sorted(maps.Keys(types)) {
			if rapid.IntRange(0, 2).Draw(r, "nobody reads it") > 0 {
				continue
			}
			h.readers = append(h.readers, &reader{name: "owner", scope: h.state.OwnerScope(), typ: typ})
			for app := uint64(1); app <= 3; app++ {
				h.readers = append(h.readers, &reader{name: fmt.Sprint("app ", app), scope: h.state.Scope(app), typ: typ})
			}
		}
		h.read(r) // so that the first anchor of all is before everything
		for k := uint64(1); k <= uint64(rapid.IntRange(1, 2).Draw(r, "erasures")); k++ {
			h.extend(r, rapid.IntRange(1, 5).Draw(r, "before"))
			deletions, before := h.hide(r, byte(k))
			after := rapid.IntRange(0, 2).Draw(r, "after")
			h.extend(r, after)
			h.read(r)
			log, n := h.erased(r, k, deletions, before)
			erased += n
			byEnd := !slices.ContainsFunc(deletions, func(d *pb.DeletedSamples) bool {
				return d.EndedBefore == nil || d.GetApp() != 0 || d.GetEndedBefore()%86_400_000_000 != 0
			})
			if byEnd {
				if left := h.expired(r, h.view, deletions); n > 0 && len(left) == 0 {
					r.Fatalf("%d samples were erased for their end of which nobody knew", n)
				}
				expired += n
			}
			h.last++
			h.lasts[k] = h.last
			apply(t, h.view, nil, h.last, nil)
			rebuilt, other := openErased(t, h.lasts), openErased(t, h.lasts)
			apply(t, rebuilt, log, h.last, func() bool { return rapid.Bool().Draw(r, "commit") })
			apply(t, other, log, h.last, func() bool { return false })
			if diff := cmp.Diff(view.Dump(t, other), view.Dump(t, rebuilt)); diff != "" {
				r.Fatalf("cut otherwise, the view differs:\n%s", diff)
			}
			if byEnd && after == 0 {
				if left := h.expired(r, rebuilt, deletions); len(left) > 0 {
					r.Fatalf("something is left that was erased for its end: types %d", left)
				}
			}
			h.compare(r, rebuilt)
			closeAll(t, h.view, other)
			h.view, h.log = rebuilt, log
		}
		closeAll(t, h.view)
	})
	if erased == 0 || expired == 0 {
		t.Errorf("%d samples were erased, %d for their end", erased, expired)
	}
}

func closeAll(t testing.TB, all ...*view.View) {
	for _, v := range all {
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
