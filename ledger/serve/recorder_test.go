package serve

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	pb "healthledger/proto/healthledger/v1"
)

// book is a log that takes records, or refuses.
type book struct {
	records []*pb.AccessRecorded
	minutes []int64
	err     error
	before  func()
	now     *time.Time
}

func (b *book) Record(_ context.Context, app uint64, event *pb.Event) (uint64, error) {
	if b.before != nil {
		b.before()
	}
	if b.err != nil {
		return 0, b.err
	}
	if record := event.GetAccessRecorded(); record.GetApp() == app {
		b.records, b.minutes = append(b.records, record), append(b.minutes, b.now.Unix()/60)
	}
	return uint64(len(b.records)), nil
}

func newBook() (*book, *recorder) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b := &book{now: &now}
	r := newRecorder(nil)
	r.store, r.now = b, func() time.Time { return now }
	return b, r
}

func covers(r *pb.AccessRecorded, p period) bool {
	return r.GetFrom() == 0 && r.GetTo() == 0 || r.GetFrom() <= p.from && r.GetTo() >= p.to
}

// When Record returns nil, this minute's records of the same app, type and operation
// have one that covers the read; and there are no more of them than needed.
func TestEveryAnsweredReadIsCoveredByARecordOfItsMinute(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b, rec := newBook()
		for range rapid.IntRange(1, 30).Draw(r, "reads") {
			a := access{rapid.Uint64Range(0, 1).Draw(r, "app"), rapid.Uint32Range(1, 2).Draw(r, "type"), "samples"}
			p := period{rapid.SampledFrom([]int64{math.MinInt64, -5, 3, 9}).Draw(r, "from"), rapid.SampledFrom([]int64{10, 20, math.MaxInt64}).Draw(r, "to")}
			*b.now = b.now.Add(time.Duration(rapid.IntRange(0, 40).Draw(r, "seconds")) * time.Second)
			b.err = nil
			if rapid.IntRange(0, 4).Draw(r, "full") == 0 {
				b.err = errors.New("no space")
			}
			minute := b.now.Unix() / 60
			covered := false
			for i, record := range b.records {
				covered = covered || b.minutes[i] == minute && record.GetApp() == a.app && record.GetType() == a.code && covers(record, p)
			}
			before := len(b.records)
			err := rec.Record(t.Context(), a, p)
			switch {
			case covered && (err != nil || len(b.records) != before):
				r.Fatal("recorded again:", err)
			case !covered && b.err != nil && err == nil:
				r.Fatal("answered without a record")
			case !covered && b.err == nil:
				last := b.records[len(b.records)-1]
				if err != nil || len(b.records) != before+1 || !covers(last, p) || last.GetOperation() != "samples" {
					r.Fatal("not recorded:", err)
				}
			}
		}
	})
}

func TestRecordThatOutlastsItsMinuteDoesNotCountForTheNext(t *testing.T) {
	b, rec := newBook()
	a, p := access{1, 2, "samples"}, period{1, 2}
	b.before = func() {
		b.before = nil
		*b.now = b.now.Add(time.Minute)
		if err := rec.Record(t.Context(), access{3, 3, "other"}, p); err != nil {
			t.Error(err)
		}
	}
	for range 2 {
		if err := rec.Record(t.Context(), a, p); err != nil {
			t.Fatal(err)
		}
	}
	if len(b.records) != 3 {
		t.Fatalf("%d records", len(b.records))
	}
}

func TestOpenPeriodIsRecordedAsSuch(t *testing.T) {
	b, rec := newBook()
	from := timestamppb.New(time.UnixMicro(77))
	if err := rec.Record(t.Context(), access{1, 2, "samples"}, periodOf(from, nil)); err != nil {
		t.Fatal(err)
	}
	if err := rec.Record(t.Context(), access{1, 2, "samples"}, periodOf(nil, nil)); err != nil {
		t.Fatal(err)
	}
	if len(b.records) != 2 || b.records[0].GetFrom() != 77 || b.records[0].GetTo() != math.MaxInt64 || b.records[1].GetFrom() != 0 || b.records[1].GetTo() != 0 {
		t.Fatal(b.records)
	}
}
