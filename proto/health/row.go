package health

import (
	"iter"
	"math"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"

	"github.com/google/uuid"
)

// Row is one sample without what it shares with the others of its columns: the
// type, the unit and the source. Times are microseconds since the Unix epoch.
type Row struct {
	Start, End int64
	// Value is in the unit of the columns, or the number of a category's value.
	Value float64
	// Created is when the producing app made the object, if HasCreated.
	Created    int64
	HasCreated bool
	HasUUID    bool
	// UUID is the one the producer gave, if HasUUID.
	UUID [16]byte
	// Metadata is shared between rows and must not be changed; nil: none.
	Metadata *pb.Metadata
	// Body is what the sample has beyond all this, as Body reads it; empty: nothing.
	Body []byte
}

// Count returns how many samples the columns hold.
func Count(c *pb.SampleColumns) int { return len(c.GetStart()) }

// Rows yields the samples in order, with their index. The columns must have
// come from Columns, from a Builder whose rows were checked, or through
// Validate.
func Rows(c *pb.SampleColumns) iter.Seq2[int, Row] {
	return func(yield func(int, Row) bool) {
		tick, divisor := int64(c.Tick), math.Pow10(int(c.Exponent))
		var r Row
		var start, mantissa int64
		r.HasCreated, r.HasUUID = len(c.Created) > 0, len(c.Uuid) > 0
		for i, delta := range c.Start {
			start += delta
			r.Start = start * tick
			r.End = r.Start
			if len(c.Duration) > 0 {
				r.End += c.Duration[i] * tick
			}
			switch {
			case len(c.Real) > 0:
				r.Value = c.Real[i]
			case len(c.Mantissa) > 0:
				mantissa += c.Mantissa[i]
				r.Value = float64(mantissa) / divisor
			}
			if r.HasCreated {
				r.Created = r.End + c.Created[i]*tick
			}
			if r.HasUUID {
				r.UUID = [16]byte(c.Uuid[16*i:])
			}
			if len(c.MetadataIndex) > 0 {
				r.Metadata = nil
				if at := c.MetadataIndex[i]; at > 0 {
					r.Metadata = c.Metadata[at-1]
				}
			}
			if len(c.Body) > 0 {
				r.Body = c.Body[i]
			}
			if !yield(i, r) {
				return
			}
		}
	}
}

// Sample makes the wire form of a row: short type name, label of a category,
// timestamps, the UUID if the row has one. The body is what ParseBody made of the
// row's, or nil; it becomes the sample. Source and metadata are shared with the
// arguments, not copied.
func Sample(t *catalog.Type, unit string, source *pb.Source, r Row, body *pb.Sample) *pb.Sample {
	s := body
	if s == nil {
		s = &pb.Sample{}
	}
	s.Type, s.Start, s.End = t.Short(), Timestamp(r.Start), Timestamp(r.End)
	s.Unit, s.Source, s.Metadata = unit, source, r.Metadata.GetEntries()
	value := r.Value
	if t.Kind.HasNumber() {
		s.Value = &value
	}
	if t.Kind == catalog.Category {
		s.Label, _ = t.Label(int(value))
	}
	if r.HasCreated {
		s.Created = Timestamp(r.Created)
	}
	if r.HasUUID {
		s.Uuid = uuid.UUID(r.UUID).String()
	}
	return s
}
