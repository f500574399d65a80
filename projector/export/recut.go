package export

import (
	"iter"
	"math"
	"slices"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// chunkSize is the size of the chunks of an export. It is part of what an export looks
// like and never changes.
const chunkSize = health.MaxChunk

// recut yields the same payload in chunks of chunkSize. Columns that say nothing are left
// out, so that equal payloads become equal chunks.
func recut(chunks iter.Seq2[*pb.Chunk, error]) iter.Seq2[*pb.Chunk, error] {
	return func(yield func(*pb.Chunk, error) bool) {
		// What has been cut stays cut when more follows, but for the last chunk.
		var last []*pb.Chunk
		for c, err := range chunks {
			var cut []*pb.Chunk
			if err == nil {
				cut, err = health.Cut(append(last, c), chunkSize)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			full := max(len(cut)-1, 0)
			for _, c := range cut[:full] {
				if !yield(tidy(c), nil) {
					return
				}
			}
			last = cut[full:]
		}
		for _, c := range last {
			if !yield(tidy(c), nil) {
				return
			}
		}
	}
}

// tidy takes out columns that say nothing.
func tidy(c *pb.Chunk) *pb.Chunk {
	if l := c.GetLocations(); l != nil {
		for _, column := range []*[]float64{&l.Altitude, &l.Speed, &l.Course, &l.HorizontalAccuracy, &l.VerticalAccuracy} {
			if !slices.ContainsFunc(*column, func(v float64) bool { return !math.IsNaN(v) }) {
				*column = nil
			}
		}
	}
	if q := c.GetQuantities(); q != nil && !slices.ContainsFunc(q.Duration, func(d int64) bool { return d != 0 }) {
		q.Duration = nil
	}
	return c
}
