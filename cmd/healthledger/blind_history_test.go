package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"healthledger/ledger"
	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
)

// history is what happens to two stores, which differ only in what the app may not see.
type history struct {
	r      *rapid.T
	house  *house
	twins  [2]*twin
	locked bool
	roles  map[string]role
	// differ are the types of which the stores hold different things: the owner cannot grant
	// them any more.
	differ map[string]bool
	// colliding UUIDs are the app's and others' at once; each of those uses each once.
	colliding []string
	free      map[string][]string
	// hidden and seen are UUIDs of others, by type, and foreign are tokens of others.
	hidden, seen map[string][]pair
	foreign      []pair
	// pickable are UUIDs of prescriptions of others that both stores have.
	pickable    map[string]bool
	visitors    [2]int
	saves, made int

	drawer *drawer
	names  *names
	// answered counts the calls that succeeded, by method, and failed the others.
	answered, failed map[string]int
}

func newHistory(r *rapid.T, house *house) *history {
	h := &history{
		r: r, house: house, roles: map[string]role{}, differ: map[string]bool{}, free: map[string][]string{},
		hidden: map[string][]pair{}, pickable: map[string]bool{}, seen: map[string][]pair{}, names: newNames(), answered: map[string]int{}, failed: map[string]int{},
	}
	h.drawer = &drawer{h: h, seen: map[protoreflect.FullName]bool{}}
	for range 6 {
		h.colliding = append(h.colliding, h.newID())
	}
	for _, app := range []string{otherApp, ledger.ImporterID} {
		h.free[app] = slices.Clone(h.colliding)
	}
	types := rapid.Permutation(blindTypes).Draw(r, "types")
	for i, t := range types {
		h.roles[t.name] = role(i % int(roles))
		if h.roles[t.name] == granted && strings.HasPrefix(t.name, "bloodPressure") {
			h.roles[t.name] = denied // both stores hold some, with the other member
		}
	}
	h.roles["electrocardiogram"] = rapid.SampledFrom([]role{open, since}).Draw(r, "payloads") // the only type here that has them
	r.Logf("%v", h.roles)
	h.both(func(i int, w **twin) {
		*w = house.newTwin(r)
		// The first store knows an app more before this one comes.
		if i == 0 {
			(*w).addApp("com.example.first")
		}
		(*w).addApp(blindApp)
		(*w).addApp(otherApp)
		(*w).connect()
		(*w).unlock()
		(*w).ready()
	})
	h.grant()
	return h
}

// both does the same in both stores, side by side.
func (h *history) both(do func(i int, w **twin)) {
	done := make(chan any, 2)
	for i := range h.twins {
		go func() {
			defer func() { done <- recover() }()
			do(i, &h.twins[i])
		}()
	}
	for range 2 {
		if failed := <-done; failed != nil {
			panic(failed)
		}
	}
}

func (h *history) each(do func(i int, w *twin)) { h.both(func(i int, w **twin) { do(i, *w) }) }

// close ends the history: its stores stay behind, locked.
func (h *history) close() {
	for _, w := range h.twins {
		if w != nil {
			w.lock()
			w.close()
		}
	}
}

// reads are the app's grants in a store as of now.
func (h *history) reads(i int) (reads []*pb.ReadGrant) {
	for _, t := range blindTypes {
		g := &pb.ReadGrant{Type: typeCodeOf(t.name), Extent: pb.ReadExtent_READ_EXTENT_NONE}
		switch r := h.roles[t.name]; {
		case r == unasked || r == split && i == 0:
			continue
		case r == open || r == granted && i == 1:
			g.Extent = pb.ReadExtent_READ_EXTENT_ALL
		case r == since:
			g.Extent, g.Since = pb.ReadExtent_READ_EXTENT_SINCE, midday.UnixMicro()
		}
		reads = append(reads, g)
	}
	return reads
}

