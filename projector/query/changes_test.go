package query

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	"healthledger/authz"
	"healthledger/projector/view"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// told is a sample as the reference of changes has it.
type told struct {
	app        uint64
	uuid       string
	start, end int64
	sync       string
	version    int64
	alive      bool
	added      uint64
}

// history is a log of one type with a plain list beside it.
type history struct {
	store  *store
	events []*pb.Event // by sequence; nil: nothing of the view's
	all    []*told
}

func newHistory(t testing.TB) *history { return &history{store: newStore(t)} }

// append applies an event, or moves the cursor only.
func (h *history) append(t testing.TB, e *pb.Event) {
	h.store.sequence++
	h.events = append(h.events, e)
	b := h.store.view.Begin()
	if err := errors.Join(applyTo(b, h.store.sequence, e), b.Commit(view.Cursor{Sequence: h.store.sequence})); err != nil {
		t.Fatal(err)
	}
}

// applyTo applies an event; a deletion of app 0 is the owner's.
func applyTo(b *view.Batch, sequence uint64, e *pb.Event) error {
	if e == nil {
		return nil
	}
	if d := e.GetSamplesDeleted(); d != nil && d.GetApp() == 0 {
		_, err := b.DeleteForOwner(sequence, 0, int(sequence), d.GetDeletions())
		return err
	}
	return b.Apply(sequence, 0, e)
}

// rebuild makes the view again from the log, cut otherwise.
func (h *history) rebuild(t testing.TB, r *rapid.T) {
	sequence := h.store.sequence
	h.store.close(t)
	h.store = newStore(t)
	h.store.sequence = sequence
	b := h.store.view.Begin()
	for i, e := range h.events {
		if err := applyTo(b, uint64(i)+1, e); err != nil {
			t.Fatal(err)
		}
		if i == len(h.events)-1 || rapid.Bool().Draw(r, "commit") {
			if err := b.Commit(view.Cursor{Sequence: uint64(i) + 1}); err != nil {
				t.Fatal(err)
			}
			b = h.store.view.Begin()
		}
	}
	b.Close()
}

func drawApp(r *rapid.T) uint64 { return rapid.SampledFrom([]uint64{anna, bert, carl}).Draw(r, "app") }

// drawSave draws a save of a few steps, with UUIDs and sync identifiers or without.
func (h *history) drawSave(r *rapid.T) *pb.Event {
	saved := &pb.SamplesSaved{App: drawApp(r), RequestId: binary.BigEndian.AppendUint64(make([]byte, 8), h.store.sequence+1)}
	for range rapid.IntRange(1, 2).Draw(r, "columns") {
		c := &pb.SampleColumns{
			Type: code("stepCount"), Unit: "count", Tick: 1, Source: &pb.Source{Name: rapid.SampledFrom([]string{"watch", "phone"}).Draw(r, "source")},
		}
		if rapid.Bool().Draw(r, "sync") {
			c.Metadata = []*pb.Metadata{{Entries: []*pb.MetadataEntry{
				{Key: "HKSyncIdentifier", Value: &pb.MetadataEntry_Text{Text: rapid.SampledFrom([]string{"a", "b"}).Draw(r, "identifier")}},
				{Key: "HKSyncVersion", Value: &pb.MetadataEntry_Number{Number: float64(rapid.IntRange(1, 9).Draw(r, "version"))}},
			}}}
		}
		own, last := rapid.IntRange(0, 2).Draw(r, "own UUIDs") == 0, int64(0)
		for i := range rapid.IntRange(1, 5).Draw(r, "samples") {
			start := drawTime(r, "start")
			c.Start, c.Mantissa, c.Duration = append(c.Start, start-last), append(c.Mantissa, 0), append(c.Duration, durations.Draw(r, "duration"))
			if last = start; c.Metadata != nil {
				c.MetadataIndex = append(c.MetadataIndex, rapid.Uint32Range(0, 1).Draw(r, "metadata"))
			}
			if own {
				id := binary.BigEndian.AppendUint64([]byte{byte(saved.App), byte(len(saved.Columns)), byte(i), 0, 0, 0, 0, 0}, h.store.sequence)
				c.Uuid = append(c.Uuid, id...)
			}
		}
		c.Mantissa[0] = 1
		saved.Columns = append(saved.Columns, c)
	}
	h.note(saved)
	return &pb.Event{Body: &pb.Event_SamplesSaved{SamplesSaved: saved}}
}

