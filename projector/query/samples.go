package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/projector/view"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

const (
	// pageBytes bounds a page; a single sample that is larger is a page of its own.
	pageBytes = 512 << 10
	// smallestSample has a UUID, a type, a start, an end, a value and a source.
	smallestSample = 64
	pageSamples    = pageBytes / smallestSample
	// tokenBytes is room for the page token.
	tokenBytes = 256
)

// Samples returns the samples of some types that the scope may see, that belong to the
// period and that fit the predicate, in the order that is asked for: by start, the newest
// first, unless the request says otherwise. Pages have at most 512 KiB. What is saved
// between two pages appears in later pages if its place is there, and nothing appears
// twice or is left out.
//
// Time is spent on what is read for a page: in order of time hardly more than it holds;
// with a predicate that few samples fit, or in order of value, all that lies in the period,
// for every page. Memory is bounded by the page.
//
// Errors: *ArgumentError (types, type, from, to, order, sort_by, match, predicate…,
// page_token), the context's, view.ErrClosed, and those of the view.
func (e *Engine) Samples(ctx context.Context, scope authz.Scope, r *pb.QuerySamplesRequest) (*pb.QuerySamplesResponse, error) {
	q, err := e.parseSamples(scope, r)
	if err != nil {
		return nil, err
	}
	return answer(e, "query samples", func(s *view.Snapshot) (*pb.QuerySamplesResponse, error) { return q.run(ctx, s) })
}

// samplesQuery is a well-formed request.
type samplesQuery struct {
	options   *Options
	scope     authz.Scope
	types     []*catalog.Type
	selection selection
	predicate *predicate
	context   []byte // of page tokens
	limit     uint32
	taken     uint32 // by the pages before
	bytes     int
	// taking, unless it is nil, is called with every sample of the answer.
	taking func(*view.Source, *pb.Sample)
}

func (e *Engine) parseSamples(scope authz.Scope, r *pb.QuerySamplesRequest) (*samplesQuery, error) {
	q := &samplesQuery{options: &e.options, scope: scope, limit: r.GetLimit(), bytes: e.pageBytes}
	var err error
	if q.types, err = parseTypes(r.GetTypes()); err != nil {
		return nil, err
	}
	if q.selection.period, err = parsePeriod(r.GetFrom(), r.GetTo()); err != nil {
		return nil, err
	}
	if q.selection.match, err = parseMatch(r.GetMatch()); err != nil {
		return nil, err
	}
	if q.selection.order, err = parseOrder(r); err != nil {
		return nil, err
	}
	if q.predicate, err = parsePredicate(r.GetPredicate(), q.types); err != nil {
		return nil, err
	}
	if q.context, err = q.pageContext(r.GetPredicate()); err != nil {
		return nil, err
	}
	if r.GetPageToken() != "" {
		p, err := openPage(e.options.Tokens, q.context, r.GetPageToken())
		if err != nil {
			return nil, err
		}
		q.selection.after, q.taken = &p.after, p.taken
	}
	q.selection.limit = pageSamples
	if q.limit > 0 {
		q.selection.limit = min(pageSamples, int(q.limit-min(q.limit, q.taken)))
	}
	return q, nil
}

// parseTypes returns the types with these names by code, each once.
func parseTypes(names []string) ([]*catalog.Type, error) {
	if len(names) == 0 {
		return nil, refuse("types", "", whyEmpty)
	}
	var types []*catalog.Type
	for i, name := range names {
		t, err := parseType(fmt.Sprintf("types[%d]", i), name)
		if err != nil {
			return nil, err
		}
		types = append(types, t)
	}
	slices.SortFunc(types, func(a, b *catalog.Type) int { return cmp.Compare(a.Code, b.Code) })
	return slices.Compact(types), nil
}

func (q *samplesQuery) run(ctx context.Context, snapshot *view.Snapshot) (*pb.QuerySamplesResponse, error) {
	w := newWriter(q.scope, q.options, snapshot)
	found := q.find(&patience{ctx: ctx, snapshot: snapshot}, w)
	answer, err := q.fill(found, w)
	return answer, errors.Join(err, found.close())
}

// found yields the samples of the answer in its order, a correlation perhaps several times
// in a row, and some of which nothing can be seen.
type found interface {
	take(*view.Sample, **view.Source) (bool, error)
	close() error
}

func (q *samplesQuery) find(p *patience, w *writer) found {
	filter, ids := q.predicate.bind(w, p), q.predicate.uuids()
	if ids != nil {
		return &shortlist{selection: q.selection, filter: filter, writer: w, each: func(call func(*view.Source, *view.Sample) error) error {
			return q.lookUp(p, w, ids, call)
		}}
	}
	var all []view.Source
	for _, t := range q.types {
		all = append(all, sources(w.snapshot, q.scope, t, q.selection.period)...)
	}
	if q.selection.order.by != pb.SortBy_SORT_BY_VALUE {
		return newMerge(p, &q.selection, w, filter, all)
	}
	return &shortlist{selection: q.selection, filter: filter, writer: w, each: func(call func(*view.Source, *view.Sample) error) error {
		return scanAll(p, q.selection.period, all, call)
	}}
}

// lookUp calls with the samples that have one of the UUIDs.
func (q *samplesQuery) lookUp(p *patience, w *writer, ids uuidTest, call func(*view.Source, *view.Sample) error) error {
	wanted := slices.Collect(maps.Keys(ids))
	for _, t := range q.types {
		if err := p.exhausted(); err != nil {
			return err
		}
		all, err := w.snapshot.ByUUID(q.scope, t.Code, wanted, p.spend)
		if err != nil {
			return err
		}
		for _, found := range all {
			if err := call(found.Source, found.Sample); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill takes samples until the page is full. The token tells where it ended only if
// there is more.
func (q *samplesQuery) fill(found found, w *writer) (*pb.QuerySamplesResponse, error) {
	answer := &pb.QuerySamplesResponse{}
	var last rank
	var sample view.Sample
	var source *view.Source
	for size := tokenBytes; ; { // of the answer
		if q.limit > 0 && q.taken >= q.limit {
			return answer, nil
		}
		more, err := found.take(&sample, &source)
		if err != nil || !more {
			return answer, err
		}
		if len(answer.Samples) > 0 && sample.Place == last.place && source.Type() == last.typeCode {
			continue // a correlation again, by way of another type
		}
		message, err := w.sample(source, &sample)
		if err != nil {
			return nil, err
		}
		if len(message.Members) == 0 && isCorrelation(source) {
			continue
		}
		size += messageBytes(message)
		if n := len(answer.Samples); n > 0 && (size > q.bytes || n >= pageSamples) {
			answer.NextPageToken, err = sealPage(q.options.Tokens, q.context, page{after: last, taken: q.taken})
			return answer, err
		}
		answer.Samples = append(answer.Samples, message)
		if q.taking != nil {
			q.taking(source, message)
		}
		last = w.rank(q.selection.order, source, &sample)
		q.taken++
	}
}

func isCorrelation(s *view.Source) bool {
	t, ok := catalog.ByCode(s.Type())
	return ok && t.Kind == catalog.Correlation
}

// messageBytes is what a sample adds to the answer.
func messageBytes(s *pb.Sample) int {
	return protowire.SizeTag(1) + protowire.SizeBytes(proto.Size(s))
}
