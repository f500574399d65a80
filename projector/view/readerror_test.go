package view

import (
	"errors"
	"math"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	pb "healthledger/proto/healthledger/v1"
)

// failing fails one read of a file.
type failing struct{ at, reads atomic.Int64 }

func (f *failing) String() string { return "one read" }

func (f *failing) MaybeError(op errorfs.Op) error {
	if op.Kind != errorfs.OpFileReadAt && op.Kind != errorfs.OpFileRead {
		return nil
	}
	if f.reads.Add(1) == f.at.Load() {
		return errorfs.ErrInjected
	}
	return nil
}

// Whatever read of the disk fails, nobody gets less than there is without an error.
func TestNothingIsSkippedWhereAReadFails(t *testing.T) {
	files := vfs.NewMem()
	v := openView(t, files)
	made := newSeries()
	for segment := range 10 {
		// Segments overlap in time, and there are too few samples at a time for figures.
		c := &pb.SampleColumns{Type: mustType("heartRate"), Unit: "count/min", Source: &pb.Source{Name: "watch"}, Tick: 1_000_000}
		c.Start, c.Real = []int64{1_700_000_000 + int64(segment)*480_000%2_000_000}, []float64{made.random.Float64()}
		for range 799 {
			c.Start, c.Real = append(c.Start, 601), append(c.Real, made.random.Float64())
		}
		commitLog(t, v, []logged{{uint64(segment + 1), 0, made.event(false, c)}})
	}
	closeView(t, v)
	readers := map[string]func(*Snapshot, *Source) (int, error){
		"changes": func(s *Snapshot, source *Source) (n int, err error) {
			f := s.Changes([]Source{*source}, Beginning, freely)
			for f.Next() {
				n++
			}
			return n, f.Close()
		},
		"figures": func(_ *Snapshot, source *Source) (n int, err error) {
			q, err := source.Quarters(math.MinInt64, math.MaxInt64)
			if err != nil {
				return 0, err
			}
			for ok := q.First(); ok; ok = q.Next() {
				n += int(q.Figures().Starts)
			}
			return n, q.Close()
		},
		"samples": func(_ *Snapshot, source *Source) (n int, err error) {
			scan, err := source.Scan(math.MinInt64, math.MaxInt64)
			if err != nil {
				return 0, err
			}
			for ok := scan.First(); ok; ok = scan.Next() {
				n++
			}
			return n, scan.Close()
		},
	}
	for name, read := range readers {
		t.Run(name, func(t *testing.T) {
			broken := &failing{}
			try := func(at int64) (int, error) {
				v, err := Open(errorfs.Wrap(files, broken), "view", Options{AppKey: keyOf, CacheSize: 1})
				if err != nil {
					t.Fatal(err)
				}
				s, err := v.Snapshot()
				if err != nil {
					t.Fatal(err)
				}
				broken.reads.Store(0)
				broken.at.Store(at)
				n, err := read(s, &s.Sources(owner(), mustType("heartRate"))[0])
				broken.at.Store(0)
				// A view that has failed says so again.
				_ = errors.Join(s.Close(), v.Close())
				return n, err
			}
			all, err := try(0)
			if err != nil || all == 0 {
				t.Fatal(all, err)
			}
			reads, told := broken.reads.Load(), 0
			for at := int64(1); at <= reads; at += max(1, reads/20) {
				n, err := try(at)
				if err == nil && n != all {
					t.Errorf("with read %d of %d failing there are %d of %d, and no error", at, reads, n, all)
				}
				if err != nil {
					told++
				}
				if err != nil && !errors.Is(err, ErrFormat) {
					t.Errorf("read %d fails, and nobody learns that the view is damaged: %v", at, err)
				}
			}
			if told == 0 {
				t.Errorf("none of %d reads that failed was told", reads)
			}
		})
	}
}
