package apple

import (
	"slices"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// correlation reads a correlation with its members. An export has the members at the top
// level too; that they are the same samples is recognised where they are stored.
func (r *reader) correlation(n *node) (*pb.Sample, string) {
	raw, _ := n.take("type")
	t, ok := catalog.LookupBytes(raw)
	if !ok || t.Kind != catalog.Correlation {
		return nil, "unknown type"
	}
	s, why := r.sample(n, t.Identifier, nil)
	if why != "" {
		return nil, why
	}
	for _, c := range n.children {
		if c.name != "Record" {
			continue
		}
		r.member(s, c, func(m *catalog.Type) bool { return slices.Contains(t.Members(), m) })
	}
	if len(s.Members) == 0 {
		return nil, "none of its members can be stored"
	}
	return s, ""
}

// member reads a record as a member of an object. One that cannot be a member stays a
// child that is kept.
func (r *reader) member(whole *pb.Sample, n *node, fits func(*catalog.Type) bool) {
	before := r.replaced
	m, why := r.recordOf(&r.nested, n)
	if why == "" && fits(r.nested.kind.Type) {
		m.Kept = r.leftovers(n)
		why = r.refused(m)
	} else if why == "" {
		why = "not a member of what it stands in"
	}
	if why != "" {
		r.replaced = before
		n.all(func(n *node) { n.mapped = false })
		n.why = why
		return
	}
	n.mapped = true
	whole.Members = append(whole.Members, m)
}
