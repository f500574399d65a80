package view

import (
	"bytes"
	"flag"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"healthledger/projector/aggregate"
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

var update = flag.Bool("update", false, "write the golden files anew")

func drawPlace(t *rapid.T) Place {
	p := Place{
		Start:    rapid.OneOf(rapid.Int64(), rapid.Int64Range(-300, 300)).Draw(t, "start"),
		Sequence: rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, 300)).Draw(t, "sequence"),
		Event:    rapid.Uint32().Draw(t, "event"), Index: rapid.Uint32().Draw(t, "index"),
	}
	p.End = max(p.Start, rapid.OneOf(rapid.Int64(), rapid.Int64Range(-300, 300), rapid.Just(p.Start)).Draw(t, "end"))
	return p
}

func sampleKey(typeCode, source uint32, p Place) []byte {
	key := appendPeriod(appendSamplePrefix(nil, typeCode, source), p.Start, p.End)
	return appendTie(key, p.Sequence, p.Event, p.Index)
}

func TestKeysAreInOrderOfTypeSourceEndStartLog(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p, q := drawPlace(r), drawPlace(r)
		if rapid.Bool().Draw(r, "same end") {
			q.Start, q.End = min(q.Start, p.End), p.End
		}
		types := []uint32{rapid.Uint32().Draw(r, "type"), rapid.Uint32().Draw(r, "type")}
		sources := []uint32{rapid.Uint32().Draw(r, "source"), rapid.Uint32().Draw(r, "source")}
		want := slices.Compare([]uint32{types[0], sources[0]}, []uint32{types[1], sources[1]})
		if want == 0 && p.End != q.End {
			want = slices.Compare([]int64{p.End}, []int64{q.End})
		} else if want == 0 {
			want = p.Compare(&q)
		}
		if got := bytes.Compare(sampleKey(types[0], sources[0], p), sampleKey(types[1], sources[1], q)); got != want {
			r.Fatalf("keys compare %d, want %d", got, want)
		}
	})
}

func TestKeysReadBack(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := drawPlace(r)
		var q Place
		if key := sampleKey(1, 300, p); !readPlace(key[len(appendSamplePrefix(nil, 1, 300)):], &q) || q != p {
			r.Fatalf("%v became %v", p, q)
		}
	})
}

func drawSample(t *rapid.T) Sample {
	s := Sample{Place: drawPlace(t), HasValue: true, Value: rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.Copysign(0, -1), 72.5, -3, 0.07, math.Inf(1)})).Draw(t, "value")}
	s.unit = rapid.Uint32().Draw(t, "unit")
	if s.HasCreated = rapid.Bool().Draw(t, "has created"); s.HasCreated {
		s.Created = rapid.Int64().Draw(t, "created")
	}
	if rapid.Bool().Draw(t, "has metadata") {
		s.metadata = rapid.Uint32Range(1, math.MaxUint32).Draw(t, "metadata")
	}
	if rapid.Bool().Draw(t, "has body") {
		s.body = rapid.Uint32().Draw(t, "body")
	}
	s.member = rapid.Bool().Draw(t, "member")
	if s.HasValue = rapid.IntRange(0, 5).Draw(t, "has value") > 0; !s.HasValue {
		s.Value = 0
	}
	if s.HasUUID = rapid.Bool().Draw(t, "has uuid"); s.HasUUID {
		s.UUID = [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "uuid"))
	}
	return s
}

func TestValuesReadBackBitForBit(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := drawSample(r)
		read := Sample{Place: s.Place}
		if !readValue(appendValue(nil, &s, rapid.Uint32Range(0, 20).Draw(r, "exponent")), &read) {
			r.Fatal("the value does not read back")
		}
		if math.Float64bits(s.Value) != math.Float64bits(read.Value) {
			r.Fatalf("value %v became %v", s.Value, read.Value)
		}
		if read.Value = s.Value; read != s {
			r.Fatalf("%+v became %+v", s, read)
		}
	})
}

func TestDaysCoverTime(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		end := rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64, 0, -1, dayLength, -dayLength})).Draw(r, "end")
		number := dayOf(end)
		if first, last := boundsOf(number); end < first || end > last {
			r.Fatalf("%d is outside its day, %d to %d", end, first, last)
		} else if first > math.MinInt64 && dayOf(first-1) != number-1 || last < math.MaxInt64 && dayOf(last+1) != number+1 {
			r.Fatalf("day %d does not meet its neighbours", number)
		}
	})
}

