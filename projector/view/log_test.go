package view

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	pb "healthledger/proto/healthledger/v1"
)

// logged is one event of a generated log at its place.
type logged struct {
	sequence uint64
	event    int
	body     *pb.Event
}

// A generated log is small and full of coincidences: few times, values, sources, UUIDs
// and requests, so that everything that can be a duplicate is one now and then.
func drawLog(t *rapid.T, segments int) []logged {
	return extendLog(t, nil, uint64(rapid.IntRange(0, 3).Draw(t, "first")), segments)
}

// extendLog goes on with a log after a segment.
func extendLog(t *rapid.T, log []logged, sequence uint64, segments int) []logged {
	for range rapid.IntRange(1, segments).Draw(t, "segments") {
		sequence += uint64(rapid.IntRange(1, 300).Draw(t, "skipped"))
		for event := range rapid.IntRange(1, 3).Draw(t, "events") {
			body := drawEvent(t)
			switch {
			case len(log) > 0 && rapid.IntRange(0, 3).Draw(t, "deleted") == 0:
				body = drawRemoval(t, log)
			case len(log) > 0 && rapid.Bool().Draw(t, "imported again"):
				body = again(t, rapid.SampledFrom(log).Draw(t, "what").body)
			}
			log = append(log, logged{sequence, event, body})
		}
	}
	return log
}

func drawEvent(t *rapid.T) *pb.Event {
	if rapid.IntRange(0, 9).Draw(t, "other") == 0 {
		return &pb.Event{Body: &pb.Event_AccessRecorded{AccessRecorded: &pb.AccessRecorded{}}}
	}
	if rapid.IntRange(0, 5).Draw(t, "part") == 0 {
		return drawPart(t)
	}
	saved := &pb.SamplesSaved{
		App:       rapid.Uint64Range(1, 3).Draw(t, "app"),
		RequestId: bytes.Repeat([]byte{rapid.Byte().Draw(t, "request")}, 16),
		ByContent: rapid.Bool().Draw(t, "byContent"),
	}
	for range rapid.IntRange(1, 3).Draw(t, "columns") {
		draw := rapid.SampledFrom([]func(*rapid.T) *pb.SampleColumns{drawColumns, drawObjects, drawTwins}).Draw(t, "kind")
		saved.Columns = append(saved.Columns, draw(t))
	}
	return &pb.Event{Time: rapid.Int64Range(0, 1<<40).Draw(t, "time"), Body: &pb.Event_SamplesSaved{SamplesSaved: saved}}
}

// again is the same import once more, under another request id and in another order.
func again(t *rapid.T, body *pb.Event) *pb.Event {
	if body.GetSamplesSaved() == nil {
		return body
	}
	body = proto.CloneOf(body)
	saved := body.GetSamplesSaved()
	saved.RequestId, saved.ByContent = rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "request"), true
	saved.Columns = rapid.Permutation(saved.Columns).Draw(t, "columns")
	return body
}

var someMetadata = []*pb.Metadata{
	{Entries: []*pb.MetadataEntry{{Key: "a", Value: &pb.MetadataEntry_Text{Text: "x"}}}},
	{Entries: []*pb.MetadataEntry{{Key: "a", Value: &pb.MetadataEntry_Number{Number: 1}}, {Key: "a"}}},
	{Entries: []*pb.MetadataEntry{
		{Key: "b", Value: &pb.MetadataEntry_Date{Date: &timestamppb.Timestamp{Seconds: -1, Nanos: 500}}},
		{Key: "c", Value: &pb.MetadataEntry_Quantity{Quantity: &pb.Quantity{Value: -2.5, Unit: "m"}}},
	}},
}

var someSources = []*pb.Source{
	nil, {}, {Device: &pb.Device{}}, {Name: "watch"}, {Name: "watch", App: "other"}, {Name: "watch", Device: &pb.Device{Other: []string{"k:v", ""}}},
	{Name: "phone", Version: "1", ProductType: "p", OsVersion: "o", Device: &pb.Device{Model: "m"}},
}

