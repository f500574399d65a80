package query

import (
	"errors"
	"strconv"

	"healthledger/projector/view"
	pb "healthledger/proto/healthledger/v1"
)

// periodTest is fulfilled by samples that belong to a period.
type periodTest struct {
	period period
	match  match
}

func parsePeriodTest(p *pb.PeriodPredicate, path string) (test, error) {
	var t periodTest
	var err error
	if t.period, err = parsePeriod(p.GetFrom(), p.GetTo()); err == nil {
		t.match, err = parseMatch(p.GetMatch())
	}
	return t, within(path, err)
}

// within puts the path of the whole before the field that an error is about.
func within(path string, err error) error {
	var argument *ArgumentError
	if errors.As(err, &argument) {
		argument.Field = path + "." + argument.Field
	}
	return err
}

func (t periodTest) holds(_ *filter, _ *view.Source, s *view.Sample) (bool, error) {
	return t.match.holds(t.period, s.Start, s.End), nil
}

// match says when a sample belongs to a period.
type match pb.PeriodMatch

func parseMatch(m pb.PeriodMatch) (match, error) {
	if m == pb.PeriodMatch_PERIOD_MATCH_UNSPECIFIED {
		m = pb.PeriodMatch_PERIOD_MATCH_OVERLAP
	}
	if _, ok := pb.PeriodMatch_name[int32(m)]; !ok {
		return 0, refuse("match", strconv.Itoa(int(m)), "no such match")
	}
	return match(m), nil
}

// holds is never true of what neither overlaps the period nor ends when it begins.
func (m match) holds(p period, start, end int64) bool {
	switch pb.PeriodMatch(m) {
	case pb.PeriodMatch_PERIOD_MATCH_STRICT_START:
		return p.contains(start)
	case pb.PeriodMatch_PERIOD_MATCH_STRICT_END:
		return p.contains(end)
	case pb.PeriodMatch_PERIOD_MATCH_STRICT:
		return p.contains(start) && p.contains(end)
	}
	return p.overlaps(start, end)
}
