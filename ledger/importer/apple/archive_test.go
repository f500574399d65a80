package apple

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const oneRecord = `<HealthData locale="en"><Record type="HKQuantityTypeIdentifierStepCount" sourceName="s" unit="count" startDate="2024-01-01 00:00:00 +0000" endDate="2024-01-01 00:00:00 +0000" value="1"/></HealthData>`

// pack makes an archive of names and contents.
func pack(t testing.TB, entries ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for pair := range slices.Chunk(entries, 2) {
		e, err := w.Create(pair[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(e, pair[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func importZip(t testing.TB, content []byte) (Report, error) {
	t.Helper()
	var l fakeLedger
	report, err := Import(context.Background(), file(t, "export.zip", content), &l, Options{})
	checkAccounts(t, report, err)
	return report, err
}

func TestExportIsFoundByContent(t *testing.T) {
	for name, content := range map[string]string{
		"apple_health_export/export.xml":       oneRecord,
		"apple_health_export/eksport.xml":      "\xef\xbb\xbf<?xml version=\"1.0\"?>\n" + oneRecord,
		"导出.xml":                               "<!DOCTYPE HealthData [\n]>" + oneRecord,
		"../../etc/cron.d/evil":                "<!-- comment --> <!-- another -->\n" + oneRecord,
		"apple_health_export\\EXPORT.XML":      oneRecord,
		"apple_health_export/no extension.bin": "<?xml version='1.0' encoding='UTF-8'?><!DOCTYPE HealthData[]>" + oneRecord,
	} {
		report, err := importZip(t, pack(t,
			"apple_health_export/", "",
			"__MACOSX/apple_health_export/._export.xml", oneRecord,
			"apple_health_export/export_cda.xml", "<ClinicalDocument><!-- <HealthData> --></ClinicalDocument>",
			"apple_health_export/workout-routes/a.gpx", "<gpx/>",
			"apple_health_export/electrocardiograms/ecg.csv", "Name,<HealthData>",
			"apple_health_export/empty", "",
			name, content))
		if err != nil || report.Imported != 1 {
			t.Errorf("%s: %v, %+v", name, err, report)
		}
	}
}

func TestNothingIsWrittenToDisk(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("export.zip", pack(t, "../escape.txt", "x", "evil.txt", "x", "export.xml", oneRecord), 0o600); err != nil {
		t.Fatal(err)
	}
	var l fakeLedger
	if _, err := Import(context.Background(), "export.zip", &l, Options{}); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "..", "escape.txt")); err == nil {
		t.Error("an entry escaped")
	}
}

func TestWhatIsNoExportIsRefused(t *testing.T) {
	good := pack(t, "export.xml", "<!-- "+strings.Repeat("some text ", 1000)+"-->"+oneRecord)
	encrypted := bytes.Clone(good)
	encrypted[6] |= 1
	binary.LittleEndian.PutUint16(encrypted[bytes.LastIndex(encrypted, []byte("PK\x01\x02"))+8:], 1)
	for name, c := range map[string]struct {
		content []byte
		is      error
		why     string
	}{
		"empty file":         {nil, ErrNotExport, "empty"},
		"text":               {[]byte("hello"), ErrNotExport, "neither"},
		"other XML":          {[]byte("<gpx/>"), ErrNotExport, "neither"},
		"an entity bomb":     {[]byte("<!DOCTYPE HealthData [<!ENTITY a \"aaaa\">]>" + oneRecord), ErrNotExport, "declares entities"},
		"name in a comment":  {[]byte("<!-- <HealthData> --><x/>"), ErrNotExport, "neither"},
		"document type only": {[]byte("<!DOCTYPE HealthData []>"), ErrNotExport, "no <HealthData> element"},
		"similar name":       {[]byte("<HealthDataSet/>"), ErrNotExport, "neither"},
		"empty archive":      {pack(t), ErrNotExport, "none of the 0 entries"},
		"no candidate":       {pack(t, "a", "b", "c.xml", "<x/>"), ErrNotExport, "none of the 2 entries"},
		"empty candidate":    {pack(t, "export.xml", ""), ErrNotExport, "are empty: \"export.xml\""},
		"only a decoy":       {pack(t, "__MACOSX/export.xml", oneRecord), ErrNotExport, "none"},
		"two candidates":     {pack(t, "a.xml", oneRecord, "b.xml", oneRecord), ErrSeveralExports, `"a.xml", "b.xml"`},
		"encrypted":          {encrypted, ErrNotExport, "encrypted"},
		"truncated":          {good[:len(good)-30], nil, "damaged or incomplete"},
		"half of it":         {good[:len(good)/2], nil, "damaged or incomplete"},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := importZip(t, c.content)
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.why) {
				t.Errorf("got %v, want %v: …%s…", err, c.is, c.why)
			}
			if report.Records > 0 {
				t.Errorf("%d records were read", report.Records)
			}
		})
	}
	if report, err := importZip(t, good); err != nil || report.Imported != 1 {
		t.Errorf("the good one: %v, %+v", err, report)
	}
	if _, err := Import(context.Background(), t.TempDir(), nil, Options{}); !errors.Is(err, ErrNotExport) {
		t.Errorf("a folder: %v", err)
	}
	if _, err := Import(context.Background(), filepath.Join(t.TempDir(), "none"), nil, Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestDamagedArchiveIsAnError(t *testing.T) {
	document := exportOf(strings.Repeat(point(`type="HKQuantityTypeIdentifierStepCount" unit="count" value="1"`)+"\n", 20_000))
	good := pack(t, "export.xml", string(document))
	start, end := bytes.Index(good, []byte("export.xml"))+10, bytes.LastIndex(good, []byte("PK\x01\x02"))
	t.Run("flipped bit", func(t *testing.T) {
		for _, at := range []int{start + (end-start)*2/3, end - 20} {
			bad := bytes.Clone(good)
			bad[at] ^= 0x10
			if report, err := importZip(t, bad); err == nil {
				t.Errorf("bit flipped at %d: %+v", at, report)
			}
		}
	})
	t.Run("wrong checksum", func(t *testing.T) {
		bad := bytes.Clone(good)
		bad[end+16] ^= 1
		report, err := importZip(t, bad)
		if err == nil || !strings.Contains(err.Error(), "damaged") || report.Imported != 20_000 {
			t.Errorf("got %v, %d imported", err, report.Imported)
		}
	})
	t.Run("wrong size", func(t *testing.T) {
		bad := bytes.Clone(good)
		size := binary.LittleEndian.Uint32(bad[end+24:])
		binary.LittleEndian.PutUint32(bad[end+24:], size-1000)
		if _, err := importZip(t, bad); err == nil {
			t.Error("taken")
		}
	})
}

func TestZipBombIsRefused(t *testing.T) {
	if raceEnabled {
		t.Skip("24 MB; it runs without the race detector")
	}
	path := filepath.Join(t.TempDir(), "bomb.zip")
	write(t, path, func(f io.Writer) error {
		w := zip.NewWriter(f)
		e, err := w.Create("export.xml")
		if err != nil {
			return err
		}
		if _, err := io.WriteString(e, "<HealthData><!-- "); err != nil {
			return err
		}
		filler := bytes.Repeat([]byte("x"), 1<<20)
		for range 24 {
			if _, err := e.Write(filler); err != nil {
				return err
			}
		}
		return w.Close()
	})
	report, err := Import(context.Background(), path, accept, Options{})
	if !errors.Is(err, ErrTooLarge) || report.Bytes > freeBytes+windowSize {
		t.Errorf("got %v after %d bytes", err, report.Bytes)
	}
}

func TestJunkAfterTheExportIsAWarning(t *testing.T) {
	for _, junk := range []string{"<HealthData>", "</HealthData>", "trailing", "\x00\x00", "<!-- more -->"} {
		_, report := mustImport(t, []byte(oneRecord+"\n"+junk))
		if report.Imported != 1 || len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], "after") && !strings.Contains(report.Warnings[0], "follows") {
			t.Errorf("%q: %+v", junk, report)
		}
	}
}
