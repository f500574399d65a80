package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func choose(t *testing.T, content string, flags importCmd) (string, error) {
	t.Helper()
	flags.File = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(flags.File, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if flags.Format == "" {
		flags.Format = "auto"
	}
	f, err := flags.choose()
	if err != nil {
		return "", err
	}
	return f.name, nil
}

func TestFilesAreToldApartByTheirContent(t *testing.T) {
	for content, want := range map[string]string{
		"PK\x03\x04...": "apple", "<?xml version=\"1.0\"?>\n<!DOCTYPE HealthData": "apple", "\ufeff\n<HealthData locale=\"de\">": "apple",
		`{ "data" : { "metrics" : [`:                        "health-auto-export",
		"\ufeff{\"data\":{}}":                               "health-auto-export",
		`{"workouts":[`:                                     "health-auto-export",
		`{"type":"bodyMass","start":"2025-05-31T07:10:00Z"`: "ndjson",
		`{"uuid":"0e8d39c4-1f0a-4f6c-8f8e-6c7f5a4b3c2d","type":"bodyMass"}`: "ndjson",
	} {
		if got, err := choose(t, content, importCmd{}); got != want {
			t.Errorf("%q is %q, %v", content, got, err)
		}
	}
	for _, content := range []string{"", "Date,Weight\n2025-05-31,71\n", `{"data":"none"}`, `{"points":[]}`, "[]", "\x7fELF", "hello", `{"data":`} {
		if got, err := choose(t, content, importCmd{}); err == nil {
			t.Errorf("%q is %s", content, got)
		}
	}
}

func TestAnUnknownFileIsToldWhatWasLookedFor(t *testing.T) {
	_, err := choose(t, "hello", importCmd{})
	for _, f := range formats {
		if err == nil || !strings.Contains(err.Error(), f.name) || !strings.Contains(err.Error(), f.what) {
			t.Errorf("%s is not in: %v", f.name, err)
		}
	}
	if _, err := choose(t, "Date,Weight\n2025-05-31,71\n", importCmd{}); err == nil || !strings.Contains(err.Error(), "--column start=") {
		t.Errorf("nothing is said about CSV: %v", err)
	}
}

func TestFlagsOfTablesMeanATable(t *testing.T) {
	columns := tableFlags{Column: []string{"start=a"}}
	if got, err := choose(t, "PK\x03\x04", importCmd{tableFlags: columns}); got != "csv" {
		t.Errorf("%q, %v", got, err)
	}
	var usage usageError
	if got, err := choose(t, "", importCmd{Format: "apple", tableFlags: columns}); !errors.As(err, &usage) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := choose(t, "hello", importCmd{Format: "ndjson"}); got != "ndjson" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestFlagsOfTablesBecomeAMapping(t *testing.T) {
	f := tableFlags{Column: []string{"start=Date,value=Weight, kg", "source=3"}, Type: "bodyMass", Unit: "kg", Set: map[string]string{"device.name": "Scale"},
		DateFormat: "dmy", TZ: "UTC", Delimiter: "tab", Decimal: ","}
	m, err := f.mapping()
	if err != nil || m.Comma != '\t' || m.Decimal != ',' || m.Zone != time.UTC || m.Dates != "dmy" ||
		!cmp.Equal(m.Columns, map[string]string{"start": "Date", "value": "Weight, kg", "source": "3"}) ||
		!cmp.Equal(m.Constants, map[string]string{"type": "bodyMass", "unit": "kg", "device.name": "Scale"}) {
		t.Errorf("%+v, %v", m, err)
	}
	for name, bad := range map[string]tableFlags{
		"column": {Column: []string{"x"}}, "twice": {Column: []string{"start=a", "start=b"}}, "tz": {TZ: "Nowhere/Here"},
		"delimiter": {Delimiter: ";;"}, "decimal": {Decimal: "'"}, "none": {Delimiter: "\""},
	} {
		if bad.Delimiter == "" {
			bad.Delimiter = ","
		}
		if bad.Decimal == "" {
			bad.Decimal = "."
		}
		var usage usageError
		if _, err := bad.mapping(); !errors.As(err, &usage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
