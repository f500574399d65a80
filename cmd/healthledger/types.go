package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"healthledger/proto/catalog"
)

type typesCmd struct {
	Filter string `arg:"" optional:"" help:"Only types whose name contains this."`
	Words  string `help:"List the words of a vocabulary instead, like workoutActivity (\"all\": their names)." placeholder:"VOCABULARY"`
}

func (c *typesCmd) Run(g *globals) error {
	if c.Words != "" {
		return g.printWords(c.Words)
	}
	w := tabwriter.NewWriter(g.out, 0, 4, 2, ' ', 0)
	if !g.JSON {
		fmt.Fprintln(w, "TYPE\tKIND\tUNIT\tAGGREGATION\tNOTES\tVALUES OR MEMBERS")
	}
	for _, t := range catalog.All() {
		if !strings.Contains(strings.ToLower(t.Identifier), strings.ToLower(c.Filter)) {
			continue
		}
		if g.JSON {
			if err := g.printJSON(typeJSON(t)); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", t.Short(), t.Kind, t.Unit, t.Aggregation, strings.Join(notes(t), ", "),
			strings.Join(append(values(&t.Vocabulary), members(t)...), " "))
	}
	return w.Flush()
}

func typeJSON(t *catalog.Type) map[string]any {
	return map[string]any{
		"type": t.Short(), "identifier": t.Identifier, "kind": t.Kind.String(), "unit": t.Unit,
		"aggregation": t.Aggregation.String(), "values": values(&t.Vocabulary), "readOnly": t.ReadOnly,
		"perObject": t.PerObject, "pointOnly": t.PointOnly, "maxSeconds": t.MaxDuration.Seconds(),
		"requires": append([]string{}, t.Requires...), "members": members(t), "plausible": plausible(t),
	}
}

// plausible is the range of a type, nil for none.
func plausible(t *catalog.Type) any {
	if t.Plausible == nil {
		return nil
	}
	return map[string]any{"min": t.Plausible.Min, "max": t.Plausible.Max, "unit": t.Plausible.Unit}
}

// notes are the rules of a type in a few words.
func notes(t *catalog.Type) []string {
	notes := []string{}
	if t.ReadOnly {
		notes = append(notes, "read-only")
	}
	if t.PerObject {
		notes = append(notes, "per-object")
	}
	if t.PointOnly {
		notes = append(notes, "point")
	}
	if t.MaxDuration > 0 {
		notes = append(notes, fmt.Sprintf("at most %g h", t.MaxDuration.Hours()))
	}
	if r := t.Plausible; r != nil {
		notes = append(notes, fmt.Sprintf("%s to %s %s", number(r.Min), number(r.Max), r.Unit))
	}
	for _, key := range t.Requires {
		notes = append(notes, "needs "+key)
	}
	return notes
}

func values(v *catalog.Vocabulary) []string {
	values := []string{}
	for _, v := range v.Values {
		values = append(values, fmt.Sprintf("%s=%d", v.Name, v.Number))
	}
	return values
}

func members(t *catalog.Type) []string {
	names := []string{}
	for _, m := range t.Members() {
		names = append(names, m.Short())
	}
	return names
}

// printWords prints a vocabulary, a word a line, or the names of all.
func (g *globals) printWords(name string) error {
	names := catalog.Vocabularies()
	if name != "all" && !slices.Contains(names, name) {
		return usagef("--words: no vocabulary %q; there are %s", name, strings.Join(names, ", "))
	}
	w := tabwriter.NewWriter(g.out, 0, 4, 2, ' ', 0)
	if name == "all" {
		for _, n := range names {
			if g.JSON {
				if err := g.printJSON(map[string]any{"vocabulary": n, "words": len(catalog.Words(n).Values)}); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(w, "%s\t%d words\n", n, len(catalog.Words(n).Values))
		}
		return w.Flush()
	}
	for _, v := range catalog.Words(name).Values {
		if g.JSON {
			if err := g.printJSON(map[string]any{"word": v.Name, "number": v.Number}); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(w, "%s\t%d\n", v.Name, v.Number)
	}
	return w.Flush()
}
