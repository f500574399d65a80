package bench

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// TrialRow is one line of the result of Trial.
type TrialRow struct {
	Caches   string `json:"caches"`
	Question string `json:"question"`
	Way      string `json:"way"`
	Compared string `json:"compared"`
	Pairs    int    `json:"pairs"`
	// First and Second are the medians of the two sides, in microseconds.
	First  float64 `json:"first"`
	Second float64 `json:"second"`
	// Stores compares what an app must not tell apart, Same two bare stores.
	Stores *Comparison `json:"stores"`
	Same   *Comparison `json:"same"`
	// Verdict is one of the constants.
	Verdict string `json:"verdict"`

	// control is a row that is to differ, if mustShow; other rows must not.
	control, mustShow bool
}

// Verdicts.
const (
	alike    = "alike"
	apart    = "DIFFERENT"
	seen     = "different, as it should"
	unseen   = "NOT SEEN"
	unjudged = "-"
)

// fewest pairs that say anything.
const fewest = 50

// sides are what is compared: two of an app's views, and two bare stores.
type sides struct{ first, second, same, other []time.Duration }

func (s *sides) add(more *sides) {
	s.first, s.second = append(s.first, more.first...), append(s.second, more.second...)
	s.same, s.other = append(s.same, more.same...), append(s.other, more.other...)
}

func (s *sides) row(t *trial, caches, question, way, compared string) TrialRow {
	return TrialRow{
		Caches: caches, Question: question, Way: way, Compared: compared, Pairs: len(s.first), First: middle(s.first), Second: middle(s.second),
		Stores: compare(s.first, s.second, t.random), Same: compare(s.same, s.other, t.random),
	}
}

// rows compares what was measured: question by question, and then all of them together,
// which shows what is too small to be seen in one.
func (t *trial) rows(caches string, all times) (rows []TrialRow) {
	if len(all) == 0 {
		return nil
	}
	together := map[string]*sides{}
	var order []string
	for question, q := range t.questions {
		for way := range ways {
			for _, c := range q.comparisons(func(kind, subject int) []time.Duration { return all[cell{question, way, kind, subject}] }) {
				row := c.row(t, caches, q.name, ways[way].name, c.name)
				row.control, row.mustShow = c.control, c.control && q.shows
				rows = append(rows, row)
				if c.control {
					continue
				}
				if together[c.name] == nil {
					together[c.name] = &sides{}
					order = append(order, c.name)
				}
				together[c.name].add(&c.sides)
			}
		}
	}
	for _, name := range order {
		rows = append(rows, together[name].row(t, caches, "all", "both", name))
	}
	return rows
}

// comparison is of a question.
type comparison struct {
	name string
	sides
	control bool
}

// comparisons of a question: each kind of type in the store that hides and in a bare one,
// and kinds with each other in the one that hides.
func (q *question) comparisons(at func(kind, subject int) []time.Duration) (all []comparison) {
	for k, kind := range q.kinds {
		s := sides{at(k, hiding), at(k, bare), at(k, again), at(k, bare)}
		all = append(all, comparison{kind.name + ": hidden, none", s, kind == granted})
	}
	with := slices.Index(q.kinds, empty)
	if with < 0 {
		return all
	}
	for k, kind := range q.kinds {
		if kind == denied || kind == unknown {
			s := sides{at(k, hiding), at(with, hiding), at(with, again), at(with, bare)}
			all = append(all, comparison{name: kind.name + ", empty", sides: s})
		}
	}
	return all
}

func middle(all []time.Duration) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return float64(sorted[len(sorted)/2]) / float64(time.Microsecond)
}

// judge says of each row whether it differs, when all of them are looked at.
func judge(rows []TrialRow) {
	deviations := strictness(max(1, len(rows)))
	for i := range rows {
		r := &rows[i]
		differ := differs(r.Stores, r.Same, deviations)
		switch {
		case r.Pairs < fewest, r.control && !r.mustShow && !differ:
			r.Verdict = unjudged
		case r.control && differ:
			r.Verdict = seen
		case r.control:
			r.Verdict = unseen
		case differ:
			r.Verdict = apart
		default:
			r.Verdict = alike
		}
	}
}

func (t *trial) report(rows []TrialRow) error {
	if err := t.print(rows); err != nil {
		return err
	}
	bad := 0
	for i := range rows {
		if rows[i].Verdict == apart || rows[i].Verdict == unseen {
			bad++
		}
	}
	if bad > 0 {
		return fmt.Errorf("%w: %d of %d rows", ErrTold, bad, len(rows))
	}
	return nil
}

func (t *trial) print(rows []TrialRow) error {
	if t.JSON {
		lines := json.NewEncoder(t.Out)
		for i := range rows {
			if err := lines.Encode(rows[i]); err != nil {
				return err
			}
		}
		return nil
	}
	fmt.Fprintf(t.Out, "%s hidden samples. Differences in µs, shares of answers in points, with 95 %% intervals; load %s.\n", short(t.samples), load())
	w := tabwriter.NewWriter(t.Out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "CACHES\tQUESTION\tWAY\tCOMPARED\tPAIRS\tMEDIANS\tDIFFERENCE\tSAME STORE TWICE\tQUANTUM\tDIFFERENCE\tSAME STORE TWICE\tVERDICT")
	for i := range rows {
		r := &rows[i]
		q := r.widest()
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%.0f, %.0f\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Caches, r.Question, r.Way, r.Compared, r.Pairs, r.First, r.Second,
			&r.Stores.Median, &r.Same.Median, quantumName(q), r.Stores.Shares[q].times(100), r.Same.Shares[q].times(100), r.Verdict)
	}
	return w.Flush()
}

// widest is the quantum whose shares differ most.
func (r *TrialRow) widest() (at int) {
	for q := range r.Stores.Shares {
		if math.Abs(r.Stores.Shares[q].Value) > math.Abs(r.Stores.Shares[at].Value) {
			at = q
		}
	}
	return at
}

func quantumName(q int) string {
	if q == quanta-1 {
		return fmt.Sprintf("≥ %d ms", q)
	}
	return fmt.Sprintf("%d–%d ms", q, q+1)
}

func (e *Estimate) times(n float64) *Estimate {
	return &Estimate{Value: n * e.Value, Low: n * e.Low, High: n * e.High}
}

// String prints the number and its interval.
func (e *Estimate) String() string {
	number := func(v float64) string {
		if math.Abs(v) < 10 {
			return fmt.Sprintf("%+.1f", v)
		}
		return fmt.Sprintf("%+.0f", v)
	}
	return number(e.Value) + " [" + number(e.Low) + ", " + number(e.High) + "]"
}

// load of the machine in the last minutes, as the kernel tells.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}
