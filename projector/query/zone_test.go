package query

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// What the host calls a zone, and where it keeps them, must not change an answer.
func TestZonesDoNotDependOnTheHost(t *testing.T) {
	host := t.TempDir()
	t.Setenv("ZONEINFO", host)
	plant(t, host, "Europe/Berlin", "Asia/Tokyo")
	plant(t, host, "Mars/Olympus", "Asia/Tokyo")
	berlin, err := parseZone("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	if _, offset := time.Unix(1_700_000_000, 0).In(berlin).Zone(); offset != 3600 {
		t.Errorf("Berlin is %d seconds from UTC", offset)
	}
	for _, name := range []string{
		"Mars/Olympus", "Local", "localtime", "posixrules", "right/Europe/Berlin", "posix/Europe/Berlin",
		"Europe", "Europe/", "/etc/localtime", "../etc/passwd", "Europe/../Europe/Berlin", "europe/berlin", "zone.tab", ".",
	} {
		var argument *ArgumentError
		if zone, err := parseZone(name); !errors.As(err, &argument) || argument.Field != "time_zone" {
			t.Errorf("%s: %v, error %v", name, zone, err)
		}
	}
}

// plant makes a host say that a zone is another one.
func plant(t *testing.T, host, name, another string) {
	t.Helper()
	file := filepath.Join(host, name)
	data, err := zones().Open(another)
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := out.ReadFrom(data); err != nil {
		t.Fatal(err)
	}
}
