package query

import (
	"math"

	"healthledger/projector/aggregate"
	"healthledger/projector/view"
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// The first and the last microsecond of the years 1 to 9999.
const (
	firstMicro = -62_135_596_800_000_000
	lastMicro  = 253_402_300_799_999_999
)

// bucket is what has been counted of one period.
type bucket struct {
	period       period
	count        uint64
	sum, weights aggregate.Sum
	least, most  float64
	// recent is the sample that ends last; first and last are the extremes of all.
	recent      view.Place
	recentValue float64
	first, last int64
}

// add counts a sample that overlaps the bucket, its value in the unit of the answer.
func (b *bucket) add(s *view.Sample, value float64, style catalog.Aggregation) {
	if b.count == 0 {
		b.least, b.most, b.first, b.last = value, value, s.Start, s.End
	}
	b.least, b.most = min(b.least, value), max(b.most, value)
	b.first, b.last = min(b.first, s.Start), max(b.last, s.End)
	if b.count == 0 || s.Place.Later(&b.recent) {
		b.recent, b.recentValue = s.Place, value
	}
	b.count++
	// The conversions to float64 keep the compiler from fusing the operations.
	switch style {
	case catalog.Cumulative:
		b.sum.Add(b.part(s, value))
	case catalog.DiscreteTemporallyWeighted:
		weight := b.weight(s)
		b.sum.Add(float64(weight * value))
		b.weights.Add(weight)
	case catalog.DiscreteEquivalentContinuousLevel:
		weight := b.weight(s)
		b.sum.Add(float64(weight * math.Pow(10, value/10)))
		b.weights.Add(weight)
	default:
		b.sum.Add(value)
		b.weights.Add(1)
	}
}

// part is how much of a cumulative value belongs to the bucket.
func (b *bucket) part(s *view.Sample, value float64) float64 {
	length, inside := uint64(s.End)-uint64(s.Start), b.period.overlap(s.Start, s.End)
	if inside == length {
		return value
	}
	return float64(value * float64(float64(inside)/float64(length)))
}

func (b *bucket) weight(s *view.Sample) float64 {
	return float64(max(b.period.overlap(s.Start, s.End), 1))
}

func (b *bucket) statistics(style catalog.Aggregation, unitText string) *pb.Statistics {
	p := b.period
	if p.from == math.MinInt64 {
		p.from = b.first
	}
	if p.to == math.MaxInt64 {
		p.to = b.last
	}
	// Days at both ends of time reach beyond what a timestamp holds.
	p.from, p.to = max(p.from, firstMicro), min(p.to, lastMicro)
	value := b.recentValue
	s := &pb.Statistics{
		Start: health.Timestamp(p.from), End: health.Timestamp(p.to), Unit: unitText, Count: b.count,
		MostRecent: &value, MostRecentEnd: health.Timestamp(b.recent.End),
	}
	total := b.sum.Float64()
	if style == catalog.Cumulative {
		s.Sum = &total
		return s
	}
	average := total / b.weights.Float64()
	if style == catalog.DiscreteEquivalentContinuousLevel {
		average = 10 * math.Log10(average)
	}
	least, most := b.least, b.most
	s.Average, s.Minimum, s.Maximum = &average, &least, &most
	return s
}
