package query

import (
	"cmp"
	"math"
	"strconv"

	"healthledger/projector/view"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// order is how the samples of an answer stand: by start, end or value; where these are
// equal by start, end, place in the log and type. Descending is the opposite in all of it,
// except that by value what has none comes last in either direction.
type order struct {
	by         pb.SortBy
	descending bool
}

func parseOrder(r *pb.QuerySamplesRequest) (order, error) {
	o := order{by: r.GetSortBy()}
	switch r.GetOrder() {
	case pb.Order_ORDER_UNSPECIFIED, pb.Order_ORDER_DESCENDING:
		o.descending = true
	case pb.Order_ORDER_ASCENDING:
	default:
		return o, refuse("order", strconv.Itoa(int(r.GetOrder())), "no such order")
	}
	if o.by == pb.SortBy_SORT_BY_UNSPECIFIED {
		o.by = pb.SortBy_SORT_BY_START
	}
	if _, ok := pb.SortBy_name[int32(o.by)]; !ok {
		return o, refuse("sort_by", strconv.Itoa(int(o.by)), "nothing to sort by")
	}
	return o, nil
}

// rank is what decides where a sample stands. Value is set where the order is by value.
type rank struct {
	place    view.Place
	typeCode uint32
	value    float64
	hasValue bool
}

// rank returns where a sample stands. Quantities are compared in the canonical unit of
// their type.
func (w *writer) rank(o order, source *view.Source, s *view.Sample) rank {
	r := rank{place: s.Place, typeCode: source.Type()}
	if o.by != pb.SortBy_SORT_BY_VALUE || !s.HasValue {
		return r
	}
	r.value, r.hasValue = s.Value, true
	if t, ok := catalog.ByCode(r.typeCode); ok && t.Kind.HasUnit() {
		r.value, r.hasValue = w.units.convert(s.Value, w.snapshot.Unit(s), t.Unit)
	}
	if !r.hasValue {
		r.value = 0
	}
	return r
}

// before says whether p comes before q in the answer.
func (o order) before(p, q *rank) bool {
	if o.by == pb.SortBy_SORT_BY_VALUE {
		if p.hasValue != q.hasValue {
			return p.hasValue
		}
		if p.hasValue && p.value != q.value {
			return (p.value < q.value) != o.descending
		}
	}
	return o.beforeInTime(&p.place, &q.place, p.typeCode, q.typeCode)
}

// beforeInTime is before for an order by start or end; p and q are of these types.
func (o order) beforeInTime(p, q *view.Place, ofP, ofQ uint32) bool {
	c := 0
	if o.by == pb.SortBy_SORT_BY_END {
		c = cmp.Compare(p.End, q.End)
	}
	if c == 0 {
		c = p.Compare(q)
	}
	if c == 0 {
		c = cmp.Compare(ofP, ofQ)
	}
	if o.descending {
		return c > 0
	}
	return c < 0
}

// first returns the Place that none comes before of those that start, or end, at a time.
func (o order) first(t int64) view.Place {
	other, p := int64(math.MinInt64), view.Place{}
	if o.descending {
		other, p = math.MaxInt64, view.Place{Sequence: math.MaxUint64, Event: math.MaxUint32, Index: math.MaxUint32}
	}
	p.Start, p.End = t, other
	if o.by == pb.SortBy_SORT_BY_END {
		p.Start, p.End = other, t
	}
	return p
}
