package apple

import (
	"math"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseDateAgreesWithTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		offset := 60 * rapid.IntRange(-15*60, 15*60).Draw(t, "offset")
		at := time.Unix(rapid.Int64Range(-62135500000, 253402200000).Draw(t, "at"), 0).In(time.FixedZone("", offset))
		text := at.Format(dateLayout)
		micros, east, ok := parseDate([]byte(text))
		if !ok || micros != at.UnixMicro() || east != int64(offset) {
			t.Fatalf("%s: got %d, %d, %v, want %d, %d", text, micros, east, ok, at.UnixMicro(), offset)
		}
	})
}

func TestParseDateRefusesWhatIsNone(t *testing.T) {
	const good = "2024-02-29 23:59:59 +0100"
	if _, _, ok := parseDate([]byte(good)); !ok {
		t.Fatal("a good date is refused")
	}
	// Any change of one byte is either another date that time knows too, or refused.
	for i := range good {
		for c := range 256 {
			b := []byte(good)
			b[i] = byte(c)
			want, err := time.Parse(dateLayout, string(b))
			got, _, ok := parseDate(b)
			if ok && (err != nil || got != want.UnixMicro()) {
				t.Errorf("%q: got %d, time says %v, %v", b, got, want, err)
			}
			if !ok && err == nil && i < 20 && c != ' ' { // time pads with spaces
				t.Errorf("%q is refused, time says %v", b, want)
			}
		}
	}
	for _, bad := range []string{"", "2024-02-29", good + " ", good[1:], "2023-02-29 00:00:00 +0000", "1900-02-29 00:00:00 +0000", "2024-04-31 00:00:00 +0000", "2024-13-01 00:00:00 +0000", "2024-01-01 24:00:00 +0000", "2024-01-01 00:00:60 +0000", "2024-01-01 00:00:00 +9900"} {
		if _, _, ok := parseDate([]byte(bad)); ok {
			t.Errorf("%q is taken for a date", bad)
		}
	}
}

func TestParseNumberAgreesWithStrconv(t *testing.T) {
	check := func(t interface{ Fatalf(string, ...any) }, text string) {
		want, err := strconv.ParseFloat(text, 64)
		got, ok := parseNumber([]byte(text))
		if ok != (err == nil) || math.Float64bits(got) != math.Float64bits(want) && ok {
			t.Fatalf("%q: got %v, %v, want %v, %v", text, got, ok, want, err)
		}
	}
	for _, text := range []string{"0", "-0", "72", "0.00288", "139.3170000000021", "31.73680251737436", "1e-05", "1E5", "-1.5", ".5", "5.", "123456789012345", "1234567890123456", "0.000000000000001", "9007199254740993", "", "-", ".", "1.2.3", "1,5", " 1", "--1", "+1", "1-2"} {
		check(t, text)
	}
	for _, text := range []string{"NaN", "Inf", "-Infinity", "0x10", "1_000", "1e999", "many"} {
		if v, ok := parseNumber([]byte(text)); ok {
			t.Errorf("%q: got %v", text, v)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Float64().Draw(t, "v")
		format := rapid.SampledFrom([]byte("efg")).Draw(t, "format")
		precision := rapid.IntRange(-1, 20).Draw(t, "precision")
		check(t, strconv.FormatFloat(v, format, precision, 64))
		check(t, rapid.StringMatching(`-?[0-9]{0,12}(\.[0-9]{0,12})?`).Draw(t, "text"))
	})
}

func TestParsingDoesNotAllocate(t *testing.T) {
	number, long, date := []byte("0.00288"), []byte("139.31700000000210012"), []byte("2024-02-29 23:59:59 +0100")
	if n := testing.AllocsPerRun(100, func() {
		parseNumber(number)
		parseNumber(long)
		parseDate(date)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
