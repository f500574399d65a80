package authz

import (
	"strconv"
	"strings"

	"healthledger/proto/catalog"
)

// WhyNoShare says why no app is allowed to write a type, "" if an owner may allow it
// (spec sections 1.1 and 1.9). A correlation is written by whoever may write its
// members. An importer may also write what only the system writes.
func WhyNoShare(t *catalog.Type, importer bool) string {
	switch {
	case t.Kind == catalog.Correlation:
		return askForMembers(t)
	case t.ReadOnly && !importer:
		return "apps may not write this type"
	}
	return ""
}

// WhyNoRead says why no app is allowed to read a type of other apps, "" if an owner may
// allow it (spec sections 1.1 and 1.6). A correlation is read by whoever may read
// its members.
func WhyNoRead(t *catalog.Type) string {
	switch {
	case t.Kind == catalog.Correlation:
		return askForMembers(t)
	case t.Kind == catalog.Goal:
		return "goals are the owner's own"
	case t.Kind == catalog.Imported:
		return "what an import could not read is the owner's own"
	case t.PerObject:
		return "this type is granted sample by sample, never as a whole"
	}
	return ""
}

// namedMembers is how many members an answer names: food has some forty.
const namedMembers = 8

func askForMembers(t *catalog.Type) string {
	var names []string
	for i, m := range t.Members() {
		if i == namedMembers {
			names = append(names, "and "+strconv.Itoa(len(t.Members())-i)+" more")
			break
		}
		names = append(names, m.Short())
	}
	return "correlations are not granted, ask for its members: " + strings.Join(names, ", ")
}
