package view

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"healthledger/authz"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// drawReader makes a scope of app 1 for the types of generated logs.
func drawReader(t testing.TB, r *rapid.T) authz.Scope {
	var reads []*pb.ReadGrant
	for _, code := range modelTypes {
		if !isPair(code) {
			unit := rapid.SampledFrom([]int64{1, 1_000_000, 3600_000_000}).Draw(r, "unit")
			reads = append(reads, &pb.ReadGrant{
				Type: code, Extent: pb.ReadExtent(rapid.Int32Range(1, 3).Draw(r, "extent")), Since: unit * rapid.Int64Range(-2, 6).Draw(r, "since"),
			})
		}
	}
	if rapid.IntRange(0, 4).Draw(r, "owner") == 0 {
		return owner()
	}
	return granted(t, reads...)
}

// byUUID returns where samples lie that a scope sees, by type and UUID, from a scan.
func byUUID(t testing.TB, s *Snapshot, scope authz.Scope) map[string][]string {
	t.Helper()
	all, details := map[string][]string{}, s.Details()
	for _, code := range modelTypes {
		for _, source := range s.Sources(scope, code) {
			scan, err := source.Scan(math.MinInt64, math.MaxInt64)
			if err != nil {
				t.Fatal(err)
			}
			for ok := scan.First(); ok; ok = scan.Next() {
				id, err := details.UUID(source.Type(), scan.Sample())
				if err != nil {
					t.Fatal(err)
				}
				key := fmt.Sprintf("%d %s", source.Type(), id[:])
				all[key] = append(all[key], fmt.Sprint(source.App(), scan.Sample().Place))
			}
			if err := scan.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return all
}

// foundBy returns where samples lie that have one of the UUIDs, by places that differ.
func foundBy(r *rapid.T, s *Snapshot, scope authz.Scope, typeCode uint32, ids ...[16]byte) (found []string) {
	all, err := s.ByUUID(scope, typeCode, ids, freely)
	if err != nil {
		r.Fatal(err)
	}
	for _, f := range all {
		found = append(found, fmt.Sprint(f.Source.App(), f.Sample.Place))
	}
	return sorted(found)
}

func sorted(all []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(all)))
}

func TestUUIDsFindWhatAScanSees(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		v := openView(t, vfs.NewMem())
		for _, part := range segments(drawLog(r, 6)) {
			commitLog(t, v, part)
		}
		s, err := v.Snapshot()
		if err != nil {
			r.Fatal(err)
		}
		scope := drawReader(t, r)
		seen := byUUID(t, s, scope)
		all, want := map[uint32][][16]byte{}, map[uint32][]string{}
		for key := range byUUID(t, s, owner()) {
			var typeCode uint32
			if _, err := fmt.Sscan(key, &typeCode); err != nil {
				r.Fatal(err)
			}
			id := [16]byte([]byte(key[len(key)-16:]))
			if found := foundBy(r, s, scope, typeCode, id); !slices.Equal(found, sorted(seen[key])) {
				r.Fatalf("type %d, %x: found %v, a scan sees %v", typeCode, id, found, seen[key])
			}
			all[typeCode], want[typeCode] = append(all[typeCode], id), append(want[typeCode], seen[key]...)
		}
		for typeCode, ids := range all {
			if found := foundBy(r, s, scope, typeCode, ids...); !slices.Equal(found, sorted(want[typeCode])) {
				r.Fatalf("type %d: found %v together, a scan sees %v", typeCode, found, want[typeCode])
			}
		}
		if err := s.Close(); err != nil {
			r.Fatal(err)
		}
		closeView(t, v)
	})
}

// twoViews make stores that differ only in what app 1 may not read of types 1 and 2, of
// which it may read one since a time and the other not at all, and says what each touches.
type twoViews struct {
	full, bare *View
	since      int64
	scope      authz.Scope
	touched    [2][]string
}

func drawTwoViews(t testing.TB, r *rapid.T, requests int) *twoViews {
	p := &twoViews{since: 1_000_000*rapid.Int64Range(-5, 5).Draw(r, "since") + rapid.Int64Range(-1, 1).Draw(r, "beside")}
	p.scope = granted(t, &pb.ReadGrant{Type: 1, Extent: pb.ReadExtent_READ_EXTENT_SINCE, Since: p.since})
	for i, v := range []**View{&p.full, &p.bare} {
		opened, err := Open(vfs.NewMem(), "view", Options{AppKey: keyOf, CacheSize: 1 << 20, Touched: func(lower, upper []byte) {
			p.touched[i] = append(p.touched[i], fmt.Sprintf("%x-%x", lower, upper))
		}, Stepped: func() { p.touched[i] = append(p.touched[i], "row") }})
		if err != nil {
			r.Fatal(err)
		}
		*v = opened
	}
	sources := []*pb.Source{{Name: "watch"}, {Name: "phone", App: "other"}}
	one := func(app uint64, request byte, typeCode uint32, source *pb.Source, start, duration int64) *pb.SamplesSaved {
		return &pb.SamplesSaved{App: app, RequestId: bytes.Repeat([]byte{request}, 16), Columns: []*pb.SampleColumns{{
			Type: typeCode, Unit: "count", Source: source, Tick: 1_000_000, Start: []int64{start}, Duration: []int64{duration}, Mantissa: []int64{1},
		}}}
	}
	// The ids of sources and units say nothing: every one is there from the beginning.
	sequence := uint64(0)
	for app := range uint64(3) {
		for i, source := range sources {
			sequence++
			l := logged{sequence, 0, &pb.Event{Body: &pb.Event_SamplesSaved{SamplesSaved: one(app+1, 200+byte(i), 300, source, 0, 0)}}}
			commitLog(t, p.full, []logged{l})
			commitLog(t, p.bare, []logged{l})
		}
	}
	for request := range rapid.IntRange(1, requests).Draw(r, "requests") {
		sequence++
		app, typeCode := rapid.Uint64Range(1, 3).Draw(r, "app"), rapid.SampledFrom([]uint32{1, 1, 1, 2}).Draw(r, "type")
		spread := rapid.SampledFrom([]int64{1, 86400 * 20}).Draw(r, "spread")
		start, duration := spread*rapid.Int64Range(-5, 5).Draw(r, "start"), rapid.Int64Range(0, 3).Draw(r, "duration")
		saved := one(app, byte(request), typeCode, rapid.SampledFrom(sources).Draw(r, "source"), start, duration)
		if rapid.Bool().Draw(r, "own UUID") {
			saved.Columns[0].Uuid = bytes.Repeat([]byte{byte(request)}, 16)
		}
		log := []logged{{sequence, 0, &pb.Event{Body: &pb.Event_SamplesSaved{SamplesSaved: saved}}}}
		commitLog(t, p.full, log)
		if app == 1 || typeCode == 1 && 1_000_000*(start+duration) >= p.since {
			commitLog(t, p.bare, log)
		}
	}
	return p
}

