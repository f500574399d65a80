package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"time"

	pb "healthledger/proto/healthledger/v1"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// QueryOptions of a run of Queries.
type QueryOptions struct {
	// Samples in the store, for each table.
	Samples []int
	// NoPeer leaves SQLCipher out.
	NoPeer bool
	// Duration for which each query is repeated.
	Duration time.Duration
	// JSON prints one object for each row instead of tables.
	JSON bool
	Out  io.Writer
	// Tell is told what happens meanwhile.
	Tell func(string)
}

// Queries measures reading, through a daemon as an app reads, next to the same work in
// SQLite with SQLCipher, for each number of samples, and how it grows from one to the
// next. Where SQLCipher cannot be built it goes on without.
func Queries(ctx context.Context, o QueryOptions) error {
	dir, err := os.MkdirTemp("", "healthledger-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := ""
	if !o.NoPeer {
		o.Tell("building SQLCipher")
		if program, err = buildPeer(ctx, dir); err != nil {
			o.Tell(fmt.Sprintf("measuring without SQLCipher: %v", err))
		}
	}
	var all [][]QueryRow
	for _, size := range o.Samples {
		sub, err := os.MkdirTemp(dir, "")
		if err != nil {
			return err
		}
		rows, err := queriesOf(ctx, o, size, sub, program)
		if err != nil {
			return fmt.Errorf("%s: %w", short(size), err)
		}
		if err := os.RemoveAll(sub); err != nil {
			return err
		}
		if err := printQueries(o, rows); err != nil {
			return err
		}
		all = append(all, rows)
	}
	if o.JSON || len(all) < 2 {
		return nil
	}
	return printGrowth(o.Out, all)
}

// changed is how many samples come after the anchor.
func (d *decade) changed() int { return min(10_000, d.size) }

// together is how many of those come with one save.
const together = 100

func queriesOf(ctx context.Context, o QueryOptions, size int, dir, program string) ([]QueryRow, error) {
	d, err := newDecade(size)
	if err != nil {
		return nil, err
	}
	o.Tell(short(size) + " samples: filling the ledger")
	l, err := fill(ctx, dir, d, o.Duration)
	if err != nil {
		return nil, err
	}
	defer l.close()
	anchor, err := l.changeAfterAnchor(ctx)
	if err != nil {
		return nil, err
	}
	rows := l.sizes()
	works := l.works(anchor)
	if program != "" {
		p, err := startPeer(ctx, program, filepath.Join(dir, "peer.db"))
		if err != nil {
			return nil, err
		}
		defer p.close()
		o.Tell(short(size) + " samples: filling " + p.version)
		if err := p.fill(d, works, rows); err != nil {
			return nil, err
		}
		for i := range works {
			works[i].peer = p
		}
	}
	for i := range works {
		o.Tell(short(size) + " samples: " + works[i].name)
		row, err := works[i].measure(ctx, l.samples, o.Duration)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", works[i].name, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// sizes are what a sample takes on the disk.
func (l *filled) sizes() []QueryRow {
	n := float64(l.samples)
	return []QueryRow{
		{Samples: l.samples, Work: "bytes per sample in the log", Unit: "B", Result: float64(l.logBytes) / n, Target: 12},
		{Samples: l.samples, Work: "bytes per sample in the view", Unit: "B", Result: float64(l.viewBytes) / n, Target: 20},
	}
}

// fill brings the same samples to the peer. What it needs of the disk goes into the
// rows of the ledger's, and where its changes begin into the queries.
func (p *peer) fill(d *decade, works []work, sizes []QueryRow) error {
	last, err := p.insert(d.points())
	if err != nil {
		return err
	}
	size, err := p.loaded()
	if err != nil {
		return err
	}
	for i := range sizes {
		sizes[i].compare(float64(size) / float64(sizes[i].Samples))
	}
	for i := range works {
		works[i].asked.After = last
	}
	_, err = p.insert(d.more(d.changed()))
	return err
}

// work is one query, to the ledger and as the peer is asked it.
type work struct {
	name   string
	ledger func(context.Context) ([]float64, error)
	asked  peerQuery
	peer   *peer
	// target in milliseconds, and how many times faster than the peer it should be.
	target, ratio float64
}

func (w *work) measure(ctx context.Context, samples int, d time.Duration) (QueryRow, error) {
	t, err := measure(ctx, d, w.ledger)
	if err != nil {
		return QueryRow{}, err
	}
	row := QueryRow{
		Samples: samples, Work: w.name, Unit: "ms", Result: millis(t.p50), P99: millis(t.p99), Runs: t.runs,
		Target: w.target, TargetRatio: w.ratio,
	}
	if w.peer == nil {
		return row, nil
	}
	other, err := w.peer.measure(&w.asked, d)
	if err != nil {
		return row, err
	}
	row.compare(millis(other.p50))
	row.PeerP99 = millis(other.p99)
	return row, agree(t.result, other.result)
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// agree says whether two results are the same but for rounding.
func agree(ledger, peer []float64) error {
	same := len(ledger) == len(peer)
	for i := 0; same && i < len(ledger); i++ {
		same = math.Abs(ledger[i]-peer[i]) <= 1e-9*max(1, math.Abs(peer[i]))
	}
	if !same {
		return fmt.Errorf("the results differ: %.6g here, %.6g in SQLCipher", head(ledger), head(peer))
	}
	return nil
}

func head(numbers []float64) []float64 { return numbers[:min(len(numbers), 6)] }

// works are the queries that are measured. Their results are numbers: how many samples
// and the sum of their values, or some numbers for each period.
func (l *filled) works(anchor string) []work {
	heart, step := l.decade.series[heartRate], l.decade.series[steps]
	aDay := []int64{l.decade.end - day, l.decade.end}
	days, months, changed := l.decade.days(), l.decade.months(), l.decade.changed()
	latest := &pb.QuerySamplesRequest{Types: []string{heart.name}, Limit: 100}
	ofDay := &pb.QuerySamplesRequest{Types: []string{heart.name}, From: stamp(aDay[0]), To: stamp(aDay[1]), Order: pb.Order_ORDER_ASCENDING}
	daily := l.statistics(&heart, days, pb.CalendarUnit_CALENDAR_UNIT_DAY)
	monthly := l.statistics(&step, months, pb.CalendarUnit_CALENDAR_UNIT_MONTH)
	return []work{
		{
			name: "latest 100 heart rates", target: 2, asked: peerQuery{Name: "latest", Type: heartRate, Limit: 100},
			ledger: func(ctx context.Context) ([]float64, error) { return sum(l.reader.QuerySamples(ctx, latest)) },
		},
		{
			name: "a day of heart rates", asked: peerQuery{Name: "samples", Type: heartRate, Bounds: aDay},
			ledger: func(ctx context.Context) ([]float64, error) { return sum(l.reader.QuerySamples(ctx, ofDay)) },
		},
		{
			name: "daily statistics of a year of heart rates", target: 10, ratio: 100,
			asked: peerQuery{Name: "daily", Type: heartRate, Bounds: days},
			ledger: func(ctx context.Context) ([]float64, error) {
				return l.figures(ctx, daily, func(s *pb.Statistics) []float64 {
					return []float64{float64(s.GetCount()), s.GetMinimum(), s.GetMaximum()}
				})
			},
		},
		{
			name: "monthly merged steps of ten years", asked: peerQuery{Name: "merged", Type: steps, Bounds: months},
			ledger: func(ctx context.Context) ([]float64, error) {
				return l.figures(ctx, monthly, func(s *pb.Statistics) []float64 { return []float64{s.GetSum()} })
			},
		},
		{
			name: fmt.Sprintf("catch-up of %s changes", short(changed)), asked: peerQuery{Name: "changes", Type: heartRate, Limit: changed},
			ledger: func(ctx context.Context) ([]float64, error) { return l.changes(ctx, anchor) },
		},
	}
}

func stamp(micros int64) *timestamppb.Timestamp { return timestamppb.New(time.UnixMicro(micros)) }

func sum(samples iter.Seq2[*pb.Sample, error]) ([]float64, error) {
	count, total := 0.0, 0.0
	for s, err := range samples {
		if err != nil {
			return nil, err
		}
		count, total = count+1, total+s.GetValue()
	}
	return []float64{count, total}, nil
}

func (l *filled) statistics(s *series, bounds []int64, every pb.CalendarUnit) *pb.QueryStatisticsRequest {
	return &pb.QueryStatisticsRequest{
		Type: s.name, From: stamp(bounds[0]), To: stamp(bounds[len(bounds)-1]), Unit: s.unit,
		Interval: &pb.Interval{Unit: every}, TimeZone: l.decade.zone.String(), IncludeEmpty: true,
	}
}

func (l *filled) figures(ctx context.Context, r *pb.QueryStatisticsRequest, take func(*pb.Statistics) []float64) (all []float64, err error) {
	answer, err := l.reader.QueryStatistics(ctx, r)
	for _, s := range answer.GetStatistics() {
		all = append(all, take(s)...)
	}
	return all, err
}

// changeAfterAnchor takes an anchor, saves samples, and returns the anchor when the view
// has them.
func (l *filled) changeAfterAnchor(ctx context.Context) (string, error) {
	first, err := l.reader.Health().QueryChanges(ctx, &pb.QueryChangesRequest{Type: l.decade.series[heartRate].name, FromNow: true})
	if err != nil {
		return "", err
	}
	if _, err := l.save(ctx, l.decade.more(l.decade.changed()), together); err != nil {
		return "", err
	}
	const atMost = time.Minute
	for began := time.Now(); time.Since(began) < atMost; time.Sleep(10 * time.Millisecond) {
		seen, err := l.changes(ctx, first.GetAnchor())
		if err != nil {
			return "", err
		}
		if int(seen[0]) == l.decade.changed() {
			return first.GetAnchor(), nil
		}
	}
	return "", errors.New("the view does not get what was saved")
}

// changes reads all that came after an anchor.
func (l *filled) changes(ctx context.Context, anchor string) ([]float64, error) {
	count, total := 0.0, 0.0
	for more := true; more; {
		answer, err := l.reader.Health().QueryChanges(ctx, &pb.QueryChangesRequest{Type: l.decade.series[heartRate].name, Anchor: anchor})
		if err != nil {
			return nil, err
		}
		for _, s := range answer.GetSamples() {
			count, total = count+1, total+s.GetValue()
		}
		anchor, more = answer.GetAnchor(), answer.GetMore()
	}
	return []float64{count, total}, nil
}
