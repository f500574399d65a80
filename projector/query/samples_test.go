package query

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"healthledger/authz"
	"healthledger/projector/view"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/unit"
)

func drawStore(r *rapid.T, t testing.TB) *store {
	s := newStore(t)
	for range rapid.IntRange(0, 6).Draw(r, "requests") {
		app := rapid.Uint64Range(anna, carl).Draw(r, "app")
		if rapid.Bool().Draw(r, "objects") {
			var samples []*pb.Sample
			for range rapid.IntRange(1, 4).Draw(r, "objects") {
				samples = append(samples, drawObject(r, rapid.SampledFrom(objectNames).Draw(r, "kind")))
			}
			s.saveSamples(t, app, 0, samples...)
			continue
		}
		var columns []*pb.SampleColumns
		for range rapid.IntRange(1, 3).Draw(r, "columns") {
			name := rapid.SampledFrom(typeNames).Draw(r, "type")
			columns = append(columns, drawColumns(r, name, someTypes[name]))
		}
		s.save(t, app, 0, columns...)
	}
	return s
}

func drawRequest(r *rapid.T) *pb.QuerySamplesRequest {
	return drawRequestOf(r, typeNames)
}

// drawRequestOf draws a request for some of these types.
func drawRequestOf(r *rapid.T, names []string) *pb.QuerySamplesRequest {
	q := &pb.QuerySamplesRequest{
		Types:  rapid.SliceOfN(rapid.SampledFrom(names), 1, 3).Draw(r, "types"),
		Limit:  rapid.Uint32Range(0, 12).Draw(r, "limit"),
		Order:  drawDirection(r),
		SortBy: drawSortBy(r),
		Match:  drawMatch(r),
	}
	q.From, q.To = timestamps(drawPeriod(r))
	return q
}

func drawDirection(r *rapid.T) pb.Order { return pb.Order(rapid.Int32Range(0, 2).Draw(r, "order")) }

func drawSortBy(r *rapid.T) pb.SortBy { return pb.SortBy(rapid.Int32Range(0, 3).Draw(r, "sort by")) }

func timestamps(p period) (from, to *timestamppb.Timestamp) {
	if p.from != math.MinInt64 {
		from = health.Timestamp(p.from)
	}
	if p.to != math.MaxInt64 {
		to = health.Timestamp(p.to)
	}
	return from, to
}

// expected answers a request the slow and obvious way, from all that the reader sees.
func expected(seen []reference, q *pb.QuerySamplesRequest) []*pb.Sample {
	var chosen []reference
	for _, r := range seen {
		ofType := slices.ContainsFunc(q.Types, func(name string) bool { return code(name) == r.typ.Code })
		if ofType && belongs(r.message, q.From, q.To, q.Match) && (q.Predicate == nil || fulfils(q.Predicate, r.message, seen)) {
			chosen = append(chosen, r)
		}
	}
	sign := -1
	if q.Order == pb.Order_ORDER_ASCENDING {
		sign = 1
	}
	slices.SortFunc(chosen, func(a, b reference) int {
		x, okX := number(a)
		y, okY := number(b)
		inOrder := cmp.Or(a.place.Compare(&b.place), cmp.Compare(a.typ.Code, b.typ.Code))
		switch {
		case q.SortBy == pb.SortBy_SORT_BY_END:
			inOrder = cmp.Or(cmp.Compare(a.place.End, b.place.End), inOrder)
		case q.SortBy == pb.SortBy_SORT_BY_VALUE && okX && okY:
			inOrder = cmp.Or(cmp.Compare(x, y), inOrder)
		case q.SortBy == pb.SortBy_SORT_BY_VALUE && okX != okY && okX:
			return -1
		case q.SortBy == pb.SortBy_SORT_BY_VALUE && okX != okY:
			return 1
		}
		return sign * inOrder
	})
	if n := int(q.GetLimit()); n > 0 && len(chosen) > n {
		chosen = chosen[:n]
	}
	var samples []*pb.Sample
	for _, r := range chosen {
		samples = append(samples, r.message)
	}
	return samples
}

// number is by what a sample is sorted by value.
func number(r reference) (float64, bool) {
	if r.message.Value == nil || !r.typ.Kind.HasUnit() {
		return r.message.GetValue(), r.message.Value != nil
	}
	from, errFrom := unit.Parse(r.message.Unit)
	to, errTo := unit.Parse(r.typ.Unit)
	v, err := unit.Convert(*r.message.Value, from, to)
	return v, errors.Join(errFrom, errTo, err) == nil
}

