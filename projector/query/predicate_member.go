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
		return aloneTest{}, nil
	}
	id, err := parseUUID(p.Uuid, path)
	return memberTest{catalog.Correlation, id}, err
}

// memberKey names members that a filter has looked up: those of one object, or all that
// correlations have of a type.
type memberKey struct {
	memberTest
	typeCode uint32
}

func (t memberTest) holds(f *filter, source *view.Source, s *view.Sample) (bool, error) {
	members, ok := f.members[memberKey{memberTest: t}]
	if !ok {
		var err error
		if members, err = f.membersOf(t); err != nil {
			return false, err
		}
		f.members[memberKey{memberTest: t}] = members
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
		return nil
	})
}

// aloneTest is fulfilled by what is a member of no correlation. A correlation is visible
// to whoever may see one of its members, so of a visible sample none is hidden.
type aloneTest struct{}

func (aloneTest) holds(f *filter, source *view.Source, s *view.Sample) (bool, error) {
	key := memberKey{typeCode: source.Type()}
	members, ok := f.members[key]
	if !ok {
		members = map[view.Locator]struct{}{}
		for _, typ := range catalog.All() {
			for _, m := range typ.Members() {
				if m.Code != key.typeCode {
					continue
				}
				if err := f.addMembersOf(members, view.Pair(typ.Code, m.Code)); err != nil {
					return false, err
				}
			}
		}
		f.members[key] = members
	}
	_, ok = members[source.Locate(s)]
	return !ok, nil
}

// addMembersOf adds the members of all correlations that lie under a pair. Nothing tells
// where the correlation of a sample lies, so that all are read, once for a filter.
func (f *filter) addMembersOf(members map[view.Locator]struct{}, pair uint32) error {
	all := f.writer.snapshot.Sources(f.writer.scope, pair)
	return scanAll(f.patience, always, all, func(source *view.Source, s *view.Sample) error {
		return f.addMembers(members, source, s)
	})
}
