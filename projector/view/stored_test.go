package view

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// modelTypes are the types of generated logs.
var modelTypes = []uint32{1, 2, 13, 14, 300, 2102, 2401, 2502, 2604, 2607, 2701, 2801, Pair(2001, 13), Pair(2001, 14)}

// stored reads everything back through the reader's side.
func stored(t testing.TB, v *View) []modelSample {
	t.Helper()
	s, err := v.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var samples []modelSample
	details := s.Details()
	for _, typeCode := range modelTypes {
		for _, source := range s.Sources(owner(), typeCode) {
			scan, err := source.Scan(math.MinInt64, math.MaxInt64)
			if err != nil {
				t.Fatal(err)
			}
			for ok := scan.First(); ok; ok = scan.Next() {
				m := modelSample{
					typeCode: typeCode, app: source.App(), source: string(appendSource(nil, source.Origin())), object: source.Object().Name,
					sample: *scan.Sample(), unit: s.Unit(scan.Sample()),
				}
				if entries, err := details.Metadata(scan.Sample()); err != nil {
					t.Fatal(err)
				} else if scan.Sample().metadata != 0 {
					m.metadata = string(appendMetadata(nil, &pb.Metadata{Entries: entries}))
				}
				m.readObject(t, details, &source, scan.Sample())
				m.sample.unit, m.sample.metadata, m.sample.body, m.sample.member = 0, 0, 0, false
				samples = append(samples, m)
			}
			if err := scan.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	sortSamples(samples)
	return samples
}

func (m *modelSample) readObject(t testing.TB, details *Details, source *Source, s *Sample) {
	t.Helper()
	object, err := details.Object(source.App(), s)
	if err != nil {
		t.Fatal(err)
	}
	if object == nil {
		return
	}
	b, err := health.AppendBody(nil, object.Body)
	if err != nil {
		t.Fatal(err)
	}
	m.body = string(b)
	if err := details.Members(owner(), object, func(source *Source, s *Sample) error {
		m.members = append(m.members, fmt.Sprint(source.Type(), s.Place))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var chunks []*pb.Chunk
	for number := range object.Chunks {
		c, err := details.Chunk(object, number)
		if err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, c)
	}
	m.items = renderItems(chunks)
}

func sortSamples(samples []modelSample) {
	slices.SortFunc(samples, func(a, b modelSample) int {
		if a.typeCode != b.typeCode {
			return int(a.typeCode) - int(b.typeCode)
		}
		return a.sample.Place.Compare(&b.sample.Place)
	})
}

func TestViewHoldsWhatTheModelHolds(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		log := drawLog(r, 8)
		v := openView(t, vfs.NewMem())
		for _, s := range segments(log) {
			commitLog(t, v, s)
		}
		m := newModel(log)
		want, got := m.samples(), stored(t, v)
		options := cmp.AllowUnexported(modelSample{}, Sample{})
		if diff := cmp.Diff(want, got, options, cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) })); diff != "" {
			r.Fatal(diff)
		}
		m.counts.Samples = uint64(len(m.objects))
		if diff := cmp.Diff(m.counts, v.Counts()); diff != "" {
			r.Fatal(diff)
		}
		checkDirectory(r, v, want)
		checkOutcomes(r, v, m)
		closeView(t, v)
	})
}

func checkOutcomes(r *rapid.T, v *View, m *model) {
	s, err := v.Snapshot()
	if err != nil {
		r.Fatal(err)
	}
	defer s.Close()
	for id, want := range m.outcomes {
		if got, ok, err := s.Outcome(id.app, id.id); err != nil || !ok || got != want {
			r.Fatalf("request %x of app %d: %+v, %v, %v, want %+v", id.id, id.app, got, ok, err, want)
		}
	}
	if _, ok, err := s.Outcome(99, [16]byte{}); ok || err != nil {
		r.Fatalf("a request that was never made: %v, %v", ok, err)
	}
}

// checkDirectory compares the directory with what is stored, and that every sample lies
// in the spans that must hold it.
func checkDirectory(r *rapid.T, v *View, samples []modelSample) {
	s, err := v.Snapshot()
	if err != nil {
		r.Fatal(err)
	}
	defer s.Close()
	low, until := rapid.Int64Range(-1e13, 1e13).Draw(r, "low"), rapid.Int64Range(-1e13, 1e13).Draw(r, "until")
	for _, typeCode := range modelTypes {
		total := 0
		for _, source := range s.Sources(owner(), typeCode) {
			spans := source.Spans(low, until)
			for i := range spans {
				if spans[i].First > spans[i].Last || i > 0 && spans[i].First <= spans[i-1].Last {
					r.Fatalf("spans %v are not in order", spans)
				}
			}
			count := uint64(0)
			for _, m := range samples {
				if m.typeCode != typeCode || m.app != source.App() || m.source != string(appendSource(nil, source.Origin())) || m.object != source.Object().Name {
					continue
				}
				count++
				e := source.entry
				if m.sample.End > e.maxEnd {
					r.Fatalf("end %d after the last, %d", m.sample.End, e.maxEnd)
				}
				inside := slices.ContainsFunc(spans, func(s Span) bool {
					return s.First <= m.sample.End && m.sample.End <= s.Last && uint64(m.sample.End-m.sample.Start) <= s.Longest
				})
				if m.sample.End >= low && m.sample.Start <= until && !inside && !isPair(typeCode) {
					r.Fatalf("sample %v is in none of %v", m.sample.Place, spans)
				}
			}
			if count != source.entry.count {
				r.Fatalf("%d samples, the directory says %d", count, source.entry.count)
			}
			total += int(count)
		}
		for _, m := range samples {
			if m.typeCode == typeCode {
				total--
			}
		}
		if total != 0 {
			r.Fatalf("type %d: %d samples too many or too few", typeCode, total)
		}
	}
}
