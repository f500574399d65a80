package view

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// cacheRows bounds what one query or batch remembers of rows that many samples share.
const cacheRows = 1024

// place of an event or of something numbered in it.
type rowID struct {
	sequence uint64
	event    uint32
	number   uint32
}

// metadataCache remembers encoded metadata.
type metadataCache struct{ rows map[rowID][]byte }

func (c *metadataCache) get(from pebble.Reader, p *Place, number uint32) ([]byte, error) {
	id := rowID{p.Sequence, p.Event, number}
	if row, ok := c.rows[id]; ok {
		return row, nil
	}
	row, err := get(from, appendMetadataKey(nil, p.Sequence, p.Event, number))
	if err != nil {
		return nil, err
	}
	if c.rows == nil || len(c.rows) >= cacheRows {
		c.rows = map[rowID][]byte{}
	}
	c.rows[id] = row
	return row, nil
}

// get copies the value of a key that must be there.
func get(from pebble.Reader, key []byte) ([]byte, error) {
	value, closer, err := from.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, errDamaged
	}
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return append([]byte{}, value...), nil
}

// Details looks up what lies beside the samples of a type. It remembers what samples
// share and serves one query; it is not for concurrent use.
type Details struct {
	snapshot *Snapshot
	typeCode uint32
	derivers map[rowID]*health.Deriver
	metadata metadataCache
}

// Details returns the details of a type's samples.
func (s *Snapshot) Details(typeCode uint32) *Details {
	return &Details{snapshot: s, typeCode: typeCode, derivers: map[rowID]*health.Deriver{}}
}

// UUID returns a sample's UUID, its own or the one derived from its request.
func (d *Details) UUID(s *Sample) ([16]byte, error) {
	if s.HasUUID {
		return s.UUID, nil
	}
	id := rowID{sequence: s.Sequence, event: s.Event}
	from, ok := d.derivers[id]
	if !ok {
		request, app, err := d.request(s)
		if err != nil {
			return [16]byte{}, fmt.Errorf("look up a request: %w", d.snapshot.view.damage(err))
		}
		if len(d.derivers) >= cacheRows {
			clear(d.derivers)
		}
		made := health.NewDeriver(request, app, d.typeCode)
		from = &made
		d.derivers[id] = from
	}
	return from.UUID(s.Index), nil
}

func (d *Details) request(s *Sample) (request [16]byte, app uint64, err error) {
	key := appendEventKey(nil, s.Sequence, s.Event)
	d.snapshot.touch(key, key)
	row, err := get(d.snapshot.state.db, key)
	if err != nil {
		return request, 0, err
	}
	request, app, _, ok := readEvent(row)
	if !ok {
		return request, 0, errDamaged
	}
	return request, app, nil
}

func appendEvent(dst []byte, request [16]byte, app uint64, time int64) []byte {
	return binary.AppendVarint(binary.AppendUvarint(append(dst, request[:]...), app), time)
}

func readEvent(row []byte) (request [16]byte, app uint64, time int64, ok bool) {
	r := reader{b: row}
	copy(request[:], r.take(16))
	app, time = r.uvarint(), r.varint()
	return request, app, time, r.done()
}

// Metadata returns a sample's metadata in the order it was given.
func (d *Details) Metadata(s *Sample) ([]*pb.MetadataEntry, error) {
	if s.metadata == 0 {
		return nil, nil
	}
	if d.snapshot.view.touched != nil {
		key := appendMetadataKey(nil, s.Sequence, s.Event, s.metadata-1)
		d.snapshot.touch(key, key)
	}
	row, err := d.metadata.get(d.snapshot.state.db, &s.Place, s.metadata-1)
	if err == nil {
		if entries, ok := readMetadata(row); ok {
			return entries, nil
		}
		err = errDamaged
	}
	return nil, fmt.Errorf("look up metadata: %w", d.snapshot.view.damage(err))
}
