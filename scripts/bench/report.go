package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
)

// QueryRow is one line of the result of Queries.
type QueryRow struct {
	Samples int    `json:"samples"`
	Work    string `json:"work"`
	Unit    string `json:"unit"`
	// Result is the median, if there are several runs.
	Result float64 `json:"result"`
	P99    float64 `json:"p99,omitempty"`
	Runs   int     `json:"runs,omitempty"`
	// Peer is the same of SQLCipher, 0 without it, and Ratio how many times that is the
	// result.
	Peer    float64 `json:"peer,omitempty"`
	PeerP99 float64 `json:"peerP99,omitempty"`
	Ratio   float64 `json:"ratio,omitempty"`
	// Targets of the design: at most, and at least.
	Target      float64 `json:"target,omitempty"`
	TargetRatio float64 `json:"targetRatio,omitempty"`
}

func (r *QueryRow) compare(peer float64) { r.Peer, r.Ratio = peer, peer/r.Result }

// met says whether the targets that could be checked are met.
func (r *QueryRow) met() string {
	switch {
	case r.Target == 0 && r.TargetRatio == 0:
		return "-"
	case r.Target > 0 && r.Result > r.Target, r.TargetRatio > 0 && r.Peer > 0 && r.Ratio < r.TargetRatio:
		return "no"
	}
	return "yes"
}

func printQueries(o QueryOptions, rows []QueryRow) error {
	if o.JSON {
		lines := json.NewEncoder(o.Out)
		for i := range rows {
			if err := lines.Encode(rows[i]); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(o.Out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "%s SAMPLES\tP50\tP99\tRUNS\tSQLCIPHER P50\tP99\tRATIO\tTARGET\tMET\n", short(rows[0].Samples))
	for i := range rows {
		r := &rows[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Work, figure(r.Result, r.Unit), figure(r.P99, r.Unit), whole(r.Runs),
			figure(r.Peer, r.Unit), figure(r.PeerP99, r.Unit), figure(r.Ratio, "×"), r.targets(), r.met())
	}
	fmt.Fprintln(w)
	return w.Flush()
}

func (r *QueryRow) targets() string {
	text := "-"
	if r.Target > 0 {
		text = "≤ " + figure(r.Target, r.Unit)
	}
	if r.TargetRatio > 0 {
		text += ", ≥ " + figure(r.TargetRatio, "×")
	}
	return text
}

// printGrowth prints each result and how it grows from size to size, the ledger's and
// after it the peer's.
func printGrowth(out io.Writer, all [][]QueryRow) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprint(w, "GROWTH")
	for range 2 {
		for _, rows := range all {
			fmt.Fprint(w, "\t", short(rows[0].Samples))
		}
	}
	fmt.Fprintln(w)
	for i, first := range all[0] {
		fmt.Fprint(w, first.Work)
		for _, value := range []func(*QueryRow) float64{
			func(r *QueryRow) float64 { return r.Result }, func(r *QueryRow) float64 { return r.Peer },
		} {
			before := 0.0
			for _, rows := range all {
				now := value(&rows[i])
				fmt.Fprint(w, "\t", figure(now, first.Unit))
				if before > 0 {
					fmt.Fprintf(w, " (×%.2g)", now/before)
				}
				before = now
			}
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// figure prints a number with its unit, and nothing as a dash.
func figure(v float64, unit string) string {
	switch {
	case v == 0:
		return "-"
	case unit == "×" && v >= 10:
		return fmt.Sprintf("%.0f×", v)
	case unit == "×":
		return fmt.Sprintf("%.2f×", v)
	case unit == "ms" && v >= 1000:
		return fmt.Sprintf("%.3g s", v/1000)
	}
	return fmt.Sprintf("%.3g %s", v, unit)
}

func whole(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// short prints a number of samples like 10M.
func short(n int) string {
	switch {
	case n >= 999_500:
		return fmt.Sprintf("%.3gM", float64(n)/1e6)
	case n >= 1000:
		return fmt.Sprintf("%.3gk", float64(n)/1e3)
	}
	return strconv.Itoa(n)
}
