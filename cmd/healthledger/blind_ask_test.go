package main

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"
)

// tellsAsked are the methods whose answers say what the owner was asked, which is no
// secret: the app has asked. What he answered is one.
var tellsAsked = []string{"GetRequestStatus", "QueryPreferredUnits"}

// ask makes a call of any method over any wire, and goes on from its answer.
func (h *history) ask(method protoreflect.MethodDescriptor, missing bool) error {
	w := rapid.SampledFrom(wires).Draw(h.r, "wire")
	m := h.drawer.request(method, missing)
	told := h.drawer.told
	if slices.Contains(tellsAsked, string(method.Name())) && h.namesSplit(m) {
		return nil
	}
	second := h.drawer.forSecond(m)
	if method.Name() == "AckUpdates" && len(told) > 0 && !h.locked {
		// What is acknowledged before it was told is never told: let it be told in both.
		h.sameUpdates()
	}
	for range 4 {
		a, b, err := h.call(w, method, m, told, second)
		if err != nil {
			return fmt.Errorf("%s over %s\n%v\n%v:\n%w", method.Name(), w.name, m, second, err)
		}
		if !goesOn(m, second, a, b) {
			break
		}
	}
	return nil
}

// namesSplit says whether a request names a type about which the owner of one store only
// was asked.
func (h *history) namesSplit(m proto.Message) bool {
	text := fmt.Sprint(m)
	for name, r := range h.roles {
		if r == split && strings.Contains(text, name) {
			return true
		}
	}
	return strings.Contains(text, "HKQuantityTypeIdentifierStepCount") && h.roles["stepCount"] == split
}

// goesOn puts what an answer gave for the next call into the requests.
func goesOn(a, b proto.Message, fromA, fromB protoreflect.Message) bool {
	if fromA == nil {
		return false
	}
	found := false
	for to, from := range map[protoreflect.Name]protoreflect.Name{"page_token": "next_page_token", "anchor": "anchor"} {
		in, out := a.ProtoReflect().Descriptor().Fields().ByName(to), fromA.Descriptor().Fields().ByName(from)
		if in == nil || out == nil || fromA.Get(out).String() == "" {
			continue
		}
		a.ProtoReflect().Set(in, fromA.Get(out))
		b.ProtoReflect().Set(in, fromB.Get(fromB.Descriptor().Fields().ByName(from)))
		found = true
	}
	return found
}

// misuse sends what no client of the service would.
func (h *history) misuse() error {
	w := rapid.SampledFrom(wires).Draw(h.r, "wire")
	to := h.drawMethod()
	method := string(to.Name())
	wrong := *w
	var body []byte
	switch rapid.IntRange(0, 7).Draw(h.r, "what is wrong") {
	case 0:
		body = []byte{0xff, 0xff, 0xff}
	case 1:
		body = []byte(`{"type":`)
	case 2:
		body = []byte(`{"typ":1}`)
	case 3:
		wrong.contentType = "text/plain"
	case 4:
		body = make([]byte, 1<<20)
	case 5:
		method = "NoSuchMethod"
	case 6:
		body = make([]byte, 300)
		rand.New(rand.NewSource(rapid.Int64().Draw(h.r, "seed"))).Read(body)
	case 7:
	}
	_, _, err := h.send(&wrong, method, [2][]byte{body, body}, typeOf(to.Output()), nil)
	if err != nil {
		return fmt.Errorf("%s over %s, %q: %w", method, wrong.name, shorten(body), err)
	}
	return nil
}
