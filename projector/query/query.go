// Package query answers the questions of readers from a view.
//
//	engine := query.New(v, query.Options{Tokens: tokens, BundleID: bundleID})
//	answer, err := engine.Samples(ctx, scope, request)
//	answer, err := engine.Changes(ctx, scope, request)
//	answer, err := engine.Statistics(ctx, scope, request)
//	answer, err := engine.Payload(ctx, scope, request)
//	answer, err := engine.Sources(ctx, scope, request)
//	updates, next, err := engine.Due(scope, now)
//
// What a scope may not see is not there: the ranges of keys it may read are all that is
// ever opened, and a scope with nothing to read takes the path of an empty store. Whether
// a request is well formed is decided before anything about the data is known.
//
// Periods are half-open. A sample belongs to [from, to) if it overlaps it, and one without
// a length if from ≤ start < to (spec/healthkit.md, section 6 and pitfall 20).
package query

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/authz"
	"healthledger/projector/view"
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// Tokens seals page and payload tokens. The same key must open them for as long as a reader may keep
// one, and what it seals must be as long as the plaintext plus a constant.
type Tokens interface {
	Seal(context, plaintext []byte) ([]byte, error)
	Open(context, token []byte) ([]byte, error)
}

// Options of an Engine. Tokens and BundleID are needed.
type Options struct {
	Tokens Tokens
	// Rekeyed tells whether Tokens had another key once: an anchor that does not open may then
	// be a good one from before, whose bearer has to begin again. nil: it had none.
	Rekeyed func() bool
	// BundleID names the app with this number, "" if there is none.
	BundleID func(app uint64) string
	// Now is the clock that anchors grow old by; nil: time.Now.
	Now func() time.Time
	// SourceOrder returns the owner's order of the sources of a type; without it there is
	// none. Those that it does not name come after those that it does.
	SourceOrder func(typeCode uint32) []*pb.SourceName
}

// Engine answers queries from a view. It may be used from several goroutines.
type Engine struct {
	view      *view.View
	options   Options
	pageBytes int
}

// New returns an engine over the view.
func New(v *view.View, options Options) *Engine {
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Engine{view: v, options: options, pageBytes: pageBytes}
}

// answer runs a query on the view as it is now.
func answer[T any](e *Engine, operation string, run func(*view.Snapshot) (T, error)) (T, error) {
	var none T
	snapshot, err := e.view.Snapshot()
	if err != nil {
		return none, fmt.Errorf("%s: %w", operation, err)
	}
	answer, err := run(snapshot)
	if err := errors.Join(err, snapshot.Close()); err != nil {
		var argument *ArgumentError
		if errors.As(err, &argument) {
			return none, argument
		}
		return none, fmt.Errorf("%s: %w", operation, err)
	}
	return answer, nil
}

// ArgumentError says what is wrong with a request. It never depends on what the reader
// may not see.
type ArgumentError struct {
	// Field of the request, its value as given, shortened, and why it is refused.
	Field, Value, Why string
}

func (e *ArgumentError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("%s: %s", e.Field, e.Why)
	}
	return fmt.Sprintf("%s %q: %s", e.Field, e.Value, e.Why)
}

const shownBytes = 64

func refuse(field, value, why string) *ArgumentError {
	if len(value) > shownBytes {
		cut := shownBytes
		for cut > 0 && !utf8.RuneStart(value[cut]) {
			cut--
		}
		value = value[:cut] + "…"
	}
	return &ArgumentError{Field: field, Value: value, Why: why}
}

// period is [from, to) in microseconds since the Unix epoch; an open end is the first or
// the last number there is.
type period struct{ from, to int64 }

// always is the period that has no bounds.
var always = period{math.MinInt64, math.MaxInt64}

func parsePeriod(from, to *timestamppb.Timestamp) (period, error) {
	p := always
	var err error
	if from != nil {
		if p.from, err = health.Micros(from); err != nil {
			return p, refuse("from", "", err.Error())
		}
	}
	if to != nil {
		if p.to, err = health.Micros(to); err != nil {
			return p, refuse("to", "", err.Error())
		}
	}
	if p.from > p.to {
		return p, refuse("from", from.AsTime().Format("2006-01-02T15:04:05.999999Z07:00"), "it is after to")
	}
	return p, nil
}

func (p period) empty() bool { return p.from >= p.to }

func (p period) contains(t int64) bool { return p.from <= t && t < p.to }

// overlaps says whether a sample belongs to the period.
func (p period) overlaps(start, end int64) bool {
	return start < p.to && (end > p.from || end == p.from && start == end) && !p.empty()
}

func parseType(field, name string) (*catalog.Type, error) {
	t, ok := catalog.Lookup(name)
	if !ok {
		return nil, refuse(field, name, "no such type")
	}
	return t, nil
}

// sources returns what the scope may see of a type that can lie in the period.
func sources(s *view.Snapshot, scope authz.Scope, t *catalog.Type, p period) []view.Source {
	if p.empty() {
		return nil
	}
	if t.Kind != catalog.Correlation {
		return s.Sources(scope, t.Code)
	}
	// A correlation is reached through the types of its members, whichever may be seen.
	var all []view.Source
	for _, m := range t.Members() {
		all = append(all, s.Sources(scope, view.Pair(t.Code, m.Code))...)
	}
	return all
}

// checkEvery is how many samples are read between two looks at whether to go on.
const checkEvery = 1 << 12

// patience says when a query has to end before its time.
type patience struct {
	ctx      context.Context
	snapshot *view.Snapshot
	read     int
}

func (p *patience) spend() error {
	if p.read++; p.read%checkEvery != 0 {
		return nil
	}
	return p.exhausted()
}

func (p *patience) exhausted() error { return errors.Join(p.ctx.Err(), p.snapshot.Err()) }
