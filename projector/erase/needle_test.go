package erase_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/projector/erase"
	"healthledger/projector/view"
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

const before = 10

func code(name string) uint32 {
	t, ok := catalog.Lookup(name)
	if !ok {
		panic(name)
	}
	return t.Code
}

// sample makes a sample of which every part can be told apart in bytes.
func sample(n int64, change func(*pb.Sample)) *pb.Sample {
	value := float64(n) + 0.1234567 // no decimal: it stays as it is
	s := &pb.Sample{
		Type: "heartRate", Unit: "count/min", Value: &value, Source: &pb.Source{Name: "watch"},
		Start: health.Timestamp(1_700_000_000_000_000 + n*7_777_777_001), End: health.Timestamp(1_700_000_000_000_000 + n*7_777_777_003),
		Metadata: []*pb.MetadataEntry{{Key: fmt.Sprint("key", n), Value: &pb.MetadataEntry_Text{Text: fmt.Sprint("needle", n, "text")}}},
	}
	if change != nil {
		change(s)
	}
	return s
}

func saved(t *testing.T, samples ...*pb.Sample) *pb.Event {
	t.Helper()
	columns, err := health.Columns(samples, health.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	id := make([]byte, 16)
	binary.BigEndian.PutUint64(id, uint64(samples[0].GetStart().GetSeconds()))
	return &pb.Event{Body: &pb.Event_SamplesSaved{SamplesSaved: &pb.SamplesSaved{App: 1, RequestId: id, Columns: columns}}}
}

// workout has samples n+1 and n+2 as members, of which the second is of another type.
func workout(n int64) *pb.Sample {
	return sample(n, func(s *pb.Sample) {
		s.Type, s.Unit, s.Value = "workout", "", nil
		s.Object = &pb.Sample_Workout{Workout: &pb.Workout{Activity: "rowing"}}
		s.Members = []*pb.Sample{sample(n+1, nil), sample(n+2, func(s *pb.Sample) { s.Type, s.Unit = "stepCount", "count" })}
	})
}

// rewritten applies a log of which each event is a segment, hides and erases, and returns
// the serialized events before and after.
func rewritten(t *testing.T, d *pb.DeletedSamples, hide bool, log ...*pb.Event) (was, is []byte, err error) {
	t.Helper()
	v, err := view.Open(vfs.NewMem(), "view", view.Options{AppKey: func(uint64) string { return "key" }})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	b := v.Begin()
	for i, e := range log {
		if err := b.Apply(uint64(i+1), 0, e); err != nil {
			t.Fatal(err)
		}
	}
	if hide {
		if n, err := b.DeleteForOwner(before, 0, 7, []*pb.DeletedSamples{d}); err != nil || n == 0 {
			t.Fatal(n, err)
		}
	}
	if err := b.Commit(view.Cursor{Sequence: before}); err != nil {
		t.Fatal(err)
	}
	s, err := v.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w, err := erase.New(erase.Order{
		Erasure: 1, Deletions: []*pb.DeletedSamples{d}, Before: before, Hidden: s, Since: func(uint32) []int64 { return nil },
		Granted: func(authz.Object) bool { return false }, Random: bytes.NewReader(make([]byte, 32)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for i, e := range log {
		if err := w.Survey(uint64(i+1), []*pb.Event{e}); err != nil {
			return nil, nil, err
		}
	}
	for i, e := range log {
		out, err := w.Rewrite(uint64(i+1), [][]*pb.Event{{e}})
		if err != nil {
			t.Fatal(err)
		}
		was, is = append(was, needles(t, e)...), append(is, needles(t, out[0][0])...)
	}
	return was, is, nil
}

// needles are an event's bytes and, as text, every row that it has.
func needles(t *testing.T, e *pb.Event) []byte {
	t.Helper()
	b, err := proto.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range e.GetSamplesSaved().GetColumns() {
		for _, row := range health.Rows(c) {
			b = fmt.Appendf(b, " at %d to %d ", row.Start, row.End)
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(row.Value))
		}
	}
	return b
}

// traces are what a sample is found by in bytes.
func traces(s *pb.Sample) map[string][]byte {
	start, end := s.GetStart().AsTime().UnixMicro(), s.GetEnd().AsTime().UnixMicro()
	all := map[string][]byte{
		"metadata": []byte(s.GetMetadata()[0].GetText()), "key": []byte(s.GetMetadata()[0].GetKey() + "\x12"),
		"start": fmt.Appendf(nil, " at %d ", start), "end": fmt.Appendf(nil, " to %d ", end),
	}
	if s.Value != nil {
		all["value"] = binary.LittleEndian.AppendUint64(nil, math.Float64bits(s.GetValue()))
	}
	return all
}

// member times lie in bodies, serialized.
func memberTraces(t *testing.T, s *pb.Sample) map[string][]byte {
	all := traces(s)
	for name, at := range map[string]proto.Message{"start": s.GetStart(), "end": s.GetEnd()} {
		b, err := proto.Marshal(at)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = b
	}
	return all
}

// Of what is erased no value, time or metadata is in the log that is written anew; all of
// what is not erased still is.
func TestNoByteOfWhatIsErasedRemains(t *testing.T) {
	rates := []*pb.Sample{sample(1, nil), sample(2, nil), sample(3, nil)}
	w := workout(10)
	part := &pb.Event{Body: &pb.Event_PartSaved{PartSaved: &pb.PartSaved{App: 1, Upload: bytes.Repeat([]byte{8}, 16), Chunk: &pb.Chunk{Data: []byte("needle of a part")}}}}
	whole := &pb.DeletedSamples{AllTypes: true}
	from, to := rates[1].GetStart().AsTime().UnixMicro(), rates[1].GetEnd().AsTime().UnixMicro()
	for name, c := range map[string]struct {
		deletion    *pb.DeletedSamples
		gone, there []map[string][]byte
	}{
		"type":       {&pb.DeletedSamples{Type: code("heartRate")}, []map[string][]byte{traces(rates[0]), traces(rates[1]), memberTraces(t, w.Members[0])}, []map[string][]byte{traces(w), memberTraces(t, w.Members[1])}},
		"period":     {&pb.DeletedSamples{AllTypes: true, From: &from, To: &to}, []map[string][]byte{traces(rates[1])}, []map[string][]byte{traces(rates[0]), traces(rates[2]), traces(w)}},
		"workouts":   {&pb.DeletedSamples{Type: code("workout")}, []map[string][]byte{traces(w)}, []map[string][]byte{traces(rates[0]), memberTraces(t, w.Members[0]), memberTraces(t, w.Members[1])}},
		"everything": {whole, []map[string][]byte{traces(rates[2]), traces(w), memberTraces(t, w.Members[0]), memberTraces(t, w.Members[1]), {"part": []byte("needle of a part")}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			was, is, err := rewritten(t, c.deletion, true, saved(t, rates...), part, saved(t, w))
			if err != nil {
				t.Fatal(err)
			}
			for _, of := range append(c.gone, c.there...) {
				for what, needle := range of {
					if !bytes.Contains(was, needle) {
						t.Errorf("%s %q was not there", what, needle)
					}
				}
			}
			for _, of := range c.gone {
				for what, needle := range of {
					if bytes.Contains(is, needle) {
						t.Errorf("%s %q remains", what, needle)
					}
				}
			}
			for _, of := range c.there {
				for what, needle := range of {
					if !bytes.Contains(is, needle) {
						t.Errorf("%s %q is gone, too", what, needle)
					}
				}
			}
		})
	}
}

// What the owner has not hidden cannot be erased.
func TestNothingIsErasedThatIsStillThere(t *testing.T) {
	_, _, err := rewritten(t, &pb.DeletedSamples{Type: code("heartRate")}, false, saved(t, sample(1, nil)))
	if !errors.Is(err, erase.ErrThere) {
		t.Error(err)
	}
}

// A member that was recognised by its content stays what it is, the sample that was there before,
// when something is to be erased by the UUID that it brought.
func TestAMemberRecognisedByItsContentStays(t *testing.T) {
	brought, other := "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
	again := workout(10)
	again.Members[0].Uuid = brought
	imported := saved(t, again)
	imported.GetSamplesSaved().ByContent = true
	deletion := &pb.DeletedSamples{Type: code("heartRate")}
	for _, id := range []string{brought, other} {
		parsed := uuid.MustParse(id)
		deletion.Uuids = append(deletion.Uuids, parsed[:])
	}
	was, is, err := rewritten(t, deletion, true, saved(t, sample(11, nil)), imported, saved(t, sample(20, func(s *pb.Sample) { s.Uuid = other })))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{"needle11text": 2, "needle20text": 0} {
		if n := bytes.Count(is, []byte(text)); n != want || bytes.Count(was, []byte(text)) == 0 {
			t.Errorf("%q is there %d times, want %d", text, n, want)
		}
	}
}
