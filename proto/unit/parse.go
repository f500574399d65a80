package unit

import (
	"fmt"
	"strconv"
	"strings"
)

// Limits of what Parse takes. Real units stay far below.
const (
	// MaxLength of a unit in bytes.
	MaxLength = 64
	// maxFactors after like ones are put together.
	maxFactors = 8
	// maxPower of one factor, in the text and after like ones are put together.
	maxPower = 9
	// maxDepth of parentheses.
	maxDepth = 4
	// maxExponent of the power of ten of a whole unit.
	maxExponent = 60
)

// SyntaxError says where a string stops being a unit.
type SyntaxError struct {
	Text string
	// Pos is the offset in bytes, len(Text) for the end.
	Pos int
	Why string
}

// Error names the unit, the position (from 1) and the reason.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("unit %q, position %d: %s", e.Text, e.Pos+1, e.Why)
}

// Parse reads a unit in any spelling that HealthKit reads or exports. The error
// is a *SyntaxError.
func Parse(text string) (Unit, error) {
	if len(text) > MaxLength {
		return Unit{}, &SyntaxError{strings.ToValidUTF8(text[:MaxLength], "�") + "…", MaxLength, "too long"}
	}
	p := parser{text: text}
	factors, err := p.unit(0)
	if err == nil && p.pos < len(text) {
		err = p.unexpected()
	}
	if err == nil && len(factors) == 0 {
		err = p.fail(0, "the factors cancel out")
	}
	if err != nil {
		return Unit{}, err
	}
	u, why := assemble(factors)
	if why != "" {
		return Unit{}, p.fail(0, why)
	}
	return u, nil
}

type parser struct {
	text string
	pos  int
}

func (p *parser) fail(pos int, why string) error {
	return &SyntaxError{strings.ToValidUTF8(p.text, "�"), pos, why}
}

func (p *parser) unexpected() error {
	if p.pos >= len(p.text) {
		return p.fail(p.pos, "a unit is missing")
	}
	if p.text[p.pos] == '/' {
		return p.fail(p.pos, "there may be only one slash")
	}
	r := []rune(strings.ToValidUTF8(p.text[p.pos:], "�"))[0]
	return p.fail(p.pos, fmt.Sprintf("unexpected %q", r))
}

func (p *parser) take(s string) bool {
	if strings.HasPrefix(p.text[p.pos:], s) {
		p.pos += len(s)
		return true
	}
	return false
}

func (p *parser) unit(depth int) ([]factor, error) {
	factors, err := p.product(nil, 1, depth)
	if err == nil && p.take("/") {
		factors, err = p.product(factors, -1, depth)
	}
	return factors, err
}

func (p *parser) product(factors []factor, sign, depth int) ([]factor, error) {
	for {
		start := p.pos
		more, err := p.factor(depth)
		if err != nil {
			return nil, err
		}
		for _, f := range more {
			f.power *= sign
			if factors = merge(factors, f); len(factors) > maxFactors {
				return nil, p.fail(start, "too many factors")
			}
		}
		if !p.take("·") && !p.take(".") && !p.take("*") && !p.take("⋅") {
			return factors, nil
		}
	}
}

func (p *parser) factor(depth int) ([]factor, error) {
	var factors []factor
	start := p.pos
	if p.take("(") {
		if depth == maxDepth {
			return nil, p.fail(start, "too many parentheses")
		}
		var err error
		if factors, err = p.unit(depth + 1); err != nil {
			return nil, err
		}
		if !p.take(")") {
			return nil, p.fail(p.pos, "a closing parenthesis is missing")
		}
	} else {
		f, err := p.atom()
		if err != nil {
			return nil, err
		}
		factors = []factor{f}
	}
	power, err := p.power()
	if err != nil {
		return nil, err
	}
	for i := range factors {
		if factors[i].power *= power; abs(factors[i].power) > maxPower {
			return nil, p.fail(start, "the power is too high")
		}
	}
	return factors, nil
}

func (p *parser) atom() (factor, error) {
	start := p.pos
	if !p.take("µ") {
		p.take("μ")
	}
	for p.pos < len(p.text) && isLetter(p.text[p.pos]) {
		p.pos++
	}
	if !p.take("%") && p.pos == start {
		return factor{}, p.unexpected()
	}
	word := p.text[start:p.pos]
	s, ok := symbols[word]
	if !ok {
		return factor{}, p.fail(start, fmt.Sprintf("unknown unit %q", word))
	}
	f := factor{symbol: s, power: 1}
	if atoms[s.rank].solute {
		if !p.take("<") {
			return factor{}, p.fail(p.pos, "a mole needs its molar mass, as in mmol<180.15588000005408>/L")
		}
		digits, _, ok := strings.Cut(p.text[p.pos:], ">")
		f.molar = molarMass(digits)
		if !ok || f.molar == 0 {
			return factor{}, p.fail(p.pos, "the molar mass is not a number of grams from 0.001 to 10000000")
		}
		p.pos += len(digits) + 1
	}
	return f, nil
}

// molarMass reads plain decimal digits; 0 means that they are none.
func molarMass(digits string) float64 {
	for i := range len(digits) {
		if c := digits[i]; (c < '0' || '9' < c) && c != '.' {
			return 0
		}
	}
	m, err := strconv.ParseFloat(digits, 64)
	if err != nil || m < 1e-3 || m > 1e7 {
		return 0
	}
	return m
}

func (p *parser) power() (int, error) {
	if !p.take("^") {
		return 1, nil
	}
	start, sign := p.pos, 1
	if p.take("-") {
		sign = -1
	}
	if p.pos == len(p.text) || p.text[p.pos] < '1' || '9' < p.text[p.pos] {
		return 0, p.fail(start, "the power is not a number from 1 to 9")
	}
	n := int(p.text[p.pos] - '0')
	p.pos++
	if p.pos < len(p.text) && '0' <= p.text[p.pos] && p.text[p.pos] <= '9' {
		return 0, p.fail(start, "the power is not a number from 1 to 9")
	}
	return sign * n, nil
}

func isLetter(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
