package health

import (
	"math"
	"strconv"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"

	"google.golang.org/protobuf/proto"
)

// content of a chunk.
type content uint8

const (
	noContent content = iota
	locations
	microvolts
	beats
	quantities
	data
)

// contentOf returns what the payload of a type consists of.
func contentOf(t *catalog.Type) content {
	switch objectField(t) {
	case "workoutRoute":
		return locations
	case "electrocardiogram":
		return microvolts
	case "heartbeatSeries":
		return beats
	case "quantitySeries":
		return quantities
	case "clinicalRecord", "document", "visionPrescription", "importedElement":
		return data
	}
	return noContent
}

// Items returns how many items a chunk has: locations, voltages, beats, quantities, bytes.
func Items(c *pb.Chunk) int {
	return len(c.GetLocations().GetTime()) + len(c.GetMicrovolts()) + len(c.GetBeats().GetOffset()) +
		len(c.GetQuantities().GetOffset()) + len(c.GetData())
}

// CheckChunk checks a chunk of a payload of a type that goes ahead of its object. The
// error is a *FieldError, whose field is within "chunk".
func CheckChunk(t *catalog.Type, c *pb.Chunk) error {
	if err := in("chunk", checkChunk(t, c)); err != nil {
		return err
	}
	return nil
}

func checkChunk(t *catalog.Type, c *pb.Chunk) *FieldError {
	if c == nil || Items(c) == 0 {
		return refuse("", "", "a chunk without content")
	}
	if unknownWithin(c.ProtoReflect()) {
		return refuse("", "", whyUnknown)
	}
	if n := proto.Size(c); n > MaxChunk {
		return refuse("", strconv.Itoa(n), "a chunk of more than "+strconv.Itoa(MaxChunk)+" bytes")
	}
	has := map[content]bool{
		locations: c.Locations != nil, microvolts: len(c.Microvolts) > 0, beats: c.Beats != nil,
		quantities: c.Quantities != nil, data: len(c.Data) > 0,
	}
	for kind, there := range has {
		if there != (kind == contentOf(t)) {
			return refuse("", "", "not what the payload of a "+t.Short()+" consists of")
		}
	}
	return checkItems(c)
}

// payload checks the payload that came with a body, or the reference to one that went
// ahead.
func (s subject) payload(b *pb.Sample) *FieldError {
	if b.Upload == nil && len(b.Payload) == 0 {
		return s.needsPayload(b)
	}
	switch {
	case contentOf(s.typ) == noContent || objectOf(b) == nil:
		return refuse("payload", "", "a "+s.typ.Short()+" has none")
	case b.Upload != nil && len(b.Payload) > 0:
		return refuse("upload", "", "the payload came with the object already")
	case b.Upload != nil && len(b.Upload.Id) != 16:
		return refuse("upload.id", strconv.Itoa(len(b.Upload.Id)), "not 16 bytes")
	case b.Upload != nil && (b.Upload.Parts == 0 || b.Upload.Parts > MaxParts):
		return refuse("upload.parts", strconv.Itoa(int(b.Upload.Parts)), "not from 1 to "+strconv.Itoa(MaxParts))
	}
	lastBeat := int64(0)
	return each("payload", b.Payload, func(c *pb.Chunk) *FieldError {
		if err := checkChunk(s.typ, c); err != nil {
			return err
		}
		if offsets := c.GetBeats().GetOffset(); len(offsets) > 0 {
			if offsets[0] < lastBeat {
				return refuse("beats.offset", strconv.FormatInt(offsets[0], 10), whyOrder)
			}
			lastBeat = offsets[len(offsets)-1]
		}
		if s.policy.Importer {
			return nil
		}
		return s.holds(c)
	})
}

// needsPayload refuses a series of an app without what it is a series of. An importer
// may know of one whose file is gone.
func (s subject) needsPayload(b *pb.Sample) *FieldError {
	if s.policy.Importer || objectOf(b) == nil {
		return nil
	}
	switch contentOf(s.typ) {
	case locations, beats, quantities:
		return refuse("payload", "", "missing; a series is nothing without")
	}
	return nil
}

