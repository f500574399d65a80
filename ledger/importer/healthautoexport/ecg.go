package healthautoexport

import (
	"errors"
	"math"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/unit"
)

var (
	errVoltage   = errors.New("voltages that cannot be read")
	errUneven    = errors.New("voltages that are not as far apart as the sampling frequency says")
	errNoSpacing = errors.New("no sampling frequency")
)

// classifications are the app's folded names beside those of the vocabulary.
var classifications = map[string]string{
	"inconclusivepoorrecording": "inconclusivePoorReading", "inconclusive": "inconclusiveOther",
	"highheartrate": "inconclusiveHighHeartRate", "lowheartrate": "inconclusiveLowHeartRate",
}

func ecg(_ *parser, o *object) ([]*pb.Sample, error) {
	start, end, ok := o.span("start", "end")
	if !ok {
		return nil, errNoDate
	}
	t, _ := catalog.Lookup("electrocardiogram")
	s := sampleOf(t, start, end, o)
	e := &pb.Electrocardiogram{}
	s.Object = &pb.Sample_Electrocardiogram{Electrocardiogram: e}
	if e.SamplingFrequency, ok = o.number("samplingFrequency"); !ok || e.SamplingFrequency <= 0 {
		return nil, errNoSpacing
	}
	name := o.text("classification")
	if e.Classification, ok = word(catalog.Words("ecgClassification"), name); !ok {
		if e.Classification, ok = classifications[fold(name)]; !ok {
			return nil, errUnknownValue
		}
	}
	if rate, ok := o.number("averageHeartRate"); ok {
		e.AverageHeartRate = &pb.Quantity{Value: rate, Unit: "count/min"}
	}
	if f := o.find("voltageMeasurements"); f != nil && f.value[0] == '[' {
		var err error
		if s.Payload, err = voltages(f.value, e.SamplingFrequency, s); err != nil {
			return nil, err
		}
		f.taken = true
	}
	n := 0
	for _, chunk := range s.Payload {
		n += len(chunk.Microvolts)
	}
	o.same("numberOfVoltageMeasurements", float64(n))
	return []*pb.Sample{s}, nil
}

// chunkVoltages is how many voltages a chunk has.
const chunkVoltages = 16_384

// voltages reads measurements, which must come at the sampling frequency. The date of the first
// one stays with the sample: the app cuts the start to whole seconds.
func voltages(raw []byte, frequency float64, s *pb.Sample) (chunks []*pb.Chunk, err error) {
	var first, n float64
	dated := false
	ok := elements(raw, func(element []byte) bool {
		v, at, hasDate, bad := voltage(element)
		if bad != nil {
			err = bad
			return false
		}
		if n == 0 {
			first, dated = at, hasDate
		}
		if dated != hasDate || dated && math.Abs(at-first-n/frequency) > 0.5/frequency {
			err = errUneven
			return false
		}
		n++
		if last := len(chunks) - 1; last < 0 || len(chunks[last].Microvolts) == chunkVoltages {
			chunks = append(chunks, &pb.Chunk{})
		}
		last := chunks[len(chunks)-1]
		last.Microvolts = append(last.Microvolts, v)
		return true
	})
	if !ok {
		err = errVoltage
	}
	if date := firstDate(raw); err == nil && date != "" {
		s.Kept = append(s.Kept, &pb.Kept{Format: Format, Name: "voltageMeasurements[0].date", Value: date})
	}
	return chunks, err
}

// voltage reads {"date": 1476833353.99, "voltage": 23.1, "units": "mcV"} in microvolts. A date
// in whole seconds says nothing about the spacing.
func voltage(raw []byte) (v, at float64, dated bool, err error) {
	o, ok := newObject(raw)
	if !ok {
		return 0, 0, false, errVoltage
	}
	v, ok = o.number("voltage")
	_, text := scaled(nil, 0, o.text("units"))
	if !ok || text == "" {
		return 0, 0, false, errVoltage
	}
	if at, dated = o.number("date"); !dated {
		o.text("date")
	}
	given, err := unit.Parse(text)
	if err != nil || !o.whole() {
		return 0, 0, false, errVoltage
	}
	if v, err = unit.Convert(v, given, microvolt); err != nil {
		return 0, 0, false, errVoltage
	}
	return v, at, dated, nil
}

var microvolt = func() unit.Unit {
	u, err := unit.Parse("mcV")
	if err != nil {
		panic(err) // a fault of the build, not of a caller
	}
	return u
}()

func firstDate(raw []byte) (date string) {
	elements(raw, func(element []byte) bool {
		if o, ok := newObject(element); ok {
			if f := o.find("date"); f != nil {
				date = string(f.value)
			}
		}
		return false
	})
	return date
}
