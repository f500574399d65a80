// Package log is what the write side and the read side both know of a store's log:
// its names, the JetStream stream that holds it, the body of a segment, the key
// directory beside it, how to append a payload and how to read it all back.
//
// A log is one JetStream stream for each store. A message is a segment; its stream
// sequence is the segment's sequence, counted from 1 without gaps. The package does not
// look into a payload: sealing and opening segments is the work of ledger/seal.
//
//	reader:    Reader.Read → seal opens the payload → DecodeBody → Events
//	appender:  EncodeBody → seal makes the payload → Publisher.Publish
//
// Byte formats are described in FORMAT.md.
package log

import (
	"errors"
	"fmt"

	"healthledger/ledger/seal"
)

// MaxSegment is the most bytes that the payload of a segment may have: header, sealed
// body and signature together.
const MaxSegment = 768 << 10

// ErrLoss is what errors.Is finds in every LossError.
var ErrLoss = errors.New("data loss in the log")

// LossError says which segments, From and To included, are missing from a log or cannot
// be read from it. JetStream loses damaged records silently and the log never deletes,
// so a missing sequence is always loss.
type LossError struct {
	From, To uint64
}

func (e *LossError) Error() string {
	if e.From == e.To {
		return fmt.Sprintf("%v: segment %d", ErrLoss, e.From)
	}
	return fmt.Sprintf("%v: segments %d to %d", ErrLoss, e.From, e.To)
}

// Is reports whether target is ErrLoss.
func (e *LossError) Is(target error) bool { return target == ErrLoss }

// StreamName returns the name of the stream that holds the log of a store.
func StreamName(store seal.StoreID) string { return "LEDGER_" + store.String() }

// Subject returns the one subject of that stream.
func Subject(store seal.StoreID) string { return "ledger." + store.String() }
