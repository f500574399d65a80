package query

import (
	"errors"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/projector/view"
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// writer makes the wire form of samples as a reader may see them.
type writer struct {
	scope    authz.Scope
	options  *Options
	snapshot *view.Snapshot
	details  *view.Details
	// origins as they go out, by what the view has.
	origins map[*pb.Source]*pb.Source
	units   converter
}

func newWriter(scope authz.Scope, options *Options, snapshot *view.Snapshot) *writer {
	return &writer{
		scope: scope, options: options, snapshot: snapshot, details: snapshot.Details(), origins: map[*pb.Source]*pb.Source{},
	}
}

// sample makes the wire form of a sample with its members.
func (w *writer) sample(source *view.Source, s *view.Sample) (*pb.Sample, error) {
	object, err := w.details.Object(source.App(), s)
	if err != nil {
		return nil, err
	}
	message, err := w.alone(source, s, object)
	if err != nil || object == nil {
		return message, err
	}
	err = w.details.Members(w.scope, object, func(source *view.Source, s *view.Sample) error {
		object, err := w.details.Object(source.App(), s)
		if err != nil {
			return err
		}
		member, err := w.alone(source, s, object)
		message.Members = append(message.Members, member)
		return err
	})
	return message, err
}

// errFound ends a search.
var errFound = errors.New("found")

// hasMembers says whether the reader sees a member of an object.
func (w *writer) hasMembers(source *view.Source, s *view.Sample) (bool, error) {
	object, err := w.details.Object(source.App(), s)
	if err != nil || object == nil {
		return false, err
	}
	err = w.details.Members(w.scope, object, func(*view.Source, *view.Sample) error { return errFound })
	if errors.Is(err, errFound) {
		return true, nil
	}
	return false, err
}

// alone makes the wire form of a sample without members.
func (w *writer) alone(source *view.Source, s *view.Sample, object *view.Object) (*pb.Sample, error) {
	typ, ok := catalog.ByCode(source.Type())
	if !ok {
		return nil, fmt.Errorf("%w: a sample of an unknown type", view.ErrFormat)
	}
	entries, err := w.details.Metadata(s)
	if err != nil {
		return nil, err
	}
	id, err := w.details.UUID(typ.Code, s)
	if err != nil {
		return nil, err
	}
	var body *pb.Sample
	if object != nil {
		body = object.Body
		r := redactor{scope: w.scope, app: source.App(), end: s.End}
		r.body(body)
	}
	message := health.Sample(typ, w.snapshot.Unit(s), w.origin(source), health.Row{
		Start: s.Start, End: s.End, Value: s.Value, Created: s.Created, HasCreated: s.HasCreated,
	}, body)
	message.Uuid, message.Metadata = uuid.UUID(id).String(), entries
	if object != nil && object.Chunks > 0 {
		message.PayloadToken, err = sealPayload(w.options.Tokens, w.scope, typ, source.Locate(s))
	}
	return message, err
}

// origin names the source with its app, or the app that an import brought with the
// importer. All samples of an answer share one message.
func (w *writer) origin(s *view.Source) *pb.Source {
	stored := s.Origin()
	if o, ok := w.origins[stored]; ok {
		return o
	}
	o := proto.CloneOf(stored)
	if writing := w.options.BundleID(s.App()); o.App == "" {
		o.App = writing
	} else {
		o.Importer = writing
	}
	w.origins[stored] = o
	return o
}
