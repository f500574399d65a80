package query

import (
	"context"
	"errors"

	"github.com/google/uuid"

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
		page, err := q.run(ctx, s)
		if err != nil {
			return nil, err
		}
		list := &objectList{writer: newWriter(owner, q.options, s), typ: t, reader: reader}
		found, err := s.ByUUID(owner, t.Code, idsOf(page.GetSamples()), func() error { return errors.Join(ctx.Err(), s.Err()) })
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			if err := list.add(f); err != nil {
				return nil, err
			}
		}
		return list.answer(page), nil
	})
}

func idsOf(samples []*pb.Sample) (ids [][16]byte) {
	for _, s := range samples {
		ids = append(ids, uuid.MustParse(s.GetUuid()))
	}
	return ids
}

// objectList finds out the names of the objects of a page.
type objectList struct {
	writer *writer
	typ    *catalog.Type
	reader authz.Scope
	// byUUID are those of the page: apps may give the same UUIDs.
	byUUID map[string][]*pb.StoredObject
}

func (l *objectList) add(f view.Found) error {
	sample, err := l.writer.sample(f.Source, f.Sample)
	if err != nil {
		return err
	}
	name := f.Source.Object()
	_, readable := l.reader.Access(l.typ.Code).Since(name.App, name.Name)
	if l.byUUID == nil {
		l.byUUID = map[string][]*pb.StoredObject{}
	}
	l.byUUID[sample.GetUuid()] = append(l.byUUID[sample.GetUuid()], &pb.StoredObject{
		Name: &pb.ObjectName{App: name.App, Name: []byte(name.Name)}, Sample: sample,
		Readable: readable, Own: name.App == l.reader.Reader(),
	})
	return nil
}

// answer puts them in the order of the page.
func (l *objectList) answer(page *pb.QuerySamplesResponse) *pb.ListObjectsResponse {
	resp := &pb.ListObjectsResponse{NextPageToken: page.GetNextPageToken()}
	for _, s := range page.GetSamples() {
		resp.Objects = append(resp.Objects, l.byUUID[s.GetUuid()]...)
		delete(l.byUUID, s.GetUuid())
	}
	return resp
}
