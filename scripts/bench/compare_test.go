package bench

import (
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// answers draws what two stores answer: both on the quantum, a little later where the way is
// long, and both late where the machine is busy. The first works longer by so much, in so
// many of its answers.
func answers(r *rand.Rand, n int, longer time.Duration, share float64) (a, b []time.Duration) {
	answer := func(work time.Duration) time.Duration {
		return work.Truncate(time.Millisecond) + time.Millisecond + time.Duration(200_000+40_000*r.NormFloat64())
	}
	for range n {
		busy := time.Duration(r.ExpFloat64() * float64(800*time.Microsecond))
		more := time.Duration(0)
		if r.Float64() < share {
			more = longer
		}
		work := func() time.Duration { return busy + time.Duration(r.ExpFloat64()*float64(300*time.Microsecond)) }
		a, b = append(a, answer(work()+more)), append(b, answer(work()))
	}
	return a, b
}

func TestComparisonFindsWhatIsThere(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	deviations := strictness(200)
	for _, at := range []struct {
		name   string
		longer time.Duration
		share  float64
	}{
		{"always a quantum", time.Millisecond, 1},
		{"always a third of one, which shows in some answers", 333 * time.Microsecond, 1},
		{"a quantum in every fourth answer, which moves no median", time.Millisecond, 0.25},
		{"much in every tenth", 20 * time.Millisecond, 0.1},
	} {
		a, b := answers(r, 1000, at.longer, at.share)
		same := compare(seeded(answers(r, 1000, 0, 0)))
		if c := compare(a, b, r); !differs(c, same, deviations) {
			t.Errorf("%s: not found: %+v", at.name, c)
		}
		if c := compare(b, a, r); !differs(c, same, deviations) {
			t.Errorf("%s: not found the other way round: %+v", at.name, c)
		}
	}
}

func seeded(a, b []time.Duration) ([]time.Duration, []time.Duration, *rand.Rand) {
	return a, b, rand.New(rand.NewPCG(2, 2))
}

func TestComparisonOfTheSameFindsNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	const rows = 100
	deviations := strictness(rows)
	inside := 0
	for range rows {
		a, b := answers(r, 150, 0, 0)
		x, y := answers(r, 150, 0, 0)
		c := compare(a, b, r)
		if c.Median.Low <= 0 && 0 <= c.Median.High {
			inside++
		}
		if differs(c, compare(x, y, r), deviations) {
			t.Errorf("a difference where there is none: %+v", c)
		}
	}
	// The interval is one of 95 %: four standard deviations of a binomial to each side.
	if inside < rows*95/100-9 || inside == rows {
		t.Errorf("%d of %d intervals have the truth in them", inside, rows)
	}
}

// What two runs of the same store differ by is no difference of stores.
func TestComparisonForgivesWhatTheSameStoreShows(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	a, b := answers(r, 1000, 20*time.Millisecond, 0.1)
	x, y := answers(r, 1000, 20*time.Millisecond, 0.2)
	if differs(compare(a, b, r), compare(x, y, r), strictness(1)) {
		t.Error("a smaller difference than that of the same store is found")
	}
}

// What may be read must be seen to take longer, or else that nothing else does says nothing.
func TestTrialFailsWhereSomethingIsToldAndWhereItSeesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	const pairs = 500
	same, equal := compare(seeded(answers(r, pairs, 0, 0))), compare(seeded(answers(r, pairs, 0, 0)))
	longer := compare(seeded(answers(r, pairs, 5*time.Millisecond, 1)))
	rows := []TrialRow{
		{Pairs: pairs, Stores: equal, Verdict: alike},
		{Pairs: pairs, Stores: longer, Verdict: apart},
		{Pairs: pairs, Stores: longer, Verdict: seen, control: true, mustShow: true},
		{Pairs: pairs, Stores: equal, Verdict: unseen, control: true, mustShow: true},
		{Pairs: pairs, Stores: equal, Verdict: unjudged, control: true},
		{Pairs: fewest - 1, Stores: longer, Verdict: unjudged},
	}
	judged := slices.Clone(rows)
	for i := range judged {
		judged[i].Same, judged[i].Verdict = same, ""
	}
	judge(judged)
	for i, row := range judged {
		if row.Verdict != rows[i].Verdict {
			t.Errorf("row %d: %q instead of %q", i, row.Verdict, rows[i].Verdict)
		}
		o := &trial{TrialOptions: TrialOptions{Out: io.Discard}}
		wrong := row.Verdict == apart || row.Verdict == unseen
		if err := o.report(judged[i : i+1]); errors.Is(err, ErrTold) != wrong {
			t.Errorf("%q: %v", row.Verdict, err)
		}
	}
}
