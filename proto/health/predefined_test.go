package health_test

import (
	"math"
	"testing"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

func text(key, v string) *pb.MetadataEntry {
	return &pb.MetadataEntry{Key: key, Value: &pb.MetadataEntry_Text{Text: v}}
}

func number(key string, v float64) *pb.MetadataEntry {
	return &pb.MetadataEntry{Key: key, Value: &pb.MetadataEntry_Number{Number: v}}
}

func measure(key string, v float64, unit string) *pb.MetadataEntry {
	return &pb.MetadataEntry{Key: key, Value: &pb.MetadataEntry_Quantity{Quantity: in(v, unit)}}
}

func date(key string) *pb.MetadataEntry {
	return &pb.MetadataEntry{Key: key, Value: &pb.MetadataEntry_Date{Date: at(0)}}
}

func entries(list ...*pb.MetadataEntry) []*pb.MetadataEntry { return list }

// Apps are held to the predefined keys; an importer may bring any form of them.
func TestPredefinedMetadataOfApps(t *testing.T) {
	for name, c := range map[string]struct {
		entries []*pb.MetadataEntry
		// field is empty if an app may save it.
		field, value, why string
	}{
		"own keys":              {entries(text("HKFoo", "1"), date("temperature"), number("HKMetadataKeyFoo", 1)), "", "", ""},
		"text":                  {entries(text("HKTimeZone", "Europe/Berlin")), "", "", ""},
		"text as number":        {entries(number("HKMetadataKeyTimeZone", 1)), "metadata[HKMetadataKeyTimeZone]", "1", "not a text"},
		"boolean":               {entries(number("HKWasUserEntered", 0), number("HKIndoorWorkout", 1)), "", "", ""},
		"boolean as text":       {entries(text("HKWasUserEntered", "1")), "metadata[HKWasUserEntered]", "1", "not 0 or 1"},
		"boolean of two":        {entries(number("HKWasUserEntered", 2)), "metadata[HKWasUserEntered]", "2", "not 0 or 1"},
		"enum":                  {entries(number("HKMetadataKeyHeartRateMotionContext", 2)), "", "", ""},
		"enum as text":          {entries(text("HKMetadataKeyHeartRateMotionContext", "2")), "metadata[HKMetadataKeyHeartRateMotionContext]", "2", "whole number"},
		"enum out of range":     {entries(number("HKWeatherCondition", 28)), "metadata[HKWeatherCondition]", "28", "not one of the values"},
		"enum fraction":         {entries(number("HKWeatherCondition", 1.5)), "metadata[HKWeatherCondition]", "1.5", "whole number"},
		"enum huge":             {entries(number("HKWeatherCondition", 1e300)), "metadata[HKWeatherCondition]", "1e+300", "not"},
		"activity":              {entries(number("HKActivityType", 3000)), "", "", ""},
		"temperature":           {entries(measure("HKMetadataKeyWeatherTemperature", 53, "degF")), "", "", ""},
		"temperature as number": {entries(number("HKMetadataKeyWeatherTemperature", 53)), "metadata[HKMetadataKeyWeatherTemperature]", "53", "not a quantity"},
		"temperature in m":      {entries(measure("HKWeatherTemperature", 53, "m")), "metadata[HKWeatherTemperature]", "53 m", "compatible with degC"},
		"estimate":              {entries(measure("HKSessionEstimate", 1, "count")), "", "", ""},
		"estimate in kg":        {entries(measure("HKSessionEstimate", 1, "kg")), "metadata[HKSessionEstimate]", "1 kg", "compatible with count"},
		"number":                {entries(number("HKSWOLFScore", 1.5)), "", "", ""},
		"number as date":        {entries(date("HKSWOLFScore")), "metadata[HKSWOLFScore]", "2024-05-01T12:00:00Z", "not a number"},
		"date":                  {entries(date("HKDateOfEarliestDataUsedForEstimate")), "", "", ""},
		"date as text":          {entries(text("HKDateOfEarliestDataUsedForEstimate", "2024")), "metadata[HKDateOfEarliestDataUsedForEstimate]", "2024", "not a date"},
		"synchronised":          {entries(text("HKSyncIdentifier", "a"), number("HKMetadataKeySyncVersion", 4)), "", "", ""},
		"version as text":       {entries(text("HKSyncIdentifier", "a"), text("HKSyncVersion", "4")), "", "", ""},
		"identifier alone":      {entries(text("HKSyncIdentifier", "a")), "metadata[HKMetadataKeySyncVersion]", "", "go together"},
		"version alone":         {entries(number("HKSyncVersion", 1)), "metadata[HKMetadataKeySyncIdentifier]", "", "go together"},
		"identifier empty":      {entries(text("HKSyncIdentifier", ""), number("HKSyncVersion", 4)), "metadata[HKSyncIdentifier]", "", "empty"},
		"version a fraction":    {entries(text("HKSyncIdentifier", "a"), number("HKSyncVersion", 1.5)), "metadata[HKSyncVersion]", "1.5", "whole number"},
		"version words":         {entries(text("HKSyncIdentifier", "a"), text("HKSyncVersion", "4a")), "metadata[HKSyncVersion]", "4a", "whole number"},
		"version too large":     {entries(text("HKSyncIdentifier", "a"), number("HKSyncVersion", math.MaxFloat64)), "metadata[HKSyncVersion]", "1.7976931348623157e+308", "whole number"},
		"identifier twice": {entries(text("HKSyncIdentifier", "a"), number("HKSyncVersion", 4), text("HKMetadataKeySyncIdentifier", "b")),
			"metadata[HKMetadataKeySyncIdentifier]", "", "twice"},
	} {
		t.Run(name, func(t *testing.T) {
			s := member("stepCount", 1, "count")
			s.Metadata = c.entries
			columns, err := health.Columns([]*pb.Sample{member("stepCount", 1, "count"), s}, health.Policy{Importer: true})
			if err != nil {
				t.Fatalf("from an importer: %v", err)
			}
			asColumns := health.Validate(columns, health.Policy{})
			_, err = health.Columns([]*pb.Sample{member("stepCount", 1, "count"), s}, health.Policy{})
			if c.field == "" {
				if err != nil || asColumns != nil {
					t.Errorf("%v, %v", err, asColumns)
				}
				return
			}
			refusal(t, err, c.field, c.value, c.why)
			refusal(t, asColumns, c.field, c.value, c.why)
		})
	}
}

// Spec section 3.1, pitfall 20: a sample may go on.
func TestSamplesMayGoOn(t *testing.T) {
	if got := health.Timestamp(health.DistantFuture).AsTime().String(); got != "4001-01-01 00:00:00 +0000 UTC" {
		t.Error(got)
	}
	ongoing := func(s *pb.Sample) *pb.Sample {
		s.End = health.Timestamp(health.DistantFuture)
		return s
	}
	for _, s := range []*pb.Sample{
		ongoing(&pb.Sample{Type: "pregnancy", Start: at(0), Label: "notApplicable"}), ongoing(member("bodyMass", 70, "kg")), ongoing(whole["workout"]()),
	} {
		columns, err := health.Columns([]*pb.Sample{s}, health.Policy{})
		if err != nil {
			t.Fatalf("%s: %v", s.Type, err)
		}
		for _, row := range health.Rows(columns[0]) {
			if row.End != health.DistantFuture {
				t.Errorf("%s ends at %d", s.Type, row.End)
			}
		}
	}
	// Without expiry a prescription ends when it began, or never.
	for _, end := range []int64{noon, health.DistantFuture} {
		s := whole["visionPrescription"]()
		s.End, s.GetVisionPrescription().Expires = health.Timestamp(end), false
		if _, err := health.Columns([]*pb.Sample{s}, health.Policy{}); err != nil {
			t.Error(err)
		}
	}
	// Longest durations hold, and points stay points.
	for _, s := range []*pb.Sample{ongoing(member("stepCount", 1, "count")), ongoing(&pb.Sample{Type: "menopausalState", Start: at(0), Label: "none"})} {
		_, err := health.Columns([]*pb.Sample{member("bodyMass", 1, "kg"), s}, health.Policy{Importer: true})
		refusal(t, err, "end", "4001-01-01T00:00:00Z", s.Type)
	}
}
