package ledger

import (
	"encoding/binary"

	"healthledger/authz"
	"healthledger/ledger/seal"
)

// Receipt is what the receipt of a save or a delete holds.
type Receipt struct {
	// Sequence of the segment that has it.
	Sequence uint64
	// RequestID is the app's own.
	RequestID [16]byte
}

// receipt is the text of a receipt, good for this app in this store.
func (s *Store) receipt(app *authz.App, sequence uint64, requestID []byte) (string, error) {
	plain := binary.BigEndian.AppendUint64(make([]byte, 0, 8+16), sequence)
	return s.receipts.Seal(s.tokenContext(app), append(plain, requestID...))
}

// Receipt opens the text of a receipt. The error is seal.ErrToken for what is not a
// receipt of the app's.
func (s *Store) Receipt(app *authz.App, text string) (Receipt, error) {
	plain, err := s.receipts.Open(s.tokenContext(app), text)
	if err != nil {
		return Receipt{}, err
	}
	if len(plain) != 8+16 {
		return Receipt{}, seal.ErrToken
	}
	return Receipt{binary.BigEndian.Uint64(plain), [16]byte(plain[8:])}, nil
}

// tokenContext binds tokens to one app of this store.
func (s *Store) tokenContext(app *authz.App) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(nil), s.id[:]...), app.Number)
}
