package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"healthledger/ledger"
	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
)

// step is something that happens, to both stores or, where the app cannot see it, to one.
type step struct {
	name string
	// open says that it needs the stores unlocked.
	open bool
	do   func(*history)
}

var blindSteps = []step{
	{"others save", false, (*history).othersSave},
	{"others save", false, (*history).othersSave},
	{"others save", false, (*history).othersSave},
	{"others save much", false, (*history).othersSaveMuch},
	{"others delete", false, (*history).othersDelete},
	{"others delete objects", false, (*history).othersDeleteObjects},
	{"others come, ask and go", true, (*history).othersCome},
	{"others look", false, (*history).othersLook},
	{"the app saves", false, (*history).appSaves},
	{"the app wants updates", false, (*history).appWantsUpdates},
	{"the app acknowledges", true, (*history).appAcknowledges},
	{"the app sends a part", false, (*history).appSendsPart},
	{"the owner deletes", true, (*history).ownerDeletes},
	{"the owner decides", true, (*history).ownerDecides},
	{"the owner picks", true, (*history).ownerPicks},
	{"the owner picks", true, (*history).ownerPicks},
	{"the owner orders", true, (*history).ownerOrders},
	{"lock", true, (*history).lock},
	{"unlock", false, (*history).unlock},
	{"unlock", false, (*history).unlock},
	{"restart", false, (*history).restart},
}

func (h *history) step() {
	var can []string
	for _, s := range blindSteps {
		if !s.open || !h.locked {
			can = append(can, s.name)
		}
	}
	name := rapid.SampledFrom(can).Draw(h.r, "step")
	blindSteps[slices.IndexFunc(blindSteps, func(s step) bool { return s.name == name })].do(h)
}

func (h *history) writer() string {
	return rapid.SampledFrom([]string{otherApp, ledger.ImporterID}).Draw(h.r, "writer")
}

func (h *history) othersSave() {
	writer := h.writer()
	var samples []*pb.Sample
	for range rapid.IntRange(1, 5).Draw(h.r, "samples") {
		samples = append(samples, h.foreignSample(writer))
	}
	h.save(rapid.IntRange(0, 1).Draw(h.r, "fuller"), writer, samples)
}

// othersSaveMuch makes a backlog that is long in one store only.
func (h *history) othersSaveMuch() {
	name := rapid.SampledFrom(blindTypes[:11]).Draw(h.r, "type").name
	count := rapid.SampledFrom([]int{3, 400}).Draw(h.r, "much")
	var samples []*pb.Sample
	for i := range count {
		s := h.single(name, midday.Add(-48*time.Hour), true)
		s.End = s.Start
		s.Metadata = append(s.Metadata, &pb.MetadataEntry{Key: "text", Value: &pb.MetadataEntry_Text{Text: fmt.Sprint(i, strings.Repeat("text", 100))}})
		samples = append(samples, s)
	}
	h.save(rapid.IntRange(0, 1).Draw(h.r, "fuller"), otherApp, samples)
}

// othersDelete takes back what others saved: what the app sees in both stores, the rest
// where it is.
func (h *history) othersDelete() {
	name := rapid.SampledFrom(blindTypes[:11]).Draw(h.r, "type").name
	d := &pb.Deletion{Type: name}
	for _, p := range slices.Concat(h.hidden[name], h.seen[name]) {
		if p.of == otherApp && rapid.Bool().Draw(h.r, "this one") {
			d.Uuids = append(d.Uuids, p.texts[0])
		}
	}
	if len(d.Uuids) == 0 {
		d.From = timestamppb.New(h.drawTime())
	}
	only := -1
	if !h.seesAny(name) {
		only = rapid.IntRange(-1, 1).Draw(h.r, "only in one")
		h.differ[name] = true
	}
	h.deleteOthers(d, only)
}