// note applies a save to the list.
func (h *history) note(saved *pb.SamplesSaved) {
	index := uint32(0)
	for _, c := range saved.Columns {
		for i, row := range health.Rows(c) {
			s := &told{app: saved.App, start: row.Start, end: row.End, alive: true, added: h.store.sequence + 1}
			if !row.HasUUID {
				row.UUID = health.DeriveUUID([16]byte(saved.RequestId), keyOf(saved.App), c.Type, index)
			}
			s.uuid = uuid.UUID(row.UUID).String()
			index++
			if c.Metadata != nil && c.MetadataIndex[i] > 0 {
				s.sync, s.version = c.Metadata[0].Entries[0].GetText(), int64(c.Metadata[0].Entries[1].GetNumber())
				j := slices.IndexFunc(h.all, func(o *told) bool { return o.alive && o.app == s.app && o.sync == s.sync })
				if j >= 0 && h.all[j].version >= s.version {
					continue
				}
				if j >= 0 {
					h.all[j].alive = false
				}
			}
			h.all = append(h.all, s)
		}
	}
}

// drawDeletion draws a deletion by an app or the owner.
func (h *history) drawDeletion(r *rapid.T) *pb.Event {
	d := &pb.SamplesDeleted{RequestId: binary.BigEndian.AppendUint64(make([]byte, 8), h.store.sequence+1), Deletions: []*pb.DeletedSamples{{Type: code("stepCount")}}}
	if rapid.IntRange(0, 2).Draw(r, "owner") > 0 {
		d.App = drawApp(r)
	}
	from, to := int64(math.MinInt64), int64(math.MaxInt64)
	if len(h.all) > 0 && rapid.IntRange(0, 3).Draw(r, "by UUID") > 0 {
		for range rapid.IntRange(1, 3).Draw(r, "UUIDs") {
			id := uuid.MustParse(rapid.SampledFrom(h.all).Draw(r, "sample").uuid)
			d.Deletions[0].Uuids = append(d.Deletions[0].Uuids, id[:])
		}
	} else {
		p := drawPeriod(r)
		from, to = p.from, p.to
		d.Deletions[0].From, d.Deletions[0].To = &from, &to
	}
	for _, s := range h.all {
		named := slices.ContainsFunc(d.Deletions[0].Uuids, func(id []byte) bool { return uuid.UUID(id).String() == s.uuid })
		if (d.App == 0 || d.App == s.app) && (named || len(d.Deletions[0].Uuids) == 0 && (period{from, to}).overlaps(s.start, s.end)) {
			s.alive = false
		}
	}
	return &pb.Event{Body: &pb.Event_SamplesDeleted{SamplesDeleted: d}}
}

// sees says by the rules whether bert may see a sample.
func sees(g *pb.ReadGrant, s *told) bool {
	return s.app == bert || g.Extent == pb.ReadExtent_READ_EXTENT_ALL || g.Extent == pb.ReadExtent_READ_EXTENT_SINCE && s.end >= g.Since
}

func drawGrant(r *rapid.T) *pb.ReadGrant {
	g := &pb.ReadGrant{Type: code("stepCount"), Extent: pb.ReadExtent(rapid.Int32Range(1, 3).Draw(r, "extent"))}
	if g.Extent == pb.ReadExtent_READ_EXTENT_SINCE {
		g.Since = drawTime(r, "since") + rapid.Int64Range(-1, 1).Draw(r, "beside")
	}
	return g
}

func bertsScope(t testing.TB, g *pb.ReadGrant) authz.Scope {
	return grants(t, map[uint64][]*pb.ReadGrant{bert: {g}}).Scope(bert)
}

// follower is a reader that follows anchors and believes what it is told.
type follower struct {
	anchor string
	held   map[string]bool
	times  map[string]int
	// apart are samples that were there when it began with what comes from now on.
	apart map[string]bool
	// regranted says that samples may have come twice.
	regranted bool
}

