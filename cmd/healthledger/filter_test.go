package main

import (
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

func TestFlagsSayWhichSamplesAreMeant(t *testing.T) {
	for _, c := range []struct {
		filter
		want string
	}{
		{filter{}, ""},
		{filter{UUID: []string{"A", "B"}}, `{"uuid":{"uuids":["A","B"]}}`},
		{filter{Source: []string{"Anna, her Watch"}}, `{"source":{"sources":[{"name":"Anna, her Watch"},{"app":"Anna, her Watch"}]}}`},
		{filter{Device: []string{`{"name":"Scale"}`, `{"model":"S1"}`}}, `{"device":{"devices":[{"name":"Scale"},{"model":"S1"}]}}`},
		{filter{Workout: "A", Correlation: "none"}, `{"allOf":{"predicates":[{"workout":"A"},{"correlation":{}}]}}`},
		{filter{Correlation: "A"}, `{"correlation":{"uuid":"A"}}`},
		{filter{Category: []string{"asleepCore", "5"}}, `{"category":{"values":["asleepCore","5"]}}`},
		{filter{Activity: []string{"running"}, Classification: []string{"sinusRhythm"}},
			`{"allOf":{"predicates":[{"activity":{"names":["running"]}},{"classification":{"names":["sinusRhythm"]}}]}}`},
		{filter{Value: []string{">= 100 mg/dl", "<7e2 mg/dL"}}, `{"allOf":{"predicates":[
			{"quantity":{"comparison":"COMPARISON_GREATER_OR_EQUAL","quantity":{"value":100,"unit":"mg/dL"}}},
			{"quantity":{"comparison":"COMPARISON_LESS","quantity":{"value":700,"unit":"mg/dL"}}}]}}`},
		{filter{Metadata: []string{"HKTimeZone"}}, `{"metadata":{"key":"HKTimeZone"}}`},
		{filter{Metadata: []string{"room=kitchen"}}, `{"metadata":{"key":"room","comparison":"COMPARISON_EQUAL","values":[{"text":"kitchen"}]}}`},
		{filter{Metadata: []string{"room!=5 m"}}, `{"metadata":{"key":"room","comparison":"COMPARISON_NOT_EQUAL","values":[{"quantity":{"value":5,"unit":"m"}}]}}`},
		{filter{Metadata: []string{`room="5 m"`}}, `{"metadata":{"key":"room","comparison":"COMPARISON_EQUAL","values":[{"text":"5 m"}]}}`},
		{filter{Metadata: []string{"room=5"}}, `{"metadata":{"key":"room","comparison":"COMPARISON_EQUAL","values":[{"number":5},{"text":"5"}]}}`},
		{filter{Metadata: []string{"HKBloodGlucoseMealTime=preprandial"}}, `{"metadata":{"key":"HKBloodGlucoseMealTime","comparison":"COMPARISON_EQUAL","values":[{"number":1},{"text":"preprandial"}]}}`},
		{filter{Metadata: []string{"day>2024-05-01"}}, `{"metadata":{"key":"day","comparison":"COMPARISON_GREATER","values":[{"date":"2024-05-01T00:00:00Z"}]}}`},
		{filter{Where: `{"not":{"uuid":{"uuids":["A"]}}}`}, `{"not":{"uuid":{"uuids":["A"]}}}`},
	} {
		got, err := c.predicate()
		if err != nil {
			t.Errorf("%s: %v", c.want, err)
			continue
		}
		if c.want == "" {
			if got != nil {
				t.Errorf("no flag is %v", got)
			}
			continue
		}
		want := &pb.Predicate{}
		if err := protojson.Unmarshal([]byte(c.want), want); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(got, want) {
			t.Errorf("%v, not %v", got, want)
		}
	}
}

func TestFlagsThatMeanNothingAreRefused(t *testing.T) {
	for _, f := range []filter{
		{Value: []string{"100 mg/dL"}}, {Value: []string{">=100"}}, {Value: []string{">=many mg/dL"}}, {Value: []string{">=100 nonsense"}}, {Value: []string{"!100 mg/dL"}},
		{Metadata: []string{"=5"}}, {Metadata: []string{""}}, {Device: []string{"Scale"}}, {Where: "{"}, {Where: "/nowhere/predicate.json"},
	} {
		if p, err := f.predicate(); exitCode(err) != exitUsage {
			t.Errorf("%+v: %v, %v", f, p, err)
		}
	}
}

func TestIntervalsAreReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]*pb.Interval{
		"":           nil,
		"day":        {Unit: pb.CalendarUnit_CALENDAR_UNIT_DAY, Count: 1},
		"2 weeks":    {Unit: pb.CalendarUnit_CALENDAR_UNIT_WEEK, Count: 2},
		"15 minutes": {Unit: pb.CalendarUnit_CALENDAR_UNIT_MINUTE, Count: 15},
		"1 Year":     {Unit: pb.CalendarUnit_CALENDAR_UNIT_YEAR, Count: 1},
	} {
		if got, err := interval(text); err != nil || !proto.Equal(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"fortnight", "0 days", "-1 days", "two weeks", "2 weeks ago", "2", "unspecified", "99999999999 days"} {
		if got, err := interval(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}
