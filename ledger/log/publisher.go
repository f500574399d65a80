package log

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"

	"healthledger/ledger/seal"
)

// Why a payload was not appended.
var (
	// ErrConflict: another payload is at that sequence.
	ErrConflict = errors.New("another segment is at that place of the log")
	// ErrNoSpace: JetStream refuses because its limits are used up. It goes on refusing after
	// space was freed, until the server restarts. When a write to the disk itself fails, for
	// want of space or otherwise, nats-server 2.15 does not answer any more: ErrUnknown.
	ErrNoSpace = errors.New("no space left for the log")
	// ErrUnknown: the payload may be in the log, or come into it later. Publishing the same
	// payload again at the same sequence finds out, and appends it if need be.
	ErrUnknown = errors.New("not known whether the segment was appended")
)

// Publisher appends payloads to the log of one store.
type Publisher struct {
	js     jetstream.JetStream
	store  seal.StoreID
	reader *Reader

	// How long to wait for one acknowledgement.
	attempt time.Duration
	// How long to keep trying.
	patience time.Duration
}

// NewPublisher returns a publisher to a store's log. It does not talk to the server, and
// leaves the connection to its owner.
func NewPublisher(conn *nats.Conn, store seal.StoreID) *Publisher {
	return &Publisher{
		js: jetStream(conn), store: store, reader: NewReader(conn, store),
		attempt: 5 * time.Second, patience: 30 * time.Second,
	}
}

// AppenderPermissions returns the subjects that the connection of a daemon's appenders must
// be allowed to publish and to subscribe to, for the logs of all stores; it needs no
// others. Its account must hold no streams but logs, since a wildcard stands for a whole
// name. The inbox prefix is as in GuestPermissions.
func AppenderPermissions(inboxPrefix string) (publish, subscribe []string) {
	return []string{
		"$JS.API.DIRECT.GET.*",
		"$JS.API.STREAM.INFO.*",
		"ledger.*",
	}, []string{inboxPrefix + ".>"}
}

// Publish appends a payload, which gets the given sequence, and returns when it is on the
// disk. An attempt whose outcome is unknown is resolved by reading the log: the payload is
// there, or another one is, or it is tried again, which is harmless because JetStream
// takes a message at its one sequence only once.
//
// Errors: ErrConflict, ErrNoSpace, *LossError if the log ends before the segment before
// this one, and ErrUnknown if ctx or half a minute ends before the outcome is known.
func (p *Publisher) Publish(ctx context.Context, sequence uint64, payload []byte) error {
	if err := p.publish(ctx, sequence, payload); err != nil {
		return fmt.Errorf("append segment %d of store %s: %w", sequence, p.store, err)
	}
	return nil
}

func (p *Publisher) publish(ctx context.Context, sequence uint64, payload []byte) error {
	if sequence == 0 {
		return errors.New("sequences start at 1")
	}
	if len(payload) == 0 || len(payload) > MaxSegment {
		return fmt.Errorf("payload of %d bytes", len(payload))
	}
	wait := newBackoff(p.patience)
	unknown := false // an earlier attempt may yet have appended it
	for {
		err := p.tryPublish(ctx, sequence, payload)
		if err == nil {
			return nil
		}
		refused := refusal(err)
		if refused && !isWrongSequence(err) && !unknown {
			if isNoSpace(err) {
				return fmt.Errorf("%w: %w", ErrNoSpace, err)
			}
			return err
		}
		unknown = unknown || !refused

		placed, lookErr := p.look(ctx, sequence, payload)
		switch {
		case lookErr != nil:
			if errors.Is(lookErr, ErrConflict) || errors.Is(lookErr, ErrLoss) {
				return lookErr
			}
			err = lookErr
		case placed == ours:
			return nil
		case placed == unreadable && !unknown:
			return ErrConflict
		}
		if isNoSpace(err) {
			return fmt.Errorf("%w: %w: %w", ErrUnknown, ErrNoSpace, err)
		}
		if waitErr := wait.after(ctx, err); waitErr != nil {
			if !unknown {
				return waitErr
			}
			return fmt.Errorf("%w: %w", ErrUnknown, waitErr)
		}
	}
}

func (p *Publisher) tryPublish(ctx context.Context, sequence uint64, payload []byte) error {
	ctx, cancel := context.WithTimeout(ctx, p.attempt)
	defer cancel()
	message := &nats.Msg{Subject: Subject(p.store), Data: payload}
	ack, err := p.js.PublishMsg(ctx, message,
		jetstream.WithExpectLastSequence(sequence-1), jetstream.WithRetryAttempts(0))
	if err != nil {
		return err
	}
	if ack.Stream != StreamName(p.store) || ack.Sequence != sequence {
		return fmt.Errorf("acknowledged as segment %d of stream %s", ack.Sequence, ack.Stream)
	}
	return nil
}

type placement int

const (
	free placement = iota
	ours
	// The log is that long, but the segment cannot be read (yet).
	unreadable
)

// look reads what is at a sequence. Errors: ErrConflict, *LossError, and those of a
// server that cannot be asked.
func (p *Publisher) look(ctx context.Context, sequence uint64, payload []byte) (placement, error) {
	entry, err := p.reader.single(ctx, sequence)
	if err == nil {
		if bytes.Equal(entry.Payload, payload) {
			return ours, nil
		}
		return 0, ErrConflict
	}
	if !errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, err
	}
	last, err := p.reader.Last(ctx)
	switch {
	case err != nil:
		return 0, err
	case last >= sequence:
		return unreadable, nil
	case last < sequence-1:
		return 0, &LossError{From: last + 1, To: sequence - 1}
	}
	return free, nil
}

// JetStream's error codes, from its errors.json.
const (
	codeInsufficientResources = 10023
	codeMemoryExceeded        = 10028
	codeStorageExceeded       = 10047
	codeAccountExceeded       = 10002
)

// refusal reports whether the server itself answered that it did not take the message.
func refusal(err error) bool { return apiCode(err) != 0 }

func isWrongSequence(err error) bool {
	code := apiCode(err)
	return code == jetstream.JSErrCodeStreamWrongLastSequence || code == jetstream.JSErrCodeStreamWrongLastSequenceConstant
}

// IsFull reports whether an error says that the disk is full, or what may be used of it.
func IsFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

func isNoSpace(err error) bool {
	return slices.Contains([]jetstream.ErrorCode{
		codeInsufficientResources, codeMemoryExceeded, codeStorageExceeded, codeAccountExceeded,
	}, apiCode(err))
}

func apiCode(err error) jetstream.ErrorCode {
	var apiErr *jetstream.APIError
	if errors.As(err, &apiErr) {
		return apiErr.ErrorCode
	}
	return 0
}
