package health

import (
	"math"
	"strconv"
	"time"

	"healthledger/proto/catalog"
	"healthledger/proto/unit"
)

// Rules are what samples of one type in one unit must obey. They are prepared
// once for many rows; Columns and Validate both go by them.
type Rules struct {
	typ    *catalog.Type
	policy Policy
	// toCanonical converts a quantity; its result has to be finite.
	toCanonical unit.Conversion
	converts    bool
	// values has a bit for each number of a category.
	values uint64
	// maxDuration in microseconds; 0 means any.
	maxDuration int64
}

// NewRules prepares the rules for a type and a unit as the producer wrote it.
// It fails with a *FieldError for types that may not be saved under the policy
// and for units that do not fit the type.
func NewRules(t *catalog.Type, unitText string, p Policy) (*Rules, error) {
	r, err := newRules(t, unitText, p)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func newRules(t *catalog.Type, unitText string, p Policy) (*Rules, *FieldError) {
	if t.ReadOnly && !p.Importer {
		return nil, refuse("type", t.Short(), "only the system writes this type, apps may not")
	}
	r := &Rules{typ: t, policy: p, maxDuration: t.MaxDuration.Microseconds()}
	if !t.Kind.HasUnit() {
		if unitText != "" {
			return nil, refuse("unit", unitText, "objects of "+t.Short()+" have no unit")
		}
		if t.Kind != catalog.Category {
			return r, nil
		}
		for _, v := range t.Values {
			r.values |= 1 << v.Number
		}
		return r, nil
	}
	if unitText == "" {
		return nil, refuse("unit", "", "a quantity needs a unit compatible with "+t.Unit)
	}
	given, err := unit.Parse(unitText)
	if err != nil {
		return nil, refuse("unit", unitText, err.Error())
	}
	canonical, err := unit.Parse(t.Unit)
	if err != nil {
		return nil, refuse("unit", t.Unit, err.Error())
	}
	if r.toCanonical, err = unit.Between(given, canonical); err != nil {
		return nil, refuse("unit", unitText, "not compatible with "+t.Unit)
	}
	r.converts = !r.toCanonical.IsIdentity()
	return r, nil
}

// Check says whether a row may be saved; the error is a *FieldError with index 0.
func (r *Rules) Check(row Row) error {
	if err := r.check(&row); err != nil {
		return err
	}
	return nil
}

func (r *Rules) check(row *Row) *FieldError {
	if row.Start < minMicros || row.Start > maxMicros {
		return refuse("start", show(row.Start), whyRange)
	}
	if row.End < minMicros || row.End > maxMicros {
		return refuse("end", show(row.End), whyRange)
	}
	if err := r.checkDuration(row.Start, row.End); err != nil {
		return err
	}
	if r.typ.Kind.HasNumber() {
		if err := r.checkValue(row.Value); err != nil {
			return err
		}
	}
	if row.HasCreated && (row.Created < minMicros || row.Created > maxMicros) {
		return refuse("created", show(row.Created), whyRange)
	}
	if row.HasUUID && row.UUID == ([16]byte{}) {
		return refuse("uuid", "", whyNilUUID)
	}
	if err := checkMetadata(r.typ, row.Metadata.GetEntries(), r.policy); err != nil {
		return err
	}
	return r.checkRequired(row.Metadata.GetEntries())
}

// checkDuration takes times within the years 1 to 9999.
func (r *Rules) checkDuration(start, end int64) *FieldError {
	switch duration := end - start; {
	case duration < 0:
		return refuse("end", show(end), "before the start")
	case r.typ.PointOnly && duration != 0:
		return refuse("end", show(end), r.typ.Short()+" is a point in time: the end must equal the start")
	case r.maxDuration > 0 && duration > r.maxDuration:
		return refuse("end", show(end), "a sample of "+r.typ.Short()+" may last "+
			strconv.FormatFloat(r.typ.MaxDuration.Hours(), 'f', -1, 64)+" hours, this one lasts "+
			(time.Duration(min(duration, math.MaxInt64/1000))*time.Microsecond).String())
	}
	return nil
}

// allows is checkValue without the reason, for the loop over a column.
func (r *Rules) allows(v float64) bool {
	if r.values != 0 {
		return v >= 0 && v < 64 && v == float64(int(v)) && r.values>>uint(v)&1 != 0
	}
	if r.converts {
		v = r.toCanonical.Apply(v)
	}
	return v-v == 0 // false for NaN and infinities
}

func (r *Rules) checkValue(v float64) *FieldError {
	if r.allows(v) {
		return nil
	}
	shown := strconv.FormatFloat(v, 'g', -1, 64)
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return refuse("value", shown, "not a finite number")
	case r.values != 0:
		return refuse("value", shown, "not a value of "+r.typ.Short())
	default:
		return refuse("value", shown, "too large for the unit "+r.typ.Unit)
	}
}