// goldenLog has something of everything.
func goldenLog() []logged {
	event := func(app uint64, request byte, byContent bool, columns ...*pb.SampleColumns) *pb.Event {
		return &pb.Event{Time: 1_700_000_000_000_000, Body: &pb.Event_SamplesSaved{SamplesSaved: &pb.SamplesSaved{
			App: app, RequestId: bytes.Repeat([]byte{request}, 16), ByContent: byContent, Columns: columns,
		}}}
	}
	steps := &pb.SampleColumns{
		Type: 1, Unit: "count", Source: someSources[4], Tick: 1_000_000, Start: []int64{-5, 300, 300}, Duration: []int64{60, 0, 7_000_000},
		Mantissa: []int64{12, 1, 300}, Created: []int64{0, 1, -1}, Metadata: someMetadata, MetadataIndex: []uint32{0, 3, 1},
	}
	rate := &pb.SampleColumns{
		Type: 300, Unit: "count/min", Source: someSources[5], Tick: 1000, Start: []int64{1, 1, 1}, Mantissa: []int64{725, 5, 5}, Exponent: 1,
		Uuid: bytes.Repeat([]byte("0123456789abcdef"), 3),
	}
	// These are enough for a row of figures.
	many := &pb.SampleColumns{Type: 3, Unit: "kg", Tick: 1_000_000, Start: slices.Repeat([]int64{50}, fewest), Mantissa: slices.Repeat([]int64{1}, fewest), Exponent: 1}
	grams := &pb.SampleColumns{Type: 3, Unit: "g", Tick: 1_000_000, Start: []int64{400}, Duration: []int64{600}, Real: []float64{math.E}}
	sleep := &pb.SampleColumns{Type: 2, Tick: 1, Start: []int64{0}, Real: []float64{math.Pi}}
	log := []logged{{1, 0, event(7, 1, true, steps, rate)}, {300, 2, event(7, 2, true, steps)}, {70_000, 0, event(8, 1, false, sleep, many, grams)}}
	upload := bytes.Repeat([]byte{9}, 16)
	part := &pb.PartSaved{App: 7, Upload: upload, Chunk: &pb.Chunk{Beats: &pb.Beats{Offset: []int64{5, 900_000}, AfterGap: []uint32{1}}}}
	log = append(log, logged{70_000, 1, &pb.Event{Body: &pb.Event_PartSaved{PartSaved: part}}})
	log = append(log, logged{70_000, 2, event(7, 3, false, goldenObjects(upload)...)})
	return slices.Concat(log, goldenUpdates(), goldenAsking(), goldenRemovals(), goldenAccess(), goldenDisclosures(), goldenRefusals(), goldenGhosts())
}

// goldenRemovals delete a sample with a UUID of its own, one without and with metadata, a
// correlation and, for the owner, what has an identity.
func goldenRemovals() []logged {
	derived := health.DeriveUUID([16]byte(bytes.Repeat([]byte{1}, 16)), keyOf(7), 1, 2)
	deleted := func(app uint64, request []byte, all ...*pb.DeletedSamples) *pb.Event {
		return &pb.Event{Body: &pb.Event_SamplesDeleted{SamplesDeleted: &pb.SamplesDeleted{App: app, RequestId: request, Deletions: all}}}
	}
	owner := OwnerRequest(5)
	return []logged{
		{70_002, 0, deleted(7, bytes.Repeat([]byte{4}, 16),
			&pb.DeletedSamples{Type: 300, Uuids: [][]byte{[]byte("0123456789abcdef")}}, &pb.DeletedSamples{Type: 1, Uuids: [][]byte{derived[:]}},
			&pb.DeletedSamples{Type: 2001, To: proto.Int64(8)})},
		{70_002, 1, deleted(0, owner[:], &pb.DeletedSamples{Type: 2502})},
	}
}

