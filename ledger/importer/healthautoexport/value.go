package healthautoexport

import (
	"math"
	"strings"
	"time"
	"unicode"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// layouts of dates. The app writes the first one; with a 12-hour clock, or in some
// regions, the phone writes the others.
var layouts = []string{
	"2006-01-02 15:04:05 -0700", "2006-01-02 3:04:05 PM -0700", time.RFC3339, "2006-01-02 15:04:05Z07:00",
	"2006-01-02T15:04:05-0700", "2006-01-02 15:04:05 -07:00",
}

// maxEpoch is the end of the year 9999 in seconds since the Unix epoch.
const maxEpoch = 253402300800

// parseDate reads a date with its offset, or seconds since the Unix epoch, which is how
// the app writes the dates inside of electrocardiograms and notifications.
func parseDate(raw []byte) (time.Time, bool) {
	if len(raw) == 0 || raw[0] != '"' {
		seconds, ok := parseNumber(raw)
		if !ok || math.Abs(seconds) >= maxEpoch {
			return time.Time{}, false
		}
		return time.UnixMicro(int64(math.Round(seconds * 1e6))), true
	}
	return parseDateText(unquote(raw))
}

func parseDateText(text string) (time.Time, bool) {
	for i, layout := range layouts {
		if i == 1 {
			// Newer systems write a narrow space before the half of the day.
			text = strings.ToUpper(strings.NewReplacer("\u202f", " ", "\u00a0", " ").Replace(text))
		}
		t, err := time.Parse(layout, text)
		if err == nil && t.Year() >= 1 && t.Year() <= 9999 && t.UTC().Year() >= 1 && t.UTC().Year() <= 9999 {
			return t.Truncate(time.Microsecond), true
		}
	}
	return time.Time{}, false
}

// date takes a date.
func (o *object) date(key string) (time.Time, bool) {
	f := o.find(key)
	if f == nil {
		return time.Time{}, false
	}
	t, ok := parseDate(f.value)
	if ok {
		f.taken = true
	}
	return t, ok
}

// span takes the two dates of a period; the end may be missing.
func (o *object) span(start, end string) (from, to time.Time, ok bool) {
	if from, ok = o.date(start); !ok {
		return from, to, false
	}
	if to, ok = o.date(end); !ok {
		o.skipNull(end)
		to = from
	}
	return from, to, true
}

// skipNull takes a field that says nothing.
func (o *object) skipNull(key string) {
	if f := o.find(key); f != nil && f.value[0] == 'n' {
		f.taken = true
	}
}

func timestamp(t time.Time) *timestamppb.Timestamp { return health.Timestamp(t.UnixMicro()) }

// spellings of units that the grammar of package unit does not have.
var spellings = map[string]string{
	"bpm": "count/min", "rpm": "count/min", "spm": "count/min", "brpm": "count/min", "breaths/min": "count/min",
	"beats/min": "count/min", "steps": "count", "times": "count", "mph": "mi/hr", "kmph": "km/hr", "km/h": "km/hr", "kph": "km/hr",
	"lbs": "lb", "sec": "s", "hours": "hr", "µg": "mcg", "μg": "mcg", "µV": "mcV", "μV": "mcV", "°C": "degC", "°F": "degF",
	"MET": "kcal/hr·kg", "METs": "kcal/hr·kg", "ml/kg/min": "mL/min·kg", "mL/kg/min": "mL/min·kg",
}

// glucose is the molar unit of blood glucose, which the app writes without the mass.
const glucose = "mmol<180.15588000005408>/L"

// scaled brings a quantity into our units. Per cent is a fraction here and in HealthKit,
// but the app writes 97 for 0.97.
func scaled(t *catalog.Type, v float64, unit string) (float64, string) {
	if usual, ok := spellings[unit]; ok {
		unit = usual
	}
	switch {
	case unit == "%":
		return v / 100, unit
	case unit == "mmol/L" && t != nil && t.Short() == "bloodGlucose":
		return v, glucose
	case unit == "dB" && t != nil && t.Unit == "dBASPL":
		return v, t.Unit
	case unit == "" && t != nil && t.Unit == "count":
		return v, t.Unit
	}
	return v, unit
}

// quantity takes {"qty": 1, "units": "km"}. If it is anything else it stays where it is.
func (o *object) quantity(key string) *pb.Quantity {
	f := o.find(key)
	if f == nil {
		return nil
	}
	inner, ok := newObject(f.value)
	if !ok {
		return nil
	}
	v, ok := inner.number("qty")
	unit := inner.text("units")
	if !ok || unit == "" || !inner.whole() {
		return nil
	}
	f.taken = true
	v, unit = scaled(nil, v, unit)
	return &pb.Quantity{Value: v, Unit: unit}
}

// fold brings the ways in which the app writes a name to one: "Traditional Strength
// Training", "daily_mood" and "Self-Care" as well as our traditionalStrengthTraining,
// dailyMood and selfCare are what they are without case and signs.
func fold(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, text)
}

// typesByName finds the types of a kind by their folded names.
func typesByName(kind catalog.Kind) map[string]*catalog.Type {
	byName := map[string]*catalog.Type{}
	for _, t := range catalog.All() {
		if t.Kind == kind {
			byName[fold(t.Short())] = t
		}
	}
	return byName
}

// word finds the name of a value of a vocabulary.
func word(v *catalog.Vocabulary, text string) (string, bool) {
	text = fold(text)
	for _, value := range v.Values {
		if fold(value.Name) == text {
			return v.Label(value.Number)
		}
	}
	return "", false
}

func metadata(key string, value any) *pb.MetadataEntry {
	e := &pb.MetadataEntry{Key: "HK" + key}
	switch v := value.(type) {
	case string:
		e.Value = &pb.MetadataEntry_Text{Text: v}
	case float64:
		e.Value = &pb.MetadataEntry_Number{Number: v}
	case bool:
		number := 0.0
		if v {
			number = 1
		}
		e.Value = &pb.MetadataEntry_Number{Number: number}
	case *pb.Quantity:
		e.Value = &pb.MetadataEntry_Quantity{Quantity: v}
	}
	return e
}

// source takes who measured. Where several did, the app joins their names with "|":
// whose the value is nobody can say any more, so the name stays as it is.
func (o *object) source() *pb.Source {
	if f := o.find("source"); f != nil && f.value[0] == '{' {
		inner, _ := newObject(f.value)
		name := inner.text("name")
		f.taken = name != "" && inner.whole()
		if name == "" {
			return nil
		}
		return &pb.Source{Name: name}
	}
	if name := o.text("source"); name != "" {
		return &pb.Source{Name: name}
	}
	return nil
}
