package query

import (
	"math"
	"time"

	"healthledger/authz"
	"healthledger/projector/view"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// intervals are how long after an acknowledgement the next update may come.
var intervals = map[pb.Frequency]time.Duration{
	pb.Frequency_FREQUENCY_IMMEDIATE: 0,
	pb.Frequency_FREQUENCY_HOURLY:    time.Hour,
	pb.Frequency_FREQUENCY_DAILY:     24 * time.Hour,
	pb.Frequency_FREQUENCY_WEEKLY:    7 * 24 * time.Hour,
}

// setBack is how much later than now an acknowledgement is, in microseconds, if the clock
// was set back. By less it may be because now is when a look was due to begin.
const setBack = int64(time.Minute / time.Microsecond)

// Never is later than any time.
const Never = math.MaxInt64

// Due returns what is to be told to the reader, an app, at a time (microseconds since the
// Unix epoch), by type: of each type that the app subscribed to the last segment with a
// change that it may see, if there is one that it has not acknowledged. An app's own
// samples count, as in HealthKit. It also returns when there will be more to tell if
// nothing changes.
//
// What the reader may not see changes nothing in that, neither in what is looked at.
func (e *Engine) Due(scope authz.Scope, now int64) (updates []*pb.DueUpdate, next int64, err error) {
	next = Never
	updates, err = answer(e, "look for updates", func(s *view.Snapshot) ([]*pb.DueUpdate, error) {
		subscriptions, err := s.Subscriptions(scope.Reader())
		if err != nil {
			return nil, err
		}
		for _, u := range subscriptions {
			last, err := lastChange(s, scope, u)
			if err != nil {
				return nil, err
			}
			switch at := dueAt(u); {
			case last <= u.After:
			case at <= now || u.HasAcked && u.Acked > now+setBack:
				updates = append(updates, &pb.DueUpdate{App: scope.Reader(), Type: u.Type, Sequence: last, After: u.After})
			default:
				next = min(next, at)
			}
		}
		return updates, nil
	})
	return updates, next, err
}

// dueAt returns when a change may be told.
func dueAt(u view.Subscription) int64 {
	if !u.HasAcked {
		return math.MinInt64
	}
	return u.Acked + intervals[u.Frequency].Microseconds()
}

// lastChange returns the last segment that changed what the scope may see of a type, 0 if
// none did after the subscription's.
func lastChange(s *view.Snapshot, scope authz.Scope, u view.Subscription) (last uint64, err error) {
	t, ok := catalog.ByCode(u.Type)
	if !ok {
		return 0, nil
	}
	for _, source := range sources(s, scope, t, period{math.MinInt64, math.MaxInt64}) {
		changed, _, err := source.ChangedAfter(u.After)
		if err != nil {
			return 0, err
		}
		last = max(last, changed)
	}
	return last, nil
}
