package aggregate

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
)

// Sum is an exact sum of float64 numbers: a wide fixed-point number, in which nothing is
// rounded. It does not depend on the order of what was added. The zero value is zero.
// A Sum must not be copied once it has been added to.
type Sum struct {
	// words are of a number in two's complement, the least first. The first stands at
	// 64·low bits above 2^-origin; what is beyond the last is its sign.
	low   int
	words []uint64
}

const (
	origin = 17 * 64 // a multiple of a word that is below every float64
	least  = -1074   // the exponent of the smallest float64
	most   = 1300    // no sum of fewer than 2^128 numbers and products has a greater one
	widest = (most - least) / 8
)

// Reset makes the sum zero, and keeps its memory.
func (s *Sum) Reset() { s.words = s.words[:0] }

// Add adds a number. What is not finite, which no ledger accepts, adds nothing.
func (s *Sum) Add(x float64) { s.AddProduct(x, 1) }

// Sub subtracts a number.
func (s *Sum) Sub(x float64) { s.AddProduct(-x, 1) }

// AddInt adds a whole number.
func (s *Sum) AddInt(n uint64) { s.addAt(n, origin, false) }

// AddProduct adds x·n, unrounded.
func (s *Sum) AddProduct(x float64, n uint64) {
	b := math.Float64bits(x)
	mantissa, exponent := b&(1<<52-1), int(b>>52&0x7ff)
	switch exponent {
	case 0x7ff:
		return
	case 0:
		exponent = 1
	default:
		mantissa |= 1 << 52
	}
	high, low := bits.Mul64(mantissa, n)
	at, negative := exponent-1-1074+origin, b>>63 != 0
	s.addAt(low, at, negative)
	s.addAt(high, at+64, negative)
}

// AddSum adds another sum.
func (s *Sum) AddSum(o *Sum) {
	if len(o.words) == 0 {
		return
	}
	s.from(o.low)
	s.from(o.low + len(o.words) - 2) // one more than the other's last
	w, carry := s.words[o.low-s.low:], uint64(0)
	for i, x := range o.words {
		w[i], carry = bits.Add64(w[i], x, carry)
	}
	sign := uint64(int64(o.words[len(o.words)-1]) >> 63)
	for i := len(o.words); i < len(w); i++ {
		w[i], carry = bits.Add64(w[i], sign, carry)
	}
}

// addAt adds m·2^(at-origin).
func (s *Sum) addAt(m uint64, at int, negative bool) {
	if m == 0 {
		return
	}
	w, shift := s.from(at/64), uint(at%64)
	low, high, carry := m<<shift, m>>(64-shift), uint64(0)
	if negative {
		w[0], carry = bits.Sub64(w[0], low, 0)
		w[1], carry = bits.Sub64(w[1], high, carry)
		for i := 2; carry != 0 && i < len(w); i++ {
			w[i], carry = bits.Sub64(w[i], 0, carry)
		}
		return
	}
	w[0], carry = bits.Add64(w[0], low, 0)
	w[1], carry = bits.Add64(w[1], high, carry)
	for i := 2; carry != 0 && i < len(w); i++ {
		w[i], carry = bits.Add64(w[i], 0, carry)
	}
}

// set makes a sum of zero m·2^(at-origin).
func (s *Sum) set(m uint64, at int, negative bool) {
	shift := uint(at % 64)
	low, high, sign := m<<shift, m>>(64-shift), uint64(0)
	if negative {
		var borrow uint64
		low, borrow = bits.Sub64(0, low, 0)
		high, borrow = bits.Sub64(0, high, borrow)
		sign = -borrow
	}
	s.low, s.words = at/64, append(s.words[:0], low, high, sign)
}

func bigEndian(b []byte) uint64 {
	word := uint64(0)
	for _, c := range b {
		word = word<<8 | uint64(c)
	}
	return word
}

// from returns the words from one on: two, and more that take what is carried, the last of
// which has bits to spare.
func (s *Sum) from(word int) []uint64 {
	if len(s.words) == 0 {
		s.low, s.words = word, append(s.words, 0, 0, 0, 0)[:3]
	}
	if below := s.low - word; below > 0 {
		n := len(s.words)
		s.words = append(s.words, make([]uint64, below)...)
		copy(s.words[below:], s.words[:n])
		clear(s.words[:below])
		s.low = word
	}
	for {
		last := int64(s.words[len(s.words)-1])
		if top := last >> 62; len(s.words) >= word-s.low+3 && (top == 0 || top == -1) {
			return s.words[word-s.low:]
		}
		s.words = append(s.words, uint64(last>>63))
	}
}

