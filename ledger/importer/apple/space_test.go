package apple

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"healthledger/scripts/genexport/export"
)

// peak returns how many bytes of the heap a function needs at the same time, garbage that
// is not collected yet included.
func peak(t testing.TB, f func()) int64 {
	t.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	read := func() int64 {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64())
	}
	runtime.GC()
	before := read()
	var most atomic.Int64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			most.Store(max(most.Load(), read()))
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Microsecond):
			}
		}
	}()
	f()
	close(stop)
	<-done
	return most.Load() - before
}

// fixedSpace is what an import needs for any input: the window of the scanner, what is read
// ahead, the requests in flight, and the tree of one element with maxNodes elements.
const fixedSpace = 40 << 20

// TestHostileInputsNeedNoMoreThanTwiceTheirSize blows up the seeds of the fuzz targets and
// some shapes that parsers stumble over to several megabytes.
func TestHostileInputsNeedNoMoreThanTwiceTheirSize(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector needs memory of its own")
	}
	const size = 12 << 20
	fill := func(head, part, tail string) []byte {
		return []byte(head + strings.Repeat(part, (size-len(head)-len(tail))/len(part)) + tail)
	}
	for name, document := range map[string][]byte{
		"one element of small ones":  fill(`<HealthData><a>`, `<b/>`, `</a></HealthData>`),
		"small elements":             []byte(`<HealthData>` + strings.Repeat(`<a/>`, 20_000) + `</HealthData>`),
		"one workout of events":      fill(`<HealthData><Workout workoutActivityType="HKWorkoutActivityTypeRunning"`+dates+`>`, `<WorkoutEvent/>`, `</Workout></HealthData>`),
		"one workout of locations":   fill(`<HealthData><Workout workoutActivityType="HKWorkoutActivityTypeRunning"`+dates+`><WorkoutRoute>`, `<Location date="201401010000+0000" latitude="1" longitude="1"/>`, `</WorkoutRoute></Workout></HealthData>`),
		"one correlation of records": fill(`<HealthData><Correlation type="HKCorrelationTypeIdentifierFood"`+dates+`>`, `<Record type="HKQuantityTypeIdentifierDietaryWater" unit="L" value="1"`+dates+`/>`, `</Correlation></HealthData>`),
		"one record of metadata":     fill(`<HealthData><Record`+dates+`>`, `<MetadataEntry key="" value=""/>`, `</Record></HealthData>`),
		"one record of beats":        fill(`<HealthData>`+strings.TrimSuffix(point(`type="HKQuantityTypeIdentifierStepCount" unit="count" value="1"`), "/>")+`><HeartRateVariabilityMetadataList>`, `<InstantaneousBeatsPerMinute/>`, `</HeartRateVariabilityMetadataList></Record></HealthData>`),
		"text":                       fill(`<HealthData>`, `text `, `</HealthData>`),
		"deep":                       fill(`<HealthData>`, `<a>`, ``),
		"types":                      []byte(`<HealthData>` + strings.Repeat(`<Record type="T"/>`, 20_000) + `</HealthData>`),
	} {
		t.Run(name, func(t *testing.T) {
			path := file(t, "export.xml", document)
			got := peak(t, func() {
				l := fakeLedger{forget: true}
				if _, err := Import(context.Background(), path, &l, Options{InFlight: 1}); err != nil {
					t.Log(err)
				}
			})
			if t.Logf("%d MB for %d MB", got>>20, len(document)>>20); got > 2*int64(len(document))+fixedSpace {
				t.Errorf("%d bytes for %d", got, len(document))
			}
		})
	}
	gpx := fill(`<gpx><trk><trkseg>`, `<trkpt lat="0" lon="0"><time>2024-01-01T10:00:00Z</time></trkpt>`, `</trkseg></trk></gpx>`)
	ecg := bytes.Repeat([]byte("1\n"), size/2)
	copy(ecg, "N,A\nB,1\nD,2024-06-15 10:30:00 +0000\nC,\nS,\nV,2\nD,W\nR,512 Hz\nL,I\nU,uV\n")
	for name, parse := range map[string]func(){
		"GPX": func() { _, _ = parseGPX(bytes.NewReader(gpx), false) },
		"ECG": func() { _, _ = parseECG(ecg) },
		"JSON": func() {
			_, _ = parseResource(fill(`{"resourceType":"X","category":[`, `[],`, `[]]}`)[:size])
		},
	} {
		got := peak(t, parse)
		if t.Logf("%s: %d MB for %d MB", name, got>>20, size>>20); got > 2*size+fixedSpace {
			t.Errorf("%s: %d bytes for %d", name, got, size)
		}
	}
}

// TestLargeExportNeedsLittleMemory imports an archive of some size; HEALTHLEDGER_DRILL makes
// it the gigabyte that the design speaks of.
func TestLargeExportNeedsLittleMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector needs memory of its own")
	}
	size := int64(60e6)
	if os.Getenv("HEALTHLEDGER_DRILL") != "" {
		size = 1e9
	}
	path := filepath.Join(t.TempDir(), "export.xml")
	write(t, path, func(w io.Writer) error {
		_, err := export.WriteXML(w, export.Options{Seed: 1, Size: size, Years: 5})
		return err
	})
	started := time.Now()
	got := peak(t, func() {
		l := fakeLedger{forget: true}
		if _, err := Import(context.Background(), path, &l, Options{}); err != nil {
			t.Error(err)
		}
	})
	t.Logf("%d MB of heap for %d MB, %.0f MB/s", got>>20, size/1e6, float64(size)/1e6/time.Since(started).Seconds())
	if got > 200<<20 {
		t.Errorf("%d bytes of heap", got)
	}
}
