package unit

// Atom is a unit without a prefix, as Parse reads it.
type Atom struct {
	Name string
	// Prefixed atoms take the prefixes.
	Prefixed bool
	// Solute atoms need a molar mass: "mol<180.15588000005408>".
	Solute bool
}

// Atoms returns the atoms in the order in which they are printed inside a product.
func Atoms() []Atom {
	list := make([]Atom, len(atoms))
	for i, a := range atoms {
		list[i] = Atom{a.name, a.si, a.solute}
	}
	return list
}

// Prefix stands before an atom and multiplies it by a power of ten.
type Prefix struct {
	Name string
	// Power of ten.
	Power int
}

// Prefixes returns the prefixes as they are printed, the smallest first.
func Prefixes() []Prefix {
	var list []Prefix
	for _, p := range prefixes {
		if p.name == p.text {
			list = append(list, Prefix{p.name, p.power})
		}
	}
	return list
}
