package health

import (
	"encoding/binary"
	"math"
	"strconv"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// Validate checks columns that came from outside as strictly as Columns checks
// rows; what it accepts may be given to Rows. The error is a *FieldError whose
// index runs over the samples of all columns in order; what concerns a whole
// column is reported at its first sample.
func Validate(columns []*pb.SampleColumns, p Policy) error {
	return validate(columns, p, 0)
}

func validate(columns []*pb.SampleColumns, p Policy, first int) error {
	if len(columns) == 0 {
		return errEmpty()
	}
	for _, c := range columns {
		if err := validateColumns(c, p); err != nil {
			err.Index += first
			return err
		}
		first += len(c.Start)
	}
	return nil
}

// validateColumns returns an error whose index counts within c.
func validateColumns(c *pb.SampleColumns, p Policy) *FieldError {
	if c == nil || len(c.Start) == 0 {
		return refuse("start", "", "the columns hold no samples")
	}
	if hasUnknown(c) {
		return refuse("columns", "", whyUnknown)
	}
	if len(c.Erased)+len(c.ErasedEnd) > 0 {
		return refuse("erased", "", whyLedger)
	}
	t, ok := catalog.ByCode(c.Type)
	if !ok {
		return refuse("type", strconv.FormatUint(uint64(c.Type), 10), "no type has this code")
	}
	rules, err := newRules(t, c.Unit, p)
	if err != nil {
		return err
	}
	if err := checkShape(t, c); err != nil {
		return err
	}
	if err := checkSource(c.Source, p); err != nil {
		return err
	}
	if err := rules.checkTimes(c); err != nil {
		return err
	}
	if err := rules.checkValues(c); err != nil {
		return err
	}
	if err := checkUUIDs(c); err != nil {
		return err
	}
	if err := rules.checkMetadataColumn(c); err != nil {
		return err
	}
	return checkBodies(t, c, p)
}

// checkShape checks the lengths of the columns and what they are read with.
func checkShape(t *catalog.Type, c *pb.SampleColumns) *FieldError {
	n := len(c.Start)
	for _, column := range [...]struct {
		name string
		got  int
		want int
	}{
		{"duration", len(c.Duration), n}, {"created", len(c.Created), n}, {"uuid", len(c.Uuid), 16 * n},
		{"metadataIndex", len(c.MetadataIndex), n}, {"mantissa", len(c.Mantissa), n}, {"real", len(c.Real), n},
		{"body", len(c.Body), n},
	} {
		if column.got != 0 && column.got != column.want {
			return refuse(column.name, strconv.Itoa(column.got), "has this length instead of "+strconv.Itoa(column.want))
		}
	}
	switch {
	case c.Tick != 1 && c.Tick != 1000 && c.Tick != 1_000_000:
		return refuse("tick", strconv.FormatUint(uint64(c.Tick), 10), "not 1, 1000 or 1000000 microseconds")
	case !t.Kind.HasNumber() && len(c.Mantissa)+len(c.Real) != 0:
		return refuse("value", "", "objects of "+t.Short()+" have no value")
	case t.Kind.HasNumber() && len(c.Mantissa) == 0 && len(c.Real) == 0:
		return refuse("mantissa", "", "the values are missing")
	case len(c.Mantissa) != 0 && len(c.Real) != 0:
		return refuse("real", "", "the values are there twice")
	case c.Exponent > maxExponent:
		return refuse("exponent", strconv.FormatUint(uint64(c.Exponent), 10), "more than "+strconv.Itoa(maxExponent))
	case c.Exponent != 0 && len(c.Mantissa) == 0:
		return refuse("exponent", strconv.FormatUint(uint64(c.Exponent), 10), "there are no mantissas")
	case len(c.Metadata) != 0 && len(c.MetadataIndex) == 0:
		return refuse("metadata", "", "no sample refers to it")
	case len(c.Metadata) > n:
		return refuse("metadata", strconv.Itoa(len(c.Metadata)), "more than there are samples")
	}
	return nil
}

// checkTimes keeps every sum within the years 1 to 9999, in ticks, by comparing
// each delta with the room that is left: nothing can overflow.
func (r *Rules) checkTimes(c *pb.SampleColumns) *FieldError {
	tick := int64(c.Tick)
	lowest, highest := minMicros/tick, maxMicros/tick // both round towards the epoch
	longest := int64(math.MaxInt64)
	switch {
	case r.typ.PointOnly:
		longest = 0
	case r.maxDuration > 0:
		longest = r.maxDuration / tick
	}
	var start int64
	for i, delta := range c.Start {
		if delta < lowest-start || delta > highest-start {
			return at(i, refuse("start", "", whyRange))
		}
		start += delta
		end := start
		if len(c.Duration) > 0 {
			duration := c.Duration[i]
			if duration < 0 {
				return at(i, refuse("end", show(start*tick), "before the start"))
			}
			if duration > highest-start {
				return at(i, refuse("end", "", whyRange))
			}
			end += duration
			if duration > longest {
				return at(i, r.checkDuration(start*tick, end*tick))
			}
		}
		if len(c.Created) > 0 && (c.Created[i] < lowest-end || c.Created[i] > highest-end) {
			return at(i, refuse("created", "", whyRange))
		}
	}
	return nil
}

func (r *Rules) checkValues(c *pb.SampleColumns) *FieldError {
	for i, v := range c.Real {
		if !r.allows(v) {
			return at(i, r.checkValue(v))
		}
	}
	divisor := math.Pow10(int(c.Exponent))
	// What a mantissa gives is finite; only a category or a conversion needs a look.
	each := r.values != 0 || r.converts
	var mantissa int64
	for i, delta := range c.Mantissa {
		if delta < -maxMantissa-mantissa || delta > maxMantissa-mantissa {
			return at(i, refuse("value", "", "the mantissa is beyond 2^53"))
		}
		mantissa += delta
		if each {
			if v := float64(mantissa) / divisor; !r.allows(v) {
				return at(i, r.checkValue(v))
			}
		}
	}
	return nil
}

func checkUUIDs(c *pb.SampleColumns) *FieldError {
	for i := 0; i < len(c.Uuid); i += 16 {
		if binary.LittleEndian.Uint64(c.Uuid[i:])|binary.LittleEndian.Uint64(c.Uuid[i+8:]) == 0 {
			return at(i/16, refuse("uuid", "", whyNilUUID))
		}
	}
	return nil
}

func (r *Rules) checkMetadataColumn(c *pb.SampleColumns) *FieldError {
	for n, m := range c.Metadata {
		err := checkMetadata(r.typ, m.GetEntries(), r.policy)
		switch {
		case err != nil:
		case len(m.GetEntries()) == 0:
			err = refuse("metadata", "", "without entries")
		case hasUnknown(m):
			err = refuse("metadata", "", whyUnknown)
		default:
			continue
		}
		for i, at := range c.MetadataIndex {
			if at == uint32(n)+1 {
				err.Index = i
				break
			}
		}
		return err
	}
	count := uint32(len(c.Metadata))
	for i, index := range c.MetadataIndex {
		if index > count {
			return at(i, refuse("metadataIndex", strconv.FormatUint(uint64(index), 10), "there are "+
				strconv.Itoa(len(c.Metadata))+" metadata"))
		}
	}
	return r.checkRequiredColumn(c)
}

// checkRequiredColumn looks for mandatory metadata, once in each of the
// distinct metadata.
func (r *Rules) checkRequiredColumn(c *pb.SampleColumns) *FieldError {
	if len(r.typ.Requires) == 0 {
		return nil
	}
	missing := make([]*FieldError, len(c.Metadata)+1)
	missing[0] = r.checkRequired(nil)
	for n, m := range c.Metadata {
		missing[n+1] = r.checkRequired(m.Entries)
	}
	for i := range c.Start {
		var index uint32
		if len(c.MetadataIndex) > 0 {
			index = c.MetadataIndex[i]
		}
		if missing[index] != nil {
			return at(i, missing[index])
		}
	}
	return nil
}

func at(i int, err *FieldError) *FieldError {
	err.Index = i
	return err
}
