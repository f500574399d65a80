package view

import (
	"math"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	pb "healthledger/proto/healthledger/v1"
)

// modelSample is a stored sample as the model has it.
type modelSample struct {
	typeCode uint32
	app      uint64
	source   string
	sample   Sample
	unit     string
	metadata string
}

func (m *modelSample) sameContent(o *modelSample) bool {
	return m.typeCode == o.typeCode && m.app == o.app && m.source == o.source && m.unit == o.unit &&
		m.metadata == o.metadata && m.sample.Start == o.sample.Start && m.sample.End == o.sample.End &&
		math.Float64bits(m.sample.Value) == math.Float64bits(o.sample.Value) &&
		m.sample.HasCreated == o.sample.HasCreated && m.sample.Created == o.sample.Created
}

// model applies a log the slow and obvious way.
func model(log []logged) (samples []modelSample, duplicates uint64) {
	type named struct {
		app uint64
		id  [16]byte
	}
	requests, uuids := map[named]bool{}, map[named]bool{}
	for _, l := range log {
		saved := l.body.GetSamplesSaved()
		if saved == nil {
			continue
		}
		request := named{saved.GetApp(), [16]byte(saved.GetRequestId())}
		next := map[uint32]uint32{}
		for _, c := range saved.GetColumns() {
			start, mantissa := int64(0), int64(0)
			for i := range c.GetStart() {
				start += c.GetStart()[i]
				m := modelSample{
					typeCode: c.GetType(), app: saved.GetApp(), source: string(appendSource(nil, c.GetSource())), unit: c.GetUnit(),
				}
				m.sample.Place = Place{
					Start: start * int64(c.GetTick()), Sequence: l.sequence, Event: uint32(l.event), Index: next[c.GetType()],
				}
				next[c.GetType()]++
				m.sample.End = m.sample.Start
				if c.GetDuration() != nil {
					m.sample.End += c.GetDuration()[i] * int64(c.GetTick())
				}
				if c.GetReal() != nil {
					m.sample.Value = c.GetReal()[i]
				} else {
					mantissa += c.GetMantissa()[i]
					m.sample.Value = float64(mantissa) / math.Pow10(int(c.GetExponent()))
				}
				if c.GetCreated() != nil {
					m.sample.HasCreated, m.sample.Created = true, m.sample.End+c.GetCreated()[i]*int64(c.GetTick())
				}
				if c.GetMetadataIndex() != nil && c.GetMetadataIndex()[i] > 0 {
					m.metadata = string(appendMetadata(nil, c.GetMetadata()[c.GetMetadataIndex()[i]-1]))
				}
				if c.GetUuid() != nil {
					m.sample.HasUUID, m.sample.UUID = true, [16]byte(c.GetUuid()[16*i:])
				}
				own := named{saved.GetApp(), m.sample.UUID}
				if requests[request] ||
					saved.GetByContent() && slices.ContainsFunc(samples, func(o modelSample) bool { return m.sameContent(&o) }) ||
					m.sample.HasUUID && uuids[own] {
					duplicates++
					continue
				}
				if m.sample.HasUUID {
					uuids[own] = true
				}
				samples = append(samples, m)
			}
		}
		requests[request] = true
	}
	return samples, duplicates
}

// stored reads everything back through the reader's side.
func stored(t testing.TB, v *View) []modelSample {
	t.Helper()
	s, err := v.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var samples []modelSample
	for _, typeCode := range []uint32{1, 2, 300} {
		details := s.Details(typeCode)
		for _, source := range s.Sources(owner(), typeCode) {
			scan, err := source.Scan(math.MinInt64, math.MaxInt64)
			if err != nil {
				t.Fatal(err)
			}
			for ok := scan.First(); ok; ok = scan.Next() {
				m := modelSample{
					typeCode: typeCode, app: source.App(), source: string(appendSource(nil, source.Origin())),
					sample: *scan.Sample(), unit: s.Unit(scan.Sample()),
				}
				if entries, err := details.Metadata(scan.Sample()); err != nil {
					t.Fatal(err)
				} else if scan.Sample().metadata != 0 {
					m.metadata = string(appendMetadata(nil, &pb.Metadata{Entries: entries}))
				}
				m.sample.unit, m.sample.metadata = 0, 0
				samples = append(samples, m)
			}
			if err := scan.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return samples
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
		log := drawLog(r, 6)
		v := openView(t, vfs.NewMem())
		for _, s := range segments(log) {
			commitLog(t, v, s)
		}
		want, duplicates := model(log)
		got := stored(t, v)
		sortSamples(want)
		sortSamples(got)
		options := cmp.AllowUnexported(modelSample{}, Sample{})
		if diff := cmp.Diff(want, got, options, cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) })); diff != "" {
			r.Fatal(diff)
		}
		if n, d := v.Counts(); n != uint64(len(want)) || d != duplicates {
			r.Fatalf("counts %d and %d, want %d and %d", n, d, len(want), duplicates)
		}
		checkDirectory(r, v, want)
		closeView(t, v)
	})
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
	for _, typeCode := range []uint32{1, 2, 300} {
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
				if m.typeCode != typeCode || m.app != source.App() || m.source != string(appendSource(nil, source.Origin())) {
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
				if m.sample.End >= low && m.sample.Start <= until && !inside {
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