// holds checks that the items of a chunk lie within the time of the sample. The chunk
// was checked.
func (s subject) holds(c *pb.Chunk) *FieldError {
	t := int64(0)
	for _, delta := range c.GetLocations().GetTime() {
		if t += delta; !s.within(t, t) {
			return refuse("locations.time", show(t), "not within the sample")
		}
	}
	if offsets := c.GetBeats().GetOffset(); len(offsets) > 0 && offsets[len(offsets)-1] > s.end-s.start {
		return refuse("beats.offset", strconv.FormatInt(offsets[len(offsets)-1], 10), "after the end of the sample")
	}
	q := c.GetQuantities()
	for i, end := range q.GetOffset() {
		if len(q.Duration) > 0 {
			end += q.Duration[i]
		}
		if end > s.end-s.start {
			return refuse("quantities.offset", strconv.FormatInt(q.Offset[i], 10), "after the end of the sample, or it lasts until after")
		}
	}
	return nil
}

// checkItems checks the columns of a chunk.
func checkItems(c *pb.Chunk) *FieldError {
	switch {
	case c.Locations != nil:
		return in("locations", checkLocations(c.Locations))
	case c.Beats != nil:
		return in("beats", checkBeats(c.Beats))
	case c.Quantities != nil:
		return in("quantities", checkQuantities(c.Quantities))
	}
	for _, v := range c.Microvolts {
		if !finite(v) {
			return refuse("microvolts", decimal(v), "not a finite number")
		}
	}
	return nil
}

func checkLocations(l *pb.Locations) *FieldError {
	for _, column := range []struct {
		name   string
		values []float64
		need   bool
	}{
		{"latitude", l.Latitude, true}, {"longitude", l.Longitude, true}, {"altitude", l.Altitude, false},
		{"speed", l.Speed, false}, {"course", l.Course, false}, {"horizontalAccuracy", l.HorizontalAccuracy, false},
		{"verticalAccuracy", l.VerticalAccuracy, false},
	} {
		if n := len(l.Time); len(column.values) != n && (column.need || len(column.values) != 0) {
			return refuse(column.name, strconv.Itoa(len(column.values)), "has this length instead of "+strconv.Itoa(n))
		}
		for _, v := range column.values {
			if math.IsInf(v, 0) {
				return refuse(column.name, decimal(v), "not a finite number")
			}
		}
	}
	var t int64
	for i, delta := range l.Time {
		if delta < minMicros-t || delta > maxMicros-t {
			return refuse("time", "", whyRange)
		}
		t += delta
		if !(l.Latitude[i] >= -90 && l.Latitude[i] <= 90) {
			return refuse("latitude", decimal(l.Latitude[i]), "not within -90 and 90")
		}
		if !(l.Longitude[i] >= -180 && l.Longitude[i] <= 180) {
			return refuse("longitude", decimal(l.Longitude[i]), "not within -180 and 180")
		}
	}
	return nil
}

const whyOrder = "before the beat that comes before it"

func checkBeats(b *pb.Beats) *FieldError {
	last := int64(0)
	for _, offset := range b.Offset {
		if offset < last {
			return refuse("offset", strconv.FormatInt(offset, 10), whyOrder+", or before the start of the sample")
		}
		last = offset
	}
	if last > maxMicros {
		return refuse("offset", strconv.FormatInt(last, 10), whyRange)
	}
	for i, at := range b.AfterGap {
		if int64(at) >= int64(len(b.Offset)) || i > 0 && at <= b.AfterGap[i-1] {
			return refuse("afterGap", strconv.FormatUint(uint64(at), 10), "not an ascending index of a beat")
		}
	}
	return nil
}

func checkQuantities(q *pb.Quantities) *FieldError {
	n := len(q.Offset)
	switch {
	case len(q.Value) != n:
		return refuse("value", strconv.Itoa(len(q.Value)), "has this length instead of "+strconv.Itoa(n))
	case len(q.Duration) != n && len(q.Duration) != 0:
		return refuse("duration", strconv.Itoa(len(q.Duration)), "has this length instead of "+strconv.Itoa(n))
	}
	for i, v := range q.Value {
		if !finite(v) {
			return refuse("value", decimal(v), "not a finite number")
		}
		if q.Offset[i] < 0 || q.Offset[i] > maxMicros {
			return refuse("offset", strconv.FormatInt(q.Offset[i], 10), "before the start of the sample, or too late")
		}
		if len(q.Duration) > 0 && (q.Duration[i] < 0 || q.Duration[i] > maxMicros) {
			return refuse("duration", strconv.FormatInt(q.Duration[i], 10), "negative, or too long")
		}
	}
	return nil
}
