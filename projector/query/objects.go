package query

import (
	"context"

	"healthledger/authz"
	"healthledger/projector/view"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// Objects returns, to the owner, objects of a type that is granted object by object, the
// newest first, with the names by which they are granted, and which of them a reader may see.
// Errors: *ArgumentError (type, from, to, predicate…, page_token), the context's,
// view.ErrClosed, and those of the view.
func (e *Engine) Objects(ctx context.Context, owner, reader authz.Scope, r *pb.ListObjectsRequest) (*pb.ListObjectsResponse, error) {
	t, err := parseType("type", r.GetType())
	if err != nil {
		return nil, err
	}
	if why := authz.WhyNoObjects(t); why != "" {
		return nil, refuse("type", t.Short(), why)
	}
	q, err := e.parseSamples(owner, &pb.QuerySamplesRequest{
		Types: []string{t.Short()}, From: r.GetFrom(), To: r.GetTo(), Predicate: r.GetPredicate(), Limit: r.GetLimit(), PageToken: r.GetPageToken(),
	})
	if err != nil {
		return nil, err
	}
	return answer(e, "list objects", func(s *view.Snapshot) (*pb.ListObjectsResponse, error) {
		list := &pb.ListObjectsResponse{}
		q.taking = func(source *view.Source, sample *pb.Sample) {
			list.Objects = append(list.Objects, storedObject(t, reader, source, sample))
		}
		page, err := q.run(ctx, s)
		list.NextPageToken = page.GetNextPageToken()
		return list, err
	})
}

func storedObject(t *catalog.Type, reader authz.Scope, source *view.Source, sample *pb.Sample) *pb.StoredObject {
	name := source.Object()
	_, readable := reader.Access(t.Code).Since(name.App, name.Name)
	return &pb.StoredObject{
		Name: &pb.ObjectName{App: name.App, Name: []byte(name.Name)}, Sample: sample,
		Readable: readable, Own: name.App == reader.Reader(),
	}
}