// deleteOthers has another app delete, in one store only or, -1, in both.
func (h *history) deleteOthers(d *pb.Deletion, only int) {
	h.r.Logf("others delete, in one only: %d, %v", only, d)
	h.saves++
	id := []byte(fmt.Sprintf("%16d", h.saves))
	h.each(func(i int, w *twin) {
		if only >= 0 && i != only {
			return
		}
		w.as(otherApp, func(ctx context.Context, c *client.Client) error {
			_, err := c.Delete(ctx, &pb.DeleteRequest{RequestId: id, Deletions: []*pb.Deletion{d}})
			return err
		})
	})
}

func (h *history) seesAny(name string) bool { return h.roles[name] == open || h.roles[name] == since }

// othersCome registers an app in one store that asks, reads, and may leave again.
func (h *history) othersCome() {
	i := rapid.IntRange(0, 1).Draw(h.r, "where")
	h.visitors[i]++
	w, id := h.twins[i], fmt.Sprintf("com.example.visitor%d", h.visitors[i])
	w.addApp(id)
	w.decide(&pb.DecideRequest{BundleId: id, Reads: []*pb.ReadGrant{{Type: typeCodeOf("heartRate"), Extent: pb.ReadExtent_READ_EXTENT_ALL}}})
	w.as(id, func(ctx context.Context, c *client.Client) error {
		_, err := c.Health().RequestAuthorization(ctx, &pb.RequestAuthorizationRequest{Read: []string{"stepCount", "workout"}})
		return err
	})
	h.visit(i, id, "heartRate")
	if rapid.Bool().Draw(h.r, "leaves") {
		w.removeApp(id)
	}
}

func (h *history) othersLook() {
	h.visit(rapid.IntRange(0, 1).Draw(h.r, "where"), otherApp, rapid.SampledFrom(blindTypes).Draw(h.r, "type").name)
}

func (h *history) appSaves() {
	req := &pb.SaveRequest{RequestId: h.drawer.id()}
	for range rapid.IntRange(1, 3).Draw(h.r, "samples") {
		req.Samples = append(req.Samples, h.ownSample())
	}
	h.tell("Save", req)
}

func (h *history) appWantsUpdates() {
	for _, name := range everyType() {
		if rapid.IntRange(0, 2).Draw(h.r, "this type") == 0 {
			h.tell("SetUpdates", &pb.SetUpdatesRequest{Type: name, Frequency: pb.Frequency_FREQUENCY_IMMEDIATE})
		}
	}
}

// appAcknowledges deals with all updates that are due.
func (h *history) appAcknowledges() {
	h.sameUpdates()
	due := &pb.QueryUpdatesRequest{}
	a, b, err := h.call(wires[0], healthMethod("QueryUpdates"), due, nil, due)
	if err != nil {
		h.r.Fatalf("%v", err)
	}
	var acks [2]*pb.AckUpdatesRequest
	for i, told := range []protoreflect.Message{a, b} {
		acks[i] = &pb.AckUpdatesRequest{}
		for _, u := range told.Interface().(*pb.QueryUpdatesResponse).GetUpdates() {
			acks[i].Tokens = append(acks[i].Tokens, u.GetToken())
		}
	}
	if _, _, err := h.call(wires[0], healthMethod("AckUpdates"), acks[0], nil, acks[1]); err != nil {
		h.r.Fatalf("%v", err)
	}
}

// appSendsPart sends a payload of which the object may never come.
func (h *history) appSendsPart() {
	h.tell("SavePart", &pb.SavePartRequest{
		Type: rapid.SampledFrom(blindTypes[:6]).Draw(h.r, "type").name, Upload: h.drawer.bytes("upload"), Number: 0,
		Chunk: &pb.Chunk{Quantities: &pb.Quantities{Offset: []int64{1}, Value: []float64{2}}},
	})
}

