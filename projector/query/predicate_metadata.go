package query

import (
	"cmp"
	"math"
	"strings"
	"time"

	"healthledger/projector/view"
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// metadataTest is fulfilled if one of the values of a key is. Without values it is enough
// that the key is there.
type metadataTest struct {
	key        string
	predefined *catalog.MetadataKey // nil: the key is an app's own
	comparison comparison
	values     []*pb.MetadataEntry
	among      metadataValues // the same, for equality
}

// metadataValues are values by kind, quantities by unit.
type metadataValues struct {
	texts      map[string]struct{}
	numbers    map[float64]struct{}
	dates      map[time.Time]struct{}
	quantities map[string]map[float64]struct{}
}

func newMetadataValues(all []*pb.MetadataEntry) metadataValues {
	m := metadataValues{map[string]struct{}{}, map[float64]struct{}{}, map[time.Time]struct{}{}, map[string]map[float64]struct{}{}}
	for _, e := range all {
		switch v := e.GetValue().(type) {
		case *pb.MetadataEntry_Text:
			m.texts[v.Text] = struct{}{}
		case *pb.MetadataEntry_Number:
			m.numbers[v.Number] = struct{}{}
		case *pb.MetadataEntry_Date:
			m.dates[v.Date.AsTime()] = struct{}{}
		case *pb.MetadataEntry_Quantity:
			if m.quantities[v.Quantity.Unit] == nil {
				m.quantities[v.Quantity.Unit] = map[float64]struct{}{}
			}
			m.quantities[v.Quantity.Unit][v.Quantity.Value] = struct{}{}
		}
	}
	return m
}

// find says whether an entry is one of the values, and whether there are any to compare it
// with.
func (m *metadataValues) find(f *filter, e *pb.MetadataEntry) (equal, compared bool, err error) {
	switch v := e.GetValue().(type) {
	case *pb.MetadataEntry_Text:
		_, equal = m.texts[v.Text]
		compared = len(m.texts) > 0
	case *pb.MetadataEntry_Number:
		_, equal = m.numbers[v.Number]
		compared = len(m.numbers) > 0
	case *pb.MetadataEntry_Date:
		_, equal = m.dates[v.Date.AsTime()]
		compared = len(m.dates) > 0
	case *pb.MetadataEntry_Quantity:
		for unit, values := range m.quantities {
			if err := f.patience.spend(); err != nil {
				return false, false, err
			}
			if converted, ok := f.writer.units.convert(v.Quantity.GetValue(), v.Quantity.GetUnit(), unit); ok {
				compared = true
				if _, equal = values[converted]; equal {
					break
				}
			}
		}
	}
	return equal, compared, nil
}

func (pp *predicateParser) metadata(p *pb.MetadataPredicate, path string) (test, error) {
	t := metadataTest{key: p.GetKey(), values: p.GetValues(), comparison: comparison(pb.Comparison_COMPARISON_EQUAL)}
	t.predefined, _ = catalog.LookupMetadata(t.key)
	var err error
	if t.key == "" {
		return nil, refuse(path+".key", "", whyEmpty)
	}
	if c := p.GetComparison(); c != pb.Comparison_COMPARISON_UNSPECIFIED {
		if t.comparison, err = parseComparison(c, path+".comparison"); err != nil {
			return nil, err
		}
	} else if len(t.values) == 0 {
		return t, nil
	}
	path += ".values"
	if err := pp.count(len(t.values), path); err != nil {
		return nil, err
	}
	if t.comparison.orders() && len(t.values) > 1 {
		return nil, refuse(path, "", "a comparison that orders takes one")
	}
	for i, value := range t.values {
		if err := checkMetadataValue(value, at(path, i)); err != nil {
			return nil, err
		}
	}
	t.among = newMetadataValues(t.values)
	return t, nil
}

func checkMetadataValue(e *pb.MetadataEntry, path string) error {
	if e.GetKey() != "" {
		return refuse(path+".key", e.Key, "it must be empty: the key stands beside the values")
	}
	switch v := e.GetValue().(type) {
	case *pb.MetadataEntry_Text:
		return nil
	case *pb.MetadataEntry_Number:
		if math.IsNaN(v.Number) || math.IsInf(v.Number, 0) {
			return refuse(path+".number", "", "not a finite number")
		}
		return nil
	case *pb.MetadataEntry_Date:
		if _, err := health.Micros(v.Date); err != nil {
			return refuse(path+".date", "", err.Error())
		}
		return nil
	case *pb.MetadataEntry_Quantity:
		_, err := parseQuantity(v.Quantity, path+".quantity")
		return err
	}
	return refuse(path, "", "the value is missing")
}

func (t metadataTest) holds(f *filter, _ *view.Source, s *view.Sample) (bool, error) {
	entries, err := f.writer.details.Metadata(s)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if err := f.patience.spend(); err != nil {
			return false, err
		}
		if !t.names(e.GetKey()) {
			continue
		}
		if fits, err := t.fits(f, e); fits || err != nil {
			return fits, err
		}
	}
	return false, nil
}

// names says whether a key is the one, which HealthKit's have in two forms.
func (t metadataTest) names(key string) bool {
	return key == t.key || t.predefined != nil && catalog.IsMetadataKey(key, t.predefined.Name)
}

// fits says whether an entry equals one of the values or, asked for what is not equal, none
// of those that it compares with. One that orders has one value.
func (t metadataTest) fits(f *filter, e *pb.MetadataEntry) (bool, error) {
	if len(t.values) == 0 {
		return true, nil
	}
	if t.comparison.orders() {
		c, ok := f.compare(e, t.values[0])
		return ok && t.comparison.holds(c), nil
	}
	equal, compared, err := t.among.find(f, e)
	unequal := pb.Comparison(t.comparison) == pb.Comparison_COMPARISON_NOT_EQUAL
	return compared && equal != unequal, err
}

// compare compares an entry with a value; false if they are of different kinds.
func (f *filter) compare(e, value *pb.MetadataEntry) (int, bool) {
	switch v := value.GetValue().(type) {
	case *pb.MetadataEntry_Text:
		_, ok := e.GetValue().(*pb.MetadataEntry_Text)
		return strings.Compare(e.GetText(), v.Text), ok
	case *pb.MetadataEntry_Number:
		_, ok := e.GetValue().(*pb.MetadataEntry_Number)
		return cmp.Compare(e.GetNumber(), v.Number), ok
	case *pb.MetadataEntry_Date:
		_, ok := e.GetValue().(*pb.MetadataEntry_Date)
		return e.GetDate().AsTime().Compare(v.Date.AsTime()), ok
	case *pb.MetadataEntry_Quantity:
		_, ok := e.GetValue().(*pb.MetadataEntry_Quantity)
		if !ok {
			return 0, false
		}
		converted, ok := f.writer.units.convert(e.GetQuantity().GetValue(), e.GetQuantity().GetUnit(), v.Quantity.Unit)
		return cmp.Compare(converted, v.Quantity.Value), ok
	}
	return 0, false
}
