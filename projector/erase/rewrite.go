package erase

import (
	"fmt"

	"healthledger/projector/view"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// Rewrite returns the events of a segment without what is erased: as many as there were, in
// the same order and blocks. Those that are the same are shared with the argument, which is
// not changed.
func (r *Rewriter) Rewrite(sequence uint64, blocks [][]*pb.Event) ([][]*pb.Event, error) {
	r.settle()
	if !r.touched.has(sequence) {
		return blocks, nil
	}
	out := make([][]*pb.Event, len(blocks))
	ordinal := 0
	for i, block := range blocks {
		out[i] = make([]*pb.Event, len(block))
		for j, event := range block {
			var err error
			if out[i][j], err = r.rewrite(sequence, ordinal, event); err != nil {
				return nil, fmt.Errorf("erase: %w", err)
			}
			ordinal++
		}
	}
	return out, nil
}

func (r *Rewriter) rewrite(sequence uint64, ordinal int, event *pb.Event) (*pb.Event, error) {
	switch body := event.GetBody().(type) {
	case *pb.Event_SamplesSaved:
		saved, changed, err := r.rewriteSaved(sequence, ordinal, body.SamplesSaved)
		if err != nil || !changed {
			return event, err
		}
		return &pb.Event{Time: event.GetTime(), Body: &pb.Event_SamplesSaved{SamplesSaved: saved}}, nil
	case *pb.Event_PartSaved:
		if p := body.PartSaved; sequence < r.order.Before && len(p.GetUpload()) == 16 && r.goes(p.GetApp(), r.use(p.GetApp(), p.GetUpload())) {
			return &pb.Event{Time: event.GetTime(), Body: &pb.Event_PartSaved{PartSaved: &pb.PartSaved{App: p.GetApp(), Erased: true}}}, nil
		}
	case *pb.Event_SamplesDeleted:
		if d := body.SamplesDeleted; d.GetOutcome() == nil && d.GetApp() != 0 && r.deleters.has(sequence) {
			outcome, err := r.outcome(d.GetApp(), d.GetRequestId())
			return &pb.Event{Time: event.GetTime(), Body: &pb.Event_SamplesDeleted{SamplesDeleted: &pb.SamplesDeleted{
				App: d.GetApp(), RequestId: d.GetRequestId(), Deletions: d.GetDeletions(), Outcome: outcome,
			}}}, err
		}
	}
	return event, nil
}

// outcome returns what became of a request. Without what is erased it would not follow any more.
func (r *Rewriter) outcome(app uint64, request []byte) (*pb.RequestOutcome, error) {
	if len(request) != 16 {
		return nil, errMalformed
	}
	o, ok, err := r.order.Hidden.Outcome(app, [16]byte(request))
	if err != nil || !ok {
		return nil, err
	}
	return &pb.RequestOutcome{Stored: o.Stored, Duplicates: o.Duplicates, Incomplete: o.Incomplete, Deleted: o.Deleted}, nil
}

// rewriteSaved returns the event without what is erased, and whether that is any of it.
func (r *Rewriter) rewriteSaved(sequence uint64, ordinal int, saved *pb.SamplesSaved) (*pb.SamplesSaved, bool, error) {
	w, err := newWalker(saved, sequence, ordinal)
	if err != nil {
		return nil, false, err
	}
	out := &pb.SamplesSaved{
		App: saved.GetApp(), RequestId: saved.GetRequestId(), ByContent: saved.GetByContent(), Outcome: saved.GetOutcome(),
		Columns: make([]*pb.SampleColumns, len(saved.GetColumns())),
	}
	changed := false
	for i, c := range saved.GetColumns() {
		out.Columns[i] = c
		first := w.begin(c)
		if len(c.GetBody()) == 0 && !r.chosen.isPossible(saved.GetApp(), c.GetType()) {
			continue
		}
		left, some, err := r.columnOf(w, c, first)
		if err != nil {
			return nil, false, err
		}
		if some {
			out.Columns[i], changed = left.columns(c), true
		}
	}
	if changed && out.Outcome == nil {
		out.Outcome, err = r.outcome(saved.GetApp(), saved.GetRequestId())
	}
	return out, changed, err
}

// columnOf returns what remains of a column, and whether something goes.
func (r *Rewriter) columnOf(w *walker, c *pb.SampleColumns, first uint32) (*remains, bool, error) {
	left, changed := newRemains(c), false
	for i, s := range health.Rows(c) {
		if err := w.sample(c, first+uint32(i), i, &s); err != nil {
			return nil, false, err
		}
		some, err := r.rewriteRow(w, c, i, s.Body, left)
		if err != nil {
			return nil, false, err
		}
		changed = changed || some
	}
	return left, changed, nil
}

// rewriteRow notes what remains of a sample of the column, and says whether something goes.
func (r *Rewriter) rewriteRow(w *walker, c *pb.SampleColumns, i int, encoded []byte, left *remains) (bool, error) {
	row := &w.row
	if isErased(c, i) {
		// It was erased before; members of it may go now.
		v := verdict{erased: c.GetErased()[i]}
		if err := left.again(i, v.erased); err != nil {
			return false, err
		}
		ghost, renamed := r.renamed(row)
		body, some, err := r.members(w, c, &v)
		if err != nil || !some && !renamed {
			left.body(i, encoded)
			return false, err
		}
		return true, left.encode(i, &pb.Sample{Members: body, Ghost: ghost})
	}
	v, err := r.judge(row)
	if err != nil {
		return false, err
	}
	members, some, err := r.members(w, c, &v)
	if err != nil {
		return false, err
	}
	switch {
	case v.erased > 0:
		left.erased[i] = v.erased
		if v.erased > 1 {
			left.ends = append(left.ends, r.end(row))
		}
		return true, left.encode(i, &pb.Sample{Members: members, Ghost: r.ghost(row, &v)})
	case some:
		body := &pb.Sample{Object: row.Body.Object, Members: members, Kept: row.Body.Kept, Payload: row.Body.Payload, Upload: row.Body.Upload}
		return true, left.encode(i, body)
	}
	left.body(i, encoded)
	return false, nil
}

// judge decides about a row as the survey has found it.
func (r *Rewriter) judge(row *view.Row) (verdict, error) {
	if row.Sequence >= r.order.Before || !r.chosen.isPossible(row.App, row.Type) {
		return verdict{}, nil
	}
	if _, ok := r.gone[idOf(row)]; !ok && !r.chosen.holds(row) {
		return verdict{}, nil
	}
	return r.condemn(row)
}

// remains is a column on its way to be written without what is erased.
type remains struct {
	erased []uint64
	ends   []int64
	bodies [][]byte
	// before are the ends of what was erased before and comes next.
	before []int64
}

func newRemains(c *pb.SampleColumns) *remains {
	n := health.Count(c)
	return &remains{erased: make([]uint64, n), bodies: make([][]byte, n), before: c.GetErasedEnd()}
}

// again notes a sample that was erased before.
func (l *remains) again(i int, erased uint64) error {
	if l.erased[i] = erased; erased == 1 {
		return nil
	}
	if len(l.before) == 0 {
		return errMalformed
	}
	l.ends, l.before = append(l.ends, l.before[0]), l.before[1:]
	return nil
}

func (l *remains) body(i int, encoded []byte) { l.bodies[i] = encoded }

func (l *remains) encode(i int, body *pb.Sample) (err error) {
	l.bodies[i], err = health.AppendBody(nil, body)
	return err
}

// columns returns the column without what is erased. Deltas go from what remains to what
// remains: nothing tells of what was between.
func (l *remains) columns(c *pb.SampleColumns) *pb.SampleColumns {
	n := health.Count(c)
	out := &pb.SampleColumns{
		Type: c.GetType(), Unit: c.GetUnit(), Source: c.GetSource(), Tick: c.GetTick(), Exponent: c.GetExponent(),
		Start: deltas(c.GetStart(), l.erased), Mantissa: deltas(c.GetMantissa(), l.erased),
		Duration: without(c.GetDuration(), l.erased), Created: without(c.GetCreated(), l.erased), Real: without(c.GetReal(), l.erased),
		Erased: l.erased, ErasedEnd: l.ends,
	}
	if len(c.GetUuid()) > 0 {
		out.Uuid = append([]byte(nil), c.GetUuid()...)
	}
	there, bodies := 0, false
	for i := range n {
		bodies = bodies || len(l.bodies[i]) > 0
		if l.erased[i] == 0 {
			there++
		} else if l.erased[i] == 1 && len(out.Uuid) > 0 {
			clear(out.Uuid[16*i : 16*i+16])
		}
	}
	if bodies {
		out.Body = l.bodies
	}
	l.metadata(c, out)
	if there == 0 {
		// Nor does how the columns were written tell of what was in them.
		out.Tick, out.Exponent, out.Mantissa, out.Real, out.Duration, out.Created = 1, 0, nil, nil, nil, nil
	}
	return out
}

// metadata copies the metadata that what remains has.
func (l *remains) metadata(c, out *pb.SampleColumns) {
	if len(c.GetMetadataIndex()) == 0 {
		return
	}
	index, numbers := make([]uint32, len(l.erased)), make([]uint32, len(c.GetMetadata())+1)
	for i, number := range c.GetMetadataIndex() {
		if l.erased[i] > 0 || number == 0 {
			continue
		}
		if numbers[number] == 0 {
			out.Metadata = append(out.Metadata, c.GetMetadata()[number-1])
			numbers[number] = uint32(len(out.Metadata))
		}
		index[i] = numbers[number]
	}
	if len(out.Metadata) > 0 {
		out.MetadataIndex = index
	}
}

// deltas returns a column of deltas in which what is erased is as what comes before it.
func deltas(column []int64, erased []uint64) []int64 {
	out := make([]int64, len(column))
	var sum, before int64
	for i, delta := range column {
		if sum += delta; erased[i] == 0 {
			out[i], before = sum-before, sum
		}
	}
	return present(out)
}

// without returns a column in which what is erased is zero.
func without[T int64 | float64](column []T, erased []uint64) []T {
	out := append([]T(nil), column...)
	for i := range out {
		if erased[i] > 0 {
			out[i] = 0
		}
	}
	return present(out)
}

// present returns a column that is not empty, else nil.
func present[T any](column []T) []T {
	if len(column) == 0 {
		return nil
	}
	return column
}
