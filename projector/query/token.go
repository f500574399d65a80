package query

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	"healthledger/projector/view"
	pb "healthledger/proto/healthledger/v1"
)

// FORMAT.md describes tokens.
const (
	pageVersion = 2
	pageSize    = 1 + 1 + 8 + 4 + placeSize + 4
)

// page says where a page ended: after its last sample, and how many went out so far.
type page struct {
	after rank
	taken uint32
}

func (p *page) appendTo(b []byte) []byte {
	b = append(b, pageVersion, 0)
	if p.after.hasValue {
		b[len(b)-1] = 1
	}
	b = binary.BigEndian.AppendUint64(b, math.Float64bits(p.after.value))
	b = binary.BigEndian.AppendUint32(b, p.after.typeCode)
	b = appendPlace(b, &p.after.place)
	return binary.BigEndian.AppendUint32(b, p.taken)
}

func appendPlace(b []byte, p *view.Place) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(p.Start))
	b = binary.BigEndian.AppendUint64(b, uint64(p.End))
	b = binary.BigEndian.AppendUint64(b, p.Sequence)
	b = binary.BigEndian.AppendUint32(b, p.Event)
	return binary.BigEndian.AppendUint32(b, p.Index)
}

const placeSize = 8 + 8 + 8 + 4 + 4

func readPlace(b []byte) view.Place {
	return view.Place{
		Start:    int64(binary.BigEndian.Uint64(b)),
		End:      int64(binary.BigEndian.Uint64(b[8:])),
		Sequence: binary.BigEndian.Uint64(b[16:]),
		Event:    binary.BigEndian.Uint32(b[24:]),
		Index:    binary.BigEndian.Uint32(b[28:]),
	}
}

func readPage(b []byte) (page, bool) {
	if len(b) != pageSize || b[0] != pageVersion || b[1] > 1 {
		return page{}, false
	}
	return page{
		after: rank{
			hasValue: b[1] == 1,
			value:    math.Float64frombits(binary.BigEndian.Uint64(b[2:])),
			typeCode: binary.BigEndian.Uint32(b[10:]),
			place:    readPlace(b[14:]),
		},
		taken: binary.BigEndian.Uint32(b[14+placeSize:]),
	}, true
}

// pageContext is what a token is bound to: the reader and everything in the request but
// the token itself and the receipt, in one form whatever way it was said.
func (q *samplesQuery) pageContext(predicate *pb.Predicate) ([]byte, error) {
	normal := &pb.QuerySamplesRequest{
		Limit: q.limit, SortBy: q.selection.order.by, Order: pb.Order_ORDER_ASCENDING, Match: pb.PeriodMatch(q.selection.match), Predicate: predicate,
	}
	for _, t := range q.types {
		normal.Types = append(normal.Types, t.Short())
	}
	if q.selection.order.descending {
		normal.Order = pb.Order_ORDER_DESCENDING
	}
	request, err := proto.MarshalOptions{Deterministic: true}.Marshal(normal)
	if err != nil {
		return nil, refuse("predicate", "", "a text is not UTF-8")
	}
	b := binary.BigEndian.AppendUint64([]byte("healthledger samples page 2"), q.scope.Reader())
	b = binary.BigEndian.AppendUint64(b, uint64(q.selection.period.from))
	b = binary.BigEndian.AppendUint64(b, uint64(q.selection.period.to))
	sum := sha256.Sum256(request)
	return append(b, sum[:]...), nil
}

// tokenText never begins with a hyphen, which a command line would take for an option.
var tokenText = base64.RawStdEncoding.Strict()

func sealPage(tokens Tokens, context []byte, p page) (string, error) {
	return sealToken(tokens, context, p.appendTo(make([]byte, 0, pageSize)))
}

const whyToken = "it is not from the answer before, or the request has changed since"

func openPage(tokens Tokens, context []byte, token string) (page, error) {
	if plain, ok := openToken(tokens, context, token); ok {
		if p, ok := readPage(plain); ok {
			return p, nil
		}
	}
	return page{}, refuse("page_token", "", whyToken)
}

func sealToken(tokens Tokens, context, plain []byte) (string, error) {
	sealed, err := tokens.Seal(context, plain)
	if err != nil {
		return "", fmt.Errorf("seal a token: %w", err)
	}
	return tokenText.EncodeToString(sealed), nil
}

func openToken(tokens Tokens, context []byte, token string) ([]byte, bool) {
	sealed, err := tokenText.DecodeString(token)
	if err != nil {
		return nil, false
	}
	plain, err := tokens.Open(context, sealed)
	return plain, err == nil
}