// goldenGhosts are what erasures have left: of plain samples, of a correlation with a member
// that remains, of a member, of objects that are granted alone; and a part of an upload.
func goldenGhosts() []logged {
	bound := int64(1_600_000_000_000_000)
	body := func(s *pb.Sample) []byte {
		b, err := health.AppendBody(nil, s)
		if err != nil {
			panic(err)
		}
		return b
	}
	value := 80.0
	member := &pb.Sample{Type: "bloodPressureDiastolic", Unit: "mmHg", Value: &value, Start: health.Timestamp(bound + 70), End: health.Timestamp(bound + 71)}
	gone := func(end int64) *pb.Sample {
		return &pb.Sample{Type: "bloodPressureSystolic", Uuid: "6ba7b810-9dad-41d1-80b4-00c04fd43001", Ghost: &pb.Ghost{Erased: 2, End: &end}}
	}
	ends := []*pb.GhostEnd{{Type: 13, End: bound}, {Type: 14, End: math.MinInt64}}
	return []logged{{70_003, 0, &pb.Event{Time: 1_700_000_000_000_000, Body: &pb.Event_SamplesSaved{SamplesSaved: &pb.SamplesSaved{
		App: 7, RequestId: bytes.Repeat([]byte{5}, 16), Outcome: &pb.RequestOutcome{Stored: 6, Duplicates: 1}, Columns: []*pb.SampleColumns{
			{
				Type: 300, Unit: "count/min", Source: someSources[5], Tick: 1, Start: []int64{0, bound + 90, 0}, Mantissa: []int64{0, 61, 0},
				Uuid: []byte("erased UUID 0001still there 0001erased UUID 0002"), Erased: []uint64{2, 0, 1}, ErasedEnd: []int64{bound},
			},
			{Type: 2001, Tick: 1, Start: []int64{0, bound + 70}, Erased: []uint64{3, 0}, ErasedEnd: []int64{bound}, Body: [][]byte{
				body(&pb.Sample{Ghost: &pb.Ghost{Ends: ends}, Members: []*pb.Sample{member}}),
				body(&pb.Sample{Members: []*pb.Sample{gone(bound), member}}),
			}},
			{Type: mustType("visionPrescription"), Source: someSources[3], Tick: 1, Start: []int64{0}, Erased: []uint64{2}, ErasedEnd: []int64{math.MinInt64}},
			{Type: mustType("medicationDoseEvent"), Tick: 1, Start: []int64{0, 0}, Erased: []uint64{2, 2}, ErasedEnd: []int64{bound, bound}, Body: [][]byte{
				body(&pb.Sample{Ghost: &pb.Ghost{Object: "c1"}}), body(&pb.Sample{Ghost: &pb.Ghost{Alias: []byte("0123456789abcdef")}}),
			}},
		},
	}}}}, {70_003, 1, &pb.Event{Body: &pb.Event_PartSaved{PartSaved: &pb.PartSaved{App: 7, Erased: true}}}}}
}

// goldenUpdates are subscriptions without and with an acknowledgement, and one that ended.
func goldenUpdates() []logged {
	set := func(typeCode uint32, f pb.Frequency) *pb.Event {
		return &pb.Event{Body: &pb.Event_UpdatesSet{UpdatesSet: &pb.UpdatesSet{App: 7, Type: typeCode, Frequency: f}}}
	}
	return []logged{
		{70_000, 3, set(1, pb.Frequency_FREQUENCY_IMMEDIATE)},
		{70_000, 4, set(300, pb.Frequency_FREQUENCY_WEEKLY)},
		{70_000, 5, set(2, pb.Frequency_FREQUENCY_HOURLY)},
		{70_001, 0, &pb.Event{
			Time: 1_700_000_000_000_000, Body: &pb.Event_UpdatesAcked{UpdatesAcked: &pb.UpdatesAcked{App: 7, Type: 300, Sequence: 70_001}},
		}},
		{70_001, 1, set(2, pb.Frequency_FREQUENCY_NEVER)},
	}
}

// goldenAsking is a request for some of what was asked for before.
func goldenAsking() []logged {
	ask := func(time int64, shares, reads []uint32) *pb.Event {
		return &pb.Event{Time: time, Body: &pb.Event_AuthorizationRequested{AuthorizationRequested: &pb.AuthorizationRequested{
			App: 7, Shares: shares, Reads: reads,
		}}}
	}
	return []logged{
		{70_001, 2, ask(1_700_000_000_000_000, []uint32{1}, []uint32{1, 300})},
		{70_001, 3, ask(1_700_000_000_000_001, []uint32{2}, []uint32{300})},
		{70_001, 4, &pb.Event{Time: 1_700_000_000_000_002, Body: &pb.Event_ObjectsRequested{ObjectsRequested: &pb.ObjectsRequested{
			App: 7, Type: 2604, From: proto.Int64(-5), Limit: 300,
		}}}},
	}
}

