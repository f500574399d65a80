package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// healthMethods are all methods that apps have.
func healthMethods() []protoreflect.MethodDescriptor {
	var all []protoreflect.MethodDescriptor
	methods := pb.File_healthledger_v1_health_proto.Services().ByName("HealthService").Methods()
	for i := range methods.Len() {
		all = append(all, methods.Get(i))
	}
	return all
}

// drawMethod draws by name, which is what a failure shows.
func (h *history) drawMethod() protoreflect.MethodDescriptor {
	var names []string
	for _, m := range healthMethods() {
		names = append(names, string(m.Name()))
	}
	return healthMethod(rapid.SampledFrom(names).Draw(h.r, "method"))
}

func healthMethod(name string) protoreflect.MethodDescriptor {
	return pb.File_healthledger_v1_health_proto.Services().ByName("HealthService").Methods().ByName(protoreflect.Name(name))
}

func typeOf(d protoreflect.MessageDescriptor) protoreflect.MessageType {
	t, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		panic(err)
	}
	return t
}

// drawer makes requests of any method from nothing but the schema. What a value may mean
// it takes from the name of its field; a field that it does not know is filled all the same.
type drawer struct {
	h *history
	// seen are the fields that a request of the history had.
	seen map[protoreflect.FullName]bool
	// told are the texts of the request that differ between the stores.
	told []pair
}

// reach limits how deep messages lie in each other.
const reach = 5

// request draws one. With missing it has a field that no request had so far.
func (d *drawer) request(method protoreflect.MethodDescriptor, missing bool) proto.Message {
	d.told = nil
	m := typeOf(method.Input()).New()
	d.fill(m, 0, missing)
	d.note(m)
	return m.Interface()
}

// note remembers which fields a message has.
func (d *drawer) note(m protoreflect.Message) {
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		d.seen[field.FullName()] = true
		switch {
		case field.Message() == nil:
		case field.IsList():
			for i := range v.List().Len() {
				d.note(v.List().Get(i).Message())
			}
		default:
			d.note(v.Message())
		}
		return true
	})
}

// unseen are the fields that a message can have and that no request had.
func (d *drawer) unseen(of protoreflect.MessageDescriptor, been map[protoreflect.FullName]bool) (unseen []protoreflect.FieldDescriptor) {
	if been[of.FullName()] || of.FullName().Parent() == "google.protobuf" {
		return nil
	}
	been[of.FullName()] = true
	for i := range of.Fields().Len() {
		field := of.Fields().Get(i)
		if !d.seen[field.FullName()] {
			unseen = append(unseen, field)
		}
		if field.Message() != nil {
			unseen = append(unseen, d.unseen(field.Message(), been)...)
		}
	}
	return unseen
}

// leads says whether a field, or one behind it, is unseen.
func (d *drawer) leads(field protoreflect.FieldDescriptor) bool {
	return !d.seen[field.FullName()] ||
		field.Message() != nil && len(d.unseen(field.Message(), map[protoreflect.FullName]bool{field.ContainingMessage().FullName(): true})) > 0
}

func (d *drawer) fill(m protoreflect.Message, depth int, missing bool) {
	fields := m.Descriptor().Fields()
	forced := -1
	if missing {
		var open []int
		for i := range fields.Len() {
			if d.leads(fields.Get(i)) {
				open = append(open, i)
			}
		}
		if len(open) > 0 {
			forced = rapid.SampledFrom(open).Draw(d.h.r, "missing field")
			// Seen from here on, so that the way to it does not lead in circles.
			d.seen[fields.Get(forced).FullName()] = true
		}
	}
	for i := range fields.Len() {
		field := fields.Get(i)
		if i == forced || !d.wanted(field, depth) || forced >= 0 && sameOneof(field, fields.Get(forced)) {
			continue
		}
		d.set(m, field, depth, false)
	}
	if forced >= 0 {
		d.set(m, fields.Get(forced), depth, true)
	}
}

func sameOneof(a, b protoreflect.FieldDescriptor) bool {
	return a.ContainingOneof() != nil && a.ContainingOneof() == b.ContainingOneof()
}

