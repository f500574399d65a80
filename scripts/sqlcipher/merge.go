package main

// sources there are at most. The one with the lowest number counts where several have a
// sample at once.
const sources = 8

// merge adds up samples of sources that measured the same, period by period: one sweep
// over time. The samples of one source follow each other.
type merge struct {
	bounds []int64
	sums   []float64
	at     int
	// now is up to where everything is added.
	now  int64
	open [sources]sample
}

func newMerge(bounds []int64) *merge {
	return &merge{bounds: bounds, sums: make([]float64, len(bounds)-1), now: bounds[0]}
}

// add takes the next sample in the order of starts.
func (m *merge) add(s sample) {
	m.advance(s.start)
	m.open[s.source] = s
}

// finish returns the sum of each period.
func (m *merge) finish() []float64 {
	m.advance(m.bounds[len(m.bounds)-1])
	return m.sums
}

// advance adds what counts until a time.
func (m *merge) advance(until int64) {
	for m.now < until && m.at < len(m.sums) {
		next := min(until, m.bounds[m.at+1])
		var winner *sample
		for i := range m.open {
			if s := &m.open[i]; s.end > m.now {
				winner, next = s, min(next, s.end)
				break
			}
		}
		if winner == nil {
			// Nobody has a sample now: the next one starts at until.
			m.step(next)
			continue
		}
		m.sums[m.at] += winner.value * float64(next-m.now) / float64(winner.end-winner.start)
		m.step(next)
	}
}

func (m *merge) step(to int64) {
	m.now = to
	if to == m.bounds[m.at+1] {
		m.at++
	}
}
