package view

import (
	"crypto/sha256"
	"encoding/binary"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// An identity is what makes an object the successor of another one of the same app and
// type: a sync identifier, of which a strictly greater version replaces (spec section
// 3.5), or what the type itself implies, where whatever is different replaces.
type identity struct {
	name identityName
	// version of a sync identifier; nil: the identity is implied.
	version *int64
}

// identityName is what two versions of an object share within an app.
type identityName struct {
	typeCode uint32
	hash     [sha256.Size]byte
}

// The ways to be named. They stand first in what is hashed.
const (
	namedSync byte = iota + 1
	namedImplied
)

// syncMark is what metadata say about synchronisation.
type syncMark struct {
	identifier string
	version    int64
}

// syncOf returns the mark of metadata, nil if they have none.
func syncOf(m *pb.Metadata) *syncMark {
	identifier, version, ok := health.SyncOf(m.GetEntries())
	if !ok {
		return nil
	}
	return &syncMark{identifier, version}
}

// implied returns what an object is known by in its type itself.
func implied(o *incoming) (string, bool) {
	t, ok := catalog.ByCode(o.typeCode)
	if !ok || o.body == nil {
		return "", false
	}
	return health.IdentityOf(t, o.body)
}

// identityOf returns an object's identity, nil if it has none.
func (b *Batch) identityOf(o *incoming) *identity {
	var mark *syncMark
	if o.metadata != nil {
		mark = b.metadata[o.metadata.at].sync
	}
	return identify(o, mark, b.column.byContent)
}

// identify returns the identity of an object with a mark. An importer stands for many
// apps, so what it brings is told apart by the source's app and name.
func identify(o *incoming, mark *syncMark, importing bool) *identity {
	id := &identity{name: identityName{typeCode: o.typeCode}}
	way, text := namedSync, ""
	if name, ok := implied(o); ok {
		way, text, importing = namedImplied, name, true
	} else if mark != nil {
		text, id.version = mark.identifier, &mark.version
	} else {
		return nil
	}
	hashed := appendText([]byte{way}, text)
	if importing || o.origin.source.GetApp() != "" {
		hashed = appendText(appendText(hashed, o.origin.source.GetApp()), o.origin.source.GetName())
	}
	id.name.hash = sha256.Sum256(hashed)
	return id
}

// known is what the view has of an identity.
type known struct {
	// version or, of an implied identity, a digest of the whole object.
	versioned bool
	version   int64
	digest    [sha256.Size]byte
	// body is 1 + the number of the body in the event; 0: none.
	body uint32
	// rows of the object: one, but of a correlation one for each pair.
	rows []Locator
}

// The kinds of identities.
const (
	knownByVersion byte = iota
	knownByDigest
)

func (k *known) append(dst []byte) []byte {
	if k.versioned {
		dst = binary.AppendVarint(append(dst, knownByVersion), k.version)
	} else {
		dst = append(append(dst, knownByDigest), k.digest[:]...)
	}
	dst = binary.AppendUvarint(dst, uint64(k.body))
	dst = binary.AppendUvarint(dst, uint64(len(k.rows)))
	for i := range k.rows {
		dst = appendText(dst, string(k.rows[i].appendKey(nil)))
	}
	return dst
}

func readKnown(row []byte) (k known, ok bool) {
	r := reader{b: row}
	switch r.byte() {
	case knownByVersion:
		k.versioned, k.version = true, r.varint()
	case knownByDigest:
		copy(k.digest[:], r.take(len(k.digest)))
	default:
		return k, false
	}
	k.body = r.uvarint32()
	for range r.count() {
		row, ok := readLocator(r.take(r.count()))
		if !ok {
			return k, false
		}
		k.rows = append(k.rows, row)
	}
	return k, r.done() && len(k.rows) > 0
}

// knownAs returns what there is of an identity of the app, nil if nothing.
func (b *Batch) knownAs(id *identity) (*known, error) {
	b.key = appendIdentityKey(b.key[:0], b.column.app, id.name.typeCode, &id.name.hash)
	row, there, err := b.find(b.key)
	if err != nil || !there {
		return nil, err
	}
	k, ok := readKnown(row)
	if !ok {
		return nil, errDamaged
	}
	return &k, nil
}

// replace removes an object for which another one comes. Its UUID stays known.
func (b *Batch) replace(k *known) error {
	for i := range k.rows {
		if s, err := b.removeRow(&k.rows[i]); err != nil {
			return err
		} else if s == nil {
			return errDamaged
		}
	}
	if k.body > 0 {
		if err := b.dropBody(&k.rows[0], k.body-1); err != nil {
			return err
		}
	}
	b.counts.Samples--
	b.counts.Replaced++
	return nil
}

// digest of a whole object with an implied identity. Who measured is a part of it.
func (b *Batch) digest(o *incoming) [sha256.Size]byte {
	s := o.sample
	s.Sequence, s.Event, s.Index, s.UUID, s.HasUUID, s.metadata, s.body, s.member = 0, 0, 0, [16]byte{}, false, 0, 0, false
	row := Locator{Type: o.typeCode, Source: o.origin.id, Place: s.Place}
	hashed := appendText(nil, string(row.appendKey(nil)))
	hashed = appendText(hashed, string(appendValue(nil, &s, uint32(formReal))))
	metadata := []byte(nil)
	if o.metadata != nil {
		metadata = b.metadata[o.metadata.at].row
	}
	hashed = appendText(hashed, string(metadata))
	return sha256.Sum256(appendText(hashed, string(b.bodies[o.content])))
}
