package view

import (
	"bytes"
	"fmt"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// incoming is a sample on its way into the view that is more than a row: it has a body or
// an identity, or it came as a member of another object.
type incoming struct {
	typeCode uint32
	origin   *origin
	sample   Sample
	exponent uint32
	metadata *metadataUse
	body     *pb.Sample // nil: none
	identity *identity  // nil: none

	object object
	// content is where in the batch's list that of the body lies, -1 if there is none.
	content int32
	// pairs are where the rows of a correlation lie.
	pairs []pair
}

// pair is a type that members of a correlation have, and when the last of them ends.
type pair struct {
	typeCode uint32
	end      int64
}

// saveRow adds a sample of the column as an object.
func (b *Batch) saveRow(o *origin, s *Sample, c *pb.SampleColumns, use *metadataUse, row []byte) error {
	body, err := parseBody(row)
	if err != nil {
		return err
	}
	_, _, err = b.saveObject(&incoming{
		typeCode: c.GetType(), origin: o, sample: *s, exponent: c.GetExponent(), metadata: use, body: body,
	})
	return err
}

// saveObject adds an object unless it is there already, and returns a reference to what
// is there now; false if nothing is.
func (b *Batch) saveObject(o *incoming) (reference, bool, error) {
	o.sample.describe(o.metadata)
	var complete bool
	var err error
	if o.object.payload, complete, err = b.payloadOf(o.typeCode, o.body); err != nil {
		return reference{}, false, err
	}
	if !complete {
		b.counts.Incomplete++
		return reference{}, false, b.passMembers(o.body)
	}
	o.identity = b.identityOf(o)
	before, at, there, err := b.byName(o)
	if err != nil {
		return reference{}, false, err
	}
	if there {
		b.counts.Duplicates += 1 + uint64(len(o.body.GetMembers()))
		if err := b.passMembers(o.body); err != nil {
			return reference{}, false, err
		}
		return at, at.named || at.row.Type == o.typeCode, nil
	}
	if err := b.saveMembers(o); err != nil {
		return reference{}, false, err
	}
	if o.sample.HasUUID {
		// One of its own members may have taken it.
		if _, taken, err := b.knownUUID(o.origin, o.sample.UUID); err != nil || taken {
			b.counts.Duplicates++
			return reference{}, false, err
		}
	}
	if isCorrelation(o.typeCode) && len(o.pairs) == 0 {
		b.counts.Incomplete++
		return reference{}, false, nil
	}
	return b.saveWhole(o, before)
}

// byName looks for an object by its UUID and its identity. It returns what is known of
// the identity, and whether what is there keeps this one out.
func (b *Batch) byName(o *incoming) (before *known, at reference, there bool, err error) {
	if o.identity != nil {
		at = reference{named: true, name: o.identity.name}
		if before, err = b.knownAs(o.identity); err != nil {
			return nil, at, false, err
		}
	}
	if o.sample.HasUUID {
		row, known, err := b.knownUUID(o.origin, o.sample.UUID)
		if err != nil || known {
			if o.identity == nil {
				at.row = row
			}
			return before, at, known, err
		}
	}
	return before, at, before != nil && o.identity.version != nil && *o.identity.version <= before.version, nil
}

// saveMembers adds the members of an object as samples of their own.
func (b *Batch) saveMembers(o *incoming) error {
	for _, m := range o.body.GetMembers() {
		if m.GetGhost() != nil {
			if err := b.saveGhostMember(o, m); err != nil {
				return err
			}
			continue
		}
		member, err := b.member(o, m)
		if err != nil {
			return err
		}
		at, there, err := b.saveObject(member)
		if err != nil {
			return err
		}
		if !there {
			continue
		}
		o.object.members = append(o.object.members, at)
		if isCorrelation(o.typeCode) {
			o.pair(member.typeCode, member.sample.End)
		}
	}
	return nil
}

// passMembers counts the members of an object that is left out, and who measured them: what
// index a member has says where it came in the request, and ids of sources go by what the log
// has, not by what became of it.
func (b *Batch) passMembers(body *pb.Sample) error {
	for _, m := range body.GetMembers() {
		t, ok := catalog.Lookup(m.GetType())
		if !ok {
			return fmt.Errorf("%w: a malformed member", ErrEvent)
		}
		b.column.memberIndex(t.Code)
		if m.GetSource() != nil {
			b.source(b.column.app, m.GetSource(), about{})
		}
	}
	return nil
}

// pair notes that the correlation has a member of a type. The pairs are in order of type.
func (o *incoming) pair(member uint32, end int64) {
	i := 0
	for i < len(o.pairs) && o.pairs[i].typeCode < member {
		i++
	}
	if i < len(o.pairs) && o.pairs[i].typeCode == member {
		o.pairs[i].end = max(o.pairs[i].end, end)
		return
	}
	o.pairs = append(o.pairs, pair{})
	copy(o.pairs[i+1:], o.pairs[i:])
	o.pairs[i] = pair{member, end}
}

// member reads a member of an object.
func (b *Batch) member(whole *incoming, m *pb.Sample) (*incoming, error) {
	t, unit, source, row, err := health.Member(m)
	if err != nil || t.Kind == catalog.Correlation || len(m.GetMembers()) > 0 {
		return nil, fmt.Errorf("%w: a malformed member", ErrEvent)
	}
	if row.End < row.Start {
		return nil, fmt.Errorf("%w: a member that ends before it starts", ErrEvent)
	}
	o := &incoming{typeCode: t.Code, origin: whole.origin, exponent: places(row.Value), metadata: b.memberMetadata(row.Metadata)}
	if source != nil {
		o.origin = b.source(b.column.app, source, about{})
	}
	o.sample = Sample{
		Place: Place{Start: row.Start, End: row.End, Sequence: b.sequence, Event: uint32(b.event), Index: b.column.memberIndex(t.Code)},
		Value: row.Value, HasValue: t.Kind.HasNumber(), Created: row.Created, HasCreated: row.HasCreated,
		HasUUID: row.HasUUID, UUID: row.UUID, unit: b.unit(unit), member: true,
	}
	o.body, err = parseBody(row.Body)
	return o, err
}

// memberMetadata numbers the metadata of members after those of all columns.
func (b *Batch) memberMetadata(m *pb.Metadata) *metadataUse {
	if m == nil {
		return nil
	}
	c := &b.column
	row := string(appendMetadata(nil, m))
	if use, ok := c.ofMembers[row]; ok {
		return use
	}
	if c.ofMembers == nil {
		c.ofMembers = map[string]*metadataUse{}
	}
	use := &metadataUse{at: b.addMetadata(m), number: uint32(len(c.ofMembers))}
	for _, other := range c.all {
		use.number += uint32(len(other.GetMetadata()))
	}
	c.ofMembers[row] = use
	return use
}

// saveWhole adds an object whose members are there, unless its content is. Before is what
// it takes the place of.
func (b *Batch) saveWhole(o *incoming, before *known) (reference, bool, error) {
	if err := b.addContent(o); err != nil {
		return reference{}, false, err
	}
	at := reference{}
	next := &known{}
	if o.identity != nil {
		at = reference{named: true, name: o.identity.name}
		if next.versioned = o.identity.version != nil; next.versioned {
			next.version = *o.identity.version
		} else {
			next.digest = b.digest(o)
		}
		if before != nil && !next.versioned && before.digest == next.digest {
			b.counts.Duplicates++
			return at, true, nil
		}
	} else if b.column.byContent {
		row, same, err := b.byContent(o)
		if err != nil || same {
			b.counts.Duplicates++
			return reference{row: row}, same, err
		}
	}
	if before != nil {
		if err := b.replace(before); err != nil {
			return at, false, err
		}
	}
	o.origin = b.sourceAbout(o)
	if !at.named {
		at.row = Locator{Type: o.typeCode, Source: o.origin.id, Place: o.sample.Place}
	}
	return at, true, b.putObject(o, next)
}

// addContent encodes the body, with its members and a sum of its payload.
func (b *Batch) addContent(o *incoming) error {
	o.content = -1
	if o.body == nil {
		return nil
	}
	var err error
	if o.object.rest, err = restOf(o.body, o.object.payload.items); err != nil {
		return err
	}
	o.content = int32(len(b.bodies))
	b.bodies = append(b.bodies, o.object.appendContent(nil))
	return nil
}

// rows returns under which types the object has rows, and where their keys end.
func (o *incoming) rows() []pair {
	if !isCorrelation(o.typeCode) {
		return []pair{{o.typeCode, o.sample.End}}
	}
	rows := make([]pair, len(o.pairs))
	for i, p := range o.pairs {
		rows[i] = pair{Pair(o.typeCode, p.typeCode), max(o.sample.End, p.end)}
	}
	return rows
}

// ends returns those of one of the rows.
func (o *incoming) ends(row int) ends {
	if len(o.pairs) == 0 {
		return ends{member: o.sample.End}
	}
	e := ends{member: o.pairs[row].end}
	for _, p := range o.pairs {
		if e.member > max(o.sample.End, p.end) {
			e.earlier = append(e.earlier, p)
		}
	}
	return e
}

// byContent looks for an object of the same content, and says where its first row is.
func (b *Batch) byContent(o *incoming) (Locator, bool, error) {
	first := o.rows()[0]
	s := &sought{start: o.sample.Start, end: o.sample.End, content: b.contentOf(o, first.end)}
	var row Locator
	for _, d := range b.alike(first.typeCode, o) {
		var same bool
		var err error
		if row, same, err = b.locate(d, s); same || err != nil {
			return row, same, err
		}
	}
	s.members = !o.sample.member
	for _, other := range b.relaxed(o.typeCode, o.origin, s.members) {
		if row, same, err := b.locate(other, s); same || err != nil {
			return row, same, err
		}
	}
	return row, false, nil
}

func (b *Batch) contentOf(o *incoming, keyEnd int64) content {
	at := int32(-1)
	if o.metadata != nil {
		at = o.metadata.at
	}
	return contentOf(&o.sample, keyEnd, at, o.content)
}

// putObject writes an object with all its rows.
func (b *Batch) putObject(o *incoming, next *known) error {
	s := &o.sample
	if o.body != nil {
		b.column.bodies++
		s.body = b.column.bodies
		if err := b.putBody(s, o); err != nil {
			return err
		}
	}
	next.body = s.body
	var rows []objectRow
	for i, row := range o.rows() {
		d := b.draft(row.typeCode, o.origin)
		e := o.ends(i)
		if err := b.write(d, s, row.end, &e, o.exponent, o.metadata, o.object.payload.chunks > 0); err != nil {
			return err
		}
		if o.identity != nil {
			b.fresh[string(b.key)] = bytes.Clone(b.value) // a later version in the same batch removes it
		}
		if o.identity == nil {
			d.places.add(s, b.contentOf(o, row.end))
			if s.member {
				d.members++
			}
		}
		place := s.Place
		place.End = row.end
		next.rows = append(next.rows, Locator{row.typeCode, o.origin.id, place})
		rows = append(rows, objectRow{next.rows[i], e.member})
	}
	if isCorrelation(o.typeCode) {
		b.join(o, rows)
	}
	b.counts.Samples++
	if o.identity != nil {
		b.keep(appendIdentityKey(nil, b.column.app, o.identity.name.typeCode, &o.identity.name.hash), next.append(nil))
	}
	if s.HasUUID {
		b.rememberUUID(o.origin, s.UUID, rows)
	}
	return nil
}
