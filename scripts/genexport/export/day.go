package export

// sample is one record before it is printed. Times in seconds since the epoch.
type sample struct {
	source              int
	start, end, created int64
	// mantissa of the value, or the index of the label.
	mantissa int64
}

const hour = 3600

// each calls yield with the n samples of a series on a day, oldest first. No two of
// one source start in the same second.
func (g *generator) each(s *series, day, n int, yield func(sample)) {
	if n == 0 {
		return
	}
	place := s.pair
	if place == "" {
		place = s.id
	}
	g.places.seed(g.o.Seed, 'p', place, day)
	g.values.seed(g.o.Seed, 'v', s.id, day)
	midnight, next := g.days[day], g.days[day+1]
	switch s.place {
	case pulse:
		g.pulse(s, n, midnight, next, yield)
	case asleep:
		g.night(s, n, midnight+22*hour+50*60, yield)
	case hourly:
		g.spread(s, n, midnight+6*hour, next, yield)
	case waking:
		g.spread(s, n, midnight+7*hour, midnight+22*hour+1800, yield)
	case nightly:
		g.spread(s, n, midnight+1800, midnight+6*hour+1800, yield)
	case morning:
		g.spread(s, n, midnight+6*hour+1800, midnight+9*hour, yield)
	default:
		g.spread(s, n, midnight, next, yield)
	}
}

// spread puts n samples between low and high, evenly with some jitter. Where several
// sources take part they measure the same, so their samples overlap. There are never
// more samples of a source than seconds: see maxPerDay.
func (g *generator) spread(s *series, n int, low, high int64, yield func(sample)) {
	sources := len(s.sources)
	slots := int64((n + sources - 1) / sources)
	width := max(1, (high-low)/slots)
	var start, value int64
	for k := range n {
		turn := k % sources
		if turn == 0 {
			start = low + int64(k/sources)*(high-low)/slots
			if s.place != hourly {
				start += g.places.Int64N(width)
			}
		}
		end := start
		if s.length > 0 {
			end = min(start+1+g.places.Int64N(int64(s.length)), max(high, start+1))
		}
		if s.place == hourly {
			end = min(start+int64(s.length), high)
		}
		if s.labels != nil {
			value = g.values.Int64N(int64(len(s.labels)))
		} else if v := s.value(g.values.Rand, float64(start-low)/hour+7); turn == 0 {
			value = v
		} else {
			value = max(1, value*(92+v%15)/100)
		}
		yield(sample{s.sources[turn], start, end, end + 1 + g.places.Int64N(400), value})
	}
}

// pulse is a heart rate every five minutes, and every five seconds in the evening's
// training; what does not fit into that is spread over the day.
func (g *generator) pulse(s *series, n int, midnight, next int64, yield func(sample)) {
	const calm, burst = 288, 1440
	if n > calm+burst {
		g.spread(s, n, midnight, next, yield)
		return
	}
	point := func(t int64) {
		value := s.value(g.values.Rand, float64(t-midnight)/hour)
		yield(sample{s.sources[0], t, t, t + 1 + g.places.Int64N(300), value})
	}
	rest, training := min(n, calm), max(0, n-calm)
	next5 := midnight + 17*hour + 1800
	for k := range rest {
		// Never on a multiple of five seconds: those are for the training.
		t := midnight + int64(k)*(next-midnight)/int64(rest)
		t += 1 + g.places.Int64N(4) - (t-midnight)%5
		for ; training > 0 && next5 < t; training-- {
			point(next5)
			next5 += 5
		}
		point(t)
	}
	for ; training > 0; training-- {
		point(next5)
		next5 += 5
	}
}

// night is the time in bed, as the phone knows it, and in it the stages of sleep, one
// after the other, as the watch sees them.
func (g *generator) night(s *series, n int, start int64, yield func(sample)) {
	const length = 8 * hour
	created := start + length + 1 + g.places.Int64N(600)
	inBed := int64(len(s.labels) - 1)
	yield(sample{phone, start, start + length, created, inBed})
	stages := int64(n - 1)
	for k := range stages {
		from, to := start+k*length/stages, start+(k+1)*length/stages
		yield(sample{watch, from, to, created, g.values.Int64N(inBed)})
	}
}
