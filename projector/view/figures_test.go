package view

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"healthledger/authz"
	"healthledger/projector/aggregate"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// A type of each style of aggregation.
var quantities = []string{"activeEnergyBurned", "bodyMass", "heartRate", "environmentalAudioExposure"}

// drawQuantities draws samples around few quarters, of which some replace others, some are
// too long for quarters and some stand for a series.
func drawQuantities(t *rapid.T) *pb.Event {
	saved := &pb.SamplesSaved{
		App: rapid.Uint64Range(1, 2).Draw(t, "app"), RequestId: rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "request"), ByContent: rapid.Bool().Draw(t, "byContent"),
	}
	for range rapid.IntRange(1, 2).Draw(t, "columns") {
		c := &pb.SampleColumns{
			Type: mustType(rapid.SampledFrom(quantities).Draw(t, "type")), Unit: rapid.SampledFrom([]string{"kg", "g"}).Draw(t, "unit"), Tick: 1_000_000,
			Source: &pb.Source{Name: rapid.SampledFrom([]string{"watch", "phone"}).Draw(t, "source")}, Metadata: syncMetadata,
		}
		at := int64(0)
		for range rapid.IntRange(1, 8).Draw(t, "samples") {
			next := 900*rapid.Int64Range(-2, 6).Draw(t, "quarter") + rapid.SampledFrom([]int64{0, 0, 1, 450, 899}).Draw(t, "second")
			c.Start, at = append(c.Start, next-at), next
			c.Duration = append(c.Duration, rapid.SampledFrom([]int64{0, 0, 1, 60, 900, 1000, 3600, 3601, 86_400 * 40}).Draw(t, "duration"))
			c.Real = append(c.Real, rapid.SampledFrom([]float64{-1, 0, 0.1, 60, 72.3, 1e300}).Draw(t, "value"))
			c.MetadataIndex = append(c.MetadataIndex, rapid.SampledFrom([]uint32{0, 0, 1, 2, 3, 4}).Draw(t, "metadata"))
			c.Body = append(c.Body, drawQuantityBody(t))
		}
		if rapid.Bool().Draw(t, "many") {
			// So many that their block has a row.
			for i := range int64(fewest) {
				c.Start, at = append(c.Start, 300*i-at), 300*i
				c.Duration, c.Real = append(c.Duration, 400*(i%3)), append(c.Real, 60+0.1*float64(i))
				c.MetadataIndex, c.Body = append(c.MetadataIndex, 0), append(c.Body, nil)
			}
		}
		saved.Columns = append(saved.Columns, c)
	}
	return &pb.Event{Body: &pb.Event_SamplesSaved{SamplesSaved: saved}}
}

