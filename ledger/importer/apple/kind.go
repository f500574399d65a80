package apple

import (
	"healthledger/proto/catalog"
	"healthledger/proto/health"
)

// kind is what is remembered of a type that occurs in the document.
type kind struct {
	*catalog.Type
	name string
	// left is not empty where no record of this type can be imported.
	left string
	// rules for the unit of the last record; nil: none yet, or unitLeft says why
	// records with it are left out. rawUnit is the unit, unit the same decoded.
	rules                   *health.Rules
	rawUnit, unit, unitLeft string
}

// maxKindsKnown bounds the kinds remembered; a real export has some hundred types.
const maxKindsKnown = 4096

// kind looks the type up, once for each run of records of one type.
func (r *reader) kind(raw []byte) *kind {
	if r.last != nil && string(raw) == r.last.name {
		return r.last
	}
	found, ok := r.kinds[string(raw)]
	if !ok {
		found = newKind(raw)
		if len(raw) <= maxKey && len(r.kinds) < maxKindsKnown {
			r.kinds[found.name] = found
		}
	}
	r.last = found
	return found
}

func newKind(raw []byte) *kind {
	k := &kind{name: string(raw)}
	typ, ok := catalog.LookupBytes(raw)
	switch {
	case !ok:
		name, _, _ := decode(raw, nil)
		k.left = "Record of unknown type " + shorten(string(name))
	case typ.Kind != catalog.Quantity && typ.Kind != catalog.Category:
		k.left = "Record of a type that is no quantity or category: " + typ.Identifier
	default:
		k.Type = typ
	}
	return k
}

// setUnit prepares the rules for another unit.
func (k *kind) setUnit(raw []byte) {
	if len(raw) > maxKey { // no unit, and not to be remembered
		k.rules, k.rawUnit, k.unitLeft = nil, "", "Record of "+k.Identifier+" refused for its unit"
		return
	}
	value, _, _ := decode(raw, nil)
	k.rawUnit, k.unit, k.unitLeft = string(raw), string(value), ""
	var err error
	if k.rules, err = health.NewRules(k.Type, k.unit, policy); err != nil {
		k.unitLeft = "Record of " + k.Identifier + " refused for its " + field(err)
	}
}
