package aggregate

import (
	"encoding/binary"
	"math"
	"math/bits"

	"healthledger/proto/catalog"
)

// Append appends the figures in the only form that they have: uvarint how many samples
// start, how many enter and, where the style has weights, how many are points; the sum; of
// a plain mean with samples that enter the sum of those; the duration; unless the style is
// cumulative the least and the greatest value; varint start of the first minus base; of the
// most recent one varint end minus base, uvarint duration, sequence, event and index, and
// the value. A value is the uvarint of its IEEE 754 form with the bytes reversed.
//
// Figures of nothing have no form.
func (f *Figures) Append(dst []byte, base int64) []byte {
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, f.Starts), f.Enters)
	if f.weighted() {
		dst = binary.AppendUvarint(dst, f.Points)
	}
	dst = f.Sum.Append(dst)
	if f.Style == catalog.DiscreteArithmetic && f.Enters > 0 {
		dst = f.Entering.Append(dst)
	}
	dst = f.Duration.Append(dst)
	if f.Style != catalog.Cumulative {
		dst = appendValue(appendValue(dst, f.Least), f.Most)
	}
	p := &f.Recent
	dst = binary.AppendVarint(binary.AppendVarint(dst, f.First-base), p.End-base)
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(p.End)-uint64(p.Start)), p.Sequence)
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(p.Event)), uint64(p.Index))
	return appendValue(dst, f.RecentValue)
}

// Read sets the figures to what b begins with, in the form of Append, and returns what
// follows.
func (f *Figures) Read(style catalog.Aggregation, b []byte, base int64) (rest []byte, ok bool) {
	f.Reset(style)
	r := reader{b: b}
	f.Starts, f.Enters = r.uvarint(), r.uvarint()
	if f.weighted() {
		f.Points = r.uvarint()
	}
	r.sum(&f.Sum)
	if style == catalog.DiscreteArithmetic && f.Enters > 0 {
		r.sum(&f.Entering)
	}
	r.sum(&f.Duration)
	if style != catalog.Cumulative {
		f.Least, f.Most = r.value(), r.value()
	}
	p := &f.Recent
	f.First, p.End = base+r.varint(), base+r.varint()
	duration := r.uvarint()
	p.Start = int64(uint64(p.End) - duration)
	p.Sequence, p.Event, p.Index = r.uvarint(), r.uvarint32(), r.uvarint32()
	f.RecentValue = r.value()
	return r.b, !r.bad && !f.Empty() && p.Start <= p.End
}

func (f *Figures) weighted() bool {
	return f.Style == catalog.DiscreteTemporallyWeighted || f.Style == catalog.DiscreteEquivalentContinuousLevel
}

// Most values have few digits in binary, and so many zeros at the end.
func appendValue(dst []byte, v float64) []byte {
	return binary.AppendUvarint(dst, bits.ReverseBytes64(math.Float64bits(v)))
}

// reader takes rows apart. After what is malformed everything is zero.
type reader struct {
	b   []byte
	bad bool
}

// uvarint refuses what is longer than it needs to be.
func (r *reader) uvarint() uint64 {
	u, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return u
}

func (r *reader) uvarint32() uint32 {
	u := r.uvarint()
	if u > math.MaxUint32 {
		r.b, r.bad = nil, true
		return 0
	}
	return uint32(u)
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (r *reader) value() float64 { return math.Float64frombits(bits.ReverseBytes64(r.uvarint())) }

func (r *reader) sum(s *Sum) {
	rest, ok := s.Read(r.b)
	r.b, r.bad = rest, r.bad || !ok
}
