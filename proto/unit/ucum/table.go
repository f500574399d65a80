package ucum

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
)

//go:embed atoms.csv
var atomsCSV string

// atom is a row of the table: a unit without a prefix.
type atom struct {
	code, name string
	metric     bool // takes prefixes
	alone      bool // stands alone: its zero is not zero, or it is no ratio scale
	number     bool // 10* and 10^
	size, zero *big.Rat
	bases      map[string]int
	// value times definition, until they are worked out into size and bases.
	value, definition, offset string
}

var prefixes = []struct {
	code, name string
	size       *big.Rat
}{
	{"Y", "yotta", rat("1e24")}, {"Z", "zetta", rat("1e21")}, {"E", "exa", rat("1e18")}, {"P", "peta", rat("1e15")},
	{"T", "tera", rat("1e12")}, {"G", "giga", rat("1e9")}, {"M", "mega", rat("1e6")}, {"k", "kilo", rat("1e3")},
	{"h", "hecto", rat("1e2")}, {"da", "deka", rat("1e1")}, {"d", "deci", rat("1e-1")}, {"c", "centi", rat("1e-2")},
	{"m", "milli", rat("1e-3")}, {"u", "micro", rat("1e-6")}, {"n", "nano", rat("1e-9")}, {"p", "pico", rat("1e-12")},
	{"f", "femto", rat("1e-15")}, {"a", "atto", rat("1e-18")}, {"z", "zepto", rat("1e-21")}, {"y", "yocto", rat("1e-24")},
}

func rat(text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		panic("ucum: not a number: " + text)
	}
	return r
}

// table finds atoms by their code.
type table map[string]*atom

// units is the whole table. It is made at the first use and never changes then.
var units = sync.OnceValue(func() table {
	rows, err := csv.NewReader(strings.NewReader(atomsCSV)).ReadAll()
	if err != nil {
		panic("ucum: " + err.Error())
	}
	t := table{}
	for _, row := range rows[1:] {
		kinds := strings.Fields(row[2])
		a := &atom{code: row[0], name: row[1], value: row[3], definition: row[4], offset: row[5]}
		a.metric = slices.Contains(kinds, "metric")
		a.number = slices.Contains(kinds, "number")
		a.alone = slices.Contains(kinds, "interval") || slices.Contains(kinds, "scale")
		if a.value == "" { // a base, or a scale of its own
			a.size, a.bases = big.NewRat(1, 1), map[string]int{a.code: 1}
		}
		t[a.code] = a
	}
	for _, a := range t {
		t.define(a)
	}
	return t
})

// define works out an atom from its definition, and before that the atoms there.
func (t table) define(a *atom) {
	if a.size != nil {
		return
	}
	u, err := t.parse(a.definition)
	if err != nil {
		panic(fmt.Sprintf("ucum: %s is defined as %q: %v", a.code, a.definition, err))
	}
	a.size, a.bases = u.size.Mul(u.size, rat(a.value)), u.bases
	if a.offset != "" {
		a.zero = rat(a.offset)
		a.zero.Mul(a.zero, a.size)
	}
}

// symbol splits a symbol into prefix and atom. A symbol that reads both ways is the
// atom without a prefix.
func (t table) symbol(text string) (prefix int, a *atom) {
	prefix, a = -1, t[text]
	for i := 0; i < len(prefixes) && a == nil; i++ {
		if rest, ok := strings.CutPrefix(text, prefixes[i].code); ok && t[rest] != nil && t[rest].metric {
			prefix, a = i, t[rest]
		}
	}
	if a != nil {
		t.define(a)
	}
	return prefix, a
}
