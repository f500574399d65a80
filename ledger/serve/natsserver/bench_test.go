package natsserver_test

import (
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"healthledger/ledger/serve/natsserver"
)

// BenchmarkStreams reports what a store at rest costs the daemon: resident memory
// of a stream that has been created, and again after a restart, and how long the
// restart takes. The target (DESIGN.md section 10) is 200 KB, and 2,000 stores
// ready in 3 s.
func BenchmarkStreams(b *testing.B) {
	for _, n := range []int{200, 2000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				dir := b.TempDir()
				srv := start(b, natsserver.Options{StoreDir: dir})
				js, err := jetstream.New(connect(b, srv, natsserver.Administrator))
				if err != nil {
					b.Fatal(err)
				}
				before := resident(b)
				for i := range n {
					makeStream(b, js, fmt.Sprintf("store%d", i))
				}
				b.ReportMetric((resident(b)-before)/float64(n)/1e3, "KB/new-stream")
				srv.Shutdown()

				before = resident(b)
				began := time.Now()
				srv = start(b, natsserver.Options{StoreDir: dir})
				b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms/start")
				b.ReportMetric((resident(b)-before)/float64(n)/1e3, "KB/stream")
				srv.Shutdown()
			}
		})
	}
}

// resident is the process's resident memory in bytes.
func resident(b *testing.B) float64 {
	b.Helper()
	debug.FreeOSMemory()
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip(err)
	}
	pages, err := strconv.ParseFloat(string(bytes.Fields(data)[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return pages * float64(os.Getpagesize())
}
