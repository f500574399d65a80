package view

import (
	"bytes"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// drawRemoval draws a deletion by an app or, as app 0, by the owner, mostly of something
// that the log has brought.
func drawRemoval(t *rapid.T, log []logged) *pb.Event {
	d := &pb.SamplesDeleted{App: rapid.Uint64Range(0, 3).Draw(t, "app"), RequestId: bytes.Repeat([]byte{rapid.Byte().Draw(t, "request")}, 16)}
	if d.App == 0 {
		id := OwnerRequest(int(d.RequestId[0]))
		d.RequestId = id[:]
	}
	d.Deletions = drawDeletions(t, log, d.App)
	return &pb.Event{Body: &pb.Event_SamplesDeleted{SamplesDeleted: d}}
}

func drawDeletions(t *rapid.T, log []logged, app uint64) (all []*pb.DeletedSamples) {
	for range rapid.IntRange(1, 2).Draw(t, "deletions") {
		one := &pb.DeletedSamples{Type: rapid.SampledFrom([]uint32{1, 2, 13, 14, 300, 2001, 2102, 2401, 2502, 2604, 2607, 2701, 2801, 9999}).Draw(t, "type")}
		if app == 0 && rapid.Bool().Draw(t, "of one app") {
			one.App = rapid.Uint64Range(1, 3).Draw(t, "whose")
		}
		if app == 0 && rapid.IntRange(0, 4).Draw(t, "all types") == 0 {
			one.Type, one.AllTypes = 0, true
		}
		if rapid.Bool().Draw(t, "by UUID") {
			for range rapid.IntRange(1, 3).Draw(t, "UUIDs") {
				one.Uuids = append(one.Uuids, drawUUID(t, log, app, one.Type))
			}
		} else {
			unit := rapid.SampledFrom([]int64{1, 1_000_000, 86400_000_000}).Draw(t, "unit")
			if app == 0 && rapid.IntRange(0, 2).Draw(t, "ended") == 0 {
				one.EndedBefore = proto.Int64(unit * rapid.Int64Range(-2, 6).Draw(t, "ended before"))
				all = append(all, one)
				continue
			}
			if rapid.Bool().Draw(t, "from") {
				one.From = proto.Int64(unit * rapid.Int64Range(-2, 4).Draw(t, "from"))
			}
			if rapid.Bool().Draw(t, "to") {
				one.To = proto.Int64(unit * rapid.Int64Range(-2, 6).Draw(t, "to"))
			}
		}
		all = append(all, one)
	}
	return all
}

func drawUUID(t *rapid.T, log []logged, app uint64, typeCode uint32) []byte {
	id := make([]byte, 16)
	saved := rapid.SampledFrom(log).Draw(t, "of").body.GetSamplesSaved()
	switch {
	case saved != nil && rapid.Bool().Draw(t, "derived"):
		if app == 0 || rapid.Bool().Draw(t, "own") {
			app = saved.GetApp()
		}
		derived := health.DeriveUUID([16]byte(saved.GetRequestId()), keyOf(app), typeCode, rapid.Uint32Range(0, 5).Draw(t, "index"))
		return derived[:]
	case rapid.Bool().Draw(t, "of an object"):
		id[3] = rapid.ByteRange(1, 2).Draw(t, "uuid")
		return id
	}
	return bytes.Repeat([]byte{rapid.Byte().Draw(t, "uuid") & 0x1f}, 16)
}

// What an app may not delete, and what is not there, is passed over; a deletion that is
// malformed is refused.
func TestMalformedDeletionsAreRefused(t *testing.T) {
	for name, d := range map[string]*pb.SamplesDeleted{
		"request id": {App: 1, RequestId: make([]byte, 15)},
		"app":        {RequestId: make([]byte, 16)},
		"uuid":       {App: 1, RequestId: make([]byte, 16), Deletions: []*pb.DeletedSamples{{Type: 1, Uuids: [][]byte{{1}}}}},
		"type":       {App: 1, RequestId: make([]byte, 16), Deletions: []*pb.DeletedSamples{{Type: Pair(2001, 13)}}},
		"all types":  {App: 1, RequestId: make([]byte, 16), Deletions: []*pb.DeletedSamples{{AllTypes: true}}},
		"an end":     {App: 1, RequestId: make([]byte, 16), Deletions: []*pb.DeletedSamples{{Type: 1, EndedBefore: proto.Int64(1)}}},
		"of an app":  {App: 1, RequestId: make([]byte, 16), Deletions: []*pb.DeletedSamples{{Type: 1, App: 1}}},
	} {
		v := openView(t, vfs.NewMem())
		b := v.Begin()
		if err := b.Apply(1, 0, &pb.Event{Body: &pb.Event_SamplesDeleted{SamplesDeleted: d}}); err == nil {
			t.Errorf("%s: it was applied", name)
		}
		b.Close()
		closeView(t, v)
	}
}

// Samples of many requests that end among each other, and periods that overlap, are looked
// for in one pass, whichever deletions of the request name them.
func TestDeletionsOfOneTypeReadNoRowTwice(t *testing.T) {
	const requests = 20
	v := openView(t, vfs.NewMem())
	defer closeView(t, v)
	var deletions []*pb.DeletedSamples
	b := v.Begin()
	for i := range int64(requests) {
		request := bytes.Repeat([]byte{byte(i + 1)}, 16)
		err := b.Apply(uint64(i+1), 0, &pb.Event{Body: &pb.Event_SamplesSaved{SamplesSaved: &pb.SamplesSaved{
			App: 1, RequestId: request, Columns: []*pb.SampleColumns{{Type: 1, Tick: 1, Start: []int64{i, 1000}, Mantissa: []int64{1, 2}}},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		id := health.DeriveUUID([16]byte(request), keyOf(1), 1, 0)
		deletions = append(deletions,
			&pb.DeletedSamples{Type: 1, Uuids: [][]byte{id[:]}},
			&pb.DeletedSamples{Type: 1, From: proto.Int64(500 + i), To: proto.Int64(502 + i)},
		)
	}
	defer b.Close()
	if err := b.index(); err != nil {
		t.Fatal(err)
	}
	all, err := b.removals(1, deletions)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d removals: %v", len(all), err)
	}
	if err := all[0].locate(); err != nil {
		t.Fatal(err)
	}
	last := int64(math.MinInt64)
	for _, spans := range all[0].spans {
		for _, s := range spans {
			if s.First <= last {
				t.Errorf("from %d, after to %d", s.First, last)
			}
			last = s.Last
		}
	}
	if err := all[0].run(); err != nil {
		t.Fatal(err)
	}
	if b.counts.Deleted != requests {
		t.Errorf("%d of %d are deleted", b.counts.Deleted, requests)
	}
}

// Joined periods hold what the periods do.
func TestJoinedPeriodsOverlapTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Int64Range(-4, 9)
		var all []halfOpen
		for range rapid.IntRange(0, 5).Draw(t, "periods") {
			from := number.Draw(t, "from")
			all = append(all, halfOpen{from, from + rapid.Int64Range(1, 4).Draw(t, "length")})
		}
		r := &removal{periods: united(slices.Clone(all))}
		s := &Sample{Place: Place{Start: number.Draw(t, "start")}}
		s.End = s.Start + rapid.Int64Range(0, 3).Draw(t, "duration")
		want := false
		for _, p := range all {
			want = want || !(s.Start >= p.to || s.End < p.from || s.End == p.from && s.Start < p.from)
		}
		if got := r.overlaps(s); got != want {
			t.Errorf("%v: %+v: %v", all, s.Place, got)
		}
	})
}

// What one batch adds at one moment and deletes again takes no longer than what it adds at
// many: an app chooses the times, and every rebuild applies what it has sent.
func TestDeletionsAtOneMomentTakeNoLonger(t *testing.T) {
	took := func(apart int64) time.Duration {
		c := &pb.SampleColumns{Type: 1, Tick: 1}
		for i := range int64(20_000) {
			c.Start, c.Mantissa = append(c.Start, apart), append(c.Mantissa, i)
		}
		v := openView(t, vfs.NewMem())
		defer closeView(t, v)
		b := v.Begin()
		defer b.Close()
		err := b.Apply(1, 0, &pb.Event{Body: &pb.Event_SamplesSaved{SamplesSaved: &pb.SamplesSaved{App: 1, RequestId: make([]byte, 16), Columns: []*pb.SampleColumns{c}}}})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		err = b.Apply(2, 0, &pb.Event{Body: &pb.Event_SamplesDeleted{SamplesDeleted: &pb.SamplesDeleted{
			App: 1, RequestId: bytes.Repeat([]byte{1}, 16), Deletions: []*pb.DeletedSamples{{Type: 1}},
		}}})
		if err != nil || b.counts.Deleted != 20_000 {
			t.Fatal(b.counts.Deleted, err)
		}
		return time.Since(begun)
	}
	if many, one := took(1000), took(0); one > 8*many {
		t.Errorf("%v at many moments, %v at one", many, one)
	}
}

// Where samples may lie that overlap many periods is found in one pass through the days.
func TestManyPeriodsAreLocatedInOnePass(t *testing.T) {
	v := openView(t, vfs.NewMem())
	defer closeView(t, v)
	b := v.Begin()
	defer b.Close()
	d := b.draft(1, b.source(1, nil, about{}))
	d.count = 1
	for number := range int32(40_000) {
		d.day(number).changed = 1
		d.maxEnd = int64(number) * dayLength
	}
	locate := func(periods int) time.Duration {
		least := time.Duration(math.MaxInt64)
		for range 5 {
			r := &removal{batch: b, spans: map[draftKey][]Span{}}
			for i := range int64(periods) {
				r.near = append(r.near, halfOpen{i * dayLength, i*dayLength + 1})
			}
			begun := time.Now()
			r.locateOverlapping(d)
			least = min(least, time.Since(begun))
			if n := len(r.spans[draftKey{1, 0}]); n != periods {
				t.Errorf("%d spans for %d periods", n, periods)
			}
		}
		return least
	}
	if one, many := locate(1), locate(1000); many > 4*one {
		t.Errorf("one period in %v, 1000 in %v", one, many)
	}
}
