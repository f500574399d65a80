package main

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"healthledger/proto/catalog"
	"healthledger/proto/unit"
	"healthledger/proto/unit/ucum"
)

type unitsCmd struct {
	Of  unitsOfCmd  `cmd:"" default:"withargs" hidden:""`
	Set unitsSetCmd `cmd:"" help:"Set the unit in which the owner likes to see a type (\"query units\" shows them)."`
}

type unitsOfCmd struct {
	Args  []string `arg:"" optional:"" help:"Nothing (lists atoms and prefixes), a UNIT (checks it), or a VALUE, its UNIT and the one it becomes."`
	Exact bool     `help:"Convert with the exact factors instead of HealthKit's rounded ones."`
	UCUM  bool     `name:"ucum" help:"The units given are UCUM codes."`
}

func (c *unitsOfCmd) Run(g *globals) error {
	switch {
	case c.UCUM && c.Exact:
		return usagef("--ucum: UCUM has one set of factors, --exact does not go with it")
	case len(c.Args) == 0:
		return g.listUnits()
	case len(c.Args) == 1 && c.UCUM:
		u, err := ucum.Parse(c.Args[0])
		if err != nil {
			return err
		}
		return g.printFacts([]fact{{"ucum", u.String()}, {"name", u.Name()}})
	case len(c.Args) == 1:
		return g.checkUnit(c.Args[0])
	case len(c.Args) == 3:
		return c.convert(g)
	}
	return usagef("name a unit, or a value, its unit and the one that it becomes")
}

// listUnits prints what units are made of, with the UCUM code of each atom.
func (g *globals) listUnits() error {
	w := tabwriter.NewWriter(g.out, 0, 4, 2, ' ', 0)
	if !g.JSON {
		fmt.Fprintln(w, "ATOM\tUCUM\tNOTES")
	}
	for _, a := range unit.Atoms() {
		name := a.Name
		var notes []string
		if a.Prefixed {
			notes = append(notes, "prefixes")
		}
		if a.Solute {
			name += "<180.15588000005408>"
			notes = append(notes, "with its molar mass in grams")
		}
		u, err := unit.Parse(name)
		if err != nil {
			return err
		}
		if g.JSON {
			if err := g.printJSON(map[string]any{"atom": a.Name, "prefixes": a.Prefixed, "molarMass": a.Solute, "ucum": codeOf(u)}); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", name, codeOf(u), strings.Join(notes, ", "))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, p := range unit.Prefixes() {
		if g.JSON {
			if err := g.printJSON(map[string]any{"prefix": p.Name, "power": p.Power}); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(w, "prefix %s\t10^%d\n", p.Name, p.Power)
	}
	return w.Flush()
}

// codeOf returns the UCUM code of a unit, "" if UCUM cannot write it.
func codeOf(u unit.Unit) string {
	q, err := ucum.Of(1, u)
	if err != nil {
		return ""
	}
	return q.Code
}

// checkUnit prints a unit in its usual form and what it is the unit of.
func (g *globals) checkUnit(text string) error {
	u, err := unit.Parse(text)
	if err != nil {
		return err
	}
	var types []string
	for _, t := range catalog.All() {
		if own, err := unit.Parse(t.Unit); err == nil && own.Compatible(u) {
			types = append(types, t.Short())
		}
	}
	return g.printFacts([]fact{
		{"unit", u.String()}, {"ucum", codeOf(u)}, {"types", listOr(types, "none")},
	})
}

func (c *unitsOfCmd) convert(g *globals) error {
	v, err := strconv.ParseFloat(c.Args[0], 64)
	if err != nil {
		return usagef("%q is not a number", c.Args[0])
	}
	if v, err = c.converted(v, c.Args[1], c.Args[2]); err != nil {
		return err
	}
	if g.JSON {
		return g.printJSON(map[string]any{"value": v, "unit": c.Args[2]})
	}
	_, err = fmt.Fprintf(g.out, "%s %s\n", strconv.FormatFloat(v, 'g', -1, 64), c.Args[2])
	return err
}

func (c *unitsOfCmd) converted(v float64, from, to string) (float64, error) {
	if c.UCUM {
		a, err := ucum.Parse(from)
		if err != nil {
			return 0, err
		}
		b, err := ucum.Parse(to)
		if err != nil {
			return 0, err
		}
		return ucum.Convert(v, a, b)
	}
	a, err := unit.Parse(from)
	if err != nil {
		return 0, err
	}
	b, err := unit.Parse(to)
	if err != nil {
		return 0, err
	}
	constants := unit.Apple
	if c.Exact {
		constants = unit.Exact
	}
	return constants.Convert(v, a, b)
}

// fact is a name with what is so called.
type fact struct{ name, value string }

func (g *globals) printFacts(facts []fact) error {
	if g.JSON {
		all := map[string]string{}
		for _, f := range facts {
			all[f.name] = f.value
		}
		return g.printJSON(all)
	}
	w := tabwriter.NewWriter(g.out, 0, 4, 2, ' ', 0)
	for _, f := range facts {
		fmt.Fprintf(w, "%s\t%s\n", f.name, f.value)
	}
	return w.Flush()
}
