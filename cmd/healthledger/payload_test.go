package main

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/proto/client"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// route is so many points a millisecond apart.
func route(count int) *pb.Sample {
	start := time.Date(2024, 5, 1, 10, 0, 0, 0, time.UTC)
	l := &pb.Locations{}
	for i := range count {
		l.Time = append(l.Time, 1000)
		l.Latitude = append(l.Latitude, 52+float64(i)/1e6)
		l.Longitude = append(l.Longitude, 13+float64(i)/1e6)
	}
	l.Time[0] = start.UnixMicro()
	return &pb.Sample{
		Type: "workoutRoute", Start: timestamppb.New(start), End: timestamppb.New(start.Add(time.Hour)),
		Object:  &pb.Sample_WorkoutRoute{WorkoutRoute: &pb.WorkoutRoute{}},
		Payload: []*pb.Chunk{{Locations: l}},
	}
}

// wantPayload reads the one sample of a type and its payload.
func wantPayload(t *testing.T, c *client.Client, want *pb.Sample) (token string) {
	t.Helper()
	found := 0
	for s, err := range c.QuerySamples(t.Context(), &pb.QuerySamplesRequest{Types: []string{want.GetType()}}) {
		if err != nil {
			t.Fatal(err)
		}
		found++
		token = s.GetPayloadToken()
		if len(s.GetPayload()) > 0 || s.GetUpload() != nil || token == "" {
			t.Fatalf("%s came with its payload, or without a token", want.GetType())
		}
	}
	if found != 1 {
		t.Fatalf("%d samples of %s", found, want.GetType())
	}
	var got []*pb.Chunk
	for chunk, err := range c.QueryPayload(t.Context(), want.GetType(), token) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, chunk)
	}
	whole, err := health.Cut(got, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(whole, want.GetPayload(), func(a, b *pb.Chunk) bool { return proto.Equal(a, b) }) {
		t.Fatalf("the payload of %s is another", want.GetType())
	}
	return token
}

// failed tells whether asking for a payload ended in an error, and with nothing before.
func failed(t *testing.T, c *client.Client, typeName, token string) bool {
	t.Helper()
	for chunk, err := range c.QueryPayload(t.Context(), typeName, token) {
		if err == nil {
			t.Fatalf("%d items", health.Items(chunk))
		}
		return true
	}
	return false
}

func TestLargePayloadComesBackAsItWasSavedToWhomItMay(t *testing.T) {
	s := newStore(t)
	s.serve()
	s.run("unlock")
	for _, app := range []string{"com.example.watch", "com.example.map", "com.example.game"} {
		s.addApp(app)
	}
	s.run("grant", "com.example.watch", "--share", "workoutRoute,visionPrescription")
	s.run("grant", "com.example.map", "--read", "workoutRoute")
	watch, reader, game := s.dial("com.example.watch"), s.dial("com.example.map"), s.dial("com.example.game")
	defer watch.Close()
	defer reader.Close()
	defer game.Close()

	// Both are larger than a request, and saved while nobody can read.
	s.run("lock", "--now")
	path := route(60_000)
	glasses := &pb.Sample{
		Type: "visionPrescription", Start: path.GetStart(),
		Object: &pb.Sample_VisionPrescription{VisionPrescription: &pb.VisionPrescription{
			Type:        "glasses",
			RightEye:    &pb.LensSpecification{Sphere: &pb.Quantity{Value: -1.5, Unit: "D"}},
			Attachments: []*pb.Attachment{{Identifier: "scan", Name: "scan.pdf", ContentType: "application/pdf", Size: 3 << 20}},
		}},
		Payload: []*pb.Chunk{{Data: make([]byte, 3<<20)}},
	}
	for i := range glasses.GetPayload()[0].GetData() {
		glasses.GetPayload()[0].GetData()[i] = byte(i * i >> 7)
	}
	resp, err := watch.Save(t.Context(), &pb.SaveRequest{Samples: []*pb.Sample{path, glasses}})
	if err != nil || resp.GetAccepted() != 2 {
		t.Fatal(resp, err)
	}
	s.run("unlock")
	token := wantPayload(t, watch, path)
	wantPayload(t, watch, glasses)
	wantPayload(t, reader, path)

	// A token is good for whom it was given, and for its type.
	if !failed(t, game, "workoutRoute", token) || !failed(t, reader, "workoutRoute", token) || !failed(t, watch, "visionPrescription", token) {
		t.Error("somebody else's token opened nothing, and no error was given")
	}
	s.run("revoke", "com.example.map", "--read", "workoutRoute")
	for range reader.QuerySamples(t.Context(), &pb.QuerySamplesRequest{Types: []string{"workoutRoute"}}) {
		t.Error("a route is seen without a grant")
	}
}
