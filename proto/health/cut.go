package health

import (
	"math"
	"strconv"

	pb "healthledger/proto/healthledger/v1"
)

// Bytes that an item takes at most in an encoded chunk, and the tags and lengths around.
const (
	locationBytes = 10 + 7*8
	beatBytes     = 10 + 5
	quantityBytes = 10 + 10 + 8
	chunkFrame    = 64
)

// Cut returns the items of a payload in chunks of at most size bytes, of which there are
// as few as size allows or nearly so: how a payload was cut means nothing (see pb.Chunk), and
// payloads of the same items give the same chunks. The size must be some hundred bytes at
// least. Bytes may be shared with the argument, which is not changed. The error is a
// *FieldError for a payload that is not one.
func Cut(chunks []*pb.Chunk, size int) ([]*pb.Chunk, error) {
	kind := noContent
	for i, c := range chunks {
		found, err := contentIn(c)
		if err != nil {
			return nil, in("payload["+strconv.Itoa(i)+"]", err)
		}
		if kind != noContent && kind != found {
			return nil, refuse("payload", "", "its chunks are of several kinds")
		}
		kind = found
	}
	switch kind {
	case locations:
		return split(joinLocations(chunks), (size-chunkFrame)/locationBytes), nil
	case microvolts:
		return split(joinMicrovolts(chunks), (size-chunkFrame)/8), nil
	case beats:
		return split(joinBeats(chunks), (size-chunkFrame)/beatBytes), nil
	case quantities:
		return split(joinQuantities(chunks), (size-chunkFrame)/quantityBytes), nil
	case data:
		return split(joinData(chunks), size-chunkFrame), nil
	}
	return nil, nil
}

// contentIn returns what a chunk consists of, after a check of its items.
func contentIn(c *pb.Chunk) (content, *FieldError) {
	var found []content
	for kind, there := range []bool{
		locations: c.GetLocations() != nil, microvolts: len(c.GetMicrovolts()) > 0, beats: c.GetBeats() != nil,
		quantities: c.GetQuantities() != nil, data: len(c.GetData()) > 0,
	} {
		if there {
			found = append(found, content(kind))
		}
	}
	switch {
	case len(found) != 1 || Items(c) == 0:
		return noContent, refuse("", strconv.Itoa(len(found)), "a chunk has items of one kind, and at least one")
	case unknownWithin(c.ProtoReflect()):
		return noContent, refuse("", "", whyUnknown)
	}
	return found[0], checkItems(c)
}

// series is a payload in one piece, part of which can be taken out.
type series struct {
	count int
	part  func(from, to int) *pb.Chunk
}

func split(s series, most int) []*pb.Chunk {
	chunks := make([]*pb.Chunk, 0, (s.count+most-1)/most)
	for from := 0; from < s.count; from += most {
		chunks = append(chunks, s.part(from, min(from+most, s.count)))
	}
	return chunks
}

func joinData(chunks []*pb.Chunk) series {
	all := chunks[0].Data
	if len(chunks) > 1 {
		all = nil
		for _, c := range chunks {
			all = append(all, c.Data...)
		}
	}
	return series{len(all), func(from, to int) *pb.Chunk { return &pb.Chunk{Data: all[from:to]} }}
}

func joinMicrovolts(chunks []*pb.Chunk) series {
	var all []float64
	for _, c := range chunks {
		all = append(all, c.Microvolts...)
	}
	return series{len(all), func(from, to int) *pb.Chunk { return &pb.Chunk{Microvolts: all[from:to]} }}
}

func joinBeats(chunks []*pb.Chunk) series {
	var offset []int64
	var gap []bool
	for _, c := range chunks {
		before := len(offset)
		offset = append(offset, c.Beats.Offset...)
		gap = append(gap, make([]bool, len(c.Beats.Offset))...)
		for _, at := range c.Beats.AfterGap {
			gap[before+int(at)] = true
		}
	}
	return series{len(offset), func(from, to int) *pb.Chunk {
		b := &pb.Beats{Offset: offset[from:to]}
		for i, after := range gap[from:to] {
			if after {
				b.AfterGap = append(b.AfterGap, uint32(i))
			}
		}
		return &pb.Chunk{Beats: b}
	}}
}

func joinQuantities(chunks []*pb.Chunk) series {
	all := &pb.Quantities{}
	points := true
	for _, c := range chunks {
		q := c.Quantities
		all.Offset, all.Value = append(all.Offset, q.Offset...), append(all.Value, q.Value...)
		all.Duration = append(all.Duration, q.Duration...)
		all.Duration = append(all.Duration, make([]int64, len(all.Offset)-len(all.Duration))...)
		points = points && len(q.Duration) == 0
	}
	if points {
		all.Duration = nil
	}
	return series{len(all.Offset), func(from, to int) *pb.Chunk {
		return &pb.Chunk{Quantities: &pb.Quantities{
			Offset: all.Offset[from:to], Duration: window(all.Duration, from, to), Value: all.Value[from:to],
		}}
	}}
}

// optional are the columns of locations that may be absent.
func optional(l *pb.Locations) []*[]float64 {
	return []*[]float64{&l.Altitude, &l.Speed, &l.Course, &l.HorizontalAccuracy, &l.VerticalAccuracy}
}

func joinLocations(chunks []*pb.Chunk) series {
	all := &pb.Locations{}
	for _, c := range chunks {
		l := c.Locations
		var at int64
		for _, delta := range l.Time {
			at += delta
			all.Time = append(all.Time, at)
		}
		all.Latitude, all.Longitude = append(all.Latitude, l.Latitude...), append(all.Longitude, l.Longitude...)
		columns := optional(all)
		for i, column := range optional(l) {
			if len(*column) == 0 && len(*columns[i]) == 0 {
				continue
			}
			// Where other chunks have the column and this one or those before have not.
			*columns[i] = unknown(*columns[i], len(all.Time)-len(l.Time))
			*columns[i] = unknown(append(*columns[i], *column...), len(all.Time))
		}
	}
	for _, column := range optional(all) {
		if len(*column) > 0 {
			*column = unknown(*column, len(all.Time))
		}
	}
	return series{len(all.Time), func(from, to int) *pb.Chunk { return &pb.Chunk{Locations: locationsWithin(all, from, to)} }}
}

// locationsWithin cuts out of locations whose times are absolute.
func locationsWithin(all *pb.Locations, from, to int) *pb.Locations {
	part := &pb.Locations{
		Time: make([]int64, to-from), Latitude: all.Latitude[from:to], Longitude: all.Longitude[from:to],
	}
	var before int64
	for i, at := range all.Time[from:to] {
		part.Time[i], before = at-before, at
	}
	columns := optional(part)
	for i, column := range optional(all) {
		*columns[i] = window(*column, from, to)
	}
	return part
}

// unknown fills a column up with NaN, which says that a value is missing.
func unknown(column []float64, length int) []float64 {
	for len(column) < length {
		column = append(column, math.NaN())
	}
	return column
}

// window is part of a column that may be absent.
func window[T any](column []T, from, to int) []T {
	if len(column) == 0 {
		return nil
	}
	return column[from:to]
}