func drawQuantityBody(t *rapid.T) []byte {
	s := &pb.Sample{}
	switch rapid.IntRange(0, 5).Draw(t, "body") {
	case 0:
		s.Payload = []*pb.Chunk{{Quantities: &pb.Quantities{Offset: []int64{0, 1}, Value: []float64{1, 2}}}}
	case 1:
		s.Kept = []*pb.Kept{{}}
	default:
		return nil
	}
	b, err := health.AppendBody(nil, s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func drawHistory(t *rapid.T) []logged {
	var log []logged
	for i := range rapid.IntRange(1, 6).Draw(t, "segments") {
		body := drawQuantities(t)
		if rapid.IntRange(0, 3).Draw(t, "deletion") == 0 {
			body = drawDeletion(t)
		}
		log = append(log, logged{uint64(i + 1), 0, body})
	}
	return log
}

// drawDeletion draws a deletion of what overlaps a few quarters.
func drawDeletion(t *rapid.T) *pb.Event {
	from := 450e6 * rapid.Int64Range(-4, 12).Draw(t, "from")
	to := from + 450e6*rapid.Int64Range(1, 4).Draw(t, "length")
	return &pb.Event{Body: &pb.Event_SamplesDeleted{SamplesDeleted: &pb.SamplesDeleted{
		App: rapid.Uint64Range(1, 2).Draw(t, "app"), RequestId: rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "request"),
		Deletions: []*pb.DeletedSamples{{Type: mustType(rapid.SampledFrom(quantities).Draw(t, "type")), From: &from, To: &to}},
	}}}
}

// figuresBySamples computes what Quarters and Beside give from the samples of a source.
func figuresBySamples(t testing.TB, source *Source, from, to int64) (figures, beside []string) {
	t.Helper()
	details, quarters := source.snapshot.Details(), map[string]*aggregate.Figures{}
	scan, err := source.Scan(math.MinInt64, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	for ok := scan.First(); ok; ok = scan.Next() {
		s := scan.Sample()
		object, err := details.Object(source.App(), s)
		if err != nil {
			t.Fatal(err)
		}
		if s.End-s.Start > 3600e6 || object != nil && object.Chunks > 0 {
			if s.Start < to && (s.End > from || s.End == from && s.Start == from) {
				beside = append(beside, fmt.Sprint(*s))
			}
			continue
		}
		for start := int64(-100 * quarterLength); start < 100*quarterLength; start += quarterLength {
			end := start + quarterLength
			if start < from || end > to || start < source.since || s.Start >= end || s.End < start || s.End == start && s.Start < s.End {
				continue
			}
			key := fmt.Sprint(start, source.snapshot.Unit(s))
			if quarters[key] == nil {
				quarters[key] = aggregate.New(styleOf(source.typeCode))
			}
			quarters[key].Add(&s.Place, s.Value, start, end)
		}
	}
	if err := scan.Close(); err != nil {
		t.Fatal(err)
	}
	for key, f := range quarters {
		figures = append(figures, fmt.Sprintf("%s %x", key, f.Append(nil, 0)))
	}
	return slices.Sorted(slices.Values(figures)), beside
}

func figuresRead(t testing.TB, source *Source, from, to int64) (figures, beside []string) {
	t.Helper()
	q, err := source.Quarters(from, to)
	if err != nil {
		t.Fatal(err)
	}
	for ok := q.First(); ok; ok = q.Next() {
		if q.Start() < q.From || q.Start() >= q.To {
			t.Fatalf("a quarter at %d is outside %d to %d", q.Start(), q.From, q.To)
		}
		figures = append(figures, fmt.Sprintf("%s %x", fmt.Sprint(q.Start(), q.Unit()), q.Figures().Append(nil, 0)))
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	for s, err := range source.Beside(from, to) {
		if err != nil {
			t.Fatal(err)
		}
		beside = append(beside, fmt.Sprint(*s))
	}
	return slices.Sorted(slices.Values(figures)), beside
}

// scopes are the owner's and those of an app that may read since a time.
func scopes(r *rapid.T, t testing.TB) []authz.Scope {
	since := rapid.SampledFrom([]int64{0, 1, 900e6, 1000e6, 3600e6, 86_400e6}).Draw(r, "since")
	var grants []*pb.ReadGrant
	for _, name := range quantities {
		grants = append(grants, &pb.ReadGrant{Type: mustType(name), Extent: pb.ReadExtent_READ_EXTENT_SINCE, Since: since})
	}
	return []authz.Scope{owner(), granted(t, grants...)}
}

func TestFiguresAreThoseOfTheSamples(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		log := drawHistory(r)
		v := openView(t, vfs.NewMem())
		for part := log; len(part) > 0; {
			n := rapid.IntRange(1, len(part)).Draw(r, "batch")
			commitLog(t, v, part[:n])
			part = part[n:]
		}
		s, err := v.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		from := rapid.SampledFrom([]int64{-90 * quarterLength, -900e6, -1, 0, 1, 1800e6}).Draw(r, "from")
		to := from + rapid.SampledFrom([]int64{0, 1, 900e6, 901e6, 3600e6, 90 * quarterLength}).Draw(r, "length")
		for _, scope := range scopes(r, t) {
			for _, name := range quantities {
				for _, source := range s.Sources(scope, mustType(name)) {
					wantFigures, wantBeside := figuresBySamples(t, &source, from, to)
					figures, beside := figuresRead(t, &source, from, to)
					if diff := gocmp.Diff(wantFigures, figures); diff != "" {
						r.Fatalf("%s: %s", name, diff)
					}
					if diff := gocmp.Diff(wantBeside, beside); diff != "" {
						r.Fatalf("%s: beside: %s", name, diff)
					}
				}
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		// How the log was cut leaves no trace.
		whole := openView(t, vfs.NewMem())
		commitLog(t, whole, log)
		if diff := gocmp.Diff(dump(t, whole), dump(t, v)); diff != "" {
			r.Fatal(diff)
		}
		closeView(t, whole)
		closeView(t, v)
	})
}

// What ends before the time of a grant changes neither what is read nor which keys are.
func TestFiguresTouchNothingThatIsHidden(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		since := 400*86_400_000_000 + rapid.SampledFrom([]int64{0, 1, 900e6, 3600e6, blockLength - 1}).Draw(r, "within")
		deletes := func(l logged) bool { return l.body.GetSamplesSaved() == nil }
		hidden, seen := slices.DeleteFunc(drawHistory(r), deletes), slices.DeleteFunc(drawHistory(r), deletes)
		for i, l := range append(slices.Clone(hidden), seen...) {
			// An app may see its own. Duplicates would change the numbers of bodies.
			saved := l.body.GetSamplesSaved()
			saved.App, saved.RequestId, saved.ByContent = 2, bytes.Repeat([]byte{byte(i)}, 16), false
		}
		type read struct {
			Figures, Beside []string
			Touched         [][]byte
		}
		readAll := func(log []logged) map[string]*read {
			var touched [][]byte
			v, err := Open(vfs.NewMem(), "view", Options{AppKey: keyOf, CacheSize: 1 << 20, Touched: func(lower, upper []byte) { touched = append(touched, bytes.Clone(lower), bytes.Clone(upper)) }})
			if err != nil {
				t.Fatal(err)
			}
			commitLog(t, v, log)
			s, err := v.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			all := map[string]*read{}
			scope := granted(t, &pb.ReadGrant{Type: mustType("heartRate"), Extent: pb.ReadExtent_READ_EXTENT_SINCE, Since: since})
			for _, source := range s.Sources(scope, mustType("heartRate")) {
				touched = nil
				figures, beside := figuresRead(t, &source, since-900e6, since+86_400e6)
				all[fmt.Sprint(source.App(), source.Origin())] = &read{figures, beside, touched}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			closeView(t, v)
			return all
		}
		// The sources come in the same order, and what is hidden stands before the rest.
		var without, with []logged
		near := rapid.Bool().Draw(r, "near")
		for i, l := range hidden {
			none := &pb.SamplesSaved{App: l.body.GetSamplesSaved().GetApp(), RequestId: l.body.GetSamplesSaved().GetRequestId()}
			for _, c := range l.body.GetSamplesSaved().GetColumns() {
				c.MetadataIndex = make([]uint32, len(c.Start))
				for j, d := range c.Duration {
					c.Duration[j] = min(d, 3601)
				}
				if near {
					// It ends in the block of the grant's time, and before that.
					c.Start[0], c.Duration = c.Start[0]+since/1_000_000-10_200, nil
				}
				none.Columns = append(none.Columns, &pb.SampleColumns{Type: mustType("stepCount"), Unit: c.Unit, Source: c.Source, Tick: 1, Start: []int64{0}, Mantissa: []int64{1}})
			}
			with = append(with, l)
			without = append(without, logged{uint64(i + 1), 0, &pb.Event{Body: &pb.Event_SamplesSaved{SamplesSaved: none}}})
		}
		for i, l := range seen {
			for _, c := range l.body.GetSamplesSaved().GetColumns() {
				c.Start[0] += since / 1_000_000
				c.MetadataIndex = make([]uint32, len(c.Start))
			}
			l.sequence = uint64(100 + i)
			with, without = append(with, l), append(without, l)
		}
		if diff := gocmp.Diff(readAll(without), readAll(with)); diff != "" {
			r.Fatal(diff)
		}
	})
}

func TestQuartersCoverTime(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		at := rapid.OneOf(rapid.Int64Range(firstBlock, lastBlock), rapid.Int64Range(-3, 3)).Draw(r, "at")
		if start := quarterOf(at); start > at || at-start >= quarterLength || start%quarterLength != 0 {
			r.Fatalf("%d is not in the quarter at %d", at, start)
		}
		if start := blockOf(at); start > at || at-start >= blockLength || start%blockLength != 0 {
			r.Fatalf("%d is not in the block at %d", at, start)
		}
	})
}