// grant lets the app write some types, and read what its roles say.
func (h *history) grant() {
	var shares, all []*pb.ShareGrant
	for _, t := range blindTypes {
		if t.name == "electrocardiogram" {
			continue
		}
		all = append(all, &pb.ShareGrant{Type: typeCodeOf(t.name), Allowed: true})
		if may := rapid.IntRange(0, 5).Draw(h.r, "may write"); may > 0 || t.name == "stepCount" {
			shares = append(shares, &pb.ShareGrant{Type: typeCodeOf(t.name), Allowed: may > 1 || t.name == "stepCount"})
		}
	}
	lenses := &pb.ShareGrant{Type: typeCodeOf(prescription), Allowed: true}
	shares, all = append(shares, lenses), append(all, lenses)
	h.each(func(i int, w *twin) {
		w.decide(&pb.DecideRequest{BundleId: blindApp, Shares: shares, Reads: h.reads(i)})
		w.decide(&pb.DecideRequest{BundleId: otherApp, Shares: all})
	})
}

// save has another app save, everything in one store, and in the other only what the app
// may see of it.
func (h *history) save(fuller int, writer string, samples []*pb.Sample) {
	var bare []*pb.Sample
	for _, s := range samples {
		for name, r := range h.roles {
			if concerns(s, name) && r != open {
				h.differ[name] = true
				if r == granted {
					fuller = 0 // the second may hold none
				}
			}
		}
		left := h.without(s)
		bare = append(bare, left...)
		if s.GetUuid() == "" {
			continue
		}
		at := h.seen
		if len(left) == 0 {
			at = h.hidden
		}
		at[s.GetType()] = append(at[s.GetType()], pair{texts: [2]string{s.GetUuid(), s.GetUuid()}, of: writer})
	}
	h.saves++
	h.r.Logf("%s saves in store %d %s, in the other %s", writer, fuller, brief(samples), brief(bare))
	h.each(func(i int, w *twin) {
		if i == fuller {
			w.save(writer, h.saves, clones(samples)...)
		} else if len(bare) > 0 {
			w.save(writer, h.saves, bare...)
		}
	})
}

// brief names samples where something has failed.
func brief(samples []*pb.Sample) string {
	var text strings.Builder
	for _, s := range samples[:min(len(samples), 8)] {
		fmt.Fprintf(&text, "[%s %s by %s until %s", s.GetType(), s.GetUuid(), s.GetSource().GetName(), s.GetEnd().AsTime().Format(time.StampMicro))
		for _, m := range s.GetMembers() {
			text.WriteString(", " + m.GetType())
		}
		text.WriteString("]")
	}
	return text.String()
}

func clones(samples []*pb.Sample) (all []*pb.Sample) {
	for _, s := range samples {
		all = append(all, proto.CloneOf(s))
	}
	return all
}

// foreignSample draws what another app saves.
func (h *history) foreignSample(writer string) *pb.Sample {
	s := h.sample(true)
	for importersOnly(s.GetType()) && writer != ledger.ImporterID {
		s = h.sample(true)
	}
	switch uuid := rapid.IntRange(0, 3).Draw(h.r, "uuid"); {
	case uuid == 0:
		if free := h.free[writer]; len(free) > 0 {
			s.Uuid, h.free[writer] = free[0], free[1:]
		}
	case uuid < 3:
		s.Uuid = h.newID()
		if s.GetType() == prescription && uuid == 1 {
			h.pickable[s.GetUuid()] = true
		}
	}
	// Where the app can see others' samples, which of two versions is left is theirs to see.
	if r := h.roles[s.GetType()]; !isObjectType(s.GetType()) && len(s.GetMembers()) == 0 && r != open && r != since && rapid.IntRange(0, 2).Draw(h.r, "synced") == 0 {
		synced(s, rapid.IntRange(1, 3).Draw(h.r, "version"))
	}
	return s
}

// ids are UUIDs that are somewhere.
func (h *history) ids() (all []pair) {
	for _, id := range h.colliding {
		all = append(all, pair{texts: [2]string{id, id}})
	}
	for _, name := range everyType() {
		all = append(all, h.hidden[name]...)
		all = append(all, h.seen[name]...)
	}
	return all
}

