package serve

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"healthledger/ledger"
	"healthledger/ledger/disk"
	pb "healthledger/proto/healthledger/v1"
)

// figures are what is measured of a daemon when somebody asks. They are sums over all
// stores, of what whoever runs the daemon sees in its files anyway: nothing is by store,
// app or type, and nothing says what was asked or answered.
type figures struct{ daemon *Daemon }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("healthledger_"+name, help, labels, nil)
}

var (
	storesFigure   = describe("stores", "Stores by lock state; refused: they cannot be served.", "state")
	segmentsFigure = describe("log_segments", "Segments in the logs.")
	backlogFigure  = describe("backlog_segments", "Segments of stores that are not locked that their views do not contain yet.")
	freeFigure     = describe("disk_free_bytes", "What is left on the disk of the data directory.")
	reserveFigure  = describe("disk_reserve_bytes", "With less than that left, apps cannot write.")
	writableFigure = describe("writable", "Whether the logs take what apps write, and records of reads and decisions (1), or not (0).", "use")
	stepFigure     = describe("clock_step_seconds", "How far the clock was set since the daemon was started.")
	recordsFigure  = describe("messages_total", "What the daemon has logged, whatever its log shows, by level.", "level")
)

// Describe implements prometheus.Collector.
func (f figures) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		storesFigure, segmentsFigure, backlogFigure, freeFigure, reserveFigure, writableFigure, stepFigure, recordsFigure,
	} {
		out <- d
	}
}

// collectTimeout is how long projectors are waited for.
const collectTimeout = 2 * time.Second

// Collect implements prometheus.Collector.
func (f figures) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	d := f.daemon
	stores, refused := d.ledger.Stores()
	states, segments, backlog := d.survey(stores)
	for _, state := range lockStates {
		gauge(storesFigure, float64(states[state]), stateWord(state))
	}
	gauge(storesFigure, float64(refused), "refused")
	gauge(segmentsFigure, float64(segments))
	gauge(backlogFigure, float64(backlog))
	if room, ok := d.space.State(); ok {
		gauge(freeFigure, float64(room.Free))
		gauge(reserveFigure, float64(room.Reserve))
	}
	for use := range disk.Use(disk.Uses) {
		gauge(writableFigure, truth(d.room(use) == nil), use.String())
	}
	gauge(stepFigure, d.steps.moved().Seconds())
	for level, n := range d.messages.counts() {
		out <- prometheus.MustNewConstMetric(recordsFigure, prometheus.CounterValue, float64(n), level)
	}
}

var lockStates = []pb.LockState{
	pb.LockState_LOCK_STATE_LOCKED, pb.LockState_LOCK_STATE_UNLOCKING, pb.LockState_LOCK_STATE_UNLOCKED, pb.LockState_LOCK_STATE_LOCKING,
}

func stateWord(s pb.LockState) string {
	return map[pb.LockState]string{
		pb.LockState_LOCK_STATE_LOCKED: "locked", pb.LockState_LOCK_STATE_UNLOCKING: "unlocking",
		pb.LockState_LOCK_STATE_UNLOCKED: "unlocked", pb.LockState_LOCK_STATE_LOCKING: "locking",
	}[s]
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// survey counts lock states, segments, and how many of those views are behind.
func (d *Daemon) survey(stores []*ledger.Store) (states map[pb.LockState]int, segments, backlog uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	states = map[pb.LockState]int{}
	for _, store := range stores {
		head, _, _ := store.Head()
		segments += head
		k, err := d.keeper(store.ID())
		if err != nil {
			continue // it was closed meanwhile
		}
		state, _, _ := k.State()
		states[state]++
		if process := k.current(); process != nil && state != pb.LockState_LOCK_STATE_LOCKED {
			if a, err := process.Advance(ctx, &pb.AdvanceRequest{Sequence: head}); err == nil {
				backlog += head - min(head, a.GetApplied())
			}
		}
	}
	return states, segments, backlog
}

// registry holds what is measured: the daemon's figures, and those of its process.
func (d *Daemon) registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(figures{d}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// messages counts what is logged, on its way to where it is kept.
type messages struct {
	slog.Handler
	warnings, errors *atomic.Uint64
}

func newMessages(h slog.Handler) *messages {
	return &messages{h, new(atomic.Uint64), new(atomic.Uint64)}
}

func (m *messages) counts() map[string]uint64 {
	return map[string]uint64{"warn": m.warnings.Load(), "error": m.errors.Load()}
}

// Enabled implements slog.Handler.
func (m *messages) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || m.Handler.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (m *messages) Handle(ctx context.Context, r slog.Record) error {
	switch {
	case r.Level >= slog.LevelError:
		m.errors.Add(1)
	case r.Level >= slog.LevelWarn:
		m.warnings.Add(1)
	}
	if !m.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return m.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (m *messages) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &messages{m.Handler.WithAttrs(attrs), m.warnings, m.errors}
}

// WithGroup implements slog.Handler.
func (m *messages) WithGroup(name string) slog.Handler {
	return &messages{m.Handler.WithGroup(name), m.warnings, m.errors}
}
