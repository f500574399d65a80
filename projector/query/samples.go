package query

import (
	"context"
	"errors"
	"math"
	"strconv"

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

// Samples returns the samples of a type that the scope may see and that overlap the
// period, by start, then end, then place in the log; the newest first unless the request
// says otherwise. Pages have at most 512 KiB. What is saved between two pages appears in
// later pages if its place is there, and nothing appears twice or is left out.
// Errors: *ArgumentError (type, from, to, order, page_token), the context's,
// view.ErrClosed, and those of the view.
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
	typ       *catalog.Type
	selection selection
	predicate *predicate
	context   []byte // of page tokens
	limit     uint32
	taken     uint32 // by the pages before
	bytes     int
}

func (e *Engine) parseSamples(scope authz.Scope, r *pb.QuerySamplesRequest) (*samplesQuery, error) {
	q := &samplesQuery{options: &e.options, scope: scope, limit: r.GetLimit(), bytes: e.pageBytes}
	var err error
	if len(r.GetTypes()) != 1 {
		return nil, refuse("types", "", "it must be one")
	}
	if q.typ, err = parseType(r.GetTypes()[0]); err != nil {
		return nil, err
	}
	if q.selection.period, err = parsePeriod(r.GetFrom(), r.GetTo()); err != nil {
		return nil, err
	}
	switch r.GetOrder() {
	case pb.Order_ORDER_UNSPECIFIED, pb.Order_ORDER_DESCENDING:
		q.selection.order.newest = true
	case pb.Order_ORDER_ASCENDING:
	default:
		return nil, refuse("order", strconv.Itoa(int(r.GetOrder())), "no such order")
	}
	if q.selection.match, err = parseMatch(r.GetMatch()); err != nil {
		return nil, err
	}
	if q.predicate, err = parsePredicate(r.GetPredicate(), []*catalog.Type{q.typ}); err != nil {
		return nil, err
	}
	q.context = pageContext(scope, q.typ, q.selection.period, q.limit, q.selection.order.newest)
	if r.GetPageToken() != "" {
		p, err := openPage(e.options.Tokens, q.context, r.GetPageToken())
		if err != nil {
			return nil, err
		}
		q.selection.after, q.taken = &p.after, p.taken
	}
	q.selection.limit = pageSamples
	switch {
	case q.typ.Kind == catalog.Correlation:
		// Some may turn out to have no members left, and then others count.
		q.selection.limit = math.MaxInt32
	case q.limit > 0:
		q.selection.limit = min(pageSamples, int(q.limit-min(q.limit, q.taken)))
	}
	return q, nil
}

func (q *samplesQuery) run(ctx context.Context, snapshot *view.Snapshot) (*pb.QuerySamplesResponse, error) {
	p := &patience{ctx: ctx, snapshot: snapshot}
	w := newWriter(q.scope, q.options, snapshot)
	m := newMerge(p, &q.selection, q.predicate.bind(w, p), sources(snapshot, q.scope, q.typ, q.selection.period))
	answer, err := q.fill(m, w)
	return answer, errors.Join(err, m.close())
}

// fill takes samples until the page is full. The token tells where it ended only if
// there is more.
func (q *samplesQuery) fill(m *merge, w *writer) (*pb.QuerySamplesResponse, error) {
	answer := &pb.QuerySamplesResponse{}
	var last view.Place
	var sample view.Sample
	var source *view.Source
	for size := tokenBytes; ; { // of the answer
		if q.limit > 0 && q.taken >= q.limit {
			return answer, nil
		}
		more, err := m.take(&sample, &source)
		if err != nil || !more {
			return answer, err
		}
		if q.typ.Kind == catalog.Correlation && len(answer.Samples) > 0 && sample.Place == last {
			continue // the same one again, by way of another type
		}
		message, err := w.sample(source, &sample)
		if err != nil {
			return nil, err
		}
		if q.typ.Kind == catalog.Correlation && len(message.Members) == 0 {
			continue
		}
		size += messageBytes(message)
		if n := len(answer.Samples); n > 0 && (size > q.bytes || n >= pageSamples) {
			answer.NextPageToken, err = sealPage(q.options.Tokens, q.context, page{after: last, taken: q.taken})
			return answer, err
		}
		answer.Samples = append(answer.Samples, message)
		last = sample.Place
		q.taken++
	}
}

// messageBytes is what a sample adds to the answer.
func messageBytes(s *pb.Sample) int {
	return protowire.SizeTag(1) + protowire.SizeBytes(proto.Size(s))
}
