// Package golden holds tests to byte formats: the bytes that an earlier version wrote lie in
// testdata as hex, and stand on the FORMAT.md of the folder.
package golden

import (
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata anew: a deliberate change of format")

// lineBytes are on one line of a file.
const lineBytes = 32

// Bytes returns what testdata/<name>.hex holds. With -update it is first made by make, if
// that is not nil.
func Bytes(t testing.TB, name string, make func() []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", name+".hex")
	if *update && make != nil {
		var lines strings.Builder
		for b := make(); len(b) > 0; {
			n := min(lineBytes, len(b))
			lines.WriteString(hex.EncodeToString(b[:n]) + "\n")
			b = b[n:]
		}
		if err := os.MkdirAll("testdata", 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(lines.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.Join(strings.Fields(string(content)), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// OnPage checks that FORMAT.md shows the bytes in hex, whatever white space is in between.
func OnPage(t testing.TB, what string, b []byte) {
	t.Helper()
	page, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(strings.Fields(string(page)), ""), hex.EncodeToString(b)) {
		t.Errorf("FORMAT.md does not show the %s: %x", what, b)
	}
}
