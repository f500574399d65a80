package query

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	"healthledger/proto/health/healthtest"
	pb "healthledger/proto/healthledger/v1"
)

// asSaved undoes what the ledger adds to a sample on its way out, its payload aside.
func asSaved(s *pb.Sample) *pb.Sample {
	s = proto.CloneOf(s)
	for _, m := range append([]*pb.Sample{s}, s.Members...) {
		m.Uuid, m.PayloadToken, m.Payload, m.Upload, m.Label = "", "", nil, nil, ""
		if m.Source.App == bundleID(anna) {
			m.Source.App = ""
		}
		m.Source.Importer = ""
		body := m.ProtoReflect()
		if field := body.WhichOneof(body.Descriptor().Oneofs().ByName("object")); field != nil {
			object := body.Mutable(field).Message()
			for _, name := range []protoreflect.Name{"count", "size"} {
				if counted := object.Descriptor().Fields().ByName(name); counted != nil {
					object.Clear(counted)
				}
			}
		}
	}
	return s
}

// Whatever may be saved, of any type, comes back as it is, and its payload with it.
func TestEveryTypeComesBack(t *testing.T) {
	scope := grants(t, nil).OwnerScope()
	for _, typ := range catalog.All() {
		t.Run(typ.Short(), func(t *testing.T) {
			for n := range examples {
				sample := rapid.Custom(func(r *rapid.T) *pb.Sample { return healthtest.Sample(r, typ) }).Example(n)
				columns, err := health.Columns([]*pb.Sample{sample}, healthtest.Importer)
				if err != nil {
					t.Fatal(err)
				}
				s := newStore(t)
				s.apply(t, anna, columns)
				answer, err := s.engine.Samples(context.Background(), scope, &pb.QuerySamplesRequest{Types: []string{typ.Short()}})
				if err != nil {
					t.Fatal(err)
				}
				if len(answer.GetSamples()) != 1 {
					t.Fatalf("%d samples", len(answer.GetSamples()))
				}
				checkSaved(t, s, sample, answer.GetSamples()[0])
				s.close(t)
			}
		})
	}
}

func checkSaved(r testing.TB, s *store, sample, got *pb.Sample) {
	r.Helper()
	want := proto.CloneOf(sample)
	want.Members = nil
	if want.Source == nil {
		want.Source = &pb.Source{}
	}
	for _, m := range sample.Members {
		if m = proto.CloneOf(m); m.Source == nil {
			m.Source = proto.CloneOf(want.Source)
		}
		want.Members = append(want.Members, m)
	}
	if want, got := asSaved(want), asSaved(got); !proto.Equal(want, got) {
		r.Fatal(cmp.Diff(want, got, protocmp.Transform(), cmpopts.EquateNaNs()))
	}
	if (len(sample.Payload) > 0) != (got.PayloadToken != "") {
		r.Fatalf("%d chunks, token %q", len(sample.Payload), got.PayloadToken)
	}
	if got.PayloadToken == "" {
		return
	}
	chunks := payloadOf(r, s, grants(r, nil).OwnerScope(), got.Type, got.PayloadToken)
	if !proto.Equal(&pb.Sample{Payload: sample.Payload}, &pb.Sample{Payload: chunks}) {
		r.Fatal(cmp.Diff(sample.Payload, chunks, protocmp.Transform(), cmpopts.EquateNaNs()))
	}
}
