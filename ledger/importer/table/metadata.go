package table

import (
	"strings"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// metadata reads the columns of metadata that are not empty. HealthKit's keys hold what
// they hold there: a number, a date, "418 cm", yes or no, or one of the words of the key. Others
// hold texts.
func (r *rows) metadata(s *pb.Sample, cells []string) error {
	for _, field := range r.fields {
		key, ok := strings.CutPrefix(field, metadataPrefix)
		if !ok {
			continue
		}
		text := r.cell(field, cells)
		if text == "" {
			continue
		}
		e := &pb.MetadataEntry{Key: key}
		if why := r.entry(e, text); why != "" {
			return r.flaw(field, cells, why)
		}
		s.Metadata = append(s.Metadata, e)
	}
	return nil
}

// entry sets the value of an entry, or says why it cannot.
func (r *rows) entry(e *pb.MetadataEntry, text string) (why string) {
	k, known := catalog.LookupMetadata(e.Key)
	if !known || k.Type == catalog.Text {
		e.Value = &pb.MetadataEntry_Text{Text: text}
		return ""
	}
	if k.Type == catalog.Date {
		t, err := r.date(text, r.zone)
		if err != nil {
			return err.Error()
		}
		e.Value = &pb.MetadataEntry_Date{Date: health.Timestamp(t.UnixMicro())}
		return ""
	}
	if k.Type == catalog.Measure {
		amount, unit, _ := strings.Cut(text, " ")
		v, err := number(amount, r.mapping.Decimal)
		if err != nil || unit == "" {
			return "not a quantity, as in 418 cm"
		}
		e.Value = &pb.MetadataEntry_Quantity{Quantity: &pb.Quantity{Value: v, Unit: strings.TrimSpace(unit)}}
		return ""
	}
	v, err := number(text, r.mapping.Decimal)
	if err != nil {
		n, ok := truths[strings.ToLower(text)]
		if k.Type == catalog.Enum {
			n, ok = k.Value(text)
		}
		if !ok || k.Type == catalog.Number {
			return "not a number, nor a word that this key has"
		}
		v = float64(n)
	}
	e.Value = &pb.MetadataEntry_Number{Number: v}
	return ""
}

// truths are the words for a boolean.
var truths = map[string]int{"true": 1, "yes": 1, "false": 0, "no": 0}