// wanted draws whether a field is set: what only a lucky request has a use for, seldom.
func (d *drawer) wanted(field protoreflect.FieldDescriptor, depth int) bool {
	of10 := 4
	switch {
	case field.Message() != nil && depth >= reach:
		return false
	case slices.Contains([]protoreflect.Name{"type", "types", "request_id", "samples", "payload_token", "upload", "deletions", "read", "tokens", "frequency"}, field.Name()):
		of10 = 9
	case opaque[field.Name()] || field.Name() == "unit" || field.Name() == "time_zone" || field.Name() == "page_token" || field.Name() == "predicate" || field.ContainingOneof() != nil:
		of10 = 1
	}
	return rapid.IntRange(0, 9).Draw(d.h.r, "set") < of10
}

func (d *drawer) set(m protoreflect.Message, field protoreflect.FieldDescriptor, depth int, missing bool) {
	if !field.IsList() {
		m.Set(field, d.value(field, depth, missing))
		if of := m.Descriptor().Fields().ByName("type"); field.Name() == "payload_token" && of != nil && len(d.told) > 0 {
			if last := d.told[len(d.told)-1]; last.of != "" {
				m.Set(of, protoreflect.ValueOfString(last.of))
			}
		}
		return
	}
	list := m.Mutable(field).List()
	for i := range rapid.IntRange(1, 3).Draw(d.h.r, "how many") {
		list.Append(d.value(field, depth, missing && i == 0))
	}
}

func (d *drawer) value(field protoreflect.FieldDescriptor, depth int, missing bool) protoreflect.Value {
	r := d.h.r
	switch field.Kind() {
	case protoreflect.MessageKind:
		return d.part(field.Message(), depth+1, missing)
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(d.text(field.Name()))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(d.bytes(field.Name()))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(missing || rapid.Bool().Draw(r, "bool"))
	case protoreflect.EnumKind:
		last := field.Enum().Values().Len() - 1
		n := rapid.IntRange(1, last+1).Draw(r, "enum")
		if n > last {
			n = 77
		}
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(n))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(rapid.SampledFrom([]float64{1, 60.5, 99, -1, 1e12, math.Inf(1)}).Draw(r, "double"))
	case protoreflect.Uint32Kind:
		if field.Name() == "wait_ms" {
			return protoreflect.ValueOfUint32(rapid.SampledFrom([]uint32{1, 15, 60_001}).Draw(r, "wait"))
		}
		return protoreflect.ValueOfUint32(rapid.SampledFrom([]uint32{1, 2, 3, 50, 1000, 1 << 31}).Draw(r, "uint32"))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(rapid.SampledFrom([]uint64{1, 2, 1 << 40}).Draw(r, "uint64"))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind:
		return protoreflect.ValueOfInt64(rapid.SampledFrom([]int64{1, 2, -1, 1_710_000_000}).Draw(r, "int64"))
	}
	r.Fatalf("no values for %v of %s", field.Kind(), field.FullName())
	return protoreflect.Value{}
}

// part draws a message within another: a good one where that takes more than luck.
func (d *drawer) part(of protoreflect.MessageDescriptor, depth int, missing bool) protoreflect.Value {
	r := d.h.r
	switch {
	case of.FullName() == "google.protobuf.Timestamp":
		return protoreflect.ValueOfMessage(d.time().ProtoReflect())
	case missing || rapid.IntRange(0, 9).Draw(r, "as it comes") == 0:
	case of.FullName() == "healthledger.v1.Sample":
		return protoreflect.ValueOfMessage(d.h.ownSample().ProtoReflect())
	case of.FullName() == "healthledger.v1.SampleColumns":
		if columns, err := health.Columns([]*pb.Sample{d.h.ownSample()}, health.Policy{}); err == nil && len(columns) > 0 {
			return protoreflect.ValueOfMessage(columns[0].ProtoReflect())
		}
	}
	m := typeOf(of).New()
	d.fill(m, depth, missing)
	return protoreflect.ValueOfMessage(m)
}

func (d *drawer) time() *timestamppb.Timestamp {
	r := d.h.r
	switch rapid.IntRange(0, 15).Draw(r, "what time") {
	case 0:
		return &timestamppb.Timestamp{Seconds: 1, Nanos: 1}
	case 1:
		return &timestamppb.Timestamp{Seconds: rapid.SampledFrom([]int64{-62_135_596_800, 253_402_300_799, 0}).Draw(r, "far")}
	}
	return timestamppb.New(d.h.drawTime().Add(time.Duration(rapid.IntRange(-1, 1).Draw(r, "a little")) * time.Microsecond))
}