// pages asks until there is no token any more.
func pages(t testing.TB, s *store, scope authz.Scope, q *pb.QuerySamplesRequest, between func()) []*pb.Sample {
	t.Helper()
	var samples []*pb.Sample
	q = proto.CloneOf(q)
	for {
		answer, err := s.engine.Samples(context.Background(), scope, q)
		if err != nil {
			t.Fatal(err)
		}
		samples = append(samples, answer.GetSamples()...)
		if size := proto.Size(answer); len(answer.GetSamples()) > 1 && size > s.engine.pageBytes {
			t.Fatalf("a page of %d bytes, at most %d", size, s.engine.pageBytes)
		}
		if answer.GetNextPageToken() == "" {
			return samples
		}
		if len(answer.GetSamples()) == 0 {
			t.Fatal("an empty page is not the last one")
		}
		q.PageToken = answer.GetNextPageToken()
		if between != nil {
			between()
		}
	}
}

func TestSamplesAreWhatTheReferenceGives(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		reads := drawGrants(r)
		state := grants(t, reads)
		s := drawStore(r, t)
		s.engine.pageBytes = rapid.SampledFrom([]int{1, 700, 2000, pageBytes}).Draw(r, "page")
		for range 3 {
			q := drawRequestOf(r, allNames)
			if rapid.Bool().Draw(r, "predicate") {
				q.Predicate = drawPredicate(r, q.Types, s, 0)
			}
			for _, reader := range []uint64{0, anna, bert, carl} {
				want := expected(s.visible(reader, reads, nil), q)
				got := opaque(pages(t, s, scopeOf(state, reader), q, nil))
				if diff := gocmp.Diff(want, got, protocmp.Transform()); diff != "" {
					r.Fatalf("reader %d, %v: %s", reader, q, diff)
				}
			}
		}
		s.close(t)
	})
}

func TestPagesStayInPlaceWhileSamplesArrive(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		state := grants(t, nil)
		s := drawStore(r, t)
		s.engine.pageBytes = 700
		q := drawRequest(r)
		q.Limit = 0
		before := expected(s.visible(0, nil, nil), q)
		got := pages(t, s, state.OwnerScope(), q, func() {
			s.save(t, anna, 0, drawColumns(r, q.GetTypes()[0], someTypes[q.GetTypes()[0]]))
			if len(s.samples) > 200 {
				r.Skip("endless")
			}
		})
		after := expected(s.visible(0, nil, nil), q)
		// Everything that was there comes, once; what else comes is new and in order.
		at := 0
		ids := map[string]bool{}
		for _, sample := range got {
			if ids[sample.GetUuid()] {
				r.Fatalf("%v comes twice", sample)
			}
			ids[sample.GetUuid()] = true
			for at < len(after) && after[at].GetUuid() != sample.GetUuid() {
				at++
			}
			if at == len(after) {
				r.Fatalf("%v is out of order", sample)
			}
		}
		for _, sample := range before {
			if !ids[sample.GetUuid()] {
				r.Fatalf("%v was left out", sample)
			}
		}
		s.close(t)
	})
}

// Long samples make a stream look far ahead; what it keeps meanwhile is bounded by the
// limit, and still the right ones come.
func TestLongSamplesComeInOrderUnderALimit(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := newStore(t)
		c := &pb.SampleColumns{Type: code("heartRate"), Unit: "count/s", Tick: 1_000_000}
		for range rapid.IntRange(1, 60).Draw(r, "samples") {
			c.Start, c.Mantissa = append(c.Start, rapid.Int64Range(-9, 9).Draw(r, "start")), append(c.Mantissa, 1)
			c.Duration = append(c.Duration, rapid.Int64Range(0, 99).Draw(r, "duration"))
		}
		s.save(t, anna, 0, c)
		q := &pb.QuerySamplesRequest{Types: []string{"heartRate"}, Limit: rapid.Uint32Range(1, 6).Draw(r, "limit"), Order: pb.Order(rapid.Int32Range(1, 2).Draw(r, "order"))}
		got := pages(t, s, grants(t, nil).OwnerScope(), q, nil)
		if diff := gocmp.Diff(expected(s.visible(0, nil, nil), q), got, protocmp.Transform()); diff != "" {
			r.Fatal(diff)
		}
		s.close(t)
	})
}

