package healthautoexport

import (
	"errors"
	"slices"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"

	"github.com/google/uuid"
)

// sections are the arrays of a document and how their elements are read. Metrics are read
// point by point.
var sections = map[string]mapper{
	"metrics": nil, "workouts": workout, "symptoms": symptom, "cycleTracking": cycle, "ecg": ecg,
	"stateOfMind": stateOfMind, "medications": medication, "heartRateNotifications": notification,
}

// IsSection says whether a document's data has an array of this name.
func IsSection(name string) bool {
	_, ok := sections[name]
	return ok
}

var (
	errUnknownName  = errors.New("a name that is not known, or in the language of the phone")
	errUnknownValue = errors.New("a value that is not known, or in the language of the phone")
)

var categoryTypes = func() map[string]*catalog.Type {
	types := typesByName(catalog.Category)
	for name, short := range map[string]string{
		"bodyandmuscleache": "generalizedBodyAche", "congestion": "sinusCongestion", "spotting": "intermenstrualBleeding",
		"pregnancytest": "pregnancyTestResult", "ovulationtest": "ovulationTestResult", "progesteronetest": "progesteroneTestResult",
		"contraceptives": "contraceptive", "rapidpoundingorflutteringheartbeat": "rapidPoundingOrFlutteringHeartbeat",
		"chesttightnessandpain": "chestTightnessOrPain", "cervicalmucus": "cervicalMucusQuality",
		"irregularperiods": "irregularMenstrualCycles", "infrequentperiods": "infrequentMenstrualCycles",
		"prolongedperiods": "prolongedMenstrualPeriods", "persistentspotting": "persistentIntermenstrualBleeding",
	} {
		types[name], _ = catalog.Lookup(short)
	}
	return types
}()

// category begins a sample of the category type that a field names.
func (o *object) category(key string) (*pb.Sample, *catalog.Type, error) {
	start, end, ok := o.span("start", "end")
	if !ok {
		return nil, nil, errNoDate
	}
	t := categoryTypes[fold(o.text(key))]
	if t == nil {
		return nil, nil, errUnknownName
	}
	return sampleOf(t, start, end, o), t, nil
}

// label takes the value of a category. "Present" is how the Health app shows a symptom of
// no stated severity.
func (o *object) label(key string, t *catalog.Type, s *pb.Sample) error {
	text := o.text(key)
	if fold(text) == "present" {
		if _, severity := t.Value("unspecified"); severity {
			text = "unspecified"
		}
	}
	label, ok := word(&t.Vocabulary, text)
	if !ok {
		return errUnknownValue
	}
	s.Label = label
	return nil
}

func symptom(_ *parser, o *object) ([]*pb.Sample, error) {
	s, t, err := o.category("name")
	if err != nil {
		return nil, err
	}
	if err := o.label("severity", t, s); err != nil {
		return nil, err
	}
	if entered, ok := o.truth("userEntered"); ok {
		s.Metadata = append(s.Metadata, metadata("WasUserEntered", entered))
	}
	return []*pb.Sample{s}, nil
}

// cycle reads cycle tracking. Types without values of their own may have any word for one.
func cycle(_ *parser, o *object) ([]*pb.Sample, error) {
	s, t, err := o.category("name")
	if err != nil {
		return nil, err
	}
	switch {
	case t.Short() == "sexualActivity":
		s.Value = new(float64)
		if word := fold(o.text("value")); word == "protectionused" || word == "protectionnotused" {
			s.Metadata = append(s.Metadata, metadata("SexualActivityProtectionUsed", word == "protectionused"))
		} else if word != "unspecified" {
			return nil, errUnknownValue
		}
	case len(t.Values) == 1:
		s.Value = new(float64)
		*s.Value = float64(t.Values[0].Number)
		if f := o.find("value"); f != nil && f.value[0] == '"' && fold(unquote(f.value)) == "notapplicable" {
			f.taken = true
		}
	default:
		if err := o.label("value", t, s); err != nil {
			return nil, err
		}
	}
	if slices.Contains(t.Requires, "MenstrualCycleStart") {
		first, _ := o.truth("isCycleStart") // it is there only when true
		s.Metadata = append(s.Metadata, metadata("MenstrualCycleStart", first))
	}
	return []*pb.Sample{s}, nil
}

// notifications are the app's folded names of notifications about the heart.
var notifications = map[string]string{
	"highheartratenotification": "highHeartRateEvent", "lowheartratenotification": "lowHeartRateEvent",
	"irregularrhythmnotification": "irregularHeartRhythmEvent", "irregularheartratenotification": "irregularHeartRhythmEvent",
	"irregularheartrhythmnotification": "irregularHeartRhythmEvent",
}

// notification reads an event. The heart rates around it stay with it, as they came: they
// are samples of their own in HealthKit, and among the metrics here.
func notification(_ *parser, o *object) ([]*pb.Sample, error) {
	start, end, ok := o.span("start", "end")
	if !ok {
		return nil, errNoDate
	}
	t, ok := catalog.Lookup(notifications[fold(o.text("heartNotification"))])
	if !ok {
		return nil, errUnknownName
	}
	s := sampleOf(t, start, end, o)
	s.Value = new(float64)
	if threshold, ok := o.number("threshold"); ok {
		s.Metadata = append(s.Metadata, metadata("HeartRateEventThreshold", &pb.Quantity{Value: threshold, Unit: "count/min"}))
	}
	return []*pb.Sample{s}, nil
}

// id takes the UUID of an object.
func (o *object) id(s *pb.Sample) {
	f := o.find("id")
	if f == nil || f.value[0] != '"' {
		return
	}
	if text := unquote(f.value); len(text) == 36 {
		if id, err := uuid.Parse(text); err == nil && id != uuid.Nil {
			f.taken = true
			s.Uuid = id.String()
		}
	}
}

func stateOfMind(_ *parser, o *object) ([]*pb.Sample, error) {
	start, end, ok := o.span("start", "end")
	if !ok {
		return nil, errNoDate
	}
	t, _ := catalog.Lookup("stateOfMind")
	s := sampleOf(t, start, end, o)
	o.id(s)
	state := &pb.StateOfMind{}
	if state.Valence, ok = o.number("valence"); !ok {
		return nil, errNoValue
	}
	if state.Kind, ok = word(catalog.Words("stateOfMindKind"), o.text("kind")); !ok {
		return nil, errUnknownValue
	}
	state.Labels = o.list("labels", "stateOfMindLabel")
	state.Associations = o.list("associations", "stateOfMindAssociation")
	s.Object = &pb.Sample_StateOfMind{StateOfMind: state}
	return []*pb.Sample{s}, nil
}

// list takes an array of words of a vocabulary. With a word that is unknown all stay too.
func (o *object) list(key, vocabulary string) (list []string) {
	f := o.find(key)
	if f == nil {
		return nil
	}
	known := true
	f.taken = elements(f.value, func(element []byte) bool {
		if element[0] != '"' {
			known = false
			return true
		}
		one, ok := word(catalog.Words(vocabulary), unquote(element))
		if known = known && ok; ok {
			list = append(list, one)
		}
		return true
	}) && known
	return list
}
