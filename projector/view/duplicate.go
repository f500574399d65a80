package view

import (
	"bytes"
	"crypto/sha256"

	"github.com/cockroachdb/pebble/v2"
)

// ownUUID is what an object of the source is known by among those of the app that saved
// it. An importer stands for many apps, which may use the same UUIDs.
func (o *origin) ownUUID(id [16]byte) [16]byte {
	app := o.source.GetApp()
	if app == "" {
		return id
	}
	sum := sha256.Sum256(append(appendText(nil, app), id[:]...))
	return [16]byte(sum[:16])
}

// uuidsOf names the UUIDs of which each stands for one object: see ownUUID.
type uuidsOf struct {
	app  uint64
	from string
}

func (o *origin) uuids() uuidsOf { return uuidsOf{o.app, o.source.GetApp()} }

// appType is what derived UUIDs are looked up under.
type appType struct {
	app      uint64
	typeCode uint32
}

// distinct returns the first of those that have a key in common.
func distinct[T any, K comparable](all []T, key func(T) K) []T {
	var first []T
	seen := map[K]struct{}{}
	for _, one := range all {
		k := key(one)
		if _, ok := seen[k]; !ok {
			seen[k] = struct{}{}
			first = append(first, one)
		}
	}
	return first
}

// knownUUID says whether there is an object with this UUID, and where its row is or was.
func (b *Batch) knownUUID(o *origin, id [16]byte) (Locator, bool, error) {
	id = o.ownUUID(id)
	if row, ok := b.uuids[named{b.column.app, id}]; ok {
		return row, true, nil
	}
	b.key = appendObjectKey(b.key[:0], familyUUID, b.column.app, &id)
	value, there, err := b.stored(b.key)
	if err != nil || !there {
		return Locator{}, false, err
	}
	rows, ok := readObjectRows(value)
	if !ok {
		return Locator{}, false, errDamaged
	}
	return rows[0].Locator, true, nil
}

// rememberUUID notes an object's own UUID with its rows.
func (b *Batch) rememberUUID(o *origin, id [16]byte, rows []objectRow) {
	id = o.ownUUID(id)
	b.uuids[named{b.column.app, id}] = rows[0].Locator
	b.value = b.value[:0]
	for i := range rows {
		b.value = rows[i].append(b.value)
	}
	b.key = appendObjectKey(b.key[:0], familyUUID, b.column.app, &id)
	b.set(b.key, b.value)
}

// sought is a sample that may be there already.
type sought struct {
	start, end int64
	content    content
	// members only can be what is sought.
	members bool
}

// same says whether what is sought is at its place, in the view or in the batch. What is
// later than everything before it, as in an import in order of time, needs no look-up.
func (b *Batch) same(d *draft, s *sought) (bool, error) {
	if d.count == 0 || s.content.keyEnd > d.maxEnd {
		return false, nil
	}
	if b.pendingSame(d, s) >= 0 {
		return true, nil
	}
	_, found, err := b.storedSame(d, s)
	return found, err
}

// locate is same, and says which one it is: of several the first in order of Place.
func (b *Batch) locate(d *draft, s *sought) (Locator, bool, error) {
	if d.count == 0 || s.content.keyEnd > d.maxEnd {
		return Locator{}, false, nil
	}
	row := Locator{Type: d.typeCode, Source: d.origin.id}
	var found bool
	var err error
	if row.Place, found, err = b.storedSame(d, s); found || err != nil {
		return row, found, err
	}
	i := b.pendingSame(d, s)
	if i >= 0 {
		row.Place = d.places.place(i)
	}
	return row, i >= 0, nil
}

func (b *Batch) storedSame(d *draft, s *sought) (Place, bool, error) {
	if !d.stored || s.content.keyEnd > d.storedMax {
		return Place{}, false, nil
	}
	return b.run.find(b, d, s)
}

// pendingSame returns which sample of the batch is what is sought, -1 if none is.
func (b *Batch) pendingSame(d *draft, s *sought) int {
	return d.places.find(s.start, s.end, func(i int, other *content) bool {
		return b.equal(other, s) && !b.isGone(d, d.places.place(i), other.keyEnd)
	})
}

