package aggregate

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"healthledger/proto/catalog"
)

var styles = []catalog.Aggregation{
	catalog.Cumulative, catalog.DiscreteArithmetic, catalog.DiscreteTemporallyWeighted, catalog.DiscreteEquivalentContinuousLevel,
}

type sample struct {
	Place
	value float64
}

func (s *sample) overlaps(from, to int64) bool {
	return s.Start < to && (s.End > from || s.End == from && s.Start == s.End)
}

// drawSamples draws samples among few times, so that starts, ends and bounds meet.
func drawSamples(t *rapid.T) []sample {
	n := uint32(0)
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) sample {
		n++
		s := sample{value: rapid.SampledFrom([]float64{-3, 0, 0.1, 60, 72.3, 100, 1e300}).Draw(t, "value")}
		s.Start = rapid.Int64Range(-20, 60).Draw(t, "start")
		s.End = s.Start + rapid.SampledFrom([]int64{0, 0, 1, 3, 7, 10, 45}).Draw(t, "duration")
		s.Sequence, s.Event, s.Index = rapid.Uint64Range(0, 2).Draw(t, "sequence"), n/3, n
		return s
	}), 0, 12).Draw(t, "samples")
}

func of(style catalog.Aggregation, samples []sample, from, to int64) *Figures {
	f := New(style)
	for _, s := range samples {
		if s.overlaps(from, to) {
			f.Add(&s.Place, s.value, from, to)
		}
	}
	return f
}

func same(f, g *Figures) bool {
	if f.Empty() || g.Empty() {
		return f.Empty() == g.Empty()
	}
	return bytes.Equal(f.Append(nil, 0), g.Append(nil, 0))
}

// check computes what the figures must be from scratch.
func check(t *rapid.T, f *Figures, samples []sample, from, to int64) {
	sum, weights := &exactly{}, uint64(0)
	var there []sample
	for _, s := range samples {
		if !s.overlaps(from, to) {
			continue
		}
		there = append(there, s)
		inside := uint64(max(min(s.End, to)-max(s.Start, from), 0))
		switch f.Style {
		case catalog.Cumulative:
			if sum.add(Part(s.value, s.Start, s.End, to), 1); s.Start < from {
				sum.add(-Part(s.value, s.Start, s.End, from), 1)
			}
			weights++
		case catalog.DiscreteArithmetic:
			sum.add(s.value, 1)
			weights++
		case catalog.DiscreteTemporallyWeighted:
			sum.add(s.value, max(inside, 1))
			weights += max(inside, 1)
		default:
			sum.add(energy(s.value), max(inside, 1))
			weights += max(inside, 1)
		}
	}
	want, _ := sum.Float64()
	if got := f.Total().Float64(); got != want || f.Count() != uint64(len(there)) || f.Weight().Float64() != float64(weights) {
		t.Fatalf("%v of %d with weight %v, not %v of %d with %d", got, f.Count(), f.Weight().Float64(), want, len(there), weights)
	}
	if len(there) == 0 {
		return
	}
	recent := slices.MaxFunc(there, func(a, b sample) int {
		if a.Later(&b.Place) {
			return 1
		}
		return -1
	})
	first := slices.MinFunc(there, func(a, b sample) int { return int(a.Start - b.Start) })
	if f.Recent != recent.Place || f.RecentValue != recent.value || f.First != first.Start {
		t.Fatalf("most recent %v, first %d", f.Recent, f.First)
	}
	least, most := math.Inf(1), math.Inf(-1)
	for _, s := range there {
		least, most = min(least, s.value), max(most, s.value)
	}
	if f.Style != catalog.Cumulative && (f.Least != least || f.Most != most) {
		t.Fatalf("from %v to %v", f.Least, f.Most)
	}
}

func TestFiguresAreThoseOfTheSamplesInAnyOrder(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		style, samples := rapid.SampledFrom(styles).Draw(r, "style"), drawSamples(r)
		from := rapid.Int64Range(-10, 50).Draw(r, "from")
		to := from + rapid.Int64Range(1, 40).Draw(r, "length")
		f := of(style, samples, from, to)
		check(r, f, samples, from, to)
		if !same(f, of(style, rapid.Permutation(samples).Draw(r, "order"), from, to)) {
			r.Fatal("the order matters")
		}
		half := rapid.IntRange(0, len(samples)).Draw(r, "half")
		merged := of(style, samples[half:], from, to)
		merged.Merge(of(style, samples[:half], from, to))
		if !same(f, merged) {
			r.Fatal("merged figures differ")
		}
	})
}

