package applexml

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"healthledger/ledger/importer/apple"
	"healthledger/projector/export/exporttest"
	"healthledger/proto/catalog"
)

// realExports finds the exports that others made, and tests with each that can be imported.
func realExports(t *testing.T, test func(t *testing.T, s *exporttest.Store)) {
	root := os.Getenv("HEALTHLEDGER_TESTDATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "..", "..", "shared", "testdata")
	}
	root = filepath.Join(root, "apple-export")
	if _, err := os.Stat(root); err != nil {
		t.Skipf("no test data: %v (set HEALTHLEDGER_TESTDATA)", err)
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".xml" && filepath.Ext(path) != ".zip" {
			return err
		}
		s := exporttest.New()
		if _, err := apple.Import(t.Context(), path, s, apple.Options{InFlight: 1}); err != nil {
			return nil // not an export, or broken off: what an import says of it is tested there
		}
		name, _ := filepath.Rel(root, path)
		t.Run(name, func(t *testing.T) { test(t, s) })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// checkWhole wants that a store that came from an export comes back whole: what Apple's
// format said once, it can say again.
func checkWhole(t *testing.T, s *exporttest.Store) {
	for _, x := range ways {
		t.Run(x.name, func(t *testing.T) {
			other, report := x.imported(t, s)
			for _, typ := range catalog.All() {
				sidecars := x.name == "export.zip"
				if !sidecars && (typ.Short() == "electrocardiogram" || typ.Kind == catalog.Document) {
					continue
				}
				want, got := all(t, s, typ, sidecars), all(t, other, typ, sidecars)
				if !sidecars {
					want = slices.DeleteFunc(want, func(s string) bool { return strings.Contains(s, fileFormat) })
				}
				if !slices.Equal(want, got) {
					t.Errorf("%s: want %d\n%.1500s\ngot %d\n%.1500s", typ, len(want), strings.Join(without(want, got), "\n"), len(got), strings.Join(without(got, want), "\n"))
				}
			}
			if sidecars := x.name == "export.zip"; sidecars && len(report.LeftOut) > 0 {
				t.Errorf("left out: %v", report.LeftOut)
			}
		})
	}
}

func without(list, others []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(others, s) })
}

func TestRealExportsComeBackWhole(t *testing.T) { realExports(t, checkWhole) }

func TestWhatWasExportedOnceComesBackWhole(t *testing.T) {
	s := exporttest.New()
	s.Fill(t, exporttest.Everything()...)
	once, _ := ways[1].imported(t, s)
	twice, _ := ways[1].imported(t, once)
	for _, typ := range catalog.All() {
		if want, got := all(t, once, typ, true), all(t, twice, typ, true); !slices.Equal(want, got) {
			t.Errorf("%s: want\n%.1500s\ngot\n%.1500s", typ, strings.Join(want, "\n"), strings.Join(got, "\n"))
		}
	}
}

func TestExportsOfOneStoreAreEqual(t *testing.T) {
	s := exporttest.New()
	s.Fill(t, exporttest.Everything()...)
	for _, x := range ways {
		var a, b bytes.Buffer
		x.write(t, &a, s)
		x.write(t, &b, s)
		if !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Errorf("%s differs when it is made twice", x.name)
		}
	}
}

// A piece that was kept by some importer must not change the document around it.
func TestKeptPiecesStayInTheirPlace(t *testing.T) {
	for raw, want := range map[string]bool{
		"<a/>": true, "<a></a>": true, "<a b='>'><c/> text <d>x</d></a>": true, "<a\nb=\"1\"/>": true, "<a\t></a\n>": true,
		"": false, "a": false, "<a>": false, "</a>": false, "<a/><b/>": false, "<a></b>": false, "<a/> ": false,
		"<a></a></HealthData>": false, "<!-- -->": false, "<a><!-- </a> --></a>": false, "<a><![CDATA[</a>]]></a>": false,
		"<a b='></a>": false, "<a <b/>></a>": false, "<a b=\"</a>\"": false, "< a/>": false, "<>": false,
	} {
		if wellFormed(raw) != want {
			t.Errorf("wellFormed(%q) is not %v", raw, want)
		}
	}
}

func FuzzKeptPiece(f *testing.F) {
	for _, seed := range []string{"<a/>", "<a><b/></a>", "<a b='>'/>", "</HealthData>", "<a x=\"\">&amp;</a>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if !wellFormed(raw) {
			return
		}
		// Every tag in it is closed in it.
		depth := 0
		for at := strings.IndexByte(raw, '<'); at >= 0 && at < len(raw); {
			length := tagLength(raw[at:])
			if length == 0 {
				t.Fatalf("%q: no tag at %d", raw, at)
			}
			tag := raw[at : at+length]
			switch {
			case tag[1] == '/':
				depth--
			case !strings.HasSuffix(strings.TrimRight(tag[:length-1], " \t\r\n"), "/"):
				depth++
			}
			if depth < 0 {
				t.Fatalf("%q closes what it does not open", raw)
			}
			next := strings.IndexByte(raw[at+length:], '<')
			if next < 0 {
				break
			}
			at += length + next
		}
		if depth != 0 {
			t.Fatalf("%q leaves %d open", raw, depth)
		}
	})
}
