package query

import (
	"context"
	"errors"

	"healthledger/authz"
	"healthledger/projector/view"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// ErrNoData means that there is nothing to make statistics of.
var ErrNoData = errors.New("no samples")

// maxStatistics bounds the bytes of an answer.
const maxStatistics = 1 << 20

// Statistics returns statistics of the samples of a quantity type that the scope may see,
// that overlap the period and that fit the predicate: of the whole period, or of each
// interval of the calendar that holds samples, oldest first. Intervals at the edges of the
// period are cut to it. An open end of a period without intervals is reported as the
// earliest start or the latest end of what was counted.
//
// A sample counts in every interval that it overlaps. What it adds to a sum is its value
// times the part of its length that lies in the interval (spec/healthkit.md, section 6.1),
// and counts only while no source that comes before its own in the order has a sample.
// Averages follow the type's style (section 3.7): the plain mean, the mean weighted with
// the time in the interval, or the equivalent continuous sound level. In the last two a
// sample without a length weighs a microsecond, the least there is: samples of one moment
// each have their plain mean, and beside samples that last they do not count.
//
// A quantity that stands for a series counts with the entries of the series instead of
// itself (section 3.2).
//
// Errors: *ArgumentError (type, from, to, interval, time_zone, unit, predicate, explain),
// ErrNoData, the context's, view.ErrClosed, and those of the view.
func (e *Engine) Statistics(ctx context.Context, scope authz.Scope, r *pb.QueryStatisticsRequest) (*pb.QueryStatisticsResponse, error) {
	q, err := parseStatistics(r)
	if err != nil {
		return nil, err
	}
	return e.statistics(ctx, scope, q)
}

func (e *Engine) statistics(ctx context.Context, scope authz.Scope, q *statisticsQuery) (*pb.QueryStatisticsResponse, error) {
	return answer(e, "query statistics", func(s *view.Snapshot) (*pb.QueryStatisticsResponse, error) {
		c := e.collection(ctx, s, scope, q)
		if err := c.run(); err != nil {
			return nil, err
		}
		return c.answer()
	})
}

func (e *Engine) collection(ctx context.Context, s *view.Snapshot, scope authz.Scope, q *statisticsQuery) *collection {
	c := &collection{
		query: q, patience: &patience{ctx: ctx, snapshot: s}, snapshot: s, details: s.Details(),
		groups: e.groups(s, scope, q.typ, q.calendar.period), buckets: map[int64]*bucket{},
	}
	c.filter = q.predicate.bind(newWriter(scope, &e.options, s), c.patience)
	return c
}

// statisticsQuery is a well-formed request.
type statisticsQuery struct {
	typ                             *catalog.Type
	calendar                        calendar
	measure                         *measure
	predicate                       *predicate
	bySource, explain, includeEmpty bool
	way                             way
}

func parseStatistics(r *pb.QueryStatisticsRequest) (*statisticsQuery, error) {
	q := &statisticsQuery{bySource: r.GetBySource(), explain: r.GetExplain(), includeEmpty: r.GetIncludeEmpty()}
	var err error
	if q.typ, err = parseType("type", r.GetType()); err != nil {
		return nil, err
	}
	if q.typ.Kind != catalog.Quantity {
		return nil, refuse("type", r.GetType(), "only quantity types have statistics")
	}
	if q.calendar.period, err = parsePeriod(r.GetFrom(), r.GetTo()); err != nil {
		return nil, err
	}
	if q.calendar.zone, err = parseZone(r.GetTimeZone()); err != nil {
		return nil, err
	}
	if err := q.calendar.parseInterval(r.GetInterval()); err != nil {
		return nil, err
	}
	if r.GetFrom() != nil && r.GetTo() != nil && q.calendar.many(q.calendar.period) {
		return nil, tooMany()
	}
	if q.measure, err = parseMeasure(q.typ, r.GetUnit()); err != nil {
		return nil, err
	}
	q.predicate, err = parsePredicate(r.GetPredicate(), []*catalog.Type{q.typ})
	if q.predicate != nil || q.explains() {
		q.way = bySamples
	}
	return q, err
}

// way is how statistics are counted. All ways give the same.
type way int8

const (
	// Whichever is faster.
	eitherWay way = iota
	// By samples, where figures of quarters do not tell enough.
	bySamples
	// By figures of quarters wherever there are some.
	byFigures
)

// explains says whether the answer tells which source counted when: of sums only.
func (q *statisticsQuery) explains() bool {
	return q.explain && q.typ.Aggregation == catalog.Cumulative
}
