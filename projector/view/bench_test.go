package view

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"healthledger/authz"
	"healthledger/projector/aggregate"
	pb "healthledger/proto/healthledger/v1"
)

// series makes columns as importers send them: in order of time, whole seconds, values
// with one decimal place.
type series struct {
	random *rand.Rand
	at     map[string]int64
	made   uint64
}

func newSeries() *series {
	return &series{random: rand.New(rand.NewPCG(1, 2)), at: map[string]int64{}}
}

func (s *series) event(byContent bool, columns ...*pb.SampleColumns) *pb.Event {
	s.made++
	id := binary.BigEndian.AppendUint64(make([]byte, 8, 16), s.made)
	return &pb.Event{Time: int64(s.made), Body: &pb.Event_SamplesSaved{SamplesSaved: &pb.SamplesSaved{
		App: 7, RequestId: id, ByContent: byContent, Columns: columns,
	}}}
}

func (s *series) columns(typeCode uint32, source string, count int, duration int64) *pb.SampleColumns {
	c := &pb.SampleColumns{Type: typeCode, Unit: "count/min", Source: &pb.Source{Name: source}, Tick: 1_000_000, Exponent: 1}
	key := fmt.Sprint(typeCode, source)
	if s.at[key] == 0 {
		s.at[key] = 1_700_000_000
	}
	last, value := int64(0), int64(0)
	for range count {
		s.at[key] += 1 + s.random.Int64N(9) + duration
		next := 600 + s.random.Int64N(400)
		c.Start, c.Mantissa = append(c.Start, s.at[key]-last), append(c.Mantissa, next-value)
		if duration > 0 {
			c.Duration = append(c.Duration, s.random.Int64N(duration+1))
		}
		last, value = s.at[key], next
	}
	return c
}

func (s *series) bulk(samples int, byContent bool) *pb.Event {
	part := samples / 4
	return s.event(byContent, s.columns(1, "watch", part, 0), s.columns(2, "watch", part, 60),
		s.columns(2, "phone", part, 600), s.columns(3, "watch", samples-3*part, 0))
}

func folderSize(b *testing.B, folder string) (bytes int64) {
	files, err := filepath.Glob(filepath.Join(folder, "*.sst"))
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			b.Fatal(err)
		}
		bytes += info.Size()
	}
	return bytes
}

// BenchmarkApply applies segments of 4,000 samples and commits every 64 of them. Bytes are
// those of tables after Close, without waiting for compactions.
func BenchmarkApply(b *testing.B) {
	for _, byContent := range []bool{false, true} {
		b.Run(fmt.Sprintf("byContent=%v", byContent), func(b *testing.B) {
			const samples = 4000
			made := newSeries()
			events := make([]*pb.Event, 0, b.N)
			for range b.N {
				events = append(events, made.bulk(samples, byContent))
			}
			folder := b.TempDir()
			v, err := Open(vfs.Default, folder, Options{AppKey: keyOf})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			batch := v.Begin()
			for i, e := range events {
				sequence := uint64(i + 1)
				if err := batch.Apply(sequence, 0, e); err != nil {
					b.Fatal(err)
				}
				if i%64 == 63 || i == len(events)-1 {
					if err := batch.Commit(Cursor{Sequence: sequence}); err != nil {
						b.Fatal(err)
					}
					batch = v.Begin()
				}
			}
			batch.Close()
			if err := v.Close(); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			total := float64(b.N) * samples
			b.ReportMetric(total/b.Elapsed().Seconds(), "samples/s")
			b.ReportMetric(float64(folderSize(b, folder))/total, "bytes/sample")
		})
	}
}

