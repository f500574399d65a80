package aggregate

import (
	"encoding/binary"
	"math"

	"healthledger/proto/catalog"
)

// Append appends the figures: uvarint twice how many samples start, plus 1 if the times
// below are whole seconds and written as such; uvarint how many enter and, where the style
// has weights, how many are points; the sum; of a plain mean with samples that enter the sum
// of those; the duration; unless the style is cumulative the least and the greatest value;
// varint start of the first minus base; of the most recent one varint end minus base,
// uvarint duration, sequence, event and index, and the value. The same figures are always
// the same bytes.
//
// A value is a uvarint: eight times the mantissa as of a varint, plus the fewest decimal
// places that give it back bit for bit. Where there are more than 6, it is 7, and 8 bytes of
// IEEE 754 follow.
//
// Figures of nothing have no form.
func (f *Figures) Append(dst []byte, base int64) []byte {
	p := &f.Recent
	first, end, duration := f.First-base, p.End-base, uint64(p.End)-uint64(p.Start)
	starts := f.Starts << 1
	if first%second == 0 && end%second == 0 && duration%second == 0 {
		starts, first, end, duration = starts|1, first/second, end/second, duration/second
	}
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, starts), f.Enters)
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
	dst = binary.AppendVarint(binary.AppendVarint(dst, first), end)
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, duration), p.Sequence)
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(p.Event)), uint64(p.Index))
	return appendValue(dst, f.RecentValue)
}

const second = 1_000_000

// Read sets the figures to what b begins with, in the form of Append, and returns what
// follows.
func (f *Figures) Read(style catalog.Aggregation, b []byte, base int64) (rest []byte, ok bool) {
	f.Reset(style)
	r := reader{b: b}
	starts := r.uvarint()
	f.Starts, f.Enters = starts>>1, r.uvarint()
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
	first, end, duration := r.varint(), r.varint(), r.uvarint()
	if starts&1 != 0 {
		first, end, duration = first*second, end*second, duration*second
	}
	p := &f.Recent
	f.First, p.End = base+first, base+end
	p.Start = int64(uint64(p.End) - duration)
	p.Sequence, p.Event, p.Index = r.uvarint(), r.uvarint32(), r.uvarint32()
	f.RecentValue = r.value()
	return r.b, !r.bad && !f.Empty() && p.Start <= p.End
}

func (f *Figures) weighted() bool {
	return f.Style == catalog.DiscreteTemporallyWeighted || f.Style == catalog.DiscreteEquivalentContinuousLevel
}

// The form of a value that is no short decimal.
const real = 7

var powers = [real]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6}

func appendValue(dst []byte, v float64) []byte {
	for places, power := range powers {
		scaled := math.RoundToEven(float64(v * power))
		if !(math.Abs(scaled) < 1<<53) {
			break
		}
		m := int64(scaled)
		if math.Float64bits(float64(m)/power) == math.Float64bits(v) {
			return binary.AppendUvarint(dst, uint64(m<<1^m>>63)<<3|uint64(places))
		}
	}
	return binary.BigEndian.AppendUint64(append(dst, real), math.Float64bits(v))
}

// reader takes rows apart. After what is malformed everything is zero.
type reader struct {
	b   []byte
	bad bool
}

// uvarint refuses what is longer than it needs to be.
func (r *reader) uvarint() uint64 {
	if len(r.b) > 0 && r.b[0] < 0x80 {
		u := uint64(r.b[0])
		r.b = r.b[1:]
		return u
	}
	if len(r.b) > 1 && r.b[1] < 0x80 && r.b[1] > 0 {
		u := uint64(r.b[0]&0x7f) | uint64(r.b[1])<<7
		r.b = r.b[2:]
		return u
	}
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

func (r *reader) value() float64 {
	u := r.uvarint()
	places := u & 7
	if places < real {
		m := u >> 3
		return float64(int64(m>>1)^-int64(m&1)) / powers[places]
	}
	if u != real || len(r.b) < 8 {
		r.b, r.bad = nil, true
		return 0
	}
	v := math.Float64frombits(binary.BigEndian.Uint64(r.b))
	r.b = r.b[8:]
	return v
}

func (r *reader) sum(s *Sum) {
	rest, ok := s.Read(r.b)
	r.b, r.bad = rest, r.bad || !ok
}
