package applexml

import (
	"strconv"
	"strings"
	"time"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// record is a quantity, a category or a goal.
func (e *exporter) record(t *catalog.Type, s *pb.Sample) *element {
	x := &element{name: "Record"}
	x.set("type", t.Identifier)
	e.source(x, s.Source)
	x.set("unit", s.Unit)
	e.dates(x, s)
	value := number(s.GetValue())
	if t.Kind == catalog.Category {
		if raw, ok := t.RawName(int(s.GetValue())); ok {
			value = raw
		}
	}
	x.set("value", value)
	e.metadata(x, s.Metadata)
	e.beats(x, s)
	if s.GetPayloadToken() != "" {
		e.report.LeftOut["entries of a "+s.GetType()+" that stands for several"]++
	} else if s.GetQuantitySeries() != nil {
		e.report.Changed["quantity that could stand for several"]++
	}
	e.keep(x, s.Kept)
	return x
}

// beatsKey is the metadata under which an import keeps the readings behind a heart rate
// variability: beats per minute and seconds since the start, "66 1.08; 71 1.94".
const beatsKey = "HeartRateVariabilityMetadataList"

// beats gives the readings back as elements, where they can be told exactly.
func (e *exporter) beats(x *element, s *pb.Sample) {
	for _, entry := range s.Metadata {
		if entry.GetKey() != beatsKey {
			continue
		}
		list, ok := e.beatList(entry.GetText(), micros(s.Start)/1e6*1e6, micros(s.End)/1e6*1e6)
		if !ok {
			list = entryElement(beatsKey, entry.GetText())
		}
		x.add(list)
	}
}

func (e *exporter) beatList(text string, start, end int64) (*element, bool) {
	list := &element{name: beatsKey}
	for reading := range strings.SplitSeq(text, "; ") {
		bpm, seconds, ok := strings.Cut(reading, " ")
		at, err := strconv.ParseFloat(seconds, 64)
		after := int64(at*1e6 + 0.5)
		// An import takes clock text within the sample, give or take some minutes.
		if !ok || err != nil || after < 0 || after > end-start+60e6 || after > 11*3600e6 || strconv.FormatFloat(float64(after)/1e6, 'f', -1, 64) != seconds {
			return nil, false
		}
		clock := time.UnixMicro(start + after).In(e.opts.Zone)
		list.add(&element{name: "InstantaneousBeatsPerMinute", attributes: []attribute{
			{"bpm", bpm}, {"time", clock.Format("3:04:05.000000 PM")},
		}})
	}
	return list, true
}

// correlation has its members in it. They stand among the records too, as in the export
// of a phone; an import takes both for the same.
func (e *exporter) correlation(t *catalog.Type, s *pb.Sample) *element {
	x := &element{name: "Correlation"}
	x.set("type", t.Identifier)
	e.source(x, s.Source)
	e.dates(x, s)
	e.metadata(x, s.Metadata)
	e.members(x, s)
	e.keep(x, s.Kept)
	return x
}

// members adds the members of an object as records.
func (e *exporter) members(x *element, s *pb.Sample) {
	for _, m := range s.Members {
		if t, ok := catalog.Lookup(m.GetType()); ok && t.Kind.HasNumber() {
			x.add(e.record(t, m))
		}
	}
}

// audiogram has a point for each frequency, with the threshold of each ear.
func (e *exporter) audiogram(s *pb.Sample) *element {
	x := &element{name: "Audiogram"}
	x.set("type", "HKDataTypeIdentifierAudiogram")
	e.source(x, s.Source)
	e.dates(x, s)
	e.metadata(x, s.Metadata)
	for _, p := range s.GetAudiogram().GetPoints() {
		point := &element{name: "SensitivityPoint"}
		point.set("frequencyValue", number(p.GetFrequency().GetValue()))
		point.set("frequencyUnit", p.GetFrequency().GetUnit())
		said := map[string]bool{}
		for _, test := range p.Tests {
			if said[test.Side] {
				e.report.LeftOut["second threshold of an ear at a frequency"]++
				continue
			}
			said[test.Side] = true
			ear(point, test)
		}
		e.keep(point, p.Kept)
		x.add(point)
	}
	e.keep(x, s.Kept)
	return x
}

func ear(point *element, test *pb.SensitivityTest) {
	side := test.Side + "Ear"
	point.set(side+"Value", number(test.Sensitivity.GetValue()))
	point.set(side+"Unit", test.Sensitivity.GetUnit())
	if test.Masked != nil {
		point.set(side+"Masked", map[bool]string{true: "true", false: "false"}[*test.Masked])
	}
	if q := test.ClampingLower; q != nil {
		point.set(side+"ClampingRangeLowerBound", number(q.Value))
	}
	if q := test.ClampingUpper; q != nil {
		point.set(side+"ClampingRangeUpperBound", number(q.Value))
	}
}

// prescription has no source in the exports of a phone; others skip what they do not know.
func (e *exporter) prescription(s *pb.Sample) *element {
	v := s.GetVisionPrescription()
	x := &element{name: "VisionPrescription"}
	x.set("type", rawWord("visionPrescription", v.Type))
	x.set("dateIssued", e.date(s.Start.AsTime()))
	if v.Expires {
		x.set("expirationDate", e.date(s.End.AsTime()))
	} else if micros(s.End) != micros(s.Start) {
		e.report.Changed["end of a prescription that does not expire"]++
	}
	if s.Created != nil {
		x.set("creationDate", e.date(s.Created.AsTime()))
	}
	e.whole(s.Start, s.End, s.Created)
	x.set("brand", v.Brand)
	e.source(x, s.Source)
	e.lens(x, "RightEye", v.RightEye)
	e.lens(x, "LeftEye", v.LeftEye)
	for _, a := range v.Attachments {
		x.add(&element{name: "Attachment", attributes: []attribute{{"identifier", a.Identifier}}})
	}
	e.attachments(s)
	e.metadata(x, s.Metadata)
	e.keep(x, s.Kept)
	return x
}

func (e *exporter) lens(x *element, name string, l *pb.LensSpecification) {
	if l == nil {
		return
	}
	eye := &element{name: name}
	for _, f := range []struct {
		name string
		q    *pb.Quantity
	}{
		{"sphere", l.Sphere}, {"cylinder", l.Cylinder}, {"axis", l.Axis}, {"add", l.AddPower}, {"vertex", l.VertexDistance},
		{"prismAmount", l.PrismAmount}, {"prismAngle", l.PrismAngle}, {"farPD", l.FarPupillaryDistance},
		{"nearPD", l.NearPupillaryDistance}, {"baseCurve", l.BaseCurve}, {"diameter", l.Diameter},
	} {
		eye.quantity(f.name, f.q)
	}
	e.keep(eye, l.Kept)
	x.add(eye)
}

// leaveSource counts what an element without a source leaves out.
func (e *exporter) leaveSource(s *pb.Sample) {
	if s.Created != nil {
		e.report.LeftOut["creation date of a "+s.GetType()]++
	}
	source := s.GetSource()
	if source.GetName() != "" || source.GetVersion() != "" || source.GetDevice() != nil {
		e.report.LeftOut["source of a "+s.GetType()]++
	}
	e.countSource(source)
}

// leaveObject counts what a file says nothing of.
func (e *exporter) leaveObject(s *pb.Sample) {
	e.leaveSource(s)
	if len(s.Metadata) > 0 {
		e.report.LeftOut["metadata of a "+s.GetType()]++
	}
	if len(s.Kept) > 0 {
		e.report.LeftOut["pieces kept of a "+s.GetType()]++
	}
}

// rawWord is a word of a vocabulary as HealthKit exports it.
func rawWord(vocabulary, word string) string {
	v := catalog.Words(vocabulary)
	if n, ok := v.Value(word); ok {
		if raw, ok := v.RawName(n); ok {
			return raw
		}
	}
	return word
}
