package view

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"

	pb "healthledger/proto/healthledger/v1"
)

// Direction is what an app asks to do with a type.
type Direction byte

// The directions.
const (
	ToWrite Direction = iota
	ToRead
)

// Asked says that an app has asked for a type, whatever was answered.
type Asked struct {
	App       uint64
	Direction Direction
	Type      uint32
	// First is when it asked first, in microseconds since the Unix epoch.
	First int64
}

// ask notes what an app asks for, and when it did so first.
func (b *Batch) ask(time int64, asked *pb.AuthorizationRequested) error {
	for direction, types := range [][]uint32{ToWrite: asked.GetShares(), ToRead: asked.GetReads()} {
		for _, typeCode := range types {
			key := appendAskedKey(nil, asked.GetApp(), Direction(direction), typeCode)
			if _, there, err := b.find(key); there || err != nil {
				if err != nil {
					return err
				}
				continue
			}
			b.keep(key, binary.AppendVarint(nil, time))
		}
	}
	return nil
}

func readAsked(key, row []byte) (a Asked, ok bool) {
	app, n := readOrdered(key[1:], 0)
	if n == 0 || len(key) < 1+n+1 {
		return a, false
	}
	direction := Direction(key[1+n])
	typeCode, rest, ok := readOrdered32(key[1+n+1:])
	r := reader{b: row}
	a = Asked{App: app, Direction: direction, Type: typeCode, First: r.varint()}
	return a, ok && len(rest) == 0 && r.done() && direction <= ToRead
}

// Asked returns what all apps have ever asked for, by app, direction and type code.
func (s *Snapshot) Asked() (all []Asked, err error) {
	err = s.requests(familyAsked, func(key, row []byte) bool {
		asked, ok := readAsked(key, row)
		all = append(all, asked)
		return ok
	})
	return all, err
}

// AskedObjects is what an app has asked for last of a type that is granted object by object,
// and the owner has not answered.
type AskedObjects struct {
	App  uint64
	Type uint32
	// Time is when it asked, in microseconds since the Unix epoch.
	Time int64
	// From and To bound the period, MinInt64 and MaxInt64: they do not.
	From, To int64
	Limit    uint32
}

// askObjects notes a request for objects. It takes the place of the one before it.
func (b *Batch) askObjects(time int64, asked *pb.ObjectsRequested) {
	a := AskedObjects{Time: time, From: math.MinInt64, To: math.MaxInt64, Limit: asked.GetLimit()}
	if asked.From != nil {
		a.From = asked.GetFrom()
	}
	if asked.To != nil {
		a.To = asked.GetTo()
	}
	row := binary.AppendVarint(binary.AppendVarint(binary.AppendVarint(nil, a.Time), a.From), a.To)
	b.set(appendObjectsKey(nil, asked.GetApp(), asked.GetType()), binary.AppendUvarint(row, uint64(a.Limit)))
}

// AnswerObjects notes that the owner has decided about objects of a type, in the event that
// was applied last.
func (b *Batch) AnswerObjects(app uint64, typeCode uint32) {
	b.drop(appendObjectsKey(nil, app, typeCode))
}

func readAskedObjects(key, row []byte) (a AskedObjects, ok bool) {
	app, n := readOrdered(key[1:], 0)
	if n == 0 {
		return a, false
	}
	typeCode, rest, ok := readOrdered32(key[1+n:])
	r := reader{b: row}
	a = AskedObjects{App: app, Type: typeCode, Time: r.varint(), From: r.varint(), To: r.varint(), Limit: r.uvarint32()}
	return a, ok && len(rest) == 0 && r.done()
}

// AskedObjects returns what apps have asked for object by object, by app and type code.
func (s *Snapshot) AskedObjects() (all []AskedObjects, err error) {
	err = s.requests(familyObjects, func(key, row []byte) bool {
		asked, ok := readAskedObjects(key, row)
		all = append(all, asked)
		return ok
	})
	return all, err
}

// requests calls read with the rows of a family; false: the row is damaged.
func (s *Snapshot) requests(family byte, read func(key, row []byte) bool) error {
	lower := []byte{family}
	upper := successor(lower)
	s.touch(lower, upper)
	iter, err := s.state.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return fmt.Errorf("read requests: %w", s.view.damage(err))
	}
	for iter.First(); iter.Valid() && err == nil; iter.Next() {
		var row []byte
		if row, err = iter.ValueAndErr(); err == nil && !read(iter.Key(), row) {
			err = errDamaged
		}
	}
	if err = errors.Join(err, iter.Close()); err != nil {
		return fmt.Errorf("read requests: %w", s.view.damage(err))
	}
	return nil
}
