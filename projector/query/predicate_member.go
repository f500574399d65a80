package query

import (
	"healthledger/projector/view"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// memberTest is fulfilled by the members of an object. An object that the reader cannot
// see has none.
type memberTest struct {
	// kind of the object, a workout or a correlation.
	kind catalog.Kind
	id   [16]byte
}

func parseWorkoutTest(text, path string) (test, error) {
	id, err := parseUUID(text, path)
	return memberTest{catalog.Workout, id}, err
}

func parseCorrelationTest(p *pb.CorrelationPredicate, path string) (test, error) {
	if p.GetUuid() == "" {
		return newAloneTest(), nil
	}
	id, err := parseUUID(p.Uuid, path)
	return memberTest{catalog.Correlation, id}, err
}

func (t memberTest) holds(f *filter, source *view.Source, s *view.Sample) (bool, error) {
	members, ok := f.members[t]
	if !ok {
		var err error
		if members, err = f.membersOf(t); err != nil {
			return false, err
		}
		f.members[t] = members
	}
	_, ok = members[source.Locate(s)]
	return ok, nil
}

// membersOf returns what belongs to the object of a test.
func (f *filter) membersOf(t memberTest) (map[view.Locator]struct{}, error) {
	members := map[view.Locator]struct{}{}
	for _, typ := range catalog.All() {
		if typ.Kind != t.kind {
			continue
		}
		all, err := f.writer.snapshot.ByUUID(f.writer.scope, typ.Code, [][16]byte{t.id}, f.patience.spend)
		if err != nil {
			return nil, err
		}
		for _, whole := range all {
			if err := f.addMembers(members, whole.Source, whole.Sample); err != nil {
				return nil, err
			}
		}
	}
	return members, nil
}

// addMembers adds the members of an object that the reader may see.
func (f *filter) addMembers(members map[view.Locator]struct{}, whole *view.Source, sample *view.Sample) error {
	object, err := f.writer.details.Object(whole.App(), sample)
	if err != nil || object == nil {
		return err
	}
	return f.writer.details.Members(f.writer.scope, object, func(source *view.Source, s *view.Sample) error {
		members[source.Locate(s)] = struct{}{}
		return f.patience.spend()
	})
}

// aloneTest is fulfilled by what is a member of no correlation that the reader sees.
type aloneTest struct {
	// of are the types that correlations have as members.
	of map[uint32]struct{}
}

func newAloneTest() aloneTest {
	t := aloneTest{map[uint32]struct{}{}}
	for _, typ := range catalog.All() {
		if typ.Kind != catalog.Correlation {
			continue
		}
		for _, m := range typ.Members() {
			t.of[m.Code] = struct{}{}
		}
	}
	return t
}

func (t aloneTest) holds(f *filter, source *view.Source, s *view.Sample) (bool, error) {
	if _, ok := t.of[source.Type()]; !ok {
		return true, nil
	}
	if err := f.patience.spend(); err != nil {
		return false, err
	}
	correlated, err := f.writer.details.Correlated(f.writer.scope, source, s, f.patience.spend)
	return !correlated, err
}
