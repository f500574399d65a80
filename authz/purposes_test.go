package authz

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// What an app reads for in a period is what the manifests said that it had in any moment of
// it, also where the clock was set back between two.
func TestPurposesAreThoseOfTheTime(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		app, names := &App{}, []string{"health", "fitness", "research"}
		for range rapid.IntRange(1, 5).Draw(r, "manifests") {
			app.purposes = append(app.purposes, purposesSince{
				rapid.Int64Range(0, 9).Draw(r, "since"), rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 3, rapid.ID).Draw(r, "purposes"),
			})
		}
		from := rapid.Int64Range(-1, 10).Draw(r, "from")
		to := from + rapid.Int64Range(1, 4).Draw(r, "length")
		var want []string
		for at := from; at < to; at++ {
			// The last manifest that had come, or else the first there was.
			held := app.purposes[0]
			for _, p := range app.purposes[1:] {
				if p.since <= at {
					held = p
				}
			}
			want = append(want, held.purposes...)
		}
		slices.Sort(want)
		want = slices.Compact(want)
		got := app.PurposesIn(from, to)
		if slices.Sort(got); !slices.Equal(want, got) {
			r.Errorf("[%d, %d) of %v: %v, want %v", from, to, app.purposes, got, want)
		}
	})
	if got := (&App{}).PurposesIn(0, 1); got != nil {
		t.Error(got)
	}
}
