package view

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"healthledger/authz"
	pb "healthledger/proto/healthledger/v1"
)

// Of what an object may be a member of, a correlation can lie anywhere in time, and nothing
// in the object tells. A row under the reference that the correlation keeps of it has the
// rows of all correlations that it is a member of.

func appendMembershipKey(dst []byte, app uint64, member *reference) []byte {
	return member.append(appendOrdered(append(dst, familyMembership), app))
}

// join notes the members of a correlation, which has these rows.
func (b *Batch) join(o *incoming, rows []objectRow) error {
	for i := range o.object.members {
		member := &o.object.members[i]
		key := appendMembershipKey(nil, o.origin.app, member)
		value := b.fresh[string(key)]
		if member.named || member.row.Sequence != b.sequence { // else no batch before has joined it
			stored, _, err := b.find(key)
			if err != nil {
				return err
			}
			value = stored
		}
		others, ok := readObjectRows(value)
		if len(value) > 0 && !ok {
			return errDamaged
		}
		if slices.Contains(others, rows[0]) {
			continue // the same member twice
		}
		value = slices.Clone(value)
		for j := range rows {
			value = rows[j].append(value)
		}
		b.keep(key, value)
	}
	return nil
}

// leave takes a correlation, which has this row among others, from what its members are
// members of.
func (b *Batch) leave(row *Locator, members []reference) error {
	o := b.origin(row.Source)
	if o == nil {
		return errDamaged
	}
	for i := range members {
		key := appendMembershipKey(nil, o.app, &members[i])
		value, there, err := b.find(key)
		if err != nil {
			return err
		}
		if !there {
			continue // the same member twice
		}
		rows, ok := readObjectRows(value)
		if !ok {
			return errDamaged
		}
		var left []byte
		for j := range rows {
			if !sameObject(&rows[j].Locator, row) {
				left = rows[j].append(left)
			}
		}
		if left == nil {
			b.drop(key)
			b.fresh[string(key)] = nil
			continue
		}
		b.keep(key, left)
	}
	return nil
}

// sameObject says whether two rows are of one object.
func sameObject(a, b *Locator) bool {
	return ownType(a.Type) == ownType(b.Type) && a.Sequence == b.Sequence && a.Event == b.Event && a.Index == b.Index
}

// Correlated says whether a sample of a source is a member of a correlation that the scope
// may see: by way of any of its types. Nothing of others is looked up.
func (d *Details) Correlated(scope authz.Scope, source *Source, s *Sample) (bool, error) {
	there, err := d.correlated(scope, source, s)
	if err != nil {
		return false, fmt.Errorf("look up correlations: %w", d.snapshot.view.damage(err))
	}
	return there, nil
}

func (d *Details) correlated(scope authz.Scope, source *Source, s *Sample) (bool, error) {
	there, err := d.joined(scope, source.App(), &reference{row: source.Locate(s)})
	if there || err != nil {
		return there, err
	}
	entries, err := d.Metadata(s)
	if err != nil {
		return false, err
	}
	mark := syncOf(&pb.Metadata{Entries: entries})
	if mark == nil {
		return false, nil
	}
	o := &incoming{typeCode: source.typeCode, origin: source.entry.origin}
	for _, importing := range [...]bool{false, true} {
		f := &reference{named: true, name: identify(o, mark, importing).name}
		now, other, ok, err := d.resolve(scope, source.App(), f)
		if err != nil {
			return false, err
		}
		if !ok || now.Locate(other) != source.Locate(s) {
			continue // the identity of another one
		}
		if there, err := d.joined(scope, source.App(), f); there || err != nil {
			return there, err
		}
	}
	return false, nil
}

// joined says whether a scope may see one of the correlations that have a member.
func (d *Details) joined(scope authz.Scope, app uint64, member *reference) (bool, error) {
	value, err := d.snapshot.get(appendMembershipKey(nil, app, member))
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	rows, ok := readObjectRows(value)
	if !ok {
		return false, errDamaged
	}
	return slices.ContainsFunc(rows, func(row objectRow) bool {
		since, ok := scope.Access(accessType(row.Type)).Since(app, "")
		return ok && row.memberEnd >= since
	}), nil
}
