package apple

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// fakeLedger stands for the client: it checks what the ledger would check and keeps
// the requests.
type fakeLedger struct {
	mu       sync.Mutex
	requests []*pb.SaveRequest
	// refuse, if set, fails the save with this number, from 1.
	refuse func(number int) error
	// forget the requests, for large imports.
	forget  bool
	number  int
	largest int
}

func (l *fakeLedger) save(ctx context.Context, req *pb.SaveRequest) (*pb.SaveResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.number++
	if l.refuse != nil {
		if err := l.refuse(l.number); err != nil {
			return nil, err
		}
	}
	if len(req.RequestId) != 16 || !req.ByContent || len(req.Samples) > 0 {
		return nil, fmt.Errorf("request %d is not what an importer sends", l.number)
	}
	columns, err := health.Collect(req.Samples, req.Columns, health.Policy{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("request %d: %w", l.number, err)
	}
	l.largest = max(l.largest, proto.Size(req))
	accepted := 0
	for _, c := range columns {
		accepted += health.Count(c)
	}
	if !l.forget {
		l.requests = append(l.requests, req)
	}
	return &pb.SaveResponse{Accepted: uint32(accepted)}, nil
}

// stored is one sample with what it shares.
type stored struct {
	typ    *catalog.Type
	unit   string
	source *pb.Source
	health.Row
}

// samples returns everything that was saved.
func (l *fakeLedger) samples() []stored {
	var all []stored
	for _, request := range l.requests {
		for _, c := range request.Columns {
			t, _ := catalog.ByCode(c.Type)
			for _, row := range health.Rows(c) {
				all = append(all, stored{t, c.Unit, c.Source, row})
			}
		}
	}
	return all
}

// of returns the samples of one type by start.
func (l *fakeLedger) of(typ string) []stored {
	var some []stored
	for _, s := range l.samples() {
		if s.typ.Identifier == typ || s.typ.Short() == typ {
			some = append(some, s)
		}
	}
	slices.SortStableFunc(some, func(a, b stored) int { return int(a.Start - b.Start) })
	return some
}

// text prints metadata as "key=value, key=value".
func (s stored) text() string {
	var b strings.Builder
	for i, e := range s.Metadata.GetEntries() {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(e.Key + "=" + e.GetText())
	}
	return b.String()
}

// file writes a file of the test.
func file(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// exportOf wraps elements into a document.
func exportOf(records ...string) []byte {
	return []byte("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<HealthData locale=\"en_GB\">\n" +
		strings.Join(records, "\n") + "\n</HealthData>\n")
}

// importXML imports a document into a fake ledger.
func importXML(t testing.TB, content []byte) (*fakeLedger, Report, error) {
	t.Helper()
	var l fakeLedger
	report, err := Import(context.Background(), file(t, "export.xml", content), l.save, Options{})
	checkAccounts(t, report, err)
	return &l, report, err
}

// mustImport fails the test where the import fails.
func mustImport(t testing.TB, content []byte) (*fakeLedger, Report) {
	t.Helper()
	l, report, err := importXML(t, content)
	if err != nil {
		t.Fatal(err)
	}
	return l, report
}

// checkAccounts checks that each record is in exactly one counter.
func checkAccounts(t testing.TB, report Report, err error) {
	t.Helper()
	var left uint64
	for kind, n := range report.NotImported {
		if strings.HasPrefix(kind, "Record") {
			left += n
		}
	}
	if left != report.RecordsNotImported() {
		t.Errorf("%d records are in NotImported, RecordsNotImported says %d", left, report.RecordsNotImported())
	}
	switch accounted := report.Imported + left; {
	case err == nil && accounted != report.Records:
		t.Errorf("of %d records %d were imported and %d left out", report.Records, report.Imported, left)
	case accounted > report.Records:
		t.Errorf("of %d records %d are accounted for", report.Records, accounted)
	}
}
