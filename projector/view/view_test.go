package view

import (
	"errors"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	pb "healthledger/proto/healthledger/v1"
)

func TestRebuiltViewEqualsIncrementalKeyForKey(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		log := drawLog(r, 8)
		whole := openView(t, vfs.NewMem())
		commitLog(t, whole, log)

		files := vfs.NewMem()
		v := openView(t, files)
		var part []logged
		for _, s := range segments(log) {
			part = append(part, s...)
			switch rapid.IntRange(0, 3).Draw(r, "then") {
			case 1:
				commitLog(t, v, part)
				part = nil
			case 2:
				commitLog(t, v, part)
				part = nil
				closeView(t, v)
				v = openView(t, files)
			}
		}
		commitLog(t, v, part)
		if diff := cmp.Diff(dump(t, whole), dump(t, v)); diff != "" {
			r.Fatal(diff)
		}
		closeView(t, v)
		closeView(t, whole)
	})
}

func TestReaderSeesWholeBatchesOnly(t *testing.T) {
	v := openView(t, vfs.NewMem())
	const batches, events, each = 60, 5, 40
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				s, err := v.Snapshot()
				if err != nil {
					t.Error(err)
					return
				}
				n := 0
				for _, source := range s.Sources(owner(), 1) {
					n += int(source.entry.count)
					scan, err := source.Scan(math.MinInt64, math.MaxInt64)
					if err != nil {
						t.Error(err)
						return
					}
					for ok := scan.First(); ok; ok = scan.Next() {
						n--
					}
					if err := scan.Close(); err != nil {
						t.Error(err)
					}
					if want := s.Cursor().Sequence / events * events * each; source.entry.count != want {
						t.Errorf("%d samples at cursor %d, want %d", source.entry.count, s.Cursor().Sequence, want)
					}
				}
				if n != 0 {
					t.Errorf("the directory has %d samples more than the rows", n)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	made, sequence := newSeries(), uint64(0)
	for range batches {
		b := v.Begin()
		for range events {
			sequence++
			if err := b.Apply(sequence, 0, made.event(false, made.columns(1, "watch", each, 30))); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Commit(Cursor{Sequence: sequence}); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	readers.Wait()
	closeView(t, v)
}

func TestClosedBatchLeavesNoTrace(t *testing.T) {
	v := openView(t, vfs.NewMem())
	made := newSeries()
	b := v.Begin()
	b.PutDecision(1, []byte("one"))
	if err := b.Apply(1, 0, made.bulk(100, true)); err != nil {
		t.Fatal(err)
	}
	if b.Len() < 100 {
		t.Errorf("a batch of 100 samples of %d bytes", b.Len())
	}
	b.Close()
	b.Close()
	if err := b.Commit(Cursor{Sequence: 1}); err == nil {
		t.Error("a closed batch was committed")
	}
	if rows := dump(t, v); len(rows) > 0 {
		t.Errorf("rows %q are left", rows)
	}
	// Ids of the dictionaries are given again.
	commitLog(t, v, []logged{{2, 0, newSeries().bulk(10, true)}})
	closeView(t, v)
}

func TestMalformedEventsAreRefused(t *testing.T) {
	good := func() *pb.SamplesSaved {
		return newSeries().event(false, &pb.SampleColumns{Type: 1, Tick: 1, Start: []int64{1, 1}, Mantissa: []int64{1, 1}}).GetSamplesSaved()
	}
	cases := map[string]func(*pb.SamplesSaved){
		"request id":     func(s *pb.SamplesSaved) { s.RequestId = s.RequestId[1:] },
		"end":            func(s *pb.SamplesSaved) { s.Columns[0].Duration = []int64{0, -1} },
		"metadata index": func(s *pb.SamplesSaved) { s.Columns[0].MetadataIndex = []uint32{0} },
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			v := openView(t, vfs.NewMem())
			saved := good()
			spoil(saved)
			b := v.Begin()
			err := b.Apply(1, 0, &pb.Event{Body: &pb.Event_SamplesSaved{SamplesSaved: saved}})
			if !errors.Is(err, ErrEvent) {
				t.Errorf("error %v", err)
			}
			if err := b.Commit(Cursor{Sequence: 1}); err == nil {
				t.Error("the batch was committed")
			}
			closeView(t, v)
		})
	}
	t.Run("order and kind", func(t *testing.T) {
		v := openView(t, vfs.NewMem())
		commitLog(t, v, []logged{{5, 0, newSeries().bulk(4, false)}})
		for _, l := range []logged{{5, 1, newSeries().bulk(4, false)}, {4, 0, newSeries().bulk(4, false)}, {6, 0, &pb.Event{}}, {6, -1, newSeries().bulk(4, false)}} {
			b := v.Begin()
			if err := b.Apply(l.sequence, l.event, l.body); !errors.Is(err, ErrEvent) {
				t.Errorf("event %d of segment %d: error %v", l.event, l.sequence, err)
			}
			b.Close()
		}
		b := v.Begin()
		if err := b.Apply(9, 0, newSeries().bulk(4, false)); err != nil {
			t.Fatal(err)
		}
		if err := b.Commit(Cursor{Sequence: 8}); err == nil {
			t.Error("a cursor before the batch's last event was committed")
		}
		closeView(t, v)
	})
}

func TestDecisionsAreKeptInOrder(t *testing.T) {
	files := vfs.NewMem()
	v := openView(t, files)
	b := v.Begin()
	b.PutDecision(300, []byte("c"))
	b.PutDecision(2, []byte("old"))
	b.PutDecision(2, []byte("b"))
	if err := b.Commit(Cursor{Sequence: 3, Tree: []byte("tree")}); err != nil {
		t.Fatal(err)
	}
	closeView(t, v)
	v = openView(t, files)
	var got []string
	err := v.Decisions(func(number uint64, record []byte) error {
		got = append(got, string(record))
		return nil
	})
	if err != nil || !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("decisions %q, error %v", got, err)
	}
	if c := v.Cursor(); c.Sequence != 3 || string(c.Tree) != "tree" {
		t.Errorf("cursor %v", c)
	}
	stop := errors.New("stop")
	if err := v.Decisions(func(uint64, []byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
	closeView(t, v)
	if err := v.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("second close: %v", err)
	}
	if _, err := v.Snapshot(); !errors.Is(err, ErrClosed) {
		t.Errorf("snapshot after close: %v", err)
	}
}

func TestOtherFormatsAreRefused(t *testing.T) {
	cases := map[string]func(*testing.T, *vfs.MemFS){
		"not a view": func(t *testing.T, files *vfs.MemFS) {
			db, err := pebble.Open("view", &pebble.Options{FS: files, Logger: quiet{}})
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(db.Set([]byte("k"), nil, pebble.Sync), db.Close()); err != nil {
				t.Fatal(err)
			}
		},
		"other version": func(t *testing.T, files *vfs.MemFS) {
			v := openView(t, files)
			row := appendState(nil, Cursor{Sequence: 1}, Counts{})
			row[0]++
			if err := v.db.Set(stateKey(), row, pebble.NoSync); err != nil {
				t.Fatal(err)
			}
			closeView(t, v)
		},
		"no state": func(t *testing.T, files *vfs.MemFS) {
			v := openView(t, files)
			commitLog(t, v, []logged{{1, 0, newSeries().bulk(10, false)}})
			if err := v.db.Delete(stateKey(), pebble.NoSync); err != nil {
				t.Fatal(err)
			}
			closeView(t, v)
		},
		"malformed entry": func(t *testing.T, files *vfs.MemFS) {
			v := openView(t, files)
			commitLog(t, v, []logged{{1, 0, newSeries().bulk(10, false)}})
			if err := v.db.Set(appendEntryKey(nil, familyEntry, 1, 99), []byte{1, 2}, pebble.NoSync); err != nil {
				t.Fatal(err)
			}
			closeView(t, v)
		},
		"missing table": func(t *testing.T, files *vfs.MemFS) {
			v := openView(t, files)
			commitLog(t, v, []logged{{1, 0, newSeries().bulk(10, false)}})
			closeView(t, v)
			names, err := files.List("view")
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				if len(name) > 4 && name[len(name)-4:] == ".sst" {
					if err := files.Remove(files.PathJoin("view", name)); err != nil {
						t.Fatal(err)
					}
				}
			}
		},
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			files := vfs.NewMem()
			spoil(t, files)
			if v, err := Open(files, "view", Options{AppKey: keyOf}); !errors.Is(err, ErrFormat) {
				t.Errorf("view %v, error %v", v, err)
			}
		})
	}
}

