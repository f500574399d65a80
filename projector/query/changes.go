package query

import (
	"context"
	"errors"
	"math"

	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/projector/view"
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// ErrResyncNeeded says that an anchor is too old, from a log that was longer, or sealed to a key
// that the store had before: the reader must begin again without one.
var ErrResyncNeeded = errors.New("the anchor cannot be followed any more")

// Changes returns what samples of a type were added and deleted since an anchor, as far as
// the scope may see them now. It answers at once, whether or not there is anything. What a
// grant has added since comes first, with what was deleted there; a revocation tells
// nothing. Errors: ErrResyncNeeded, *ArgumentError (type, anchor, from_now, predicate…),
// the context's, view.ErrClosed, and those of the view.
func (e *Engine) Changes(ctx context.Context, scope authz.Scope, r *pb.QueryChangesRequest) (*pb.QueryChangesResponse, error) {
	q, err := e.parseChanges(scope, r)
	if err != nil {
		return nil, err
	}
	return answer(e, "query changes", func(s *view.Snapshot) (*pb.QueryChangesResponse, error) { return q.run(ctx, s) })
}

// changesQuery is a well-formed request.
type changesQuery struct {
	options   *Options
	scope     authz.Scope
	typ       *catalog.Type
	codes     []uint32
	since     []int64
	objects   *authz.Objects // nil: the type is granted as a whole
	predicate *predicate
	context   []byte  // of anchors
	anchor    *anchor // nil: none yet
	fromNow   bool
	items     int
	bytes     int
}

func (e *Engine) parseChanges(scope authz.Scope, r *pb.QueryChangesRequest) (*changesQuery, error) {
	q := &changesQuery{options: &e.options, scope: scope, fromNow: r.GetFromNow(), items: pageSamples, bytes: e.pageBytes}
	var err error
	if q.typ, err = parseType("type", r.GetType()); err != nil {
		return nil, err
	}
	if q.predicate, err = parsePredicate(r.GetPredicate(), []*catalog.Type{q.typ}); err != nil {
		return nil, err
	}
	if limit := r.GetLimit(); limit > 0 {
		q.items = min(q.items, int(min(limit, math.MaxInt32)))
	}
	var access []uint32
	q.codes, access = anchorCodes(q.typ)
	q.since = sinceOf(scope, access)
	q.objects = scope.Access(q.typ.Code).Objects()
	q.context = anchorContext(scope, q.typ)
	if r.GetAnchor() == "" {
		return q, nil
	}
	if q.fromNow {
		return nil, refuse("from_now", "", "it is for a request without an anchor")
	}
	plain, ok := openToken(e.options.Tokens, q.context, r.GetAnchor())
	if ok {
		q.anchor, ok = readAnchor(plain, len(q.codes))
	}
	if !ok {
		if _, err := tokenText.DecodeString(r.GetAnchor()); err == nil && e.options.Rekeyed != nil && e.options.Rekeyed() {
			return nil, ErrResyncNeeded
		}
		return nil, refuse("anchor", "", "it is not from an answer about this type")
	}
	if e.options.Now().Sub(q.anchor.issued) > anchorHorizon {
		return nil, ErrResyncNeeded
	}
	return q, nil
}

func (q *changesQuery) run(ctx context.Context, snapshot *view.Snapshot) (*pb.QueryChangesResponse, error) {
	sequence := snapshot.Cursor().Sequence
	switch {
	case q.anchor == nil:
		q.anchor = newAnchor(q.since, sequence, q.fromNow)
		if q.objects != nil {
			q.anchor.bounds[0].before = unseen
		}
	case q.anchor.changes.Sequence > sequence, q.objects != nil && q.anchor.bounds[0].since > q.since[0]:
		return nil, ErrResyncNeeded
	case q.objects != nil:
		q.anchor.followObjects(q.since[0], q.objects)
	default:
		q.anchor.follow(q.since)
	}
	patience := &patience{ctx: ctx, snapshot: snapshot}
	p := &changesPage{query: q, writer: newWriter(q.scope, q.options, snapshot), answer: &pb.QueryChangesResponse{}, size: q.tokenBytes()}
	p.filter = q.predicate.bind(p.writer, patience)
	a := q.anchor
	if a.filling {
		feed := snapshot.Entered(q.regions(snapshot), a.changes.Sequence, !a.initial, a.filled, patience.spend)
		if err := p.fill(feed, &a.filled); err != nil {
			return nil, err
		}
		if !p.answer.More {
			a.complete()
		}
	}
	if !p.answer.More {
		feed := snapshot.Changes(q.sources(snapshot), a.changes, patience.spend)
		if err := p.fill(feed, &a.changes); err != nil {
			return nil, err
		}
		if !p.answer.More {
			a.changes = view.Point{Sequence: sequence, Whole: true}
		}
	}
	a.issued = q.options.Now()
	var err error
	p.answer.Anchor, err = sealToken(q.options.Tokens, q.context, a.appendTo(nil))
	return p.answer, err
}

// tokenBytes is room for the anchor.
func (q *changesQuery) tokenBytes() int { return tokenBytes + (anchorSize+16*len(q.codes))*4/3 }

func (q *changesQuery) sources(snapshot *view.Snapshot) []view.Source {
	var all []view.Source
	for _, code := range q.codes {
		all = append(all, snapshot.Sources(q.scope, code)...)
	}
	return all
}

// regions are what is to be filled in.
func (q *changesQuery) regions(snapshot *view.Snapshot) []view.Region {
	var regions []view.Region
	for i, code := range q.codes {
		sources := snapshot.Sources(q.scope, code)
		for j := range sources {
			bound := q.anchor.bounds[i]
			if q.objects != nil {
				if int64(sources[j].Granted()) > bound.before {
					regions = append(regions, view.Region{Source: &sources[j], Before: math.MaxInt64})
				}
				continue
			}
			own := q.scope.Reader() != 0 && sources[j].App() == q.scope.Reader()
			switch {
			case own && q.anchor.initial:
				regions = append(regions, view.Region{Source: &sources[j], Before: math.MaxInt64})
			case !own && bound.before > bound.since: // its own were never hidden
				regions = append(regions, view.Region{Source: &sources[j], Before: bound.before})
			}
		}
	}
	return regions
}

// changesPage is an answer in the making.
type changesPage struct {
	query  *changesQuery
	writer *writer
	filter *filter
	answer *pb.QueryChangesResponse
	size   int
}

// fill takes from a feed until the page is full, and notes where the page stands in it.
// There is more only if something is left that belongs into an answer.
func (p *changesPage) fill(feed *view.Feed, stand *view.Point) error {
	err := p.take(feed, stand)
	return errors.Join(err, feed.Close())
}

func (p *changesPage) take(feed *view.Feed, stand *view.Point) error {
	for feed.Next() {
		sample, deleted, err := p.item(feed)
		if err != nil {
			return err
		}
		n, bytes := len(p.answer.Samples)+len(p.answer.Deleted), 0
		switch {
		case sample != nil:
			bytes = messageBytes(sample)
		case deleted != nil:
			bytes = protowire.SizeTag(2) + protowire.SizeBytes(proto.Size(deleted))
		default:
			*stand = feed.At()
			continue
		}
		if p.size += bytes; n > 0 && (n >= p.query.items || p.size > p.query.bytes) {
			p.answer.More = true
			return nil
		}
		if *stand = feed.At(); sample != nil {
			p.answer.Samples = append(p.answer.Samples, sample)
		} else {
			p.answer.Deleted = append(p.answer.Deleted, deleted)
		}
	}
	return nil
}

// item makes the wire form of what the feed is at; neither if it belongs into no answer.
func (p *changesPage) item(feed *view.Feed) (*pb.Sample, *pb.DeletedObject, error) {
	source, s := feed.Source(), feed.Sample()
	if feed.At().Deleted {
		deleted, err := p.deleted(source, s)
		return nil, deleted, err
	}
	if fits, err := p.filter.matches(source, s); err != nil || !fits {
		return nil, nil, err
	}
	message, err := p.writer.sample(source, s)
	if err != nil || isCorrelation(source) && len(message.Members) == 0 {
		return nil, nil, err
	}
	return message, nil, nil
}

func (p *changesPage) deleted(source *view.Source, s *view.Sample) (*pb.DeletedObject, error) {
	id, err := p.writer.details.UUID(source.Type(), s)
	if err != nil {
		return nil, err
	}
	entries, err := p.writer.details.Metadata(s)
	if err != nil {
		return nil, err
	}
	d := &pb.DeletedObject{Uuid: uuid.UUID(id).String()}
	if identifier, version, ok := health.SyncOf(entries); ok {
		d.SyncIdentifier, d.SyncVersion = identifier, version
	}
	return d, nil
}