// page asks for a page, checks that everything in it may be said, and applies it.
func (f *follower) page(r *rapid.T, h *history, g *pb.ReadGrant, scope authz.Scope, request *pb.QueryChangesRequest) (more bool) {
	if request.Anchor = f.anchor; f.anchor == "" && request.FromNow {
		for _, s := range h.all {
			if s.alive {
				f.apart[s.uuid] = true
			}
		}
	}
	request.FromNow = request.FromNow && f.anchor == ""
	answer, err := h.store.engine.Changes(context.Background(), scope, request)
	if err != nil {
		r.Fatal(err)
	}
	find := func(id string, alive bool) {
		if !slices.ContainsFunc(h.all, func(s *told) bool { return s.uuid == id && s.alive == alive && sees(g, s) }) {
			r.Fatalf("%s is not to be told as alive=%v", id, alive)
		}
	}
	for _, s := range answer.Samples {
		find(s.Uuid, true)
		f.held[s.Uuid] = true
		if f.times[s.Uuid]++; f.times[s.Uuid] > 1 && !f.regranted {
			r.Fatalf("%s came twice", s.Uuid)
		}
	}
	for _, d := range answer.Deleted {
		find(d.Uuid, false)
		delete(f.held, d.Uuid)
		i := slices.IndexFunc(h.all, func(s *told) bool { return s.uuid == d.Uuid })
		if s := h.all[i]; d.SyncIdentifier != s.sync || d.SyncVersion != s.version {
			r.Fatalf("%v has the wrong identifier, want %q %d", d, s.sync, s.version)
		}
	}
	n := len(answer.Samples) + len(answer.Deleted)
	if n > int(request.Limit) && request.Limit > 0 || answer.More && n == 0 || f.anchor != "" && len(answer.Anchor) != len(f.anchor) {
		r.Fatalf("limit %d, more %v: %d items, an anchor of %d bytes after one of %d", request.Limit, answer.More, n, len(answer.Anchor), len(f.anchor))
	}
	f.anchor = answer.Anchor
	return answer.More
}

// complete checks that of what bert may see the follower holds what there is.
func (f *follower) complete(r *rapid.T, h *history, g *pb.ReadGrant) {
	for _, s := range h.all {
		if !sees(g, s) || f.apart[s.uuid] && f.regranted {
			continue
		}
		if want := s.alive && !f.apart[s.uuid]; f.held[s.uuid] != want {
			r.Fatalf("sample %+v: held %v", s, f.held[s.uuid])
		}
	}
}

// A reader that follows anchors through saves, replacements, deletions, grants,
// revocations and rebuilds ends with what a plain list says.
func TestFollowingAnchorsGivesWhatThereIs(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		h := newHistory(t)
		h.store.engine.pageBytes = rapid.SampledFrom([]int{pageBytes, 1200}).Draw(r, "page")
		f := &follower{held: map[string]bool{}, times: map[string]int{}, apart: map[string]bool{}}
		g := drawGrant(r)
		scope := bertsScope(t, g)
		fromNow := rapid.IntRange(0, 3).Draw(r, "from now") == 0
		for range rapid.IntRange(1, 25).Draw(r, "steps") {
			switch rapid.IntRange(0, 9).Draw(r, "step") {
			case 0, 1, 2, 3:
				h.append(t, h.drawSave(r))
			case 4, 5:
				h.append(t, h.drawDeletion(r))
			case 6:
				g = drawGrant(r)
				scope, f.regranted = bertsScope(t, g), true
			case 7:
				h.rebuild(t, r)
			default:
				f.page(r, h, g, scope, &pb.QueryChangesRequest{Type: "stepCount", FromNow: fromNow, Limit: rapid.Uint32Range(0, 4).Draw(r, "limit")})
			}
		}
		for f.page(r, h, g, scope, &pb.QueryChangesRequest{Type: "stepCount", FromNow: fromNow, Limit: 3}) {
		}
		f.complete(r, h, g)
		if f.page(r, h, g, scope, &pb.QueryChangesRequest{Type: "stepCount"}) {
			r.Fatal("there is more after the end")
		}
		f.complete(r, h, g)
		h.store.close(t)
	})
}

