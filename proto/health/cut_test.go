package health

import (
	"math"
	"slices"
	"testing"

	pb "healthledger/proto/healthledger/v1"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// item is one item of a payload of whatever kind, as numbers; NaN where one is missing.
type item [8]float64

// items lists the items of chunks in order, one by one.
func items(chunks []*pb.Chunk) (all []item) {
	for _, c := range chunks {
		for _, b := range c.Data {
			all = append(all, item{float64(b)})
		}
		for _, v := range c.Microvolts {
			all = append(all, item{v})
		}
		for i, at := range c.GetBeats().GetOffset() {
			after := 0.0
			if slices.Contains(c.Beats.AfterGap, uint32(i)) {
				after = 1
			}
			all = append(all, item{float64(at), after})
		}
		for i, at := range c.GetQuantities().GetOffset() {
			lasts := int64(0)
			if len(c.Quantities.Duration) > 0 {
				lasts = c.Quantities.Duration[i]
			}
			all = append(all, item{float64(at), float64(lasts), c.Quantities.Value[i]})
		}
		var at int64
		for i, delta := range c.GetLocations().GetTime() {
			at += delta
			l := c.Locations
			point := item{float64(at), l.Latitude[i], l.Longitude[i]}
			for n, column := range optional(l) {
				point[3+n] = math.NaN()
				if len(*column) > 0 {
					point[3+n] = (*column)[i]
				}
			}
			all = append(all, point)
		}
	}
	return all
}

func sameItem(a, b item) bool {
	for i := range a {
		if a[i] != b[i] && !(math.IsNaN(a[i]) && math.IsNaN(b[i])) {
			return false
		}
	}
	return true
}

// drawChunk draws the chunk of a kind with a number of items that is at a place in the
// payload; beats of later ones are later.
func drawChunk(r *rapid.T, kind content, at, n int) *pb.Chunk {
	offsets := rapid.Custom(func(r *rapid.T) []int64 {
		return slices.Sorted(slices.Values(rapid.SliceOfN(rapid.Int64Range(int64(at)<<40, int64(at+1)<<40), n, n).Draw(r, "offsets")))
	})
	column := func(name string, low, high float64) []float64 {
		return rapid.SliceOfN(rapid.Float64Range(low, high), n, n).Draw(r, name)
	}
	switch kind {
	case data:
		return &pb.Chunk{Data: rapid.SliceOfN(rapid.Byte(), n, n).Draw(r, "data")}
	case microvolts:
		return &pb.Chunk{Microvolts: column("microvolts", -1e6, 1e6)}
	case beats:
		b := &pb.Beats{Offset: offsets.Draw(r, "offset")}
		for i := range n {
			if rapid.Bool().Draw(r, "gap") {
				b.AfterGap = append(b.AfterGap, uint32(i))
			}
		}
		return &pb.Chunk{Beats: b}
	case quantities:
		q := &pb.Quantities{Offset: offsets.Draw(r, "offset"), Value: column("value", -1e9, 1e9)}
		if rapid.Bool().Draw(r, "lasting") {
			q.Duration = offsets.Draw(r, "duration")
		}
		return &pb.Chunk{Quantities: q}
	}
	l := &pb.Locations{
		Time:     rapid.SliceOfN(rapid.Int64Range(-1e9, 1e9), n, n).Draw(r, "time"),
		Latitude: column("latitude", -90, 90), Longitude: column("longitude", -180, 180),
	}
	for _, c := range optional(l) {
		if rapid.Bool().Draw(r, "there") {
			*c = column("column", -1e3, 1e3)
		}
	}
	return &pb.Chunk{Locations: l}
}

func TestCutKeepsEveryItemInOrderAndForgetsHowItWasCut(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		kind := content(rapid.IntRange(int(locations), int(data)).Draw(r, "kind"))
		var chunks []*pb.Chunk
		for at := range rapid.IntRange(1, 4).Draw(r, "chunks") {
			chunks = append(chunks, drawChunk(r, kind, at, rapid.IntRange(1, 40).Draw(r, "items")))
		}
		before := make([]*pb.Chunk, len(chunks))
		for i, c := range chunks {
			before[i] = proto.CloneOf(c)
		}
		size := rapid.IntRange(chunkFrame+locationBytes, 2000).Draw(r, "size")
		cut, err := Cut(chunks, size)
		if err != nil {
			r.Fatal(err)
		}
		for i, c := range chunks {
			if !proto.Equal(c, before[i]) {
				r.Fatal("the argument was changed")
			}
		}
		for _, c := range cut {
			if n := proto.Size(c); n > size || Items(c) == 0 {
				r.Fatalf("a chunk of %d bytes with %d items", n, Items(c))
			}
			if _, err := contentIn(c); err != nil {
				r.Fatal(err)
			}
		}
		if want, got := items(chunks), items(cut); !slices.EqualFunc(want, got, sameItem) {
			r.Fatalf("%v became %v", want, got)
		}
		// Cut once more, from other pieces, it is the same.
		pieces, err := Cut(chunks, chunkFrame+locationBytes)
		if err != nil {
			r.Fatal(err)
		}
		again, err := Cut(pieces, size)
		if err != nil {
			r.Fatal(err)
		}
		if !slices.EqualFunc(cut, again, func(a, b *pb.Chunk) bool { return proto.Equal(a, b) }) {
			r.Fatal("how it was cut before shows")
		}
	})
}

func TestCutRefusesWhatIsNoPayload(t *testing.T) {
	for what, chunks := range map[string][]*pb.Chunk{
		"nothing":        {{}},
		"no chunk":       {nil},
		"two kinds":      {{Data: []byte("x"), Microvolts: []float64{1}}},
		"kinds change":   {{Data: []byte("x")}, {Microvolts: []float64{1}}},
		"empty beats":    {{Beats: &pb.Beats{}}},
		"ragged":         {{Locations: &pb.Locations{Time: []int64{1, 2}, Latitude: []float64{1}, Longitude: []float64{1, 2}}}},
		"not finite":     {{Microvolts: []float64{math.NaN()}}},
		"gap of no beat": {{Beats: &pb.Beats{Offset: []int64{1}, AfterGap: []uint32{1}}}},
	} {
		if cut, err := Cut(chunks, MaxChunk); err == nil {
			t.Errorf("%s: %v", what, cut)
		}
	}
	if cut, err := Cut(nil, MaxChunk); err != nil || len(cut) != 0 {
		t.Error(cut, err)
	}
}
