package healthautoexport

import (
	_ "embed"
	"encoding/csv"
	"errors"
	"strings"
	"time"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

//go:embed metrics.csv
var metricsCSV string

// metrics are the names that the app has given to metrics over the years: the type of
// each, and the shape of its points.
var metrics = func() map[string]metric {
	rows, err := csv.NewReader(strings.NewReader(metricsCSV)).ReadAll()
	if err != nil {
		panic("healthautoexport: metrics.csv: " + err.Error()) // a fault of the build, not of a caller
	}
	all := map[string]metric{}
	for _, row := range rows[1:] {
		m := metric{read: shapes[row[2]]}
		m.typ, _ = catalog.Lookup(row[1])
		if m.read == nil || m.typ == nil && row[1] != "" {
			panic("healthautoexport: metrics.csv: " + row[0])
		}
		all[row[0]] = m
	}
	return all
}()

// metric says how the points of a metric are read.
type metric struct {
	typ   *catalog.Type
	units string
	read  func(*metric, *object) ([]*pb.Sample, error)
}

var shapes = map[string]func(*metric, *object) ([]*pb.Sample, error){
	"quantity":       (*metric).quantity,
	"glucose":        (*metric).glucose,
	"insulin":        (*metric).insulin,
	"bloodPressure":  (*metric).bloodPressure,
	"sleep":          (*metric).sleep,
	"timed":          (*metric).timed,
	"sexualActivity": (*metric).sexualActivity,
	"standHour":      (*metric).standHour,
}

var quantityTypes = typesByName(catalog.Quantity)

// metricOf finds a metric. A name that is not in the table may still be the name of a
// quantity type, in the app's way of writing: "running_speed".
func metricOf(name, units string) *metric {
	m, ok := metrics[name]
	if !ok {
		if t, found := quantityTypes[fold(name)]; found {
			m = metric{typ: t, read: (*metric).quantity}
		}
	}
	m.units = units
	return &m
}

var errUnknownMetric = errors.New("an unknown metric")

func (m *metric) point(_ *parser, o *object) ([]*pb.Sample, error) {
	if m.read == nil {
		return nil, errUnknownMetric
	}
	return m.read(m, o)
}

// begin makes the sample of a point: its dates, source and metadata.
func (m *metric) begin(o *object) (*pb.Sample, error) {
	start, end, ok := o.span("date", "end")
	if !ok {
		o.skipNull("date")
		if start, end, ok = o.span("startDate", "endDate"); !ok {
			start, end, ok = o.span("start", "end")
		}
	}
	if !ok {
		return nil, errNoDate
	}
	return sampleOf(m.typ, start, end, o), nil
}

// sampleOf makes a sample with what all objects of the app may have.
func sampleOf(t *catalog.Type, start, end time.Time, o *object) *pb.Sample {
	s := &pb.Sample{Type: t.Short(), Start: timestamp(start), Source: o.source()}
	if !end.Equal(start) {
		s.End = timestamp(end)
	}
	s.Metadata = o.metadata()
	return s
}

// metadata takes an object of texts and numbers as metadata. Its keys are as the app has
// them; what is neither stays, all of it.
func (o *object) metadata() (entries []*pb.MetadataEntry) {
	f := o.find("metadata")
	if f == nil {
		return nil
	}
	inner, ok := newObject(f.value)
	if !ok {
		return nil
	}
	for _, one := range inner.fields {
		e := &pb.MetadataEntry{Key: one.key}
		if v, ok := parseNumber(one.value); ok {
			e.Value = &pb.MetadataEntry_Number{Number: v}
		} else if one.value[0] == '"' {
			e.Value = &pb.MetadataEntry_Text{Text: unquote(one.value)}
		} else {
			return nil
		}
		entries = append(entries, e)
	}
	f.taken = true
	return entries
}

func (m *metric) quantity(o *object) ([]*pb.Sample, error) {
	s, err := m.begin(o)
	if err != nil {
		return nil, err
	}
	if err := m.value(o, s); err != nil {
		return nil, err
	}
	return []*pb.Sample{s}, nil
}

// value takes the value of a quantity: qty, or the average of a period. Minimum and
// maximum are taken if they say nothing else.
func (m *metric) value(o *object, s *pb.Sample) error {
	v, ok := o.number("qty")
	if !ok {
		if v, ok = o.number("Avg"); !ok {
			return errNoValue
		}
		o.same("Min", v)
		o.same("Max", v)
	}
	if units := o.text("units"); units != "" {
		v, s.Unit = scaled(m.typ, v, units)
	} else {
		v, s.Unit = scaled(m.typ, v, m.units)
	}
	s.Value = &v
	return nil
}

// same takes a number if it is this one.
func (o *object) same(key string, v float64) {
	if f := o.find(key); f != nil {
		if n, ok := parseNumber(f.value); ok && n == v {
			f.taken = true
		}
	}
}

// glucose has the meal it belongs to (spec section 3.4).
func (m *metric) glucose(o *object) ([]*pb.Sample, error) {
	samples, err := m.quantity(o)
	if err == nil {
		o.enum("mealTime", "BloodGlucoseMealTime", map[string]float64{"beforemeal": 1, "aftermeal": 2}, samples[0])
	}
	return samples, err
}

// insulin has the reason of the delivery, without which there is no sample.
func (m *metric) insulin(o *object) ([]*pb.Sample, error) {
	samples, err := m.quantity(o)
	if err == nil {
		o.enum("reason", "InsulinDeliveryReason", map[string]float64{"basal": 1, "bolus": 2}, samples[0])
	}
	return samples, err
}

// enum takes a word as the number that HealthKit's metadata have for it. Other words stay.
func (o *object) enum(key, name string, numbers map[string]float64, s *pb.Sample) {
	f := o.find(key)
	if f == nil || f.value[0] != '"' {
		return
	}
	if n, ok := numbers[fold(unquote(f.value))]; ok {
		f.taken = true
		s.Metadata = append(s.Metadata, metadata(name, n))
	}
}

func (m *metric) bloodPressure(o *object) ([]*pb.Sample, error) {
	s, err := m.begin(o)
	if err != nil {
		return nil, err
	}
	for _, part := range []string{"Systolic", "Diastolic"} {
		v, ok := o.number(strings.ToLower(part))
		if !ok {
			return nil, errNoValue
		}
		v, unit := scaled(nil, v, m.units)
		s.Members = append(s.Members, &pb.Sample{Type: "bloodPressure" + part, Start: s.Start, End: s.End, Value: &v, Unit: unit})
	}
	return []*pb.Sample{s}, nil
}

// timed is a category whose quantity is how long it lasted: mindful minutes, seconds of
// washing hands.
func (m *metric) timed(o *object) ([]*pb.Sample, error) {
	s, err := m.begin(o)
	if err != nil {
		return nil, err
	}
	s.Value = new(float64)
	if s.End != nil {
		return []*pb.Sample{s}, nil // the quantity, which it says twice, stays
	}
	seconds, ok := map[string]float64{"s": 1, "sec": 1, "min": 60, "hr": 3600}[m.units]
	v, isNumber := 0.0, false
	if ok {
		v, isNumber = o.number("qty")
	}
	if !isNumber || v < 0 || v*seconds > maxTimed {
		return nil, errNoValue
	}
	if v > 0 {
		s.End = timestamp(s.Start.AsTime().Add(time.Duration(v * seconds * float64(time.Second))).Round(time.Microsecond))
	}
	return []*pb.Sample{s}, nil
}

// maxTimed is a year, in seconds.
const maxTimed = 366 * 86400

var (
	errSeveralEvents = errors.New("several events, or none, under one date")
	errStandHour     = errors.New("a number of stand hours does not say whether the person stood or was idle")
)

// sexualActivity counts the events of a day or of a moment, by protection.
func (m *metric) sexualActivity(o *object) ([]*pb.Sample, error) {
	s, err := m.begin(o)
	if err != nil {
		return nil, err
	}
	s.Value = new(float64)
	events := 0.0
	for _, key := range []string{"Unspecified", "Protection Used", "Protection Not Used"} {
		n, _ := o.number(key)
		if events += n; n != 1 || key == "Unspecified" {
			continue
		}
		s.Metadata = append(s.Metadata, metadata("SexualActivityProtectionUsed", key == "Protection Used"))
	}
	if events != 1 {
		return nil, errSeveralEvents
	}
	return []*pb.Sample{s}, nil
}

func (m *metric) standHour(*object) ([]*pb.Sample, error) { return nil, errStandHour }
