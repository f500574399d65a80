package view

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// imported makes events of an import, each of one sample.
func imported(t *testing.T, samples ...*pb.Sample) []logged {
	t.Helper()
	var log []logged
	for i, s := range samples {
		columns, err := health.Columns([]*pb.Sample{s}, health.Policy{Importer: true})
		if err != nil {
			t.Fatal(err)
		}
		log = append(log, logged{uint64(i) + 1, 0, &pb.Event{Body: &pb.Event_SamplesSaved{SamplesSaved: &pb.SamplesSaved{
			App: 7, RequestId: fmt.Appendf(nil, "request %8d", i), ByContent: true, Columns: columns,
		}}}})
	}
	return log
}

func pressure(name string, value float64, source *pb.Source, metadata ...*pb.MetadataEntry) *pb.Sample {
	return &pb.Sample{Type: name, Unit: "mmHg", Value: &value, Start: health.Timestamp(5), End: health.Timestamp(5), Source: source, Metadata: metadata}
}

func correlation(members ...*pb.Sample) *pb.Sample {
	return &pb.Sample{Type: "bloodPressure", Start: health.Timestamp(5), End: health.Timestamp(5), Source: &pb.Source{Name: "cuff"}, Members: members}
}

// Apple's export has the members of a correlation at the top level too, before or after
// it, and the device can be missing on either of the two. What has no twin among members
// stays apart when only the device differs.
func TestMembersAndTheirTwinsAreOne(t *testing.T) {
	bare, device := &pb.Source{Name: "cuff"}, &pb.Source{Name: "cuff", Device: &pb.Device{Model: "m"}}
	other := &pb.Source{Name: "other"}
	const systolic, diastolic = "bloodPressureSystolic", "bloodPressureDiastolic"
	nested := correlation(pressure(systolic, 120, bare), pressure(diastolic, 80, bare))
	for name, c := range map[string]struct {
		samples []*pb.Sample
		want    Counts
	}{
		"nested first":          {[]*pb.Sample{nested, pressure(systolic, 120, device), pressure(diastolic, 80, bare)}, Counts{Samples: 3, Duplicates: 2}},
		"top level first":       {[]*pb.Sample{pressure(systolic, 120, device), pressure(diastolic, 80, bare), nested}, Counts{Samples: 3, Duplicates: 2}},
		"again":                 {[]*pb.Sample{pressure(systolic, 120, device), nested, nested}, Counts{Samples: 3, Duplicates: 4}},
		"another value":         {[]*pb.Sample{nested, pressure(systolic, 121, device)}, Counts{Samples: 4}},
		"another source":        {[]*pb.Sample{nested, pressure(systolic, 120, other)}, Counts{Samples: 4}},
		"no member among them":  {[]*pb.Sample{pressure(systolic, 120, bare), pressure(systolic, 120, device)}, Counts{Samples: 2}},
		"other members of both": {[]*pb.Sample{nested, correlation(pressure(systolic, 120, device), pressure(diastolic, 81, bare))}, Counts{Samples: 5, Duplicates: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, together := range []bool{false, true} {
				v := openView(t, vfs.NewMem())
				log := imported(t, c.samples...)
				if together {
					commitLog(t, v, log)
				} else {
					for _, s := range segments(log) {
						commitLog(t, v, s)
					}
				}
				if got := v.Counts(); got != c.want {
					t.Errorf("together %v: %+v, want %+v", together, got, c.want)
				}
				closeView(t, v)
			}
		})
	}
}

