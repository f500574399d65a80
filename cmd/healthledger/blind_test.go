package main

import (
	"flag"

	"strconv"

	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	pb "healthledger/proto/healthledger/v1"
)

// Histories of two stores that differ only in what an app may not see: whatever the app
// calls, over whatever wire, with whatever request, and whatever comes to it unasked, is the
// same in both but for the letters of tokens and UUIDs. Methods and fields come from the
// schema: one that is added there is called and set here, or the test fails.

// checks sets how many histories a test draws, unless the command line does.
func checks(t *testing.T, few, many int) {
	t.Helper()
	f := flag.Lookup("rapid.checks")
	before := f.Value.String()
	if before != f.DefValue {
		return
	}
	if err := flag.Set("rapid.checks", strconv.Itoa(rounds(few, many))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set("rapid.checks", before) })
}

func TestAppCannotTellStoresApart(t *testing.T) {
	checks(t, 3, 300)
	house := newHouse(t)
	answered := map[string]int{}
	unanswered := func() (names []string) {
		for _, method := range healthMethods() {
			if answered[string(method.Name())] == 0 {
				names = append(names, string(method.Name()))
			}
		}
		return names
	}
	// Some calls are answered in most histories, not in all: few may have none of one.
	for round := 0; round < 3 && !t.Failed() && (round == 0 || len(unanswered()) > 0); round++ {
		rapid.Check(t, func(r *rapid.T) {
			h := newHistory(r, house)
			defer h.close()
			for range rapid.IntRange(12, 20).Draw(r, "steps") {
				h.step()
				h.askSome(rapid.IntRange(3, 12).Draw(r, "calls"))
			}
			h.unlock()
			h.appIsPlain()
			h.askAll()
			h.sameUpdates()
			for method, n := range h.answered {
				answered[method] += n
			}
		})
	}
	if names := unanswered(); !t.Failed() && len(names) > 0 {
		t.Errorf("%v never answered: no history says anything about them", names)
	}
}

func (h *history) askSome(calls int) {
	for range calls {
		err := h.askOne()
		if err != nil {
			h.r.Fatalf("%v", err)
		}
	}
}

func (h *history) askOne() error {
	if rapid.IntRange(0, 15).Draw(h.r, "misuse") == 0 {
		return h.misuse()
	}
	return h.ask(h.drawMethod(), rapid.IntRange(0, 5).Draw(h.r, "something new") == 0)
}

// askAll makes calls until every method was called, and every field of every request set.
func (h *history) askAll() {
	for _, method := range healthMethods() {
		for calls := 0; ; calls++ {
			if err := h.ask(method, true); err != nil {
				h.r.Fatalf("%v", err)
			}
			unseen := h.drawer.unseen(method.Input(), map[protoreflect.FullName]bool{})
			if len(unseen) == 0 {
				break
			}
			if calls == 300 {
				h.r.Fatalf("%s was never called with %v", method.Name(), unseen)
			}
		}
	}
}

// What the harness says is worth something if it sees a difference where there is one: of a
// sample that the owner lets the app see in one store, every way to read it tells.
func TestComparisonSeesOneVisibleSample(t *testing.T) {
	checks(t, 1, 20)
	house := newHouse(t)
	rapid.Check(t, func(r *rapid.T) {
		h := newHistory(r, house)
		defer h.close()
		for range 3 {
			h.askSome(5)
		}
		name := rapid.SampledFrom([]string{"stepCount", "heartRate", "bodyMass"}).Draw(r, "type")
		from := &pb.QueryChangesRequest{Type: name, FromNow: true}
		a, b, err := h.call(wires[0], healthMethod("QueryChanges"), from, nil, from)
		if err != nil {
			r.Fatalf("%v", err)
		}
		h.tell("SetUpdates", &pb.SetUpdatesRequest{Type: name, Frequency: pb.Frequency_FREQUENCY_IMMEDIATE})
		h.roles[name] = denied
		h.each(func(i int, w *twin) { w.decide(&pb.DecideRequest{BundleId: blindApp, Reads: h.reads(i)}) })
		h.save(0, otherApp, []*pb.Sample{h.single(name, h.drawTime(), true)})
		then := [2]*pb.QueryChangesRequest{{Type: name, Anchor: a.Interface().(*pb.QueryChangesResponse).GetAnchor()}, {Type: name, Anchor: b.Interface().(*pb.QueryChangesResponse).GetAnchor()}}
		reads := map[string][2]proto.Message{
			"QuerySamples":    same(&pb.QuerySamplesRequest{Types: []string{name}}),
			"QueryStatistics": same(&pb.QueryStatisticsRequest{Type: name}),
			"QuerySources":    same(&pb.QuerySourcesRequest{Type: name}),
			"QueryUpdates":    same(&pb.QueryUpdatesRequest{WaitMs: 1}),
			"QueryChanges":    {then[0], then[1]},
		}
		for _, visible := range []bool{false, true} {
			if visible {
				h.each(func(_ int, w *twin) {
					w.decide(&pb.DecideRequest{BundleId: blindApp, Reads: []*pb.ReadGrant{{Type: typeCodeOf(name), Extent: pb.ReadExtent_READ_EXTENT_ALL}}})
				})
			}
			for method, m := range reads {
				for _, w := range wires {
					_, _, err := h.call(w, healthMethod(method), m[0], nil, m[1])
					if visible != (err != nil) {
						r.Fatalf("%s over %s, visible: %v: %v", method, w.name, visible, err)
					}
				}
			}
		}
		for range 1000 {
			if h.askOne() != nil {
				return
			}
		}
		r.Fatalf("1000 calls as they come show nothing")
	})
}

func same(m proto.Message) [2]proto.Message { return [2]proto.Message{m, m} }
