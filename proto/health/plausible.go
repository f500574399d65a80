package health

import (
	"iter"
	"math"
	"sort"
	"strconv"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/unit"
)

// Implausible yields what Collect accepted but nobody believes: every value outside of
// the range that its type has in the catalogue, those of members and of series included.
// HealthKit has no such ranges; whether it is a warning or a refusal is the owner's
// choice. The arguments are those of a call to Collect that succeeded, and indices count
// as there; the errors may be kept. A payload that went ahead is not looked at.
func Implausible(samples []*pb.Sample, columns []*pb.SampleColumns) iter.Seq[*FieldError] {
	return func(yield func(*FieldError) bool) {
		d := doubts{known: map[rulesKey]*limits{}, yield: yield}
		for i, s := range samples {
			d.index = i
			if !d.sample(s) {
				return
			}
		}
		d.first = len(samples)
		for _, c := range columns {
			if !d.columns(c) {
				return
			}
			d.first += Count(c)
		}
	}
}

// doubts looks for implausible values. Its methods are false if no more are wanted.
type doubts struct {
	yield func(*FieldError) bool
	known map[rulesKey]*limits
	// What the row before was, which the next one mostly is too.
	lastType, lastUnit string
	last               *catalog.Type
	lastLimits         *limits
	// first is the index of the first sample of the columns, index that of the sample.
	first, index int
}

// limits are the range of a type, for values in some unit.
type limits struct {
	typ     *catalog.Type
	unit    string
	convert unit.Conversion
	// decimals are the lowest and the highest mantissa within the range, by exponent.
	decimals [maxExponent + 1]*[2]int64
}

func (l *limits) allow(v float64) bool {
	v = l.convert.Apply(v)
	return v >= l.typ.Plausible.Min && v <= l.typ.Plausible.Max
}

// mantissas returns the lowest and the highest mantissa that is within the range.
// Conversions keep the order, so that a bisection finds them.
func (l *limits) mantissas(exponent uint32) (low, high int64) {
	if known := l.decimals[exponent]; known != nil {
		return known[0], known[1]
	}
	divisor := math.Pow10(int(exponent))
	first := func(is func(v float64) bool) int64 {
		return int64(sort.Search(2*maxMantissa+1, func(m int) bool {
			return is(l.convert.Apply(float64(m-maxMantissa) / divisor))
		})) - maxMantissa
	}
	low = first(func(v float64) bool { return v >= l.typ.Plausible.Min })
	high = first(func(v float64) bool { return v > l.typ.Plausible.Max }) - 1
	l.decimals[exponent] = &[2]int64{low, high}
	return low, high
}

// limits returns the limits of a type for a unit that fits, nil if it has none.
func (d *doubts) limits(t *catalog.Type, text string) *limits {
	if t.Plausible == nil {
		return nil
	}
	key := rulesKey{t, text}
	l := d.known[key]
	if l == nil {
		l = &limits{typ: t, unit: text}
		// Both units were parsed before, the one by validation, the other by a test.
		given, _ := unit.Parse(text)
		of, _ := unit.Parse(t.Plausible.Unit)
		l.convert, _ = unit.Between(given, of)
		d.known[key] = l
	}
	return l
}

func (d *doubts) value(l *limits, field string, v float64) bool {
	if l.allow(v) {
		return true
	}
	r := l.typ.Plausible
	err := refuse(field, decimal(v)+" "+l.unit, "a "+l.typ.Short()+" is hardly outside of "+decimal(r.Min)+" to "+decimal(r.Max)+" "+r.Unit)
	err.Index = d.index
	return d.yield(err)
}

// sample looks at a row, or at a member.
func (d *doubts) sample(s *pb.Sample) bool {
	if s.GetType() != d.lastType || s.GetUnit() != d.lastUnit || d.last == nil {
		t, ok := catalog.Lookup(s.GetType())
		if !ok {
			return true
		}
		d.lastType, d.lastUnit, d.last, d.lastLimits = s.GetType(), s.GetUnit(), t, d.limits(t, s.GetUnit())
	}
	if l := d.lastLimits; l != nil && !d.value(l, "value", s.GetValue()) {
		return false
	}
	return len(s.Members)+len(s.Payload) == 0 || d.body(d.last, s.Unit, s)
}

// body looks at the members of a body and at the series that came with it.
func (d *doubts) body(t *catalog.Type, text string, b *pb.Sample) bool {
	for i, m := range b.GetMembers() {
		if !d.member(i, m) {
			return false
		}
	}
	l := d.limits(t, text)
	if l == nil {
		return true
	}
	for i, c := range b.GetPayload() {
		for _, v := range c.GetQuantities().GetValue() {
			if !l.allow(v) && !d.value(l, "payload["+strconv.Itoa(i)+"].quantities.value", v) {
				return false
			}
		}
	}
	return true
}

func (d *doubts) member(i int, m *pb.Sample) bool {
	inner := doubts{known: d.known, index: d.index, yield: func(err *FieldError) bool {
		return d.yield(in("members["+strconv.Itoa(i)+"]", err))
	}}
	return inner.sample(m)
}

// columns looks at all values at once first, since nearly always all are plausible.
func (d *doubts) columns(c *pb.SampleColumns) bool {
	t, ok := catalog.ByCode(c.GetType())
	if !ok {
		return true
	}
	l := d.limits(t, c.Unit)
	if l != nil && !l.allowAll(c) {
		for i, row := range Rows(c) {
			d.index = d.first + i
			if !d.value(l, "value", row.Value) {
				return false
			}
		}
	}
	if l == nil && t.Kind != catalog.Correlation && t.Kind != catalog.Workout {
		return true
	}
	for i, body := range c.Body {
		d.index = d.first + i
		b, err := ParseBody(body)
		if err == nil && !d.body(t, c.Unit, b) {
			return false
		}
	}
	return true
}

// allowAll says whether all values of checked columns are within the range.
func (l *limits) allowAll(c *pb.SampleColumns) bool {
	for _, v := range c.Real {
		if !l.allow(v) {
			return false
		}
	}
	low, high := l.mantissas(c.Exponent)
	// Negative as soon as one is outside. No branch: this runs over every sample saved.
	var outside, mantissa int64
	for _, delta := range c.Mantissa {
		mantissa += delta
		outside |= (mantissa - low) | (high - mantissa)
	}
	return outside >= 0
}