// visit has another app ask, in both stores or in one, and keeps what it is given: the
// app may try it.
func (h *history) visit(i int, bundleID string, typeName string) {
	h.twins[i].as(bundleID, func(ctx context.Context, c *client.Client) error {
		if h.locked {
			return c.SetUpdates(ctx, typeName, pb.Frequency_FREQUENCY_IMMEDIATE)
		}
		changes, err := c.Health().QueryChanges(ctx, &pb.QueryChangesRequest{Type: typeName, Limit: 1})
		if err != nil {
			return err
		}
		samples, err := c.Health().QuerySamples(ctx, &pb.QuerySamplesRequest{Types: []string{typeName}, Limit: 5})
		if err != nil {
			return err
		}
		for _, text := range append(payloadTokens(samples), changes.GetAnchor()) {
			// The other store gave nobody anything like it.
			p := pair{of: typeName}
			p.texts[i], p.texts[1-i] = text, "A"+strings.Repeat("b", max(0, len(text)-1))
			h.foreign = append(h.foreign, p)
		}
		return nil
	})
}

func payloadTokens(samples *pb.QuerySamplesResponse) (tokens []string) {
	for _, s := range samples.GetSamples() {
		if s.GetPayloadToken() != "" {
			tokens = append(tokens, s.GetPayloadToken())
		}
	}
	return tokens
}

// call asks both stores the same and compares all of the answers.
func (h *history) call(w *wire, method protoreflect.MethodDescriptor, m proto.Message, told []pair, second proto.Message) (a, b protoreflect.Message, err error) {
	var bodies [2][]byte
	for i, one := range []proto.Message{m, second} {
		bodies[i] = must[[]byte](h.r)(w.encode(one))
	}
	return h.send(w, string(method.Name()), bodies, typeOf(method.Output()), told)
}

// send asks with bodies as they are.
func (h *history) send(w *wire, method string, bodies [2][]byte, of protoreflect.MessageType, told []pair) (a, b protoreflect.Message, err error) {
	var answers [2]*answer
	var errs [2]error
	h.each(func(i int, t *twin) { answers[i], errs[i] = w.send(w, t.channel, method, bodies[i]) })
	for _, err := range errs {
		if err != nil {
			return nil, nil, err
		}
	}
	if err := h.names.same(w, answers[0], answers[1], of, told); err != nil {
		return nil, nil, err
	}
	a, _ = w.decode(answers[0], of)
	b, _ = w.decode(answers[1], of)
	if a != nil {
		h.answered[method]++
	} else {
		h.failed[method]++
	}
	return a, b, nil
}

// sameUpdates waits until as many updates of each type came to the app in both stores, and
// no more for a while: what is not acknowledged comes again, in both. Which of them share a
// message depends on when the daemon looks.
func (h *history) sameUpdates() {
	const quiet = 8 * pushPace
	var last [2]int
	calm := time.Now()
	for deadline := calm.Add(20 * time.Second); ; time.Sleep(pushPace / 5) {
		a, b := h.twins[0].told(), h.twins[1].told()
		if len(a) != last[0] || len(b) != last[1] {
			last, calm = [2]int{len(a), len(b)}, time.Now()
		}
		same := slices.EqualFunc(a, b, func(x, y *pb.Update) bool { return x.GetType() == y.GetType() })
		if same && time.Since(calm) > quiet {
			for i := range a {
				if err := h.names.meet("token", pair{texts: [2]string{a[i].GetToken(), b[i].GetToken()}}); err != nil {
					h.r.Fatalf("updates: %v", err)
				}
			}
			break
		}
		if time.Now().After(deadline) {
			h.r.Fatalf("updates:\n%v\nnot\n%v", a, b)
		}
	}
	h.each(func(_ int, w *twin) { w.forgetTold() })
}

// pushPace is how often the daemon tells of changes at most.
const pushPace = 50 * time.Millisecond
