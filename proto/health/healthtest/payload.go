package healthtest

import (
	"math"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"

	"pgregory.net/rapid"
)

// payload draws what an object consists of, in chunks. Apps bring all of it, importers
// may miss it.
func (m maker) payload(b *pb.Sample, row *health.Row) {
	if !m.app && !m.maybe("payload") {
		return
	}
	chunks := func(make func() *pb.Chunk) {
		for range m.between("chunks", 1, 2) {
			b.Payload = append(b.Payload, make())
		}
	}
	switch o := b.Object.(type) {
	case *pb.Sample_WorkoutRoute:
		chunks(func() *pb.Chunk { return &pb.Chunk{Locations: m.locations(row)} })
	case *pb.Sample_HeartbeatSeries:
		b.Payload = []*pb.Chunk{{Beats: m.beats(row)}}
	case *pb.Sample_QuantitySeries:
		chunks(func() *pb.Chunk { return &pb.Chunk{Quantities: m.quantities(row)} })
	case *pb.Sample_Electrocardiogram:
		chunks(func() *pb.Chunk {
			return &pb.Chunk{Microvolts: rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 4).Draw(m.T, "microvolts")}
		})
	case *pb.Sample_ClinicalRecord, *pb.Sample_Document:
		chunks(func() *pb.Chunk { return &pb.Chunk{Data: m.bytes()} })
	case *pb.Sample_VisionPrescription:
		m.attachments(b, o.VisionPrescription)
	}
}

func (m maker) bytes() []byte {
	return rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(m.T, "bytes")
}

func (m maker) attachments(b *pb.Sample, p *pb.VisionPrescription) {
	for i := range m.between("attachments", 0, 2) {
		data := m.bytes()
		p.Attachments = append(p.Attachments, &pb.Attachment{
			Identifier: string(rune('a' + i)), Name: m.text("file"), ContentType: "image/png", Size: uint64(len(data)),
		})
		b.Payload = append(b.Payload, &pb.Chunk{Data: data})
	}
}

func (m maker) locations(row *health.Row) *pb.Locations {
	l := &pb.Locations{}
	n, last := m.between("locations", 1, 4), int64(0)
	for range n {
		t := m.time("location", row.Start, row.End)
		l.Time = append(l.Time, t-last)
		last = t
	}
	l.Latitude = rapid.SliceOfN(rapid.Float64Range(-90, 90), n, n).Draw(m.T, "latitude")
	l.Longitude = rapid.SliceOfN(rapid.Float64Range(-180, 180), n, n).Draw(m.T, "longitude")
	if m.maybe("altitude") {
		l.Altitude = rapid.SliceOfN(rapid.SampledFrom([]float64{0, 1.5, math.NaN()}), n, n).Draw(m.T, "altitudes")
	}
	if m.maybe("course") {
		l.Course = rapid.SliceOfN(rapid.Float64Range(-1, 360), n, n).Draw(m.T, "courses")
	}
	return l
}

func (m maker) beats(row *health.Row) *pb.Beats {
	b := &pb.Beats{}
	at := int64(0)
	for i := range m.between("beats", 1, 5) {
		at = rapid.Int64Range(at, row.End-row.Start).Draw(m.T, "beat")
		b.Offset = append(b.Offset, at)
		if m.maybe("gap") {
			b.AfterGap = append(b.AfterGap, uint32(i))
		}
	}
	return b
}

func (m maker) quantities(row *health.Row) *pb.Quantities {
	q := &pb.Quantities{}
	lasting := m.maybe("lasting")
	for range m.between("quantities", 1, 4) {
		offset := rapid.Int64Range(0, row.End-row.Start).Draw(m.T, "offset")
		q.Offset = append(q.Offset, offset)
		q.Value = append(q.Value, m.real())
		if lasting {
			q.Duration = append(q.Duration, rapid.Int64Range(0, row.End-row.Start-offset).Draw(m.T, "duration"))
		}
	}
	return q
}