// Next to the last microsecond nothing wraps around to the first.
func TestFiguresAtTheEndOfTime(t *testing.T) {
	v := openView(t, vfs.NewMem())
	made := newSeries()
	for segment := range uint64(2) {
		c := &pb.SampleColumns{Type: mustType("heartRate"), Unit: "count/min", Tick: 1, Start: []int64{lastBlock}, Mantissa: []int64{60}}
		for range fewest/2 - 1 {
			c.Start, c.Mantissa = append(c.Start, 0), append(c.Mantissa, 0)
		}
		commitLog(t, v, []logged{{segment + 1, 0, made.event(false, c)}})
	}
	if _, err := get(v.db, appendBlockKey(nil, mustType("heartRate"), 0, lastBlock)); err != nil {
		t.Errorf("the last block has no row: %v", err)
	}
	s, err := v.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	source := s.Sources(owner(), mustType("heartRate"))[0]
	for _, since := range []int64{math.MinInt64, 0, lastBlock - 1, math.MaxInt64 - 1} {
		source.since = since
		for _, from := range []int64{0, lastBlock - 1, lastBlock, lastBlock + 1, math.MaxInt64 - 1, math.MaxInt64} {
			q, err := source.Quarters(from, math.MaxInt64)
			if err != nil {
				t.Fatal(err)
			}
			if q.From < max(from, since) || q.To < q.From || q.First() {
				t.Errorf("quarters from %d, seen since %d: %d to %d", from, since, q.From, q.To)
			}
			if err := q.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	closeView(t, v)
}
