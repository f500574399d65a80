package projector

import (
	"cmp"
	"context"
	"slices"
	"time"

	"healthledger/authz"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
)

// ReadRetention implements pb.ProjectorServiceHandler.
func (s *service) ReadRetention(ctx context.Context, req *pb.ReadRetentionRequest) (*pb.ReadRetentionResponse, error) {
	resp := &pb.ReadRetentionResponse{}
	err := s.using(ctx, req.GetSequence(), func(o *openStore, p *projection) error {
		for code, months := range p.state.Retention() {
			resp.Retention = append(resp.Retention, &pb.RetentionSet{Type: code, Months: months})
		}
		slices.SortFunc(resp.Retention, func(a, b *pb.RetentionSet) int { return cmp.Compare(a.GetType(), b.GetType()) })
		if !req.GetFind() {
			return nil
		}
		if err := o.findExpired(ctx, p, time.Now().UnixMicro(), resp); err != nil {
			return s.internal("look for what has expired", err)
		}
		return nil
	})
	return resp, err
}

// findExpired finds what is kept no longer as of now or, if the log does not bear that out, as
// of the time that it does. The log is read for that only if there is something to be erased.
func (o *openStore) findExpired(ctx context.Context, p *projection, now int64, resp *pb.ReadRetentionResponse) error {
	month := authz.Month(now)
	types, err := p.expired(month)
	if err != nil || len(types) == 0 {
		return err
	}
	known, err := o.knownTime(ctx, p, now)
	if err != nil {
		return err
	}
	if known < now-leastDoubt {
		resp.Doubted = known
	}
	if earlier := authz.Month(min(known, now)); earlier != month {
		month = earlier
		if types, err = p.expired(month); err != nil {
			return err
		}
	}
	if len(types) > 0 {
		resp.Expired = &pb.ExpiredDraft{Month: month, Types: types}
	}
	return nil
}

// expired returns the types of which there is something to be erased in a month.
func (p *projection) expired(month int64) ([]uint32, error) {
	if month <= 0 || !p.state.ErasesIn(month) {
		return nil, nil
	}
	lasts := map[uint64]bool{}
	for _, erasure := range p.state.Erasures() {
		last := uint64(0)
		for _, e := range erasure.Epochs {
			last = max(last, e.GetLast())
		}
		lasts[last] = true
	}
	snapshot, err := p.view.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snapshot.Close()
	return snapshot.Expired(
		func(code uint32) (int64, bool) { return p.state.Expiry(month, code) },
		func(sequence uint64) bool { return lasts[sequence] },
	)
}

// knownTime returns what time it is at least, by what the clock says now and by the checkpoints
// of the log, which is read as far as the view contains it.
func (o *openStore) knownTime(ctx context.Context, p *projection, now int64) (int64, error) {
	var times evidence
	applied, _ := p.follower.Applied()
	if applied == 0 {
		return 0, nil
	}
	err := log.NewGuestReader(o.conn, o.store).PassOver(o.known.losses).Read(ctx, 1, applied, func(e log.Entry) error {
		segment, err := seal.ParseSegment(e.Payload)
		if err != nil || segment.Class != seal.Open {
			return err
		}
		events, err := log.AllEvents(segment.Body)
		for _, event := range events {
			if event.GetCheckpointed() != nil {
				times.add(event.GetTime())
			}
		}
		return err
	})
	times.add(now)
	return times.known, err
}

// leastDoubt is how much later a time may be than the one before it, and is believed at once;
// and for how long a later one must have been the time until it is. In microseconds.
const leastDoubt = int64(31 * 24 * time.Hour / time.Microsecond)

// evidence is what the times say that a log has, in its order, of what time it is. They come
// from a clock that may have been wrong for a while, far ahead or behind, and whoever erases by
// such a clock erases everything. So a time is not known before another one, as much later, has
// borne it out: a clock that is wrong and not put right for a month is believed. The first one
// is believed, unless an earlier one comes before it was borne out so.
type evidence struct {
	first, known int64
	// doubted are later, in order.
	doubted []int64
}

func (e *evidence) add(t int64) {
	if e.known == 0 || t < e.known && e.known-e.first < leastDoubt {
		*e = evidence{first: t, known: t}
		return
	}
	// What was later than this was wrong.
	i, _ := slices.BinarySearch(e.doubted, t)
	e.doubted = e.doubted[:i]
	if t > e.known {
		e.doubted = append(e.doubted, t)
	}
	for len(e.doubted) > 0 && (e.doubted[0]-e.known <= leastDoubt || t-e.doubted[0] >= leastDoubt) {
		e.known, e.doubted = e.doubted[0], e.doubted[1:]
	}
}