// goldenAccess are a count that is over, one that goes on and one that was lost.
func goldenAccess() []logged {
	record := func(app uint64, operation string, from, to int64, by uint32) *pb.Event {
		return &pb.Event{Body: &pb.Event_AccessRecorded{AccessRecorded: &pb.AccessRecorded{
			App: app, Type: 300, Operation: operation, From: from, To: to, Minute: 28_333_333, CountedBy: by,
		}}}
	}
	return []logged{
		{70_002, 2, record(0, "samples", 0, 0, 0x01020304)},
		{70_002, 3, record(7, "samples", -5, 70_000, 5)},
		{70_002, 4, record(7, "statistics", 5, math.MaxInt64, 6)},
		{70_002, 5, record(7, "statistics", 3, math.MaxInt64, 7)},
		{70_002, 6, &pb.Event{Body: &pb.Event_AccessCounted{AccessCounted: &pb.AccessCounted{
			App: 7, Counts: []*pb.AccessCount{{Type: 300, Operation: "samples", Minute: 28_333_333, Count: 300}},
		}}}},
	}
}

// goldenDisclosures are one that is over and one that is not.
func goldenDisclosures() []logged {
	id := func(b byte) []byte { return bytes.Repeat([]byte{b}, 16) }
	from := int64(-5)
	return []logged{
		{70_002, 7, &pb.Event{Body: &pb.Event_DisclosureBegun{DisclosureBegun: &pb.DisclosureBegun{
			Id: id(1), Time: 1_700_000_000_000_000, Grant: 9, Types: []uint32{1, 300}, From: &from,
		}}}},
		{70_002, 8, &pb.Event{Body: &pb.Event_DisclosureBegun{DisclosureBegun: &pb.DisclosureBegun{
			Id: id(2), Time: 1_700_000_000_000_000, Grant: 9, Types: []uint32{1},
		}}}},
		{70_002, 9, &pb.Event{Body: &pb.Event_DisclosureEnded{DisclosureEnded: &pb.DisclosureEnded{
			Id: id(1), Time: 1_700_000_000_000_000, Complete: true, Counts: []*pb.DisclosureCount{{Type: 300, Count: 7}},
		}}}},
	}
}

// goldenRefusals are one of a manifest and one of a request, at the same time.
func goldenRefusals() []logged {
	refused := func(r *pb.RefusalRecorded) *pb.Event {
		return &pb.Event{Time: 1_700_000_000_000_000, Body: &pb.Event_RefusalRecorded{RefusalRecorded: r}}
	}
	return []logged{
		{70_002, 10, refused(&pb.RefusalRecorded{BundleId: "com.example.a", Operation: "update", Field: "purposes[1]", Value: "advertising", Why: "no"})},
		{70_002, 11, refused(&pb.RefusalRecorded{App: 7, Operation: "request", Field: "share", Why: "no"})},
	}
}

// goldenObjects are two correlations with a member that has an identity and outlasts it, a
// series whose payload went ahead, and one that has it, of which a second version comes.
func goldenObjects(upload []byte) []*pb.SampleColumns {
	body := func(s *pb.Sample) []byte {
		b, err := health.AppendBody(nil, s)
		if err != nil {
			panic(err)
		}
		return b
	}
	member := func(name string, end int64, metadata ...*pb.MetadataEntry) *pb.Sample {
		value := 120.5
		return &pb.Sample{Type: name, Unit: "mmHg", Value: &value, Start: health.Timestamp(2), End: health.Timestamp(end), Metadata: metadata}
	}
	series := func(s *pb.Sample) []byte {
		s.Object = &pb.Sample_HeartbeatSeries{HeartbeatSeries: &pb.HeartbeatSeries{}}
		return body(s)
	}
	beats := []*pb.Chunk{{Beats: &pb.Beats{Offset: []int64{1}}}, {Beats: &pb.Beats{Offset: []int64{2}}}}
	return []*pb.SampleColumns{
		{Type: 2001, Source: someSources[3], Tick: 1, Start: []int64{2}, Duration: []int64{5}, Body: [][]byte{body(&pb.Sample{Members: []*pb.Sample{
			member("bloodPressureSystolic", 9, syncMetadata[0].Entries...), member("bloodPressureDiastolic", 3),
		}})}},
		{Type: 2001, Source: someSources[3], Tick: 1, Start: []int64{10}, Body: [][]byte{body(&pb.Sample{Members: []*pb.Sample{
			member("bloodPressureSystolic", 11, syncMetadata[3].Entries...), member("bloodPressureDiastolic", 12),
		}})}},
		{Type: 2502, Tick: 1, Start: []int64{0, 0, 0}, Metadata: syncMetadata, MetadataIndex: []uint32{0, 1, 2}, Body: [][]byte{
			series(&pb.Sample{Upload: &pb.Upload{Id: upload, Parts: 1}}), series(&pb.Sample{Payload: beats}), series(&pb.Sample{Payload: beats[:1]}),
		}},
		{Type: 2102, Source: someSources[4], Tick: 1, Start: []int64{0}, Body: [][]byte{body(&pb.Sample{
			Object: &pb.Sample_Characteristic{Characteristic: &pb.Characteristic{Value: &pb.Characteristic_Label{Label: "female"}}},
		})}},
		{Type: mustType("visionPrescription"), Source: someSources[3], Tick: 1, Start: []int64{2}, Duration: []int64{5}, Body: [][]byte{body(drawGrantable("visionPrescription", "b"))}},
		{Type: mustType("medicationDoseEvent"), Tick: 1, Start: []int64{2}, Body: [][]byte{body(drawGrantable("medicationDoseEvent", "c1"))}},
	}
}

