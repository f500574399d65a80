package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"healthledger/authz"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// service is whom a caller asks over a network.
func (c *callers) service(way, caller int) pb.HealthServiceClient {
	if way == throughHTTP {
		return c.http
	}
	return c.nats[caller%connections].Health()
}

// scope is what a reader in this process sees.
func (c *callers) scope(way int) authz.Scope {
	if way == unasked {
		return c.within.state.OwnerScope()
	}
	return c.within.state.Scope(c.app.Number)
}

// reading makes the four ways of a query. Inside asks the engine, outside a service; both say
// how many items there were.
func (c *callers) reading(
	operation string, s *series, from, to int64, want int,
	inside func(context.Context, authz.Scope) (int, error), outside func(context.Context, pb.HealthServiceClient) (int, error),
) (all [callWays]how) {
	for way := range all {
		all[way] = func(ctx context.Context, caller int) (err error) {
			if way == authorized {
				if err := c.record(ctx, operation, s, from, to); err != nil {
					return err
				}
			}
			var n int
			if way == unasked || way == authorized {
				n, err = inside(ctx, c.scope(way))
			} else {
				n, err = outside(ctx, c.service(way, caller))
			}
			if err == nil && n != want {
				err = fmt.Errorf("%s: %d items, not %d", wayNames[way], n, want)
			}
			return err
		}
	}
	return all
}

// page is how many samples a read has.
const page = 1000

func (c *callers) reads() []call {
	heart := &c.decade.series[heartRate]
	days := c.decade.days()
	first, last := days[0], days[len(days)-1]
	samples := &pb.QuerySamplesRequest{Types: []string{heart.name}, From: stamp(first), To: stamp(last), Limit: page}
	daily := c.statistics(heart, days, pb.CalendarUnit_CALENDAR_UNIT_DAY)
	changes := &pb.QueryChangesRequest{Type: heart.name, Limit: page}
	return []call{
		{
			name: "a page of 1,000 samples", callers: readers, units: 1, unit: "/s",
			ways: c.reading("samples", heart, first, last, page,
				func(ctx context.Context, scope authz.Scope) (int, error) {
					answer, err := c.within.engine.Samples(ctx, scope, samples)
					return len(answer.GetSamples()), err
				},
				func(ctx context.Context, service pb.HealthServiceClient) (int, error) {
					answer, err := service.QuerySamples(ctx, samples)
					return len(answer.GetSamples()), err
				}),
		},
		{
			name: "daily statistics of a year", callers: readers, units: 1, unit: "/s",
			ways: c.reading("statistics", heart, first, last, len(days)-1,
				func(ctx context.Context, scope authz.Scope) (int, error) {
					answer, err := c.within.engine.Statistics(ctx, scope, daily)
					return len(answer.GetStatistics()), err
				},
				func(ctx context.Context, service pb.HealthServiceClient) (int, error) {
					answer, err := service.QueryStatistics(ctx, daily)
					return len(answer.GetStatistics()), err
				}),
		},
		{
			name: "a page of 1,000 changes", callers: readers, units: 1, unit: "/s",
			ways: c.reading("changes", heart, first, last, page,
				func(ctx context.Context, scope authz.Scope) (int, error) {
					answer, err := c.within.engine.Changes(ctx, scope, changes)
					return len(answer.GetSamples()), err
				},
				func(ctx context.Context, service pb.HealthServiceClient) (int, error) {
					answer, err := service.QueryChanges(ctx, changes)
					return len(answer.GetSamples()), err
				}),
		},
	}
}

// saving makes the four ways of a save.
func (c *callers) saving(samples func() []*pb.Sample) (all [callWays]how) {
	app, _ := c.within.store.State().AppByKey(c.app.Key)
	for way := range all {
		all[way] = func(ctx context.Context, caller int) error {
			request := &pb.SaveRequest{RequestId: requestID(), Samples: samples()}
			var err error
			switch way {
			case unasked:
				err = c.append(ctx, app, request)
			case authorized:
				_, err = c.within.store.Save(ctx, app, request)
			default:
				_, err = c.service(way, caller).Save(ctx, request)
			}
			return err
		}
	}
	return all
}

// append is a save without anybody asked: the samples are validated and go into the log, and
// there is a receipt.
func (c *callers) append(ctx context.Context, app *authz.App, request *pb.SaveRequest) error {
	columns, err := health.Collect(request.GetSamples(), nil, health.Policy{})
	if err != nil {
		return err
	}
	for doubt := range health.Implausible(request.GetSamples(), nil) {
		return doubt
	}
	sequence, err := c.within.store.Record(ctx, app.Number, &pb.Event{Body: &pb.Event_SamplesSaved{SamplesSaved: &pb.SamplesSaved{
		App: app.Number, RequestId: request.GetRequestId(), Columns: columns,
	}}})
	if err != nil {
		return err
	}
	receipt := binary.BigEndian.AppendUint64(nil, sequence)
	_, err = c.receipts.Seal([]byte(app.Key), append(receipt, request.GetRequestId()...))
	return err
}

func (c *callers) writes() []call {
	batch := rows(time.UnixMicro(c.decade.end))
	return []call{
		{
			name: "batches of 1,000 rows", callers: readers, units: len(batch), unit: "samples/s",
			ways: c.saving(func() []*pb.Sample { return batch }),
		},
		{
			name: "saves of one sample, 64 producers", callers: producers, units: 1, unit: "/s", least: 6000,
			ways: c.saving(func() []*pb.Sample { return lone().GetSamples() }),
		},
	}
}
