package view

import (
	"fmt"

	"github.com/google/uuid"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// A ghost is what an erasure has left of a sample in the log. In the view it is a deletion,
// which the erasure tells when it ends, and its UUID stays known. Like every deletion it lies
// where the sample ended, or rather where those that may hear of it can still see.

// ghost is an erased sample on its way into the view.
type ghost struct {
	typeCode uint32
	origin   *origin
	// erased is as in SampleColumns.
	erased uint64
	end    int64
	sample Sample // its place but for the period, and its UUID
	left   *pb.Ghost
}

// saveGhostRow adds an erased sample of the column, and its members that are not. Ends are
// those of the erased samples of the column from this one on; it returns the rest.
func (b *Batch) saveGhostRow(o *origin, c *pb.SampleColumns, i int, index uint32, row *health.Row, ends []int64) ([]int64, error) {
	body, err := parseBody(row.Body)
	if err != nil {
		return nil, err
	}
	g := &ghost{typeCode: c.GetType(), origin: o, erased: c.GetErased()[i], left: body.GetGhost()}
	g.sample = Sample{HasUUID: row.HasUUID, UUID: row.UUID}
	g.sample.Sequence, g.sample.Event, g.sample.Index = b.sequence, uint32(b.event), index
	if g.erased > 1 {
		if len(ends) == 0 {
			return nil, fmt.Errorf("%w: an erased sample without an end", ErrEvent)
		}
		g.end, ends = ends[0], ends[1:]
	}
	if err := b.saveMembers(&incoming{typeCode: g.typeCode, origin: o, body: body}); err != nil {
		return nil, err
	}
	return ends, b.saveGhost(g)
}

// saveGhostMember adds an erased member of an object. The object refers to it as to one that
// was deleted, or else to what has replaced it.
func (b *Batch) saveGhostMember(whole *incoming, m *pb.Sample) error {
	t, ok := catalog.Lookup(m.GetType())
	left := m.GetGhost()
	if !ok || left.GetErased() == 0 || left.GetErased() > 1 && left.End == nil {
		return fmt.Errorf("%w: a malformed member", ErrEvent)
	}
	g := &ghost{typeCode: t.Code, origin: whole.origin, erased: left.GetErased(), end: left.GetEnd()}
	if m.GetSource() != nil {
		g.origin = b.source(b.column.app, m.GetSource(), about{})
	}
	g.sample.Sequence, g.sample.Event, g.sample.Index = b.sequence, uint32(b.event), b.column.memberIndex(t.Code)
	if m.GetUuid() != "" {
		id, err := uuid.Parse(m.GetUuid())
		if err != nil {
			return fmt.Errorf("%w: a malformed member", ErrEvent)
		}
		g.sample.UUID, g.sample.HasUUID = id, true
	}
	if err := b.saveGhost(g); err != nil || left.End == nil {
		return err
	}
	at := reference{row: g.rows()[0].Locator}
	if len(left.GetIdentity()) > 0 {
		at = reference{named: true, name: identityName{typeCode: t.Code}}
		copy(at.name.hash[:], left.GetIdentity())
	} else if g.sample.HasUUID {
		row, there, err := b.knownUUID(g.origin, g.sample.UUID)
		if err != nil {
			return err
		}
		if there && row.Type != t.Code {
			return nil // another object had the UUID: it never was a member
		}
		if there {
			at.row = row
		}
	}
	whole.object.members = append(whole.object.members, at)
	if isCorrelation(whole.typeCode) {
		whole.pair(t.Code, g.end)
	}
	return nil
}

// saveGhost adds the deletion of an erased sample, if it leaves one.
func (b *Batch) saveGhost(g *ghost) error {
	if g.erased == 1 {
		b.counts.Duplicates++
		return nil
	}
	last, ok := b.view.erasures[g.erased-1]
	if !ok {
		return fmt.Errorf("%w: it is of an erasure that is not known", ErrEvent)
	}
	g.origin = b.ghostSource(g)
	rows := g.rows()
	for i := range rows {
		e := g.ends(i)
		b.putGhost(&rows[i].Locator, g, &e, last)
	}
	if len(rows) > 0 && g.sample.HasUUID {
		b.rememberUUID(g.origin, g.sample.UUID, rows)
	}
	b.counts.Deleted++
	return nil
}

// ghostSource returns the source under which the sample lay, or the same without what was
// erased.
func (b *Batch) ghostSource(g *ghost) *origin {
	t, ok := catalog.ByCode(g.typeCode)
	if !ok || !t.PerObject {
		return g.origin
	}
	what := about{object: g.left.GetObject() + string(g.left.GetAlias())}
	if !isNamed(t) {
		id := b.view.uuidOf(b.column.request, b.column.app, g.typeCode, &g.sample)
		what = about{health.ObjectName(t, g.origin.source, id, nil), string(appendPeriod(nil, g.end, g.end))}
	}
	return b.source(b.column.app, g.origin.source, what)
}

// rows are those under which the deletion lies.
func (g *ghost) rows() []objectRow {
	at := g.sample.Place
	row := func(code uint32, end int64) objectRow {
		at.Start, at.End = end, end
		return objectRow{Locator{code, g.origin.id, at}, end}
	}
	if !isCorrelation(g.typeCode) {
		return []objectRow{row(g.typeCode, g.end)}
	}
	var rows []objectRow
	for _, e := range g.left.GetEnds() {
		rows = append(rows, row(Pair(g.typeCode, e.GetType()), e.GetEnd()))
	}
	return rows
}

// ends returns those of one of the rows.
func (g *ghost) ends(row int) ends {
	if !isCorrelation(g.typeCode) {
		return ends{member: g.end}
	}
	e := ends{member: g.left.GetEnds()[row].GetEnd()}
	for _, other := range g.left.GetEnds() {
		if other.GetEnd() < e.member {
			e.earlier = append(e.earlier, pair{other.GetType(), other.GetEnd()})
		}
	}
	return e
}

// putGhost writes a deletion that a later segment tells, and what leads to it. Whatever the
// erasure has taken here before, and with whatever batch, the rows are the same.
func (b *Batch) putGhost(row *Locator, g *ghost, e *ends, last uint64) {
	d := b.draft(row.Type, g.origin)
	if d.blank() || row.End > d.maxEnd {
		d.maxEnd = row.End
	}
	one := d.day(dayOf(row.End))
	one.changed = max(one.changed, last)
	b.key = appendTime(appendEntryKey(b.key[:0], familyRemoval, row.Type, g.origin.id), row.End)
	b.key = appendOrdered(b.key, last)
	b.value = append(b.value[:0], 0) // a range of one end
	b.set(b.key, b.value)
	b.key = row.appendKey(append(b.key[:0], familyDeletion))
	b.value = appendDeletion(b.value[:0], row, &g.sample, e, last)
	b.set(b.key, b.value)
}
