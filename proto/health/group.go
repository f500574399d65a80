package health

import (
	"math"

	pb "healthledger/proto/healthledger/v1"
)

// group collects the rows of one set of columns, column by column.
type group struct {
	key     groupKey
	start   []int64
	end     []int64
	value   []float64
	created []int64
	uuid    []byte
	body    [][]byte

	metadata      []*pb.Metadata
	metadataIndex []uint32 // shorter than start while the last rows have none
	byContent     map[string]uint32
	lastMetadata  *pb.Metadata
	lastAt        uint32
}

// add appends a row without its metadata and returns how many bytes it may take.
func (g *group) add(r *Row) (size int) {
	var before int64
	if n := len(g.start); n > 0 {
		before = g.start[n-1]
	}
	// Microseconds give the longest deltas; a value takes 8 bytes at most in
	// either form; the metadata index takes one as long as it is small.
	size = zigzagSize(r.Start-before) + zigzagSize(r.End-r.Start) + 8 + 1
	g.start = append(g.start, r.Start)
	g.end = append(g.end, r.End)
	g.value = append(g.value, r.Value)
	if r.HasCreated {
		g.created = append(g.created, r.Created)
		size += zigzagSize(r.Created - r.End)
	}
	if r.HasUUID {
		g.uuid = append(g.uuid, r.UUID[:]...)
		size += len(r.UUID)
	}
	if len(r.Body) > 0 {
		g.body = append(g.body, r.Body)
		size += len(r.Body) + 8
	}
	return size
}

// columns encodes the group, reusing its memory.
func (g *group) columns() *pb.SampleColumns {
	c := &pb.SampleColumns{Type: g.key.typ.Code, Unit: g.key.unit, Uuid: g.uuid, Metadata: g.metadata, Body: g.body}
	tick := g.tick()
	c.Tick = uint32(tick)
	lasts := false
	for i := range g.start {
		if g.created != nil {
			g.created[i] = (g.created[i] - g.end[i]) / tick
		}
		g.end[i] = (g.end[i] - g.start[i]) / tick
		lasts = lasts || g.end[i] != 0
	}
	if lasts {
		c.Duration = g.end
	}
	c.Created = g.created
	var before int64
	for i, t := range g.start {
		g.start[i], before = t/tick-before, t/tick
	}
	c.Start = g.start
	if g.key.typ.Kind.HasNumber() {
		var ok bool
		if c.Mantissa, c.Exponent, ok = decimals(g.value); !ok {
			c.Real = g.value
		}
	}
	if g.metadataIndex != nil {
		for len(g.metadataIndex) < len(g.start) {
			g.metadataIndex = append(g.metadataIndex, 0)
		}
		c.MetadataIndex = g.metadataIndex
	}
	return c
}

// tick returns the coarsest tick in microseconds that is exact for all times.
func (g *group) tick() int64 {
	tick := int64(1_000_000)
	for _, column := range [...][]int64{g.start, g.end, g.created} {
		for _, t := range column {
			for t%tick != 0 {
				if tick /= 1000; tick == 1 {
					return 1
				}
			}
		}
	}
	return tick
}

const (
	// maxExponent is the highest power of ten that a float64 holds exactly, so
	// that a division by it rounds once.
	maxExponent = 22
	// maxMantissa is the end of the whole numbers that a float64 holds exactly.
	maxMantissa = 1 << 53
)

// decimals finds an exponent with which every value is mantissa / 10^exponent,
// bit for bit, and returns the deltas of the mantissas. It is false if there is
// none, for one because a value is -0, NaN or infinite.
func decimals(values []float64) (deltas []int64, exponent uint32, ok bool) {
	e, raised := 0, 0
	deltas = make([]int64, len(values))
	for i, v := range values {
		m, exact := mantissa(v, e)
		for !exact {
			if e == maxExponent || !(math.Abs(v)*math.Pow10(e) <= maxMantissa) {
				return nil, 0, false
			}
			e++
			raised = i // what stands before was for a lower exponent
			m, exact = mantissa(v, e)
		}
		deltas[i] = m
	}
	for i, v := range values[:raised] {
		m, exact := mantissa(v, e)
		if !exact {
			return nil, 0, false
		}
		deltas[i] = m
	}
	var before int64
	for i, m := range deltas {
		deltas[i], before = m-before, m
	}
	return deltas, uint32(e), true
}

// mantissa returns the whole number m with m / 10^e == v, if there is one.
func mantissa(v float64, e int) (m int64, exact bool) {
	power := math.Pow10(e)
	scaled := math.RoundToEven(v * power)
	if !(math.Abs(scaled) <= maxMantissa) || scaled == 0 && math.Signbit(v) {
		return 0, false
	}
	return int64(scaled), scaled/power == v
}
