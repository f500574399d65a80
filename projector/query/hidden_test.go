package query

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	"healthledger/authz"
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// drawObjectPair makes two stores that differ only in what bert may not read: whole
// objects, members of objects, and figures that restate other types.
func drawObjectPair(r *rapid.T, t testing.TB, reads map[uint64][]*pb.ReadGrant) (full, bare *store) {
	full, bare = newStore(t), newStore(t)
	full.saveSources(t)
	bare.saveSources(t)
	gap := uint64(0)
	for range rapid.IntRange(1, 5).Draw(r, "requests") {
		app := rapid.SampledFrom([]uint64{anna, carl}).Draw(r, "app")
		var left []*pb.Sample
		s := drawObject(r, rapid.SampledFrom(objectNames).Draw(r, "kind"))
		// So that the indexes of members do not depend on hidden ones.
		sees := rules(bert, reads)
		slices.SortStableFunc(s.Members, func(a, b *pb.Sample) int {
			switch x, y := sees(app, a.Type, endOf(a)), sees(app, b.Type, endOf(b)); {
			case x && !y:
				return -1
			case y && !x:
				return 1
			}
			return 0
		})
		if stripped := strip(s, app, sees); stripped != nil {
			left = append(left, stripped)
		} else {
			left = visibleMembers(s, app, sees)
		}
		full.saveSamples(t, app, 0, s)
		if len(left) == 0 {
			gap++
			continue
		}
		bare.saveSamples(t, app, gap, left...)
		gap = 0
	}
	return full, bare
}

// visibleMembers of a whole that is hidden itself.
func visibleMembers(s *pb.Sample, app uint64, sees may) []*pb.Sample {
	var left []*pb.Sample
	for _, m := range s.Members {
		if m.Source == nil {
			m.Source = s.Source
		}
		if strip(m, app, sees) != nil {
			left = append(left, m)
		}
	}
	return left
}

// lengths replaces tokens by as many letters.
func lengths(answer *pb.QuerySamplesResponse) *pb.QuerySamplesResponse {
	answer = proto.CloneOf(answer)
	blank := func(token *string) {
		b := make([]byte, len(*token))
		for i := range b {
			b[i] = 'x'
		}
		*token = string(b)
	}
	blank(&answer.NextPageToken)
	for _, s := range answer.Samples {
		blank(&s.PayloadToken)
		for _, m := range s.Members {
			blank(&m.PayloadToken)
		}
	}
	return answer
}

func TestHiddenMembersAndFiguresEqualNone(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		reads := drawGrants(r)
		state := grants(t, reads)
		full, bare := drawObjectPair(r, t, reads)
		full.engine.pageBytes, bare.engine.pageBytes = 1500, 1500
		for _, name := range allNames {
			a := drawRequestOf(r, []string{name, rapid.SampledFrom(allNames).Draw(r, "another")})
			if rapid.Bool().Draw(r, "predicate") {
				a.Predicate = drawPredicate(r, a.Types, full, 0)
			}
			b := proto.CloneOf(a)
			for {
				x, errX := full.engine.Samples(context.Background(), state.Scope(bert), a)
				y, errY := bare.engine.Samples(context.Background(), state.Scope(bert), b)
				if errX != nil || errY != nil {
					r.Fatal(errX, errY)
				}
				compareAnswers(r, lengths(x), lengths(y))
				comparePayloads(r, full, bare, x, y, state.Scope(bert))
				if a.PageToken, b.PageToken = x.GetNextPageToken(), y.GetNextPageToken(); a.PageToken == "" {
					break
				}
			}
		}
		full.close(t)
		bare.close(t)
	})
}

// touchedBy closes the store after a reader has asked for everything, and says what that
// touched.
func (s *store) touchedBy(t testing.TB, scope authz.Scope) map[string]int {
	t.Helper()
	clear(s.touched)
	for _, name := range allNames {
		if _, err := s.engine.Samples(context.Background(), scope, &pb.QuerySamplesRequest{Types: []string{name}}); err != nil {
			t.Fatal(err)
		}
	}
	s.close(t)
	return s.touched
}

