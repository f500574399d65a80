package health_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	"healthledger/proto/health/healthtest"
	pb "healthledger/proto/healthledger/v1"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"
)

// corruption spoils one field of a sample.
type corruption struct {
	what  string
	apply func()
}

// corruptions returns every way to spoil one field of a message or of one inside of it
// that no reader may let pass: numbers that are none, texts that are none, times too
// fine, fields of another version.
func corruptions(m protoreflect.Message, path string) (list []corruption) {
	add := func(what string, apply func()) { list = append(list, corruption{path + what, apply}) }
	if ts, ok := m.Interface().(*timestamppb.Timestamp); ok {
		add(" too fine", func() { ts.Nanos |= 1 })
		return list
	}
	add(" from the future", func() {
		m.SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1))
	})
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		at := path + "." + fd.JSONName()
		spoilt, ok := spoil(fd)
		switch {
		case fd.IsList() && fd.Message() != nil:
			for i := range v.List().Len() {
				list = append(list, corruptions(v.List().Get(i).Message(), at)...)
			}
		case fd.Message() != nil:
			list = append(list, corruptions(v.Message(), at)...)
		case ok && fd.IsList():
			list = append(list, corruption{at, func() { v.List().Set(v.List().Len()-1, spoilt) }})
		case ok:
			list = append(list, corruption{at, func() { m.Set(fd, spoilt) }})
		}
		return true
	})
	return list
}

// spoil returns a value that a field must not have. Locations may miss some numbers.
func spoil(fd protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
	switch fd.Kind() {
	case protoreflect.DoubleKind:
		optional := fd.Parent().Name() == "Locations" && !strings.HasSuffix(string(fd.Name()), "itude")
		if fd.Name() == "altitude" || optional {
			return protoreflect.ValueOfFloat64(math.Inf(1)), true
		}
		return protoreflect.ValueOfFloat64(math.NaN()), true
	case protoreflect.StringKind:
		return protoreflect.ValueOfString("\xff"), true
	}
	return protoreflect.Value{}, false
}

func TestEveryCorruptionOfAFieldIsRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ty := healthtest.Type(t)
		s := proto.CloneOf(healthtest.Sample(t, ty))
		all := corruptions(s.ProtoReflect(), "sample")
		c := rapid.SampledFrom(all).Draw(t, "corruption")
		c.apply()
		_, err := health.Columns([]*pb.Sample{healthtest.Example(ty, 1), s}, healthtest.Importer)
		var fe *health.FieldError
		if !errors.As(err, &fe) {
			t.Fatalf("%s of a %s: %v", c.what, ty, err)
		}
		if fe.Index != 1 || fe.Field == "" || fe.Why == "" || !utf8.ValidString(fe.Error()) {
			t.Fatalf("%s of a %s: unclear: %#v", c.what, ty, fe)
		}
	})
}

func TestEveryCorruptionOfABodyIsRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ty := healthtest.Type(t)
		columns, err := health.Columns([]*pb.Sample{healthtest.Sample(t, ty)}, healthtest.Importer)
		if err != nil {
			t.Fatal(err)
		}
		if len(columns[0].Body) == 0 {
			return
		}
		body, err := health.ParseBody(columns[0].Body[0])
		if err != nil {
			t.Fatal(err)
		}
		c := rapid.SampledFrom(corruptions(body.ProtoReflect(), "body")).Draw(t, "corruption")
		c.apply()
		if columns[0].Body[0], err = health.AppendBody(nil, body); err != nil {
			return // what is not UTF-8 has no encoding
		}
		var fe *health.FieldError
		if err := health.Validate(columns, healthtest.Importer); !errors.As(err, &fe) || fe.Field == "" || fe.Why == "" {
			t.Fatalf("%s of a %s: accepted, or unclear: %v", c.what, ty, err)
		}
	})
}

func TestBodiesHoldNothingOfTheColumns(t *testing.T) {
	for what, body := range map[string]*pb.Sample{
		"uuid": {Uuid: "x"}, "start": {Start: at(0)}, "value": {Value: num(0)}, "token": {PayloadToken: "x"}, "ghost": {Ghost: &pb.Ghost{}}, "nothing": {},
	} {
		columns, err := health.Columns([]*pb.Sample{whole["workout"]()}, health.Policy{})
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := health.AppendBody(nil, body)
		if err != nil {
			t.Fatal(err)
		}
		columns[0].Body[0] = append(columns[0].Body[0], encoded...)
		var fe *health.FieldError
		err = health.Validate(columns, health.Policy{})
		if refused := errors.As(err, &fe) && fe.Field == "body"; refused == (what == "nothing") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func benchmarkColumns(b *testing.B, typ string) {
	var samples []*pb.Sample
	for n := range 100 {
		ty, _ := catalog.Lookup(typ)
		samples = append(samples, healthtest.Example(ty, n))
	}
	columns, err := health.Columns(samples, healthtest.Importer)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := health.Validate(columns, healthtest.Importer); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*100/b.Elapsed().Seconds()/1e3, "Ksamples/s")
}

func BenchmarkValidateFood(b *testing.B)     { benchmarkColumns(b, "food") }
func BenchmarkValidateWorkouts(b *testing.B) { benchmarkColumns(b, "workout") }

// Whatever an attacker makes of the bytes of a body, it is refused or it is in normal form.
func FuzzValidateBody(f *testing.F) {
	for _, ty := range catalog.All() {
		columns, err := health.Columns([]*pb.Sample{healthtest.Example(ty, 3)}, healthtest.Importer)
		if err != nil {
			f.Fatalf("%s: %v", ty, err)
		}
		c := columns[0]
		body := []byte{}
		if len(c.Body) > 0 {
			body = c.Body[0]
		}
		for _, row := range health.Rows(c) {
			f.Add(ty.Code, row.Start, row.End-row.Start, body, false)
			f.Add(ty.Code, row.Start, row.End-row.Start, body, true)
		}
	}
	f.Fuzz(func(t *testing.T, code uint32, start, duration int64, body []byte, fromImporter bool) {
		ty, ok := catalog.ByCode(code)
		if !ok {
			return
		}
		c := &pb.SampleColumns{Type: code, Unit: ty.Unit, Tick: 1, Start: []int64{start}, Duration: []int64{duration}, Body: [][]byte{body}}
		if ty.Kind.HasNumber() {
			c.Mantissa = []int64{1}
		}
		p := health.Policy{Importer: fromImporter}
		if health.Validate([]*pb.SampleColumns{c}, p) != nil {
			return
		}
		samples := unpack(t, []*pb.SampleColumns{c})
		again, err := health.Columns(samples, p)
		if err != nil {
			t.Fatal(err)
		}
		if d := diff(samples, unpack(t, again)); d != "" {
			t.Fatal(d)
		}
		for range health.Implausible(nil, again) {
		}
	})
}
