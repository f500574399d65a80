package query

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	"healthledger/authz"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// step is one segment of a log about updates, and what it changed.
type step struct {
	event *pb.Event
	app   uint64
	typ   string
	// ends are those of the samples that were added or deleted.
	ends []int64
}

// observed are in the order of their codes.
var observed = []string{"heartRate", "stepCount"}

// drawSteps draws saves and deletions by two apps and what bert wants to be told of them.
func drawSteps(r *rapid.T) (steps []step) {
	type saved struct {
		app uint64
		typ string
		end int64
	}
	there := map[byte]saved{}
	now := int64(1000) * second
	for i := range rapid.IntRange(1, 25).Draw(r, "segments") {
		s := step{app: rapid.SampledFrom([]uint64{anna, bert}).Draw(r, "app"), typ: rapid.SampledFrom(observed).Draw(r, "type")}
		now += rapid.Int64Range(-1000, 40000).Draw(r, "passed") * second
		id := binary.BigEndian.AppendUint64(make([]byte, 8), uint64(i+1))
		switch rapid.IntRange(0, 4).Draw(r, "kind") {
		case 0, 1:
			c := &pb.SampleColumns{Type: code(s.typ), Unit: someTypes[s.typ][0], Tick: 1, Source: &pb.Source{Name: "watch"}}
			last := int64(0)
			for n := range rapid.IntRange(1, 2).Draw(r, "samples") {
				name, end := byte(2*i+n+1), drawTime(r, "end")
				c.Start, c.Mantissa = append(c.Start, end-last), append(c.Mantissa, 1)
				c.Uuid = append(c.Uuid, make([]byte, 15)...)
				c.Uuid = append(c.Uuid, name)
				last, there[name], s.ends = end, saved{s.app, s.typ, end}, append(s.ends, end)
			}
			s.event = &pb.Event{Body: &pb.Event_SamplesSaved{SamplesSaved: &pb.SamplesSaved{App: s.app, RequestId: id, Columns: []*pb.SampleColumns{c}}}}
		case 2:
			d := &pb.DeletedSamples{Type: code(s.typ)}
			for range rapid.IntRange(1, 2).Draw(r, "deletions") {
				name := rapid.ByteRange(1, byte(2*i+2)).Draw(r, "uuid")
				d.Uuids = append(d.Uuids, append(make([]byte, 15), name))
				if was, ok := there[name]; ok && was.app == s.app && was.typ == s.typ {
					s.ends = append(s.ends, was.end)
					delete(there, name)
				}
			}
			s.event = &pb.Event{Body: &pb.Event_SamplesDeleted{SamplesDeleted: &pb.SamplesDeleted{
				App: s.app, RequestId: id, Deletions: []*pb.DeletedSamples{d},
			}}}
		case 3:
			s.app = bert
			s.event = &pb.Event{Body: &pb.Event_UpdatesSet{UpdatesSet: &pb.UpdatesSet{
				App: bert, Type: code(s.typ), Frequency: pb.Frequency(rapid.Int32Range(1, 5).Draw(r, "frequency")),
			}}}
		case 4:
			s.app = bert
			s.event = &pb.Event{Body: &pb.Event_UpdatesAcked{UpdatesAcked: &pb.UpdatesAcked{
				App: bert, Type: code(s.typ), Sequence: rapid.Uint64Range(0, uint64(i+1)).Draw(r, "acked"),
			}}}
		}
		s.event.Time = now
		steps = append(steps, s)
	}
	return steps
}

// dueOf says what is due by going through the log once for each type, and when more is.
func dueOf(steps []step, sees may, now int64) (due []*pb.DueUpdate, next int64) {
	next = Never
	for _, typ := range observed {
		var after, last uint64
		frequency, acked := pb.Frequency_FREQUENCY_NEVER, int64(math.MinInt64)
		for i, s := range steps {
			sequence, set, ack := uint64(i+1), s.event.GetUpdatesSet(), s.event.GetUpdatesAcked()
			switch on := frequency > pb.Frequency_FREQUENCY_NEVER; {
			case s.typ != typ:
			case set != nil:
				if !on {
					after, acked = sequence, math.MinInt64
				}
				frequency = set.Frequency
			case ack != nil:
				if on && ack.Sequence > after {
					after, acked = ack.Sequence, s.event.Time
				}
			default:
				for _, end := range s.ends {
					if sees(s.app, typ, end) {
						last = sequence
					}
				}
			}
		}
		if frequency <= pb.Frequency_FREQUENCY_NEVER || last <= after {
			continue
		}
		wait := map[pb.Frequency]int64{2: 0, 3: 3600, 4: 24 * 3600, 5: 7 * 24 * 3600}[frequency] * second
		if acked == math.MinInt64 || acked > now+60*second || acked+wait <= now {
			due = append(due, &pb.DueUpdate{App: bert, Type: code(typ), Sequence: last, After: after})
		} else {
			next = min(next, acked+wait)
		}
	}
	return due, next
}

func (s *store) applySteps(t testing.TB, steps []step) {
	for _, l := range steps {
		s.sequence++
		if l.event != nil {
			s.applyEvent(t, l.event)
		}
	}
}

