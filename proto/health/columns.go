package health

import (
	"strconv"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const whyNilUUID = "the nil UUID names nothing"

// Columns checks every sample and packs them, one set of columns for each
// (type, unit, source, has a creation date, has a UUID, has a body) in order of first
// appearance, rows in order. It takes all or none: the error is a *FieldError
// for the first sample that is refused. Sources and metadata are shared with
// the samples, not copied.
func Columns(samples []*pb.Sample, p Policy) ([]*pb.SampleColumns, error) {
	if len(samples) == 0 {
		return nil, errEmpty()
	}
	pk := packer{builder: NewBuilder(), policy: p, rules: map[rulesKey]*Rules{}}
	for i, s := range samples {
		if err := pk.add(s); err != nil {
			err.Index = i
			return nil, err
		}
	}
	return pk.builder.Take(), nil
}

type packer struct {
	builder *Builder
	policy  Policy
	rules   map[rulesKey]*Rules
	lastKey rulesKey
	last    *Rules
}

type rulesKey struct {
	typ  *catalog.Type
	unit string
}

func (pk *packer) add(s *pb.Sample) *FieldError {
	var row Row
	t, err := pk.row(s, &row)
	if err != nil {
		return err
	}
	source, err := pk.source(s.Source)
	if err != nil {
		return err
	}
	pk.builder.add(t, s.Unit, source, &row)
	return nil
}

// row checks everything of a sample but its source, and fills in the row.
func (pk *packer) row(s *pb.Sample, row *Row) (*catalog.Type, *FieldError) {
	if s == nil {
		return nil, refuse("sample", "", "missing")
	}
	if hasUnknown(s) {
		return nil, refuse("sample", "", whyUnknown)
	}
	if s.PayloadToken != "" {
		return nil, refuse("payloadToken", "", whyLedger)
	}
	if s.Ghost != nil {
		return nil, refuse("ghost", "", whyLedger)
	}
	t, ok := catalog.Lookup(s.Type)
	if !ok {
		return nil, refuse("type", s.Type, "no such type")
	}
	rules, err := pk.rulesOf(rulesKey{t, s.Unit})
	if err != nil {
		return nil, err
	}
	if *row, err = parseRow(t, s); err != nil {
		return nil, err
	}
	if err := rules.check(row); err != nil {
		return nil, err
	}
	row.Body, err = pk.body(t, row, s)
	return t, err
}

func (pk *packer) rulesOf(key rulesKey) (*Rules, *FieldError) {
	if pk.last != nil && key == pk.lastKey {
		return pk.last, nil
	}
	r := pk.rules[key]
	if r == nil {
		var err *FieldError
		if r, err = newRules(key.typ, key.unit, pk.policy); err != nil {
			return nil, err
		}
		pk.rules[key] = r
	}
	pk.last, pk.lastKey = r, key
	return r, nil
}

// source numbers a source; its texts are checked when they first appear.
func (pk *packer) source(s *pb.Source) (uint32, *FieldError) {
	if s == nil {
		return pk.builder.source(nil), nil
	}
	// These two do not show in the content by which sources are compared.
	if hasUnknown(s) || s.Device != nil && hasUnknown(s.Device) {
		return 0, checkSource(s, pk.policy)
	}
	b := pk.builder
	b.scratch = appendSource(b.scratch[:0], s)
	if id, ok := b.byContent[string(b.scratch)]; ok {
		return id, nil
	}
	if err := checkSource(s, pk.policy); err != nil {
		return 0, err
	}
	return b.newSource(s), nil
}

func parseRow(t *catalog.Type, s *pb.Sample) (r Row, err *FieldError) {
	if s.Start == nil {
		return r, refuse("start", "", "missing")
	}
	if r.Start, err = parseTimestamp("start", s.Start); err != nil {
		return r, err
	}
	r.End = r.Start
	if s.End != nil {
		if r.End, err = parseTimestamp("end", s.End); err != nil {
			return r, err
		}
	}
	if s.Created != nil {
		r.HasCreated = true
		if r.Created, err = parseTimestamp("created", s.Created); err != nil {
			return r, err
		}
	}
	if r.Value, err = parseValue(t, s); err != nil {
		return r, err
	}
	if s.Uuid != "" {
		r.HasUUID = true
		if r.UUID, err = parseUUID(s.Uuid); err != nil {
			return r, err
		}
	}
	if len(s.Metadata) > 0 {
		r.Metadata = &pb.Metadata{Entries: s.Metadata}
	}
	return r, nil
}

func parseUUID(text string) ([16]byte, *FieldError) {
	id, err := uuid.Parse(text)
	switch {
	case err != nil || len(text) != 36:
		return id, refuse("uuid", text, "not the canonical text of a UUID")
	case id == uuid.Nil:
		return id, refuse("uuid", text, whyNilUUID)
	}
	return id, nil
}

// period reads the times of a part of a sample. Without an end it is a point; both may
// be missing.
func period(from, to *timestamppb.Timestamp) (start, end int64, err *FieldError) {
	if from != nil {
		if start, err = parseTimestamp("start", from); err != nil {
			return 0, 0, err
		}
	}
	end = start
	if to != nil {
		if end, err = parseTimestamp("end", to); err != nil {
			return 0, 0, err
		}
	}
	if from != nil && end < start {
		return 0, 0, refuse("end", show(end), "before the start")
	}
	return start, end, nil
}

func parseTimestamp(field string, ts *timestamppb.Timestamp) (int64, *FieldError) {
	if hasUnknown(ts) {
		return 0, refuse(field, "", whyUnknown)
	}
	t, why := micros(ts)
	if why != "" {
		return 0, refuse(field, showTimestamp(ts), why)
	}
	return t, nil
}

// parseValue returns the number of a quantity or of a category's value or label.
func parseValue(t *catalog.Type, s *pb.Sample) (float64, *FieldError) {
	if !t.Kind.HasNumber() && s.Value != nil {
		return 0, refuse("value", strconv.FormatFloat(*s.Value, 'g', -1, 64), "objects of "+t.Short()+" have no value")
	}
	if t.Kind != catalog.Category {
		if s.Label != "" {
			return 0, refuse("label", s.Label, "only a category has a label")
		}
		if s.Value == nil && t.Kind.HasNumber() {
			return 0, refuse("value", "", "missing")
		}
		return s.GetValue(), nil
	}
	if s.Label == "" {
		if s.Value == nil {
			return 0, refuse("value", "", "a category needs a value or a label")
		}
		return *s.Value + 0, nil // never -0, which would cost its column the decimals
	}
	n, ok := t.Value(s.Label)
	if !ok {
		return 0, refuse("label", s.Label, "not a value of "+t.Short())
	}
	if s.Value != nil && *s.Value != float64(n) {
		return 0, refuse("label", s.Label, "means "+strconv.Itoa(n)+", but the value is "+
			strconv.FormatFloat(*s.Value, 'g', -1, 64))
	}
	return float64(n), nil
}
