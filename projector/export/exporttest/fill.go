package exporttest

import (
	"context"
	"crypto/sha256"
	"testing"

	"google.golang.org/protobuf/proto"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// Fill saves samples one by one.
func (s *Store) Fill(t testing.TB, samples ...*pb.Sample) {
	t.Helper()
	for _, one := range samples {
		one = proto.CloneOf(one)
		if err := s.sendAhead(one); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Save(t.Context(), &pb.SaveRequest{Samples: []*pb.Sample{one}}); err != nil {
			t.Fatal(err)
		}
	}
}

// sendAhead sends large payloads ahead, as the client does.
func (s *Store) sendAhead(one *pb.Sample) error {
	for _, o := range append([]*pb.Sample{one}, one.Members...) {
		if proto.Size(o) < health.MaxBody/4 || len(o.Payload) == 0 {
			continue
		}
		text, err := proto.MarshalOptions{Deterministic: true}.Marshal(o)
		if err != nil {
			return err
		}
		id := sha256.Sum256(text)
		for i, c := range o.Payload {
			if _, err := s.SavePart(context.Background(), &pb.SavePartRequest{Type: o.Type, Upload: id[:16], Number: uint32(i), Chunk: c}); err != nil {
				return err
			}
		}
		o.Upload, o.Payload = &pb.Upload{Id: id[:16], Parts: uint32(len(o.Payload))}, nil
	}
	return nil
}

// lighten does so for the samples in columns.
func (s *Store) lighten(columns []*pb.SampleColumns) error {
	for _, c := range columns {
		t, ok := catalog.ByCode(c.Type)
		for i, body := range c.Body {
			if !ok || len(body) < health.MaxBody/4 {
				continue
			}
			one, err := health.ParseBody(body)
			if err != nil {
				return err
			}
			one.Type = t.Short()
			if err := s.sendAhead(one); err != nil {
				return err
			}
			one.Type = ""
			if c.Body[i], err = health.AppendBody(nil, one); err != nil {
				return err
			}
		}
	}
	return nil
}
