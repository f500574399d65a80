package ucum

import (
	"fmt"
	"maps"
	"math/big"
	"strconv"
	"strings"

	"healthledger/proto/unit"
)

// Limits of what Parse takes.
const (
	// MaxLength of a code in bytes.
	MaxLength = 255
	maxParts  = 64
	maxDepth  = 8
	maxPower  = 99
	// maxBits of the numerator and of the denominator of a unit's size.
	maxBits = 4096
)

// Parse reads a code in the case-sensitive form. The empty code is the unity. The
// error is a *unit.SyntaxError.
func Parse(code string) (Unit, error) { return units().parse(code) }

func (t table) parse(code string) (Unit, error) {
	if len(code) > MaxLength {
		return Unit{}, &unit.SyntaxError{Text: strings.ToValidUTF8(code[:MaxLength], "�") + "…", Pos: MaxLength, Why: "too long"}
	}
	p := parser{table: t, code: code}
	p.unit = Unit{code: code, size: big.NewRat(1, 1), number: big.NewRat(1, 1), bases: map[string]int{}}
	if code == "" {
		return p.unit, nil
	}
	err := p.term(1)
	if err == nil && p.pos < len(code) {
		err = p.unexpected()
	}
	if err == nil && p.alone != nil && p.components > 1 {
		err = p.fail(0, fmt.Sprintf("%s cannot be part of a larger unit", p.alone.code))
	}
	if err != nil {
		return Unit{}, err
	}
	maps.DeleteFunc(p.unit.bases, isZero)
	p.unit.name = p.name.String()
	return p.unit, nil
}

// isZero says that a power makes no difference.
func isZero(_ string, power int) bool { return power == 0 }

type parser struct {
	table table
	code  string
	pos   int
	depth int
	unit  Unit
	name  strings.Builder
	// components met, annotations apart, and the last that stands alone.
	components int
	alone      *atom
}

func (p *parser) fail(pos int, why string) error {
	return &unit.SyntaxError{Text: strings.ToValidUTF8(p.code, "�"), Pos: pos, Why: why}
}

func (p *parser) unexpected() error {
	if p.pos >= len(p.code) {
		return p.fail(p.pos, "a unit is missing")
	}
	r := []rune(strings.ToValidUTF8(p.code[p.pos:], "�"))[0]
	return p.fail(p.pos, fmt.Sprintf("unexpected %q", r))
}

