package view

import (
	"bytes"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// drawRemoval draws a deletion by an app or, as app 0, by the owner, mostly of something
// that the log has brought.
func drawRemoval(t *rapid.T, log []logged) *pb.Event {
	d := &pb.SamplesDeleted{App: rapid.Uint64Range(0, 3).Draw(t, "app"), RequestId: bytes.Repeat([]byte{rapid.Byte().Draw(t, "request")}, 16)}
	if d.App == 0 {
		id := OwnerRequest(int(d.RequestId[0]))
		d.RequestId = id[:]
	}
	for range rapid.IntRange(1, 2).Draw(t, "deletions") {
		one := &pb.DeletedSamples{Type: rapid.SampledFrom([]uint32{1, 2, 13, 14, 300, 2001, 2102, 2401, 2502, 2801, 9999}).Draw(t, "type")}
		if rapid.Bool().Draw(t, "by UUID") {
			for range rapid.IntRange(1, 3).Draw(t, "UUIDs") {
				one.Uuids = append(one.Uuids, drawUUID(t, log, d.App, one.Type))
			}
		} else {
			unit := rapid.SampledFrom([]int64{1, 1_000_000, 86400_000_000}).Draw(t, "unit")
			if rapid.Bool().Draw(t, "from") {
				one.From = proto.Int64(unit * rapid.Int64Range(-2, 4).Draw(t, "from"))
			}
			if rapid.Bool().Draw(t, "to") {
				one.To = proto.Int64(unit * rapid.Int64Range(-2, 6).Draw(t, "to"))
			}
		}
		d.Deletions = append(d.Deletions, one)
	}
	return &pb.Event{Body: &pb.Event_SamplesDeleted{SamplesDeleted: d}}
}

func drawUUID(t *rapid.T, log []logged, app uint64, typeCode uint32) []byte {
	id := make([]byte, 16)
	saved := rapid.SampledFrom(log).Draw(t, "of").body.GetSamplesSaved()
	switch {
	case saved != nil && rapid.Bool().Draw(t, "derived"):
		if app == 0 || rapid.Bool().Draw(t, "own") {
			app = saved.GetApp()
		}
		derived := health.DeriveUUID([16]byte(saved.GetRequestId()), keyOf(app), typeCode, rapid.Uint32Range(0, 5).Draw(t, "index"))
		return derived[:]
	case rapid.Bool().Draw(t, "of an object"):
		id[3] = rapid.ByteRange(1, 2).Draw(t, "uuid")
		return id
	}
	return bytes.Repeat([]byte{rapid.Byte().Draw(t, "uuid") & 0x1f}, 16)
}

// What an app may not delete, and what is not there, is passed over; a deletion that is
// malformed is refused.
func TestMalformedDeletionsAreRefused(t *testing.T) {
	for name, d := range map[string]*pb.SamplesDeleted{
		"request id": {App: 1, RequestId: make([]byte, 15)},
		"app":        {RequestId: make([]byte, 16)},
		"uuid":       {App: 1, RequestId: make([]byte, 16), Deletions: []*pb.DeletedSamples{{Type: 1, Uuids: [][]byte{{1}}}}},
		"type":       {App: 1, RequestId: make([]byte, 16), Deletions: []*pb.DeletedSamples{{Type: Pair(2001, 13)}}},
	} {
		v := openView(t, vfs.NewMem())
		b := v.Begin()
		if err := b.Apply(1, 0, &pb.Event{Body: &pb.Event_SamplesDeleted{SamplesDeleted: d}}); err == nil {
			t.Errorf("%s: it was applied", name)
		}
		b.Close()
		closeView(t, v)
	}
}
