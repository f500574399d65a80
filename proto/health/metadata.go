package health

import (
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/unit"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const whyUnknown = "a field that this version does not know"

// hasUnknown says whether a message carries fields this version cannot read.
// They are refused, since keeping only the rest would lose data silently.
func hasUnknown(m protoreflect.ProtoMessage) bool {
	return len(m.ProtoReflect().GetUnknown()) > 0
}

// checkMetadata checks the entries of one sample, or of a part of one.
func checkMetadata(t *catalog.Type, entries []*pb.MetadataEntry, p Policy) *FieldError {
	if len(entries) == 0 {
		return nil
	}
	if len(entries) > MaxEntries {
		return refuse("metadata", strconv.Itoa(len(entries)), "more than "+strconv.Itoa(MaxEntries)+" entries")
	}
	for _, e := range entries {
		if err := checkEntry(e); err != nil {
			return err
		}
	}
	if n := proto.Size(&pb.Metadata{Entries: entries}); n > MaxMetadata {
		return refuse("metadata", strconv.Itoa(n), "more than "+strconv.Itoa(MaxMetadata)+" bytes")
	}
	if p.Importer {
		return nil
	}
	return checkPredefined(t, entries)
}

func checkEntry(e *pb.MetadataEntry) *FieldError {
	key := e.GetKey()
	bad := func(value, why string) *FieldError {
		return refuse("metadata["+shorten(key)+"]", value, why)
	}
	switch {
	case key == "":
		return bad("", "the key is missing")
	case len(key) > MaxKey:
		return bad("", "the key has more than "+strconv.Itoa(MaxKey)+" bytes")
	case !utf8.ValidString(key):
		return bad("", "the key is not UTF-8")
	case hasUnknown(e):
		return bad("", whyUnknown)
	}
	switch v := e.Value.(type) {
	case *pb.MetadataEntry_Text:
		if v != nil && !utf8.ValidString(v.Text) {
			return bad(v.Text, "not UTF-8")
		}
		if v != nil {
			return nil
		}
	case *pb.MetadataEntry_Number:
		if v != nil && !finite(v.Number) {
			return bad(strconv.FormatFloat(v.Number, 'g', -1, 64), "not a finite number")
		}
		if v != nil {
			return nil
		}
	case *pb.MetadataEntry_Date:
		if v != nil && v.Date != nil {
			return checkDate(v.Date, bad)
		}
	case *pb.MetadataEntry_Quantity:
		if v != nil && v.Quantity != nil {
			return checkQuantity(v.Quantity, bad)
		}
	}
	return bad("", "the value is missing")
}

func checkDate(ts *timestamppb.Timestamp, bad func(value, why string) *FieldError) *FieldError {
	if hasUnknown(ts) {
		return bad("", whyUnknown)
	}
	if _, why := micros(ts); why != "" {
		return bad(showTimestamp(ts), why)
	}
	return nil
}

func checkQuantity(q *pb.Quantity, bad func(value, why string) *FieldError) *FieldError {
	if hasUnknown(q) {
		return bad("", whyUnknown)
	}
	if !finite(q.Value) {
		return bad(strconv.FormatFloat(q.Value, 'g', -1, 64), "not a finite number")
	}
	if _, err := unit.Parse(q.Unit); err != nil {
		return bad(q.Unit, err.Error())
	}
	return nil
}

// checkRequired checks that the type's mandatory metadata are there (spec 3.4).
func (r *Rules) checkRequired(entries []*pb.MetadataEntry) *FieldError {
next:
	for _, name := range r.typ.Requires {
		for _, e := range entries {
			if catalog.IsMetadataKey(e.GetKey(), name) {
				continue next
			}
		}
		return refuse("metadata[HK"+name+"]", "", "missing; every sample of "+r.typ.Short()+" needs it")
	}
	return nil
}

// appendMetadata appends a form of checked entries by which equal metadata are
// found. It is used in memory only.
func appendMetadata(b []byte, entries []*pb.MetadataEntry) []byte {
	for _, e := range entries {
		b = appendText(b, e.GetKey())
		switch v := e.GetValue().(type) {
		case *pb.MetadataEntry_Text:
			b = appendText(append(b, 't'), v.Text)
		case *pb.MetadataEntry_Number:
			b = binary.LittleEndian.AppendUint64(append(b, 'n'), math.Float64bits(v.Number))
		case *pb.MetadataEntry_Date:
			b = binary.AppendVarint(append(b, 'd'), v.Date.GetSeconds())
			b = binary.AppendVarint(b, int64(v.Date.GetNanos()))
		case *pb.MetadataEntry_Quantity:
			b = binary.LittleEndian.AppendUint64(append(b, 'q'), math.Float64bits(v.Quantity.GetValue()))
			b = appendText(b, v.Quantity.GetUnit())
		default:
			b = append(b, '-')
		}
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
