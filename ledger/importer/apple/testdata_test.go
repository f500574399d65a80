package apple

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// testdata returns a folder of files from public projects. They are not part of the
// repository; HEALTHLEDGER_TESTDATA names where they are.
func testdata(t testing.TB, folder string) string {
	t.Helper()
	root := os.Getenv("HEALTHLEDGER_TESTDATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "..", "shared", "testdata")
	}
	path := filepath.Join(root, folder)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no test data: %v (set HEALTHLEDGER_TESTDATA)", err)
	}
	return path
}

// countRecords counts the Record elements of a well-formed document, nested ones apart.
func countRecords(t testing.TB, document []byte) (top, nested uint64) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(document))
	depth := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return top, nested
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if depth++; token.Name.Local == "Record" && depth == 2 {
				top++
			} else if token.Name.Local == "Record" {
				nested++
			}
		case xml.EndElement:
			depth--
		}
	}
}

func TestPublicExportsAreAccountedFor(t *testing.T) {
	root := testdata(t, "apple-export")
	// Why records of them are kept raw, by the end of the path.
	kept := map[string]map[string]uint64{
		// Its records have no units.
		"paulstaab+health-data-parser/tests/fixtures/export.xml": {"no unit": 5},
		"paulstaab+health-data-parser/tests/fixtures/export.zip": {"no unit": 5},
		// One is of HKCategoryTypeIdentifierStateOfMind, which no phone has.
		"rinoshiyo+apple-health-mcp-server/tests/fixtures/sample_export.xml": {"unknown type": 1},
	}
	refused := map[string]error{
		"x4-3-multi-empty-xml.zip": ErrNotExport,
		"x4-7-broken-xml.zip":      &SyntaxError{},
	}
	files := 0
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		ext := filepath.Ext(path)
		if ext != ".xml" && ext != ".zip" {
			return nil
		}
		files++
		relative, _ := filepath.Rel(root, path)
		t.Run(relative, func(t *testing.T) {
			var l fakeLedger
			report, err := Import(context.Background(), path, &l, Options{})
			checkAccounts(t, report, err)
			if want, ok := refused[d.Name()]; ok {
				var syntax *SyntaxError
				if _, broken := want.(*SyntaxError); broken && !errors.As(err, &syntax) || !broken && !errors.Is(err, want) {
					t.Errorf("got %v, want %T", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			top, nested := countRecords(t, exportIn(t, path))
			if report.Records != top+nested {
				t.Errorf("%d records, encoding/xml finds %d", report.Records, top+nested)
			}
			if diff := cmp.Diff(kept[filepath.ToSlash(relative)], report.Elements["Record"].why()); diff != "" {
				t.Errorf("records kept raw (-want +got):\n%s", diff)
			}
			for name, tally := range report.Elements {
				if tally.Kept > 0 && name != "Record" && name != "MetadataEntry" {
					t.Errorf("%s: %+v", name, tally)
				}
			}
			if report.Saved != uint64(len(l.samples())) {
				t.Errorf("%d imported, %d saved", report.Saved, len(l.samples()))
			}
		})
		return nil
	})
	if err != nil || files < 10 {
		t.Errorf("%d files, %v", files, err)
	}
}

// exportIn returns the XML at path, which may be an archive.
func exportIn(t testing.TB, path string) []byte {
	t.Helper()
	if filepath.Ext(path) == ".xml" {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	archive, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	for _, entry := range archive.File {
		if filepath.Base(entry.Name) == "export.xml" {
			r, err := entry.Open()
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			return content
		}
	}
	t.Fatal("no export.xml")
	return nil
}

// why is what a tally says of elements that are kept; nil for none.
func (t *Tally) why() map[string]uint64 {
	if t == nil {
		return nil
	}
	return t.Why
}

func TestRowsEqualThoseOfAnotherImporter(t *testing.T) {
	folder := filepath.Join(testdata(t, "apple-export"), "tdda+applehealthdata", "testdata")
	var l fakeLedger
	if _, err := Import(context.Background(), filepath.Join(folder, "export6s3sample.xml"), &l, Options{}); err != nil {
		t.Fatal(err)
	}
	for _, typ := range []string{"StepCount", "DistanceWalkingRunning"} {
		want, err := os.ReadFile(filepath.Join(folder, typ+".csv"))
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		got.WriteString("sourceName,sourceVersion,device,type,unit,creationDate,startDate,endDate,value\n")
		quote := func(s string) string {
			if s == "" {
				return ""
			}
			return strconv.Quote(s)
		}
		for _, s := range l.of("HKQuantityTypeIdentifier" + typ) {
			date := func(micros int64) string {
				return time.UnixMicro(micros).In(time.FixedZone("", 3600)).Format(dateLayout)
			}
			if s.source.Device != nil {
				t.Errorf("device: %v", s.source.Device)
			}
			got.WriteString(strings.Join([]string{
				quote(s.source.Name), quote(s.source.Version), "", quote(typ), quote(s.unit),
				date(s.Created), date(s.Start), date(s.End), strconv.FormatFloat(s.Value, 'f', -1, 64),
			}, ",") + "\n")
		}
		if got.String() != strings.ReplaceAll(string(want), "\r\n", "\n") {
			t.Errorf("%s: got\n%swant\n%s", typ, got.String(), want)
		}
	}
}

func TestHostileXMLIsRefusedAtOnce(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(testdata(t, "hostile-xml"), "*", "xmltestdata", "*"))
	if err != nil || len(paths) < 10 {
		t.Fatalf("%d files, %v", len(paths), err)
	}
	for _, path := range paths {
		report, err := Import(context.Background(), path, accept, Options{})
		if !errors.Is(err, ErrNotExport) || report.Bytes != 0 {
			t.Errorf("%s: %v after %d bytes", filepath.Base(path), err, report.Bytes)
		}
		// As the start of something that says it is an export.
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		content = append([]byte("<!DOCTYPE HealthData [\n"), bytes.ReplaceAll(content, []byte("<!DOCTYPE"), nil)...)
		content = append(content, oneRecord...)
		if !bytes.Contains(content, []byte("<!ENTITY")) {
			continue
		}
		if _, _, err := importXML(t, content); !errors.Is(err, ErrNotExport) {
			t.Errorf("%s in a document type: %v", filepath.Base(path), err)
		}
	}
}
