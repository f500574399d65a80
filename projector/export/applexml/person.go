package applexml

import (
	"healthledger/projector/export"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// me writes the facts about the person. The element has room for one of each type; of
// several, which only several apps can have brought, the others are written as our own.
func (e *exporter) me(sel export.Selection) error {
	x := &element{name: "Me"}
	var others []*pb.Sample
	for _, t := range sel.All() {
		if t.Kind != catalog.Characteristic {
			continue
		}
		said := false
		for s, err := range sel.Samples(e.ctx, e.reader, t) {
			if err != nil {
				return err
			}
			e.report.Wrote(s.GetType())
			if said {
				others = append(others, s)
				continue
			}
			said = true
			x.set(t.Identifier, fact(t, s.GetCharacteristic()))
			e.leaveObject(s)
		}
	}
	if len(x.attributes) > 0 {
		if err := e.print(x, 1); err != nil {
			return err
		}
	}
	for _, s := range others {
		if err := e.ownElement(s); err != nil {
			return err
		}
	}
	return nil
}

func fact(t *catalog.Type, c *pb.Characteristic) string {
	if label := c.GetLabel(); label != "" {
		if n, ok := t.Value(label); ok {
			if raw, ok := t.RawName(n); ok {
				return raw
			}
		}
		return label
	}
	return c.GetDate() + c.GetText() // one of them
}

// summary of a day. Its units are fixed but for that of the energy.
func (e *exporter) summary(s *pb.Sample) *element {
	a := s.GetActivitySummary()
	x := &element{name: "ActivitySummary"}
	x.set("dateComponents", a.GetDay())
	unit := a.GetActiveEnergyBurned().GetUnit()
	if unit == "" {
		unit = a.GetActiveEnergyBurnedGoal().GetUnit()
	}
	e.in(x, "activeEnergyBurned", a.GetActiveEnergyBurned(), unit)
	e.in(x, "activeEnergyBurnedGoal", a.GetActiveEnergyBurnedGoal(), unit)
	x.set("activeEnergyBurnedUnit", unit)
	e.in(x, "appleMoveTime", a.GetMoveTime(), "min")
	e.in(x, "appleMoveTimeGoal", a.GetMoveTimeGoal(), "min")
	e.in(x, "appleExerciseTime", a.GetExerciseTime(), "min")
	e.in(x, "appleExerciseTimeGoal", a.GetExerciseTimeGoal(), "min")
	e.in(x, "appleStandHours", a.GetStandHours(), "count")
	e.in(x, "appleStandHoursGoal", a.GetStandHoursGoal(), "count")
	if len(s.Metadata) > 0 {
		e.report.LeftOut["metadata of a "+s.GetType()]++
	}
	e.leaveSource(s)
	e.keep(x, s.Kept)
	return x
}

// clinical refers to the file of a FHIR resource.
func (e *exporter) clinical(t *catalog.Type, s *pb.Sample) *element {
	c := s.GetClinicalRecord()
	x := &element{name: "ClinicalRecord"}
	x.set("type", t.Identifier)
	x.set("identifier", c.GetIdentifier())
	e.source(x, s.Source)
	x.set("sourceURL", c.GetSourceUrl())
	x.set("fhirVersion", c.GetFhirVersion())
	received := c.GetReceived()
	if received == nil {
		received = s.Start
	}
	x.set("receivedDate", e.date(received.AsTime()))
	e.whole(received)
	if micros(s.Start) != micros(received) || micros(s.End) != micros(received) || s.Created != nil {
		e.report.Changed["dates of a clinical record beside that of its receipt"]++
	}
	x.set("displayName", c.GetDisplayName())
	switch {
	case e.files != nil && s.GetPayloadToken() != "":
		path := "clinical-records/" + c.GetResourceType() + "-" + s.GetUuid() + ".json"
		x.set("resourceFilePath", "/"+path)
		e.bytesFile(path, s)
	default:
		e.report.LeftOut["resource of a "+s.GetType()]++
	}
	e.metadata(x, s.Metadata)
	e.keep(x, s.Kept)
	return x
}
