package apple

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/scripts/genexport/export"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const heartRate = `<Record type="HKQuantityTypeIdentifierHeartRate" sourceName="Anna’s Apple Watch" sourceVersion="10.6.1"
 device="&lt;&lt;HKDevice: 0x3035d0460&gt;, name:Apple Watch, hardware:Watch6,10&gt;" unit="count/min"
 creationDate="2024-08-24 17:12:03 +0200" startDate="2024-08-24 17:11:00 +0200" endDate="2024-08-24 17:11:01 +0200" value="61.5">`

// point wraps attributes into a record.
func point(attributes string) string {
	return `<Record sourceName="s" startDate="2024-01-01 00:00:00 +0000" endDate="2024-01-01 00:00:00 +0000" ` + attributes + `/>`
}

func TestRecordsBecomeSamples(t *testing.T) {
	l, report := mustImport(t, exportOf(
		heartRate+`
  <MetadataEntry key="HKMetadataKeyHeartRateMotionContext" value="1"/>
  <MetadataEntry key="note" value="a &amp; b"/>
  <MetadataEntry key="note" value=""/>
 </Record>`,
		point(`type="HKCategoryTypeIdentifierSleepAnalysis" value="HKCategoryValueSleepAnalysisAsleepREM"`),
		point(`type="HKCategoryTypeIdentifierAppleStandHour" value="1"`),
	))
	if report.Records != 3 || report.Imported != 3 || report.Unexplained() != 0 || report.Replaced != 0 || len(report.Warnings) != 0 {
		t.Errorf("report: %+v", report)
	}
	got := l.of("heartRate")[0]
	start := time.Date(2024, 8, 24, 15, 11, 0, 0, time.UTC).UnixMicro()
	if got.Start != start || got.End != start+1e6 || got.Created != start+63e6 || !got.HasCreated || got.Value != 61.5 || got.unit != "count/min" {
		t.Errorf("heart rate: %+v", got)
	}
	want := &pb.Source{Name: "Anna’s Apple Watch", Version: "10.6.1", Device: &pb.Device{Name: "Apple Watch", HardwareVersion: "Watch6,10"}}
	if !proto.Equal(got.source, want) {
		t.Errorf("source: %v", got.source)
	}
	if got.text() != "HKMetadataKeyHeartRateMotionContext=1, note=a & b, note=" {
		t.Errorf("metadata: %s", got.text())
	}
	if got := l.of("sleepAnalysis")[0]; got.Value != 5 || got.unit != "" || got.HasCreated || got.Metadata != nil {
		t.Errorf("sleep: %+v", got)
	}
	if got := l.of("appleStandHour")[0]; got.Value != 1 {
		t.Errorf("stand hour: %+v", got)
	}
}

func TestEachRecordIsImportedOrKeptRaw(t *testing.T) {
	const steps = `type="HKQuantityTypeIdentifierStepCount" unit="count" `
	for name, c := range map[string]struct{ record, why string }{
		"no type":            {point(`value="1" unit="count"`), "no type"},
		"future type":        {point(`type="HKQuantityTypeIdentifierFromTheFuture" unit="hr" value="8"`), "unknown type"},
		"another kind":       {point(`type="HKCorrelationTypeIdentifierFood" value="8"`), "a type that records do not have"},
		"no value":           {point(steps), "no value"},
		"no number":          {point(steps + `value="many"`), "a value that is no number"},
		"infinite":           {point(steps + `value="1e999"`), "a value that is no number"},
		"no unit":            {point(`type="HKQuantityTypeIdentifierStepCount" value="1"`), "no unit"},
		"another unit":       {point(`type="HKQuantityTypeIdentifierStepCount" unit="kg" value="1"`), "refused for its unit"},
		"no such unit":       {point(`type="HKQuantityTypeIdentifierStepCount" unit="furlong" value="1"`), "refused for its unit"},
		"unit of a category": {point(`type="HKCategoryTypeIdentifierMindfulSession" unit="min" value="0"`), "refused for its unit"},
		"no such label":      {point(`type="HKCategoryTypeIdentifierSleepAnalysis" value="HKCategoryValueSleepAnalysisLucid"`), "a value that its type does not have"},
		"no such number":     {point(`type="HKCategoryTypeIdentifierSleepAnalysis" value="17"`), "refused for its value"},
		"no start":           {`<Record ` + steps + `value="1" sourceName="s" endDate="2024-01-01 00:00:00 +0000"/>`, "a start date that cannot be read"},
		"no end":             {`<Record ` + steps + `value="1" sourceName="s" startDate="2024-01-01 00:00:00 +0000"/>`, "an end date that cannot be read"},
		"end before start":   {`<Record ` + steps + `value="1" startDate="2024-01-01 00:00:01 +0000" endDate="2024-01-01 00:00:00 +0000"/>`, "refused for its end"},
		"bad creation date":  {point(steps + `value="1" creationDate="yesterday"`), "a creation date that cannot be read"},
		"year zero":          {`<Record ` + steps + `value="1" startDate="0000-01-01 00:00:00 +0000" endDate="0000-01-01 00:00:00 +0000"/>`, "refused for its start"},
		"source too long":    {point(steps + `value="1" sourceVersion="` + strings.Repeat("x", 2000) + `"`), "refused for its source.version"},
		"metadata too long":  {strings.TrimSuffix(point(steps+`value="1"`), "/>") + `><MetadataEntry key="` + strings.Repeat("x", 300) + `" value=""/></Record>`, "refused for its metadata"},
		"endless metadata":   {strings.TrimSuffix(point(steps+`value="1"`), "/>") + `>` + strings.Repeat(`<MetadataEntry key="x" value=""/>`, health.MaxEntries+1) + `</Record>`, "refused for its metadata"},
		"endless beats":      {strings.TrimSuffix(point(steps+`value="1"`), "/>") + `><HeartRateVariabilityMetadataList>` + strings.Repeat(`<InstantaneousBeatsPerMinute bpm="`+strings.Repeat("7", 1000)+`"/>`, 2200) + `</HeartRateVariabilityMetadataList></Record>`, "refused for its metadata"},
		"endless unit":       {point(`type="HKQuantityTypeIdentifierStepCount" value="1" unit="` + strings.Repeat("g", 2000) + `"`), "refused for its unit"},
		"metadata missing":   {point(`type="HKQuantityTypeIdentifierInsulinDelivery" unit="IU" value="1"`), "refused for its metadata"},
	} {
		t.Run(name, func(t *testing.T) {
			l, report := mustImport(t, exportOf(c.record, point(steps+`value="42"`)))
			if records := report.Elements["Record"]; records.Why[c.why] != 1 || records.Kept != 1 {
				t.Errorf("kept: %+v, want %s", records, c.why)
			}
			if good := l.of("stepCount"); report.Imported != 1 || len(good) != 1 || good[0].Value != 42 {
				t.Errorf("the good record beside it: %+v", report)
			}
			if raw := l.of("importedElement"); len(raw) != 1 || raw[0].object().GetImportedElement().GetWhy() != c.why {
				t.Errorf("the raw one: %+v", raw)
			} else if text := raw[0].raw(l); text != c.record {
				t.Errorf("got %.500s, want %.500s", text, c.record)
			}
		})
	}
}

func TestKindsAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range 3 * maxKinds {
		b.WriteString(point(fmt.Sprintf(`type="T%d"`, i)))
		fmt.Fprintf(&b, "<E%d/>", i)
	}
	_, report := mustImport(t, exportOf(b.String()))
	if n := len(report.Elements); n > maxKinds+1 {
		t.Errorf("%d elements", n)
	}
	if n := len(report.Elements["Record"].Types); n > maxKinds+1 {
		t.Errorf("%d types", n)
	}
}

func TestHeartbeatsAreKept(t *testing.T) {
	const record = `<Record type="HKQuantityTypeIdentifierHeartRateVariabilitySDNN" sourceName="s" unit="ms" startDate="2017-09-20 09:43:08 -0500" endDate="2017-09-20 09:44:08 -0500" value="42.5">
  <MetadataEntry key="a" value="1"/>
  <HeartRateVariabilityMetadataList>
   <InstantaneousBeatsPerMinute bpm="66" time="9:43:09.08 AM"/>
   <InstantaneousBeatsPerMinute bpm="71" time="9:43:09.94 AM"/>
   <InstantaneousBeatsPerMinute bpm="70" time="irgendwann"/>
  </HeartRateVariabilityMetadataList>
  <MetadataEntry key="b" value="2"/>
 </Record>`
	l, report := mustImport(t, exportOf(record))
	if got, want := l.samples()[0].text(), "a=1, "+BeatsKey+"=66 1.08; 71 1.94; 70 irgendwann, b=2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for name, tally := range report.Elements {
		if tally.Kept != 0 {
			t.Errorf("%s: %+v", name, tally)
		}
	}
}

// columnsOf imports an export and returns its columns as bytes.
func columnsOf(t *testing.T, o export.Options) [][]byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := export.WriteXML(&b, o); err != nil {
		t.Fatal(err)
	}
	var l fakeLedger
	// One request in flight keeps them in order.
	if _, err := Import(context.Background(), file(t, "export.xml", b.Bytes()), &l, Options{InFlight: 1}); err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for _, r := range l.requests {
		for _, c := range r.Columns {
			content, err := proto.MarshalOptions{Deterministic: true}.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, content)
		}
	}
	return all
}

func TestZoneAndAddressesOfTheExportDoNotMatter(t *testing.T) {
	o := export.Options{Seed: 7, Records: drilled(3_000), Years: 0.6, Zone: zone(t, "Europe/Berlin"), Quirks: true}
	here := columnsOf(t, o)
	o.Pointers = 99
	for _, name := range []string{"America/Los_Angeles", "Asia/Kathmandu", "UTC"} {
		o.ExportZone = zone(t, name)
		if !slices.EqualFunc(here, columnsOf(t, o), bytes.Equal) {
			t.Errorf("the columns of an export from %s differ", name)
		}
	}
	o.Seed++
	if slices.EqualFunc(here, columnsOf(t, o), bytes.Equal) {
		t.Error("the columns of other data do not differ")
	}
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Skipf("no time zones on this system: %v", err)
	}
	return z
}

func TestRequestsStaySmall(t *testing.T) {
	// Every record has its own large metadata and its own source.
	var b strings.Builder
	for i := range 60 {
		b.WriteString(strings.TrimSuffix(point(fmt.Sprintf(`type="HKQuantityTypeIdentifierStepCount" unit="count" value="%d" sourceVersion="%d"`, i, i)), "/>"))
		fmt.Fprintf(&b, `><MetadataEntry key="k%d" value="%s"/></Record>`, i, strings.Repeat("x", health.MaxMetadata-100))
	}
	for i := range 20_000 {
		b.WriteString(point(fmt.Sprintf(`type="HKQuantityTypeIdentifierBodyMass" unit="kg" value="%d.%015d"`, i, i)))
	}
	l, report := mustImport(t, exportOf(b.String()))
	if report.Imported != 20_060 {
		t.Errorf("report: %+v", report)
	}
	if l.largest > 700<<10 {
		t.Errorf("a request has %d bytes", l.largest)
	}
	if l.number < 12 {
		t.Errorf("%d requests", l.number)
	}
}

func TestBrokenDocumentIsImportedUpToTheFlaw(t *testing.T) {
	good := point(`type="HKQuantityTypeIdentifierStepCount" unit="count" value="1"`)
	document := exportOf(strings.Repeat(good+"\n", 20_000))
	cut := len(document) * 3 / 4
	for name, broken := range map[string][]byte{
		"truncated": document[:cut],
		"corrupted": append(append(document[:cut:cut], "<<<<"...), document[cut:]...),
	} {
		t.Run(name, func(t *testing.T) {
			l, report, err := importXML(t, broken)
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("got %v", err)
			}
			saved := uint64(len(l.samples()))
			if report.Saved != saved || saved < 14_900 || saved > 15_100 {
				t.Errorf("%d were saved, the report says %d", saved, report.Saved)
			}
			if want := fmt.Sprintf("%d samples were saved", saved); !strings.Contains(err.Error(), want) {
				t.Errorf("%v does not say: %s", err, want)
			}
			if syntax.Offset < int64(cut)-300 || syntax.Offset > int64(cut)+300 || syntax.Line < 14_900 {
				t.Errorf("byte %d, line %d; it was cut at %d", syntax.Offset, syntax.Line, cut)
			}
		})
	}
}

func TestRefusedSaveEndsTheImport(t *testing.T) {
	good := point(`type="HKQuantityTypeIdentifierStepCount" unit="count" value="1"`)
	path := file(t, "export.xml", exportOf(strings.Repeat(good+"\n", 60_000)))
	refused := errors.New("INVALID_SAMPLE: sample 7")
	l := fakeLedger{refuse: func(number int) error {
		if number > 3 {
			return refused
		}
		return nil
	}}
	report, err := Import(context.Background(), path, &l, Options{})
	if !errors.Is(err, refused) || !strings.Contains(err.Error(), "importing again is safe") {
		t.Errorf("got %v", err)
	}
	if saved := uint64(len(l.samples())); report.Saved != saved || saved == 0 || len(l.requests) != 3 {
		t.Errorf("%d were saved, the report says %d", saved, report.Saved)
	}
	if report.Records > 55_000 {
		t.Errorf("the import went on for %d records", report.Records)
	}
}

func TestSaveThatAcceptsLessEndsTheImport(t *testing.T) {
	path := file(t, "export.xml", exportOf(point(`type="HKQuantityTypeIdentifierStepCount" unit="count" value="1"`)))
	report, err := Import(context.Background(), path, saveFunc(func(context.Context, *pb.SaveRequest) (*pb.SaveResponse, error) {
		return &pb.SaveResponse{}, nil
	}), Options{})
	if err == nil || report.Saved != 0 {
		t.Errorf("got %v, %d imported", err, report.Imported)
	}
}

func TestCancelledImportEnds(t *testing.T) {
	path := file(t, "export.xml", exportOf(strings.Repeat(point(`type="HKQuantityTypeIdentifierStepCount" unit="count" value="1"`), 50_000)))
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Import(ctx, path, saveFunc(func(ctx context.Context, _ *pb.SaveRequest) (*pb.SaveResponse, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}), Options{InFlight: 2})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestSavesAreInFlightTogether(t *testing.T) {
	path := file(t, "export.xml", exportOf(strings.Repeat(point(`type="HKQuantityTypeIdentifierStepCount" unit="count" value="1"`), 40_000)))
	var l fakeLedger
	var arrived atomic.Int32
	both := make(chan struct{})
	_, err := Import(context.Background(), path, saveFunc(func(ctx context.Context, req *pb.SaveRequest) (*pb.SaveResponse, error) {
		if arrived.Add(1) == 3 {
			close(both)
		}
		select {
		case <-both:
		case <-time.After(10 * time.Second):
			return nil, errors.New("no other save came")
		}
		return l.Save(ctx, req)
	}), Options{InFlight: 3})
	if err != nil || len(l.samples()) != 40_000 {
		t.Errorf("got %v, %d samples", err, len(l.samples()))
	}
}

func TestProgressReachesTheEnd(t *testing.T) {
	content := exportOf(strings.Repeat(point(`type="HKQuantityTypeIdentifierStepCount" unit="count" value="1"`)+"\n", 30_000))
	var l fakeLedger
	var calls, done, total int64
	var records uint64
	report, err := Import(context.Background(), file(t, "export.xml", content), &l, Options{Progress: func(d, of int64, r uint64) {
		if d < done {
			t.Errorf("progress went back from %d to %d", done, d)
		}
		calls, done, total, records = calls+1, d, of, r
	}})
	if err != nil {
		t.Fatal(err)
	}
	if done != int64(len(content)) || total != done || records != 30_000 || report.Bytes != done || calls < 4 {
		t.Errorf("%d calls, the last with %d of %d bytes, %d records; report: %d bytes", calls, done, total, records, report.Bytes)
	}
}

func TestImportDoesNotAllocatePerRecord(t *testing.T) {
	allocations := func(records int) float64 {
		content := exportOf(strings.Repeat(heartRate+`<MetadataEntry key="HKMetadataKeyHeartRateMotionContext" value="1"/></Record>`+"\n", records))
		return testing.AllocsPerRun(3, func() {
			store := newStore(context.Background(), accept, 1)
			if err := newReader(bytes.NewReader(content), newReport(), store, &files{}).all(context.Background(), func() {}); err != nil {
				t.Error(err)
			}
			if err := store.sender.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	few, many := allocations(1000), allocations(7000) // within one batch
	if perRecord := (many - few) / 6000; perRecord > 0.02 {
		t.Errorf("%.3f allocations a record", perRecord)
	}
}

func TestReportDoesNotQuoteValues(t *testing.T) {
	_, report, err := importXML(t, []byte(`<HealthData>`+
		strings.TrimSuffix(point(`type="HKQuantityTypeIdentifierBloodGlucose" unit="secret" value="secret"`), "/>")+
		`><MetadataEntry key="secret" value="secret"/></Record><a b="secret" c=secret/></HealthData>`))
	if all := fmt.Sprint(report, err); err == nil || strings.Contains(all, "secret") {
		t.Errorf("got %s", all)
	}
}
