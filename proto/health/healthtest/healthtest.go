// Package healthtest makes random valid samples of every type, for property tests.
//
// A sample is drawn in its normal form: what [health.Sample] gives back after
// [health.Columns] and [health.Rows]. [Sample] draws what an importer may bring: what the
// system writes, what was kept of a document, metadata as text. [AppSample] draws what
// an app may save. Both fill whatever the type has: members, metadata, payload.
//
//	rapid.Check(t, func(t *rapid.T) {
//		s := healthtest.Sample(t, healthtest.Type(t))
//		…
//	})
package healthtest

import (
	"math"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// Importer is the policy under which a [Sample] is accepted.
var Importer = health.Policy{Importer: true}

// Type draws any type of the catalogue.
func Type(t *rapid.T) *catalog.Type {
	return rapid.SampledFrom(catalog.All()).Draw(t, "type")
}

// AppType draws a type that an app may save.
func AppType(t *rapid.T) *catalog.Type {
	return rapid.SampledFrom(catalog.All()).Filter(func(ty *catalog.Type) bool { return !ty.ReadOnly }).Draw(t, "type")
}

// Sample draws a sample of the type as an importer may bring it.
func Sample(t *rapid.T, ty *catalog.Type) *pb.Sample { return maker{t, false}.sample(ty) }

// AppSample draws a sample of the type as an app may save it.
func AppSample(t *rapid.T, ty *catalog.Type) *pb.Sample { return maker{t, true}.sample(ty) }

// Samples draws up to twenty samples of up to three types as an importer may bring them.
func Samples(t *rapid.T) []*pb.Sample {
	var types []*catalog.Type
	for range rapid.IntRange(1, 3).Draw(t, "types") {
		types = append(types, Type(t))
	}
	list := make([]*pb.Sample, rapid.IntRange(1, 20).Draw(t, "samples"))
	for i := range list {
		list[i] = Sample(t, rapid.SampledFrom(types).Draw(t, "one of the types"))
	}
	return list
}

// Example returns a valid sample of the type, always the same for a number: one of an
// app if apps may save the type, otherwise one of an importer.
func Example(ty *catalog.Type, n int) *pb.Sample {
	return rapid.Custom(func(t *rapid.T) *pb.Sample { return maker{t, !ty.ReadOnly}.sample(ty) }).Example(n)
}

// maker draws what one sample consists of.
type maker struct {
	*rapid.T
	app bool
}

func (m maker) sample(ty *catalog.Type) *pb.Sample {
	row := m.row(ty)
	s := health.Sample(ty, m.unit(ty), m.source(), row, m.body(ty, &row))
	if s.Unit == "" || ty.Unit == s.Unit {
		return s
	}
	*s.Value = float64(m.between("value", 0, 100)) // whatever the unit, not too much of it
	return s
}

// member is a sample inside of another, which has no label in its normal form.
func (m maker) member(ty *catalog.Type) *pb.Sample {
	s := m.sample(ty)
	s.Label = ""
	return s
}

func (m maker) row(ty *catalog.Type) health.Row {
	row := health.Row{Value: m.value(ty)}
	row.Start, row.End = m.period(ty)
	if row.HasCreated = m.maybe("has created"); row.HasCreated {
		row.Created = m.time("created", minMicros, maxMicros)
	}
	if row.HasUUID = m.maybe("has uuid"); row.HasUUID {
		row.UUID = m.uuid()
	}
	if list := m.metadata(ty); len(list) > 0 {
		row.Metadata = &pb.Metadata{Entries: list}
	}
	return row
}

func (m maker) uuid() [16]byte {
	return [16]byte{15: 1, 0: rapid.Byte().Draw(m.T, "uuid"), 1: rapid.Byte().Draw(m.T, "more uuid")}
}

func (m maker) uuidText() string { return uuid.UUID(m.uuid()).String() }

// The years that a sample may lie in.
const (
	minMicros = -62_135_596_800_000_000
	maxMicros = 253_402_300_799_999_999
)

// period draws start and end as far as the type leaves a choice.
func (m maker) period(ty *catalog.Type) (start, end int64) {
	switch ty.Kind {
	case catalog.Characteristic, catalog.UserAnnotated:
		return 0, 0
	case catalog.Summary:
		start = int64(m.between("day", -700_000, 2_900_000)) * day
		return start, start + day
	}
	start = m.time("start", minMicros, maxMicros)
	longest := int64(maxMicros - minMicros)
	if ty.MaxDuration > 0 {
		longest = ty.MaxDuration.Microseconds()
	}
	switch {
	case ty.PointOnly || !m.maybe("lasts"):
		return start, start
	case ty.MaxDuration == 0 && start <= health.DistantFuture && m.maybe("undetermined"):
		return start, health.DistantFuture
	}
	return start, m.time("end", start, min(maxMicros, start+longest))
}

const day = 86_400_000_000

// time draws a time within from and to, often of one day, often of whole seconds.
func (m maker) time(label string, from, to int64) int64 {
	tick := rapid.SampledFrom([]int64{1, 1000, 1_000_000}).Draw(m.T, label+" tick")
	if m.maybe(label + " today") {
		if a, b := max(from, 1_700_000_000_000_000), min(to, 1_700_000_000_000_000+day); a <= b {
			from, to = a, b
		}
	}
	return min(to, max(from, rapid.Int64Range(from, to).Draw(m.T, label)/tick*tick))
}

// value draws the number of a sample; it means nothing for kinds without one.
func (m maker) value(ty *catalog.Type) float64 {
	switch {
	case ty.Kind == catalog.Category:
		return float64(rapid.SampledFrom(ty.Values).Draw(m.T, "category value").Number)
	case !ty.Kind.HasNumber():
		return 0
	}
	return m.real()
}

// real draws any finite number, of the kinds that the columns tell apart.
func (m maker) real() float64 {
	switch m.between("kind of value", 0, 4) {
	case 0:
		return float64(m.between("whole", -1000, 100_000))
	case 1:
		return float64(m.between("hundredths", -1_000_000, 1_000_000)) / 100
	case 2:
		return rapid.Float64Range(-1e12, 1e12).Draw(m.T, "real")
	case 3:
		return rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1 << 53, 1<<53 + 2, -(1 << 53), 1e-22, 1e22, 5e-324, 0.1, 1.0 / 3}).Draw(m.T, "edge")
	default:
		return float64(rapid.Int64Range(-1<<53, 1<<53).Draw(m.T, "mantissa")) / math.Pow10(m.between("exponent", 0, 22))
	}
}

