package apple

import (
	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

// cache remembers what was made of byte strings that come again and again. It holds
// at most two generations of limit entries: the older one is dropped when the newer
// one is full, so what is in use stays.
type cache[V any] struct {
	limit      int
	young, old map[string]V
}

func newCache[V any](limit int) *cache[V] {
	return &cache[V]{limit: limit, young: make(map[string]V)}
}

// get does not allocate when the key is known and in use.
func (c *cache[V]) get(key []byte) (V, bool) {
	if v, ok := c.young[string(key)]; ok {
		return v, true
	}
	v, ok := c.old[string(key)]
	if ok {
		c.put(key, v)
	}
	return v, ok
}

func (c *cache[V]) put(key []byte, v V) {
	if len(c.young) >= c.limit {
		c.old, c.young = c.young, make(map[string]V, c.limit)
	}
	c.young[string(key)] = v
}

// source is who measured, as records name it.
type source struct {
	message *pb.Source
	// why the ledger would refuse the source; empty: it takes it.
	why string
	// replaced characters in it; they count each time it is used.
	replaced uint64
}

// metadata is the metadata of a record.
type metadata struct {
	message  *pb.Metadata
	why      string
	replaced uint64
}

// Sizes of the caches. An export has some hundred sources (each version of each
// device is one) and some thousand sets of metadata that come again.
const (
	maxSources  = 4096
	maxMetadata = 8192
	// maxKey is the longest text of the document that is worth remembering.
	maxKey = 1024
)

// interner makes sources and metadata of raw attribute values, each once.
type interner struct {
	rules   *rules
	sources *cache[*source]
	// same finds the sources that are equal though their raw attributes are not.
	same     *cache[*pb.Source]
	metadata *cache[*metadata]
	key      []byte
	scratch  []byte
}

func newInterner() *interner {
	return &interner{
		rules:    newRules(),
		sources:  newCache[*source](maxSources),
		same:     newCache[*pb.Source](maxSources),
		metadata: newCache[*metadata](maxMetadata),
	}
}

// separator of raw values: a "<" is never part of one.
const separator = '<'

// source returns the source with these raw attributes.
func (in *interner) source(name, version, device []byte) *source {
	in.key = append(in.key[:0], name...)
	in.key = append(in.key, separator)
	in.key = append(in.key, version...)
	in.key = append(in.key, separator)
	if rest, cut := withoutAddress(device); cut {
		in.key = append(in.key, separator) // unlike any that is not cut
		in.key = append(in.key, rest...)
	} else {
		in.key = append(in.key, device...)
	}
	if found, ok := in.sources.get(in.key); ok {
		return found
	}
	made := &source{}
	made.message = &pb.Source{
		Name:    in.text(name, &made.replaced),
		Version: in.text(version, &made.replaced),
		Device:  parseDevice(in.text(device, &made.replaced)),
	}
	made.why = in.rules.source(made.message)
	if len(in.key) > maxKey {
		return made
	}
	// Equal sources share one message, so that they are found faster later on.
	if content, err := (proto.MarshalOptions{Deterministic: true}).Marshal(made.message); err == nil {
		if equal, ok := in.same.get(content); ok {
			made.message = equal
		} else {
			in.same.put(content, made.message)
		}
	}
	in.sources.put(in.key, made)
	return made
}

// text decodes a raw value and counts what was replaced.
func (in *interner) text(raw []byte, replaced *uint64) string {
	value, grown, n := decode(raw, in.scratch)
	in.scratch = grown
	*replaced += n
	return string(value)
}

// addressStart is what stands before the address in a raw device attribute.
const addressStart = "&lt;&lt;HKDevice: 0x"

// withoutAddress cuts the start and the address off a raw device attribute in its
// usual form, so that all addresses have one entry in the cache.
func withoutAddress(device []byte) (rest []byte, cut bool) {
	if len(device) < len(addressStart) || string(device[:len(addressStart)]) != addressStart {
		return device, false
	}
	for i := len(addressStart); i < len(device); i++ {
		switch c := device[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
		default:
			return device[i:], c == '&'
		}
	}
	return device, false
}

// pairs gathers the metadata of one record: raw keys and values, in order.
type pairs struct {
	// bytes holds them one after the other, each ended by a separator.
	bytes []byte
	count int
}

func (p *pairs) reset() { p.bytes, p.count = p.bytes[:0], 0 }

func (p *pairs) add(key, value []byte) {
	p.bytes = append(p.bytes, key...)
	p.bytes = append(p.bytes, separator)
	p.bytes = append(p.bytes, value...)
	p.bytes = append(p.bytes, separator)
	p.count++
}

// metadataOf returns the metadata of gathered pairs; nil where there are none.
func (in *interner) metadataOf(p *pairs) *metadata {
	if p.count == 0 {
		return nil
	}
	if found, ok := in.metadata.get(p.bytes); ok {
		return found
	}
	made := &metadata{message: &pb.Metadata{Entries: make([]*pb.MetadataEntry, 0, p.count)}}
	rest := p.bytes
	next := func() string {
		end := 0
		for rest[end] != separator {
			end++
		}
		raw := rest[:end]
		rest = rest[end+1:]
		return in.text(raw, &made.replaced)
	}
	for range p.count {
		key, value := next(), next()
		made.message.Entries = append(made.message.Entries, &pb.MetadataEntry{
			Key: key, Value: &pb.MetadataEntry_Text{Text: value},
		})
	}
	made.why = in.rules.metadata(made.message)
	if len(p.bytes) <= maxKey {
		in.metadata.put(p.bytes, made)
	}
	return made
}
