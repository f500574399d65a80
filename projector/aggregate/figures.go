// Package aggregate adds up samples so that any partition of them, and of time, gives the
// same figures bit for bit.
//
//	f := aggregate.New(catalog.Cumulative)
//	f.Add(&place, value, from, to)  // every sample of one unit that overlaps [from, to)
//	f.Fold(next)                    // and what the same samples give in what follows
//	total := f.Total().Float64()
//
// Nothing is rounded before the end, what is taken of a sample is rounded in one way, and
// extremes are by a total order. Everything here takes values and gives values.
package aggregate

import "healthledger/proto/catalog"

// Figures are what is known of the samples of one unit that overlap an interval [from, to).
// A sample without a length overlaps where it starts.
//
// What lies in an interval adds up over intervals; whole samples do not, because one can
// lie in several. Those that start in the interval are therefore counted apart from those
// that enter it from before: see Merge and Fold.
type Figures struct {
	// Style says what Sum holds.
	Style catalog.Aggregation
	// Starts is how many samples start in the interval, Enters how many started before.
	Starts, Enters uint64
	// Points is how many have no length, of styles with weights.
	Points uint64
	// Sum is, by style: the parts of the values in the interval; the values of the samples
	// that start in it; the values times their weights; 10^(value/10) times the weights. The
	// weight of a sample is the microseconds that it lasts in the interval, 1 of a point.
	Sum Sum
	// Entering is the sum of the values of the samples that enter, where they are not parts.
	Entering Sum
	// Duration is how many microseconds the samples last in the interval.
	Duration Sum
	// Least and Most are the extreme values of a style that is not cumulative.
	Least, Most float64
	// First is when the first sample starts, Recent the one that ends last (see Place.Later),
	// and RecentValue its value: of entries of a series that share a Place the greatest.
	First       int64
	Recent      Place
	RecentValue float64
}

// New returns the figures of nothing.
func New(style catalog.Aggregation) *Figures { return &Figures{Style: style} }

// Reset makes them the figures of nothing, and keeps their memory.
func (f *Figures) Reset(style catalog.Aggregation) {
	f.Sum.Reset()
	f.Entering.Reset()
	f.Duration.Reset()
	f.Style, f.Starts, f.Enters, f.Points = style, 0, 0, 0
	f.Least, f.Most = 0, 0
	f.First, f.Recent, f.RecentValue = 0, Place{}, 0
}

// Empty says whether they are of nothing.
func (f *Figures) Empty() bool { return f.Starts == 0 && f.Enters == 0 }

// Count returns how many samples they are of.
func (f *Figures) Count() uint64 { return f.Starts + f.Enters }

// Add counts a sample that overlaps [from, to). Its value must be finite.
func (f *Figures) Add(p *Place, value float64, from, to int64) {
	if f.Empty() {
		f.setExtremes(p.Start, value, value, p, value)
	} else {
		f.widen(p.Start, value, value, p, value)
	}
	f.count(p, value, from, to)
}

// count adds a sample to what adds up.
func (f *Figures) count(p *Place, value float64, from, to int64) {
	enters := p.Start < from
	if enters {
		f.Enters++
	} else {
		f.Starts++
	}
	inside := overlap(p.Start, p.End, from, to)
	f.Duration.AddInt(inside)
	switch f.Style {
	case catalog.Cumulative:
		if p.Start == p.End {
			f.Sum.Add(value)
		} else {
			f.Sum.AddPart(value, p.Start, p.End, from, to)
		}
		return
	case catalog.DiscreteTemporallyWeighted:
		f.Sum.AddProduct(value, max(inside, 1))
	case catalog.DiscreteEquivalentContinuousLevel:
		f.Sum.AddProduct(energy(value), max(inside, 1))
	default:
		if enters {
			f.Entering.Add(value)
		} else {
			f.Sum.Add(value)
		}
		return
	}
	if inside == 0 {
		f.Points++
	}
}

// overlap returns how long the two are together, in microseconds.
func overlap(start, end, from, to int64) uint64 {
	start, end = max(start, from), min(end, to)
	if start >= end {
		return 0
	}
	return uint64(end) - uint64(start)
}

// Merge adds the figures of other samples, or those of the same interval in which these
// are still of nothing.
func (f *Figures) Merge(o *Figures) {
	f.Enters += o.Enters
	f.Entering.AddSum(&o.Entering)
	f.join(o, f.Count() == o.Enters)
}

// Fold adds what the same samples give in an interval after this one. Between the two there
// is no sample that only one of them has.
func (f *Figures) Fold(o *Figures) { f.join(o, f.Empty()) }

func (f *Figures) join(o *Figures, first bool) {
	switch {
	case o.Empty():
	case first:
		f.setExtremes(o.First, o.Least, o.Most, &o.Recent, o.RecentValue)
	default:
		f.widen(o.First, o.Least, o.Most, &o.Recent, o.RecentValue)
	}
	f.Starts += o.Starts
	f.Points += o.Points
	f.Sum.AddSum(&o.Sum)
	f.Duration.AddSum(&o.Duration)
}

func (f *Figures) setExtremes(start int64, least, most float64, recent *Place, value float64) {
	f.First, f.Recent, f.RecentValue = start, *recent, value
	if f.Style != catalog.Cumulative {
		f.Least, f.Most = least, most
	}
}

func (f *Figures) widen(start int64, least, most float64, recent *Place, value float64) {
	f.First = min(f.First, start)
	if f.Style != catalog.Cumulative {
		f.Least, f.Most = min(f.Least, least), max(f.Most, most)
	}
	switch {
	case recent.Later(&f.Recent):
		f.Recent, f.RecentValue = *recent, value
	case *recent == f.Recent:
		f.RecentValue = max(f.RecentValue, value)
	}
}

// Total returns the sum of the style over all samples: see Figures.Sum.
func (f *Figures) Total() *Sum {
	total := &Sum{}
	total.AddSum(&f.Sum)
	total.AddSum(&f.Entering)
	return total
}

// Weight returns what Total is divided by for a mean: the weights, or how many samples.
func (f *Figures) Weight() *Sum {
	weight := &Sum{}
	switch f.Style {
	case catalog.DiscreteTemporallyWeighted, catalog.DiscreteEquivalentContinuousLevel:
		weight.AddSum(&f.Duration)
		weight.AddInt(f.Points)
	default:
		weight.AddInt(f.Count())
	}
	return weight
}