// appIsPlain asks what is sure to be answered, and takes luck otherwise.
func (h *history) appIsPlain() {
	s := h.sample(true)
	for s.GetType() != "electrocardiogram" {
		s = h.sample(true)
	}
	h.save(0, ledger.ImporterID, []*pb.Sample{s})
	h.pickObjects()
	h.saveAndAsk(&pb.SaveRequest{RequestId: h.drawer.id(), Samples: []*pb.Sample{h.single("stepCount", midday, false)}})
	h.tell("SavePart", &pb.SavePartRequest{
		Type: "stepCount", Upload: h.drawer.bytes("upload"), Chunk: &pb.Chunk{Quantities: &pb.Quantities{Offset: []int64{1}, Value: []float64{2}}},
	})
	h.tell("QueryChanges", &pb.QueryChangesRequest{Type: "stepCount"})
	h.tell("QuerySources", &pb.QuerySourcesRequest{Type: "stepCount"})
	h.tell("GetAuthorizationStatus", &pb.GetAuthorizationStatusRequest{Types: []string{"stepCount"}})
	h.tell("Delete", &pb.DeleteRequest{RequestId: h.drawer.id(), Deletions: []*pb.Deletion{{Type: "stepCount", From: timestamppb.New(h.drawTime())}}})
	h.tell("QueryStatistics", &pb.QueryStatisticsRequest{
		Type: rapid.SampledFrom(blindTypes[:9]).Draw(h.r, "type").name, Interval: &pb.Interval{Unit: pb.CalendarUnit_CALENDAR_UNIT_DAY},
	})
	asked := blindTypes[slices.IndexFunc(blindTypes, func(t blindType) bool { return t.unit != "" && h.roles[t.name] != split })].name
	h.tell("QueryPreferredUnits", &pb.QueryPreferredUnitsRequest{Types: []string{asked}})
	h.tell("GetRequestStatus", &pb.GetRequestStatusRequest{Read: []string{asked}})
	h.tell("RequestAuthorization", &pb.RequestAuthorizationRequest{Read: []string{asked}})
	h.tell("SetUpdates", &pb.SetUpdatesRequest{Type: "stepCount", Frequency: pb.Frequency_FREQUENCY_IMMEDIATE})
	h.tell("Save", &pb.SaveRequest{RequestId: h.drawer.id(), Samples: []*pb.Sample{h.single("stepCount", midday, false)}})
	h.appAcknowledges()
	recordings := &pb.QuerySamplesRequest{Types: []string{"electrocardiogram"}}
	a, b, err := h.call(wires[0], healthMethod("QuerySamples"), recordings, nil, recordings)
	if err != nil {
		h.r.Fatalf("%v", err)
	}
	var payloads [2]*pb.QueryPayloadRequest
	for i, found := range []protoreflect.Message{a, b} {
		payloads[i] = &pb.QueryPayloadRequest{Type: "electrocardiogram"}
		for _, s := range found.Interface().(*pb.QuerySamplesResponse).GetSamples() {
			payloads[i].PayloadToken = s.GetPayloadToken()
		}
	}
	if _, _, err := h.call(wires[0], healthMethod("QueryPayload"), payloads[0], nil, payloads[1]); err != nil {
		h.r.Fatalf("%v", err)
	}
}

// saveAndAsk saves, and asks what became of it.
func (h *history) saveAndAsk(save *pb.SaveRequest) {
	a, b, err := h.call(wires[0], healthMethod("Save"), save, nil, save)
	if err != nil {
		h.r.Fatalf("%v", err)
	}
	var outcomes [2]*pb.QueryOutcomeRequest
	for i, saved := range []protoreflect.Message{a, b} {
		outcomes[i] = &pb.QueryOutcomeRequest{Receipt: saved.Interface().(*pb.SaveResponse).GetReceipt()}
	}
	if _, _, err := h.call(wires[0], healthMethod("QueryOutcome"), outcomes[0], nil, outcomes[1]); err != nil {
		h.r.Fatalf("%v", err)
	}
}

// tell makes a call that does not differ between the stores.
func (h *history) tell(name string, m proto.Message) {
	if _, _, err := h.call(wires[0], healthMethod(name), m, nil, m); err != nil {
		h.r.Fatalf("%s %v: %v", name, m, err)
	}
}