// vocabulary are values for texts whose field's name says what they mean.
var vocabulary = map[protoreflect.Name][]string{
	"unit":        {"count", "count/min", "kcal", "mmHg", "furlong", "%"},
	"time_zone":   {"Europe/Berlin", "America/New_York", "Mars/Olympus"},
	"key":         {"HKWasUserEntered", "HKMetadataKeySyncIdentifier", "HKMetadataKeySyncVersion", "note"},
	"app":         {blindApp, otherApp, "com.example.nobody"},
	"name":        sourceNames,
	"values":      {"asleepCore", "1", "inBed", "nothing"},
	"names":       {"cycling", "running", "sinusRhythm", "nothing"},
	"text":        {"s1", "s2", "a"},
	"next":        {""},
	"description": {"x"},
}

func (d *drawer) text(name protoreflect.Name) string {
	r := d.h.r
	switch name {
	case "type", "types", "share", "read":
		return d.h.drawTypeName()
	case "uuid", "uuids", "workout", "correlation":
		return d.opaque("uuid", d.h.ids())
	case "page_token", "next_page_token":
		return d.opaque("next_page_token", d.h.foreign)
	case "payload_token", "anchor", "receipt", "token":
		return d.opaque(name, d.h.foreign)
	case "tokens":
		return d.opaque("token", d.h.foreign)
	}
	known, ok := vocabulary[name]
	if !ok {
		known = []string{"x", "Watch", "cycling", "sinusRhythm", "2024-03-10", strings.Repeat("long", 80)}
	}
	return rapid.SampledFrom(known).Draw(r, string(name))
}

// opaque draws what the app was given before, in this field or in any, what others were
// given, and what nobody was.
func (d *drawer) opaque(name protoreflect.Name, others []pair) string {
	r, found := d.h.r, d.h.names.found
	var from []pair
	whose := rapid.IntRange(0, 9).Draw(r, "whose")
	if whose == 1 && name == "uuid" {
		whose = 4 // the error would hold a part of the token
	}
	switch whose {
	case 0:
		return rapid.SampledFrom([]string{"AAAA", strings.Repeat("A", 100), "6ba7b810-9dad-41d1-80b4-00c04fd430c8", "x"}).Draw(r, "nobody's")
	case 1:
		from = found[rapid.SampledFrom([]protoreflect.Name{"uuid", "payload_token", "next_page_token", "anchor", "receipt", "token"}).Draw(r, "another")]
	case 2, 3:
		from = others
	default:
		from = found[name]
	}
	if from = from[max(0, len(from)-20):]; len(from) == 0 {
		return "AAAA"
	}
	p := rapid.SampledFrom(from).Draw(r, "given before")
	d.told = append(d.told, p)
	return p.texts[0]
}

// id is one for a request that no other has.
func (d *drawer) id() []byte {
	d.h.saves++
	return []byte(fmt.Sprintf("own %12d", d.h.saves))
}

func (d *drawer) bytes(name protoreflect.Name) []byte {
	size := 16
	if rapid.IntRange(0, 9).Draw(d.h.r, "another size") == 0 {
		size = 3
	}
	b := make([]byte, size)
	b[0], b[1] = byte(len(name)), byte(rapid.IntRange(0, 5).Draw(d.h.r, "bytes"))
	return b
}

// forSecond is the request as the second store must get it: with what it calls the same.
func (d *drawer) forSecond(m proto.Message) proto.Message {
	m = proto.Clone(m)
	renames := map[string]string{}
	for _, p := range d.told {
		renames[p.texts[0]] = p.texts[1]
	}
	rename(m.ProtoReflect(), renames)
	return m
}

func rename(m protoreflect.Message, renames map[string]string) {
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case field.Kind() == protoreflect.MessageKind && field.IsList():
			for i := range v.List().Len() {
				rename(v.List().Get(i).Message(), renames)
			}
		case field.Kind() == protoreflect.MessageKind:
			rename(v.Message(), renames)
		case field.Kind() == protoreflect.StringKind && field.IsList():
			for i := range v.List().Len() {
				if to, ok := renames[v.List().Get(i).String()]; ok {
					v.List().Set(i, protoreflect.ValueOfString(to))
				}
			}
		case field.Kind() == protoreflect.StringKind:
			if to, ok := renames[v.String()]; ok {
				m.Set(field, protoreflect.ValueOfString(to))
			}
		}
		return true
	})
}
