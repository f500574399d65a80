package view

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"
)

// sameUUID says whether the app has an object with this UUID.
func (b *Batch) sameUUID(s *Sample) (bool, error) {
	b.key = appendObjectKey(b.key[:0], familyUUID, b.column.app, &s.UUID)
	return b.seen(b.uuids, object{b.column.app, s.UUID})
}

// same says whether a sample with this content is at its place, in the view or in the
// batch. What is later than everything before it, as in an import in order of time,
// needs no look-up.
func (b *Batch) same(d *draft, s *Sample, c content) (bool, error) {
	if d.count == 0 || s.End > d.maxEnd {
		return false, nil
	}
	if d.places.holds(s.Start, s.End, func(other *content) bool { return b.equal(other, &c) }) {
		return true, nil
	}
	if !d.stored || s.End > d.storedMax {
		return false, nil
	}
	return b.stored.holds(b, d, s, &c)
}

func (b *Batch) equal(p, q *content) bool {
	if p.bits != q.bits || p.created != q.created || p.hasCreated != q.hasCreated || p.unit != q.unit {
		return false
	}
	if p.metadata < 0 || q.metadata < 0 {
		return p.metadata == q.metadata
	}
	return p.metadata == q.metadata || bytes.Equal(b.metadata[p.metadata], b.metadata[q.metadata])
}

// run looks for stored samples. It goes forward with one iterator while look-ups do.
type run struct {
	iter   *pebble.Iterator
	target []byte // of the look-up before
	cached metadataCache
}

// nearby is how many steps are tried before a seek.
const nearby = 4

func (r *run) holds(b *Batch, d *draft, s *Sample, c *content) (bool, error) {
	if r.iter == nil {
		iter, err := b.view.db.NewIter(&pebble.IterOptions{
			LowerBound: []byte{familySample}, UpperBound: []byte{familySample + 1},
		})
		if err != nil {
			return false, err
		}
		r.iter = iter
	}
	b.key = appendPeriod(append(b.key[:0], d.prefix...), s.Start, s.End)
	r.seek(b.key)
	var other Sample
	for ; r.iter.Valid() && bytes.HasPrefix(r.iter.Key(), b.key); r.iter.Next() {
		value, err := r.iter.ValueAndErr()
		if err != nil {
			return false, err
		}
		if !readPlace(r.iter.Key()[len(d.prefix):], &other.Place) || !readValue(value, &other) {
			return false, errDamaged
		}
		same, err := r.equal(b, &other, c)
		if err != nil || same {
			return same, err
		}
	}
	return false, r.iter.Error()
}

// seek goes to the first key at or after the target.
func (r *run) seek(target []byte) {
	forward := len(r.target) > 0 && bytes.Compare(r.target, target) < 0
	r.target = append(r.target[:0], target...)
	if forward {
		for range nearby {
			if !r.iter.Valid() || bytes.Compare(r.iter.Key(), target) >= 0 {
				return
			}
			r.iter.Next()
		}
	}
	r.iter.SeekGE(target)
}

func (r *run) equal(b *Batch, other *Sample, c *content) (bool, error) {
	stored := contentOf(other, c.metadata)
	if stored != *c || (other.metadata == 0) != (c.metadata < 0) {
		return false, nil
	}
	if c.metadata < 0 {
		return true, nil
	}
	content, err := r.cached.get(b.view.db, &other.Place, other.metadata-1)
	return bytes.Equal(content, b.metadata[c.metadata]), err
}

func (r *run) close() {
	if r.iter != nil {
		_ = r.iter.Close()
	}
}
