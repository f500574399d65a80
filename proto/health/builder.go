package health

import (
	"math/bits"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"

	"google.golang.org/protobuf/proto"
)

// Builder packs rows into columns, one set of columns for each (type, unit,
// source, has a creation date, has a UUID, has a body), in the order in which they first
// appear. It does not check rows: see Rules. It is for one goroutine.
type Builder struct {
	groups []*group
	byKey  map[groupKey]*group
	last   *group

	// Sources are numbered by content. Pointers seen before are found without
	// looking at the content again.
	byPointer   map[*pb.Source]uint32
	byContent   map[string]uint32
	sources     []*pb.Source
	lastPointer *pb.Source
	lastSource  uint32

	scratch []byte
	count   int
	bytes   int
}

type groupKey struct {
	typ    *catalog.Type
	unit   string
	source uint32
	flags  uint8
}

const (
	withCreated = 1 << iota
	withUUID
	withBody
)

// NewBuilder returns an empty Builder.
func NewBuilder() *Builder {
	b := &Builder{byKey: map[groupKey]*group{}, byPointer: map[*pb.Source]uint32{}, byContent: map[string]uint32{}}
	b.reset()
	return b
}

// reset keeps the maps but nothing in them.
func (b *Builder) reset() {
	clear(b.byKey)
	clear(b.byPointer)
	clear(b.byContent)
	b.groups, b.sources, b.last, b.lastPointer = nil, nil, nil, nil
	b.lastSource = b.source(nil)
	b.count, b.bytes = 0, 0
}

// Add packs one row. The source may be nil; it and the row's metadata must not
// change any more, since the columns share them. Equal sources are recognised,
// and the same pointer is recognised faster.
func (b *Builder) Add(t *catalog.Type, unit string, source *pb.Source, r Row) {
	if source != b.lastPointer {
		id, ok := b.byPointer[source]
		if !ok {
			id = b.source(source)
			b.byPointer[source] = id
		}
		b.lastPointer, b.lastSource = source, id
	}
	b.add(t, unit, b.lastSource, &r)
}

// Len returns how many rows were added since the last Take.
func (b *Builder) Len() int { return b.count }

// Bytes returns an upper bound of the encoded size of what Take would return,
// tags and lengths of a message around the columns included.
func (b *Builder) Bytes() int { return b.bytes }

// Take returns what was added, and empties the Builder.
func (b *Builder) Take() []*pb.SampleColumns {
	columns := make([]*pb.SampleColumns, len(b.groups))
	for i, g := range b.groups {
		columns[i] = g.columns()
		columns[i].Source = b.sources[g.key.source]
	}
	b.reset()
	return columns
}

// source returns the number of a source with this content.
func (b *Builder) source(s *pb.Source) uint32 {
	b.scratch = appendSource(b.scratch[:0], s)
	if id, ok := b.byContent[string(b.scratch)]; ok {
		return id
	}
	return b.newSource(s)
}

// newSource numbers the source whose content is in scratch.
func (b *Builder) newSource(s *pb.Source) uint32 {
	id := uint32(len(b.sources))
	b.byContent[string(b.scratch)] = id
	b.sources = append(b.sources, s)
	return id
}

func (b *Builder) add(t *catalog.Type, unit string, source uint32, r *Row) {
	key := groupKey{typ: t, unit: unit, source: source}
	if r.HasCreated {
		key.flags |= withCreated
	}
	if r.HasUUID {
		key.flags |= withUUID
	}
	if len(r.Body) > 0 {
		key.flags |= withBody
	}
	g := b.last
	if g == nil || g.key != key {
		g = b.group(key)
		b.last = g
	}
	b.count++
	b.bytes += g.add(r)
	if len(r.Metadata.GetEntries()) > 0 {
		b.bytes += b.addMetadata(g, r.Metadata)
	}
}

// frame is more than the tags and lengths of one SampleColumns take.
const frame = 128

func (b *Builder) group(key groupKey) *group {
	if g := b.byKey[key]; g != nil {
		return g
	}
	g := &group{key: key}
	b.byKey[key] = g
	b.groups = append(b.groups, g)
	b.bytes += frame + len(key.unit) + proto.Size(b.sources[key.source])
	return g
}

// addMetadata notes the metadata of the row added last and returns how many
// bytes it may take.
func (b *Builder) addMetadata(g *group, m *pb.Metadata) (size int) {
	if m != g.lastMetadata {
		b.scratch = appendMetadata(b.scratch[:0], m.Entries)
		at, ok := g.byContent[string(b.scratch)]
		if !ok {
			if g.byContent == nil {
				g.byContent = map[string]uint32{}
			}
			g.metadata = append(g.metadata, m)
			at = uint32(len(g.metadata))
			g.byContent[string(b.scratch)] = at
			size = proto.Size(m) + 8
		}
		g.lastMetadata, g.lastAt = m, at
	}
	if g.metadataIndex == nil {
		g.metadataIndex = make([]uint32, len(g.start)-1, cap(g.start))
	}
	for len(g.metadataIndex) < len(g.start)-1 {
		g.metadataIndex = append(g.metadataIndex, 0)
	}
	g.metadataIndex = append(g.metadataIndex, g.lastAt)
	return size + varintSize(uint64(g.lastAt)) - 1 // add counted one byte
}

// varintSize is the length of a protobuf varint.
func varintSize(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

func zigzagSize(v int64) int { return varintSize(uint64(v)<<1 ^ uint64(v>>63)) }
