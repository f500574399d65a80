package log

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"healthledger/ledger/seal"
)

// ErrStreamConfig is returned when a log's stream is set up so that it could lose,
// change or leak segments. The error around it names each setting.
var ErrStreamConfig = errors.New("stream is not fit for a log")

const (
	// headerRoom is for the one NATS header of a publish.
	headerRoom = 4 << 10
	// The publisher sends no message ids, so there is nothing to recognise; a short
	// window only keeps what others send from using memory. 100 ms is JetStream's least.
	duplicatesWindow = 100 * time.Millisecond
)

func streamConfig(store seal.StoreID, replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              StreamName(store),
		Subjects:          []string{Subject(store)},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Replicas:          replicas,
		Discard:           jetstream.DiscardNew,
		MaxConsumers:      -1,
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxMsgsPerSubject: -1,
		MaxMsgSize:        MaxSegment + headerRoom,
		Duplicates:        duplicatesWindow,
		DenyDelete:        true,
		DenyPurge:         true,
		AllowDirect:       true,
		Compression:       jetstream.NoCompression,
	}
}

// CreateStream makes the stream of a store's log on the given number of servers. When
// the very same stream exists already, that is no error. It needs the right to publish
// to $JS.API.STREAM.CREATE.<stream>, which neither a reader nor a publisher needs.
func CreateStream(ctx context.Context, js jetstream.JetStream, store seal.StoreID, replicas int) error {
	stream, err := js.CreateStream(ctx, streamConfig(store, replicas))
	if err != nil {
		return fmt.Errorf("create stream %s: %w", StreamName(store), err)
	}
	return checkStream(store, stream.CachedInfo().Config)
}

// RestoreStream is CreateStream of a stream that JetStream does not know any more although
// its segments may be there: it writes the settings, too, where damaged ones are in the way.
func RestoreStream(ctx context.Context, js jetstream.JetStream, store seal.StoreID, replicas int) error {
	if err := CreateStream(ctx, js, store, replicas); err != nil {
		return err
	}
	if _, err := js.UpdateStream(ctx, streamConfig(store, replicas)); err != nil {
		return fmt.Errorf("restore stream %s: %w", StreamName(store), err)
	}
	return nil
}

// OpenStream returns the stream of a store's log after checking that it is set up as
// CreateStream does it. Errors: jetstream.ErrStreamNotFound, ErrStreamConfig.
func OpenStream(ctx context.Context, js jetstream.JetStream, store seal.StoreID) (jetstream.Stream, error) {
	stream, err := js.Stream(ctx, StreamName(store))
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", StreamName(store), err)
	}
	if err := checkStream(store, stream.CachedInfo().Config); err != nil {
		return nil, err
	}
	return stream, nil
}

// checkStream names every setting by which the stream could drop, alter, hide or spread
// segments. Placement, replicas and metadata are the operator's.
func checkStream(store seal.StoreID, c jetstream.StreamConfig) error {
	var wrong []string
	refuse := func(bad bool, what string) {
		if bad {
			wrong = append(wrong, what)
		}
	}
	refuse(!slices.Equal(c.Subjects, []string{Subject(store)}), fmt.Sprintf("subjects %q", c.Subjects))
	refuse(c.Storage != jetstream.FileStorage, "storage is not file")
	refuse(c.PersistMode != jetstream.DefaultPersistMode, "persist_mode async acknowledges before the sync")
	refuse(c.NoAck, "no_ack is set")
	refuse(c.Retention != jetstream.LimitsPolicy, "retention is not limits")
	refuse(c.Discard != jetstream.DiscardNew, "discard is not new")
	refuse(c.DiscardNewPerSubject, "discard_new_per_subject is set")
	refuse(c.MaxMsgs > 0, "max_msgs is limited")
	refuse(c.MaxBytes > 0, "max_bytes is limited")
	refuse(c.MaxMsgsPerSubject > 0, "max_msgs_per_subject is limited")
	refuse(c.MaxAge != 0, "max_age is limited")
	refuse(c.MaxMsgSize >= 0 && c.MaxMsgSize < MaxSegment+headerRoom, "max_msg_size is too small")
	refuse(!c.DenyDelete, "deny_delete is not set")
	refuse(!c.DenyPurge, "deny_purge is not set")
	refuse(!c.AllowDirect, "allow_direct is not set")
	refuse(c.AllowRollup, "allow_rollup_hdrs is set")
	refuse(c.AllowMsgTTL, "allow_msg_ttl is set")
	refuse(c.SubjectDeleteMarkerTTL != 0, "subject_delete_marker_ttl is set")
	refuse(c.AllowMsgCounter, "allow_msg_counter is set")
	refuse(c.AllowMsgSchedules, "allow_msg_schedules is set")
	refuse(c.AllowAtomicPublish, "allow_atomic is set")
	refuse(c.AllowBatchPublish, "allow_batched is set")
	refuse(c.Sealed, "sealed is set")
	refuse(c.FirstSeq > 1, "first_seq is not 1")
	refuse(c.Mirror != nil, "it is a mirror")
	refuse(c.MirrorDirect, "mirror_direct is set")
	refuse(len(c.Sources) > 0, "it has sources")
	refuse(c.SubjectTransform != nil, "subject_transform is set")
	refuse(c.RePublish != nil, "republish is set")
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("open stream %s: %w: %s", StreamName(store), ErrStreamConfig, strings.Join(wrong, ", "))
}
