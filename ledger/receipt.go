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
	return s.writer.Load().receipts.Seal(s.tokenContext(app), Receipt{sequence, [16]byte(requestID)}.appendTo(nil))
}

// Receipt opens the text of a receipt. The error is seal.ErrToken for what is not a
// receipt of the app's.
func (s *Store) Receipt(app *authz.App, text string) (Receipt, error) {
	plain, err := s.writer.Load().receipts.Open(s.tokenContext(app), text)
	if err != nil {
		return Receipt{}, err
	}
	r, ok := readReceipt(plain)
	if !ok {
		return Receipt{}, seal.ErrToken
	}
	return r, nil
}

func (r Receipt) appendTo(b []byte) []byte {
	return append(binary.BigEndian.AppendUint64(b, r.Sequence), r.RequestID[:]...)
}

func readReceipt(b []byte) (Receipt, bool) {
	if len(b) != 8+16 {
		return Receipt{}, false
	}
	return Receipt{binary.BigEndian.Uint64(b), [16]byte(b[8:])}, true
}

// tokenContext binds tokens to one app of this store.
func (s *Store) tokenContext(app *authz.App) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(nil), s.id[:]...), app.Number)
}
