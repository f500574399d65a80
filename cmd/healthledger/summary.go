package main

import (
	"fmt"
	"strings"
	"time"

	pb "healthledger/proto/healthledger/v1"
)

// summary says in a few words what a sample is: its value, or what stands out of its
// object ("running 32 min 5.1 km"). The whole object is what --json prints.
func summary(s *pb.Sample) string {
	switch {
	case s.GetLabel() != "":
		return s.GetLabel()
	case s.GetQuantitySeries().GetCount() > 0:
		return fmt.Sprintf("%s (%d entries)", number(s.GetValue()), s.GetQuantitySeries().GetCount())
	case s.Value != nil:
		return number(s.GetValue())
	case s.Object == nil:
		return membersSummary(s.GetMembers())
	}
	return words(objectWords(s)...)
}

// objectWords are the parts of a summary; empty ones are left out.
func objectWords(s *pb.Sample) []string {
	switch o := s.Object.(type) {
	case *pb.Sample_Workout:
		return workoutWords(s, o.Workout)
	case *pb.Sample_WorkoutRoute:
		return []string{counted(o.WorkoutRoute.GetCount(), "location", "locations")}
	case *pb.Sample_HeartbeatSeries:
		return []string{counted(o.HeartbeatSeries.GetCount(), "heartbeat", "heartbeats")}
	case *pb.Sample_Electrocardiogram:
		e := o.Electrocardiogram
		return []string{e.GetClassification(), amount(e.GetAverageHeartRate()), counted(e.GetCount(), "voltage", "voltages")}
	case *pb.Sample_Audiogram:
		return []string{counted(uint64(len(o.Audiogram.GetPoints())), "frequency", "frequencies")}
	case *pb.Sample_StateOfMind:
		m := o.StateOfMind
		return []string{m.GetKind(), number(m.GetValence()), strings.Join(m.GetLabels(), ", ")}
	case *pb.Sample_ScoredAssessment:
		return []string{fmt.Sprintf("score %d", o.ScoredAssessment.GetScore()), o.ScoredAssessment.GetRisk()}
	case *pb.Sample_VisionPrescription:
		v := o.VisionPrescription
		return []string{v.GetType(), v.GetBrand(), eye("right", v.GetRightEye()), eye("left", v.GetLeftEye())}
	}
	return recordWords(s)
}

func recordWords(s *pb.Sample) []string {
	switch o := s.Object.(type) {
	case *pb.Sample_MedicationDoseEvent:
		d := o.MedicationDoseEvent
		return []string{d.GetMedication(), d.GetStatus(), dose(d.Dose, d.GetUnit())}
	case *pb.Sample_Medication:
		return []string{o.Medication.GetName(), o.Medication.GetGeneralForm()}
	case *pb.Sample_ActivitySummary:
		a := o.ActivitySummary
		return []string{a.GetDay(), amount(a.GetActiveEnergyBurned()), amount(a.GetExerciseTime()), amount(a.GetStandHours())}
	case *pb.Sample_Characteristic:
		c := o.Characteristic
		return []string{c.GetLabel(), c.GetDate(), c.GetText()}
	case *pb.Sample_ClinicalRecord:
		c := o.ClinicalRecord
		return []string{c.GetResourceType(), c.GetDisplayName(), byteSize(c.GetSize())}
	case *pb.Sample_Document:
		return []string{o.Document.GetTitle(), byteSize(o.Document.GetSize())}
	case *pb.Sample_ImportedElement:
		return []string{o.ImportedElement.GetElement().GetName(), o.ImportedElement.GetWhy()}
	}
	return nil
}

func workoutWords(s *pb.Sample, w *pb.Workout) []string {
	lasted := s.GetEnd().AsTime().Sub(s.GetStart().AsTime())
	if w.Duration != nil {
		lasted = time.Duration(w.GetDuration() * float64(time.Second))
	}
	return []string{w.GetActivity(), fmt.Sprintf("%.0f min", lasted.Minutes()), amount(w.GetTotalDistance()), amount(w.GetTotalEnergyBurned())}
}

// membersSummary is that of a correlation: its members are what it is.
func membersSummary(members []*pb.Sample) string {
	var all []string
	for _, m := range members {
		all = append(all, m.GetType()+" "+words(summary(m), m.GetUnit()))
	}
	return strings.Join(all, ", ")
}

func words(parts ...string) string {
	var all []string
	for _, part := range parts {
		if part != "" {
			all = append(all, part)
		}
	}
	return strings.Join(all, " ")
}

func amount(q *pb.Quantity) string {
	if q == nil {
		return ""
	}
	return number(q.GetValue()) + " " + q.GetUnit()
}

func dose(amount *float64, unit string) string {
	if amount == nil {
		return ""
	}
	return words(number(*amount), unit)
}

func eye(side string, l *pb.LensSpecification) string {
	if l.GetSphere() == nil {
		return ""
	}
	return side + " " + amount(l.GetSphere())
}

func counted(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