// drawPair makes two stores that differ only in what bert, who has written nothing in
// either, may not read.
func drawPair(r *rapid.T, t testing.TB, reads map[uint64][]*pb.ReadGrant) (full, bare *store) {
	full, bare = newStore(t), newStore(t)
	full.saveSources(t)
	bare.saveSources(t)
	gap, sees := uint64(0), rules(bert, reads)
	for range rapid.IntRange(1, 6).Draw(r, "requests") {
		name := rapid.SampledFrom(typeNames).Draw(r, "type")
		app := rapid.SampledFrom([]uint64{anna, carl}).Draw(r, "app")
		c, visible := visibleFirst(drawColumns(r, name, someTypes[name]), func(end int64) bool { return sees(app, name, end) })
		before := len(full.samples)
		full.save(t, app, 0, c)
		n := len(visible.Start)
		if full.samples = full.samples[:before+n]; n == 0 {
			gap++
			continue
		}
		bare.save(t, app, gap, visible)
		gap = 0
	}
	return full, bare
}

// visibleFirst returns a column with the samples first that may be seen, and these alone.
// Their indexes, and with them their UUIDs, are the same in both.
func visibleFirst(c *pb.SampleColumns, sees func(end int64) bool) (all, visible *pb.SampleColumns) {
	var seen, hidden []int
	for i, row := range health.Rows(c) {
		if sees(row.End) {
			seen = append(seen, i)
		} else {
			hidden = append(hidden, i)
		}
	}
	return rowsOf(c, slices.Concat(seen, hidden)), rowsOf(c, seen)
}

// rowsOf returns a column of some samples of another, in a new order.
func rowsOf(c *pb.SampleColumns, order []int) *pb.SampleColumns {
	starts, mantissas := make([]int64, len(c.Start)), make([]int64, len(c.Start))
	start, mantissa := int64(0), int64(0)
	for i := range c.Start {
		start, mantissa = start+c.Start[i], mantissa+c.Mantissa[i]
		starts[i], mantissas[i] = start, mantissa
	}
	some := proto.CloneOf(c)
	some.Start, some.Mantissa, some.Duration, some.MetadataIndex, some.Uuid = nil, nil, nil, nil, nil
	start, mantissa = 0, 0
	for _, i := range order {
		some.Start, some.Mantissa = append(some.Start, starts[i]-start), append(some.Mantissa, mantissas[i]-mantissa)
		start, mantissa = starts[i], mantissas[i]
		if c.Duration != nil {
			some.Duration = append(some.Duration, c.Duration[i])
		}
		if c.MetadataIndex != nil {
			some.MetadataIndex = append(some.MetadataIndex, c.MetadataIndex[i])
		}
		if c.Uuid != nil {
			some.Uuid = append(some.Uuid, c.Uuid[16*i:16*i+16]...)
		}
	}
	return some
}

func TestDeniedReadEqualsEmptyStore(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		reads := drawGrants(r)
		state := grants(t, reads)
		full, bare := drawPair(r, t, reads)
		for _, s := range []*store{full, bare} {
			s.engine.pageBytes = 700
			clear(s.touched)
		}
		q := drawRequest(r)
		if rapid.Bool().Draw(r, "predicate") {
			q.Predicate = drawPredicate(r, q.Types, full, 0)
		}
		for {
			a, errA := full.engine.Samples(context.Background(), state.Scope(bert), q)
			b, errB := bare.engine.Samples(context.Background(), state.Scope(bert), q)
			if errA != nil || errB != nil {
				r.Fatal(errA, errB)
			}
			compareAnswers(r, a, b)
			if q.PageToken = a.GetNextPageToken(); q.PageToken == "" {
				break
			}
		}
		sq := drawStatistics(r)
		a, errA := full.engine.Statistics(context.Background(), state.Scope(bert), sq)
		b, errB := bare.engine.Statistics(context.Background(), state.Scope(bert), sq)
		if (errA == nil) != (errB == nil) || errA != nil && errA.Error() != errB.Error() {
			r.Fatal(errA, errB)
		}
		compareAnswers(r, a, b)
		for _, name := range typeNames {
			x, errX := full.engine.Sources(context.Background(), state.Scope(bert), &pb.QuerySourcesRequest{Type: name})
			y, errY := bare.engine.Sources(context.Background(), state.Scope(bert), &pb.QuerySourcesRequest{Type: name})
			if errX != nil || errY != nil {
				r.Fatal(errX, errY)
			}
			compareAnswers(r, x, y)
		}
		full.close(t)
		bare.close(t)
	})
}

