package apple

import (
	"time"

	"github.com/google/uuid"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

const day = 24 * time.Hour

// summary reads an ActivitySummary: a day's rings in the calendar of the person.
func (r *reader) summary(n *node) (*pb.Sample, string) {
	text, _ := n.take("dateComponents")
	date, err := time.Parse(time.DateOnly, string(text))
	if err != nil {
		return nil, "a day that cannot be read"
	}
	in := func(name, unit string) *pb.Quantity {
		if v := n.number(name); v != nil {
			return &pb.Quantity{Value: *v, Unit: unit}
		}
		return nil
	}
	either := func(a, b *pb.Quantity) *pb.Quantity {
		if a != nil {
			return a
		}
		return b
	}
	const energyUnit = "activeEnergyBurnedUnit"
	a := &pb.ActivitySummary{
		Day:                    string(text),
		ActiveEnergyBurned:     r.quantityIn(n, "activeEnergyBurned", energyUnit, "kcal"),
		ActiveEnergyBurnedGoal: r.quantityIn(n, "activeEnergyBurnedGoal", energyUnit, "kcal"),
		// Up to iOS 14 it had another name.
		MoveTime:         either(in("appleMoveTime", "min"), in("appleMoveMinutes", "min")),
		MoveTimeGoal:     either(in("appleMoveTimeGoal", "min"), in("appleMoveMinutesGoal", "min")),
		ExerciseTime:     in("appleExerciseTime", "min"),
		ExerciseTimeGoal: in("appleExerciseTimeGoal", "min"),
		StandHours:       in("appleStandHours", "count"),
		StandHoursGoal:   in("appleStandHoursGoal", "count"),
	}
	return &pb.Sample{
		Type: "activitySummary", Start: health.Timestamp(date.UnixMicro()), End: health.Timestamp(date.Add(day).UnixMicro()),
		Object: &pb.Sample_ActivitySummary{ActivitySummary: a},
	}, ""
}

// me reads the facts about the person: attributes, or elements with their value as text or
// attribute. Each is an object of its own.
func (r *reader) me(n *node) (why string, err error) {
	for i := range n.fields {
		f := &n.fields[i]
		name := string(f.name)
		if why, err = r.characteristic(name, r.text(f.raw)); err != nil {
			return "", err
		}
		if f.used = why == ""; !f.used {
			r.report.keepAttribute("Me", cleanName(name))
			if err := r.saveRaw("@"+cleanName(name), []byte(r.stable(name, f.raw)), why, 0, 0); err != nil {
				return "", err
			}
		}
	}
	for _, c := range n.children {
		value, ok := c.only()
		why = "unknown element"
		if ok {
			if why, err = r.characteristic(c.name, r.text(value)); err != nil {
				return "", err
			}
		}
		if c.mapped, c.why = why == "", why; c.mapped {
			continue
		}
		if err := r.saveRaw(cleanName(c.name), r.keep(c.raw), why, 0, 0); err != nil {
			return "", err
		}
	}
	for _, text := range n.texts {
		if err := r.saveRaw("#text", r.clean(text), "text between elements", 0, 0); err != nil {
			return "", err
		}
	}
	n.mapped = true
	return "", nil
}

// only is the value of an element that has a value and nothing else.
func (n *node) only() (raw []byte, ok bool) {
	switch {
	case len(n.children) > 0:
	case len(n.fields) == 1 && len(n.texts) == 0 && string(n.fields[0].name) == "value":
		return n.fields[0].raw, true
	case len(n.fields) == 0 && len(n.texts) == 1:
		return trimBlanks(n.texts[0]), true
	}
	return nil, false
}

// characteristic saves one fact about the person.
func (r *reader) characteristic(name, value string) (why string, err error) {
	t, ok := catalog.Lookup(name)
	if !ok || t.Kind != catalog.Characteristic {
		return "unknown characteristic", nil
	}
	c := &pb.Characteristic{}
	switch {
	case t.Short() == "dateOfBirth":
		c.Value = &pb.Characteristic_Date{Date: value}
	case len(t.Values) > 0:
		c.Value = &pb.Characteristic_Label{Label: value}
		if word, ok := t.Word(value); ok {
			c.Value = &pb.Characteristic_Label{Label: word}
		}
	default:
		c.Value = &pb.Characteristic_Text{Text: value}
	}
	epoch := health.Timestamp(0)
	return r.add(&pb.Sample{Type: t.Identifier, Start: epoch, End: epoch, Object: &pb.Sample_Characteristic{Characteristic: c}})
}

// exportDate notes when the export was made, which is about the export and not the person.
func (r *reader) exportDate(n *node) (why string, err error) {
	var ok bool
	if r.exported, ok = n.date("value"); !ok || !n.done() {
		return "more than a date", nil
	}
	r.report.pass("ExportDate", aboutExport)
	n.mapped = true
	return "", nil
}

// audiogram reads the hearing thresholds of both ears.
func (r *reader) audiogram(n *node) (*pb.Sample, string) {
	s, why := r.sample(n, "audiogram", nil)
	if why != "" {
		return nil, why
	}
	n.typeOf("Audiogram")
	a := &pb.Audiogram{}
	s.Object = &pb.Sample_Audiogram{Audiogram: a}
	for _, c := range n.children {
		if c.name != "SensitivityPoint" {
			continue
		}
		frequency := r.quantityIn(c, "frequencyValue", "frequencyUnit", "Hz")
		if frequency == nil {
			continue
		}
		p := &pb.SensitivityPoint{Frequency: frequency}
		for _, ear := range []string{"left", "right"} {
			if test := r.ear(c, ear); test != nil {
				p.Tests = append(p.Tests, test)
			}
		}
		if len(p.Tests) == 0 {
			continue
		}
		p.Kept = r.leftovers(c)
		c.mapped = true
		a.Points = append(a.Points, p)
	}
	return s, ""
}

// typeOf uses the type attribute of an element that has no other type, however it is
// spelled: "Audiogram" for HKDataTypeIdentifierAudiogram and HKAudiogramTypeIdentifier.
func (n *node) typeOf(names ...string) {
	for _, name := range append(names, "HKDataTypeIdentifier"+names[0], "HK"+names[0]+"TypeIdentifier", "HK"+names[0]+"SampleType") {
		if string(n.peek("type")) == name {
			n.take("type")
		}
	}
}

// ear reads the threshold of one ear; nil where there is none.
func (r *reader) ear(n *node, side string) *pb.SensitivityTest {
	at := side + "Ear"
	sensitivity := r.quantityIn(n, at+"Value", at+"Unit", "dBHL")
	if sensitivity == nil {
		return nil
	}
	test := &pb.SensitivityTest{Side: side, Sensitivity: sensitivity}
	if f := n.field(at + "Masked"); f != nil {
		switch string(f.raw) {
		case "YES", "true", "1":
			test.Masked, f.used = new(true), true
		case "NO", "false", "0":
			test.Masked, f.used = new(false), true
		}
	}
	bound := func(name string) *pb.Quantity {
		if v := n.number(at + "ClampingRange" + name); v != nil {
			return &pb.Quantity{Value: *v, Unit: sensitivity.Unit}
		}
		return nil
	}
	test.ClampingLower, test.ClampingUpper = bound("LowerBound"), bound("UpperBound")
	return test
}

// prescription reads glasses or contact lenses, with the files that belong to them.
func (r *reader) prescription(n *node) (s *pb.Sample, why string, err error) {
	start, ok := n.date("dateIssued")
	if !ok {
		return nil, "a date of issue that cannot be read", nil
	}
	v := &pb.VisionPrescription{Type: n.word("type", catalog.Words("visionPrescription"), "")}
	s = &pb.Sample{
		Type: "visionPrescription", Start: health.Timestamp(start), End: health.Timestamp(start),
		Object: &pb.Sample_VisionPrescription{VisionPrescription: v},
	}
	if end, ok := n.date("expirationDate"); ok && end >= start {
		v.Expires, s.End = true, health.Timestamp(end)
	}
	if brand, ok := n.take("brand"); ok {
		v.Brand = r.text(brand)
	}
	if created, ok := n.date("creationDate"); ok {
		s.Created = health.Timestamp(created)
	}
	if s.Source, why = r.sourceOf(n); why != "" {
		return nil, why, nil
	}
	if s.Metadata, why = r.metadata(n); why != "" {
		return nil, why, nil
	}
	for _, c := range n.children {
		switch c.name {
		case "RightEye":
			r.lens(&v.RightEye, c)
		case "LeftEye":
			r.lens(&v.LeftEye, c)
		case "Attachment":
			if err := r.attachment(s, v, c); err != nil {
				return nil, "", err
			}
		}
	}
	return s, "", nil
}

// lens reads the specification for one eye; a second one for the same eye is kept.
func (r *reader) lens(into **pb.LensSpecification, n *node) {
	if *into != nil {
		return
	}
	*into = &pb.LensSpecification{
		Sphere: r.quantity(n, "sphere", "D"), Cylinder: r.quantity(n, "cylinder", "D"),
		Axis: r.quantity(n, "axis", "deg"), AddPower: r.quantity(n, "add", "D"),
		VertexDistance: r.quantity(n, "vertex", "mm"), PrismAmount: r.quantity(n, "prismAmount", "pD"),
		PrismAngle: r.quantity(n, "prismAngle", "deg"), FarPupillaryDistance: r.quantity(n, "farPD", "mm"),
		NearPupillaryDistance: r.quantity(n, "nearPD", "mm"), BaseCurve: r.quantity(n, "baseCurve", "mm"),
		Diameter: r.quantity(n, "diameter", "mm"),
	}
	(*into).Kept = r.leftovers(n)
	n.mapped = true
}

// canonicalUUID reads a UUID in its canonical form, in whatever case.
func canonicalUUID(raw []byte) (string, bool) {
	id, err := uuid.ParseBytes(raw)
	return id.String(), err == nil && len(raw) == len("00000000-0000-0000-0000-000000000000") && id != uuid.Nil
}
