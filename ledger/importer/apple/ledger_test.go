package apple

import (
	"context"
	"crypto/sha256"
	"errors"
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
	parts   map[partKey]*pb.Chunk
}

func (l *fakeLedger) Save(_ context.Context, req *pb.SaveRequest) (*pb.SaveResponse, error) {
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
	light, err := l.ahead(req)
	if err != nil {
		return nil, fmt.Errorf("request %d: %w", l.number, err)
	}
	columns, err := health.Collect(light.Samples, light.Columns, health.Policy{Importer: true})
	if err != nil {
		return nil, fmt.Errorf("request %d: %w", l.number, err)
	}
	l.largest = max(l.largest, proto.Size(light))
	accepted := 0
	for _, c := range columns {
		accepted += health.Count(c)
		if err := l.complete(c); err != nil {
			return nil, err
		}
	}
	if !l.forget {
		l.requests = append(l.requests, light)
	}
	return &pb.SaveResponse{Accepted: uint32(accepted)}, nil
}

// ahead takes large payloads out of a request, as the client does.
func (l *fakeLedger) ahead(req *pb.SaveRequest) (*pb.SaveRequest, error) {
	for _, c := range req.Columns {
		t, _ := catalog.ByCode(c.Type)
		for i, raw := range c.Body {
			if len(raw) <= lightBytes {
				continue
			}
			body, err := health.ParseBody(raw)
			if err != nil {
				return nil, err
			}
			body.Type = t.Identifier
			for _, s := range append([]*pb.Sample{body}, body.Members...) {
				if err := l.moveAhead(s); err != nil {
					return nil, err
				}
			}
			body.Type = ""
			if c.Body[i], err = health.AppendBody(nil, body); err != nil {
				return nil, err
			}
		}
	}
	return req, nil
}

// moveAhead names a payload by its content.
func (l *fakeLedger) moveAhead(s *pb.Sample) error {
	t, ok := catalog.Lookup(s.Type)
	if !ok || len(s.Payload) == 0 {
		return nil
	}
	content, err := health.AppendBody(nil, &pb.Sample{Payload: s.Payload})
	if err != nil {
		return err
	}
	id := sha256.Sum256(content)
	for i, c := range s.Payload {
		if err := health.CheckChunk(t, c); err != nil {
			return err
		}
		l.put(id[:16], uint32(i), c)
	}
	s.Payload, s.Upload = nil, &pb.Upload{Id: id[:16], Parts: uint32(len(s.Payload))}
	return nil
}

func (l *fakeLedger) put(upload []byte, number uint32, c *pb.Chunk) {
	if l.parts == nil {
		l.parts = map[partKey]*pb.Chunk{}
	}
	if l.forget {
		c = &pb.Chunk{}
	}
	l.parts[partKey{string(upload), number}] = c
}

// complete checks that the payloads that went ahead are there.
func (l *fakeLedger) complete(c *pb.SampleColumns) error {
	for _, row := range health.Rows(c) {
		body, err := health.ParseBody(row.Body)
		if err != nil {
			return err
		}
		for _, s := range append([]*pb.Sample{body}, body.GetMembers()...) {
			for number := range s.GetUpload().GetParts() {
				if l.parts[partKey{string(s.Upload.Id), number}] == nil {
					return fmt.Errorf("part %d of a payload is missing", number)
				}
			}
		}
	}
	return nil
}

// partKey names a part of a payload.
type partKey struct {
	upload string
	number uint32
}

func (l *fakeLedger) SavePart(_ context.Context, req *pb.SavePartRequest) (*pb.SavePartResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t, ok := catalog.Lookup(req.Type)
	if !ok || len(req.Upload) != 16 || proto.Size(req) > 512<<10 {
		return nil, errors.New("a part is not what an importer sends")
	}
	if err := health.CheckChunk(t, req.Chunk); err != nil {
		return nil, err
	}
	l.put(req.Upload, req.Number, req.Chunk)
	return &pb.SavePartResponse{}, nil
}

// saveFunc is a ledger that takes no payloads.
type saveFunc func(context.Context, *pb.SaveRequest) (*pb.SaveResponse, error)

func (f saveFunc) Save(ctx context.Context, req *pb.SaveRequest) (*pb.SaveResponse, error) {
	return f(ctx, req)
}

func (f saveFunc) SavePart(context.Context, *pb.SavePartRequest) (*pb.SavePartResponse, error) {
	return &pb.SavePartResponse{}, nil
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

// object is what the sample has beyond its row.
func (s stored) object() *pb.Sample {
	body, err := health.ParseBody(s.Body)
	if err != nil {
		panic(err)
	}
	return body
}

// payload of the sample or a member of it, as chunks.
func (l *fakeLedger) payload(s *pb.Sample) []*pb.Chunk {
	if s.GetUpload() == nil {
		return s.GetPayload()
	}
	var chunks []*pb.Chunk
	for number := range s.Upload.Parts {
		chunks = append(chunks, l.parts[partKey{string(s.Upload.Id), number}])
	}
	return chunks
}

// data is a payload of bytes.
func (l *fakeLedger) data(s *pb.Sample) []byte {
	var all []byte
	for _, c := range l.payload(s) {
		all = append(all, c.Data...)
	}
	return all
}

// raw is the text of an element that was kept.
func (s stored) raw(l *fakeLedger) string {
	body := s.object()
	return body.GetImportedElement().GetElement().GetValue() + string(l.data(body))
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

// drilled is how many cases or records a test has: ten times as many in a drill.
func drilled(n int) int {
	if os.Getenv("HEALTHLEDGER_DRILL") != "" {
		return 10 * n
	}
	return n
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
	report, err := Import(context.Background(), file(t, "export.xml", content), &l, Options{})
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

// checkAccounts checks that each element that was read is in exactly one counter.
func checkAccounts(t testing.TB, report Report, err error) {
	t.Helper()
	records := report.Elements["Record"]
	if records == nil {
		records = &Tally{}
	}
	if records.Mapped != report.Imported || records.Passed != 0 {
		t.Errorf("of %d records %d were imported, the report says %d", report.Records, records.Mapped, report.Imported)
	}
	if err == nil && (records.Found != report.Records || report.Unexplained() != 0) {
		t.Errorf("%d records, %d in the report; %d elements are not explained", report.Records, records.Found, report.Unexplained())
	}
	for _, m := range []map[string]*Tally{report.Elements, report.Files} {
		for name, tally := range m {
			if tally.Passed > 0 && len(tally.Why) == 0 {
				t.Errorf("%s is passed over for no reason", name)
			}
		}
	}
}