// Two stores that differ only in what a reader may not see give it the same bytes, and it
// touches the same keys in both.
func TestHiddenChangesEqualNone(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		full, bare := newHistory(t), newHistory(t)
		g := drawGrant(r)
		scope := bertsScope(t, g)
		// The numbers of sources and units say nothing: every one is there from the beginning.
		for _, app := range []uint64{anna, bert, carl} {
			for i, name := range []string{"watch", "phone"} {
				saved := &pb.SamplesSaved{App: app, RequestId: []byte{byte(i), 15: 9}, Columns: []*pb.SampleColumns{{
					Type: code("dietaryFiber"), Unit: "count", Tick: 1, Source: &pb.Source{Name: name}, Start: []int64{0}, Mantissa: []int64{1},
				}}}
				for _, h := range []*history{full, bare} {
					h.append(t, &pb.Event{Body: &pb.Event_SamplesSaved{SamplesSaved: saved}})
				}
			}
		}
		now := time.Unix(1_700_000_000, 0)
		for _, h := range []*history{full, bare} {
			h.store.engine.options.Now = func() time.Time { return now }
		}
		anchor := ""
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			switch rapid.IntRange(0, 4).Draw(r, "step") {
			case 0, 1:
				with, without := withoutHidden(g, full.drawSave(r))
				full.append(t, with)
				bare.append(t, without)
			case 2:
				e := full.drawDeletion(r)
				full.append(t, e)
				bare.append(t, e)
			default:
				request := &pb.QueryChangesRequest{Type: "stepCount", Anchor: anchor, Limit: rapid.Uint32Range(0, 4).Draw(r, "limit")}
				answers, touched := [2]*pb.QueryChangesResponse{}, [2]map[string]int{}
				for i, h := range []*history{full, bare} {
					clear(h.store.touched)
					var err error
					if answers[i], err = h.store.engine.Changes(context.Background(), scope, request); err != nil {
						r.Fatal(err)
					}
					touched[i] = h.store.touched
				}
				if diff := cmp.Diff(answers[1], answers[0], protocmp.Transform()); diff != "" {
					r.Fatal(diff)
				}
				if diff := cmp.Diff(touched[1], touched[0]); diff != "" {
					r.Fatal(diff)
				}
				anchor = answers[0].Anchor
			}
		}
		full.store.close(t)
		bare.store.close(t)
	})
}

// withoutHidden returns a save, with what bert may see first in its last column, and what is
// left of it if what bert may not see is not there, of other columns all or nothing. One
// with a sync identifier stays: what it replaces is gone for bert too.
func withoutHidden(g *pb.ReadGrant, e *pb.Event) (full, bare *pb.Event) {
	full = proto.CloneOf(e)
	saved := full.GetSamplesSaved()
	columns, last := saved.Columns, len(saved.Columns)-1
	sees := func(end int64) bool { return sees(g, &told{app: saved.App, end: end}) }
	if slices.ContainsFunc(columns, func(c *pb.SampleColumns) bool { return c.Metadata != nil }) {
		return full, full
	}
	all, visible := visibleFirst(columns[last], sees)
	columns[last] = all
	left := columns[:last:last]
	if len(visible.Start) > 0 {
		left = append(left, visible)
	} else if !slices.ContainsFunc(left, func(c *pb.SampleColumns) bool {
		_, visible := visibleFirst(c, sees)
		return len(visible.Start) > 0
	}) {
		return full, nil
	}
	bare = proto.CloneOf(full)
	bare.GetSamplesSaved().Columns = left
	return full, bare
}

// What is seen of correlations by a reader of one of the members is followed too, and told
// of once, whenever its members end.
func TestFollowingCorrelationsGivesWhatSamplesShow(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := newStore(t)
		state := grants(t, drawGrants(r))
		held, told, gone, anchor := map[string]bool{}, map[string]int{}, map[string]int{}, ""
		for range rapid.IntRange(1, 8).Draw(r, "steps") {
			if rapid.IntRange(0, 3).Draw(r, "step") > 0 {
				s.saveSamples(t, drawApp(r), 0, drawObject(r, "food"))
			} else {
				s.sequence++
				d := &pb.SamplesDeleted{App: drawApp(r), RequestId: binary.BigEndian.AppendUint64(make([]byte, 8), 1<<60|s.sequence)}
				p := drawPeriod(r)
				d.Deletions = []*pb.DeletedSamples{{Type: code("food"), From: &p.from, To: &p.to}}
				s.applyEvent(t, &pb.Event{Body: &pb.Event_SamplesDeleted{SamplesDeleted: d}})
			}
			for more := true; more; {
				answer, err := s.engine.Changes(context.Background(), state.Scope(bert), &pb.QueryChangesRequest{Type: "food", Anchor: anchor, Limit: 2})
				if err != nil {
					r.Fatal(err)
				}
				for _, sample := range answer.Samples {
					if told[sample.Uuid]++; told[sample.Uuid] > 1 {
						r.Fatalf("%s is told twice", sample.Uuid)
					}
					held[sample.Uuid] = true
				}
				for _, d := range answer.Deleted {
					if gone[d.Uuid]++; gone[d.Uuid] > 1 {
						r.Fatalf("that %s is deleted is told twice", d.Uuid)
					}
					delete(held, d.Uuid)
				}
				anchor, more = answer.Anchor, answer.More
			}
			answer, err := s.engine.Samples(context.Background(), state.Scope(bert), &pb.QuerySamplesRequest{Types: []string{"food"}})
			if err != nil {
				r.Fatal(err)
			}
			want := map[string]bool{}
			for _, sample := range answer.Samples {
				want[sample.Uuid] = true
			}
			if diff := cmp.Diff(want, held); diff != "" {
				r.Fatal(diff)
			}
		}
		s.close(t)
	})
}