func TestRowsAreTheGoldenOnes(t *testing.T) {
	v := openView(t, vfs.NewMem())
	b := v.Begin()
	b.PutDecision(3, []byte("decision"))
	for _, l := range goldenLog() {
		if err := applyLogged(b, l); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Commit(Cursor{Sequence: 70_003, Tree: []byte("tree")}); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(dump(t, v), "\n") + "\n"
	closeView(t, v)
	const name = "testdata/rows.golden"
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the rows changed; a new format needs a new formatVersion:\n%s", diff)
	}
}

func FuzzRows(f *testing.F) {
	v := openView(f, vfs.NewMem())
	commitLog(f, v, goldenLog())
	iter, err := v.db.NewIter(nil)
	if err != nil {
		f.Fatal(err)
	}
	for iter.First(); iter.Valid(); iter.Next() {
		f.Add(bytes.Clone(iter.Key()), bytes.Clone(iter.Value()))
	}
	if err := iter.Close(); err != nil {
		f.Fatal(err)
	}
	closeView(f, v)
	f.Fuzz(func(t *testing.T, key, value []byte) {
		var s Sample
		if readPlace(key, &s.Place) && !bytes.Equal(appendTie(appendPeriod(nil, s.Start, s.End), s.Sequence, s.Event, s.Index), key) {
			t.Errorf("key %x has two forms", key)
		}
		if readValue(value, &s) {
			again := Sample{Place: s.Place}
			if !readValue(appendValue(nil, &s, uint32(value[0]&formExponent)), &again) || again.Value != s.Value && s.Value == s.Value {
				t.Errorf("value %x does not read back", value)
			}
		}
		fuzzObjects(t, key, value)
		fuzzBlock(t, value)
		if len(key) > 0 {
			if a, ok := readAsked(key, value); ok && !bytes.Equal(appendAskedKey(nil, a.App, a.Direction, a.Type)[1:], key[1:]) {
				t.Errorf("%x is written anew as %x", key, appendAskedKey(nil, a.App, a.Direction, a.Type))
			}
			if u, ok := readSubscription(key, value); ok {
				if again, ok := readSubscription(key, u.appendRow(nil)); !ok || again != u {
					t.Errorf("subscription %x = %x does not read back", key, value)
				}
			}
			fuzzAccess(t, key, value)
			readRefusal(key, value)
		}
		if source, ok := readSource(value); ok {
			if again, ok := readSource(appendSource(nil, source)); !ok || !bytes.Equal(appendSource(nil, again), appendSource(nil, source)) {
				t.Errorf("source %x does not read back", value)
			}
		}
		if entries, ok := readMetadata(value); ok {
			b := appendMetadata(nil, &pb.Metadata{Entries: entries})
			if again, ok := readMetadata(b); !ok || !bytes.Equal(appendMetadata(nil, &pb.Metadata{Entries: again}), b) {
				t.Errorf("metadata %x does not read back", value)
			}
		}
		if request, app, time, ok := readEvent(value); ok {
			if r, a, at, ok := readEvent(appendEvent(nil, request, app, time)); !ok || r != request || a != app || at != time {
				t.Errorf("event %x does not read back", value)
			}
		}
		if c, n, ok := readState(value); ok {
			if d, m, ok := readState(appendState(nil, c, n)); !ok || d.Sequence != c.Sequence || !bytes.Equal(d.Tree, c.Tree) || m != n {
				t.Errorf("state %x does not read back", value)
			}
		}
		fuzzChanges(t, key, value)
		if len(key) > 0 {
			readEntry(key, value)
			readDay(key, value)
		}
		readOrigin(0, value)
	})
}

