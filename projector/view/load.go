package view

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// load reads into memory what is held there.
func (v *View) load() error {
	s := &state{directory: directory{}, units: []string{""}, current: true}
	if err := v.loadState(s); err != nil {
		return err
	}
	err := errors.Join(
		v.rows(familyUnit, func(key, value []byte) error { return v.loadUnit(s, key, value) }),
		v.rows(familySource, v.loadSource),
	)
	if err != nil {
		return err
	}
	if err := v.loadDirectory(s); err != nil {
		return err
	}
	s.db, s.sources = v.db.NewSnapshot(), v.sources
	v.current = s
	return nil
}

func (v *View) loadState(s *state) error {
	value, closer, err := v.db.Get(stateKey())
	if errors.Is(err, pebble.ErrNotFound) {
		return v.checkEmpty()
	}
	if err != nil {
		return err
	}
	defer closer.Close()
	var ok bool
	if s.cursor, s.counts, ok = readState(value); !ok {
		return errDamaged
	}
	return nil
}

// checkEmpty says that what has no state has nothing else either.
func (v *View) checkEmpty() error {
	iter, err := v.db.NewIter(nil)
	if err != nil {
		return err
	}
	if iter.First() {
		err = fmt.Errorf("%w: it has no state", ErrFormat)
	}
	return errors.Join(err, iter.Close())
}

func (v *View) loadUnit(s *state, key, value []byte) error {
	id, rest, ok := readOrdered32(key[1:])
	if !ok || len(rest) > 0 || int(id) != len(s.units) || len(value) == 0 {
		return errDamaged
	}
	s.units = append(s.units, string(value))
	v.unitIDs[string(value)] = id
	return nil
}

func (v *View) loadSource(key, value []byte) error {
	id, rest, ok := readOrdered32(key[1:])
	if !ok || len(rest) > 0 || int(id) != len(v.sources) {
		return errDamaged
	}
	o, ok := readOrigin(id, value)
	if !ok {
		return errDamaged
	}
	v.sources = append(v.sources, o)
	v.sourceIDs[string(value)] = id
	v.kin[o.kin] = append(v.kin[o.kin], o)
	return nil
}

func (v *View) loadDirectory(s *state) error {
	byType := map[uint32][]*entry{}
	entries := map[draftKey]*entry{}
	err := v.rows(familyEntry, func(key, value []byte) error {
		typeCode, source, e, ok := readEntry(key, value)
		if !ok || int(source) >= len(v.sources) {
			return errDamaged
		}
		e.origin = v.sources[source]
		entries[draftKey{typeCode, source}] = e
		byType[typeCode] = append(byType[typeCode], e)
		return nil
	})
	if err != nil {
		return err
	}
	s.directory = s.directory.replacing(byType)
	return v.rows(familyDay, func(key, value []byte) error {
		typeCode, source, d, ok := readDay(key, value)
		e := entries[draftKey{typeCode, source}]
		if !ok || e == nil {
			return errDamaged
		}
		e.days = append(e.days, d)
		return nil
	})
}

func appendState(dst []byte, c Cursor, n Counts) []byte {
	dst = append(dst, formatVersion)
	dst = binary.AppendUvarint(dst, c.Sequence)
	dst = binary.AppendUvarint(dst, n.Samples)
	dst = binary.AppendUvarint(dst, n.Duplicates)
	dst = binary.AppendUvarint(dst, n.Incomplete)
	dst = binary.AppendUvarint(dst, n.Replaced)
	dst = binary.AppendUvarint(dst, n.Deleted)
	return append(dst, c.Tree...)
}

func readState(b []byte) (c Cursor, n Counts, ok bool) {
	r := reader{b: b}
	version := r.byte()
	c.Sequence, n.Samples, n.Duplicates = r.uvarint(), r.uvarint(), r.uvarint()
	n.Incomplete, n.Replaced, n.Deleted = r.uvarint(), r.uvarint(), r.uvarint()
	c.Tree = append([]byte(nil), r.b...)
	return c, n, version == formatVersion && !r.bad
}
