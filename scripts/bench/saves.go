package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/ledger/serve/natsserver"
	"healthledger/proto/client"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// rate calls work from so many goroutines for a while, from each once at least, and returns
// units per second.
func rate(ctx context.Context, workers int, d time.Duration, work func(ctx context.Context, worker int) (int, error)) (float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var total atomic.Int64
	var failed atomic.Pointer[error]
	var running sync.WaitGroup
	started := time.Now()
	for w := range workers {
		running.Go(func() {
			for more := true; more; more = time.Since(started) < d && ctx.Err() == nil {
				n, err := work(ctx, w)
				if err != nil {
					failed.CompareAndSwap(nil, &err)
					cancel()
					return
				}
				total.Add(int64(n))
			}
		})
	}
	running.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(total.Load()) / time.Since(started).Seconds(), nil
}

// saves measures durable saves next to raw JetStream publishes of the same size.
func saves(ctx context.Context, o Options, dir string, logger *slog.Logger) ([]Row, error) {
	raw := map[int]float64{}
	for _, n := range []int{1, 64} {
		r, err := rawPublishes(ctx, n, o.Duration, filepath.Join(dir, fmt.Sprint("raw", n)), logger)
		if err != nil {
			return nil, fmt.Errorf("raw publishes: %w", err)
		}
		raw[n] = r
	}
	h := newHome(filepath.Join(dir, "store"), o, logger)
	rows, err := h.savesInside(ctx, raw)
	if err != nil {
		return nil, err
	}
	daemon, err := h.serve(ctx)
	if err != nil {
		return nil, err
	}
	defer daemon.Close()
	for _, c := range []struct {
		conns  int
		target float64
	}{{1, 0}, {8, 30_000}, {64, 15_000}} {
		r, err := h.overNATS(ctx, c.conns, o.Duration)
		if err != nil {
			return nil, err
		}
		limit := raw[64]
		if c.conns == 1 {
			limit = raw[1]
		}
		rows = append(rows, Row{Work: fmt.Sprintf("saves of one sample, %d NATS connections", c.conns), Result: r, Unit: "/s", Limit: limit, Target: c.target})
	}
	bulk, err := h.bulk(ctx, o.Duration)
	return append(rows, bulk...), err
}

// savesInside saves without a daemon in front.
func (h *home) savesInside(ctx context.Context, raw map[int]float64) ([]Row, error) {
	in, err := h.open(ctx)
	if err != nil {
		return nil, err
	}
	defer in.close()
	var rows []Row
	for _, c := range []struct {
		workers int
		target  float64
	}{{1, 0}, {64, 60_000}} {
		before, err := in.store.LogState(ctx)
		if err != nil {
			return nil, err
		}
		var saved atomic.Int64
		r, err := rate(ctx, c.workers, h.options.Duration, func(ctx context.Context, _ int) (int, error) {
			_, err := in.store.Save(ctx, in.app, lone())
			saved.Add(1)
			return 1, err
		})
		if err != nil {
			return nil, err
		}
		after, err := in.store.LogState(ctx)
		if err != nil {
			return nil, err
		}
		if c.workers == 1 {
			size := float64(after.Bytes-before.Bytes) / float64(saved.Load())
			rows = append(rows, Row{Work: "bytes of a lone save in the log", Result: size, Unit: "B", Target: 250, Less: true})
		}
		rows = append(rows, Row{Work: fmt.Sprintf("saves of one sample, %d in the process", c.workers), Result: r, Unit: "/s", Limit: raw[c.workers], Target: c.target})
	}
	return rows, nil
}

// lone is a save of one heart rate.
func lone() *pb.SaveRequest {
	value := 61.0
	at := timestamppb.New(time.Now().Truncate(time.Second))
	return &pb.SaveRequest{RequestId: requestID(), Samples: []*pb.Sample{{
		Type: "heartRate", Start: at, End: at, Value: &value, Unit: "count/min",
		Source: &pb.Source{Name: "Watch", Version: "11.2"},
	}}}
}

func requestID() []byte {
	id := make([]byte, 16)
	_, _ = rand.Read(id)
	return id
}

// overNATS saves from 64 goroutines over so many connections.
func (h *home) overNATS(ctx context.Context, conns int, d time.Duration) (float64, error) {
	clients := make([]*client.Client, conns)
	for i := range clients {
		c, err := client.Dial(ctx, h.credentials)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		clients[i] = c
	}
	workers := max(64, conns)
	if conns == 1 {
		workers = 1
	}
	return rate(ctx, workers, d, func(ctx context.Context, worker int) (int, error) {
		_, err := clients[worker%conns].Save(ctx, lone())
		return 1, err
	})
}

// rows are 1,000 heart rates from a time on.
func rows(start time.Time) []*pb.Sample {
	batch := make([]*pb.Sample, 1000)
	for i := range batch {
		value := 60 + float64(i%40)
		at := timestamppb.New(start.Add(time.Duration(5*i) * time.Second))
		batch[i] = &pb.Sample{Type: "heartRate", Start: at, End: at, Value: &value, Unit: "count/min", Source: &pb.Source{Name: "Watch"}}
	}
	return batch
}

// bulk saves batches of 1,000 as rows and as columns.
func (h *home) bulk(ctx context.Context, d time.Duration) ([]Row, error) {
	batch := rows(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC))
	columns, err := health.Columns(batch, health.Policy{})
	if err != nil {
		return nil, err
	}
	c, err := client.Dial(ctx, h.credentials)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	asRows, err := rate(ctx, 8, d, func(ctx context.Context, _ int) (int, error) {
		_, err := c.Save(ctx, &pb.SaveRequest{Samples: batch})
		return len(batch), err
	})
	if err != nil {
		return nil, err
	}
	asColumns, err := rate(ctx, 8, d, func(ctx context.Context, _ int) (int, error) {
		_, err := c.Save(ctx, &pb.SaveRequest{Columns: columns})
		return len(batch), err
	})
	return []Row{
		{Work: "bulk save, batches of 1,000 rows", Result: asRows, Unit: "samples/s", Target: 300_000},
		{Work: "bulk save, batches of 1,000 in columns", Result: asColumns, Unit: "samples/s", Target: 500_000},
	}, err
}

// rawPublishes is the limit: JetStream with an fsync for each message.
func rawPublishes(ctx context.Context, workers int, d time.Duration, dir string, logger *slog.Logger) (float64, error) {
	server, err := natsserver.Start(natsserver.Options{StoreDir: dir, Logger: logger})
	if err != nil {
		return 0, err
	}
	defer server.Shutdown()
	admin, err := server.Connect(natsserver.Administrator)
	if err != nil {
		return 0, err
	}
	defer admin.Close()
	js, err := jetstream.New(admin)
	if err != nil {
		return 0, err
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "RAW", Subjects: []string{"ledger.raw"}}); err != nil {
		return 0, err
	}
	const inbox = "_INBOX.bench"
	user, password, revoke, err := server.Grant(natsserver.Appender, []string{"ledger.raw"}, []string{inbox + ".>"})
	if err != nil {
		return 0, err
	}
	defer revoke()
	conn, err := server.ConnectGranted(user, password, nats.CustomInboxPrefix(inbox))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	publisher, err := jetstream.New(conn)
	if err != nil {
		return 0, err
	}
	payload := make([]byte, 224)
	return rate(ctx, workers, d, func(ctx context.Context, _ int) (int, error) {
		_, err := publisher.Publish(ctx, "ledger.raw", payload)
		return 1, err
	})
}
