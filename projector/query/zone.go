package query

import (
	"archive/zip"
	_ "embed"
	"io/fs"
	"strings"
	"sync"
	"time"
)

// zoneinfo is the IANA database that comes with Go. time.LoadLocation would look at the
// host's first, and an answer must not depend on what is installed there.
//
//go:generate cp $GOROOT/lib/time/zoneinfo.zip .
//go:embed zoneinfo.zip
var zoneinfo string

var zones = sync.OnceValue(func() *zip.Reader {
	r, err := zip.NewReader(strings.NewReader(zoneinfo), int64(len(zoneinfo)))
	if err != nil {
		panic(err) // it is part of the program
	}
	return r
})

func parseZone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	data, err := fs.ReadFile(zones(), name)
	if err != nil {
		return nil, unknownZone(name)
	}
	zone, err := time.LoadLocationFromTZData(name, data)
	if err != nil {
		return nil, unknownZone(name)
	}
	return zone, nil
}

func unknownZone(name string) error {
	return refuse("time_zone", name, "no time zone of the IANA database has this name")
}
