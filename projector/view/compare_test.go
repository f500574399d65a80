package view

import (
	"bytes"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Two views differ where one row does, whichever of them has it, and in nothing else.
func TestCompareNamesTheFirstRowThatDiffers(t *testing.T) {
	view := func(records map[uint64]string) *Snapshot {
		v, err := Open(vfs.NewMem(), "view", Options{AppKey: keyOf, CacheSize: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = v.Close() })
		b := v.Begin()
		for number, record := range records {
			b.PutDecision(number, []byte(record))
		}
		if err := b.Commit(Cursor{Sequence: 1}); err != nil {
			t.Fatal(err)
		}
		s, err := v.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	one := map[uint64]string{1: "a", 2: "bb", 3: "c"}
	for name, c := range map[string]struct {
		other map[uint64]string
		at    byte
		bytes [2]int
		rows  uint64
	}{
		"the same":      {one, 0, [2]int{}, 4},
		"another value": {map[uint64]string{1: "a", 2: "xyz", 3: "c"}, 2, [2]int{2, 3}, 2},
		"one less":      {map[uint64]string{1: "a", 3: "c"}, 2, [2]int{2, -1}, 2},
		"one more":      {map[uint64]string{1: "a", 2: "bb", 3: "c", 4: "dddd"}, 4, [2]int{-1, 4}, 4},
	} {
		rows, d, err := Compare(t.Context(), view(one), view(c.other))
		if err != nil || rows != c.rows {
			t.Errorf("%s: %d rows, %v", name, rows, err)
		}
		if (d == nil) != (c.at == 0) || d != nil && (d.Bytes != c.bytes || !bytes.Equal(d.Key, append([]byte{familyDecision}, 0, 0, 0, 0, 0, 0, 0, c.at))) {
			t.Errorf("%s: %+v", name, d)
		}
	}
}
