package main

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// chartRow is a line of a chart: what it stands for, and how much of it there is. Nil is
// nothing.
type chartRow struct {
	label string
	value *float64
}

// leastBar is how many columns the longest bar has where the terminal is too narrow.
const leastBar = 10

// chart draws horizontal bars, one a line, that together with labels and values are at
// most so many columns wide. Zero is at the same column in all of them: bars of negative
// values go to the left. What is not finite has no bar.
func chart(rows []chartRow, width int) []string {
	var labels, figures int
	var low, high float64
	for _, r := range rows {
		labels = max(labels, utf8.RuneCountInString(r.label))
		figures = max(figures, utf8.RuneCountInString(optional(r.value)))
		if drawn(r.value) {
			low, high = min(low, *r.value), max(high, *r.value)
		}
	}
	width = max(width-labels-figures-4, leastBar)
	scale := newScale(low, high, width)
	lines := make([]string, len(rows))
	for i, r := range rows {
		line := fmt.Sprintf("%-*s  %*s  ", labels, r.label, figures, optional(r.value))
		if drawn(r.value) {
			line += scale.draw(*r.value)
		}
		lines[i] = strings.TrimRight(line, " ")
	}
	return lines
}

func drawn(v *float64) bool { return v != nil && !math.IsNaN(*v) && !math.IsInf(*v, 0) }

// scale says how long bars are.
type scale struct {
	// left and right are the columns to either side of zero.
	left, right int
	// half of the span of the values: the whole may be more than a float64 can be.
	half float64
	// width is how many columns the span takes.
	width float64
}

func newScale(low, high float64, width int) scale {
	s := scale{half: high/2 - low/2, width: float64(width)}
	if low < 0 {
		s.left = max(1, int(math.Ceil(-low/2/s.half*s.width)))
	}
	if high > 0 {
		s.left = min(s.left, width-1)
	}
	s.right = width - s.left
	return s
}

// Blocks of eighths from the left, and of halves from the right.
const (
	wholeBlock = "█"
	halfBlock  = "▐"
)

var blocks = []rune(" ▏▎▍▌▋▊▉")

// draw returns the bar of a value. One that is not zero always shows.
func (s scale) draw(v float64) string {
	switch {
	case v == 0:
		return ""
	case v > 0:
		n := max(1, int(math.Round(v/2/s.half*s.width*8)))
		n = min(n, s.right*8)
		bar := strings.Repeat(" ", s.left) + strings.Repeat(wholeBlock, n/8)
		if n%8 > 0 {
			bar += string(blocks[n%8])
		}
		return bar
	}
	n := max(1, int(math.Round(-v/2/s.half*s.width*2)))
	n = min(n, s.left*2)
	bar := strings.Repeat(wholeBlock, n/2)
	if n%2 > 0 {
		bar = halfBlock + bar
	}
	return strings.Repeat(" ", s.left-(n+1)/2) + bar
}
