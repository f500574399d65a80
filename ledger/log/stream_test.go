package log

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func TestStreamNamesAreTheStoresOwn(t *testing.T) {
	a, b := testStore(1), testStore(2)
	if StreamName(a) == StreamName(b) || Subject(a) == Subject(b) {
		t.Fatal("two stores share a name")
	}
	if got, want := StreamName(a), "LEDGER_"+a.String(); got != want {
		t.Errorf("StreamName = %q, want %q", got, want)
	}
	if got, want := Subject(a), "ledger."+a.String(); got != want {
		t.Errorf("Subject = %q, want %q", got, want)
	}
}

func TestCreatedStreamIsFitForALog(t *testing.T) {
	conn := startServer(t).connectInProcess()
	js, store := jetStream(conn), testStore(1)
	if _, err := OpenStream(t.Context(), js, store); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Fatalf("open before create: %v", err)
	}
	for range 2 { // the second time it exists
		if err := CreateStream(t.Context(), js, store, 1); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := OpenStream(t.Context(), js, store)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), Subject(store), make([]byte, MaxSegment)); err != nil {
		t.Fatalf("a segment of full size: %v", err)
	}
	if err := stream.DeleteMsg(t.Context(), 1); err == nil {
		t.Error("a segment could be deleted")
	}
	if err := stream.Purge(t.Context()); err == nil {
		t.Error("the log could be purged")
	}
	if _, err := stream.GetMsg(t.Context(), 1); err != nil {
		t.Errorf("segment 1: %v", err)
	}
}

func TestUnfitStreamIsRefusedByName(t *testing.T) {
	conn := startServer(t).connectInProcess()
	js := jetStream(conn)
	cases := []struct {
		names  string
		change func(*jetstream.StreamConfig)
	}{
		{"persist_mode", func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode }},
		{"storage", func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }},
		{"no_ack", func(c *jetstream.StreamConfig) { c.NoAck = true }},
		{"retention", func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy }},
		{"discard", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }},
		{"max_msgs", func(c *jetstream.StreamConfig) { c.MaxMsgs = 10 }},
		{"max_bytes", func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 20 }},
		{"max_msgs_per_subject", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 }},
		{"max_age", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }},
		{"max_msg_size", func(c *jetstream.StreamConfig) { c.MaxMsgSize = MaxSegment }},
		{"deny_delete", func(c *jetstream.StreamConfig) { c.DenyDelete = false }},
		{"deny_purge", func(c *jetstream.StreamConfig) { c.DenyPurge = false }},
		{"allow_direct", func(c *jetstream.StreamConfig) { c.AllowDirect = false }},
		{"allow_rollup_hdrs", func(c *jetstream.StreamConfig) { c.AllowRollup, c.DenyPurge = true, false }},
		{"allow_msg_ttl", func(c *jetstream.StreamConfig) { c.AllowMsgTTL = true }},
		{"allow_msg_counter", func(c *jetstream.StreamConfig) { c.AllowMsgCounter, c.Discard = true, jetstream.DiscardOld }},
		{"allow_msg_schedules", func(c *jetstream.StreamConfig) {
			c.AllowMsgSchedules, c.AllowRollup, c.DenyPurge, c.Discard = true, true, false, jetstream.DiscardOld
		}},
		{"allow_atomic", func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = true }},
		{"allow_batched", func(c *jetstream.StreamConfig) { c.AllowBatchPublish = true }},
		{"first_seq", func(c *jetstream.StreamConfig) { c.FirstSeq = 7 }},
		{"mirror", func(c *jetstream.StreamConfig) {
			c.Mirror, c.Subjects, c.Discard = &jetstream.StreamSource{Name: "OTHER"}, nil, jetstream.DiscardOld
			c.Duplicates = 0
		}},
		{"sources", func(c *jetstream.StreamConfig) { c.Sources = []*jetstream.StreamSource{{Name: "OTHER"}} }},
		{"subjects", func(c *jetstream.StreamConfig) { c.Subjects = append(c.Subjects, "more.>") }},
		{"subject_transform", func(c *jetstream.StreamConfig) {
			c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: ">", Destination: "x.>"}
		}},
		{"republish", func(c *jetstream.StreamConfig) {
			c.RePublish = &jetstream.RePublish{Source: ">", Destination: "copy.>"}
		}},
	}
	for i, c := range cases {
		t.Run(c.names, func(t *testing.T) {
			store := testStore(byte(i + 10))
			config := streamConfig(store, 1)
			c.change(&config)
			if _, err := js.CreateStream(t.Context(), config); err != nil {
				t.Fatal(err)
			}
			_, err := OpenStream(t.Context(), js, store)
			if !errors.Is(err, ErrStreamConfig) || !strings.Contains(err.Error(), c.names) {
				t.Errorf("err = %v, want one that names %s", err, c.names)
			}
		})
	}
}
