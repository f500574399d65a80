package view

import (
	"bytes"
	"slices"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// syncMetadata are few identifiers and versions, in both families of keys, as numbers and
// as texts; the last three have one of the two only, or what is no version.
var syncMetadata = []*pb.Metadata{
	{Entries: []*pb.MetadataEntry{text("HKSyncIdentifier", "a"), number("HKSyncVersion", 1)}},
	{Entries: []*pb.MetadataEntry{text("HKMetadataKeySyncIdentifier", "a"), text("HKMetadataKeySyncVersion", "2")}},
	{Entries: []*pb.MetadataEntry{number("HKSyncVersion", 3), text("k", "v"), text("HKSyncIdentifier", "a")}},
	{Entries: []*pb.MetadataEntry{text("HKSyncIdentifier", "b"), text("HKSyncVersion", "-1")}},
	{Entries: []*pb.MetadataEntry{text("HKSyncIdentifier", "a")}},
	{Entries: []*pb.MetadataEntry{number("HKSyncVersion", 3)}},
	{Entries: []*pb.MetadataEntry{text("HKSyncIdentifier", "a"), number("HKSyncVersion", 2.5)}},
}

func text(key, value string) *pb.MetadataEntry {
	return &pb.MetadataEntry{Key: key, Value: &pb.MetadataEntry_Text{Text: value}}
}

func number(key string, value float64) *pb.MetadataEntry {
	return &pb.MetadataEntry{Key: key, Value: &pb.MetadataEntry_Number{Number: value}}
}

func drawPart(t *rapid.T) *pb.Event {
	p := &pb.PartSaved{
		App: rapid.Uint64Range(1, 2).Draw(t, "app"), Upload: bytes.Repeat([]byte{rapid.ByteRange(1, 2).Draw(t, "upload")}, 16),
		Number: rapid.Uint32Range(0, 1).Draw(t, "number"), Chunk: drawBeats(t),
	}
	if rapid.IntRange(0, 9).Draw(t, "of another kind") == 0 {
		p.Chunk = &pb.Chunk{Data: []byte("data")}
	}
	return &pb.Event{Body: &pb.Event_PartSaved{PartSaved: p}}
}

func drawBeats(t *rapid.T) *pb.Chunk {
	offsets := rapid.SliceOfN(rapid.Int64Range(0, 2), 1, 2).Draw(t, "offsets")
	slices.Sort(offsets)
	// Nothing else is saved: beats follow each other.
	b := &pb.Beats{Offset: slices.Compact(offsets)}
	if rapid.Bool().Draw(t, "gap") {
		b.AfterGap = []uint32{0}
	}
	return &pb.Chunk{Beats: b}
}

// drawObjects draws columns of a kind that has bodies.
func drawObjects(t *rapid.T) *pb.SampleColumns {
	name := rapid.SampledFrom([]string{"bloodPressure", "bloodPressure", "workout", "heartbeatSeries", "biologicalSex", "activitySummary",
		"visionPrescription", "userAnnotatedMedication", "medicationDoseEvent"}).Draw(t, "kind")
	c := &pb.SampleColumns{Type: mustType(name), Tick: 1_000_000, Source: rapid.SampledFrom(someSources).Draw(t, "source")}
	for range rapid.IntRange(1, 3).Draw(t, "objects") {
		c.Start, c.Duration = append(c.Start, rapid.Int64Range(0, 1).Draw(t, "start")), append(c.Duration, rapid.Int64Range(0, 2).Draw(t, "duration"))
		b, err := health.AppendBody(nil, drawBody(t, name))
		if err != nil {
			t.Fatal(err)
		}
		c.Body = append(c.Body, b)
	}
	drawBeside(t, c, len(c.Start))
	return c
}

func drawBody(t *rapid.T, name string) *pb.Sample {
	word := rapid.SampledFrom([]string{"running", "rowing"}).Draw(t, "word")
	switch name {
	case "bloodPressure":
		return &pb.Sample{Members: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *pb.Sample { return drawMember(t, "bloodPressure") }), 1, 3).Draw(t, "members")}
	case "workout":
		return &pb.Sample{
			Object:  &pb.Sample_Workout{Workout: &pb.Workout{Activity: word}},
			Members: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *pb.Sample { return drawMember(t, "workout") }), 0, 2).Draw(t, "members"),
		}
	case "heartbeatSeries":
		return drawSeries(t)
	case "biologicalSex":
		return &pb.Sample{Object: &pb.Sample_Characteristic{Characteristic: &pb.Characteristic{Value: &pb.Characteristic_Label{Label: word}}}}
	}
	if s := drawGrantable(name, rapid.SampledFrom([]string{"a", "b"}).Draw(t, "which")); s != nil {
		return s
	}
	return &pb.Sample{Object: &pb.Sample_ActivitySummary{ActivitySummary: &pb.ActivitySummary{
		Day: rapid.SampledFrom([]string{"2024-05-01", "2024-05-02"}).Draw(t, "day"),
	}}}
}

