package query

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/unit"
)

// fulfils decides a predicate the slow and obvious way: by what a reader gets, and all
// that it gets.
func fulfils(p *pb.Predicate, s *pb.Sample, seen []reference) bool {
	holds := func(p *pb.Predicate) bool { return fulfils(p, s, seen) }
	switch k := p.Kind.(type) {
	case *pb.Predicate_AllOf:
		return !slices.ContainsFunc(k.AllOf.Predicates, func(p *pb.Predicate) bool { return !holds(p) })
	case *pb.Predicate_AnyOf:
		return slices.ContainsFunc(k.AnyOf.Predicates, holds)
	case *pb.Predicate_Not:
		return !holds(k.Not)
	case *pb.Predicate_Period:
		return belongs(s, k.Period.From, k.Period.To, k.Period.Match)
	case *pb.Predicate_Uuid:
		return slices.Contains(k.Uuid.Uuids, s.Uuid)
	case *pb.Predicate_Source:
		return slices.ContainsFunc(k.Source.Sources, func(want *pb.Source) bool {
			merged := proto.CloneOf(s.Source)
			merged.Device = nil
			want = proto.CloneOf(want)
			want.Device = nil
			before := proto.CloneOf(merged)
			proto.Merge(merged, want)
			return proto.Equal(before, merged)
		})
	case *pb.Predicate_Device:
		return slices.ContainsFunc(k.Device.Devices, func(d *pb.Device) bool { return proto.Equal(d, s.Source.Device) })
	case *pb.Predicate_Metadata:
		return metadataFulfils(k.Metadata, s.Metadata)
	case *pb.Predicate_Workout:
		return isMember(k.Workout, "workout", s, seen)
	case *pb.Predicate_Correlation:
		return isMember(k.Correlation.Uuid, "food", s, seen) != (k.Correlation.Uuid == "")
	case *pb.Predicate_Quantity:
		return s.Value != nil && s.Unit != "" && quantityFulfils(k.Quantity.Comparison, &pb.Quantity{Value: *s.Value, Unit: s.Unit}, k.Quantity.Quantity)
	case *pb.Predicate_Category:
		typ, _ := catalog.Lookup(s.Type)
		return s.Value != nil && typ.Kind == catalog.Category && slices.ContainsFunc(k.Category.Values, func(text string) bool {
			n, ok := typ.Value(text)
			return ok && float64(n) == *s.Value || text == strconv.Itoa(int(*s.Value))
		})
	case *pb.Predicate_Activity:
		return s.GetWorkout() != nil && slices.Contains(k.Activity.Names, s.GetWorkout().Activity)
	case *pb.Predicate_Classification:
		return s.GetElectrocardiogram() != nil && slices.Contains(k.Classification.Names, s.GetElectrocardiogram().Classification)
	}
	panic("no such predicate")
}

// belongs says whether a sample belongs to a period, by the words of the schema.
func belongs(s *pb.Sample, from, to *timestamppb.Timestamp, match pb.PeriodMatch) bool {
	in := func(t *timestamppb.Timestamp) bool {
		return (from == nil || !t.AsTime().Before(from.AsTime())) && (to == nil || t.AsTime().Before(to.AsTime()))
	}
	start, end := s.Start.AsTime(), s.End.AsTime()
	switch {
	case start.Equal(end):
		return in(s.Start)
	case match == pb.PeriodMatch_PERIOD_MATCH_STRICT:
		return in(s.Start) && in(s.End)
	case match == pb.PeriodMatch_PERIOD_MATCH_STRICT_START:
		return in(s.Start)
	case match == pb.PeriodMatch_PERIOD_MATCH_STRICT_END:
		return in(s.End)
	}
	nothing := from != nil && to != nil && from.AsTime().Equal(to.AsTime())
	return !nothing && (from == nil || end.After(from.AsTime())) && (to == nil || start.Before(to.AsTime()))
}

// isMember says whether a sample is a member of the object, or of any.
func isMember(id, typeName string, s *pb.Sample, seen []reference) bool {
	for _, whole := range seen {
		if whole.message.Type != typeName || id != "" && whole.message.Uuid != id {
			continue
		}
		for _, m := range whole.message.Members {
			if m.Uuid == s.Uuid {
				return true
			}
		}
	}
	return false
}