func TestIntervalsFoldToTheirUnion(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		style, samples := rapid.SampledFrom(styles).Draw(r, "style"), drawSamples(r)
		cuts := rapid.SliceOfNDistinct(rapid.Int64Range(-30, 120), 2, 8, rapid.ID).Draw(r, "cuts")
		slices.Sort(cuts)
		folded := New(style)
		for i := range len(cuts) - 1 {
			next := of(style, samples, cuts[i], cuts[i+1])
			if i == 0 {
				folded.Merge(next)
			} else {
				folded.Fold(next)
			}
		}
		if !same(folded, of(style, samples, cuts[0], cuts[len(cuts)-1])) {
			r.Fatal("the intervals do not add up")
		}
	})
}

func TestFiguresReadBack(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		unit := rapid.SampledFrom([]int64{1, 1_000_000, 1_000_001}).Draw(r, "unit")
		f := New(rapid.SampledFrom(styles).Draw(r, "style"))
		for _, s := range drawSamples(r) {
			if s.Start, s.End = s.Start*unit, s.End*unit; s.overlaps(0, 30*unit) {
				f.Add(&s.Place, s.value+rapid.SampledFrom([]float64{0, 0.01, 1e-9}).Draw(r, "more"), 0, 30*unit)
			}
		}
		if f.Empty() {
			return
		}
		again := New(catalog.NoAggregation)
		if rest, ok := again.Read(f.Style, f.Append(nil, 5), 5); !ok || len(rest) > 0 {
			r.Fatal("they do not read back")
		}
		if !same(f, again) || again.Starts != f.Starts || again.Enters != f.Enters || again.Points != f.Points || again.Recent != f.Recent ||
			again.RecentValue != f.RecentValue || again.First != f.First || again.Least != f.Least || again.Most != f.Most {
			r.Fatalf("%+v became %+v", f, again)
		}
	})
}

func FuzzFigures(f *testing.F) {
	samples := []sample{{Place{Start: -9, End: 9, Sequence: 300}, 72.3}, {Place{Start: 1, End: 1, Index: 1}, 60}, {Place{Start: 2, End: 40, Event: 2}, -3}}
	for i, style := range styles {
		f.Add(byte(i), of(style, samples, 0, 30).Append(nil, 0))
		f.Add(byte(i), of(style, samples[1:2], 0, 30).Append(nil, 5))
	}
	f.Fuzz(func(t *testing.T, style byte, b []byte) {
		g, again := &Figures{}, &Figures{}
		if _, ok := g.Read(styles[int(style)%len(styles)], b, 77); !ok {
			return
		}
		form := g.Append(nil, 77)
		if rest, ok := again.Read(g.Style, form, 77); !ok || len(rest) > 0 || !bytes.Equal(again.Append(nil, 77), form) {
			t.Errorf("%x does not read back", b)
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	for _, style := range styles {
		b.Run(style.String(), func(b *testing.B) {
			b.ReportAllocs()
			f, p := New(style), Place{}
			for i := range b.N {
				p.Start = int64(i%180) * 5_000_000
				p.End = p.Start + 1000
				f.Add(&p, 72.3, 0, 900_000_000)
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	var samples []sample
	for i := range int64(180) {
		samples = append(samples, sample{Place{Start: i * 5_000_000, End: i * 5_000_000, Sequence: 1000, Index: uint32(i)}, float64(600+i) / 10})
	}
	row := of(catalog.DiscreteTemporallyWeighted, samples, 0, 900_000_000).Append(nil, 0)
	b.ReportMetric(float64(len(row)), "bytes")
	f, whole := &Figures{}, New(catalog.DiscreteTemporallyWeighted)
	b.ReportAllocs()
	for range b.N {
		if _, ok := f.Read(whole.Style, row, 0); !ok {
			b.Fatal("malformed")
		}
		whole.Fold(f)
	}
}
