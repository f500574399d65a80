package query

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"healthledger/authz"
	"healthledger/projector/view"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// A page token says where the page before ended. Its plaintext always has the same
// length, big-endian: version 1, start and end of the last sample (8 bytes each), its
// sequence (8), event and index (4 each), and how many samples went out so far (4).
const (
	pageVersion = 1
	pageSize    = 1 + 8 + 8 + 8 + 4 + 4 + 4
)

type page struct {
	after view.Place
	taken uint32
}

func (p *page) appendTo(b []byte) []byte {
	b = append(b, pageVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(p.after.Start))
	b = binary.BigEndian.AppendUint64(b, uint64(p.after.End))
	b = binary.BigEndian.AppendUint64(b, p.after.Sequence)
	b = binary.BigEndian.AppendUint32(b, p.after.Event)
	b = binary.BigEndian.AppendUint32(b, p.after.Index)
	return binary.BigEndian.AppendUint32(b, p.taken)
}

func readPage(b []byte) (page, bool) {
	if len(b) != pageSize || b[0] != pageVersion {
		return page{}, false
	}
	return page{
		after: view.Place{
			Start:    int64(binary.BigEndian.Uint64(b[1:])),
			End:      int64(binary.BigEndian.Uint64(b[9:])),
			Sequence: binary.BigEndian.Uint64(b[17:]),
			Event:    binary.BigEndian.Uint32(b[25:]),
			Index:    binary.BigEndian.Uint32(b[29:]),
		},
		taken: binary.BigEndian.Uint32(b[33:]),
	}, true
}

// pageContext is what a token is bound to: the reader and everything else in the request.
func pageContext(scope authz.Scope, t *catalog.Type, p period, limit uint32, newest bool) []byte {
	b := []byte("healthledger samples page 1")
	b = binary.BigEndian.AppendUint64(b, scope.Reader())
	b = binary.BigEndian.AppendUint32(b, t.Code)
	b = binary.BigEndian.AppendUint64(b, uint64(p.from))
	b = binary.BigEndian.AppendUint64(b, uint64(p.to))
	b = binary.BigEndian.AppendUint32(b, limit)
	if newest {
		return append(b, byte(pb.Order_ORDER_DESCENDING))
	}
	return append(b, byte(pb.Order_ORDER_ASCENDING))
}

var tokenText = base64.RawURLEncoding.Strict()

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