// fuzzAccess reads a row of the access log; what reads, reads the same once written again.
func fuzzAccess(t *testing.T, key, value []byte) {
	a, ok := readAccess(key, value)
	if !ok {
		return
	}
	if !bytes.Equal(a.Position(), key[1:]) {
		t.Errorf("position %x has two forms", key)
	}
	row, _ := readAccessRow(value)
	if again, ok := readAccess(key, row.appendTo(nil)); !ok || again != a {
		t.Errorf("access %x = %x does not read back", key, value)
	}
}

// fuzzChanges reads rows of what changed; what reads, reads the same once written again.
func fuzzChanges(t *testing.T, key, value []byte) {
	if c, ok := readChange(key, value); ok && dayOf(c.first) != dayOf(c.last) {
		t.Errorf("change %x = %x is of several days", key, value)
	}
	for _, code := range [...]uint32{1, Pair(2001, 13)} {
		s, again := Sample{Place: Place{Start: -5, End: 1 << 40}}, Sample{Place: Place{Start: -5, End: 1 << 40}}
		if sequence, e, ok := readDeletion(value, code, &s); ok {
			row := appendDeletion(nil, &Locator{Type: code, Place: s.Place}, &s, &e, sequence)
			if at, f, ok := readDeletion(row, code, &again); !ok || again != s || at != sequence || !reflect.DeepEqual(e, f) {
				t.Errorf("deletion %x does not read back", value)
			}
		}
	}
	if rows, ok := readObjectRows(value); ok {
		var b []byte
		for i := range rows {
			b = rows[i].append(b)
		}
		if again, ok := readObjectRows(b); !ok || !slices.Equal(again, rows) {
			t.Errorf("rows %x do not read back", value)
		}
	}
	if d, ok := readDerived(value); ok {
		for _, s := range d.sources {
			row := (&draft{entry: entry{origin: &origin{id: s.id}}, derivedEnd: s.end, derived: endRanges{list: s.ranges}}).appendDerived([]byte{0, 0})
			if again, ok := readDerived(row); !ok || !slices.Equal(again.sources[0].ranges, s.ranges) || again.sources[0].end != s.end {
				t.Errorf("places of a request %x do not read back", value)
			}
		}
	}
	readOutcome(value)
}

// fuzzObjects reads rows of objects; what reads, reads the same once written again.
func fuzzObjects(t *testing.T, key, value []byte) {
	s := Sample{Place: Place{Start: -5, End: 1 << 40}}
	if e, ok := readRow(value, Pair(2001, 13), &s); ok {
		if s.End < s.Start || s.End > 1<<40 || e.member > 1<<40 {
			t.Errorf("a correlation to %d with a member to %d under a key to %d", s.End, e.member, 1<<40)
		}
		row := appendRow(nil, Pair(2001, 13), &s, 1<<40, &e, uint32(formReal))
		again := Sample{Place: Place{Start: -5, End: 1 << 40}}
		if f, ok := readRow(row, Pair(2001, 13), &again); !ok || !reflect.DeepEqual(e, f) || again.Place != s.Place || again.body != s.body || again.UUID != s.UUID {
			t.Errorf("row %x does not read back", value)
		}
	}
	if o, ok := readObject(value); ok {
		row := append(o.payload.appendPlace(nil), o.appendContent(nil)...)
		again, ok := readObject(row)
		if !ok || !bytes.Equal(append(again.payload.appendPlace(nil), again.appendContent(nil)...), row) {
			t.Errorf("body %x does not read back", value)
		}
	}
	if k, ok := readKnown(value); ok {
		row := k.append(nil)
		if again, ok := readKnown(row); !ok || !bytes.Equal(again.append(nil), row) {
			t.Errorf("identity %x does not read back", value)
		}
	}
	if l, ok := readLocator(key); ok && !bytes.Equal(l.appendKey(nil), key) {
		t.Errorf("place %x has two forms", key)
	}
}

// fuzzBlock reads the figures of a block; what reads, reads the same once written again.
func fuzzBlock(t *testing.T, value []byte) {
	for style := catalog.Cumulative; style <= catalog.DiscreteEquivalentContinuousLevel; style++ {
		first, again := table{style: style}, table{style: style}
		if !first.merge(value, &aggregate.Figures{}) {
			continue
		}
		row := first.appendRow(nil)
		if !again.merge(row, &aggregate.Figures{}) || !bytes.Equal(again.appendRow(nil), row) {
			t.Errorf("block %x does not read back", value)
		}
	}
}