func drawColumns(t *rapid.T) *pb.SampleColumns {
	c := &pb.SampleColumns{
		Type:   rapid.SampledFrom([]uint32{1, 2, 300}).Draw(t, "type"),
		Unit:   rapid.SampledFrom([]string{"", "count", "m"}).Draw(t, "unit"),
		Source: rapid.SampledFrom(someSources).Draw(t, "source"),
		Tick:   rapid.SampledFrom([]uint32{1, 1_000_000}).Draw(t, "tick"),
	}
	n := rapid.IntRange(1, 6).Draw(t, "samples")
	unit := int64(rapid.SampledFrom([]int64{1, 3600, 86400 * 20}).Draw(t, "spread"))
	for range n {
		c.Start = append(c.Start, unit*rapid.Int64Range(-2, 4).Draw(t, "start"))
	}
	if rapid.Bool().Draw(t, "durations") {
		for range n {
			c.Duration = append(c.Duration, unit*rapid.Int64Range(0, 3).Draw(t, "duration"))
		}
	}
	if rapid.Bool().Draw(t, "real") {
		for range n {
			c.Real = append(c.Real, rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 0.1, 1, -1, math.Pi, 1e300}).Draw(t, "value"))
		}
	} else {
		c.Exponent = rapid.Uint32Range(0, 2).Draw(t, "exponent")
		for range n {
			c.Mantissa = append(c.Mantissa, rapid.Int64Range(-1, 1).Draw(t, "mantissa"))
		}
	}
	if rapid.Bool().Draw(t, "creations") {
		for range n {
			c.Created = append(c.Created, rapid.Int64Range(-1, 1).Draw(t, "created"))
		}
	}
	if rapid.IntRange(0, 2).Draw(t, "uuids") == 0 {
		for range n {
			c.Uuid = append(c.Uuid, bytes.Repeat([]byte{rapid.Byte().Draw(t, "uuid") & 0x1f}, 16)...)
		}
	}
	if rapid.Bool().Draw(t, "metadatas") {
		c.Metadata = rapid.Permutation(someMetadata).Draw(t, "order")
		for range n {
			c.MetadataIndex = append(c.MetadataIndex, rapid.Uint32Range(0, 3).Draw(t, "metadata"))
		}
	}
	return c
}

func openView(t testing.TB, files vfs.FS) *View {
	t.Helper()
	v, err := Open(files, "view", Options{AppKey: keyOf, CacheSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	v.SetErasure(1, 70_300)
	v.SetErasure(2, 70_301)
	return v
}

func closeView(t testing.TB, v *View) {
	t.Helper()
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
}

// commitLog applies events and commits them at once.
func commitLog(t testing.TB, v *View, log []logged) {
	t.Helper()
	if len(log) == 0 {
		return
	}
	b := v.Begin()
	for _, l := range log {
		if err := applyLogged(b, l); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Commit(cursorAt(log)); err != nil {
		t.Fatal(err)
	}
}

// applyLogged applies an event; a deletion of app 0 is the owner's.
func applyLogged(b *Batch, l logged) error {
	d := l.body.GetSamplesDeleted()
	if d == nil || d.GetApp() != 0 {
		return b.Apply(l.sequence, l.event, l.body)
	}
	number := int(binary.BigEndian.Uint64(d.GetRequestId()[8:]))
	_, err := b.DeleteForOwner(l.sequence, l.event, number, d.GetDeletions())
	return err
}

func cursorAt(log []logged) Cursor {
	last := log[len(log)-1]
	return Cursor{Sequence: last.sequence, Tree: fmt.Appendf(nil, "root of %d", last.sequence)}
}

// segments splits a log where a segment ends.
func segments(log []logged) [][]logged {
	return slices.Collect(func(yield func([]logged) bool) {
		for len(log) > 0 {
			n := 1
			for n < len(log) && log[n].sequence == log[0].sequence {
				n++
			}
			if !yield(log[:n]) {
				return
			}
			log = log[n:]
		}
	})
}

// dump returns every key and value of the view.
func dump(t testing.TB, v *View) []string {
	t.Helper()
	iter, err := v.db.NewIter(&pebble.IterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for iter.First(); iter.Valid(); iter.Next() {
		rows = append(rows, fmt.Sprintf("%x = %x", iter.Key(), iter.Value()))
	}
	if err := iter.Close(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// keyOf stands for the key of an app.
func keyOf(app uint64) string { return fmt.Sprint("key", app) }
