package view

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"healthledger/authz"
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
	if errors.Is(err, pebble.ErrNotFound) {
		err = errDamaged
	}
	if err != nil {
		return nil, err
	}
	if c.rows == nil || len(c.rows) >= cacheRows {
		c.rows = map[rowID][]byte{}
	}
	c.rows[id] = row
	return row, nil
}

// get copies the value of a key. A row that others speak of must be there: whoever gets
// pebble.ErrNotFound for one has a damaged view, which View.damage makes of it.
func get(from pebble.Reader, key []byte) ([]byte, error) {
	value, closer, err := from.Get(key)
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return append([]byte{}, value...), nil
}

// Details looks up what lies beside samples. It remembers what samples share and serves
// one query; it is not for concurrent use.
type Details struct {
	snapshot *Snapshot
	derivers map[requestOf]*health.Deriver
	metadata map[rowID][]*pb.MetadataEntry
}

// requestOf names the samples of a type in a request.
type requestOf struct {
	sequence uint64
	event    uint32
	typeCode uint32
}

// Details returns the details of samples.
func (s *Snapshot) Details() *Details {
	return &Details{snapshot: s, derivers: map[requestOf]*health.Deriver{}, metadata: map[rowID][]*pb.MetadataEntry{}}
}

// UUID returns the UUID of a sample of a type, its own or the one derived from its request.
func (d *Details) UUID(typeCode uint32, s *Sample) ([16]byte, error) {
	if s.HasUUID {
		return s.UUID, nil
	}
	id := requestOf{s.Sequence, s.Event, typeCode}
	from, ok := d.derivers[id]
	if !ok {
		request, app, err := d.request(s)
		if err != nil {
			return [16]byte{}, fmt.Errorf("look up a request: %w", d.snapshot.view.damage(err))
		}
		if len(d.derivers) >= cacheRows {
			clear(d.derivers)
		}
		made := health.NewDeriver(request, d.snapshot.view.appKey(app), typeCode)
		from = &made
		d.derivers[id] = from
	}
	return from.UUID(s.Index), nil
}

func (d *Details) request(s *Sample) (request [16]byte, app uint64, err error) {
	key := appendEventKey(nil, s.Sequence, s.Event)
	row, err := d.snapshot.get(key)
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

// Metadata returns a sample's metadata in the order it was given. Samples share them, so
// that they must not be changed.
func (d *Details) Metadata(s *Sample) ([]*pb.MetadataEntry, error) {
	if s.metadata == 0 {
		return nil, nil
	}
	if d.snapshot.view.touched != nil {
		key := appendMetadataKey(nil, s.Sequence, s.Event, s.metadata-1)
		d.snapshot.touch(key, key)
	}
	id := rowID{s.Sequence, s.Event, s.metadata - 1}
	if entries, ok := d.metadata[id]; ok {
		return entries, nil
	}
	row, err := get(d.snapshot.state.db, appendMetadataKey(nil, id.sequence, id.event, id.number))
	if err != nil {
		return nil, fmt.Errorf("look up metadata: %w", d.snapshot.view.damage(err))
	}
	entries, ok := readMetadata(row)
	if !ok {
		return nil, fmt.Errorf("look up metadata: %w", errDamaged)
	}
	if len(d.metadata) >= cacheRows {
		clear(d.metadata)
	}
	d.metadata[id] = entries
	return entries, nil
}

// Object is what a sample has beyond its row.
type Object struct {
	// Body is its object and what an import kept of it; the caller may change it.
	Body *pb.Sample
	// Chunks is how many chunks its payload has.
	Chunks uint32

	sample  *Sample
	app     uint64
	members []reference
	payload payload
}

// Object looks up what a sample of an app has beyond its row; nil if there is nothing.
func (d *Details) Object(app uint64, s *Sample) (*Object, error) {
	if s.body == 0 {
		return nil, nil
	}
	row, err := d.snapshot.get(appendBodyKey(nil, s.Sequence, s.Event, s.body-1))
	if err != nil {
		return nil, fmt.Errorf("look up a body: %w", d.snapshot.view.damage(err))
	}
	stored, ok := readObject(row)
	if !ok {
		return nil, fmt.Errorf("look up a body: %w", errDamaged)
	}
	body, ok := stored.readRest()
	if !ok {
		return nil, fmt.Errorf("look up a body: %w", errDamaged)
	}
	return &Object{
		Body: body, Chunks: stored.payload.chunks, sample: s, app: app, members: stored.members, payload: stored.payload,
	}, nil
}

// Members calls fn with the members of an object that a scope may see, in order, until it
// fails. Source is good during the call only.
func (d *Details) Members(scope authz.Scope, o *Object, fn func(*Source, *Sample) error) error {
	for i := range o.members {
		source, sample, ok, err := d.resolve(scope, o.app, &o.members[i])
		if err != nil {
			return fmt.Errorf("look up a member: %w", d.snapshot.view.damage(err))
		}
		if !ok {
			continue
		}
		if err := fn(source, sample); err != nil {
			return err
		}
	}
	return nil
}

// resolve finds what a reference means now. What the scope may not see is decided by its
// type before anything is looked up.
func (d *Details) resolve(scope authz.Scope, app uint64, f *reference) (*Source, *Sample, bool, error) {
	if !f.named {
		return d.snapshot.Find(scope, f.row)
	}
	if _, ok := scope.Access(f.name.typeCode).Since(app, ""); !ok {
		return nil, nil, false, nil
	}
	row, err := d.snapshot.get(appendIdentityKey(nil, app, f.name.typeCode, &f.name.hash))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil, false, nil
	}
	if err != nil {
		return nil, nil, false, err
	}
	k, ok := readKnown(row)
	if !ok {
		return nil, nil, false, errDamaged
	}
	return d.snapshot.Find(scope, k.rows[0])
}

// Chunk returns a chunk of an object's payload.
func (d *Details) Chunk(o *Object, number uint32) (*pb.Chunk, error) {
	key := appendChunkKey(nil, o.sample.Sequence, o.sample.Event, o.sample.body-1, number)
	if o.payload.uploaded {
		key = appendPartKey(nil, o.app, &o.payload.upload, number)
	}
	row, err := d.snapshot.get(key)
	if err != nil {
		return nil, fmt.Errorf("look up a payload: %w", d.snapshot.view.damage(err))
	}
	chunk, ok := readChunk(row)
	if !ok {
		return nil, fmt.Errorf("look up a payload: %w", errDamaged)
	}
	return chunk, nil
}