func TestChangesFitThePredicateAndDeletionsComeAnyway(t *testing.T) {
	h := newHistory(t)
	at := func(start int64) *pb.Event {
		saved := &pb.SamplesSaved{App: bert, RequestId: binary.BigEndian.AppendUint64(make([]byte, 8), uint64(start)), Columns: []*pb.SampleColumns{{
			Type: code("stepCount"), Unit: "count", Tick: 1, Start: []int64{base + start}, Mantissa: []int64{start},
		}}}
		return &pb.Event{Body: &pb.Event_SamplesSaved{SamplesSaved: saved}}
	}
	request := &pb.QueryChangesRequest{Type: "stepCount", FromNow: true, Predicate: &pb.Predicate{Kind: &pb.Predicate_Quantity{Quantity: &pb.QuantityPredicate{
		Comparison: pb.Comparison_COMPARISON_GREATER, Quantity: &pb.Quantity{Value: 2, Unit: "count"},
	}}}}
	scope := grants(t, nil).Scope(bert)
	ask := func() *pb.QueryChangesResponse {
		answer, err := h.store.engine.Changes(context.Background(), scope, request)
		if err != nil {
			t.Fatal(err)
		}
		request.Anchor, request.FromNow = answer.Anchor, false
		return answer
	}
	h.append(t, at(9))
	if answer := ask(); len(answer.Samples) > 0 {
		t.Errorf("from now on there is %v", answer.Samples)
	}
	for _, start := range []int64{1, 3, 2, 4, 1} {
		h.append(t, at(start))
	}
	request.Limit = 1
	for _, want := range []struct {
		value float64
		more  bool
	}{{3, true}, {4, false}} {
		answer := ask()
		if len(answer.Samples) != 1 || answer.Samples[0].GetValue() != want.value || answer.More != want.more {
			t.Errorf("answer %v, want %v", answer, want)
		}
	}
	h.append(t, &pb.Event{Body: &pb.Event_SamplesDeleted{SamplesDeleted: &pb.SamplesDeleted{
		App: bert, RequestId: make([]byte, 16), Deletions: []*pb.DeletedSamples{{Type: code("stepCount"), To: proto.Int64(base + 2)}},
	}}})
	if answer := ask(); len(answer.Deleted) != 1 || answer.More {
		t.Errorf("the deletion is not told: %v", answer)
	}
	h.store.close(t)
}