// Whatever is asked, the keys that are touched and the rows that are read are as many and
// the same as in a store without what the reader may not see. But a correlation that
// outlasts its members lies among those that may be seen, and is passed over.
func TestHiddenDataMovesNoQuery(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		reads := drawGrants(r)
		for _, g := range reads[bert] {
			if t, _ := catalog.ByCode(g.Type); strings.HasPrefix(t.Short(), "dietary") && g.Extent == pb.ReadExtent_READ_EXTENT_SINCE {
				g.Extent = pb.ReadExtent_READ_EXTENT_NONE
			}
		}
		state := grants(t, reads)
		draw := drawPair
		if rapid.Bool().Draw(r, "objects") {
			draw = drawObjectPair
		}
		full, bare := draw(r, t, reads)
		for range 4 {
			a := drawRequestOf(r, allNames)
			if rapid.IntRange(0, 3).Draw(r, "predicate") > 0 {
				a.Predicate = drawPredicate(r, a.Types, full, 0)
			}
			b := proto.CloneOf(a)
			for {
				clear(full.touched)
				clear(bare.touched)
				x, errX := full.engine.Samples(context.Background(), state.Scope(bert), a)
				y, errY := bare.engine.Samples(context.Background(), state.Scope(bert), b)
				if errX != nil || errY != nil {
					r.Fatal(errX, errY)
				}
				compareAnswers(r, lengths(x), lengths(y))
				if diff := cmp.Diff(bare.touched, full.touched); diff != "" {
					r.Fatalf("%v touched %s", a, diff)
				}
				if a.PageToken, b.PageToken = x.GetNextPageToken(), y.GetNextPageToken(); a.PageToken == "" {
					break
				}
			}
		}
		full.close(t)
		bare.close(t)
	})
}

// Nor does it move statistics, or the list of sources, in which several sources meet.
func TestHiddenDataMovesNoStatistics(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		reads := drawGrants(r)
		state := grants(t, reads)
		full, bare := drawPair(r, t, reads)
		order := drawOrder(r)
		for range 4 {
			q := drawStatistics(r)
			if rapid.IntRange(0, 3).Draw(r, "predicate") == 0 {
				q.Predicate = drawPredicate(r, []string{q.Type}, full, 0)
			}
			clear(full.touched)
			clear(bare.touched)
			for _, s := range []*store{full, bare} {
				s.engine.options.SourceOrder = func(uint32) []*pb.SourceName { return order }
			}
			x, errX := full.engine.Statistics(context.Background(), state.Scope(bert), q)
			y, errY := bare.engine.Statistics(context.Background(), state.Scope(bert), q)
			if (errX == nil) != (errY == nil) || errX != nil && errX.Error() != errY.Error() {
				r.Fatal(errX, errY)
			}
			compareAnswers(r, x, y)
			sources := &pb.QuerySourcesRequest{Type: q.Type}
			v, errV := full.engine.Sources(context.Background(), state.Scope(bert), sources)
			w, errW := bare.engine.Sources(context.Background(), state.Scope(bert), sources)
			if errV != nil || errW != nil {
				r.Fatal(errV, errW)
			}
			compareAnswers(r, v, w)
			if diff := cmp.Diff(bare.touched, full.touched); diff != "" {
				r.Fatalf("%v touched %s", q, diff)
			}
		}
		full.close(t)
		bare.close(t)
	})
}

// A reader of neither workouts nor members of correlations touches what it touches in a
// store that has none.
func TestDeniedObjectsAreNotTouched(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		state := grants(t, map[uint64][]*pb.ReadGrant{bert: {{Type: code("heartRate"), Extent: pb.ReadExtent_READ_EXTENT_ALL}}})
		var touched [2]map[string]int
		heart := drawMember(r, drawObject(r, "workout"), "heartRate", "count/min")
		heart.Source = &pb.Source{Name: "watch"}
		var hidden []*pb.Sample
		for _, name := range objectNames {
			hidden = append(hidden, drawObject(r, name))
		}
		hidden[1].Members = nil // bert would see them
		for i := range touched {
			s := newStore(t)
			s.saveSamples(t, anna, 0, heart)
			if i == 0 {
				s.saveSamples(t, anna, 0, hidden...)
			}
			touched[i] = s.touchedBy(t, state.Scope(bert))
		}
		if diff := cmp.Diff(touched[0], touched[1]); diff != "" || len(touched[0]) == 0 {
			r.Fatal(diff)
		}
	})
}

// Nor does one who may read workouts touch anything of what members it may not see.
func TestDeniedMembersAreNotTouched(t *testing.T) {
	all := pb.ReadExtent_READ_EXTENT_ALL
	state := grants(t, map[uint64][]*pb.ReadGrant{bert: {{Type: code("workout"), Extent: all}, {Type: code("dietaryFiber"), Extent: all}}})
	var touched [2]map[string]int
	for i := range touched {
		s := newStore(t)
		when, source := health.Timestamp(base), &pb.Source{Name: "watch"}
		workout := &pb.Sample{Type: "workout", Uuid: "00000000-0000-4000-8000-000000000001", Start: when, End: when, Source: source,
			Object: &pb.Sample_Workout{Workout: &pb.Workout{Activity: "running"}}}
		sync := []*pb.MetadataEntry{
			{Key: "HKSyncIdentifier", Value: &pb.MetadataEntry_Text{Text: "a"}}, {Key: "HKSyncVersion", Value: &pb.MetadataEntry_Number{Number: 1}},
		}
		if i == 0 {
			for n, metadata := range [][]*pb.MetadataEntry{nil, sync} {
				workout.Members = append(workout.Members, &pb.Sample{
					Type: "heartRate", Uuid: "00000000-0000-4000-8000-00000000010" + string(rune('0'+n)),
					Start: when, End: when, Unit: "count/min", Value: proto.Float64(99), Metadata: metadata,
				})
			}
		}
		s.saveSamples(t, anna, 0, workout)
		touched[i] = s.touchedBy(t, state.Scope(bert))
	}
	if diff := cmp.Diff(touched[0], touched[1]); diff != "" || len(touched[0]) == 0 {
		t.Error(diff)
	}
}

