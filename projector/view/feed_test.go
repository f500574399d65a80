package view

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	pb "healthledger/proto/healthledger/v1"
)

func freely() error { return nil }

// told reads a feed to its end, deletions as the model has them and the places of samples.
func told(r *rapid.T, s *Snapshot, code uint32, f *Feed) (deleted, added []string) {
	details := s.Details()
	for f.Next() {
		sample, source := f.Sample(), f.Source()
		if !f.At().Deleted {
			added = append(added, fmt.Sprint(code, source.App(), string(appendSource(nil, source.Origin())), sample.Place))
			continue
		}
		id, err := details.UUID(source.Type(), sample)
		if err != nil {
			r.Fatal(err)
		}
		metadata := ""
		if entries, err := details.Metadata(sample); err != nil {
			r.Fatal(err)
		} else if entries != nil {
			metadata = string(appendMetadata(nil, &pb.Metadata{Entries: entries}))
		}
		deleted = append(deleted, fmt.Sprintf("segment %d, code %d, app %d, %q, %x, %q",
			f.At().Sequence, code, source.App(), appendSource(nil, source.Origin()), id, metadata))
	}
	if err := f.Close(); err != nil {
		r.Fatal(err)
	}
	return deleted, added
}

// Whoever goes through all changes hears of every sample that is there and of every
// deletion; who does so from any point on hears of what comes after it.
func TestFeedTellsAllSamplesAndDeletions(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		log := drawLog(r, 8)
		v := openView(t, vfs.NewMem())
		for _, part := range segments(log) {
			commitLog(t, v, part)
		}
		s, err := v.Snapshot()
		if err != nil {
			r.Fatal(err)
		}
		m := newModel(log)
		var want, deleted, added []string
		for _, sample := range m.samples() {
			want = append(want, fmt.Sprint(sample.typeCode, sample.app, sample.source, sample.sample.Place))
		}
		for _, code := range modelTypes {
			sources := s.Sources(owner(), code)
			d, a := told(r, s, code, s.Changes(sources, Beginning, freely))
			deleted, added = append(deleted, d...), append(added, a...)
			all, regions := s.Changes(sources, Beginning, freely), []Region{}
			if n := rapid.IntRange(0, len(d)+len(a)).Draw(r, "cut"); n > 0 {
				for range n {
					all.Next()
				}
				dd, aa := told(r, s, code, s.Changes(sources, all.At(), freely))
				if len(dd)+len(aa) != len(d)+len(a)-n || !slices.Equal(dd, d[len(d)-len(dd):]) || !slices.Equal(aa, a[len(a)-len(aa):]) {
					r.Fatalf("after %d of %v, %v come %v, %v", n, a, d, aa, dd)
				}
			}
			if err := all.Close(); err != nil {
				r.Fatal(err)
			}
			for i := range sources {
				regions = append(regions, Region{Source: &sources[i], Before: 1<<63 - 1})
			}
			inD, inA := told(r, s, code, s.Entered(regions, s.Cursor().Sequence, true, Beginning, freely))
			slices.Sort(inA)
			slices.Sort(a)
			if diff := cmp.Diff(d, inD) + cmp.Diff(a, inA); diff != "" {
				r.Fatal(diff)
			}
		}
		for _, list := range [][]string{want, deleted, added, m.deletions} {
			slices.Sort(list)
		}
		if diff := cmp.Diff(want, added) + cmp.Diff(m.deletions, deleted); diff != "" {
			r.Fatal(diff)
		}
		if err := s.Close(); err != nil {
			r.Fatal(err)
		}
		closeView(t, v)
	})
}

// Whether something changed, and what that touches, does not depend on what is hidden; it
// did if a feed has something.
func TestChangedAfterIsAboutWhatIsVisible(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := drawTwoViews(t, r, 8)
		after := rapid.Uint64Range(0, 14).Draw(r, "after")
		var answers [][]string
		p.touching(r, func(s *Snapshot) error {
			var all []string
			for _, source := range s.Sources(p.scope, 1) {
				last, changed, err := source.ChangedAfter(after)
				if err != nil {
					return err
				}
				all = append(all, fmt.Sprint(source.App(), source.Origin().GetName(), last, changed))
				feed, seen := s.Changes([]Source{source}, Point{Sequence: after, Whole: true}, freely), uint64(0)
				for feed.Next() {
					seen = feed.At().Sequence
				}
				if seen != last {
					r.Fatalf("the last change is in segment %d, a feed goes to %d", last, seen)
				}
				if err := feed.Close(); err != nil {
					return err
				}
			}
			answers = append(answers, all)
			return nil
		})
		if diff := cmp.Diff(answers[1], answers[0]); diff != "" {
			r.Fatal(diff)
		}
		p.close(t)
	})
}
