package healthautoexport

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	pb "healthledger/proto/healthledger/v1"
)

// maker makes documents out of elements like those of the fixtures, with fields missing,
// of other types, or unknown. Unknown texts are all different, so that none can get lost
// unseen.
type maker struct {
	*rapid.T
	marks    []string
	elements map[string]int
}

func (m *maker) chance(percent int, label string) bool {
	return rapid.IntRange(1, 100).Draw(m.T, label) <= percent
}

func (m *maker) mark() string {
	text := fmt.Sprintf("mark-%d-\u00e9", len(m.marks))
	m.marks = append(m.marks, text)
	return text
}

// spoil changes an object at random; objects in it too.
func (m *maker) spoil(object map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(object)) {
		switch inner := object[key].(type) {
		case map[string]any:
			m.spoil(inner)
		case []any:
			for _, one := range inner {
				if o, ok := one.(map[string]any); ok && m.chance(30, "inside") {
					m.spoil(o)
				}
			}
		}
		if m.chance(5, "missing") {
			delete(object, key)
		} else if m.chance(5, "other") {
			object[key] = rapid.SampledFrom([]any{nil, true, 1e300, "", []any{}, map[string]any{}, "no date", -3.5}).Draw(m.T, "value")
		}
	}
	if m.chance(30, "unknown") {
		object["unknown"] = m.mark()
	}
	if m.chance(10, "nested") {
		object["deep"] = map[string]any{"er": []any{m.mark()}}
	}
}

func (m *maker) document(fixtures []map[string]any) []byte {
	data := map[string]any{}
	for range rapid.IntRange(1, 6).Draw(m.T, "parts") {
		fixture := rapid.SampledFrom(fixtures).Draw(m.T, "fixture")
		section := rapid.SampledFrom(slices.Sorted(maps.Keys(fixture))).Draw(m.T, "section")
		elements := fixture[section].([]any)
		if len(elements) == 0 {
			continue
		}
		element := copyOf(elements[rapid.IntRange(0, len(elements)-1).Draw(m.T, "element")]).(map[string]any)
		if section != "metrics" {
			m.spoil(element)
			m.elements["all"]++
		} else {
			for _, point := range element["data"].([]any) {
				m.spoil(point.(map[string]any))
				m.elements["all"]++
			}
			if m.chance(10, "of the metric") {
				element["unit_system"] = m.mark()
				m.elements["all"]++
			}
		}
		list, _ := data[section].([]any)
		data[section] = append(list, element)
	}
	if m.chance(20, "a new section") {
		data["dreams"] = []any{map[string]any{"of": m.mark()}, 7}
		m.elements["all"] += 2
	}
	return shuffled(map[string]any{"data": data, "workouts": []any{}}, rand.New(rand.NewPCG(rapid.Uint64().Draw(m.T, "order"), 1)))
}

func copyOf(v any) any {
	raw, _ := json.Marshal(v)
	var copied any
	_ = json.Unmarshal(raw, &copied)
	return copied
}

// shuffled writes JSON with the fields of objects in any order.
func shuffled(v any, order *rand.Rand) []byte {
	switch v := v.(type) {
	case map[string]any:
		keys := slices.Sorted(maps.Keys(v))
		order.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		fields := make([][]byte, len(keys))
		for i, key := range keys {
			fields[i] = append(append(quote(key), " : "...), shuffled(v[key], order)...)
		}
		return slices.Concat([]byte("{ "), bytes.Join(fields, []byte(", ")), []byte("\n}"))
	case []any:
		elements := make([][]byte, len(v))
		for i, one := range v {
			elements[i] = shuffled(one, order)
		}
		return slices.Concat([]byte("["), bytes.Join(elements, []byte(",")), []byte("]"))
	}
	raw, _ := json.Marshal(v)
	return raw
}

func fixtures(t testing.TB) (all []map[string]any) {
	for _, name := range []string{"v1.json", "v2.json"} {
		var document struct{ Data map[string]any }
		if err := json.Unmarshal([]byte(file(t, name)), &document); err != nil {
			t.Fatal(err)
		}
		all = append(all, document.Data)
	}
	return all
}

func TestNothingGetsLost(t *testing.T) {
	from := fixtures(t)
	rapid.Check(t, func(rt *rapid.T) {
		m := &maker{T: rt, elements: map[string]int{}}
		document := m.document(from)
		var all bytes.Buffer
		var samples []*pb.Sample
		report, err := Parse(bytes.NewReader(document), func(s *pb.Sample) error {
			samples = append(samples, s)
			raw, err := proto.Marshal(s)
			all.Write(raw)
			return err
		}, Options{})
		if err != nil {
			rt.Fatalf("%v\n%s", err, document)
		}
		checkReport(t, report, samples)
		if c := report.Total(); c.Found != uint64(m.elements["all"]) {
			rt.Errorf("%d elements were found of %d\n%s", c.Found, m.elements["all"], document)
		}
		for _, mark := range m.marks {
			if bytes.Contains(document, []byte(mark)) && !bytes.Contains(all.Bytes(), []byte(mark)) {
				rt.Errorf("%s got lost\n%s", mark, document)
			}
		}
	})
}

// content of the samples of a document, in an order of its own.
func content(t testing.TB, document []byte) []string {
	t.Helper()
	samples, _ := mustParse(t, string(document))
	list := make([]string, len(samples))
	for i, s := range samples {
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		list[i] = string(raw)
	}
	return list
}

func TestTheOrderOfFieldsMeansNothing(t *testing.T) {
	for _, name := range []string{"v1.json", "v2.json"} {
		var document any
		if err := json.Unmarshal([]byte(file(t, name)), &document); err != nil {
			t.Fatal(err)
		}
		// Sections come in any order too, so samples are compared as a set; what is kept as it
		// came has its fields as they came.
		plain := func(raw []byte) []string {
			list := content(t, raw)
			list = slices.DeleteFunc(list, func(s string) bool { return strings.Contains(s, Format) })
			slices.Sort(list)
			return list
		}
		want := plain(shuffled(document, rand.New(rand.NewPCG(1, 1))))
		for seed := range uint64(20) {
			if got := plain(shuffled(document, rand.New(rand.NewPCG(seed, 2)))); !slices.Equal(got, want) {
				t.Fatalf("%s: other samples with seed %d", name, seed)
			}
		}
	}
}

func TestTheSameDocumentGivesTheSameSamples(t *testing.T) {
	document := file(t, "v2.json")
	var spaced bytes.Buffer
	if err := json.Indent(&spaced, []byte(document), "   ", "\t"); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(content(t, []byte(document)), content(t, []byte(document))) {
		t.Error("two readings differ")
	}
	if len(content(t, spaced.Bytes())) != len(content(t, []byte(document))) {
		t.Error("spaces matter")
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"v1.json", "v2.json"} {
		f.Add([]byte(file(f, name)))
	}
	for _, seed := range []string{
		`{"data":{"metrics":[{"data":[{"qty":1}],"name":"step_count"}]}}`, `{"data":{"ecg":[{"voltageMeasurements":[[]]}]}}`, `{"data":[1]}`, `{"metrics":[1,"",null,{}]}`,
		"{\"workouts\":[{\"start\":0,\"end\":1,\"name\":\"\xff\\ud800\",\"route\":[{}]}]}", `{"symptoms":[{"a":1,"a":2,"\u0061":3}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		var samples []*pb.Sample
		report, _ := Parse(bytes.NewReader(document), func(s *pb.Sample) error {
			samples = append(samples, s)
			return nil
		}, Options{})
		checkReport(t, report, samples)
	})
}
