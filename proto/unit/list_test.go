package unit

import (
	"math"
	"testing"
)

func TestListedAtomsAndPrefixesAreReadAsTheyAreListed(t *testing.T) {
	for _, a := range Atoms() {
		name := a.Name
		if a.Solute {
			name += "<100>"
		}
		one, err := Parse(name)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, p := range Prefixes() {
			many, err := Parse(p.Name + name)
			// "cd" and the like are atoms or nothing, but no atom with a prefix.
			if !a.Prefixed {
				if err == nil && many.Compatible(one) && many.Factors()[0].Prefix == p.Name {
					t.Errorf("%s takes %s", name, p.Name)
				}
				continue
			}
			if err != nil {
				t.Error(err)
				continue
			}
			if many.Factors()[0].Prefix != p.Name {
				continue // another atom has that name, as pD
			}
			if v, err := Convert(1, many, one); err != nil || math.Abs(v/math.Pow10(p.Power)-1) > 1e-12 {
				t.Errorf("1 %s%s are %g %s, %v", p.Name, name, v, name, err)
			}
		}
	}
	for i, p := range Prefixes() {
		if i > 0 && p.Power <= Prefixes()[i-1].Power {
			t.Error("not in order:", p)
		}
	}
}