// otherUnits are some that convert into the canonical ones.
var otherUnits = map[string][]string{
	"m": {"km", "mi", "ft"}, "kcal": {"Cal", "kJ"}, "kg": {"lb", "g"}, "count/min": {"count/s"}, "count/s": {"count/min"},
	"degC": {"degF", "K"}, "mg/dL": {"mmol<180.1558800000541>/L"}, "mmHg": {"kPa"}, "min": {"hr", "s"}, "mL": {"fl_oz_us", "L"},
}

func (m maker) unit(ty *catalog.Type) string {
	if others := otherUnits[ty.Unit]; len(others) > 0 && m.maybe("other unit") {
		return rapid.SampledFrom(others).Draw(m.T, "unit")
	}
	return ty.Unit
}

func (m maker) maybe(label string) bool { return rapid.Bool().Draw(m.T, label) }

func (m maker) between(label string, from, to int) int {
	return rapid.IntRange(from, to).Draw(m.T, label)
}

func (m maker) text(label string) string {
	return rapid.SampledFrom([]string{"", "a", "Anna’s Apple\u00a0Watch", "6,2", "健康"}).Draw(m.T, label)
}

// some draws a text that is not empty.
func (m maker) some(label string) string { return "x" + m.text(label) }

// word draws a word of a vocabulary.
func (m maker) word(vocabulary string) string {
	v := catalog.Words(vocabulary)
	label, _ := v.Label(rapid.SampledFrom(v.Values).Draw(m.T, vocabulary).Number)
	return label
}

// source draws who measured, nil for nobody.
func (m maker) source() *pb.Source {
	if m.maybe("no source") {
		return nil
	}
	s := &pb.Source{Name: m.text("name"), Version: m.text("version"), OsVersion: m.text("os")}
	if !m.app && m.maybe("app") {
		s.App = "com.example." + m.some("app")
	}
	if m.maybe("device") {
		s.Device = &pb.Device{Name: m.some("device name"), HardwareVersion: m.text("hardware")}
		if m.maybe("other") {
			s.Device.Other = []string{"creation date:2024", m.some("more")}
		}
	}
	if proto.Size(s) == 0 {
		return nil
	}
	return s
}
