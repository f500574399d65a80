package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"healthledger/scripts/genexport/export"
)

func TestProgramWritesExportAndManifest(t *testing.T) {
	dir := t.TempDir()
	out, manifest := filepath.Join(dir, "e.xml"), filepath.Join(dir, "m.json")
	var stdout bytes.Buffer
	if err := run([]string{"-records", "200", "-quirks", "-dtd", "12", "-zone", "UTC", "-export-zone", "America/New_York", "-out", out, "-manifest", manifest}, &stdout); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(out)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]func() ([]byte, error){
		"stdout": func() ([]byte, error) { return stdout.Bytes(), nil },
		"file":   func() ([]byte, error) { return os.ReadFile(manifest) },
	} {
		content, err := text()
		if err != nil {
			t.Fatal(err)
		}
		var m export.Manifest
		if err := json.Unmarshal(content, &m); err != nil || m.Records != 200 || m.Bytes != info.Size() {
			t.Errorf("%s: %v, %+v", name, err, m)
		}
		if days := len(m.Types["HKQuantityTypeIdentifierHeartRate"].Days); (days > 0) != (name == "file") {
			t.Errorf("%s: %d days", name, days)
		}
	}
}

func TestSizesAreReadWithUnits(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "4GB": 4e9, "300mb": 3e8, "1.5 KB": 1500, "7": 7} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, bad := range []string{"GB", "-1MB", "4TB", "big"} {
		if _, err := parseSize(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