func TestOldAndForeignAnchorsAreRefused(t *testing.T) {
	h := newHistory(t)
	h.append(t, nil)
	h.append(t, nil)
	now := time.Unix(1_700_000_000, 0)
	h.store.engine.options.Now = func() time.Time { return now }
	state := grants(t, nil)
	ask := func(e *Engine, app uint64, typ, anchor string) error {
		_, err := e.Changes(context.Background(), state.Scope(app), &pb.QueryChangesRequest{Type: typ, Anchor: anchor})
		return err
	}
	first, err := h.store.engine.Changes(context.Background(), state.Scope(bert), &pb.QueryChangesRequest{Type: "stepCount"})
	if err != nil {
		t.Fatal(err)
	}
	var argument *ArgumentError
	for _, c := range []struct {
		app         uint64
		typ, anchor string
	}{{anna, "stepCount", first.Anchor}, {bert, "heartRate", first.Anchor}, {bert, "stepCount", first.Anchor[1:]}, {bert, "bloodPressure", first.Anchor}} {
		if err := ask(h.store.engine, c.app, c.typ, c.anchor); !errors.As(err, &argument) || argument.Field != "anchor" {
			t.Errorf("%+v: error %v", c, err)
		}
	}
	// Of a store that had other keys once, it may be one from before; not so what is no token.
	h.store.engine.options.Rekeyed = func() bool { return true }
	if err := ask(h.store.engine, anna, "stepCount", first.Anchor); !errors.Is(err, ErrResyncNeeded) {
		t.Errorf("after other keys: %v", err)
	}
	if err := ask(h.store.engine, bert, "stepCount", "-"); !errors.As(err, &argument) {
		t.Errorf("no token, after other keys: %v", err)
	}
	now = now.Add(anchorHorizon)
	if err := ask(h.store.engine, bert, "stepCount", first.Anchor); err != nil {
		t.Errorf("at the horizon: %v", err)
	}
	now = now.Add(1)
	if err := ask(h.store.engine, bert, "stepCount", first.Anchor); !errors.Is(err, ErrResyncNeeded) {
		t.Errorf("beyond the horizon: %v", err)
	}
	now = now.Add(-time.Hour)
	shorter := newHistory(t)
	shorter.append(t, nil)
	shorter.store.engine.options.Now = h.store.engine.options.Now
	if err := ask(shorter.store.engine, bert, "stepCount", first.Anchor); !errors.Is(err, ErrResyncNeeded) {
		t.Errorf("from a longer log: %v", err)
	}
	h.store.close(t)
	shorter.store.close(t)
}

func FuzzAnchors(f *testing.F) {
	a := newAnchor([]int64{-5, math.MaxInt64}, 7, false)
	a.issued = time.UnixMicro(3)
	f.Add(a.appendTo(nil))
	a.follow([]int64{math.MinInt64, 9})
	a.changes = view.Point{Sequence: 1 << 40, Deleted: true, Source: 8, Place: view.Place{Start: -1, End: 1, Sequence: 2, Event: 3, Index: 4}}
	f.Add(a.appendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		for n := range 3 {
			if a, ok := readAnchor(b, n); ok && !slices.Equal(a.appendTo(nil), b) {
				t.Errorf("anchor %x does not read back", b)
			}
		}
	})
}

// Sources that come in one save stand in one order, whichever the ledger knew before from
// samples that the reader may not see.
func TestChangesDoNotShowWhichSourceCameFirst(t *testing.T) {
	scope := bertsScope(t, &pb.ReadGrant{Type: code("stepCount"), Extent: pb.ReadExtent_READ_EXTENT_ALL})
	save := func(id byte, typeName string, sources ...string) *pb.Event {
		saved := &pb.SamplesSaved{App: anna, RequestId: []byte{id, 15: 0}}
		for i, name := range sources {
			saved.Columns = append(saved.Columns, &pb.SampleColumns{
				Type: code(typeName), Tick: 1, Source: &pb.Source{Name: name}, Start: []int64{int64(i)}, Mantissa: []int64{1}, Unit: map[string]string{"stepCount": "count", "dietaryFiber": "g"}[typeName],
			})
		}
		return &pb.Event{Body: &pb.Event_SamplesSaved{SamplesSaved: saved}}
	}
	seen := func(h *history, anchor string) (names []string, next string) {
		for more := true; more; {
			answer, err := h.store.engine.Changes(context.Background(), scope, &pb.QueryChangesRequest{Type: "stepCount", Anchor: anchor, Limit: 1})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range answer.GetSamples() {
				names = append(names, s.GetSource().GetName())
			}
			more, anchor = answer.GetMore(), answer.GetAnchor()
		}
		return names, anchor
	}
	names := []string{"a", "b", "c", "d", "e", "f"}
	var all [][]string
	for _, hidden := range [][]string{nil, {"f", "d", "b"}, {"c"}} {
		h := newHistory(t)
		h.append(t, save(1, "dietaryFiber", hidden...))
		h.append(t, save(2, "stepCount", names...))
		first, anchor := seen(h, "")
		h.append(t, save(3, "stepCount", names...))
		then, _ := seen(h, anchor)
		if len(first) != len(names) || len(then) != len(names) {
			t.Fatalf("%v, then %v", first, then)
		}
		all = append(all, append(first, then...))
		h.store.close(t)
	}
	if diff := cmp.Diff(all[0], all[1]) + cmp.Diff(all[0], all[2]); diff != "" {
		t.Error(diff)
	}
}
