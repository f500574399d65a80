package health

import (
	"math"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"

	"pgregory.net/rapid"
)

// saveable types, read-only ones included.
var saveable = func() []*catalog.Type {
	var list []*catalog.Type
	for _, t := range catalog.All() {
		if t.Kind == catalog.Quantity || t.Kind == catalog.Category {
			list = append(list, t)
		}
	}
	return list
}()

var importer = Policy{ReadOnly: true}

func anyText(t *rapid.T, label string) string {
	return rapid.SampledFrom([]string{"", "a", "Anna’s Apple\u00a0Watch", "6,2", "健康"}).Draw(t, label)
}

func anySource(t *rapid.T) *pb.Source {
	if rapid.Bool().Draw(t, "no source") {
		return nil
	}
	s := &pb.Source{Name: anyText(t, "name"), Version: anyText(t, "version"), OsVersion: anyText(t, "os")}
	if rapid.Bool().Draw(t, "device") {
		s.Device = &pb.Device{Name: "x" + anyText(t, "device name"), HardwareVersion: anyText(t, "hardware")}
		if rapid.Bool().Draw(t, "other") {
			s.Device.Other = []string{"creation date:2024", anyText(t, "more") + "!"}
		}
	}
	return s
}

func anyTime(t *rapid.T, label string, from, to int64) int64 {
	tick := rapid.SampledFrom([]int64{1, 1000, 1_000_000}).Draw(t, label+" tick")
	if rapid.Bool().Draw(t, label+" today") {
		if a, b := max(from, 1_700_000_000_000_000), min(to, 1_700_086_400_000_000); a <= b {
			from, to = a, b
		}
	}
	return min(to, max(from, rapid.Int64Range(from, to).Draw(t, label)/tick*tick))
}

func anyValue(t *rapid.T) float64 {
	switch rapid.IntRange(0, 4).Draw(t, "kind of value") {
	case 0:
		return float64(rapid.IntRange(-1000, 100_000).Draw(t, "whole"))
	case 1:
		return float64(rapid.IntRange(-1_000_000, 1_000_000).Draw(t, "hundredths")) / 100
	case 2:
		return rapid.Float64Range(-1e12, 1e12).Draw(t, "real")
	case 3:
		return rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1 << 53, 1<<53 + 2, -(1 << 53), 1e-22, 1e22, 5e-324, 0.1, 1.0 / 3}).Draw(t, "edge")
	default:
		return float64(rapid.Int64Range(-1<<53, 1<<53).Draw(t, "mantissa")) / math.Pow10(rapid.IntRange(0, 22).Draw(t, "exponent"))
	}
}

func anyMetadata(t *rapid.T, ty *catalog.Type) []*pb.MetadataEntry {
	var list []*pb.MetadataEntry
	for _, name := range ty.Requires {
		list = append(list, entry(rapid.SampledFrom([]string{"HK", "HKMetadataKey"}).Draw(t, "family")+name, "1"))
	}
	for range rapid.IntRange(0, 2).Draw(t, "entries") {
		e := &pb.MetadataEntry{Key: rapid.SampledFrom([]string{"HKTimeZone", "HKWasUserEntered", "x"}).Draw(t, "key")}
		switch rapid.IntRange(0, 3).Draw(t, "kind of entry") {
		case 0:
			e.Value = &pb.MetadataEntry_Text{Text: anyText(t, "text")}
		case 1:
			e.Value = &pb.MetadataEntry_Number{Number: anyValue(t)}
		case 2:
			e.Value = &pb.MetadataEntry_Date{Date: Timestamp(anyTime(t, "date", minMicros, maxMicros))}
		default:
			e.Value = &pb.MetadataEntry_Quantity{Quantity: &pb.Quantity{Value: anyValue(t), Unit: "kcal/hr·kg"}}
		}
		list = append(list, e)
	}
	return list
}

func entry(key, text string) *pb.MetadataEntry {
	return &pb.MetadataEntry{Key: key, Value: &pb.MetadataEntry_Text{Text: text}}
}

// anySample makes a sample in the form in which Sample gives it back.
func anySample(t *rapid.T, types []*catalog.Type) *pb.Sample {
	ty := rapid.SampledFrom(types).Draw(t, "type")
	longest := maxMicros - minMicros
	switch {
	case ty.PointOnly:
		longest = 0
	case ty.MaxDuration > 0:
		longest = ty.MaxDuration.Microseconds()
	}
	row := Row{Start: anyTime(t, "start", minMicros, maxMicros)}
	row.End = row.Start
	if rapid.Bool().Draw(t, "lasts") && longest > 0 {
		row.End = anyTime(t, "end", row.Start, min(maxMicros, row.Start+longest))
	}
	if row.HasCreated = rapid.Bool().Draw(t, "has created"); row.HasCreated {
		row.Created = anyTime(t, "created", minMicros, maxMicros)
	}
	if row.HasUUID = rapid.Bool().Draw(t, "has uuid"); row.HasUUID {
		row.UUID = [16]byte{15: 1, 0: rapid.Byte().Draw(t, "uuid")}
	}
	if ty.Kind == catalog.Category {
		row.Value = float64(rapid.SampledFrom(ty.Values).Draw(t, "category value").Number)
	} else {
		row.Value = anyValue(t)
	}
	if list := anyMetadata(t, ty); len(list) > 0 {
		row.Metadata = &pb.Metadata{Entries: list}
	}
	return Sample(ty, ty.Unit, anySource(t), row)
}

func anySamples(t *rapid.T) []*pb.Sample {
	types := []*catalog.Type{}
	for range rapid.IntRange(1, 3).Draw(t, "types") {
		types = append(types, rapid.SampledFrom(saveable).Draw(t, "one of the types"))
	}
	list := make([]*pb.Sample, rapid.IntRange(1, 20).Draw(t, "samples"))
	for i := range list {
		list[i] = anySample(t, types)
	}
	return list
}

// unpack turns columns into samples.
func unpack(columns []*pb.SampleColumns) (list []*pb.Sample) {
	for _, c := range columns {
		ty, _ := catalog.ByCode(c.Type)
		for _, row := range Rows(c) {
			list = append(list, Sample(ty, c.Unit, c.Source, row))
		}
	}
	return list
}
