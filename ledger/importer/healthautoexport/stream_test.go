package healthautoexport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	pb "healthledger/proto/healthledger/v1"
)

// points writes a metric with so many points; the name comes first or last.
func pointsOf(w io.Writer, n int, last bool) {
	head := `"name":"step_count","units":"count"`
	io.WriteString(w, `{"data":{"metrics":[{`)
	if !last {
		io.WriteString(w, head+",")
	}
	io.WriteString(w, `"data":[`)
	for i := range n {
		if i > 0 {
			io.WriteString(w, ",")
		}
		fmt.Fprintf(w, "\n        { \"qty\" : %d.%d, \"date\" : \"2024-%02d-%02d %02d:%02d:%02d +0100\", \"source\" : \"Watch\" }",
			i%97, i%10, 1+i/86400/28%12, 1+i/86400%28, i/3600%24, i/60%60, i%60)
	}
	io.WriteString(w, "]")
	if last {
		io.WriteString(w, ","+head)
	}
	io.WriteString(w, "}]}}")
}

func TestMemoryDoesNotGrowWithTheDocument(t *testing.T) {
	skipRaced(t)
	const n = 150_000
	for _, last := range []bool{false, true} {
		from, to := io.Pipe()
		go func() {
			pointsOf(to, n, last)
			to.Close()
		}()
		var before, now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		seen, peak := 0, uint64(0)
		report, err := Parse(from, func(*pb.Sample) error {
			if seen++; seen%25_000 == 1 {
				runtime.GC()
				runtime.ReadMemStats(&now)
				peak = max(peak, now.HeapAlloc)
			}
			return nil
		}, Options{})
		if err != nil || seen != n {
			t.Fatalf("%d samples, %v", seen, err)
		}
		if grown := int64(peak) - int64(before.HeapAlloc); grown > 6<<20 {
			t.Errorf("name last %v: %d MiB for %d MiB of JSON", last, grown>>20, report.Bytes>>20)
		}
	}
}

// skipRaced leaves a test with much input to the run without the race detector: one goroutine
// reads it.
func skipRaced(t *testing.T) {
	t.Helper()
	if raceEnabled {
		t.Skip("much input")
	}
}

// endless repeats a text for ever.
type endless struct {
	head, text []byte
}

func (e *endless) Read(into []byte) (int, error) {
	if len(e.head) > 0 {
		n := copy(into, e.head)
		e.head = e.head[n:]
		return n, nil
	}
	n := 0
	for n+len(e.text) <= len(into) {
		n += copy(into[n:], e.text)
	}
	return n, nil
}

func TestWhatNeverEndsIsRefused(t *testing.T) {
	for name, e := range map[string]endless{
		"a text":  {[]byte(`{"data":{"symptoms":[{"name":"`), []byte("aaaaaaaa")},
		"a key":   {[]byte(`{"`), []byte("aaaaaaaa")},
		"a space": {[]byte(`{"data":{"symptoms":[`), []byte("        ")},
		"a list":  {[]byte(`{"data":{"workouts":[{"route":[0`), []byte(`,{},[{}]`)},
	} {
		if _, err := Parse(&e, func(*pb.Sample) error { return nil }, Options{limit: 1 << 20}); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	deep := append([]byte(`{"data":{"symptoms":[`), bytes.Repeat([]byte("["), 1<<20)...)
	if _, err := Parse(bytes.NewReader(deep), func(*pb.Sample) error { return nil }, Options{}); err == nil {
		t.Error("a million brackets are an element")
	}
}

func TestPointsThatWaitForTheirNameAreBounded(t *testing.T) {
	skipRaced(t)
	s := &series{}
	random := rand.NewChaCha8([32]byte{})
	noise := make([]byte, 1<<20)
	var err error
	for i := 0; err == nil && i < 100; i++ {
		random.Read(noise)
		err = s.wait(noise)
	}
	if err == nil {
		t.Errorf("100 MiB wait in %d bytes", s.waiting.compressed.Len())
	}
}

func BenchmarkParse(b *testing.B) {
	var document bytes.Buffer
	pointsOf(&document, 100_000, false)
	b.SetBytes(int64(document.Len()))
	for b.Loop() {
		if _, err := Parse(bytes.NewReader(document.Bytes()), func(*pb.Sample) error { return nil }, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
