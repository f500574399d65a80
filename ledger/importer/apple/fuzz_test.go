package apple

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"healthledger/scripts/genexport/export"
)

func seeds(f *testing.F) {
	f.Add([]byte(oneRecord))
	f.Add(exportOf(heartRate + `<MetadataEntry key="k" value="v"/></Record>`))
	f.Add([]byte("<HealthData><Workout a='b' c d=\"\x0b&#11;\xff\"><![CDATA[<]]><?p ?><!-- x --></Workout></HealthData> x"))
	for _, dtd := range []export.DTD{export.DTD12, export.DTD14} {
		var b bytes.Buffer
		if _, err := export.WriteXML(&b, export.Options{Seed: 1, Records: 40, Quirks: true, DTD: dtd}); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
}

// FuzzScanner checks that the scanner ends, gives the same events whatever the sizes
// of the reads, and the same as encoding/xml where that takes the document.
func FuzzScanner(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, document []byte) {
		got, err := trace(bytes.NewReader(document))
		var syntax *SyntaxError
		if err != nil && !errors.As(err, &syntax) && !errors.Is(err, ErrNotExport) {
			t.Fatal(err)
		}
		if syntax != nil && (syntax.Offset < 0 || syntax.Offset > int64(len(document)) ||
			syntax.Line != 1+int64(bytes.Count(document[:syntax.Offset], newline))) {
			t.Fatalf("%v in %d bytes", syntax, len(document))
		}
		again, errAgain := trace(iotest.HalfReader(iotest.OneByteReader(bytes.NewReader(document))))
		if strings.Join(got, "\n") != strings.Join(again, "\n") || (err == nil) != (errAgain == nil) {
			t.Fatalf("another reading gives other events: %v, %v", err, errAgain)
		}
		if err != nil && bytes.HasPrefix(document, []byte("<HealthData")) && wellFormed(document) {
			t.Fatalf("encoding/xml takes it: %v", err)
		}
	})
}

// wellFormed says whether encoding/xml takes a document that has one root and nothing
// that we refuse on purpose.
func wellFormed(document []byte) bool {
	d := xml.NewDecoder(bytes.NewReader(document))
	depth, roots := 0, 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return roots == 1
		}
		if err != nil {
			return false
		}
		switch token := token.(type) {
		case xml.StartElement:
			if depth == 0 {
				roots++
				if token.Name.Local != rootElement {
					return false
				}
			}
			if depth++; depth > maxDepth || len(token.Attr) > maxAttributes {
				return false
			}
		case xml.EndElement:
			depth--
		case xml.Directive:
			return false
		}
	}
}

// The coverage of an import differs from run to run, since it uses goroutines; with
// -fuzzminimizetime=10x fuzzing does not waste its time on that.
//
// FuzzImport checks that a whole import of anything ends, sends nothing that the
// ledger would refuse, and accounts for each record.
func FuzzImport(f *testing.F) {
	seeds(f)
	f.Add(pack(f, "a/export.xml", oneRecord))
	f.Add(pack(f, "__MACOSX/x", "y", "a", "<HealthData>"))
	path := filepath.Join(f.TempDir(), "export")
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		var l fakeLedger
		report, err := Import(context.Background(), path, l.save, Options{InFlight: 2})
		checkAccounts(t, report, err)
		if err != nil && strings.Contains(err.Error(), "save:") {
			t.Fatalf("the ledger refuses what was sent: %v", err)
		}
		if report.Imported != uint64(len(l.samples())) {
			t.Fatalf("%d imported, %d saved", report.Imported, len(l.samples()))
		}
	})
}
