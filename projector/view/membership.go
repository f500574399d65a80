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
// in the object tells. Under the reference that correlations keep of it each has a row, with
// the rows of the correlation.

// appendMemberPrefix begins the keys of the rows of a member.
func appendMemberPrefix(dst []byte, app uint64, member *reference) []byte {
	return member.append(appendOrdered(append(dst, familyMembership), app))
}

// appendMembershipKey makes the key of a member of the correlation that has this row.
func appendMembershipKey(dst []byte, app uint64, member *reference, row *Locator) []byte {
	dst = appendOrdered(appendMemberPrefix(dst, app, member), uint64(ownType(row.Type)))
	return appendTie(dst, row.Sequence, row.Event, row.Index)
}

// join notes the members of a correlation, which has these rows. Nothing is read: what many
// correlations share costs no more than what one has alone.
func (b *Batch) join(o *incoming, rows []objectRow) {
	b.value = b.value[:0]
	for i := range rows {
		b.value = rows[i].append(b.value)
	}
	for i := range o.object.members {
		b.key = appendMembershipKey(b.key[:0], o.origin.app, &o.object.members[i], &rows[0].Locator)
		b.set(b.key, b.value)
	}
}

// leave takes a correlation, which has this row among others, from what its members are
// members of.
func (b *Batch) leave(row *Locator, members []reference) error {
	o := b.origin(row.Source)
	if o == nil {
		return errDamaged
	}
	for i := range members {
		b.key = appendMembershipKey(b.key[:0], o.app, &members[i], row)
		b.drop(b.key)
	}
	return nil
}

// Correlated says whether a sample of a source is a member of a correlation that the scope
// may see: by way of any of its types. Nothing of others is looked up. Spend is called for
// every row that is read, and ends the search with its error.
func (d *Details) Correlated(scope authz.Scope, source *Source, s *Sample, spend func() error) (bool, error) {
	w := &spending{view: d.snapshot.view, ask: spend}
	there, err := d.correlated(scope, source, s, w)
	if err != nil {
		return false, fmt.Errorf("look up correlations: %w", w.damage(err))
	}
	return there, nil
}

func (d *Details) correlated(scope authz.Scope, source *Source, s *Sample, w *spending) (bool, error) {
	there, err := d.joined(scope, source.App(), &reference{row: source.Locate(s)}, w)
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
		if there, err := d.joined(scope, source.App(), f, w); there || err != nil {
			return there, err
		}
	}
	return false, nil
}

// joined says whether a scope may see one of the correlations that have a member.
func (d *Details) joined(scope authz.Scope, app uint64, member *reference, w *spending) (there bool, err error) {
	lower := appendMemberPrefix(nil, app, member)
	upper := successor(lower)
	d.snapshot.touch(lower, upper)
	iter, err := d.snapshot.state.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return false, err
	}
	for iter.First(); iter.Valid() && !there && err == nil; iter.Next() {
		d.snapshot.step()
		var value []byte
		if value, err = iter.ValueAndErr(); err == nil {
			there, err = seesRow(scope, app, value)
		}
		err = errors.Join(err, w.spend())
	}
	return there, errors.Join(err, iter.Close())
}

// seesRow says whether a scope may see one of the rows of an object of an app.
func seesRow(scope authz.Scope, app uint64, value []byte) (bool, error) {
	rows, ok := readObjectRows(value)
	if !ok {
		return false, errDamaged
	}
	return slices.ContainsFunc(rows, func(row objectRow) bool {
		since, ok := scope.Access(accessType(row.Type)).Since(app, "")
		return ok && row.memberEnd >= since
	}), nil
}