func metadataFulfils(p *pb.MetadataPredicate, entries []*pb.MetadataEntry) bool {
	for _, e := range entries {
		if strings.Replace(e.Key, "HKMetadataKey", "HK", 1) != strings.Replace(p.Key, "HKMetadataKey", "HK", 1) {
			continue
		}
		if len(p.Values) == 0 {
			return true
		}
		equal, compared := false, false
		for _, v := range p.Values {
			var is func(pb.Comparison) bool
			switch v := v.Value.(type) {
			case *pb.MetadataEntry_Text:
				if _, ok := e.Value.(*pb.MetadataEntry_Text); ok {
					is = comparing(cmp.Compare(e.GetText(), v.Text))
				}
			case *pb.MetadataEntry_Number:
				if _, ok := e.Value.(*pb.MetadataEntry_Number); ok {
					is = comparing(cmp.Compare(e.GetNumber(), v.Number))
				}
			case *pb.MetadataEntry_Date:
				if _, ok := e.Value.(*pb.MetadataEntry_Date); ok {
					is = comparing(e.GetDate().AsTime().Compare(v.Date.AsTime()))
				}
			case *pb.MetadataEntry_Quantity:
				if q := e.GetQuantity(); q != nil && compatible(q.Unit, v.Quantity.Unit) {
					is = func(c pb.Comparison) bool { return quantityFulfils(c, q, v.Quantity) }
				}
			}
			if is == nil {
				continue
			}
			compared = true
			equal = equal || is(pb.Comparison_COMPARISON_EQUAL)
			if p.Comparison >= pb.Comparison_COMPARISON_LESS && is(p.Comparison) {
				return true
			}
		}
		if p.Comparison <= pb.Comparison_COMPARISON_EQUAL && equal || p.Comparison == pb.Comparison_COMPARISON_NOT_EQUAL && compared && !equal {
			return true
		}
	}
	return false
}

func comparing(c int) func(pb.Comparison) bool {
	return func(op pb.Comparison) bool {
		return map[pb.Comparison]bool{
			pb.Comparison_COMPARISON_EQUAL: c == 0, pb.Comparison_COMPARISON_NOT_EQUAL: c != 0, pb.Comparison_COMPARISON_LESS: c < 0,
			pb.Comparison_COMPARISON_LESS_OR_EQUAL: c <= 0, pb.Comparison_COMPARISON_GREATER: c > 0, pb.Comparison_COMPARISON_GREATER_OR_EQUAL: c >= 0,
		}[op]
	}
}

func compatible(a, b string) bool {
	x, errX := unit.Parse(a)
	y, errY := unit.Parse(b)
	return errX == nil && errY == nil && x.Compatible(y)
}

func quantityFulfils(c pb.Comparison, a, b *pb.Quantity) bool {
	x, errX := unit.Parse(a.Unit)
	y, errY := unit.Parse(b.Unit)
	if errX != nil || errY != nil {
		panic("a unit")
	}
	v, err := unit.Convert(a.Value, x, y)
	return err == nil && comparing(cmp.Compare(v, b.Value))(c)
}

