package erase

import (
	"math"

	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/projector/view"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// member is one of a sample of a column.
type member struct {
	row *view.Row // nil: it was erased before
	verdict
}

// members returns what remains of the members of a sample of the column, and whether some of
// it goes. The verdict is the one on the sample: one that was left out, as the same was there,
// goes when a member does, since without that it would not be the same any more.
func (r *Rewriter) members(w *walker, c *pb.SampleColumns, whole *verdict) ([]*pb.Sample, bool, error) {
	given := w.row.Body.GetMembers()
	all, changed := make([]member, len(given)), false
	for i, m := range given {
		row, err := w.member(c, m)
		if err == nil && m.GetGhost() == nil {
			all[i].row = row
			all[i].verdict, err = r.judgeMember(row)
		}
		if err != nil {
			return nil, false, err
		}
		changed = changed || all[i].erased > 0
	}
	if changed && whole.erased == 0 {
		var err error
		if whole.fate, err = r.fates.Of(&w.row); err != nil {
			return nil, false, err
		}
		if !whole.fate.Stored {
			whole.erased = 1
		}
	}
	out := make([]*pb.Sample, len(given))
	for i := range all {
		var err error
		if out[i], err = r.remaining(given[i], &all[i], whole); err != nil {
			return nil, false, err
		}
		changed = changed || all[i].erased > 0
	}
	return out, changed, nil
}

// judgeMember is judge for a member. One that was recognised by its content is the sample that was
// there already: nothing is known by a UUID of its own, and it stays while that sample does.
func (r *Rewriter) judgeMember(row *view.Row) (verdict, error) {
	v, err := r.judge(row)
	if err != nil || v.erased != 1 || !row.ByContent || r.chosen.byTime(row) {
		return v, err
	}
	if _, gone := r.gone[idOf(row)]; gone {
		return v, nil
	}
	if _, versioned := r.fates.Identity(row); versioned {
		return v, nil
	}
	if row.HasUUID {
		if known, err := r.fates.KnowsUUID(row); known || err != nil {
			return v, err
		}
	}
	return verdict{}, nil
}

// remaining returns what remains of a member.
func (r *Rewriter) remaining(given *pb.Sample, m *member, whole *verdict) (*pb.Sample, error) {
	if m.row != nil && m.erased == 0 && whole.erased == 1 {
		var err error
		if m.verdict, err = r.suppressed(m.row); err != nil {
			return nil, err
		}
	}
	if m.erased == 0 {
		return given, nil
	}
	return r.ghostMember(given, m.row, &m.verdict, whole), nil
}

// suppressed decides about a member of a whole that was never stored, and is erased: without
// the one for which that was left out, the member could be stored now. So it goes unless it was.
func (r *Rewriter) suppressed(row *view.Row) (v verdict, err error) {
	if v.fate, err = r.fates.Of(row); err == nil && !v.fate.Stored {
		v.erased = 1
	}
	return v, err
}

// ghostMember returns what is left of a member.
func (r *Rewriter) ghostMember(m *pb.Sample, row *view.Row, v *verdict, whole *verdict) *pb.Sample {
	ghost := &pb.Ghost{Erased: v.erased}
	out := &pb.Sample{Type: m.GetType(), Source: m.GetSource(), Ghost: ghost}
	if whole.erased == 1 && v.erased == 1 {
		return out
	}
	if v.erased > 1 {
		ghost.End = proto.Int64(r.round(row.Type, row.End))
	} else {
		// It was there already, and a member all the same.
		for _, e := range whole.fate.Ends {
			if e.GetType() == row.Type {
				ghost.End = proto.Int64(r.round(row.Type, min(row.End, e.GetEnd())))
			}
		}
	}
	if ghost.End != nil {
		out.Uuid = m.GetUuid()
	}
	if hash, ok := r.fates.Identity(row); ok && ghost.End != nil {
		ghost.Identity = hash[:]
	}
	return out
}

// ghost returns what is left of a sample of a column beside the columns, nil if nothing is.
func (r *Rewriter) ghost(row *view.Row, v *verdict) *pb.Ghost {
	if v.erased == 1 {
		return nil
	}
	t, ok := catalog.ByCode(row.Type)
	if !ok {
		return nil
	}
	if t.Kind == catalog.Correlation {
		ghost := &pb.Ghost{}
		for _, e := range v.fate.Ends {
			ghost.Ends = append(ghost.Ends, &pb.GhostEnd{Type: e.GetType(), End: r.round(e.GetType(), e.GetEnd())})
		}
		return ghost
	}
	if !view.GoesByName(t) {
		return nil
	}
	return r.ghostOf(authz.Object{App: row.App, Name: r.fates.Object(row)})
}

// ghostOf returns what is left of a sample about an object.
func (r *Rewriter) ghostOf(object authz.Object) *pb.Ghost {
	if r.keeps(object) {
		return &pb.Ghost{Object: object.Name}
	}
	return &pb.Ghost{Alias: r.alias(object)}
}

// renamed returns what is left of a sample that was erased before, and whether that is
// without the name of its object now.
func (r *Rewriter) renamed(row *view.Row) (*pb.Ghost, bool) {
	ghost := row.Body.GetGhost()
	object := authz.Object{App: row.App, Name: ghost.GetObject()}
	if object.Name == "" || r.keeps(object) {
		return ghost, false
	}
	return r.ghostOf(object), true
}

// end returns the time that is left of a sample of a column. That of a correlation is with
// its members.
func (r *Rewriter) end(row *view.Row) int64 {
	if t, ok := catalog.ByCode(row.Type); ok && t.Kind == catalog.Correlation {
		return math.MinInt64
	}
	return r.round(row.Type, row.End)
}
