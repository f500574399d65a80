package query

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/projector/view"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// Sources returns the sources of samples of a type that the scope may see, in the order in
// which statistics merge them; revisions and devices of a source follow each other. Errors:
// *ArgumentError (type), the context's, view.ErrClosed, and those of the view.
func (e *Engine) Sources(ctx context.Context, scope authz.Scope, r *pb.QuerySourcesRequest) (*pb.QuerySourcesResponse, error) {
	typ, err := parseType("type", r.GetType())
	if err != nil {
		return nil, err
	}
	return answer(e, "query sources", func(s *view.Snapshot) (*pb.QuerySourcesResponse, error) {
		return e.sources(ctx, s, scope, typ)
	})
}

func (e *Engine) sources(ctx context.Context, s *view.Snapshot, scope authz.Scope, t *catalog.Type) (*pb.QuerySourcesResponse, error) {
	answer := &pb.QuerySourcesResponse{}
	w := newWriter(scope, &e.options, s)
	for _, g := range e.groups(s, scope, t, always) {
		// In which order sources first came may tell of what the reader does not see.
		var variants [][]byte
		for i := range g.sources {
			if err := errors.Join(ctx.Err(), s.Err()); err != nil {
				return nil, err
			}
			seen, err := hasSample(&g.sources[i])
			if err != nil {
				return nil, err
			}
			if !seen {
				continue
			}
			variant, err := proto.MarshalOptions{Deterministic: true}.Marshal(w.origin(&g.sources[i]))
			if err != nil {
				return nil, fmt.Errorf("write a source: %w", err)
			}
			variants = append(variants, variant)
		}
		slices.SortFunc(variants, bytes.Compare)
		for _, variant := range slices.CompactFunc(variants, bytes.Equal) {
			source := &pb.Source{}
			if err := proto.Unmarshal(variant, source); err != nil {
				return nil, fmt.Errorf("write a source: %w", err)
			}
			answer.Sources = append(answer.Sources, source)
		}
	}
	return answer, nil
}

// hasSample says whether there is anything to see of a source: what there was may have
// been deleted.
func hasSample(source *view.Source) (bool, error) {
	scan, err := source.Scan(always.from, always.to)
	if err != nil {
		return false, err
	}
	ok := scan.Last()
	return ok, scan.Close()
}