// drawGrantable makes the body of a type that is granted object by object, nil for others.
func drawGrantable(name, which string) *pb.Sample {
	switch name {
	case "visionPrescription":
		return &pb.Sample{Object: &pb.Sample_VisionPrescription{VisionPrescription: &pb.VisionPrescription{Type: "contacts", Brand: which}}}
	case "userAnnotatedMedication":
		return &pb.Sample{Object: &pb.Sample_Medication{Medication: &pb.Medication{Concept: which, Name: which}}}
	case "medicationDoseEvent":
		return &pb.Sample{Object: &pb.Sample_MedicationDoseEvent{MedicationDoseEvent: &pb.MedicationDoseEvent{Medication: which, Status: "taken"}}}
	}
	return nil
}

func drawSeries(t *rapid.T) *pb.Sample {
	s := &pb.Sample{Object: &pb.Sample_HeartbeatSeries{HeartbeatSeries: &pb.HeartbeatSeries{}}}
	switch rapid.IntRange(0, 2).Draw(t, "payload") {
	case 0:
		s.Payload = rapid.SliceOfN(rapid.Custom(drawBeats), 1, 2).Draw(t, "chunks")
	case 1:
		s.Upload = &pb.Upload{Id: bytes.Repeat([]byte{rapid.ByteRange(1, 2).Draw(t, "upload")}, 16), Parts: rapid.Uint32Range(1, 2).Draw(t, "parts")}
	}
	return s
}

// drawMember draws a member with a number that top-level samples have too, or a series.
func drawMember(t *rapid.T, whole string) *pb.Sample {
	names := []string{"bloodPressureSystolic", "bloodPressureDiastolic"}
	if whole == "workout" {
		names = []string{"bloodPressureSystolic", "heartbeatSeries"}
	}
	m := &pb.Sample{Type: rapid.SampledFrom(names).Draw(t, "type")}
	if m.Type == "heartbeatSeries" {
		m = drawSeries(t)
		m.Type = "heartbeatSeries"
	} else {
		m.Value, m.Unit = proto.Float64(rapid.Float64Range(0, 1).Draw(t, "value")), "m"
		if rapid.IntRange(0, 3).Draw(t, "common value") > 0 {
			m.Value = proto.Float64(1)
		}
	}
	start := 1_000_000 * rapid.Int64Range(0, 2).Draw(t, "start")
	m.Start, m.End = health.Timestamp(start), health.Timestamp(start+1_000_000*rapid.Int64Range(0, 2).Draw(t, "duration"))
	m.Source = rapid.SampledFrom(someSources).Draw(t, "source")
	switch rapid.IntRange(0, 3).Draw(t, "metadata") {
	case 0:
		m.Metadata = rapid.SampledFrom(syncMetadata).Draw(t, "sync").Entries
	case 1:
		m.Metadata = someMetadata[0].Entries
	}
	if rapid.IntRange(0, 5).Draw(t, "uuid") == 0 {
		m.Uuid = "0000000" + rapid.SampledFrom([]string{"1", "2"}).Draw(t, "uuid") + "-0000-0000-0000-000000000000"
	}
	return m
}

// drawTwins draws top-level samples that members repeat, or are repeated by.
func drawTwins(t *rapid.T) *pb.SampleColumns {
	c := &pb.SampleColumns{
		Type: rapid.SampledFrom([]uint32{13, 14}).Draw(t, "type"), Unit: "m", Tick: 1_000_000,
		Source: rapid.SampledFrom(someSources).Draw(t, "source"),
	}
	n := rapid.IntRange(1, 4).Draw(t, "samples")
	last := int64(0)
	for range n {
		start := rapid.Int64Range(0, 2).Draw(t, "start")
		c.Start, c.Mantissa = append(c.Start, start-last), append(c.Mantissa, 0)
		c.Duration = append(c.Duration, rapid.Int64Range(0, 2).Draw(t, "duration"))
		last = start
	}
	c.Mantissa[0] = 1
	drawBeside(t, c, n)
	return c
}

// drawBeside draws metadata and UUIDs, mostly none.
func drawBeside(t *rapid.T, c *pb.SampleColumns, n int) {
	if rapid.Bool().Draw(t, "metadatas") {
		c.Metadata = rapid.Permutation(append(syncMetadata, someMetadata...)).Draw(t, "order")[:3]
		for range n {
			c.MetadataIndex = append(c.MetadataIndex, rapid.Uint32Range(0, 3).Draw(t, "metadata"))
		}
	}
	if rapid.IntRange(0, 5).Draw(t, "uuids") == 0 {
		for range n {
			id := make([]byte, 16)
			id[3] = rapid.ByteRange(1, 2).Draw(t, "uuid")
			c.Uuid = append(c.Uuid, id...)
		}
	}
}

func mustType(name string) uint32 {
	t, ok := catalog.Lookup(name)
	if !ok {
		panic(name)
	}
	return t.Code
}