func (p *parser) take(c byte) bool {
	if p.pos < len(p.code) && p.code[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

// term reads components, from left to right; sign is the power of the whole term.
func (p *parser) term(sign int) error {
	power := sign
	if p.take('/') {
		power = -sign
		p.name.WriteString("/ ")
	}
	for {
		if err := p.component(power); err != nil {
			return err
		}
		switch {
		case p.take('.'):
			power = sign
			p.name.WriteString(" * ")
		case p.take('/'):
			power = -sign
			p.name.WriteString(" / ")
		default:
			return nil
		}
	}
}

func (p *parser) component(sign int) error {
	start := p.pos
	switch {
	case p.take('('):
		return p.parentheses(sign)
	case p.pos < len(p.code) && p.code[p.pos] == '{':
		return p.annotation()
	}
	if p.components++; p.components > maxParts {
		return p.fail(start, "too many parts")
	}
	symbol := p.symbol()
	if symbol == "" {
		return p.unexpected()
	}
	var err error
	if digits(symbol) == len(symbol) {
		err = p.number(start, symbol, sign)
	} else {
		err = p.atom(start, symbol, sign)
	}
	if err == nil && p.pos < len(p.code) && p.code[p.pos] == '{' {
		err = p.annotation()
	}
	return err
}

func (p *parser) parentheses(sign int) error {
	if p.depth++; p.depth > maxDepth {
		return p.fail(p.pos-1, "too many parentheses")
	}
	p.name.WriteByte('(')
	if err := p.term(sign); err != nil {
		return err
	}
	if !p.take(')') {
		if p.pos < len(p.code) {
			return p.unexpected()
		}
		return p.fail(p.pos, "a closing parenthesis is missing")
	}
	p.name.WriteByte(')')
	p.depth--
	return nil
}

// annotation reads "{…}", which means nothing to the value.
func (p *parser) annotation() error {
	start := p.pos
	for p.pos++; p.pos < len(p.code) && p.code[p.pos] != '}'; p.pos++ {
		if c := p.code[p.pos]; c < '!' || '~' < c || c == '{' {
			return p.fail(p.pos, "an annotation is of printable ASCII characters without spaces and braces")
		}
	}
	if !p.take('}') {
		return p.fail(p.pos, "a closing brace is missing")
	}
	p.name.WriteString(p.code[start:p.pos])
	return nil
}

// symbol reads a number, or the characters of an atom with its prefix.
func (p *parser) symbol() string {
	start := p.pos
	if n := digits(p.code[start:]); n > 0 {
		if p.pos += n; p.code[start:p.pos] == "10" && !p.take('*') {
			p.take('^')
		}
		return p.code[start:p.pos]
	}
	for p.pos < len(p.code) {
		c := p.code[p.pos]
		if c == '[' {
			end := strings.IndexByte(p.code[p.pos:], ']')
			if end < 0 {
				break
			}
			p.pos += end
		} else if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '%' || c == '\'' || c == '_') {
			break
		}
		p.pos++
	}
	return p.code[start:p.pos]
}

// digits returns how many digits the text begins with.
func digits(text string) int {
	n := 0
	for n < len(text) && '0' <= text[n] && text[n] <= '9' {
		n++
	}
	return n
}

func (p *parser) number(start int, text string, sign int) error {
	n, _ := new(big.Int).SetString(text, 10)
	if n.Sign() == 0 {
		return p.fail(start, "a unit cannot be zero")
	}
	p.name.WriteString(text)
	factor := new(big.Rat).SetInt(n)
	return p.multiply(start, factor, true, nil, sign)
}

func (p *parser) atom(start int, symbol string, sign int) error {
	prefix, a := p.table.symbol(symbol)
	if a == nil {
		return p.fail(start, fmt.Sprintf("%q is not a UCUM unit that is supported", symbol))
	}
	power, written, err := p.power()
	if err != nil {
		return err
	}
	if a.alone {
		if p.alone = a; power != 1 || sign != 1 {
			return p.fail(start, fmt.Sprintf("%s takes no power", a.code))
		}
	}
	this := part{atom: a, power: power * sign}
	name, size := a.name, a.size
	if prefix >= 0 {
		this.prefix, name = prefixes[prefix].code, prefixes[prefix].name+name
		size = new(big.Rat).Mul(size, prefixes[prefix].size)
	}
	p.unit.zero = a.zero
	p.name.WriteString("(" + name)
	if written {
		p.name.WriteString(" ^ " + strconv.Itoa(power))
	}
	p.name.WriteByte(')')
	if !a.number && power != 0 {
		p.unit.parts = append(p.unit.parts, this)
	}
	return p.multiply(start, size, a.number, a.bases, this.power)
}

// power reads an exponent, if there is one.
func (p *parser) power() (power int, written bool, err error) {
	start, sign := p.pos, 1
	signed := p.take('+')
	if !signed && p.take('-') {
		signed, sign = true, -1
	}
	n := digits(p.code[p.pos:])
	if n == 0 && !signed {
		return 1, false, nil
	}
	text := p.code[p.pos : p.pos+n]
	p.pos += n
	power, err = strconv.Atoi(text)
	if err != nil || power > maxPower {
		return 0, false, p.fail(start, "the power is not a whole number to "+strconv.Itoa(maxPower))
	}
	return sign * power, true, nil
}

// multiply takes a factor to a power into the unit.
func (p *parser) multiply(pos int, size *big.Rat, number bool, bases map[string]int, power int) error {
	if power < 0 {
		size = new(big.Rat).Inv(size)
	}
	n := max(power, -power)
	if bits(size)*n+bits(p.unit.size) > maxBits {
		return p.fail(pos, "the unit is too large or too small")
	}
	e := big.NewInt(int64(n))
	size = new(big.Rat).SetFrac(new(big.Int).Exp(size.Num(), e, nil), new(big.Int).Exp(size.Denom(), e, nil))
	p.unit.size.Mul(p.unit.size, size)
	if number {
		p.unit.number.Mul(p.unit.number, size)
	}
	for base, k := range bases {
		p.unit.bases[base] += k * power
	}
	return nil
}

func bits(r *big.Rat) int { return max(r.Num().BitLen(), r.Denom().BitLen()) }