// drawPredicate draws a predicate of a query of these types, about what may be in a store.
func drawPredicate(t *rapid.T, types []string, s *store, depth int) *pb.Predicate {
	kinds := []string{"period", "uuid", "source", "device", "metadata", "workout", "correlation"}
	if depth < 3 {
		kinds = append(kinds, "all", "any", "not")
	}
	var units, categories []string
	for _, name := range types {
		typ, _ := catalog.Lookup(name)
		switch {
		case typ.Kind.HasUnit():
			some, ok := statisticsTypes[name]
			if !ok {
				some = []string{"g", "mg"}
			}
			units = append(units, some...)
		case typ.Kind == catalog.Category:
			categories = append(categories, name)
		case name == "workout":
			kinds = append(kinds, "activity")
		case name == "electrocardiogram":
			kinds = append(kinds, "classification")
		}
	}
	if len(units) > 0 {
		kinds = append(kinds, "quantity", "quantity")
	}
	if len(categories) > 0 {
		kinds = append(kinds, "category")
	}
	list := func() *pb.PredicateList {
		l := &pb.PredicateList{}
		for range rapid.IntRange(1, 3).Draw(t, "parts") {
			l.Predicates = append(l.Predicates, drawPredicate(t, types, s, depth+1))
		}
		return l
	}
	comparison := func() pb.Comparison { return pb.Comparison(rapid.Int32Range(1, 6).Draw(t, "comparison")) }
	switch rapid.SampledFrom(kinds).Draw(t, "predicate") {
	case "all":
		return &pb.Predicate{Kind: &pb.Predicate_AllOf{AllOf: list()}}
	case "any":
		return &pb.Predicate{Kind: &pb.Predicate_AnyOf{AnyOf: list()}}
	case "not":
		return &pb.Predicate{Kind: &pb.Predicate_Not{Not: drawPredicate(t, types, s, depth+1)}}
	case "period":
		from, to := timestamps(drawPeriod(t))
		return &pb.Predicate{Kind: &pb.Predicate_Period{Period: &pb.PeriodPredicate{From: from, To: to, Match: drawMatch(t)}}}
	case "uuid":
		return &pb.Predicate{Kind: &pb.Predicate_Uuid{Uuid: &pb.UuidPredicate{Uuids: rapid.SliceOfN(drawID(s, ""), 1, 6).Draw(t, "uuids")}}}
	case "source":
		return &pb.Predicate{Kind: &pb.Predicate_Source{Source: &pb.SourcePredicate{Sources: rapid.SliceOfN(rapid.SampledFrom([]*pb.Source{
			{}, {Name: "watch"}, {Name: "phone", Device: &pb.Device{Model: "other"}}, {App: bundleID(anna)}, {App: "org.other", Name: "x"},
			{Importer: bundleID(carl)}, {Version: "1"}, {App: bundleID(carl), Name: "phone"},
		}), 1, 2).Draw(t, "sources")}}}
	case "device":
		return &pb.Predicate{Kind: &pb.Predicate_Device{Device: &pb.DevicePredicate{Devices: []*pb.Device{
			rapid.SampledFrom([]*pb.Device{{Model: "m"}, {Model: "m", Name: "n"}, {Name: "n"}}).Draw(t, "device"),
		}}}}
	case "workout":
		return &pb.Predicate{Kind: &pb.Predicate_Workout{Workout: drawID(s, "workout").Draw(t, "workout")}}
	case "correlation":
		c := &pb.CorrelationPredicate{}
		if rapid.Bool().Draw(t, "of one") {
			c.Uuid = drawID(s, "food").Draw(t, "food")
		}
		return &pb.Predicate{Kind: &pb.Predicate_Correlation{Correlation: c}}
	case "quantity":
		return &pb.Predicate{Kind: &pb.Predicate_Quantity{Quantity: &pb.QuantityPredicate{Comparison: comparison(), Quantity: &pb.Quantity{
			Value: rapid.SampledFrom([]float64{0.5, 1, 20, 50, 100, 1200}).Draw(t, "value"), Unit: rapid.SampledFrom(units).Draw(t, "unit"),
		}}}}
	case "category":
		return &pb.Predicate{Kind: &pb.Predicate_Category{Category: &pb.CategoryPredicate{
			Values: rapid.SliceOfN(rapid.SampledFrom([]string{"0", "1", "asleepCore", "HKCategoryValueSleepAnalysisAwake", "5", "77"}), 1, 3).Draw(t, "values"),
		}}}
	case "activity":
		return &pb.Predicate{Kind: &pb.Predicate_Activity{Activity: &pb.NamePredicate{Names: []string{rapid.SampledFrom([]string{"cycling", "running"}).Draw(t, "activity")}}}}
	case "classification":
		return &pb.Predicate{Kind: &pb.Predicate_Classification{Classification: &pb.NamePredicate{
			Names: []string{rapid.SampledFrom([]string{"sinusRhythm", "notSet"}).Draw(t, "classification")},
		}}}
	}
	m := &pb.MetadataPredicate{Key: rapid.SampledFrom([]string{"k", "l", "HKMetadataKeyMaximumLightIntensity", "HKMaximumLightIntensity"}).Draw(t, "key")}
	if m.Key == "HKMaximumLightIntensity" {
		m.Key = "HKMetadataKeyMaximumLightIntensity"
	}
	if rapid.Bool().Draw(t, "compared") {
		m.Comparison = pb.Comparison(rapid.Int32Range(0, 6).Draw(t, "comparison"))
		n := 1
		if m.Comparison < pb.Comparison_COMPARISON_LESS {
			n = 3
		}
		for range rapid.IntRange(1, n).Draw(t, "values") {
			v := drawEntry(t, "")
			m.Values = append(m.Values, v)
		}
	}
	return &pb.Predicate{Kind: &pb.Predicate_Metadata{Metadata: m}}
}

