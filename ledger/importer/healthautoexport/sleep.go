package healthautoexport

import (
	"errors"
	"math"
	"time"

	pb "healthledger/proto/healthledger/v1"
)

// stages are the app's folded names of sleep stages.
var stages = map[string]string{
	"inbed": "inBed", "awake": "awake", "asleep": "asleepUnspecified", "unspecified": "asleepUnspecified",
	"asleepunspecified": "asleepUnspecified", "core": "asleepCore", "asleepcore": "asleepCore",
	"deep": "asleepDeep", "asleepdeep": "asleepDeep", "rem": "asleepREM", "asleeprem": "asleepREM",
}

var (
	errStage = errors.New("a stage of sleep without a name that is known")
	errNight = errors.New("a summarised night says how long each stage took but not when it was: it is no sample")
)

// sleep reads a stage, or a summarised night.
func (m *metric) sleep(o *object) ([]*pb.Sample, error) {
	start, end, ok := o.span("startDate", "endDate")
	if !ok {
		return m.night(o)
	}
	value := o.find("value")
	if value == nil || value.value[0] != '"' {
		return nil, errStage
	}
	label, ok := stages[fold(unquote(value.value))]
	if !ok {
		return nil, errStage
	}
	value.taken = true
	s := sampleOf(m.typ, start, end, o)
	s.Label = label
	o.skipNull("date")
	m.hours(o, "qty", start, end)
	return []*pb.Sample{s}, nil
}

// night reads sums over a night. Where a sum is as long as the period it is of, there is
// nothing between: then it is a sample. With a single sum that is not, the night is none.
func (m *metric) night(o *object) ([]*pb.Sample, error) {
	var samples []*pb.Sample
	source := o.source()
	for _, part := range []struct {
		label, start, end, source string
		sums                      []string
	}{
		{"inBed", "inBedStart", "inBedEnd", "inBedSource", []string{"inBed"}},
		{"asleepUnspecified", "sleepStart", "sleepEnd", "sleepSource", []string{"asleep", "totalSleep"}},
	} {
		start, end, ok := o.span(part.start, part.end)
		if !ok {
			continue
		}
		said := false
		for _, sum := range part.sums {
			said = m.hours(o, sum, start, end) || said
		}
		if !said {
			continue
		}
		s := &pb.Sample{Type: m.typ.Short(), Start: timestamp(start), End: timestamp(end), Label: part.label, Source: source}
		if name := o.text(part.source); name != "" {
			s.Source = &pb.Source{Name: name}
		}
		samples = append(samples, s)
	}
	for _, sum := range []string{"inBed", "asleep", "totalSleep", "core", "deep", "rem", "awake"} {
		if o.same(sum, 0); o.find(sum) != nil {
			return nil, errNight
		}
	}
	if len(samples) == 0 {
		return nil, errNight
	}
	samples[0].Metadata = o.metadata()
	return samples, nil
}

// hours takes a number of hours if it is as long as the period, to the second.
func (m *metric) hours(o *object, key string, start, end time.Time) bool {
	f := o.find(key)
	if f == nil || m.units != "hr" {
		return false
	}
	v, ok := parseNumber(f.value)
	if !ok || math.Abs(v*3600-end.Sub(start).Seconds()) > 1 {
		return false
	}
	f.taken = true
	return true
}
