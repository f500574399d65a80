package healthtest

import (
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"

	"pgregory.net/rapid"
)

// metadata draws the entries of a sample: those that the type requires, some that
// HealthKit predefines, some of the app's own, and the two of a synchronised sample.
func (m maker) metadata(ty *catalog.Type) []*pb.MetadataEntry {
	var list []*pb.MetadataEntry
	for _, name := range ty.Requires {
		list = append(list, m.predefined(ty, name))
	}
	for range m.between("entries", 0, 2) {
		if m.maybe("own key") {
			list = append(list, m.free(rapid.SampledFrom([]string{"x", "健康", "HKFoo"}).Draw(m.T, "key")))
			continue
		}
		k := rapid.SampledFrom(catalog.MetadataKeys()).Draw(m.T, "predefined key")
		if k.Name != "SyncIdentifier" && k.Name != "SyncVersion" {
			list = append(list, m.predefined(ty, k.Name))
		}
	}
	if m.maybe("synchronised") {
		list = append(list, m.predefined(ty, "SyncIdentifier"), m.predefined(ty, "SyncVersion"))
	}
	return list
}

// predefined draws an entry of a predefined key, with what it should hold or, brought by
// an importer, as text.
func (m maker) predefined(ty *catalog.Type, name string) *pb.MetadataEntry {
	key := rapid.SampledFrom([]string{"HK", "HKMetadataKey"}).Draw(m.T, "family") + name
	if !m.app && m.maybe("as text") {
		return text(key, "1")
	}
	k, _ := catalog.LookupMetadata(key)
	switch k.Type {
	case catalog.Date:
		return m.date(key)
	case catalog.Boolean:
		return number(key, float64(m.between("boolean", 0, 1)))
	case catalog.Enum:
		return number(key, float64(rapid.SampledFrom(k.Values).Draw(m.T, "enum").Number))
	case catalog.Number:
		return number(key, float64(m.between("number", 0, 1000)))
	case catalog.Measure:
		unit := k.Unit
		if unit == "" {
			unit = ty.Unit
		}
		if unit == "" {
			unit = "count"
		}
		return measure(key, m.real(), unit)
	}
	return text(key, m.some("metadata text"))
}

// free draws an entry that may hold anything.
func (m maker) free(key string) *pb.MetadataEntry {
	switch m.between("kind of entry", 0, 3) {
	case 0:
		return text(key, m.text("text"))
	case 1:
		return number(key, m.real())
	case 2:
		return m.date(key)
	default:
		return measure(key, m.real(), "kcal/hr·kg")
	}
}

func (m maker) date(key string) *pb.MetadataEntry {
	return &pb.MetadataEntry{Key: key, Value: &pb.MetadataEntry_Date{Date: health.Timestamp(m.time("date", minMicros, maxMicros))}}
}

func text(key, value string) *pb.MetadataEntry {
	return &pb.MetadataEntry{Key: key, Value: &pb.MetadataEntry_Text{Text: value}}
}

func number(key string, value float64) *pb.MetadataEntry {
	return &pb.MetadataEntry{Key: key, Value: &pb.MetadataEntry_Number{Number: value}}
}

// measure makes a quantity, which is never -0 in its normal form.
func measure(key string, value float64, unit string) *pb.MetadataEntry {
	return &pb.MetadataEntry{Key: key, Value: &pb.MetadataEntry_Quantity{Quantity: &pb.Quantity{Value: value + 0, Unit: unit}}}
}

// kept draws what an importer did not understand; an app keeps nothing.
func (m maker) kept() []*pb.Kept {
	if m.app || !m.maybe("kept") {
		return nil
	}
	return []*pb.Kept{{Format: "apple-health-xml", Name: "@" + m.some("attribute"), Value: m.text("kept")}}
}
