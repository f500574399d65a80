package view

// A correlation has no row under its own type. For each type that its members have it has
// one under the pair of the two, so that whoever may read the members of a type reaches it
// there, and a reader of none of them finds nothing to read. Access to a pair is access to
// the members' type.
//
// Access since a date is about the end of a member, so the key ends with the last member
// of the type where that outlasts the correlation, and the row tells when that member
// ends. One that is replaced by a later version does not move the row.

// pairShift is above every code of the catalogue.
const pairShift = 16

// Pair returns the type code under which correlations lie that have such members.
func Pair(correlation, member uint32) uint32 { return correlation<<pairShift | member }

func isPair(typeCode uint32) bool { return typeCode >= 1<<pairShift }

// accessType is the type whose grant opens the rows under a type code.
func accessType(typeCode uint32) uint32 { return typeCode & (1<<pairShift - 1) }

// ownType is the type of the samples that lie under a type code.
func ownType(typeCode uint32) uint32 {
	if isPair(typeCode) {
		return typeCode >> pairShift
	}
	return typeCode
}
