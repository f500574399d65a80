package apple

import (
	"healthledger/proto/catalog"
	"healthledger/proto/health"
)

// kind is what is remembered of a type that occurs in the document.
type kind struct {
	*catalog.Type
	name string
	// why no record of this type can be stored as what it is; empty: it can.
	why string
	// rules for the unit of the last record; nil: none yet, or unitWhy says why
	// records with it cannot be stored. rawUnit is the unit, unit the same decoded.
	rules                  *health.Rules
	rawUnit, unit, unitWhy string
	// mapped counts the records that became samples, without a detour.
	mapped uint64
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
		if found.Type != nil || len(raw) <= maxKey && len(r.kinds) < maxKindsKnown {
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
		k.why = "unknown type"
	case !typ.Kind.HasNumber():
		k.why = "a type that records do not have"
	default:
		k.Type = typ
	}
	return k
}

// setUnit prepares the rules for another unit.
func (k *kind) setUnit(raw []byte) {
	if len(raw) > maxKey { // no unit, and not to be remembered
		k.rules, k.rawUnit, k.unitWhy = nil, "", "refused for its unit"
		return
	}
	value, _, _ := decode(raw, nil)
	k.rawUnit, k.unit, k.unitWhy = string(raw), string(value), ""
	var err error
	if k.rules, err = health.NewRules(k.Type, k.unit, policy); err != nil {
		k.unitWhy = "refused for its " + fieldOf(err)
	}
}
