package serve

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	pb "healthledger/proto/healthledger/v1"
)

// book is a log that takes records, or refuses, and the clock by which they are made.
type book struct {
	mu      sync.Mutex
	appends [][]*pb.Event
	err     error
	// before is called while a read is being recorded.
	before func()
	now    time.Time
	timers []timer
}

type timer struct {
	at   time.Time
	fire func()
}

func (b *book) Record(_ context.Context, app uint64, events ...*pb.Event) (uint64, error) {
	if b.before != nil && events[0].GetAccessRecorded() != nil {
		b.before()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return 0, b.err
	}
	for _, e := range events {
		if e.GetAccessRecorded().GetApp() != app && e.GetAccessCounted().GetApp() != app {
			return 0, errors.New("an event of another app")
		}
	}
	b.appends = append(b.appends, events)
	return uint64(len(b.appends)), nil
}

func (b *book) records() (all []*pb.AccessRecorded) {
	for _, e := range slices.Concat(b.appends...) {
		if r := e.GetAccessRecorded(); r != nil {
			all = append(all, r)
		}
	}
	return all
}

// move lets time pass, and what is due happen.
func (b *book) move(d time.Duration) {
	b.now = b.now.Add(d)
	due := slices.DeleteFunc(slices.Clone(b.timers), func(t timer) bool { return t.at.After(b.now) })
	b.timers = slices.DeleteFunc(b.timers, func(t timer) bool { return !t.at.After(b.now) })
	for _, t := range due {
		t.fire()
	}
}

func (b *book) recorder() *recorder {
	r := newRecorder(nil, slog.New(slog.DiscardHandler))
	r.store, r.now = b, func() time.Time { return b.now }
	r.after = func(d time.Duration, f func()) *time.Timer {
		b.timers = append(b.timers, timer{b.now.Add(d), f})
		return time.NewTimer(time.Hour)
	}
	return r
}

func newBook() (*book, *recorder) {
	b := &book{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	return b, b.recorder()
}

func covers(r *pb.AccessRecorded, p period) bool {
	return r.GetFrom() == 0 && r.GetTo() == 0 || r.GetFrom() <= p.from && r.GetTo() >= p.to
}

func drawPeriod(r *rapid.T) period {
	return period{rapid.SampledFrom([]int64{math.MinInt64, -5, 3, 9}).Draw(r, "from"), rapid.SampledFrom([]int64{10, 20, math.MaxInt64}).Draw(r, "to")}
}

// When Record returns nil, this minute's records of the same app, type and operation
// have one that covers the read; and there are no more of them than needed, all of one
// call at once.
func TestEveryAnsweredReadIsCoveredByARecordOfItsMinute(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b, rec := newBook()
		for range rapid.IntRange(1, 30).Draw(r, "reads") {
			app, p := rapid.Uint64Range(0, 1).Draw(r, "app"), drawPeriod(r)
			codes := rapid.SliceOfN(rapid.Uint32Range(1, 3), 1, 4).Draw(r, "types")
			b.move(time.Duration(rapid.IntRange(0, 40).Draw(r, "seconds")) * time.Second)
			b.err = nil
			if rapid.IntRange(0, 4).Draw(r, "full") == 0 {
				b.err = errors.New("no space")
			}
			uncovered := map[uint32]bool{}
			for _, code := range codes {
				uncovered[code] = !slices.ContainsFunc(b.records(), func(record *pb.AccessRecorded) bool {
					return record.GetMinute() == b.now.Unix()/60 && record.GetApp() == app && record.GetType() == code && covers(record, p)
				})
			}
			needed := 0
			for _, is := range uncovered {
				if is {
					needed++
				}
			}
			before := len(b.appends)
			err := rec.Record(t.Context(), app, "samples", codes, p)
			if (err != nil) != (needed > 0 && b.err != nil) {
				r.Fatalf("%d records are needed, the log says %v: %v", needed, b.err, err)
			}
			if err != nil || needed == 0 {
				if len(b.appends) != before {
					r.Fatal("recorded again")
				}
				continue
			}
			if len(b.appends) != before+1 || len(b.appends[before]) != needed {
				r.Fatalf("%d appends for %d records", len(b.appends)-before, needed)
			}
			for _, e := range b.appends[before] {
				record := e.GetAccessRecorded()
				if !uncovered[record.GetType()] || !covers(record, p) || record.GetOperation() != "samples" || record.GetMinute() != b.now.Unix()/60 {
					r.Fatal("not recorded:", record)
				}
				uncovered[record.GetType()] = false
			}
		}
	})
}

// tallied is what the log says of an access.
type tallied struct {
	count uint64
	open  bool
	by    uint32
	lost  bool
}