func TestRestatedFiguresNeedTheirTypes(t *testing.T) {
	activities := map[string]string{
		"cycling": "distanceCycling", "handCycling": "distanceCycling", "swimming": "distanceSwimming",
		"wheelchairWalkPace": "distanceWheelchair", "wheelchairRunPace": "distanceWheelchair",
		"downhillSkiing": "distanceDownhillSnowSports", "snowboarding": "distanceDownhillSnowSports", "snowSports": "distanceDownhillSnowSports",
		"crossCountrySkiing": "distanceCrossCountrySkiing", "paddleSports": "distancePaddleSports", "rowing": "distanceRowing",
		"skatingSports": "distanceSkatingSports", "running": "distanceWalkingRunning", "yoga": "distanceWalkingRunning",
	}
	full := func(activity string) *pb.Workout {
		q := &pb.Quantity{Value: 1, Unit: "count"}
		return &pb.Workout{Activity: activity, TotalDistance: q, TotalEnergyBurned: q, TotalSwimmingStrokeCount: q, TotalFlightsClimbed: q}
	}
	for activity, distance := range activities {
		if _, ok := catalog.Words("workoutActivity").Word(activity); !ok {
			t.Errorf("no activity %s", activity)
		}
		for _, name := range []string{distance, "activeEnergyBurned", "swimmingStrokeCount", "flightsClimbed"} {
			state := grants(t, map[uint64][]*pb.ReadGrant{bert: {{Type: code(name), Extent: pb.ReadExtent_READ_EXTENT_ALL}}})
			r := redactor{scope: state.Scope(bert), app: anna}
			body := &pb.Sample{Object: &pb.Sample_Workout{Workout: full(activity)}}
			r.body(body)
			want, w := &pb.Workout{Activity: activity}, full(activity)
			switch name {
			case "activeEnergyBurned":
				want.TotalEnergyBurned = w.TotalEnergyBurned
			case "swimmingStrokeCount":
				want.TotalSwimmingStrokeCount = w.TotalSwimmingStrokeCount
			case "flightsClimbed":
				want.TotalFlightsClimbed = w.TotalFlightsClimbed
			default:
				want.TotalDistance = w.TotalDistance
			}
			if diff := cmp.Diff(want, body.GetWorkout(), protocmp.Transform()); diff != "" {
				t.Errorf("%s seen by a reader of %s: %s", activity, name, diff)
			}
		}
	}
}

func TestKeptPiecesAreTheOwnersAndTheWritersOnly(t *testing.T) {
	state := grants(t, map[uint64][]*pb.ReadGrant{bert: {{Type: code("workout"), Extent: pb.ReadExtent_READ_EXTENT_ALL}}})
	kept := []*pb.Kept{{Format: "f", Name: "@n", Value: "v"}}
	for reader, want := range map[uint64]bool{0: true, anna: true, bert: false} {
		body := &pb.Sample{Kept: kept, Object: &pb.Sample_Workout{Workout: &pb.Workout{
			Activity: "running", Events: []*pb.WorkoutEvent{{Type: "lap", Kept: kept}}, Activities: []*pb.WorkoutActivity{{Kept: kept}},
		}}}
		r := redactor{scope: scopeOf(state, reader), app: anna}
		r.body(body)
		w := body.GetWorkout()
		for i, k := range [][]*pb.Kept{body.Kept, w.Events[0].Kept, w.Activities[0].Kept} {
			if (len(k) > 0) != want {
				t.Errorf("reader %d, piece %d: %v", reader, i, k)
			}
		}
	}
}

