package query

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
	"time"

	"healthledger/projector/view"
	"healthledger/scripts/golden"
)

// The plaintexts that FORMAT.md shows. Who carries a token away must be able to come back
// with it to a later version, or be told that it is of another.
func TestTokenFormats(t *testing.T) {
	place := view.Place{Start: 1, End: 2, Sequence: 41, Event: 3, Index: 4}
	last := page{after: rank{hasValue: true, value: 61, typeCode: 77, place: place}, taken: 1000}
	if got, ok := readPage(asBefore(t, "page", last.appendTo(nil))); !ok || got != last {
		t.Errorf("the page reads as %+v", got)
	}
	sample := view.Locator{Type: 77, Source: 5, Place: place}
	if got, ok := readSample(77, asBefore(t, "payload", appendSample(nil, &sample))); !ok || got != sample {
		t.Errorf("the sample reads as %+v", got)
	}
	asBefore(t, "payload-page", binary.BigEndian.AppendUint32([]byte{payloadVersion}, 7))

	a := newAnchor([]int64{math.MinInt64, 9}, 41, false)
	a.issued, a.filled = time.UnixMicro(1_700_000_000_000_000), view.Point{Source: 5, Place: place}
	content := asBefore(t, "anchor", a.appendTo(nil))
	if got, ok := readAnchor(content, 2); !ok || !bytes.Equal(got.appendTo(nil), content) || !got.issued.Equal(a.issued) {
		t.Errorf("the anchor reads as %+v", got)
	}
}

// asBefore compares what is made with the golden file, which it returns.
func asBefore(t *testing.T, name string, made []byte) []byte {
	t.Helper()
	want := golden.Bytes(t, name, func() []byte { return made })
	if !bytes.Equal(made, want) {
		t.Errorf("%s: got %x, want %x", name, made, want)
	}
	golden.OnPage(t, name, want)
	return want
}
