package export

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

func generate(t testing.TB, o Options) ([]byte, Manifest) {
	t.Helper()
	var b bytes.Buffer
	m, err := WriteXML(&b, o)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), m
}

func TestSameOptionsGiveTheSameBytes(t *testing.T) {
	o := Options{Seed: 5, Records: 4000, Quirks: true}
	a, manifest := generate(t, o)
	b, again := generate(t, o)
	if !bytes.Equal(a, b) || !reflect.DeepEqual(manifest, again) {
		t.Error("two exports differ")
	}
	o.Seed++
	if c, _ := generate(t, o); bytes.Equal(a, c) {
		t.Error("another seed gives the same export")
	}
	var zipped [2]bytes.Buffer
	for i := range zipped {
		if _, err := WriteZip(&zipped[i], o); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(zipped[0].Bytes(), zipped[1].Bytes()) {
		t.Error("two archives differ")
	}
}

// TestOutputIsPinned notices a change of what a seed gives: benchmarks and the demo
// compare across versions.
func TestOutputIsPinned(t *testing.T) {
	if _, err := time.LoadLocation("Europe/Berlin"); err != nil {
		t.Skip(err)
	}
	for want, o := range map[string]Options{
		"d4cc3cd2 849360": {Seed: 1, Records: 2000},
		"3c350cd7 925021": {Seed: 1, Records: 2000, Quirks: true, Imperial: true, DTD: DTD12},
	} {
		content, m := generate(t, o)
		if got := fmt.Sprintf("%08x %d", crc32.ChecksumIEEE(content), m.Bytes); got != want {
			t.Errorf("%+v: got %q, want %q", o, got, want)
		}
	}
}

// TestManifestSaysWhatWasWritten reads exports with encoding/xml.
func TestManifestSaysWhatWasWritten(t *testing.T) {
	for _, o := range []Options{
		{Records: 1},
		{Records: 3000},
		{Records: 3000, DTD: DTD11, Imperial: true},
		{Records: 3000, DTD: DTD8},
		{Records: 9000, Years: 1, DTD: DTDNone, Quirks: true},
	} {
		t.Run(fmt.Sprintf("%+v", o), func(t *testing.T) {
			content, m := generate(t, o)
			if int64(len(content)) != m.Bytes || m.Records != uint64(o.Records) {
				t.Errorf("%d bytes, %d records; the manifest has %d, %d", len(content), o.Records, m.Bytes, m.Records)
			}
			got := map[string]uint64{}
			types := map[string]uint64{}
			top, nested, depth := uint64(0), uint64(0), 0
			d := xml.NewDecoder(bytes.NewReader(tidied(content)))
			d.Strict = false
			for {
				token, err := d.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				switch token := token.(type) {
				case xml.StartElement:
					depth++
					switch name := token.Name.Local; {
					case name == "Record" && depth == 2:
						top++
						types[attribute(token, "type")]++
					case name == "Record":
						nested++
					case depth > 1:
						got[name]++
					}
				case xml.EndElement:
					depth--
				}
			}
			if !reflect.DeepEqual(got, m.Elements) || top != m.Records || nested != m.Nested {
				t.Errorf("got %v, %d, %d; the manifest has %v, %d, %d", got, top, nested, m.Elements, m.Records, m.Nested)
			}
			usable := uint64(0)
			for id, want := range m.Types {
				usable += want.Records
				if types[id] < want.Records || !o.Quirks && types[id] != want.Records {
					t.Errorf("%s: %d, the manifest has %d", id, types[id], want.Records)
				}
				days, sources, labels := uint64(0), uint64(0), uint64(0)
				for _, d := range want.Days {
					days += d.Count
				}
				for _, n := range want.Sources {
					sources += n
				}
				for _, n := range want.Labels {
					labels += n
				}
				if days+labels != want.Records || sources != want.Records {
					t.Errorf("%s: %d by day, %d by label, %d by source, %d records", id, days, labels, sources, want.Records)
				}
			}
			if usable != m.Usable() {
				t.Errorf("%d usable, the manifest has %d", usable, m.Usable())
			}
		})
	}
}

// tidied is what encoding/xml needs of a document with quirks.
func tidied(content []byte) []byte {
	content = bytes.ToValidUTF8(content, []byte("\uFFFD"))
	for _, bad := range []string{"\x0b", "&#11;", "&#0;", "&#xFFFF;", "&#xD800;", ` Heart Rate Context="2"`} {
		content = bytes.ReplaceAll(content, []byte(bad), nil)
	}
	return content
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func TestSamplesOfOneSourceStartAtDifferentTimes(t *testing.T) {
	for _, o := range []Options{{Records: 20_000}, {Records: 60_000, Years: 1 / 365.25}} {
		content, _ := generate(t, o)
		seen := map[string]bool{}
		for line := range strings.Lines(string(content)) {
			if !strings.HasPrefix(line, " <Record") {
				continue
			}
			// Everything but the device's address, the creation date and the value.
			typ, _, _ := strings.Cut(line, "\" sourceVersion")
			_, start, _ := strings.Cut(line, "startDate=\"")
			key := typ + start[:len("2006-01-02 15:04:05 -0700")]
			if strings.Contains(line, "SleepAnalysisInBed") {
				key += "in bed"
			}
			if seen[key] {
				t.Fatalf("twice: %s", key)
			}
			seen[key] = true
		}
	}
}

func TestDatesFollowTheZone(t *testing.T) {
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Skip(err)
	}
	c := newClock(newYork)
	for at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Unix(); at < 1_735_700_000; at += 3571 {
		want := time.Unix(at, 0).In(newYork).Format("2006-01-02 15:04:05 -0700")
		if got := string(c.append(nil, at)); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	content, _ := generate(t, Options{Records: 5000, Years: 1, Zone: newYork})
	if !bytes.Contains(content, []byte(" -0400\"")) || !bytes.Contains(content, []byte(" -0500\"")) {
		t.Error("no summer time, or no winter time")
	}
}

func TestSizeIsMet(t *testing.T) {
	const want = 30_000_000
	_, m := generate(t, Options{Size: want})
	if m.Bytes < want*97/100 || m.Bytes > want*103/100 {
		t.Errorf("%d bytes", m.Bytes)
	}
}

func TestArchiveLooksLikeARealOne(t *testing.T) {
	for quirks, name := range map[bool]string{false: "apple_health_export/export.xml", true: "apple_health_export/導出.xml"} {
		var b bytes.Buffer
		m, err := WriteZip(&b, Options{Records: 500, Quirks: quirks})
		if err != nil {
			t.Fatal(err)
		}
		r, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			t.Fatal(err)
		}
		f, err := r.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(f)
		if err != nil || int64(len(content)) != m.Bytes {
			t.Errorf("%s: %d bytes, %v", name, len(content), err)
		}
		if decoys := strings.Contains(b.String(), "__MACOSX"); decoys != quirks {
			t.Errorf("decoys: %v", decoys)
		}
	}
}

func TestMalformedDTDLosesEverythingInAnXMLParser(t *testing.T) {
	content, _ := generate(t, Options{Records: 100, DTD: DTD12})
	d := xml.NewDecoder(bytes.NewReader(content))
	for {
		token, err := d.Token()
		if err != nil {
			return
		}
		if _, ok := token.(xml.StartElement); ok {
			t.Fatal("encoding/xml reads it, so it is not malformed the way iOS 16's is")
		}
	}
}

func TestImpossibleOptionsAreRefused(t *testing.T) {
	for _, o := range []Options{{Records: -1}, {Size: -1}, {Years: -1}, {DTD: 13}, {Records: 1, Size: 1e6}, {Records: 1e6, Years: 0.001}} {
		if _, err := WriteXML(io.Discard, o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
	if _, err := WriteXML(&failing{after: 1000}, Options{Records: 3000}); err == nil {
		t.Error("an error of the writer is lost")
	}
}

type failing struct{ after int }

func (f *failing) Write(p []byte) (int, error) {
	if f.after -= len(p); f.after < 0 {
		return 0, errors.New("no space left")
	}
	return len(p), nil
}

func BenchmarkWrite(b *testing.B) {
	o := Options{Seed: 1, Records: 50_000}
	for name, write := range map[string]func(io.Writer, Options) (Manifest, error){"xml": WriteXML, "zip": WriteZip} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				m, err := write(io.Discard, o)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(m.Bytes)
			}
		})
	}
}
