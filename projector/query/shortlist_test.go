package query

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	pb "healthledger/proto/healthledger/v1"
)

// A correlation comes once for each type of its members, so that what is listed for a page
// is less than a page, and another round lists the rest.
func TestCorrelationsFillTheirPages(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := newStore(t)
		var foods []*pb.Sample
		for range rapid.IntRange(1, 15).Draw(r, "foods") {
			food := drawObject(r, "food")
			food.Members = nil
			for _, name := range []string{"dietaryProtein", "dietaryFiber"} {
				food.Members = append(food.Members, drawMember(r, food, name, "g"))
			}
			foods = append(foods, food)
		}
		s.saveSamples(t, anna, 0, foods...)
		s.engine.pageBytes = rapid.SampledFrom([]int{700, pageBytes}).Draw(r, "page")
		q := &pb.QuerySamplesRequest{
			Types: []string{"food"}, Limit: rapid.Uint32Range(0, 12).Draw(r, "limit"), Order: drawDirection(r), SortBy: pb.SortBy_SORT_BY_VALUE,
		}
		if rapid.Bool().Draw(r, "by UUID") {
			q.Predicate, q.SortBy = &pb.Predicate{Kind: &pb.Predicate_Uuid{Uuid: &pb.UuidPredicate{Uuids: s.ids["food"]}}}, drawSortBy(r)
		}
		got := pages(t, s, grants(t, nil).OwnerScope(), q, nil)
		if diff := gocmp.Diff(expected(s.visible(0, nil, nil), q), got, protocmp.Transform()); diff != "" {
			r.Fatal(diff)
		}
		s.close(t)
	})
}
