package erase

import (
	"errors"
	"slices"

	"healthledger/projector/view"
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

var errMalformed = errors.New("the log has an event that cannot be read")

// walker goes through the rows of a SamplesSaved with the indexes that they have in the view.
type walker struct {
	saved *pb.SamplesSaved
	row   view.Row
	// next are the indexes of the next samples of each type, and members those of the next
	// members, which come after all samples.
	next, members []typeIndex
}

type typeIndex struct{ typeCode, index uint32 }

func at(all *[]typeIndex, typeCode uint32) *typeIndex {
	i := slices.IndexFunc(*all, func(t typeIndex) bool { return t.typeCode == typeCode })
	if i < 0 {
		i = len(*all)
		*all = append(*all, typeIndex{typeCode: typeCode})
	}
	return &(*all)[i]
}

func newWalker(saved *pb.SamplesSaved, sequence uint64, event int) (*walker, error) {
	if len(saved.GetRequestId()) != 16 {
		return nil, errMalformed
	}
	w := &walker{saved: saved}
	w.row = view.Row{App: saved.GetApp(), Request: [16]byte(saved.GetRequestId()), ByContent: saved.GetByContent()}
	w.row.Sequence, w.row.Event = sequence, uint32(event)
	for _, c := range saved.GetColumns() {
		n := health.Count(c)
		for _, column := range [...]int{len(c.GetBody()), len(c.GetErased()), len(c.GetMetadataIndex())} {
			if column != 0 && column != n {
				return nil, errMalformed
			}
		}
		at(&w.members, c.GetType()).index += uint32(n)
	}
	return w, nil
}

// begin starts a column, whose first sample has the index.
func (w *walker) begin(c *pb.SampleColumns) (first uint32) {
	w.row.Type, w.row.Source = c.GetType(), c.GetSource()
	next := at(&w.next, c.GetType())
	first = next.index
	next.index += uint32(health.Count(c))
	return first
}

// sample makes the walker's row that of a sample of the column.
func (w *walker) sample(c *pb.SampleColumns, index uint32, i int, s *health.Row) error {
	r := &w.row
	r.Type, r.Source, r.Index, r.Start, r.End = c.GetType(), c.GetSource(), index, s.Start, s.End
	r.HasUUID, r.UUID, r.Metadata, r.Body = s.HasUUID, s.UUID, s.Metadata, nil
	if len(s.Body) == 0 {
		return nil
	}
	var err error
	r.Body, err = health.ParseBody(s.Body)
	return err
}

// isErased says whether a sample of a column was erased before.
func isErased(c *pb.SampleColumns, i int) bool { return len(c.GetErased()) > 0 && c.GetErased()[i] > 0 }

// member makes a row of a member of a sample of the column. Of one that was erased before it
// has the index only.
func (w *walker) member(c *pb.SampleColumns, m *pb.Sample) (*view.Row, error) {
	t, ok := catalog.Lookup(m.GetType())
	if !ok {
		return nil, errMalformed
	}
	r := w.row
	next := at(&w.members, t.Code)
	r.Type, r.Index, r.Source = t.Code, next.index, c.GetSource()
	next.index++
	if m.GetGhost() != nil {
		return &r, nil
	}
	_, _, source, s, err := health.Member(m)
	if err != nil {
		return nil, errMalformed
	}
	if source != nil {
		r.Source = source
	}
	r.Start, r.End, r.HasUUID, r.UUID, r.Metadata = s.Start, s.End, s.HasUUID, s.UUID, s.Metadata
	r.Body, err = health.ParseBody(s.Body)
	return &r, err
}