func drawMatch(t *rapid.T) pb.PeriodMatch {
	return pb.PeriodMatch(rapid.Int32Range(0, 4).Draw(t, "match"))
}

// drawID draws UUIDs of what a store has of a type, of any if it is empty, or of nothing.
func drawID(s *store, typeName string) *rapid.Generator[string] {
	ids := []string{"99999999-0000-4000-8000-000000000000"}
	for name, some := range s.ids {
		if typeName == "" || typeName == name {
			ids = append(ids, some...)
		}
	}
	slices.Sort(ids)
	return rapid.SampledFrom(ids)
}

// drawEntry draws metadata of each kind, close to each other.
func drawEntry(t *rapid.T, key string) *pb.MetadataEntry {
	e := &pb.MetadataEntry{Key: key}
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		e.Value = &pb.MetadataEntry_Text{Text: rapid.SampledFrom([]string{"", "v", "w"}).Draw(t, "text")}
	case 1:
		e.Value = &pb.MetadataEntry_Number{Number: float64(rapid.IntRange(0, 2).Draw(t, "number"))}
	case 2:
		e.Value = &pb.MetadataEntry_Date{Date: health.Timestamp(base + rapid.Int64Range(0, 2).Draw(t, "date"))}
	default:
		e.Value = &pb.MetadataEntry_Quantity{Quantity: &pb.Quantity{
			Value: rapid.SampledFrom([]float64{1, 60}).Draw(t, "value"), Unit: rapid.SampledFrom([]string{"min", "s", "m"}).Draw(t, "unit"),
		}}
	}
	return e
}

