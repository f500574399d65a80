package view

import (
	"encoding/binary"
	"errors"
	"fmt"

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
	lower := []byte{familyAsked}
	upper := successor(lower)
	s.touch(lower, upper)
	iter, err := s.state.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, fmt.Errorf("read requests: %w", s.view.damage(err))
	}
	for iter.First(); iter.Valid() && err == nil; iter.Next() {
		var row []byte
		if row, err = iter.ValueAndErr(); err != nil {
			break
		}
		asked, ok := readAsked(iter.Key(), row)
		if !ok {
			err = errDamaged
			break
		}
		all = append(all, asked)
	}
	if err = errors.Join(err, iter.Close()); err != nil {
		return nil, fmt.Errorf("read requests: %w", s.view.damage(err))
	}
	return all, nil
}