// A view that is in use is not a damaged one: nobody may delete its folder.
func TestOpenViewIsNotDamaged(t *testing.T) {
	files := vfs.NewMem()
	v := openView(t, files)
	if _, err := Open(files, "view", Options{AppKey: keyOf}); err == nil || errors.Is(err, ErrFormat) {
		t.Errorf("error %v", err)
	}
	closeView(t, v)
}

func TestBackgroundErrorStopsTheView(t *testing.T) {
	broken := errorfs.Toggle{Injector: errorfs.ErrInjected.If(errorfs.And(errorfs.Writes, errorfs.PathMatch("*/*.sst")))}
	v := openView(t, errorfs.Wrap(vfs.NewMem(), &broken))
	commitLog(t, v, []logged{{1, 0, newSeries().bulk(10, false)}})
	broken.On()
	if err := v.flush(); err == nil {
		t.Error("the flush succeeded")
	}
	if err := <-v.Failed(); err == nil || v.Err() == nil {
		t.Error("no failure is reported")
	}
	b := v.Begin()
	if err := b.Commit(Cursor{Sequence: 2}); err == nil {
		t.Error("a failed view was written to")
	}
	if err := v.Close(); err == nil {
		t.Error("a failed view closed without a word")
	}
}

func TestCloseWaitsForReaders(t *testing.T) {
	v := openView(t, vfs.NewMem())
	commitLog(t, v, []logged{{1, 0, newSeries().bulk(10, false)}})
	s, err := v.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	go func() { closed <- v.Close() }()
	<-v.closing
	if err := s.Err(); !errors.Is(err, ErrClosed) {
		t.Errorf("the reader is told %v", err)
	}
	select {
	case <-closed:
		t.Error("closed under a reader")
	default:
	}
	if err := errors.Join(s.Close(), s.Close(), <-closed); err != nil {
		t.Error(err)
	}
}