func TestRefusedPredicatesNameTheField(t *testing.T) {
	heart, sleep := "heartRate", "sleepAnalysis"
	deep := &pb.Predicate{Kind: &pb.Predicate_Workout{Workout: id()}}
	for range maxPredicateDepth {
		deep = &pb.Predicate{Kind: &pb.Predicate_Not{Not: deep}}
	}
	wide := &pb.PredicateList{}
	for range maxPredicates {
		wide.Predicates = append(wide.Predicates, &pb.Predicate{Kind: &pb.Predicate_Workout{Workout: id()}})
	}
	many := make([]string, maxPredicateValues+1)
	quantity := func(c pb.Comparison, q *pb.Quantity) *pb.Predicate {
		return &pb.Predicate{Kind: &pb.Predicate_Quantity{Quantity: &pb.QuantityPredicate{Comparison: c, Quantity: q}}}
	}
	metadata := func(m *pb.MetadataPredicate) *pb.Predicate {
		return &pb.Predicate{Kind: &pb.Predicate_Metadata{Metadata: m}}
	}
	number := &pb.MetadataEntry{Value: &pb.MetadataEntry_Number{Number: 1}}
	uuids := func(ids ...string) *pb.Predicate {
		return &pb.Predicate{Kind: &pb.Predicate_Uuid{Uuid: &pb.UuidPredicate{Uuids: ids}}}
	}
	cases := map[string]struct {
		predicate *pb.Predicate
		typeName  string
		field     string
	}{
		"nothing":             {&pb.Predicate{}, heart, "predicate"},
		"nothing inside":      {&pb.Predicate{Kind: &pb.Predicate_Not{}}, heart, "predicate.not"},
		"no parts":            {&pb.Predicate{Kind: &pb.Predicate_AllOf{AllOf: &pb.PredicateList{}}}, heart, "predicate.all_of"},
		"deep":                {deep, heart, "predicate" + strings.Repeat(".not", maxPredicateDepth)},
		"wide":                {&pb.Predicate{Kind: &pb.Predicate_AnyOf{AnyOf: wide}}, heart, "predicate.any_of[255]"},
		"part":                {&pb.Predicate{Kind: &pb.Predicate_AllOf{AllOf: &pb.PredicateList{Predicates: []*pb.Predicate{uuids(id()), uuids("x")}}}}, heart, "predicate.all_of[1].uuid.uuids[0]"},
		"many values":         {uuids(many...), heart, "predicate.uuid.uuids"},
		"no values":           {uuids(), heart, "predicate.uuid.uuids"},
		"braced uuid":         {uuids("{" + id() + "}"), heart, "predicate.uuid.uuids[0]"},
		"period":              {&pb.Predicate{Kind: &pb.Predicate_Period{Period: &pb.PeriodPredicate{From: health.Timestamp(2), To: health.Timestamp(1)}}}, heart, "predicate.period.from"},
		"match":               {&pb.Predicate{Kind: &pb.Predicate_Period{Period: &pb.PeriodPredicate{Match: 9}}}, heart, "predicate.period.match"},
		"no sources":          {&pb.Predicate{Kind: &pb.Predicate_Source{}}, heart, "predicate.source.sources"},
		"empty device":        {&pb.Predicate{Kind: &pb.Predicate_Device{Device: &pb.DevicePredicate{Devices: []*pb.Device{{}}}}}, heart, "predicate.device.devices[0]"},
		"no key":              {metadata(&pb.MetadataPredicate{}), heart, "predicate.metadata.key"},
		"compared with none":  {metadata(&pb.MetadataPredicate{Key: "k", Comparison: 1}), heart, "predicate.metadata.values"},
		"ordered by two":      {metadata(&pb.MetadataPredicate{Key: "k", Comparison: 3, Values: []*pb.MetadataEntry{number, number}}), heart, "predicate.metadata.values"},
		"value with key":      {metadata(&pb.MetadataPredicate{Key: "k", Values: []*pb.MetadataEntry{{Key: "k", Value: number.Value}}}), heart, "predicate.metadata.values[0].key"},
		"no value":            {metadata(&pb.MetadataPredicate{Key: "k", Values: []*pb.MetadataEntry{{}}}), heart, "predicate.metadata.values[0]"},
		"fine date":           {metadata(&pb.MetadataPredicate{Key: "k", Values: []*pb.MetadataEntry{{Value: &pb.MetadataEntry_Date{Date: &timestamppb.Timestamp{Nanos: 1}}}}}), heart, "predicate.metadata.values[0].date"},
		"value without unit":  {metadata(&pb.MetadataPredicate{Key: "k", Values: []*pb.MetadataEntry{{Value: &pb.MetadataEntry_Quantity{}}}}), heart, "predicate.metadata.values[0].quantity.unit"},
		"metadata comparison": {metadata(&pb.MetadataPredicate{Key: "k", Comparison: 7, Values: []*pb.MetadataEntry{number}}), heart, "predicate.metadata.comparison"},
		"workout":             {&pb.Predicate{Kind: &pb.Predicate_Workout{}}, heart, "predicate.workout"},
		"correlation":         {&pb.Predicate{Kind: &pb.Predicate_Correlation{Correlation: &pb.CorrelationPredicate{Uuid: "x"}}}, heart, "predicate.correlation.uuid"},
		"no comparison":       {quantity(0, &pb.Quantity{Unit: "count/s"}), heart, "predicate.quantity.comparison"},
		"no unit":             {quantity(1, nil), heart, "predicate.quantity.quantity.unit"},
		"other unit":          {quantity(1, &pb.Quantity{Unit: "kg"}), heart, "predicate.quantity.quantity.unit"},
		"unit of a category":  {quantity(1, &pb.Quantity{Unit: "count"}), sleep, "predicate.quantity.quantity.unit"},
		"category":            {&pb.Predicate{Kind: &pb.Predicate_Category{Category: &pb.CategoryPredicate{Values: []string{"asleep", "dozing"}}}}, sleep, "predicate.category.values[1]"},
		"category of none":    {&pb.Predicate{Kind: &pb.Predicate_Category{Category: &pb.CategoryPredicate{Values: []string{"1"}}}}, heart, "predicate.category.values"},
		"activity":            {&pb.Predicate{Kind: &pb.Predicate_Activity{Activity: &pb.NamePredicate{Names: []string{"running", "x"}}}}, "workout", "predicate.activity.names[1]"},
		"activity of none":    {&pb.Predicate{Kind: &pb.Predicate_Activity{Activity: &pb.NamePredicate{Names: []string{"running"}}}}, heart, "predicate.activity.names"},
		"classification":      {&pb.Predicate{Kind: &pb.Predicate_Classification{}}, "electrocardiogram", "predicate.classification.names"},
	}
	s := newStore(t)
	defer s.close(t)
	scope := grants(t, nil).Scope(anna)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := s.engine.Samples(context.Background(), scope, &pb.QuerySamplesRequest{Types: []string{c.typeName}, Predicate: c.predicate})
			var argument *ArgumentError
			if !errors.As(err, &argument) || argument.Field != c.field || argument.Why == "" {
				t.Errorf("error %v, want one about %s", err, c.field)
			}
		})
	}
}

