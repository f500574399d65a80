package query

import (
	"context"
	"encoding/binary"
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/projector/view"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// Payload returns the payload of a sample that Samples gave a token for, in pages of at
// most 512 KiB. Every page is for what the scope may see now: a token of anything else is
// like one that was never given. Errors: *ArgumentError (type, payload_token, page_token),
// the context's, view.ErrClosed, and those of the view.
func (e *Engine) Payload(ctx context.Context, scope authz.Scope, r *pb.QueryPayloadRequest) (*pb.QueryPayloadResponse, error) {
	q, err := e.parsePayload(scope, r)
	if err != nil {
		return nil, err
	}
	return answer(e, "query payload", func(s *view.Snapshot) (*pb.QueryPayloadResponse, error) { return q.run(ctx, s) })
}

// payloadQuery is a well-formed request.
type payloadQuery struct {
	tokens  Tokens
	scope   authz.Scope
	sample  view.Locator
	context []byte // of page tokens
	next    uint32 // the first chunk of the page
	bytes   int
}

func (e *Engine) parsePayload(scope authz.Scope, r *pb.QueryPayloadRequest) (*payloadQuery, error) {
	q := &payloadQuery{tokens: e.options.Tokens, scope: scope, bytes: e.pageBytes}
	typ, err := parseType("type", r.GetType())
	if err != nil {
		return nil, err
	}
	if q.sample, err = openPayload(q.tokens, scope, typ, r.GetPayloadToken()); err != nil {
		return nil, err
	}
	q.context = append(payloadContext("healthledger payload page 1", scope, typ), appendSample(nil, &q.sample)...)
	if r.GetPageToken() == "" {
		return q, nil
	}
	plain, ok := openToken(q.tokens, q.context, r.GetPageToken())
	if !ok || len(plain) != 5 || plain[0] != payloadVersion {
		return nil, refuse("page_token", "", whyToken)
	}
	q.next = binary.BigEndian.Uint32(plain[1:])
	return q, nil
}

func (q *payloadQuery) run(ctx context.Context, snapshot *view.Snapshot) (*pb.QueryPayloadResponse, error) {
	source, sample, ok, err := snapshot.Find(q.scope, q.sample)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, badPayload()
	}
	details := snapshot.Details()
	object, err := details.Object(source.App(), sample)
	if err != nil {
		return nil, err
	}
	if object == nil || q.next >= object.Chunks {
		return nil, badPayload()
	}
	answer := &pb.QueryPayloadResponse{}
	size := tokenBytes // of the answer
	for number := q.next; number < object.Chunks; number++ {
		if err := errors.Join(ctx.Err(), snapshot.Err()); err != nil {
			return nil, err
		}
		chunk, err := details.Chunk(object, number)
		if err != nil {
			return nil, err
		}
		size += protowire.SizeTag(1) + protowire.SizeBytes(proto.Size(chunk))
		if size > q.bytes && number > q.next {
			answer.NextPageToken, err = sealToken(q.tokens, q.context, binary.BigEndian.AppendUint32([]byte{payloadVersion}, number))
			return answer, err
		}
		answer.Chunks = append(answer.Chunks, chunk)
	}
	answer.Done = true
	return answer, nil
}

// FORMAT.md describes the tokens of payloads.
const (
	payloadVersion = 1
	payloadSize    = 1 + 4 + placeSize
)

func appendSample(b []byte, l *view.Locator) []byte {
	return appendPlace(binary.BigEndian.AppendUint32(append(b, payloadVersion), l.Source), &l.Place)
}

func readSample(typeCode uint32, b []byte) (view.Locator, bool) {
	if len(b) != payloadSize || b[0] != payloadVersion {
		return view.Locator{}, false
	}
	return view.Locator{Type: typeCode, Source: binary.BigEndian.Uint32(b[1:]), Place: readPlace(b[5:])}, true
}

// payloadContext is what tokens of payloads are bound to: what they are for, the reader
// and the type.
func payloadContext(use string, scope authz.Scope, t *catalog.Type) []byte {
	b := binary.BigEndian.AppendUint64([]byte(use), scope.Reader())
	return binary.BigEndian.AppendUint32(b, t.Code)
}

func sealPayload(tokens Tokens, scope authz.Scope, t *catalog.Type, l view.Locator) (string, error) {
	return sealToken(tokens, payloadContext("healthledger payload 1", scope, t), appendSample(nil, &l))
}

func openPayload(tokens Tokens, scope authz.Scope, t *catalog.Type, token string) (view.Locator, error) {
	if plain, ok := openToken(tokens, payloadContext("healthledger payload 1", scope, t), token); ok {
		if l, ok := readSample(t.Code, plain); ok {
			return l, nil
		}
	}
	return view.Locator{}, badPayload()
}

func badPayload() error {
	return refuse("payload_token", "", "it is of no sample that can be seen")
}
