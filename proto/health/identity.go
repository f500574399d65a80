package health

import (
	"math"
	"strconv"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// The metadata keys by which a later save replaces an earlier one (spec 3.5).
const (
	syncIdentifier = "SyncIdentifier"
	syncVersion    = "SyncVersion"
)

// SyncOf returns the sync identifier and version among the metadata of a sample, of
// either family of raw keys. Of several it takes the first. It is false unless both are
// there, the identifier is a text with something in it, and the version is a whole
// number, as a number or as decimal text. An importer's sample may have only one of
// them, or something else in its place: then it has none, and its metadata are kept.
//
// Within (app, type, identifier) a strictly greater version replaces what is stored;
// an equal or lower one is ignored, and the save still succeeds.
func SyncOf(entries []*pb.MetadataEntry) (identifier string, version int64, ok bool) {
	i, v := find(entries, syncIdentifier), find(entries, syncVersion)
	if i == nil || i.GetText() == "" || v == nil {
		return "", 0, false
	}
	version, ok = whole(v)
	if !ok {
		return "", 0, false
	}
	return i.GetText(), version, true
}

// IdentityOf returns by what a sample of the type is recognised when it is saved again,
// and whether it is at all. A later save with the same app, type, source and identity,
// but other content, replaces the one before:
//
//   - characteristics: there is one of a type; the identity is empty
//   - activity summaries: the day, "2024-05-01"
//   - medications: the concept
//
// The body is what ParseBody made of a checked row. Other types have no identity, and
// may be saved any number of times.
func IdentityOf(t *catalog.Type, body *pb.Sample) (identity string, ok bool) {
	switch t.Kind {
	case catalog.Characteristic:
		return "", true
	case catalog.Summary:
		return body.GetActivitySummary().GetDay(), true
	case catalog.UserAnnotated:
		return body.GetMedication().GetConcept(), true
	}
	return "", false
}

// ObjectName is what an object of a type that is granted object by object is known by within
// (app, type), as it stands in pb.ObjectName; "" for other types. A medication and its doses
// have one name, so that who may read it may read them, and it stays the same when the
// medication is saved again.
func ObjectName(t *catalog.Type, source *pb.Source, id [16]byte, body *pb.Sample) string {
	switch {
	case !t.PerObject:
		return ""
	case t.Kind == catalog.UserAnnotated:
		return body.GetMedication().GetConcept()
	case t.GrantedThrough() != t:
		return body.GetMedicationDoseEvent().GetMedication()
	}
	return string(id[:]) + source.GetApp()
}

// find returns the first entry whose key has this name in either family, nil for none.
func find(entries []*pb.MetadataEntry, name string) *pb.MetadataEntry {
	for _, e := range entries {
		if catalog.IsMetadataKey(e.GetKey(), name) {
			return e
		}
	}
	return nil
}

// whole returns the whole number that an entry holds, as a number or as decimal text.
func whole(e *pb.MetadataEntry) (int64, bool) {
	switch v := e.GetValue().(type) {
	case *pb.MetadataEntry_Number:
		n := v.Number
		return int64(n), n == math.Trunc(n) && math.Abs(n) <= maxMantissa
	case *pb.MetadataEntry_Text:
		n, err := strconv.ParseInt(v.Text, 10, 64)
		return n, err == nil && v.Text == strconv.FormatInt(n, 10)
	}
	return 0, false
}
