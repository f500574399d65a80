// Package export is what the exporters have in common: how they read a store, in what
// order, and what they report.
//
// An exporter is a reader like any other. It asks through the client, as an app or as
// the owner, and writes what the answers hold; it never sees the view, and what its
// reader may not read is not in its files.
//
// The order of an export does not depend on the log: samples of a type stand by start,
// end and UUID, and payloads are cut anew, at fixed numbers of items.
package export

import (
	"cmp"
	"context"
	"iter"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// Reader is who may read; the client is one.
type Reader interface {
	// QuerySamples yields the samples that a request asks for, and ends after an error.
	QuerySamples(ctx context.Context, req *pb.QuerySamplesRequest) iter.Seq2[*pb.Sample, error]
	// QueryPayload yields the payload that a sample's token opens, and ends after an error.
	QueryPayload(ctx context.Context, typeName, token string) iter.Seq2[*pb.Chunk, error]
}

// Selection says what to export. The zero Selection is everything.
type Selection struct {
	// Types to export; empty: all.
	Types []*catalog.Type
	// From and To bound a period, which samples overlap; nil: no bound.
	From, To *timestamppb.Timestamp
}

// Has says whether a type is exported.
func (s *Selection) Has(t *catalog.Type) bool {
	return len(s.Types) == 0 || slices.Contains(s.Types, t)
}

// All returns the types that are exported, by code.
func (s *Selection) All() []*catalog.Type {
	return slices.DeleteFunc(catalog.All(), func(t *catalog.Type) bool { return !s.Has(t) })
}

// Samples yields the samples of a type in the order of an export, without what is said
// to this reader only: who imported them.
func (s *Selection) Samples(ctx context.Context, r Reader, t *catalog.Type) iter.Seq2[*pb.Sample, error] {
	request := &pb.QuerySamplesRequest{Types: []string{t.Short()}, From: s.From, To: s.To, Order: pb.Order_ORDER_ASCENDING}
	return func(yield func(*pb.Sample, error) bool) {
		// Samples that start together, of which there are few, are put in order here.
		var together []*pb.Sample
		flush := func() bool {
			slices.SortFunc(together, byEnd)
			for _, one := range together {
				if !yield(one, nil) {
					return false
				}
			}
			together = together[:0]
			return true
		}
		for one, err := range r.QuerySamples(ctx, request) {
			if err != nil {
				yield(nil, err)
				return
			}
			if len(together) > 0 && !proto.Equal(together[0].GetStart(), one.GetStart()) && !flush() {
				return
			}
			forgetImporter(one)
			together = append(together, one)
		}
		flush()
	}
}

func byEnd(a, b *pb.Sample) int {
	return cmp.Or(
		cmp.Compare(a.GetEnd().GetSeconds(), b.GetEnd().GetSeconds()),
		cmp.Compare(a.GetEnd().GetNanos(), b.GetEnd().GetNanos()),
		cmp.Compare(a.GetUuid(), b.GetUuid()),
		cmp.Compare(a.GetSource().GetApp(), b.GetSource().GetApp()),
	)
}

// forgetImporter takes out what the ledger says to whom reads, not about what was measured.
func forgetImporter(s *pb.Sample) {
	if s.Source != nil {
		s.Source.Importer = ""
	}
	for _, m := range s.Members {
		forgetImporter(m)
	}
}

// ForgetCounts takes out what the ledger counts for itself, and refuses to be told.
func ForgetCounts(s *pb.Sample) {
	switch o := s.Object.(type) {
	case *pb.Sample_WorkoutRoute:
		o.WorkoutRoute.Count = 0
	case *pb.Sample_HeartbeatSeries:
		o.HeartbeatSeries.Count = 0
	case *pb.Sample_QuantitySeries:
		o.QuantitySeries.Count = 0
	case *pb.Sample_Electrocardiogram:
		o.Electrocardiogram.Count = 0
	case *pb.Sample_ClinicalRecord:
		o.ClinicalRecord.Size = 0
	case *pb.Sample_Document:
		o.Document.Size = 0
	}
}

// Payload yields the payload of a sample, cut anew; nothing if it has none.
func Payload(ctx context.Context, r Reader, s *pb.Sample) iter.Seq2[*pb.Chunk, error] {
	if s.GetPayloadToken() == "" {
		return func(func(*pb.Chunk, error) bool) {}
	}
	return recut(r.QueryPayload(ctx, s.GetType(), s.GetPayloadToken()))
}

// Start returns when a sample starts in microseconds since the Unix epoch.
func Start(s *pb.Sample) int64 { return micros(s.GetStart()) }

// End returns when a sample ends.
func End(s *pb.Sample) int64 { return micros(s.GetEnd()) }

func micros(ts *timestamppb.Timestamp) int64 {
	t, _ := health.Micros(ts) // what the ledger answers is a time
	return t
}
