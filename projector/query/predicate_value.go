package query

import (
	"cmp"
	"math"
	"strconv"

	"healthledger/projector/view"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/unit"
)

// comparison is an operator on what cmp.Compare gives.
type comparison pb.Comparison

func parseComparison(c pb.Comparison, path string) (comparison, error) {
	if _, ok := pb.Comparison_name[int32(c)]; !ok || c == pb.Comparison_COMPARISON_UNSPECIFIED {
		return 0, refuse(path, strconv.Itoa(int(c)), "no such comparison")
	}
	return comparison(c), nil
}

func (c comparison) holds(compared int) bool {
	switch pb.Comparison(c) {
	case pb.Comparison_COMPARISON_EQUAL:
		return compared == 0
	case pb.Comparison_COMPARISON_NOT_EQUAL:
		return compared != 0
	case pb.Comparison_COMPARISON_LESS:
		return compared < 0
	case pb.Comparison_COMPARISON_LESS_OR_EQUAL:
		return compared <= 0
	case pb.Comparison_COMPARISON_GREATER:
		return compared > 0
	}
	return compared >= 0
}

// orders says that it is about more than equality.
func (c comparison) orders() bool { return c >= comparison(pb.Comparison_COMPARISON_LESS) }

// quantityTest compares quantities in its own unit.
type quantityTest struct {
	comparison comparison
	value      float64
	unit       string
}

func (pp *predicateParser) quantity(p *pb.QuantityPredicate, path string) (test, error) {
	c, err := parseComparison(p.GetComparison(), path+".comparison")
	if err != nil {
		return nil, err
	}
	path += ".quantity"
	u, err := parseQuantity(p.GetQuantity(), path)
	if err != nil {
		return nil, err
	}
	compatible := pp.some(func(t *catalog.Type) bool {
		canonical, err := unit.Parse(t.Unit)
		return err == nil && t.Kind.HasUnit() && u.Compatible(canonical)
	})
	if !compatible {
		return nil, refuse(path+".unit", p.Quantity.Unit, "not compatible with the unit of a type of the query")
	}
	return quantityTest{c, p.Quantity.Value, p.Quantity.Unit}, nil
}

func parseQuantity(q *pb.Quantity, path string) (unit.Unit, error) {
	if math.IsNaN(q.GetValue()) || math.IsInf(q.GetValue(), 0) {
		return unit.Unit{}, refuse(path+".value", "", "not a finite number")
	}
	u, err := unit.Parse(q.GetUnit())
	if err != nil {
		return u, refuse(path+".unit", q.GetUnit(), "no such unit")
	}
	return u, nil
}

func (t quantityTest) holds(f *filter, _ *view.Source, s *view.Sample) (bool, error) {
	from := f.writer.snapshot.Unit(s)
	if !s.HasValue || from == "" {
		return false, nil
	}
	value, ok := f.writer.units.convert(s.Value, from, t.unit)
	return ok && t.comparison.holds(cmp.Compare(value, t.value)), nil
}

// categoryTest has the numbers that fulfil it, by code of the type.
type categoryTest map[uint32]map[float64]struct{}

func (pp *predicateParser) category(p *pb.CategoryPredicate, path string) (test, error) {
	if !pp.some(func(t *catalog.Type) bool { return t.Kind == catalog.Category }) {
		return nil, refuse(path, "", "none of the types of the query has categories")
	}
	if err := pp.count(len(p.GetValues()), path); err != nil {
		return nil, err
	}
	numbers := categoryTest{}
	for i, text := range p.Values {
		known := false
		for _, t := range pp.types {
			if n, ok := categoryNumber(t, text); ok {
				if numbers[t.Code] == nil {
					numbers[t.Code] = map[float64]struct{}{}
				}
				numbers[t.Code][float64(n)] = struct{}{}
				known = true
			}
		}
		if !known {
			return nil, refuse(at(path, i), text, "neither a value of a type of the query nor a number")
		}
	}
	return numbers, nil
}

// categoryNumber reads a value of a type: a name, or any number.
func categoryNumber(t *catalog.Type, text string) (int32, bool) {
	if t.Kind != catalog.Category {
		return 0, false
	}
	if n, ok := t.Value(text); ok {
		return int32(n), true
	}
	n, err := strconv.ParseInt(text, 10, 32)
	return int32(n), err == nil
}

func (t categoryTest) holds(_ *filter, source *view.Source, s *view.Sample) (bool, error) {
	_, ok := t[source.Type()][s.Value]
	return ok && s.HasValue, nil
}

// nameTest is fulfilled by objects of a type that have one of the words of a vocabulary.
type nameTest struct {
	typeCode uint32
	names    map[string]struct{}
}

func (pp *predicateParser) name(p *pb.NamePredicate, path, typeName, vocabulary string) (test, error) {
	typ, err := parseType(path, typeName)
	if err != nil {
		return nil, err
	}
	if !pp.some(func(t *catalog.Type) bool { return t == typ }) {
		return nil, refuse(path, "", "none of the types of the query is "+typeName)
	}
	if err := pp.count(len(p.GetNames()), path); err != nil {
		return nil, err
	}
	t := nameTest{typ.Code, map[string]struct{}{}}
	for i, text := range p.Names {
		name, ok := catalog.Words(vocabulary).Word(text)
		if !ok {
			return nil, refuse(at(path, i), text, "no such word of "+vocabulary)
		}
		t.names[name] = struct{}{}
	}
	return t, nil
}

// holds is about the activity of a workout itself, not about those that it consists of.
func (t nameTest) holds(f *filter, source *view.Source, s *view.Sample) (bool, error) {
	if source.Type() != t.typeCode {
		return false, nil
	}
	object, err := f.writer.details.Object(source.App(), s)
	if err != nil || object == nil {
		return false, err
	}
	name := object.Body.GetElectrocardiogram().GetClassification()
	if w := object.Body.GetWorkout(); w != nil {
		name = w.GetActivity()
	}
	_, ok := t.names[name]
	return ok, nil
}