func compareAnswers(r *rapid.T, a, b proto.Message) {
	r.Helper()
	x, errX := proto.MarshalOptions{Deterministic: true}.Marshal(a)
	y, errY := proto.MarshalOptions{Deterministic: true}.Marshal(b)
	if err := errors.Join(errX, errY); err != nil {
		r.Fatal(err)
	}
	if string(x) != string(y) {
		r.Fatal(gocmp.Diff(a, b, protocmp.Transform()))
	}
}

// What is denied altogether is not even looked at: no key is touched, as in an empty store.
func TestDeniedReadTouchesNothing(t *testing.T) {
	hr := code("heartRate")
	state := grants(t, map[uint64][]*pb.ReadGrant{
		anna: {{Type: hr, Extent: pb.ReadExtent_READ_EXTENT_SINCE, Since: base + 10*day}},
		bert: {{Type: hr, Extent: pb.ReadExtent_READ_EXTENT_NONE}},
	})
	s := newStore(t)
	s.save(t, carl, 0, &pb.SampleColumns{Type: hr, Unit: "count/s", Tick: 1, Start: []int64{base, day}, Mantissa: []int64{1, 1}})
	queries := func(app uint64) {
		if _, err := s.engine.Samples(context.Background(), state.Scope(app), &pb.QuerySamplesRequest{Types: []string{"heartRate"}}); err != nil {
			t.Error(err)
		}
		if _, err := s.engine.Statistics(context.Background(), state.Scope(app), &pb.QueryStatisticsRequest{Type: "heartRate"}); err != nil && !errors.Is(err, ErrNoData) {
			t.Error(err)
		}
		if _, err := s.engine.Sources(context.Background(), state.Scope(app), &pb.QuerySourcesRequest{Type: "heartRate"}); err != nil {
			t.Error(err)
		}
	}
	for _, app := range []uint64{anna, bert, 99} {
		queries(app)
	}
	if len(s.touched) > 0 {
		t.Errorf("touched %v", s.touched)
	}
	queries(carl)
	if len(s.touched) == 0 {
		t.Error("the owner of the samples touched nothing either: the test sees nothing")
	}
	s.close(t)
}