// Beside the bound of what may be seen, in its day and its month, there are hidden samples
// that last for years, that came and went in segments of their own, and that came with
// visible ones. Nothing that is read shows them, to the row.
func TestHiddenNeighboursMoveNothing(t *testing.T) {
	since := base + 12345*second
	state := grants(t, map[uint64][]*pb.ReadGrant{bert: {{Type: code("stepCount"), Extent: pb.ReadExtent_READ_EXTENT_SINCE, Since: since}}})
	scope := state.Scope(bert)
	column := func(duration int64, ends ...int64) *pb.SampleColumns {
		c, last := &pb.SampleColumns{Type: code("stepCount"), Unit: "count", Tick: 1}, int64(0)
		for _, end := range ends {
			c.Start, c.Mantissa, c.Duration = append(c.Start, end-duration-last), append(c.Mantissa, 0), append(c.Duration, duration)
			last = end - duration
		}
		c.Mantissa[0] = 1
		return c
	}
	var minutes []int64
	for n := range int64(100) {
		minutes = append(minutes, since+n*60*second)
	}
	ask := func(s *store, anchor string) (answers []proto.Message) {
		clear(s.touched)
		for _, period := range [][2]int64{{since - 400*day, since - 300*day}, {since + 3600*second, since + 3700*second}, {since + 20*day, since + 21*day}} {
			from, to := health.Timestamp(period[0]), health.Timestamp(period[1])
			samples, err := s.engine.Samples(context.Background(), scope, &pb.QuerySamplesRequest{Types: []string{"stepCount"}, From: from, To: to})
			if err != nil {
				t.Fatal(err)
			}
			statistics, err := s.engine.Statistics(context.Background(), scope, &pb.QueryStatisticsRequest{Type: "stepCount", From: from, To: to})
			if err != nil && !errors.Is(err, ErrNoData) {
				t.Fatal(err)
			}
			answers = append(answers, samples, statistics)
		}
		sources, err := s.engine.Sources(context.Background(), scope, &pb.QuerySourcesRequest{Type: "stepCount"})
		if err != nil {
			t.Fatal(err)
		}
		changes, err := s.engine.Changes(context.Background(), scope, &pb.QueryChangesRequest{Type: "stepCount", Anchor: anchor})
		if err != nil {
			t.Fatal(err)
		}
		due, _ := s.due(t, scope, 0)
		for _, one := range due {
			answers = append(answers, one)
		}
		return append(answers, sources, changes)
	}
	var stores [2]*store
	var anchors [2]string
	for i := range stores {
		s := newStore(t)
		stores[i] = s
		now := time.Unix(1_700_000_000, 0)
		s.engine.options.Now = func() time.Time { return now }
		s.applySteps(t, []step{{event: &pb.Event{Body: &pb.Event_UpdatesSet{UpdatesSet: &pb.UpdatesSet{
			App: bert, Type: code("stepCount"), Frequency: pb.Frequency_FREQUENCY_IMMEDIATE,
		}}}}})
		s.apply(t, anna, []*pb.SampleColumns{column(0, minutes...)})
		s.apply(t, anna, []*pb.SampleColumns{column(0, since+20*day)})
		changes, err := s.engine.Changes(context.Background(), scope, &pb.QueryChangesRequest{Type: "stepCount"})
		if err != nil {
			t.Fatal(err)
		}
		anchors[i] = changes.Anchor
		visible := []int64{since + 5990*second, since + 21*day}
		if i == 1 {
			s.apply(t, anna, []*pb.SampleColumns{column(0, append(visible, since-1, since-60*second)...)})
			s.apply(t, anna, []*pb.SampleColumns{column(365*day, since-1), column(200*day, since-day)})
			for n := range int64(50) {
				s.apply(t, anna, []*pb.SampleColumns{column(n, since-1-n)})
			}
			s.sequence++
			s.applyEvent(t, &pb.Event{Body: &pb.Event_SamplesDeleted{SamplesDeleted: &pb.SamplesDeleted{
				App: anna, RequestId: make([]byte, 16), Deletions: []*pb.DeletedSamples{{Type: code("stepCount"), From: proto.Int64(since - 10), To: proto.Int64(since - 3)}},
			}}})
		} else {
			s.apply(t, anna, []*pb.SampleColumns{column(0, visible...)})
			s.sequence += 52
		}
		s.apply(t, anna, []*pb.SampleColumns{column(60*second, since+2*day)})
	}
	bare, full := ask(stores[0], anchors[0]), ask(stores[1], anchors[1])
	for i := range bare {
		if diff := cmp.Diff(bare[i], full[i], protocmp.Transform(), protocmp.IgnoreFields(&pb.QueryChangesResponse{}, "anchor")); diff != "" {
			t.Error(diff)
		}
	}
	if diff := cmp.Diff(stores[0].touched, stores[1].touched); diff != "" || stores[0].touched["rows"] == 0 {
		t.Errorf("hidden neighbours show in what is read: %s", diff)
	}
	for _, s := range stores {
		s.close(t)
	}
}
