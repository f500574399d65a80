package query

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"healthledger/authz"
	"healthledger/projector/view"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/unit"
)

// maxBuckets bounds an answer: a year of hours, or 27 years of days.
const maxBuckets = 10_000

// Statistics returns statistics of the samples of a quantity type that the scope may see
// and that overlap the period: of the whole period, or of each calendar bucket of a time
// zone that holds samples, oldest first. Without samples the answer is empty. Buckets at
// the edges of the period are cut to it. An open end of a period without buckets is
// reported as the earliest start or the latest end of what was counted.
//
// A sample counts in every bucket it overlaps. What it adds to a sum is its value times
// the part of its length that lies in the bucket (spec/healthkit.md, section 6.1);
// averages follow the type's style (section 3.7): the plain mean, the mean weighted with
// the time in the bucket, or the equivalent continuous sound level. In the last two a
// sample without a length weighs a microsecond, the least there is: samples of one moment
// each have their plain mean, and beside samples that last they do not count.
//
// A quantity that stands for a series counts with the entries of the series instead of
// itself (section 3.2).
//
// Sources that overlap are not merged yet: the sum is over all that the scope may see.
//
// Errors: *ArgumentError (type, from, to, bucket, time_zone, unit), the context's,
// view.ErrClosed, and those of the view.
func (e *Engine) Statistics(ctx context.Context, scope authz.Scope, r *pb.QueryStatisticsRequest) (*pb.QueryStatisticsResponse, error) {
	q, err := parseStatistics(scope, r)
	if err != nil {
		return nil, err
	}
	return answer(e, "query statistics", func(s *view.Snapshot) (*pb.QueryStatisticsResponse, error) {
		err := q.run(&patience{ctx: ctx, snapshot: s}, s)
		return q.answer(), err
	})
}

// statisticsQuery is a well-formed request and what has been counted for it.
type statisticsQuery struct {
	scope    authz.Scope
	typ      *catalog.Type
	calendar calendar
	unit     unit.Unit
	unitText string
	buckets  map[int64]*bucket // by their start
	details  *view.Details
	// The bucket used last, and the conversion used last.
	current *bucket
	from    string
	convert unit.Conversion
}

func parseStatistics(scope authz.Scope, r *pb.QueryStatisticsRequest) (*statisticsQuery, error) {
	q := &statisticsQuery{scope: scope, buckets: map[int64]*bucket{}}
	var err error
	if q.typ, err = parseType(r.GetType()); err != nil {
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
	if err := q.parseBucket(r); err != nil {
		return nil, err
	}
	return q, q.parseUnit(r.GetUnit())
}

func parseZone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	zone, err := time.LoadLocation(name)
	// "Local" would be the zone of the daemon.
	if err != nil || name == "Local" {
		return nil, refuse("time_zone", name, "no time zone of the IANA database has this name")
	}
	return zone, nil
}

func (q *statisticsQuery) parseBucket(r *pb.QueryStatisticsRequest) error {
	q.calendar.unit = r.GetInterval().GetUnit()
	least := uint64(0)
	switch q.calendar.unit {
	case pb.CalendarUnit_CALENDAR_UNIT_UNSPECIFIED:
		return nil
	case pb.CalendarUnit_CALENDAR_UNIT_HOUR:
		least = uint64(time.Hour / time.Microsecond)
	case pb.CalendarUnit_CALENDAR_UNIT_DAY:
		least = uint64(24 * time.Hour / time.Microsecond)
	default:
		return refuse("interval.unit", strconv.Itoa(int(q.calendar.unit)), "no such unit")
	}
	p := q.calendar.period
	if r.GetFrom() != nil && r.GetTo() != nil && (uint64(p.to)-uint64(p.from))/least > maxBuckets {
		return tooMany()
	}
	return nil
}

func tooMany() error {
	return refuse("interval", "", fmt.Sprintf("the period has more than %d of them: ask for a shorter one", maxBuckets))
}

