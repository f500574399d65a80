package client

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// drawSample draws an object that may have a payload of up to 900 kB, of its own or
// in its members.
func drawSample(r *rapid.T) *pb.Sample {
	start := health.Timestamp(rapid.Int64Range(0, 1e15).Draw(r, "start"))
	payload := func() (chunks []*pb.Chunk) {
		for n := rapid.IntRange(0, 3).Draw(r, "chunks"); n > 0; n-- {
			size := rapid.SampledFrom([]int{1, 1000, 50_000, health.MaxChunk - 8, 300_000}).Draw(r, "size")
			chunks = append(chunks, &pb.Chunk{Data: bytes.Repeat([]byte{byte(n)}, size)})
		}
		return chunks
	}
	beats := func() *pb.Chunk {
		b := &pb.Beats{}
		for i := range rapid.SampledFrom([]int{1, 1000, 20_000}).Draw(r, "beats") {
			b.Offset = append(b.Offset, int64(i)*800_000)
		}
		return &pb.Chunk{Beats: b}
	}
	switch rapid.IntRange(0, 3).Draw(r, "kind") {
	case 0:
		return &pb.Sample{Type: "stepCount", Start: start, Unit: "count", Value: proto.Float64(1)}
	case 1:
		return &pb.Sample{Type: "cda", Start: start, Object: &pb.Sample_Document{Document: &pb.Document{}}, Payload: payload()}
	case 2:
		w := &pb.Sample{Type: "workout", Start: start, Object: &pb.Sample_Workout{Workout: &pb.Workout{Activity: "running"}}}
		for n := rapid.IntRange(0, 3).Draw(r, "members"); n > 0; n-- {
			m := &pb.Sample{Type: "heartbeatSeries", Start: start, Object: &pb.Sample_HeartbeatSeries{HeartbeatSeries: &pb.HeartbeatSeries{}}}
			if rapid.Bool().Draw(r, "beating") {
				m.Payload = []*pb.Chunk{beats()}
			}
			w.Members = append(w.Members, m)
		}
		return w
	}
	return &pb.Sample{
		Type: "heartbeatSeries", Start: start, Object: &pb.Sample_HeartbeatSeries{HeartbeatSeries: &pb.HeartbeatSeries{}},
		Payload: []*pb.Chunk{beats()},
	}
}

// drawRequest brings objects as rows and as columns.
func drawRequest(r *rapid.T) *pb.SaveRequest {
	request := &pb.SaveRequest{RequestId: []byte("0123456789abcdef"), ByContent: rapid.Bool().Draw(r, "by content")}
	for n := rapid.IntRange(0, 3).Draw(r, "rows"); n > 0; n-- {
		request.Samples = append(request.Samples, drawSample(r))
	}
	builder := health.NewBuilder()
	for n := rapid.IntRange(0, 3).Draw(r, "in columns"); n > 0; n-- {
		s := drawSample(r)
		t, _ := catalog.Lookup(s.Type)
		start, _ := health.Micros(s.Start)
		row := health.Row{Start: start, End: start, Value: s.GetValue()}
		if s.Object != nil {
			body, err := health.AppendBody(nil, &pb.Sample{Object: s.Object, Members: s.Members, Payload: s.Payload})
			if err != nil {
				r.Fatal(err)
			}
			row.Body = body
		}
		builder.Add(t, s.Unit, nil, row)
	}
	request.Columns = builder.Take()
	return request
}

// whole puts the payloads back where they came from. Every upload must be used once.
func whole(r *rapid.T, request *pb.SaveRequest, uploads []upload) *pb.SaveRequest {
	back := func(s *pb.Sample, index int, prefix string) {
		if s.Upload == nil {
			return
		}
		at := slices.IndexFunc(uploads, func(u upload) bool { return u.index == index && u.prefix == prefix })
		if at < 0 || !bytes.Equal(uploads[at].id, s.Upload.Id) || len(uploads[at].parts) != int(s.Upload.Parts) || uploads[at].typ.Short() != s.Type && s.Type != "" {
			r.Fatalf("object %d names an upload that is not there", index)
		}
		s.Payload, s.Upload = uploads[at].parts, nil
		uploads = slices.Delete(slices.Clone(uploads), at, at+1)
	}
	all := func(s *pb.Sample, index int) {
		back(s, index, "")
		for i, m := range s.Members {
			back(m, index, fmt.Sprintf("members[%d].", i))
		}
	}
	request = proto.CloneOf(request)
	for i, s := range request.Samples {
		all(s, i)
	}
	index := len(request.Samples)
	for _, c := range request.Columns {
		for i, body := range c.Body {
			s, err := health.ParseBody(body)
			if err != nil {
				r.Fatal(err)
			}
			if s != nil {
				all(s, index+i)
				c.Body[i] = joined(r, s)
			}
		}
		index += health.Count(c)
	}
	if len(uploads) > 0 {
		r.Fatalf("%d uploads belong to nothing", len(uploads))
	}
	return request
}

// joined encodes a body with its payloads in normal chunks, so that how they were cut
// does not show.
func joined(r *rapid.T, s *pb.Sample) []byte {
	body, err := health.AppendBody(nil, recut(r, s))
	if err != nil {
		r.Fatal(err)
	}
	return body
}

