package main

import (
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestChartLooksLikeThis(t *testing.T) {
	of := func(v float64) *float64 { return &v }
	rows := []chartRow{
		{"2025-05-29", of(8)}, {"2025-05-30", nil}, {"2025-05-31", of(5.5)}, {"2025-06-01", of(0)}, {"2025-06-02", of(math.NaN())},
		{"2025-06-03", of(-2)}, {"2025-06-04", of(-0.01)}, {"2025-06-05", of(math.Inf(1))},
	}
	want := `2025-05-29      8    ████████
2025-05-30      -
2025-05-31    5.5    █████▌
2025-06-01      0
2025-06-02    NaN
2025-06-03     -2  ██
2025-06-04  -0.01   ▐
2025-06-05   +Inf`
	if got := strings.Join(chart(rows, 10+2+5+2+10), "\n"); got != want {
		t.Errorf("\n%s\nnot\n%s", got, want)
	}
}

// eighths is how long a bar is, and where it begins.
func eighths(bar string) (from, length int) {
	for _, r := range bar {
		switch i := slices.Index(blocks, r); {
		case r == ' ' && length == 0:
			from += 8
		case string(r) == wholeBlock:
			length += 8
		case string(r) == halfBlock:
			from, length = from+4, length+4
		default:
			length += i
		}
	}
	return from, length
}

func TestBarsAreAsLongAsTheirValuesAreLarge(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		width := rapid.IntRange(1, 120).Draw(r, "width")
		values := rapid.SliceOfN(rapid.OneOf(rapid.Float64(), rapid.Float64Range(-10, 10), rapid.Just(math.MaxFloat64), rapid.Just(-math.MaxFloat64)), 1, 20).Draw(r, "values")
		var rows []chartRow
		low, high := 0.0, 0.0
		for i := range values {
			rows = append(rows, chartRow{"x", &values[i]})
			if drawn(&values[i]) {
				low, high = min(low, values[i]), max(high, values[i])
			}
		}
		figures := 0
		for i := range values {
			figures = max(figures, utf8.RuneCountInString(optional(&values[i])))
		}
		room := max(width-figures-1-4, leastBar)
		zero := -1
		for i, line := range chart(rows, width) {
			if n := utf8.RuneCountInString(line); n > max(width, figures+1+4+leastBar) {
				r.Fatalf("%d columns, not %d", n, width)
			}
			bar := string([]rune(line)[min(utf8.RuneCountInString(line), figures+1+4):])
			from, length := eighths(bar)
			if !drawn(&values[i]) || values[i] == 0 {
				if length > 0 {
					r.Fatalf("%v has a bar", values[i])
				}
				continue
			}
			want := math.Abs(values[i]/2) / (high/2 - low/2) * float64(room) * 8
			if length == 0 || math.Abs(float64(length)-want) > 8 {
				r.Fatalf("%v is %d eighths long, not %v", values[i], length, want)
			}
			at := from
			if values[i] < 0 {
				at += length
			}
			if zero >= 0 && at != zero {
				r.Fatalf("zero is at %d and at %d", zero, at)
			}
			zero = at
		}
	})
}
