package ledger

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

// listPage is how many segments a page describes at most.
const listPage = 1000

// lostClass is the class of a segment that is gone, as its owner has accepted.
const lostClass = "lost"

// ListLog describes segments from a sequence on, without opening them. An error says
// which segment cannot be described.
func (s *Store) ListLog(ctx context.Context, from uint64, limit uint32) (*pb.ListLogResponse, error) {
	from = max(from, 1)
	count := uint64(listPage)
	if limit > 0 {
		count = min(count, uint64(limit))
	}
	head, _, _ := s.Head()
	to := min(from+count-1, head)
	resp := &pb.ListLogResponse{}
	if from > to {
		return resp, nil
	}
	lost := func(to uint64) {
		for ; from <= to; from++ {
			resp.Segments = append(resp.Segments, &pb.SegmentInfo{Sequence: from, Class: lostClass})
		}
	}
	err := s.reader.Read(ctx, from, to, func(e log.Entry) error {
		lost(e.Sequence - 1)
		from = e.Sequence + 1
		segment, err := seal.ParseSegment(e.Payload)
		if err != nil {
			return fmt.Errorf("segment %d: %w", e.Sequence, err)
		}
		leaf := tree.Leaf(e.Payload)
		resp.Segments = append(resp.Segments, &pb.SegmentInfo{
			Sequence: e.Sequence, Class: segment.Class.String(), Epoch: segment.Epoch, Index: segment.Index,
			Bytes: uint32(len(e.Payload)), Time: timestamppb.New(e.Time), Leaf: hex.EncodeToString(leaf[:]),
		})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list store %s: %w", s.id, err)
	}
	lost(to)
	if to < head {
		resp.Next = to + 1
	}
	return resp, nil
}

// pageBytes is about how many bytes of segments are read at once: what fits a message
// together with the largest segment.
const pageBytes = 768 << 10

// Segments returns sealed segments from a sequence on, up to the end or to a given one, as
// many as fit a message. Errors: ErrNoSegment, and what segments of the log are lost.
func (s *Store) Segments(ctx context.Context, from, to uint64) ([][]byte, error) {
	end, _, _ := s.Head()
	if from == 0 || from > end {
		return nil, fmt.Errorf("read segment %d of store %s: %w: it ends at %d", from, s.id, ErrNoSegment, end)
	}
	to = min(to, end)
	if gone, ok := s.losses.Next(from); ok && gone.From <= from {
		return nil, fmt.Errorf("read segment %d of store %s: %w", from, s.id, &log.LossError{From: gone.From, To: gone.To})
	} else if ok {
		to = min(to, gone.From-1)
	}
	entries, err := s.reader.Page(ctx, from, to, pageBytes)
	payloads := make([][]byte, len(entries))
	for i, e := range entries {
		payloads[i] = e.Payload
	}
	return payloads, err
}

// LogState is what JetStream knows of a log.
type LogState struct {
	// Bytes that it takes.
	Bytes uint64
	// Last is when the last segment was written; zero: there is none.
	Last time.Time
}

// LogState asks for the state of the log.
func (s *Store) LogState(ctx context.Context) (LogState, error) {
	stream, err := log.OpenStream(ctx, s.admin, s.id)
	if err != nil {
		return LogState{}, err
	}
	state := stream.CachedInfo().State
	return LogState{state.Bytes, state.LastTime}, nil
}