// touching runs a query on both and compares what it touches.
func (p *twoViews) touching(r *rapid.T, query func(*Snapshot) error) {
	for i, v := range []*View{p.full, p.bare} {
		p.touched[i] = nil
		s, err := v.Snapshot()
		if err != nil {
			r.Fatal(err)
		}
		if err := query(s); err != nil {
			r.Fatal(err)
		}
		if err := s.Close(); err != nil {
			r.Fatal(err)
		}
	}
	if diff := cmp.Diff(p.touched[1], p.touched[0]); diff != "" {
		r.Fatal(diff)
	}
}

func (p *twoViews) close(t testing.TB) {
	closeView(t, p.full)
	closeView(t, p.bare)
}

func TestByUUIDTouchesNothingForWhatIsHidden(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := drawTwoViews(t, r, 8)
		s, err := p.full.Snapshot()
		if err != nil {
			r.Fatal(err)
		}
		all := byUUID(t, s, owner())
		if err := s.Close(); err != nil {
			r.Fatal(err)
		}
		var ids [][16]byte
		for key := range all {
			ids = append(ids, [16]byte([]byte(key[len(key)-16:])))
		}
		for typeCode := range uint32(3) {
			for _, asked := range append(slices.Collect(slices.Chunk(ids, 1)), ids) {
				p.touching(r, func(s *Snapshot) error {
					_, err := s.ByUUID(p.scope, typeCode, asked, freely)
					return err
				})
			}
		}
		p.close(t)
	})
}

// manyOfOne saves a request of many samples in tables of the disk, and returns UUIDs of
// some of them, the last ones too.
func manyOfOne(t *testing.T, touched func(lower, upper []byte)) (v *View, ids [][16]byte) {
	files := vfs.NewMem()
	v, made := openView(t, files), newSeries()
	commitLog(t, v, []logged{{1, 0, made.event(false, made.columns(1, "watch", 20_000, 0))}})
	closeView(t, v)
	v, err := Open(files, "view", Options{AppKey: keyOf, CacheSize: 8 << 20, Touched: touched})
	if err != nil {
		t.Fatal(err)
	}
	deriver := health.NewDeriver([16]byte{15: 1}, keyOf(7), 1)
	for i := range uint32(200) {
		ids = append(ids, deriver.UUID(99+100*i))
	}
	return v, ids
}

// Many UUIDs that were derived from one request cost no more scans than one.
func TestUUIDsOfOneRequestAreFoundInOneScan(t *testing.T) {
	scans := 0
	v, ids := manyOfOne(t, func(lower, upper []byte) {
		if lower[0] == familySample && !bytes.Equal(lower, upper) {
			scans++
		}
	})
	s, err := v.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if found, err := s.ByUUID(owner(), 1, ids, freely); err != nil || len(found) != len(ids) || scans != 1 {
		t.Errorf("%d found in %d scans, error %v", len(found), scans, err)
	}
	spent, enough := 0, errors.New("enough")
	_, err = s.ByUUID(owner(), 1, ids, func() error {
		if spent++; spent > 1000 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || errors.Is(err, ErrFormat) || spent != 1001 {
		t.Errorf("after %d rows: %v", spent, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	closeView(t, v)
}

func TestUUIDsOfOneRequestAreDeletedInOneScan(t *testing.T) {
	reads := func(some int) int64 {
		v, ids := manyOfOne(t, nil)
		d := &pb.DeletedSamples{Type: 1}
		for _, id := range ids[len(ids)-some:] {
			d.Uuids = append(d.Uuids, id[:])
		}
		b := v.Begin()
		before := v.db.Metrics().BlockCache
		if n, err := b.DeleteForOwner(2, 0, 1, []*pb.DeletedSamples{d}); err != nil || n != uint64(some) {
			t.Fatalf("%d deleted of %d, error %v", n, some, err)
		}
		after := v.db.Metrics().BlockCache
		b.Close()
		closeView(t, v)
		return after.Hits + after.Misses - before.Hits - before.Misses
	}
	// To remove a row costs some look-ups.
	if one, many := reads(1), reads(200); many > one+200*10 {
		t.Errorf("one UUID costs %d blocks, 200 cost %d", one, many)
	}
}
