package authz

import (
	"strconv"
	"strings"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
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

// UnexplainedShare says which part of an app's manifest is missing for it to write, "" if
// none is.
func UnexplainedShare(explained Explained) string {
	if !explained.Share {
		return unexplained("share_usage_description")
	}
	return ""
}

// UnexplainedRead says which part of an app's manifest is missing for it to read a type, ""
// if none is.
func UnexplainedRead(t *catalog.Type, explained Explained) string {
	switch {
	case !explained.Read:
		return unexplained("read_usage_description")
	case isClinical(t) && !explained.Clinical:
		return unexplained("clinical_usage_description")
	}
	return ""
}

// isClinical says whether a type is of what clinics record.
func isClinical(t *catalog.Type) bool {
	return t.Kind == catalog.Clinical || t.Kind == catalog.Document
}

func unexplained(part string) string { return "the app's manifest has no " + part }

// unexplainedShare says what the app's manifest lacks for a grant, "" if nothing. Refusing
// needs no explanation.
func (a *App) unexplainedShare(g *pb.ShareGrant) string {
	if g.GetAllowed() {
		return UnexplainedShare(a.explained)
	}
	return ""
}

func (a *App) unexplainedRead(g *pb.ReadGrant) string {
	switch g.GetExtent() {
	case pb.ReadExtent_READ_EXTENT_ALL, pb.ReadExtent_READ_EXTENT_SINCE:
		if t, ok := catalog.ByCode(g.GetType()); ok {
			return UnexplainedRead(t, a.explained)
		}
	}
	return ""
}

func typeName(code uint32) string {
	if t, ok := catalog.ByCode(code); ok {
		return t.Short()
	}
	return "type" + strconv.Itoa(int(code))
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
