package health

import (
	"math"
	"strconv"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/unit"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// subject is a sample whose body is checked: the body has to agree with type and times.
//
// What HealthKit enforces when an app makes an object is asked of apps. An importer
// brings what is there already, made by other rules and rounded to seconds by an export;
// of it is asked only that it can be read: words that are words, units that fit, times
// that are times.
type subject struct {
	typ        *catalog.Type
	policy     Policy
	start, end int64
}

const whyLedger = "set by the ledger, it must be empty"

// kind checks the object of a body by its kind, and brings its words into their usual
// form (spec section 3.2).
func (s subject) kind(b *pb.Sample) *FieldError {
	switch o := b.Object.(type) {
	case *pb.Sample_Workout:
		return s.workout(o.Workout)
	case *pb.Sample_WorkoutRoute:
		return byLedger("count", o.WorkoutRoute.Count)
	case *pb.Sample_HeartbeatSeries:
		return byLedger("count", o.HeartbeatSeries.Count)
	case *pb.Sample_QuantitySeries:
		return byLedger("count", o.QuantitySeries.Count)
	case *pb.Sample_Electrocardiogram:
		return normalElectrocardiogram(o.Electrocardiogram)
	case *pb.Sample_Audiogram:
		return s.audiogram(o.Audiogram)
	case *pb.Sample_StateOfMind:
		return normalStateOfMind(o.StateOfMind)
	case *pb.Sample_ScoredAssessment:
		return s.assessment(o.ScoredAssessment)
	case *pb.Sample_VisionPrescription:
		return s.prescription(b, o.VisionPrescription)
	case *pb.Sample_Medication:
		return checkMedication(o.Medication)
	case *pb.Sample_MedicationDoseEvent:
		return normalDose(o.MedicationDoseEvent)
	case *pb.Sample_ActivitySummary:
		return checkSummary(o.ActivitySummary)
	case *pb.Sample_Characteristic:
		return s.characteristic(o.Characteristic)
	case *pb.Sample_ClinicalRecord:
		return checkClinical(o.ClinicalRecord)
	case *pb.Sample_Document:
		return checkDocument(o.Document)
	case *pb.Sample_ImportedElement:
		return s.imported(o.ImportedElement)
	}
	return nil
}

// in puts the name of the whole before the name of the field that was refused.
func in(whole string, err *FieldError) *FieldError {
	switch {
	case err == nil:
	case err.Field == "":
		err.Field = whole
	default:
		err.Field = whole + "." + err.Field
	}
	return err
}

// each checks the elements of a list.
func each[T any](name string, list []T, check func(T) *FieldError) *FieldError {
	for i, e := range list {
		if err := check(e); err != nil {
			return in(name+"["+strconv.Itoa(i)+"]", err)
		}
	}
	return nil
}

// word replaces a word of a vocabulary by its usual form. Empty: it was not given.
func word(field, vocabulary string, text *string) *FieldError {
	if *text == "" {
		return nil
	}
	usual, ok := catalog.Words(vocabulary).Word(*text)
	if !ok {
		return refuse(field, *text, "no such word of "+vocabulary)
	}
	*text = usual
	return nil
}

// needWord is word for a field that cannot do without one.
func needWord(field, vocabulary string, text *string) *FieldError {
	if *text == "" {
		return refuse(field, "", "missing; one of the words of "+vocabulary)
	}
	return word(field, vocabulary, text)
}

// words is needWord for a list without repetitions.
func words(field, vocabulary string, list []string) *FieldError {
	seen := map[string]bool{}
	for i := range list {
		at := field + "[" + strconv.Itoa(i) + "]"
		if err := needWord(at, vocabulary, &list[i]); err != nil {
			return err
		}
		if seen[list[i]] {
			return refuse(at, list[i], "it is there twice")
		}
		seen[list[i]] = true
	}
	return nil
}

// needText checks a text that cannot be empty.
func needText(field, text string) *FieldError {
	if text == "" {
		return refuse(field, "", "missing")
	}
	return checkText(field, text)
}

// amount checks a quantity, if there is one, whose unit is compatible with another.
func amount(field string, q *pb.Quantity, like string) *FieldError {
	if q == nil {
		return nil
	}
	if !finite(q.Value) {
		return refuse(field+".value", decimal(q.Value), "not a finite number")
	}
	return compatible(field+".unit", q.Unit, like)
}

func compatible(field, text, like string) *FieldError {
	if text == "" {
		return refuse(field, "", "missing; a unit compatible with "+like)
	}
	given, err := unit.Parse(text)
	if err != nil {
		return refuse(field, text, err.Error())
	}
	if canonical, err := unit.Parse(like); err != nil || !given.Compatible(canonical) {
		return refuse(field, text, "not compatible with "+like)
	}
	return nil
}

// notNegative checks a length of time or the like, if there is one.
func notNegative(field string, v *float64) *FieldError {
	if v != nil && !(finite(*v) && *v >= 0) {
		return refuse(field, decimal(*v), "not a number from 0 up")
	}
	return nil
}

func finiteOrNone(field string, v *float64) *FieldError {
	if v != nil && !finite(*v) {
		return refuse(field, decimal(*v), "not a finite number")
	}
	return nil
}

// moment checks a time, if there is one.
func moment(field string, ts *timestamppb.Timestamp) *FieldError {
	if ts == nil {
		return nil
	}
	_, err := parseTimestamp(field, ts)
	return err
}

// times checks the dates of objects that have none of their own, and stand at the epoch,
// and of a day's summary, which spans its day in UTC. The object was checked.
func (s subject) times(b *pb.Sample) *FieldError {
	start, end, why := int64(0), int64(0), "a "+s.typ.Short()+" has no dates: start and end are 1970-01-01T00:00:00Z"
	switch s.typ.Kind {
	case catalog.Characteristic, catalog.UserAnnotated:
	case catalog.Summary:
		day, err := calendarDay("", b.GetActivitySummary().GetDay())
		if err != nil {
			return err
		}
		start, end, why = day.UnixMicro(), day.AddDate(0, 0, 1).UnixMicro(), "not the day, from 00:00 UTC to 00:00 UTC"
	default:
		return nil
	}
	switch {
	case s.start != start:
		return refuse("start", show(s.start), why)
	case s.end != end:
		return refuse("end", show(s.end), why)
	}
	return nil
}

// within says whether a period lies inside that of the sample.
func (s subject) within(start, end int64) bool { return start >= s.start && end <= s.end }

func byLedger(field string, n uint64) *FieldError {
	if n != 0 {
		return refuse(field, strconv.FormatUint(n, 10), whyLedger)
	}
	return nil
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