func recut(r *rapid.T, s *pb.Sample) *pb.Sample {
	s = proto.CloneOf(s)
	for _, of := range append([]*pb.Sample{s}, s.Members...) {
		var err error
		if of.Payload, err = health.Cut(of.Payload, 1<<30); err != nil {
			r.Fatal(err)
		}
	}
	return s
}

// plain is a request with every payload in normal chunks.
func plain(r *rapid.T, request *pb.SaveRequest) *pb.SaveRequest {
	request = proto.CloneOf(request)
	for i, s := range request.Samples {
		request.Samples[i] = recut(r, s)
	}
	for _, c := range request.Columns {
		for i, body := range c.Body {
			s, err := health.ParseBody(body)
			if err != nil {
				r.Fatal(err)
			}
			if s != nil {
				c.Body[i] = joined(r, s)
			}
		}
	}
	return request
}

func TestWhatGoesAheadIsWhatIsMissing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		request := drawRequest(r)
		before := proto.CloneOf(request)
		sent, uploads, err := ahead(request)
		if err != nil {
			r.Fatal(err)
		}
		if !proto.Equal(request, before) {
			r.Fatal("the caller's request was changed")
		}
		if n := proto.Size(sent); n > maxTogether {
			r.Fatalf("%d bytes are sent together", n)
		}
		for _, s := range sent.Samples {
			if n := proto.Size(s); n > maxObject+1000 {
				r.Fatalf("an object of %d bytes", n)
			}
		}
		ids := map[string]bool{}
		for _, u := range uploads {
			if len(u.id) != 16 || ids[string(u.id)] && !request.ByContent {
				r.Fatal("not a name of its own")
			}
			ids[string(u.id)] = true
			for _, part := range u.parts {
				if err := health.CheckChunk(u.typ, part); err != nil {
					r.Fatal(err)
				}
			}
		}
		if got, want := plain(r, whole(r, sent, uploads)), plain(r, request); !proto.Equal(got, want) {
			r.Fatal("the request and what went ahead are not what was to be saved")
		}
		// Sent again, it goes under the same names.
		if again, _, err := ahead(request); err != nil || !proto.Equal(sent, again) {
			r.Fatal("repeated, it is another request", err)
		}
	})
}

// An import brings the same objects under other request ids and in other company.
func TestImportedPayloadsHaveTheSameNameWheneverTheyCome(t *testing.T) {
	document := &pb.Sample{
		Type: "cda", Start: health.Timestamp(77_000_000), Object: &pb.Sample_Document{Document: &pb.Document{}},
		Payload: []*pb.Chunk{{Data: make([]byte, 200_000)}, {Data: make([]byte, 150_000)}},
	}
	names := map[string]int{}
	note := func(request *pb.SaveRequest) {
		t.Helper()
		_, uploads, err := ahead(request)
		if err != nil || len(uploads) != 1 {
			t.Fatal(uploads, err)
		}
		names[string(uploads[0].id)]++
	}
	other := &pb.Sample{Type: "stepCount"}
	note(&pb.SaveRequest{RequestId: []byte("0123456789abcdef"), ByContent: true, Samples: []*pb.Sample{document}})
	note(&pb.SaveRequest{RequestId: []byte("fedcba9876543210"), ByContent: true, Samples: []*pb.Sample{other, document}})
	body, err := health.AppendBody(nil, &pb.Sample{Object: document.Object, Payload: []*pb.Chunk{{Data: make([]byte, 350_000)}}})
	if err != nil {
		t.Fatal(err)
	}
	typ, _ := catalog.Lookup("cda")
	builder := health.NewBuilder()
	builder.Add(typ, "", nil, health.Row{Start: 77_000_000, End: 77_000_000, Body: body})
	note(&pb.SaveRequest{ByContent: true, Columns: builder.Take()})
	if len(names) != 1 {
		t.Errorf("%d names", len(names))
	}
	note(&pb.SaveRequest{RequestId: []byte("0123456789abcdef"), Samples: []*pb.Sample{document}})
	note(&pb.SaveRequest{RequestId: []byte("fedcba9876543210"), Samples: []*pb.Sample{document}})
	note(&pb.SaveRequest{RequestId: []byte("fedcba9876543210"), Samples: []*pb.Sample{other, document}})
	if len(names) != 4 {
		t.Errorf("%d names where four are due", len(names))
	}
}

func TestMalformedPayloadIsRefusedByName(t *testing.T) {
	ragged := &pb.Locations{Time: make([]int64, 40_000), Latitude: make([]float64, 39_999), Longitude: make([]float64, 40_000)}
	route := &pb.Sample{Type: "workoutRoute", Object: &pb.Sample_WorkoutRoute{WorkoutRoute: &pb.WorkoutRoute{}}, Payload: []*pb.Chunk{{Locations: ragged}}}
	_, _, err := ahead(&pb.SaveRequest{Samples: []*pb.Sample{{}, {Type: "workout", Members: []*pb.Sample{{}, route}}}})
	d := rpc.Detail(err)
	if d.GetReason() != rpc.ReasonInvalidSample || d.GetIndex() != 1 || d.GetField() != "members[1].payload[0].locations.latitude" {
		t.Error(err, d)
	}
	route.Type = "mood"
	if _, _, err := ahead(&pb.SaveRequest{Samples: []*pb.Sample{route}}); rpc.Detail(err).GetField() != "type" {
		t.Error(err)
	}
	if err := invalid(errors.New("not UTF-8")); rpc.Reason(err) != rpc.ReasonInvalidArgument {
		t.Error(err)
	}
}
