package ndjson

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// fakeLedger checks what the ledger would check and keeps the requests.
type fakeLedger struct {
	requests []*pb.SaveRequest
	parts    []*pb.SavePartRequest
	refuse   error
}

func (l *fakeLedger) Save(_ context.Context, req *pb.SaveRequest) (*pb.SaveResponse, error) {
	if l.refuse != nil {
		return nil, l.refuse
	}
	columns, err := health.Collect(req.Samples, req.Columns, health.Policy{Importer: true})
	if err != nil {
		return nil, err
	}
	l.requests = append(l.requests, req)
	n := 0
	for _, c := range columns {
		n += health.Count(c)
	}
	return &pb.SaveResponse{Accepted: uint32(n)}, nil
}

func (l *fakeLedger) SavePart(_ context.Context, req *pb.SavePartRequest) (*pb.SavePartResponse, error) {
	l.parts = append(l.parts, req)
	return &pb.SavePartResponse{}, nil
}

func read(t testing.TB, text string) (*fakeLedger, Report, error) {
	t.Helper()
	var l fakeLedger
	var report Report
	err := Read(t.Context(), strings.NewReader(text), &l, &report, func(int64) {})
	return &l, report, err
}

const (
	good     = `{"type":"bodyMass","start":"2025-06-01T07:00:00Z","value":71.3,"unit":"kg"}`
	withUUID = `{"uuid":"6f1c1b5a-7a39-4b3c-9a5e-0f3a1d2b4c5d","type":"HKQuantityTypeIdentifierBodyMass","start":"2025-06-01T07:00:00Z","value":71.3,"unit":"kg","source":{"app":"com.example.scale"}}`
)

func TestSaysWhatIsWrongWithALine(t *testing.T) {
	for _, c := range []struct{ name, bad, field, why string }{
		{"not JSON", `{"type":`, "", "not a sample"},
		{"an unknown field", `{"type":"bodyMass","wait":1}`, "", `unknown field "wait"`},
		{"an unknown type", strings.Replace(good, "bodyMass", "bodyMess", 1), "type", "no such type"},
		{"a unit that does not fit", strings.Replace(good, "kg", "km", 1), "unit", "not compatible"},
		{"no start", `{"type":"bodyMass","value":71.3,"unit":"kg"}`, "start", "missing"},
		{"what only the ledger says", strings.Replace(withUUID, `"app":`, `"importer":"x","app":`, 1), "source.importer", "set by the ledger"},
		{"a UUID that is none", strings.Replace(withUUID, "6f1c", "xxxx", 1), "uuid", "not the canonical text"},
		{"a part of an unknown type", `{"type":"nothing","upload":"AAAAAAAAAAAAAAAAAAAAAA==","chunk":{"data":"AAAA"}}`, "type", "no such type"},
		{"a part that is not the type's", `{"type":"cda","upload":"AAAAAAAAAAAAAAAAAAAAAA==","chunk":{"microvolts":[1]}}`, "chunk", "not what"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, report, err := read(t, good+"\n\n"+c.bad+"\n"+good+"\n")
			var bad *LineError
			if !errors.As(err, &bad) || bad.Line != 3 || bad.Field != c.field || !strings.Contains(bad.Error(), c.why) {
				t.Fatalf("got %v", err)
			}
			// What stands before a bad line is saved, whatever the line says.
			if report.Imported != 1 || len(l.requests) != 1 || len(l.parts) > 0 {
				t.Errorf("%d samples in %d requests are imported, and %d parts", report.Imported, len(l.requests), len(l.parts))
			}
		})
	}
}

func TestObjectsWithUUIDAreNotJudgedByContent(t *testing.T) {
	l, report, err := read(t, "\uFEFF"+good+"\r\n"+withUUID+"\n"+strings.Replace(withUUID, "6f1c", "6f1d", 1)+"\n"+good)
	if err != nil || report.Imported != 4 || report.Lines != 4 {
		t.Fatalf("%v: %+v", err, report)
	}
	if len(l.requests) != 3 || !l.requests[0].ByContent || l.requests[1].ByContent || !l.requests[2].ByContent {
		t.Errorf("%d requests, of which those without UUIDs have to be judged by content", len(l.requests))
	}
	if app := l.requests[1].Columns[0].GetSource().GetApp(); app != "com.example.scale" {
		t.Errorf("the app became %q", app)
	}
}

func TestLinesAreBounded(t *testing.T) {
	l, report, err := read(t, good+"\n"+`{"type":"`+strings.Repeat("x", MaxLine)+`"}`)
	var bad *LineError
	if !errors.As(err, &bad) || bad.Line != 2 || report.Imported != 1 || len(l.requests) != 1 {
		t.Errorf("%v: %+v", err, report)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	long := strings.Replace(good, "}", `,"metadata":[{"key":"k","text":"`+strings.Repeat("x", 100<<10)+`"}]}`, 1)
	l, _, err := read(t, strings.Repeat(long+"\n", 20)+strings.Repeat(good+"\n", 2*fullSamples))
	if err != nil {
		t.Fatal(err)
	}
	if len(l.requests) < 5 {
		t.Errorf("%d requests", len(l.requests))
	}
}

func TestErrorsOfTheLedgerNameTheLines(t *testing.T) {
	l := fakeLedger{refuse: errors.New("no")}
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(good+"\n"+good+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Import(t.Context(), path, &l, Options{})
	if !errors.Is(err, l.refuse) || !strings.Contains(err.Error(), "lines 1 to 2") {
		t.Errorf("got %v", err)
	}
}

func TestDetectsItsOwnAndNothingElse(t *testing.T) {
	for text, want := range map[string]bool{
		good: true, withUUID: true, "\uFEFF " + good: true, withUUID[:120]: true,
		`{"value":1,"unit":"kg","type":"bodyMass"}`: true,
		"": false, "{}": false, `{"data":{"metrics":[]}}`: false, `{"type":1}`: false, "[" + good + "]": false,
		"<HealthData>": false, "start,end,value": false, `{"uuid":`: false,
	} {
		if Detect([]byte(text)) != want {
			t.Errorf("Detect(%q) is not %v", text, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{good, withUUID, good + "\n" + withUUID, `{"type":"cda","upload":"AAAAAAAAAAAAAAAAAAAAAA==","chunk":{"data":"AAAA"}}`,
		`{"type":"cda","start":"2025-06-01T07:00:00Z","document":{},"payload":[{"data":"AAAA"}]}`, `{"type":"bloodPressure","members":[` + good + `]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var l fakeLedger
		var report Report
		err := Read(t.Context(), bytes.NewReader(text), &l, &report, func(int64) {})
		var bad *LineError
		// Nothing that passes the importer's checks is refused by the ledger.
		if err != nil && !errors.As(err, &bad) {
			t.Fatal(err)
		}
		if report.Bytes > int64(len(text)) {
			t.Fatalf("read %d bytes of %d", report.Bytes, len(text))
		}
		Detect(text)
	})
}
