package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"healthledger/proto/catalog"
)

type typesCmd struct {
	Filter string `arg:"" optional:"" help:"Only types whose name contains this."`
}

func (c *typesCmd) Run(g *globals) error {
	w := tabwriter.NewWriter(g.out, 0, 4, 2, ' ', 0)
	if !g.JSON {
		fmt.Fprintln(w, "TYPE\tKIND\tUNIT\tAGGREGATION\tVALUES")
	}
	for _, t := range catalog.All() {
		if !strings.Contains(strings.ToLower(t.Identifier), strings.ToLower(c.Filter)) {
			continue
		}
		values := []string{}
		for _, v := range t.Values {
			values = append(values, fmt.Sprintf("%s=%d", v.Name, v.Number))
		}
		if g.JSON {
			if err := g.printJSON(map[string]any{
				"type": t.Short(), "identifier": t.Identifier, "kind": t.Kind.String(), "unit": t.Unit,
				"aggregation": t.Aggregation.String(), "values": values, "readOnly": t.ReadOnly,
			}); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", t.Short(), t.Kind, t.Unit, t.Aggregation, strings.Join(values, " "))
	}
	return w.Flush()
}
