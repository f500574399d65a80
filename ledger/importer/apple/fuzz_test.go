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
	"time"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
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
		report, err := Import(context.Background(), path, &l, Options{InFlight: 2})
		checkAccounts(t, report, err)
		if err != nil && strings.Contains(err.Error(), "save:") {
			t.Fatalf("the ledger refuses what was sent: %v", err)
		}
		if report.Saved != uint64(len(l.samples())) {
			t.Fatalf("%d imported, %d saved", report.Saved, len(l.samples()))
		}
	})
}

// FuzzGPX checks that any file is a route that the ledger takes, or none.
func FuzzGPX(f *testing.F) {
	f.Add([]byte(`<?xml version="1.0"?><gpx><metadata><time>2024-01-01T00:00:00Z</time></metadata><trk><name>R</name><trkseg><trkpt lon="13.4" lat="52.5"><ele>34</ele><time>2024-01-01T10:00:00.25Z</time><extensions><speed>1</speed><course>-1</course><hAcc>2</hAcc><vAcc>3</vAcc></extensions></trkpt></trkseg></trk></gpx>`))
	f.Add([]byte(`<gpx><wpt/><trkseg/><trkseg><trkpt lat="1" lon="2" x="3"><time/>text<unknown><ele>&#48;</ele></unknown></trkpt></trkseg></gpx>`))
	f.Add([]byte(`<gpx><trkpt lat="91" lon="2"><time>2024-01-01T10:00:00+02:00</time></trkpt><![CDATA[x]]></gpx>`))
	t, _ := catalog.Lookup("workoutRoute")
	f.Fuzz(func(ft *testing.T, content []byte) {
		found, err := parseGPX(bytes.NewReader(content), false)
		again, errAgain := parseGPX(iotest.OneByteReader(bytes.NewReader(content)), false)
		if (err == nil) != (errAgain == nil) {
			ft.Fatalf("another reading gives %v, not %v", errAgain, err)
		}
		if err != nil {
			if !errors.Is(err, errNotRoute) {
				ft.Fatal(err)
			}
			return
		}
		if len(found.time) != len(again.time) || found.more != again.more {
			ft.Fatal("another reading gives another route")
		}
		for _, c := range found.chunks() {
			if err := health.CheckChunk(t, c); err != nil {
				ft.Fatal(err)
			}
		}
	})
}

// FuzzECG checks that any file is an electrocardiogram that the ledger takes, or none.
func FuzzECG(f *testing.F) {
	for i := range 5 {
		f.Add(export.ECG(export.Options{Seed: 1, Records: 10}, i)[:1000])
	}
	f.Add([]byte("Name,Test\nDate of Birth,1990-01-01\nRecorded Date,2024-06-15 10:30:00 +0000\nClassification,Sinus Rhythm\nSymptoms,\nSoftware Version,2.0\nDevice,\"Apple Watch\"\nSample Rate,512.000 Hz\nLead,Lead I\nUnit,uV\n\n100\n-50,5\n\"1.234,5\"\n"))
	f.Add([]byte("a\t2024-06-15 10:30:00 +0000\n;\n;\n;\n;\n;٥١٢ x\n٢٦٥٫٨\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		found, err := parseECG(content)
		if err != nil {
			if !errors.Is(err, errNotECG) {
				t.Fatal(err)
			}
			return
		}
		if _, err := lighten(found.sample); err != nil {
			t.Fatal(err)
		}
		if _, err := health.Columns([]*pb.Sample{found.sample}, policy); err != nil && !strings.Contains(err.Error(), "source.") && !strings.Contains(err.Error(), "kept") && !strings.Contains(err.Error(), "end") {
			t.Fatal(err) // texts may be longer than the ledger takes
		}
	})
}

// FuzzDate checks that the readers of dates take what they print, and agree with package
// time where both take a text.
func FuzzDate(f *testing.F) {
	for _, seed := range []string{"2024-02-29 23:59:59 +0100", "20141001100000-0700", "201410011000-0700", "2019-06-11T22:00:42Z", "2019-06-11T22:00:42.123456+05:45", "0000-01-01 00:00:00 +0000", "2024-01-01 00:00:60 -1559"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if micros, offset, ok := parseDate([]byte(text)); ok {
			at := time.UnixMicro(micros).In(time.FixedZone("", int(offset)))
			layout := map[int]string{dateLength: dateLayout, 19: "20060102150405-0700", 17: "200601021504-0700"}[len(text)]
			if want, err := time.Parse(layout, text); at.Year() > 0 && (err != nil || want.UnixMicro() != micros) {
				t.Fatalf("%q: got %v, time says %v, %v", text, at, want, err)
			}
		}
		if micros, ok := parseStamp([]byte(text)); ok {
			if want, err := time.Parse(time.RFC3339, text); err == nil && want.Year() > 0 && want.UnixMicro() != micros {
				t.Fatalf("%q: got %d, time says %d", text, micros, want.UnixMicro())
			}
		}
	})
}
