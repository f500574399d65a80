package apple

import (
	"fmt"
	"unicode/utf8"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// maxNodes is how many elements one element below the root may hold. Real workouts have
// some hundred; inline locations do not count.
const maxNodes = 1 << 15

// field is an attribute of a node.
type field struct {
	name, raw []byte
	// used says that its value stands in the object; the others are kept.
	used bool
}

// node is an element with all that is in it. Its slices lie in the element's raw bytes.
type node struct {
	name   string
	fields []field
	// children in order, but for inline locations, which lie in track.
	children []*node
	texts    [][]byte
	track    *track
	raw      []byte
	// mapped says that what it holds stands in the object of the whole; why it does not,
	// where there is more to say than that it is not known.
	mapped bool
	why    string
}

// parseElement reads a whole element, which the scanner has found well-formed.
func parseElement(raw []byte) (*node, error) {
	s := scanElement(raw)
	var root *node
	var open []*node
	var starts []int64
	for count := 0; ; {
		e, err := s.step()
		switch {
		case err != nil:
			return root, err
		case e == endDocument:
			return root, nil
		case e == text:
			parent := open[len(open)-1]
			parent.texts = append(parent.texts, s.word)
		case e == endElement:
			last := len(open) - 1
			open[last].raw = raw[starts[last]:s.pos]
			open, starts = open[:last], starts[:last]
		default:
			if len(open) > 0 && open[len(open)-1].locate(s) {
				if _, err := s.step(); err != nil { // its end
					return root, err
				}
				continue
			}
			if count++; count > maxNodes {
				return root, fmt.Errorf("more than %d elements inside of one", maxNodes)
			}
			n := newNode(s)
			if root == nil {
				root = n
			} else {
				parent := open[len(open)-1]
				parent.children = append(parent.children, n)
			}
			open, starts = append(open, n), append(starts, s.at)
		}
	}
}

func newNode(s *scanner) *node {
	n := &node{name: string(s.name), fields: make([]field, len(s.attributes))}
	for i, a := range s.attributes {
		n.fields[i] = field{name: a.name, raw: a.raw}
	}
	return n
}

// locate takes an inline location of a route, as exports before iOS 13 have them. It says
// no where there is more to it than a location, so that it becomes a node.
func (n *node) locate(s *scanner) bool {
	if n.name != "WorkoutRoute" || string(s.name) != "Location" || !s.closed {
		return false
	}
	if n.track == nil {
		n.track = &track{}
	}
	return n.track.inline(s.attributes)
}

// field returns the first attribute with a name, nil if there is none.
func (n *node) field(name string) *field {
	for i := range n.fields {
		if string(n.fields[i].name) == name {
			return &n.fields[i]
		}
	}
	return nil
}

// raw value of an attribute, which is not used by that; nil if there is none.
func (n *node) peek(name string) []byte {
	if f := n.field(name); f != nil {
		return f.raw
	}
	return nil
}

// take uses an attribute.
func (n *node) take(name string) (raw []byte, ok bool) {
	f := n.field(name)
	if f == nil {
		return nil, false
	}
	f.used = true
	return f.raw, true
}

// date uses an attribute if it can be read as a date.
func (n *node) date(name string) (micros int64, ok bool) {
	f := n.field(name)
	if f == nil {
		return 0, false
	}
	if micros, _, ok = parseDate(f.raw); ok {
		f.used = true
	}
	return micros, ok
}

// number uses an attribute if it can be read as a number.
func (n *node) number(name string) *float64 {
	f := n.field(name)
	if f == nil {
		return nil
	}
	v, ok := parseNumber(f.raw)
	if !ok {
		return nil
	}
	f.used = true
	return &v
}

// done says that nothing of the node is left over.
func (n *node) done() bool {
	for i := range n.fields {
		if !n.fields[i].used {
			return false
		}
	}
	for _, c := range n.children {
		if !c.mapped {
			return false
		}
	}
	return len(n.texts) == 0
}

// all visits the node and everything in it.
func (n *node) all(visit func(*node)) {
	visit(n)
	for _, c := range n.children {
		c.all(visit)
	}
}

// text of a raw value; forbidden characters count when the element is done.
func (r *reader) text(raw []byte) string { return r.in.text(raw, &r.replaced) }

// format of what this importer keeps.
const format = "apple-health-xml"

// leftovers returns what was not used of a node: attributes, text and children.
func (r *reader) leftovers(n *node) []*pb.Kept {
	var kept []*pb.Kept
	full := func() bool { return len(kept) > health.MaxKept } // one too many: the object is refused
	add := func(name, value string) {
		kept = append(kept, &pb.Kept{Format: format, Name: name, Value: value})
	}
	for i := range n.fields {
		if f := &n.fields[i]; !f.used && !full() {
			name := r.text(f.name)
			r.report.keepAttribute(n.name, name)
			add("@"+name, r.stable(name, f.raw))
		}
	}
	for _, text := range n.texts {
		if !full() {
			add("#text", string(r.clean(text)))
		}
	}
	for _, c := range n.children {
		if !c.mapped && !full() {
			add(cleanName(c.name), string(r.keep(c.raw)))
		}
	}
	return kept
}

// cleanName makes valid UTF-8 of the name of an element.
func cleanName(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	value, _, _ := decode([]byte(name), nil)
	return string(value)
}