// counted goes through the log as the view does.
func (b *book) counted(r *rapid.T) map[access]tallied {
	all := map[access]tallied{}
	for _, e := range slices.Concat(b.appends...) {
		if record := e.GetAccessRecorded(); record != nil {
			a := access{record.GetApp(), record.GetType(), record.GetOperation(), record.GetMinute()}
			c := all[a]
			all[a] = tallied{c.count, true, record.GetCountedBy(), c.lost || c.open && record.GetCountedBy() != c.by}
		}
		for _, n := range e.GetAccessCounted().GetCounts() {
			a := access{e.GetAccessCounted().GetApp(), n.GetType(), n.GetOperation(), n.GetMinute()}
			c, there := all[a]
			if !there {
				r.Fatal("counted, and never recorded:", n)
			}
			all[a] = tallied{c.count + n.GetCount(), false, 0, c.lost}
		}
	}
	return all
}

// Whatever happens while reads are being recorded: minutes that end, locks, other reads,
// a log that is full, a daemon that dies. A count that is known is exact, and all are known
// if nothing went wrong.
func TestCountsAddUpToTheAnsweredReads(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b, rec := newBook()
		answered := map[access]uint64{}
		wrong := false
		read := func() {
			app, operation := rapid.Uint64Range(0, 1).Draw(r, "app"), rapid.SampledFrom([]string{"samples", "updates"}).Draw(r, "operation")
			codes := rapid.SliceOfNDistinct(rapid.Uint32Range(1, 2), 1, 2, rapid.ID).Draw(r, "types")
			minute, mine := b.now.Unix()/60, rec
			if mine.Record(t.Context(), app, operation, codes, drawPeriod(r)) == nil && mine == rec {
				for _, code := range codes {
					answered[access{app, code, operation, minute}]++
				}
			}
		}
		step := func(kinds int) {
			switch rapid.IntRange(0, kinds).Draw(r, "step") {
			case 0, 1, 2:
				read()
			case 3:
				b.move(time.Duration(rapid.IntRange(0, 70).Draw(r, "seconds")) * time.Second)
			case 4:
				rec.Flush()
			case 5: // a full disk
				b.err, wrong = errors.New("no space"), true
			case 6:
				b.err = nil
			case 7: // a crash
				rec, wrong, b.timers = b.recorder(), true, nil
			}
		}
		depth := 0
		b.before = func() {
			if depth++; depth < 4 && rapid.IntRange(0, 2).Draw(r, "meanwhile") == 0 {
				step(5)
			}
			depth--
		}
		kinds := rapid.SampledFrom([]int{4, 7}).Draw(r, "kinds")
		for range rapid.IntRange(1, 40).Draw(r, "steps") {
			step(kinds)
		}
		b.err = nil
		rec.Close()
		counted := b.counted(r)
		for a, n := range answered {
			c, there := counted[a]
			known := !c.open && !c.lost
			if !there || !wrong && !known || known && c.count != n {
				r.Fatalf("%+v was answered %d times, the log says %v %+v", a, n, there, c)
			}
		}
		for a, c := range counted {
			if c.count > answered[a] && !c.lost {
				r.Fatalf("%+v was answered %d times, the log says %+v", a, answered[a], c)
			}
		}
		if len(rec.tallies) != 0 {
			r.Fatal("something is still counted")
		}
	})
}

func TestCountsFollowTheMinuteByThemselves(t *testing.T) {
	b, rec := newBook()
	if err := rec.Record(t.Context(), 1, "samples", []uint32{2, 3}, period{1, 2}); err != nil {
		t.Fatal(err)
	}
	b.move(59 * time.Second)
	if len(b.appends) != 1 || len(b.timers) != 1 {
		t.Fatal(b.appends)
	}
	b.move(time.Second)
	if len(b.appends) != 2 || len(b.appends[1][0].GetAccessCounted().GetCounts()) != 2 || len(b.timers) != 0 {
		t.Fatal(b.appends, b.timers)
	}
}

func TestRecordThatOutlastsItsMinuteDoesNotCountForTheNext(t *testing.T) {
	b, rec := newBook()
	p := period{1, 2}
	b.before = func() {
		b.before = nil
		b.move(time.Minute)
		if err := rec.Record(t.Context(), 3, "other", []uint32{3}, p); err != nil {
			t.Error(err)
		}
	}
	for range 2 {
		if err := rec.Record(t.Context(), 1, "samples", []uint32{2}, p); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.records(); len(got) != 3 || got[1].GetMinute()+1 != got[2].GetMinute() {
		t.Fatal(got)
	}
}

func TestOpenPeriodIsRecordedAsSuch(t *testing.T) {
	b, rec := newBook()
	from := timestamppb.New(time.UnixMicro(77))
	for _, p := range []period{periodOf(from, nil), periodOf(nil, nil)} {
		if err := rec.Record(t.Context(), 1, "samples", []uint32{2}, p); err != nil {
			t.Fatal(err)
		}
	}
	got := b.records()
	if len(got) != 2 || got[0].GetFrom() != 77 || got[0].GetTo() != math.MaxInt64 || got[1].GetFrom() != 0 || got[1].GetTo() != 0 {
		t.Fatal(got)
	}
	if got[0].GetCountedBy() != got[1].GetCountedBy() {
		t.Error("a wider period begins a new count")
	}
}