// A whole has the version of a member that is there now, and not the one it came with.
func TestReferencesFollowReplacedMembers(t *testing.T) {
	source := &pb.Source{Name: "cuff"}
	version := func(n float64) []*pb.MetadataEntry {
		return []*pb.MetadataEntry{text("HKSyncIdentifier", "a"), number("HKMetadataKeySyncVersion", n)}
	}
	whole := correlation(pressure("bloodPressureSystolic", 120, source, version(1)...), pressure("bloodPressureDiastolic", 80, source))
	for _, c := range []struct {
		version, want float64
	}{{2, 125}, {1, 120}, {0, 120}} {
		v := openView(t, vfs.NewMem())
		commitLog(t, v, imported(t, whole, pressure("bloodPressureSystolic", 125, source, version(c.version)...)))
		s, err := v.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		details := s.Details()
		for _, source := range s.Sources(owner(), Pair(2001, 14)) {
			scan, err := source.Scan(math.MinInt64, math.MaxInt64)
			if err != nil || !scan.First() {
				t.Fatal(err)
			}
			object, err := details.Object(source.App(), scan.Sample())
			if err != nil {
				t.Fatal(err)
			}
			var values []float64
			if err := details.Members(owner(), object, func(_ *Source, s *Sample) error {
				values = append(values, s.Value)
				return nil
			}); err != nil || !slices.Equal(values, []float64{c.want, 80}) {
				t.Errorf("version %v: members %v, error %v", c.version, values, err)
			}
			if err := scan.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		closeView(t, v)
	}
}

// However a payload is cut, it has one sum, and another one has another.
func TestPayloadsOfTheSameItemsHaveOneSum(t *testing.T) {
	const n = 80
	l, b, q, volts := &pb.Locations{}, &pb.Beats{AfterGap: []uint32{0, 3, 39}}, &pb.Quantities{}, []float64(nil)
	for i := range n {
		x := float64(i)
		l.Time, l.Latitude, l.Longitude = append(l.Time, int64(i%7-3)), append(l.Latitude, x), append(l.Longitude, -x)
		l.Altitude = append(l.Altitude, math.NaN())
		b.Offset, volts = append(b.Offset, int64(i)), append(volts, x-5)
		q.Offset, q.Duration, q.Value = append(q.Offset, int64(i)), append(q.Duration, int64(i%2)), append(q.Value, x)
	}
	beats := &pb.Chunk{Beats: b}
	whole := []*pb.Chunk{{Locations: l}, beats, {Quantities: q}, {Microvolts: volts}, {Data: []byte(strings.Repeat("document", n))}}
	sum := func(chunks ...*pb.Chunk) string {
		s := newItems()
		for _, c := range chunks {
			s.add(c)
		}
		return fmt.Sprintf("%d %x", s.count, s.hash.Sum(nil))
	}
	sums := map[string]bool{}
	for _, c := range whole {
		sums[sum(c)] = true
		for size := 150; size < 400; size += 31 {
			cut, err := health.Cut([]*pb.Chunk{c}, size)
			if err != nil {
				t.Fatal(err)
			}
			if len(cut) < 2 || sum(cut...) != sum(c) {
				t.Errorf("cut into %d: another sum", len(cut))
			}
		}
	}
	changed := proto.CloneOf(beats)
	changed.Beats.AfterGap = []uint32{0, 3}
	sums[sum(changed)] = true
	if len(sums) != len(whole)+1 {
		t.Errorf("%d sums", len(sums))
	}
}

// Members come after all samples that stand for themselves, so that these have the UUIDs
// that they have without members.
func TestMembersLeaveIndexesOfOthersAlone(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		wholes, twins := drawObjects(r), drawTwins(r)
		twins.Metadata, twins.MetadataIndex, twins.Uuid = nil, nil, nil
		columns := rapid.Permutation([]*pb.SampleColumns{wholes, twins}).Draw(r, "order")
		v := openView(t, vfs.NewMem())
		commitLog(t, v, []logged{{1, 0, &pb.Event{Body: &pb.Event_SamplesSaved{SamplesSaved: &pb.SamplesSaved{
			App: 7, RequestId: make([]byte, 16), Columns: columns,
		}}}}})
		seen := map[uint32]bool{}
		for _, m := range stored(t, v) {
			if m.typeCode == twins.Type {
				seen[m.sample.Index] = true
			}
		}
		for i := range twins.Start {
			if !seen[uint32(i)] {
				r.Fatalf("no sample with index %d", i)
			}
		}
		closeView(t, v)
	})
}

// Every predicate asks for the metadata of a sample.
func TestMetadataAreDecodedOnceForAQuery(t *testing.T) {
	v, made := openView(t, vfs.NewMem()), newSeries()
	c := made.columns(1, "watch", 1, 0)
	c.Metadata, c.MetadataIndex = syncMetadata[:1], []uint32{1}
	commitLog(t, v, []logged{{1, 0, made.event(false, c)}})
	s, err := v.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	details := s.Details()
	scan, err := s.Sources(owner(), 1)[0].Scan(math.MinInt64, math.MaxInt64)
	if err != nil || !scan.First() {
		t.Fatal(err)
	}
	var first []*pb.MetadataEntry
	for range 2 {
		entries, err := details.Metadata(scan.Sample())
		if err != nil || len(entries) == 0 || first != nil && &entries[0] != &first[0] {
			t.Fatalf("%v, error %v", entries, err)
		}
		first = entries
	}
	if err := errors.Join(scan.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	closeView(t, v)
}