func (s *store) due(t testing.TB, scope authz.Scope, now int64) ([]*pb.DueUpdate, int64) {
	t.Helper()
	due, next, err := s.engine.Due(scope, now)
	if err != nil {
		t.Fatal(err)
	}
	return due, next
}

func TestDueIsWhatTheLogSays(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		reads := drawGrants(r)
		state, steps := grants(t, reads), drawSteps(r)
		s := newStore(t)
		s.applySteps(t, steps)
		now := rapid.Int64Range(0, 25*40000).Draw(r, "now") * second
		if rapid.Bool().Draw(r, "close") {
			now = rapid.SampledFrom(steps).Draw(r, "step").event.Time + rapid.Int64Range(-70, 70).Draw(r, "later")*second
		}
		got, gotNext := s.due(t, state.Scope(bert), now)
		want, wantNext := dueOf(steps, rules(bert, reads), now)
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" || gotNext != wantNext {
			r.Fatalf("next %d, want %d\n%s", gotNext, wantNext, diff)
		}
		if got, next := s.due(t, state.Scope(anna), now); len(got) > 0 || next != Never {
			r.Fatal("who set nothing is told", got, next)
		}
		s.close(t)
	})
}

// A change that an app may not see is not told, moves nothing, and is not looked at.
func TestHiddenChangesAreNeitherToldNorTouched(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		reads := drawGrants(r)
		scope, sees := grants(t, reads).Scope(bert), rules(bert, reads)
		steps := drawSteps(r)
		var bare []step
		for _, s := range steps {
			visible := len(s.ends) == 0
			for _, end := range s.ends {
				visible = visible || sees(s.app, s.typ, end)
			}
			if saved := s.event.GetSamplesSaved(); saved != nil {
				all, some := visibleFirst(saved.Columns[0], func(end int64) bool { return sees(s.app, s.typ, end) })
				saved.Columns[0], s.event = all, proto.CloneOf(s.event)
				if visible {
					s.event.GetSamplesSaved().Columns[0] = some
				} else {
					// Of a type that nobody asks for: sources keep their ids.
					s.event.GetSamplesSaved().Columns[0].Type = code("bodyMass")
				}
			} else if !visible {
				s.event = nil
			}
			bare = append(bare, s)
		}
		now := rapid.Int64Range(0, 25*40000).Draw(r, "now") * second
		with, without := newStore(t), newStore(t)
		with.applySteps(t, steps)
		without.applySteps(t, bare)
		clear(with.touched)
		clear(without.touched)
		got, gotNext := with.due(t, scope, now)
		want, wantNext := without.due(t, scope, now)
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" || gotNext != wantNext {
			r.Fatalf("next %d, want %d\n%s", gotNext, wantNext, diff)
		}
		if diff := cmp.Diff(without.touched, with.touched); diff != "" {
			r.Fatalf("hidden changes show in what is touched:\n%s", diff)
		}
		with.close(t)
		without.close(t)
	})
}

// A correlation is there for a reader while a member is that it may see, however long the
// correlation itself goes on.
func TestCorrelationIsToldToWhoSeesAMemberOfIt(t *testing.T) {
	since := base + 10*day
	state := grants(t, map[uint64][]*pb.ReadGrant{bert: {{Type: code("bloodPressureSystolic"), Extent: pb.ReadExtent_READ_EXTENT_SINCE, Since: since}}})
	pressure := func(memberEnd, end int64) *pb.Sample {
		member := func(name string) *pb.Sample {
			return &pb.Sample{Type: name, Unit: "mmHg", Value: proto.Float64(100), Start: health.Timestamp(memberEnd)}
		}
		return &pb.Sample{
			Type: "bloodPressure", Start: health.Timestamp(base), End: health.Timestamp(end),
			Members: []*pb.Sample{member("bloodPressureSystolic"), member("bloodPressureDiastolic")},
		}
	}
	for _, c := range []struct {
		memberEnd, end int64
		told           bool
	}{
		{base, base + 5*day, false}, {base, base + 12*day, false}, {base, base + 100*day, false},
		{since, since, true}, {since, base + 100*day, true}, {base + 90*day, base + 100*day, true},
	} {
		s := newStore(t)
		s.applySteps(t, []step{{event: &pb.Event{Body: &pb.Event_UpdatesSet{UpdatesSet: &pb.UpdatesSet{
			App: bert, Type: code("bloodPressure"), Frequency: pb.Frequency_FREQUENCY_IMMEDIATE,
		}}}}})
		columns, err := health.Columns([]*pb.Sample{pressure(c.memberEnd, c.end)}, health.Policy{Importer: true})
		if err != nil {
			t.Fatal(err)
		}
		s.apply(t, anna, columns)
		if due, _ := s.due(t, state.Scope(bert), 0); (len(due) == 1) != c.told {
			t.Errorf("a member that ends %d s after the start, of one that ends %d s after it: %v", (c.memberEnd-base)/second, (c.end-base)/second, due)
		}
		s.close(t)
	}
}
