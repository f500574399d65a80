package projector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"google.golang.org/protobuf/proto"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/projector/query"
	pb "healthledger/proto/healthledger/v1"
)

// maxLogBytes is how much of the log one answer holds.
const maxLogBytes = 512 << 10

// at opens one segment that the view contains, after those that were asked for before. That it
// is the one that was applied is known of its epoch's key; who signed it may have changed since,
// is not looked at again. The error is errLost for one that is lost.
func (u *unsealer) at(sequence uint64) (class seal.Class, events []*pb.Event, err error) {
	if u.known.losses.Gone(sequence) {
		return 0, nil, errLost
	}
	err = u.reader.Read(u.ctx, sequence, sequence, func(e log.Entry) error {
		segment, err := seal.ParseSegment(e.Payload)
		if err != nil {
			return fmt.Errorf("segment %d: %w", sequence, err)
		}
		class = segment.Class
		blocks, err := u.blocks(segment, sequence)
		if err != nil {
			return fmt.Errorf("segment %d: %w", sequence, err)
		}
		events = slices.Concat(blocks...)
		return nil
	})
	return class, events, err
}

// eventsAt are those of one segment.
func (f *follower) eventsAt(ctx context.Context, sequence uint64) ([]*pb.Event, error) {
	u := f.another(ctx)
	defer u.end()
	_, events, err := u.at(sequence)
	if errors.Is(err, errLost) {
		return nil, nil
	}
	return events, err
}

// lastUntil finds the last segment of the first ones that has no event after a time, 0: there
// is none. The times of the log go up. One that is lost has the time of the next.
func (f *follower) lastUntil(ctx context.Context, at int64, last uint64) (uint64, error) {
	var err error
	n := sort.Search(int(last), func(i int) bool {
		var events []*pb.Event
		for sequence := uint64(i) + 1; err == nil && len(events) == 0 && sequence <= last; sequence++ {
			events, err = f.eventsAt(ctx, sequence)
		}
		if err != nil {
			return true
		}
		for _, e := range events {
			if e.GetTime() > at {
				return true
			}
		}
		return false
	})
	if err != nil && ctx.Err() == nil {
		err = lostError{err}
	}
	return uint64(n), err
}

// readLog returns events of the log, and waits for the next one if asked to.
func (o *openStore) readLog(ctx context.Context, req *pb.ReadLogRequest) (*pb.ReadLogResponse, error) {
	resp := &pb.ReadLogResponse{Sequence: max(req.GetSequence(), 1), Event: req.GetEvent(), Offset: req.GetOffset()}
	err := o.await(ctx, time.Duration(req.GetWaitMs())*time.Millisecond, func(p *projection) (bool, time.Time, error) {
		resp.Last, _ = p.follower.Applied()
		return resp.Sequence <= resp.Last, time.Time{}, nil
	})
	if err != nil {
		return nil, err
	}
	if req.GetWaitMs() == 0 && resp.Sequence > resp.Last {
		return nil, noSegment(resp.Sequence, resp.Last)
	}
	return resp, o.with(func(p *projection) error { return p.follower.fill(ctx, resp) })
}

func noSegment(sequence, last uint64) error {
	return &query.ArgumentError{Field: "sequence", Value: fmt.Sprint(sequence), Why: fmt.Sprintf("the log has segments 1 to %d", last)}
}

// lostClass stands for the class of a segment that is lost; it comes as an event without content,
// which takes about so many bytes.
const (
	lostClass = "lost"
	lostBytes = 16
)

// fill puts events into an answer, as many as it holds.
func (f *follower) fill(ctx context.Context, resp *pb.ReadLogResponse) error {
	// Of an erased epoch it finds what is left in the order of the log, once.
	u := f.another(ctx)
	defer u.end()
	for size := 0; size < maxLogBytes && resp.Sequence <= resp.Last; {
		class, events, err := u.at(resp.Sequence)
		if errors.Is(err, errLost) {
			resp.Parts = append(resp.Parts, &pb.LogPart{Sequence: resp.Sequence, Class: lostClass})
			resp.Sequence, resp.Event, resp.Offset = resp.Sequence+1, 0, 0
			size += lostBytes
			continue
		}
		if err != nil {
			return lostError{err}
		}
		if int(resp.Event) > len(events) {
			return &query.ArgumentError{Field: "event", Value: fmt.Sprint(resp.Event), Why: fmt.Sprintf("the segment has %d events", len(events))}
		}
		n, err := takeEvents(resp, class, events, maxLogBytes-size)
		if err != nil {
			return err
		}
		size += n
	}
	return nil
}

// takeEvents puts at most so many bytes of a segment's events into the answer, and moves it on.
func takeEvents(resp *pb.ReadLogResponse, class seal.Class, events []*pb.Event, room int) (size int, err error) {
	for int(resp.Event) < len(events) {
		content, err := proto.MarshalOptions{Deterministic: true}.Marshal(events[resp.Event])
		if err != nil {
			return 0, err
		}
		if resp.Offset > uint64(len(content)) {
			return 0, &query.ArgumentError{Field: "offset", Value: fmt.Sprint(resp.Offset), Why: fmt.Sprintf("the event has %d bytes", len(content))}
		}
		content = content[resp.Offset:]
		part := &pb.LogPart{Sequence: resp.Sequence, Event: resp.Event, Class: class.String(), Content: content[:min(len(content), room-size)]}
		part.More = len(part.Content) < len(content)
		resp.Parts = append(resp.Parts, part)
		for _, c := range events[resp.Event].GetSamplesSaved().GetColumns() {
			if !slices.Contains(resp.Types, c.GetType()) {
				resp.Types = append(resp.Types, c.GetType())
			}
		}
		size += len(part.Content)
		if part.More {
			resp.Offset += uint64(len(part.Content))
			return size, nil
		}
		resp.Event, resp.Offset = resp.Event+1, 0
		if size == room {
			return size, nil
		}
	}
	resp.Sequence, resp.Event = resp.Sequence+1, 0
	return size, nil
}