// ownerDeletes deletes what anybody saved: by period in both stores, or something that
// the app cannot see in one.
func (h *history) ownerDeletes() {
	name := rapid.SampledFrom(append([]string{prescription}, everyType()[len(pickedTypes):][:11]...)).Draw(h.r, "type")
	d, only := &pb.Deletion{Type: name, From: timestamppb.New(h.drawTime())}, -1
	if d.Uuids = h.someOf(h.hidden[name]); len(d.Uuids) > 0 {
		d.From = nil
		only = rapid.IntRange(-1, 1).Draw(h.r, "only in one")
	}
	h.r.Logf("the owner deletes, in one only: %d, %v", only, d)
	h.each(func(i int, w *twin) {
		if only >= 0 && i != only {
			return
		}
		ctx, cancel := soon(w.t)
		defer cancel()
		must[*pb.DeleteSamplesResponse](w.t)(w.owner.Owner().DeleteSamples(ctx, &pb.DeleteSamplesRequest{Deletions: []*pb.Deletion{d}}))
	})
}

// ownerDecides gives and takes what the app may see. What the stores differ in it only takes.
func (h *history) ownerDecides() {
	name := rapid.SampledFrom(blindTypes).Draw(h.r, "type").name
	switch {
	case h.roles[name] == open && rapid.Bool().Draw(h.r, "a part"):
		h.roles[name] = since
	case h.roles[name] == open, h.roles[name] == since, h.differ[name]:
		h.roles[name] = denied
	default:
		h.roles[name] = open
	}
	h.r.Logf("%s becomes %v", name, h.roles[name])
	h.each(func(i int, w *twin) { w.decide(&pb.DecideRequest{BundleId: blindApp, Reads: h.reads(i)}) })
}

func (h *history) ownerOrders() {
	name, only := rapid.SampledFrom(blindTypes[:5]).Draw(h.r, "type").name, -1
	order := []*pb.SourceName{{App: otherApp, Name: rapid.SampledFrom(sourceNames).Draw(h.r, "first")}}
	if !h.seesAny(name) {
		only = rapid.IntRange(-1, 1).Draw(h.r, "only in one")
	}
	units := &pb.SetPreferredUnitsRequest{Units: []*pb.PreferredUnit{{Type: "bodyMass", Unit: rapid.SampledFrom([]string{"lb", "kg"}).Draw(h.r, "unit")}}}
	policy := &pb.SetPolicyRequest{Plausibility: rapid.SampledFrom([]pb.Plausibility{pb.Plausibility_PLAUSIBILITY_WARN, pb.Plausibility_PLAUSIBILITY_REFUSE}).Draw(h.r, "policy")}
	h.each(func(i int, w *twin) {
		ctx, cancel := soon(w.t)
		defer cancel()
		if only < 0 || i == only {
			must[*pb.SetSourceOrderResponse](w.t)(w.owner.Owner().SetSourceOrder(ctx, &pb.SetSourceOrderRequest{Type: name, Sources: order}))
		}
		must[*pb.SetPreferredUnitsResponse](w.t)(w.owner.Owner().SetPreferredUnits(ctx, units))
		must[*pb.SetPolicyResponse](w.t)(w.owner.Owner().SetPolicy(ctx, policy))
	})
}

func (h *history) lock() {
	h.sameUpdates()
	h.locked = true
	h.each(func(_ int, w *twin) { w.lock() })
}

// unlock opens both stores; one of them may have lost its view.
func (h *history) unlock() {
	if !h.locked {
		return
	}
	forgets := rapid.IntRange(-1, 1).Draw(h.r, "forgets its view")
	h.each(func(i int, w *twin) {
		if i == forgets {
			w.forgetView()
		}
		w.unlock()
		w.ready()
	})
	h.locked = false
}

func (h *history) restart() {
	if !h.locked {
		h.sameUpdates()
	}
	h.house.restart(h.r, rapid.Bool().Draw(h.r, "cut"))
	h.each(func(_ int, w *twin) { w.connect() })
	h.locked = true
}