// number returns the sum as ±n·2^exponent, n odd or zero, in words like those of the sum.
func (s *Sum) number() (n []uint64, exponent int, negative bool) {
	var buffer [8]uint64
	n = append(buffer[:0], s.words...)
	if len(n) == 0 {
		return nil, 0, false
	}
	if negative = int64(n[len(n)-1]) < 0; negative {
		carry := uint64(1)
		for i := range n {
			n[i], carry = bits.Add64(^n[i], 0, carry)
		}
	}
	first := 0
	for first < len(n) && n[first] == 0 {
		first++
	}
	if n = n[first:]; len(n) == 0 {
		return nil, 0, false
	}
	shift := bits.TrailingZeros64(n[0])
	for i := range n {
		n[i] >>= shift
		if i+1 < len(n) {
			n[i] |= n[i+1] << (64 - shift)
		}
	}
	for n[len(n)-1] == 0 {
		n = n[:len(n)-1]
	}
	return n, 64*(s.low+first) + shift - origin, negative
}

// Append appends the sum in the only form that it has: uvarint 2·(how many bytes) plus 1
// if it is negative and, unless it is zero, varint exponent and those bytes, an odd number
// of which the sum is that power of two times.
func (s *Sum) Append(dst []byte) []byte {
	n, exponent, negative := s.number()
	if len(n) == 0 {
		return append(dst, 0)
	}
	top := n[len(n)-1]
	short := (bits.Len64(top) + 7) / 8
	header := uint64(8*(len(n)-1)+short) << 1
	if negative {
		header |= 1
	}
	dst = binary.AppendVarint(binary.AppendUvarint(dst, header), int64(exponent))
	for i := short - 1; i >= 0; i-- {
		dst = append(dst, byte(top>>(8*i)))
	}
	for i := len(n) - 2; i >= 0; i-- {
		dst = binary.BigEndian.AppendUint64(dst, n[i])
	}
	return dst
}

// Read sets the sum to what b begins with, and returns what follows. There is one form of
// a sum: others are refused.
func (s *Sum) Read(b []byte) (rest []byte, ok bool) {
	s.Reset()
	r := reader{b: b}
	header := r.uvarint()
	if header == 0 {
		return r.b, !r.bad
	}
	exponent := r.varint()
	n := header >> 1
	if r.bad || n == 0 || n > widest || uint64(len(r.b)) < n || exponent < least || exponent+8*int64(n) > most {
		return nil, false
	}
	number, rest := r.b[:n], r.b[n:]
	if number[0] == 0 || number[n-1]&1 == 0 {
		return nil, false
	}
	at, negative := int(exponent)+origin, header&1 != 0
	if n <= 8 {
		s.set(bigEndian(number), at, negative)
		return rest, true
	}
	for ; len(number) > 0; at += 64 {
		from := max(len(number)-8, 0)
		s.addAt(bigEndian(number[from:]), at, negative)
		number = number[:from]
	}
	return rest, true
}

// Float64 returns the sum, rounded once, to even.
func (s *Sum) Float64() float64 {
	n, exponent := s.big()
	f := new(big.Float).SetPrec(uint(max(n.BitLen(), 1))).SetInt(n)
	x, _ := f.SetMantExp(f, exponent).Float64()
	return x
}

// Over returns the sum divided by one that is not zero, rounded once, to even. A mean is
// thus never outside of what it is the mean of.
func (s *Sum) Over(o *Sum) float64 {
	n, exponent := s.big()
	d, below := o.big()
	if exponent -= below; exponent > 0 {
		n.Lsh(n, uint(exponent))
	} else {
		d.Lsh(d, uint(-exponent))
	}
	x, _ := new(big.Rat).SetFrac(n, d).Float64()
	return x
}

func (s *Sum) big() (*big.Int, int) {
	n, exponent, negative := s.number()
	b := make([]byte, 0, 8*len(n))
	for i := len(n) - 1; i >= 0; i-- {
		b = binary.BigEndian.AppendUint64(b, n[i])
	}
	x := new(big.Int).SetBytes(b)
	if negative {
		x.Neg(x)
	}
	return x, exponent
}