// BenchmarkReimport applies segments whose samples are all there already.
func BenchmarkReimport(b *testing.B) {
	const samples = 4000
	first, again := newSeries(), newSeries()
	v, err := Open(vfs.Default, b.TempDir(), Options{AppKey: keyOf})
	if err != nil {
		b.Fatal(err)
	}
	batch := v.Begin()
	for i := range b.N {
		if err := batch.Apply(uint64(i+1), 0, first.bulk(samples, true)); err != nil {
			b.Fatal(err)
		}
	}
	if err := batch.Commit(Cursor{Sequence: uint64(b.N)}); err != nil {
		b.Fatal(err)
	}
	again.made = 1 << 32
	events := make([]*pb.Event, 0, b.N)
	for range b.N {
		events = append(events, again.bulk(samples, true))
	}
	b.ReportAllocs()
	b.ResetTimer()
	batch = v.Begin()
	for i, e := range events {
		if err := batch.Apply(uint64(b.N+i+1), 0, e); err != nil {
			b.Fatal(err)
		}
	}
	if err := batch.Commit(Cursor{Sequence: uint64(2 * b.N)}); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)*samples/b.Elapsed().Seconds(), "samples/s")
	if n := v.Counts(); n.Samples != n.Duplicates {
		b.Fatalf("%+v", n)
	}
	if err := v.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkLoneSaves applies events of one sample each.
func BenchmarkLoneSaves(b *testing.B) {
	for _, own := range []bool{false, true} {
		b.Run(fmt.Sprintf("uuid=%v", own), func(b *testing.B) {
			made := newSeries()
			folder := b.TempDir()
			v, err := Open(vfs.Default, folder, Options{AppKey: keyOf})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			batch := v.Begin()
			for i := range b.N {
				c := made.columns(1, "watch", 1, 0)
				if own {
					c.Uuid = binary.BigEndian.AppendUint64(nil, made.random.Uint64())
					c.Uuid = binary.BigEndian.AppendUint64(c.Uuid, made.random.Uint64())
				}
				e := made.event(false, c)
				e.GetSamplesSaved().RequestId = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, made.random.Uint64()), 1)
				if err := batch.Apply(uint64(i+1), 0, e); err != nil {
					b.Fatal(err)
				}
				if i%10000 == 9999 || i == b.N-1 {
					if err := batch.Commit(Cursor{Sequence: uint64(i + 1)}); err != nil {
						b.Fatal(err)
					}
					batch = v.Begin()
				}
			}
			batch.Close()
			if err := v.Close(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(folderSize(b, folder))/float64(b.N), "bytes/sample")
		})
	}
}

func owner() authz.Scope { return authz.NewState(nil, true).OwnerScope() }

// BenchmarkQuarters reads the figures of all quarters of a year, of a series that has
// samples in each.
func BenchmarkQuarters(b *testing.B) {
	const quarters, each = 365 * 96, 4
	made := newSeries()
	v, err := Open(vfs.Default, b.TempDir(), Options{AppKey: keyOf})
	if err != nil {
		b.Fatal(err)
	}
	batch := v.Begin()
	for day := range 365 {
		c := &pb.SampleColumns{Type: mustType("heartRate"), Unit: "count/min", Source: &pb.Source{Name: "watch"}, Tick: 1_000_000, Exponent: 1}
		at, value := int64(0), int64(0)
		for i := range 96 * each {
			start, next := int64(day)*86_400+int64(i)*900/each+made.random.Int64N(100), 600+made.random.Int64N(400)
			c.Start, c.Mantissa = append(c.Start, start-at), append(c.Mantissa, next-value)
			at, value = start, next
		}
		if err := batch.Apply(uint64(day+1), 0, made.event(false, c)); err != nil {
			b.Fatal(err)
		}
	}
	if err := batch.Commit(Cursor{Sequence: 365}); err != nil {
		b.Fatal(err)
	}
	s, err := v.Snapshot()
	if err != nil {
		b.Fatal(err)
	}
	source := s.Sources(owner(), mustType("heartRate"))[0]
	b.ReportAllocs()
	for b.Loop() {
		n, total := 0, aggregate.New(styleOf(source.typeCode))
		q, err := source.Quarters(0, 365*86_400e6)
		if err != nil {
			b.Fatal(err)
		}
		for ok := q.First(); ok; ok = q.Next() {
			total.Fold(q.Figures())
			n++
		}
		if err := q.Close(); err != nil || n != quarters || total.Count() != quarters*each {
			b.Fatal(n, total.Count(), err)
		}
	}
	if err := errors.Join(s.Close(), v.Close()); err != nil {
		b.Fatal(err)
	}
}
