package view

import "encoding/binary"

// ends is when the last member of its type ends in a row of a correlation, in any other row
// the sample itself. A correlation has a row under each of its members' types; earlier are
// the types of which the key ends before that of this row, and the ends of their last
// members: who sees one of those has met the correlation there.
type ends struct {
	member  int64
	earlier []pair
}

// appendEnds encodes the ends of a row of a correlation whose key ends then.
func appendEnds(dst []byte, keyEnd int64, e *ends) []byte {
	dst = binary.AppendUvarint(dst, uint64(keyEnd)-uint64(e.member))
	dst = binary.AppendUvarint(dst, uint64(len(e.earlier)))
	for _, p := range e.earlier {
		dst = binary.AppendUvarint(dst, uint64(p.typeCode))
		dst = binary.AppendUvarint(dst, uint64(keyEnd)-uint64(p.end))
	}
	return dst
}

func (r *reader) ends(keyEnd int64) (e ends) {
	e.member = r.before(keyEnd)
	for range r.count() {
		e.earlier = append(e.earlier, pair{r.uvarint32(), r.before(keyEnd)})
	}
	return e
}

// before reads how long before a time another one is.
func (r *reader) before(t int64) int64 {
	back := r.uvarint()
	r.bad = r.bad || back > uint64(t)+1<<63
	return int64(uint64(t) - back)
}