// Whatever predicate comes, it is read or refused, and what is read decides.
func FuzzParsePredicate(f *testing.F) {
	for n := range 20 {
		p := rapid.Custom(func(r *rapid.T) *pb.Predicate {
			return drawPredicate(r, []string{"heartRate", "sleepAnalysis", "workout", "electrocardiogram"}, &store{}, 0)
		}).Example(n)
		b, err := proto.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	s := newStore(f)
	f.Cleanup(func() { s.close(f) })
	s.save(f, anna, 0, &pb.SampleColumns{Type: code("heartRate"), Unit: "count/s", Tick: 1, Start: []int64{1}, Mantissa: []int64{1}})
	scope := grants(f, nil).OwnerScope()
	f.Fuzz(func(t *testing.T, b []byte) {
		p := &pb.Predicate{}
		if proto.Unmarshal(b, p) != nil {
			return
		}
		_, err := s.engine.Samples(context.Background(), scope, &pb.QuerySamplesRequest{Types: []string{"heartRate"}, Predicate: p})
		var argument *ArgumentError
		if err != nil && (!errors.As(err, &argument) || !strings.HasPrefix(argument.Field, "predicate")) {
			t.Error(err)
		}
	})
}

// Whether a sample is a member is told by what lies beside the sample, however many
// correlations there are elsewhere.
func TestMembersAreKnownWithoutTheirCorrelations(t *testing.T) {
	food := func(i int64) *pb.Sample {
		when := health.Timestamp(base + i*microsPerHour)
		member := &pb.Sample{Type: "dietaryFiber", Uuid: id(), Start: when, End: when, Unit: "g", Value: proto.Float64(float64(i))}
		return &pb.Sample{Type: "food", Uuid: id(), Start: when, End: when, Source: &pb.Source{Name: "scale"}, Members: []*pb.Sample{member}}
	}
	alone := &pb.Sample{Type: "dietaryFiber", Uuid: id(), Start: health.Timestamp(base), End: health.Timestamp(base), Source: &pb.Source{Name: "scale"}, Unit: "g", Value: proto.Float64(77)}
	var touched [2]int
	for i, others := range []int64{0, 100} {
		s := newStore(t)
		s.saveSamples(t, anna, 0, food(0), alone)
		for n := range others {
			s.saveSamples(t, anna, 0, food(-n-1))
		}
		clear(s.touched)
		answer, err := s.engine.Samples(context.Background(), grants(t, nil).OwnerScope(), &pb.QuerySamplesRequest{
			Types: []string{"dietaryFiber"}, From: alone.Start,
			Predicate: &pb.Predicate{Kind: &pb.Predicate_Correlation{Correlation: &pb.CorrelationPredicate{}}},
		})
		if err != nil || len(answer.Samples) != 1 || answer.Samples[0].Uuid != alone.Uuid {
			t.Errorf("%v, error %v", answer, err)
		}
		for _, n := range s.touched {
			touched[i] += n
		}
		s.close(t)
	}
	if touched[0] != touched[1] || touched[0] == 0 {
		t.Errorf("%d keys and rows are read, %d with other correlations", touched[0], touched[1])
	}
}