func (q *statisticsQuery) parseUnit(text string) error {
	canonical, err := unit.Parse(q.typ.Unit)
	if err != nil {
		return fmt.Errorf("unit of type %s: %w", q.typ, err)
	}
	if q.unit, q.unitText = canonical, q.typ.Unit; text == "" {
		return nil
	}
	if q.unit, err = unit.Parse(text); err != nil {
		return refuse("unit", text, "no such unit")
	}
	if !canonical.Compatible(q.unit) {
		return refuse("unit", text, fmt.Sprintf("not compatible with %s", q.typ.Unit))
	}
	q.unitText = text
	return nil
}

func (q *statisticsQuery) run(p *patience, snapshot *view.Snapshot) error {
	q.details = snapshot.Details()
	for _, source := range sources(snapshot, q.scope, q.typ, q.calendar.period) {
		for _, span := range source.Spans(q.calendar.period.from, q.calendar.period.to-1) {
			if err := q.scan(p, snapshot, &source, span); err != nil {
				return err
			}
		}
	}
	return nil
}

func (q *statisticsQuery) scan(p *patience, snapshot *view.Snapshot, source *view.Source, span view.Span) error {
	scan, err := source.Scan(span.First, span.Last)
	if err != nil {
		return err
	}
	for ok := scan.First(); ok && err == nil; ok = scan.Next() {
		sample := scan.Sample()
		switch {
		case !q.calendar.period.overlaps(sample.Start, sample.End):
		case sample.HasBody():
			err = q.addSeries(p, snapshot, source, sample)
		default:
			err = q.add(sample, snapshot.Unit(sample))
		}
		err = errors.Join(err, p.spend())
	}
	return errors.Join(err, scan.Close())
}

// add counts a sample in every bucket it overlaps.
func (q *statisticsQuery) add(s *view.Sample, from string) error {
	if from != q.from || from == "" {
		parsed, err := unit.Parse(from)
		if err != nil {
			return fmt.Errorf("unit of a sample: %w", err)
		}
		if q.convert, err = unit.Between(parsed, q.unit); err != nil {
			return fmt.Errorf("unit of a sample: %w", err)
		}
		q.from = from
	}
	value := q.convert.Apply(s.Value)
	for at := max(s.Start, q.calendar.period.from); ; {
		b, err := q.bucket(at)
		if err != nil {
			return err
		}
		b.add(s, value, q.typ.Aggregation)
		if at = b.period.to; at >= s.End || at >= q.calendar.period.to {
			return nil
		}
	}
}

// addSeries counts the entries of the series that a sample stands for; one without is
// counted itself.
func (q *statisticsQuery) addSeries(p *patience, snapshot *view.Snapshot, source *view.Source, s *view.Sample) error {
	from := snapshot.Unit(s)
	object, err := q.details.Object(source.App(), s)
	if err != nil {
		return err
	}
	if object.Chunks == 0 {
		return q.add(s, from)
	}
	for number := range object.Chunks {
		chunk, err := q.details.Chunk(object, number)
		if err != nil {
			return err
		}
		for i, offset := range chunk.GetQuantities().GetOffset() {
			entry := *s
			entry.Start, entry.Value = s.Start+offset, chunk.Quantities.Value[i]
			entry.End = entry.Start
			if len(chunk.Quantities.Duration) > 0 {
				entry.End += chunk.Quantities.Duration[i]
			}
			if q.calendar.period.overlaps(entry.Start, entry.End) {
				err = q.add(&entry, from)
			}
			if err := errors.Join(err, p.spend()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (q *statisticsQuery) bucket(at int64) (*bucket, error) {
	if b := q.current; b != nil && at >= b.period.from && at < b.period.to {
		return b, nil
	}
	p := q.calendar.containing(at)
	b, ok := q.buckets[p.from]
	if !ok {
		if len(q.buckets) >= maxBuckets {
			return nil, tooMany()
		}
		b = &bucket{period: p}
		q.buckets[p.from] = b
	}
	q.current = b
	return b, nil
}

func (q *statisticsQuery) answer() *pb.QueryStatisticsResponse {
	answer := &pb.QueryStatisticsResponse{}
	starts := make([]int64, 0, len(q.buckets))
	for start := range q.buckets {
		starts = append(starts, start)
	}
	slices.Sort(starts)
	for _, start := range starts {
		answer.Statistics = append(answer.Statistics, q.buckets[start].statistics(q.typ.Aggregation, q.unitText))
	}
	return answer
}