// isGone says whether the batch has removed a sample that it added.
func (b *Batch) isGone(d *draft, at Place, keyEnd int64) bool {
	if len(b.gone) == 0 {
		return false
	}
	b.key = appendTie(appendPeriod(append(b.key[:0], d.prefix...), at.Start, keyEnd), at.Sequence, at.Event, at.Index)
	_, gone := b.gone[string(b.key)]
	return gone
}

func (b *Batch) equal(p *content, s *sought) bool {
	q := &s.content
	if !p.sameNumbers(q) || s.members && !p.member {
		return false
	}
	return (p.metadata == q.metadata || bytes.Equal(b.metadata[p.metadata].row, b.metadata[q.metadata].row)) &&
		(p.body == q.body || bytes.Equal(b.bodies[p.body], b.bodies[q.body]))
}

// kindred returns the sources of the app that differ from one in the device only, itself
// left out.
func (b *Batch) kindred(o *origin) []*origin {
	var others []*origin
	for _, list := range [...][]*origin{b.view.kin[o.kin], b.kin[o.kin]} {
		for _, other := range list {
			if other.id != o.id {
				others = append(others, other)
			}
		}
	}
	return others
}

// relaxed returns the drafts of a type in which a member can be what an import repeats:
// Apple's export has members at the top level too, sometimes with the device missing on
// one of the two. With members, only those that hold some.
func (b *Batch) relaxed(typeCode uint32, o *origin, members bool) []*draft {
	var others []*draft
	for _, other := range b.kindred(o) {
		d, ok := b.drafts[draftKey{typeCode, other.id}]
		if !ok && b.view.current.directory.find(typeCode, other) == nil {
			continue
		}
		if !ok {
			d = b.draft(typeCode, other)
		}
		if d.count > 0 && (!members || d.members > 0) {
			others = append(others, d)
		}
	}
	return others
}

// run looks for stored samples. It goes forward with one iterator while look-ups do.
type run struct {
	iter   *pebble.Iterator
	target []byte // of the look-up before
	cached metadataCache
}

// nearby is how many steps are tried before a seek.
const nearby = 4

func (r *run) find(b *Batch, d *draft, s *sought) (Place, bool, error) {
	if r.iter == nil {
		iter, err := b.view.db.NewIter(&pebble.IterOptions{
			LowerBound: []byte{familySample}, UpperBound: []byte{familySample + 1},
		})
		if err != nil {
			return Place{}, false, err
		}
		r.iter = iter
	}
	b.key = appendPeriod(append(b.key[:0], d.prefix...), s.start, s.content.keyEnd)
	r.seek(b.key)
	var other Sample
	for ; r.iter.Valid() && bytes.HasPrefix(r.iter.Key(), b.key); r.iter.Next() {
		if _, gone := b.gone[string(r.iter.Key())]; gone {
			continue
		}
		value, err := r.iter.ValueAndErr()
		if err != nil {
			return Place{}, false, err
		}
		if !readPlace(r.iter.Key()[len(d.prefix):], &other.Place) {
			return Place{}, false, errDamaged
		}
		place := other.Place
		if _, ok := readRow(value, d.typeCode, &other); !ok {
			return Place{}, false, errDamaged
		}
		same, err := r.equal(b, &other, s)
		if err != nil || same {
			return place, same, err
		}
	}
	return Place{}, false, r.iter.Error()
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

func (r *run) equal(b *Batch, other *Sample, s *sought) (bool, error) {
	stored := contentOf(other, s.content.keyEnd, int32(other.metadata)-1, int32(other.body)-1)
	if !stored.sameNumbers(&s.content) || s.members && !other.member || other.End != s.end {
		return false, nil
	}
	if s.content.metadata >= 0 {
		row, err := r.cached.get(b.view.db, &other.Place, other.metadata-1)
		if err != nil || !bytes.Equal(row, b.metadata[s.content.metadata].row) {
			return false, err
		}
	}
	if s.content.body < 0 {
		return true, nil
	}
	row, err := get(b.view.db, appendBodyKey(nil, other.Sequence, other.Event, other.body-1))
	if err != nil {
		return false, b.view.damage(err)
	}
	var p payload
	content, ok := p.readPlace(row)
	if !ok {
		return false, errDamaged
	}
	return bytes.Equal(content, b.bodies[s.content.body]), nil
}

func (r *run) close() {
	if r.iter != nil {
		_ = r.iter.Close()
	}
}