// Inside a limited history only keys of its own are touched.
func TestLimitedHistoryTouchesOnlyItsRange(t *testing.T) {
	hr := code("heartRate")
	state := grants(t, map[uint64][]*pb.ReadGrant{bert: {{Type: hr, Extent: pb.ReadExtent_READ_EXTENT_SINCE, Since: base}}})
	var touched [2]map[string]int
	for i, hidden := range []bool{true, false} {
		s := newStore(t)
		if hidden {
			s.save(t, anna, 0, &pb.SampleColumns{Type: hr, Unit: "count/s", Tick: 1, Start: []int64{base - 90*day}, Duration: []int64{day * 40}, Mantissa: []int64{1}})
		} else {
			s.save(t, anna, 0, &pb.SampleColumns{Type: code("stepCount"), Unit: "count", Tick: 1, Start: []int64{0}, Mantissa: []int64{1}})
		}
		s.save(t, anna, 0, &pb.SampleColumns{Type: hr, Unit: "count/s", Tick: 1, Start: []int64{base + day}, Duration: []int64{day * 40}, Mantissa: []int64{1}})
		clear(s.touched)
		for _, order := range []pb.Order{1, 2} {
			_, err := s.engine.Samples(context.Background(), state.Scope(bert), &pb.QuerySamplesRequest{Types: []string{"heartRate"}, To: health.Timestamp(base + 3*day), Order: order})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, unit := range []pb.CalendarUnit{0, pb.CalendarUnit_CALENDAR_UNIT_HOUR, pb.CalendarUnit_CALENDAR_UNIT_MONTH} {
			_, err := s.engine.Statistics(context.Background(), state.Scope(bert), &pb.QueryStatisticsRequest{
				Type: "heartRate", Interval: &pb.Interval{Unit: unit}, TimeZone: "Asia/Kathmandu", BySource: true,
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.engine.Sources(context.Background(), state.Scope(bert), &pb.QuerySourcesRequest{Type: "heartRate"}); err != nil {
			t.Fatal(err)
		}
		touched[i] = s.touched
		s.close(t)
	}
	if diff := gocmp.Diff(touched[0], touched[1]); diff != "" {
		t.Error(diff)
	}
	if len(touched[0]) == 0 {
		t.Error("nothing was touched")
	}
}

func TestRefusedSampleRequestsNameTheField(t *testing.T) {
	state := grants(t, nil)
	s := newStore(t)
	s.engine.pageBytes = 1
	s.save(t, anna, 0, &pb.SampleColumns{Type: code("heartRate"), Unit: "count/s", Tick: 1, Start: []int64{1, 2, 3}, Mantissa: []int64{1, 1, 1}})
	good := &pb.QuerySamplesRequest{Types: []string{"heartRate"}, Limit: 3}
	first, err := s.engine.Samples(context.Background(), state.OwnerScope(), good)
	if err != nil || first.GetNextPageToken() == "" {
		t.Fatal(first, err)
	}
	token := first.GetNextPageToken()
	flipped := []byte(token)
	flipped[3] ^= 1
	short := base64.RawStdEncoding.EncodeToString([]byte("short"))
	cases := map[string]struct {
		request *pb.QuerySamplesRequest
		reader  uint64
		field   string
	}{
		"unknown type":   {&pb.QuerySamplesRequest{Types: []string{strings.Repeat("ö", 100)}}, 0, "types[0]"},
		"no type":        {&pb.QuerySamplesRequest{}, 0, "types"},
		"from after to":  {&pb.QuerySamplesRequest{Types: []string{"heartRate"}, From: health.Timestamp(2), To: health.Timestamp(1)}, 0, "from"},
		"fine from":      {&pb.QuerySamplesRequest{Types: []string{"heartRate"}, From: &timestamppb.Timestamp{Nanos: 1}}, 0, "from"},
		"far to":         {&pb.QuerySamplesRequest{Types: []string{"heartRate"}, To: &timestamppb.Timestamp{Seconds: 1 << 60}}, 0, "to"},
		"second type":    {&pb.QuerySamplesRequest{Types: []string{"heartRate", "x"}}, 0, "types[1]"},
		"sort":           {&pb.QuerySamplesRequest{Types: []string{"heartRate"}, SortBy: 9}, 0, "sort_by"},
		"match":          {&pb.QuerySamplesRequest{Types: []string{"heartRate"}, Match: 9}, 0, "match"},
		"order":          {&pb.QuerySamplesRequest{Types: []string{"heartRate"}, Order: 9}, 0, "order"},
		"token text":     {&pb.QuerySamplesRequest{Types: []string{"heartRate"}, Limit: 3, PageToken: "%"}, 0, "page_token"},
		"short token":    {&pb.QuerySamplesRequest{Types: []string{"heartRate"}, Limit: 3, PageToken: short}, 0, "page_token"},
		"flipped token":  {&pb.QuerySamplesRequest{Types: []string{"heartRate"}, Limit: 3, PageToken: string(flipped)}, 0, "page_token"},
		"other type":     {&pb.QuerySamplesRequest{Types: []string{"stepCount"}, Limit: 3, PageToken: token}, 0, "page_token"},
		"other limit":    {&pb.QuerySamplesRequest{Types: []string{"heartRate"}, Limit: 4, PageToken: token}, 0, "page_token"},
		"other order":    {&pb.QuerySamplesRequest{Types: []string{"heartRate"}, Limit: 3, Order: 1, PageToken: token}, 0, "page_token"},
		"other from":     {&pb.QuerySamplesRequest{Types: []string{"heartRate"}, Limit: 3, From: health.Timestamp(0), PageToken: token}, 0, "page_token"},
		"other match":    {&pb.QuerySamplesRequest{Types: []string{"heartRate"}, Limit: 3, Match: 2, PageToken: token}, 0, "page_token"},
		"other sort":     {&pb.QuerySamplesRequest{Types: []string{"heartRate"}, Limit: 3, SortBy: 2, PageToken: token}, 0, "page_token"},
		"another type":   {&pb.QuerySamplesRequest{Types: []string{"heartRate", "stepCount"}, Limit: 3, PageToken: token}, 0, "page_token"},
		"with predicate": {&pb.QuerySamplesRequest{Types: []string{"heartRate"}, Limit: 3, PageToken: token, Predicate: &pb.Predicate{Kind: &pb.Predicate_Workout{Workout: id()}}}, 0, "page_token"},
		"other to":       {&pb.QuerySamplesRequest{Types: []string{"heartRate"}, Limit: 3, To: health.Timestamp(9), PageToken: token}, 0, "page_token"},
		"another reader": {&pb.QuerySamplesRequest{Types: []string{"heartRate"}, Limit: 3, PageToken: token}, anna, "page_token"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			answer, err := s.engine.Samples(context.Background(), scopeOf(state, c.reader), c.request)
			var argument *ArgumentError
			if !errors.As(err, &argument) || argument.Field != c.field || argument.Why == "" {
				t.Errorf("answer %v, error %v, want one about %s", answer, err, c.field)
			} else if len(argument.Value) > 80 {
				t.Errorf("value of %d bytes", len(argument.Value))
			}
		})
	}
	// The same request under another name of the type, with the order said, is the same.
	same := &pb.QuerySamplesRequest{
		Types: []string{"HKQuantityTypeIdentifierHeartRate", "heartRate"}, Limit: 3, PageToken: token,
		Order: pb.Order_ORDER_DESCENDING, SortBy: pb.SortBy_SORT_BY_START, Match: pb.PeriodMatch_PERIOD_MATCH_OVERLAP,
	}
	if answer, err := s.engine.Samples(context.Background(), state.OwnerScope(), same); err != nil || len(answer.GetSamples()) != 1 {
		t.Errorf("answer %v, error %v", answer, err)
	}
	s.close(t)
	if _, err := s.engine.Samples(context.Background(), state.OwnerScope(), good); !errors.Is(err, view.ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}

func TestTokensHaveOneLength(t *testing.T) {
	lengths := map[int]bool{}
	rapid.Check(t, func(r *rapid.T) {
		p := page{rank{view.Place{
			Start: rapid.Int64().Draw(r, "start"), End: rapid.Int64().Draw(r, "end"), Sequence: rapid.Uint64().Draw(r, "sequence"),
			Event: rapid.Uint32().Draw(r, "event"), Index: rapid.Uint32().Draw(r, "index"),
		}, rapid.Uint32().Draw(r, "type"), rapid.Float64().Draw(r, "value"), rapid.Bool().Draw(r, "has value")}, rapid.Uint32().Draw(r, "taken")}
		token, err := sealPage(newSealed(), []byte("c"), p)
		if err != nil {
			r.Fatal(err)
		}
		lengths[len(token)] = true
		if back, err := openPage(newSealed(), []byte("c"), token); err != nil || back != p {
			r.Fatalf("%v became %v, error %v", p, back, err)
		}
	})
	if len(lengths) != 1 {
		t.Errorf("lengths %v", lengths)
	}
}

func TestQueryEndsWithItsContext(t *testing.T) {
	s := newStore(t)
	c := &pb.SampleColumns{Type: code("heartRate"), Unit: "count/s", Tick: 1}
	for range 3 * checkEvery {
		c.Start, c.Mantissa = append(c.Start, 1), append(c.Mantissa, 1)
	}
	s.save(t, anna, 0, c)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	state := grants(t, nil)
	if _, err := s.engine.Statistics(ctx, state.OwnerScope(), &pb.QueryStatisticsRequest{Type: "heartRate", From: health.Timestamp(1)}); !errors.Is(err, context.Canceled) {
		t.Errorf("statistics: %v", err)
	}
	if _, err := s.engine.Samples(ctx, state.OwnerScope(), &pb.QuerySamplesRequest{Types: []string{"heartRate"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("samples: %v", err)
	}
	s.close(t)
}

func FuzzOpenPage(f *testing.F) {
	token, err := sealPage(newSealed(), []byte("c"), page{taken: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token, []byte{})
	f.Add("", make([]byte, pageSize))
	f.Fuzz(func(t *testing.T, token string, plain []byte) {
		if p, err := openPage(newSealed(), []byte("c"), token); err == nil {
			if again, err := sealPage(newSealed(), []byte("c"), p); err != nil || again != token {
				t.Errorf("token %q is also %q, error %v", token, again, err)
			}
		}
		if p, ok := readPage(plain); ok && string(p.appendTo(nil)) != string(plain) {
			t.Errorf("page %x reads as %v", plain, p)
		}
	})
}
