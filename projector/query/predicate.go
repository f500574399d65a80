package query

import (
	"fmt"
	"strconv"

	"healthledger/projector/view"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// What a predicate may have: how deep it nests, and how many predicates and values it has
// in all.
const (
	maxPredicateDepth  = 16
	maxPredicates      = 256
	maxPredicateValues = 10_000
)

// predicate is a well-formed predicate. It decides by what the reader sees of a sample,
// and there are two answers only: a condition on what a sample does not have is not
// fulfilled, so that its negation is. What the reader may not see does not exist.
type predicate struct{ root test }

// test is a condition on a sample.
type test interface {
	holds(f *filter, source *view.Source, s *view.Sample) (bool, error)
}

// parsePredicate checks a predicate of a query of these types; nil stays nil. It refuses
// what none of the types can fulfil. Errors: *ArgumentError with the path of the field.
func parsePredicate(p *pb.Predicate, types []*catalog.Type) (*predicate, error) {
	if p == nil {
		return nil, nil
	}
	root, err := (&predicateParser{types: types}).parse(p, "predicate", 1)
	if err != nil {
		return nil, err
	}
	return &predicate{root}, nil
}

// bind makes the predicate answer for what the writer's reader sees in its snapshot. It
// reads nothing yet. Of a nil predicate comes a nil filter, which everything fits.
func (p *predicate) bind(w *writer, patience *patience) *filter {
	if p == nil {
		return nil
	}
	return &filter{
		root: p.root, writer: w, patience: patience,
		origins: map[originKey]bool{}, members: map[memberTest]map[view.Locator]struct{}{},
	}
}

// uuids returns what the UUIDs of all that fits are among; nil: any.
func (p *predicate) uuids() uuidTest {
	if p == nil {
		return nil
	}
	return uuidsOf(p.root)
}

func uuidsOf(t test) uuidTest {
	switch t := t.(type) {
	case uuidTest:
		return t
	case allOf:
		for _, part := range t {
			if ids := uuidsOf(part); ids != nil {
				return ids
			}
		}
	}
	return nil
}

// filter is a predicate for one reader and one snapshot. It remembers what it has looked
// up, and is not for concurrent use.
type filter struct {
	root     test
	writer   *writer
	patience *patience
	origins  map[originKey]bool
	members  map[memberTest]map[view.Locator]struct{}
}

// matches says whether a sample that the reader may see fits.
func (f *filter) matches(source *view.Source, s *view.Sample) (bool, error) {
	if f == nil {
		return true, nil
	}
	return f.root.holds(f, source, s)
}

type allOf []test

func (t allOf) holds(f *filter, source *view.Source, s *view.Sample) (bool, error) {
	for _, part := range t {
		if ok, err := part.holds(f, source, s); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

type anyOf []test

func (t anyOf) holds(f *filter, source *view.Source, s *view.Sample) (bool, error) {
	for _, part := range t {
		if ok, err := part.holds(f, source, s); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

type not struct{ test test }

func (t not) holds(f *filter, source *view.Source, s *view.Sample) (bool, error) {
	ok, err := t.test.holds(f, source, s)
	return !ok, err
}

// predicateParser counts what it has read.
type predicateParser struct {
	types              []*catalog.Type
	predicates, values int
}

func (pp *predicateParser) parse(p *pb.Predicate, path string, depth int) (test, error) {
	if pp.predicates++; pp.predicates > maxPredicates {
		return nil, refuse(path, "", fmt.Sprintf("there are more than %d predicates", maxPredicates))
	}
	if depth > maxPredicateDepth {
		return nil, refuse(path, "", fmt.Sprintf("it is nested more than %d deep", maxPredicateDepth))
	}
	switch k := p.GetKind().(type) {
	case *pb.Predicate_AllOf:
		tests, err := pp.list(k.AllOf, path+".all_of", depth)
		return allOf(tests), err
	case *pb.Predicate_AnyOf:
		tests, err := pp.list(k.AnyOf, path+".any_of", depth)
		return anyOf(tests), err
	case *pb.Predicate_Not:
		inner, err := pp.parse(k.Not, path+".not", depth+1)
		return not{inner}, err
	case *pb.Predicate_Period:
		return parsePeriodTest(k.Period, path+".period")
	case *pb.Predicate_Uuid:
		return pp.uuid(k.Uuid, path+".uuid.uuids")
	case *pb.Predicate_Source:
		return pp.source(k.Source, path+".source.sources")
	case *pb.Predicate_Device:
		return pp.device(k.Device, path+".device.devices")
	case *pb.Predicate_Metadata:
		return pp.metadata(k.Metadata, path+".metadata")
	case *pb.Predicate_Workout:
		return parseWorkoutTest(k.Workout, path+".workout")
	case *pb.Predicate_Correlation:
		return parseCorrelationTest(k.Correlation, path+".correlation.uuid")
	case *pb.Predicate_Quantity:
		return pp.quantity(k.Quantity, path+".quantity")
	case *pb.Predicate_Category:
		return pp.category(k.Category, path+".category.values")
	case *pb.Predicate_Activity:
		return pp.name(k.Activity, path+".activity.names", "workout", "workoutActivity")
	case *pb.Predicate_Classification:
		return pp.name(k.Classification, path+".classification.names", "electrocardiogram", "ecgClassification")
	}
	return nil, refuse(path, "", "it says nothing")
}

func (pp *predicateParser) list(l *pb.PredicateList, path string, depth int) ([]test, error) {
	if len(l.GetPredicates()) == 0 {
		return nil, refuse(path, "", whyEmpty)
	}
	tests := make([]test, 0, min(len(l.Predicates), maxPredicates))
	for i, p := range l.Predicates {
		t, err := pp.parse(p, at(path, i), depth+1)
		if err != nil {
			return nil, err
		}
		tests = append(tests, t)
	}
	return tests, nil
}

const whyEmpty = "it is empty"

// count checks how many values there are, of one list and in all.
func (pp *predicateParser) count(n int, path string) error {
	if n == 0 {
		return refuse(path, "", whyEmpty)
	}
	if pp.values += n; pp.values > maxPredicateValues {
		return refuse(path, "", fmt.Sprintf("there are more than %d values", maxPredicateValues))
	}
	return nil
}

// some says whether one of the types of the query is such.
func (pp *predicateParser) some(is func(*catalog.Type) bool) bool {
	for _, t := range pp.types {
		if is(t) {
			return true
		}
	}
	return false
}

func at(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
