package export

import (
	"iter"
	"math"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

func sent(chunks []*pb.Chunk) iter.Seq2[*pb.Chunk, error] {
	return func(yield func(*pb.Chunk, error) bool) {
		for _, c := range chunks {
			if !yield(proto.CloneOf(c), nil) {
				return
			}
		}
	}
}

func cutAnew(t *rapid.T, chunks []*pb.Chunk) (all []*pb.Chunk) {
	for c, err := range recut(sent(chunks)) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

// sparse is n values, all of them missing or only every third.
func sparse(t *rapid.T, n int) []float64 {
	every := rapid.SampledFrom([]int{1, 3, math.MaxInt}).Draw(t, "every")
	values := make([]float64, n)
	for i := range values {
		if values[i] = float64(i); i%every != every-1 {
			values[i] = math.NaN()
		}
	}
	return values
}

// payload draws one chunk of any size, and the name of a type that has such a payload.
func payload(t *rapid.T) (string, *pb.Chunk) {
	n := rapid.SampledFrom([]int{1, 2, 100, 4000, 9001, 40000}).Draw(t, "items")
	switch rapid.IntRange(0, 4).Draw(t, "kind") {
	case 0:
		n /= 4
		l := &pb.Locations{Time: slices.Repeat([]int64{1e6}, n+1), Latitude: make([]float64, n+1), Longitude: make([]float64, n+1)}
		l.Altitude, l.Speed, l.Course = sparse(t, n+1), sparse(t, n+1), sparse(t, n+1)
		return "workoutRoute", &pb.Chunk{Locations: l}
	case 1:
		return "electrocardiogram", &pb.Chunk{Microvolts: slices.Repeat([]float64{-0.125, 3}, n)}
	case 2:
		b := &pb.Beats{Offset: slices.Repeat([]int64{7}, n)}
		for i := 1; i < n; i += 3 {
			b.AfterGap = append(b.AfterGap, uint32(i))
		}
		return "heartbeatSeries", &pb.Chunk{Beats: b}
	case 3:
		lasts := rapid.SampledFrom([]int64{0, 5}).Draw(t, "duration")
		return "stepCount", &pb.Chunk{Quantities: &pb.Quantities{
			Offset: slices.Repeat([]int64{9}, n), Duration: slices.Repeat([]int64{lasts}, n), Value: make([]float64, n)}}
	}
	return "cda", &pb.Chunk{Data: slices.Repeat([]byte("\x00\xffxy0123456789"), n)}
}

func TestPayloadDoesNotDependOnHowItWasSent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typeName, whole := payload(t)
		typ, _ := catalog.Lookup(typeName)
		want := cutAnew(t, []*pb.Chunk{whole})
		pieces, err := health.Cut([]*pb.Chunk{whole}, rapid.SampledFrom([]int{5000, 70000, 200000}).Draw(t, "size"))
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range pieces {
			if rapid.Bool().Draw(t, "tidy") {
				pieces[i] = tidy(c)
			}
		}
		got := cutAnew(t, pieces)
		if !slices.EqualFunc(want, got, func(a, b *pb.Chunk) bool { return proto.Equal(a, b) }) {
			t.Fatalf("%s: sent in %d pieces it differs", typeName, len(pieces))
		}
		items := 0
		for _, c := range got {
			if err := health.CheckChunk(typ, c); err != nil {
				t.Fatal(err)
			}
			items += health.Items(c)
		}
		if items != health.Items(whole) {
			t.Fatalf("%d items of %d", items, health.Items(whole))
		}
	})
}
