package serve

import (
	"sync"
	"time"

	"healthledger/proto/rpc"
)

// Rates are what one app may ask for in a second, over all its connections and both
// transports. What it leaves it has later, up to that of one second. Fields that are 0 are
// those of DefaultRates.
type Rates struct {
	Requests int
	Bytes    int
}

// DefaultRates keep an app that has run wild from growing without end; no app that this
// software was measured with comes near them.
var DefaultRates = Rates{Requests: 50_000, Bytes: 128 << 20}

func (r Rates) orDefault() Rates {
	if r.Requests == 0 {
		r.Requests = DefaultRates.Requests
	}
	if r.Bytes == 0 {
		r.Bytes = DefaultRates.Bytes
	}
	return r
}

// meters count what each app asks for, and nothing else: what comes of a request and what
// others do moves none.
type meters struct {
	rates Rates
	owner string // whose key is not counted
	now   func() time.Time

	mu    sync.Mutex
	apps  map[meterKey]*meter
	sweep int // when there are so many
}

type meterKey struct{ store, app string }

// meter is two token buckets, each as the time at which it will be full again. What is
// a burst away is an empty one.
type meter struct{ requests, bytes time.Time }

// burst is how long a bucket takes to fill.
const burst = time.Second

// leastSweep is how many meters are kept without a look at which are of use.
const leastSweep = 64

func newMeters(rates Rates, owner string) *meters {
	return &meters{rates: rates.orDefault(), owner: owner, now: time.Now, apps: map[meterKey]*meter{}, sweep: leastSweep}
}

// Take lets a request in, or refuses it. How large it is is paid when it is known, so that
// nothing of a request is looked at before; until what was too much is paid off, nothing
// more gets in. Error: rpc.ReasonQuotaExceeded.
func (m *meters) Take(from rpc.Caller) error {
	if from.Key == m.owner {
		return nil
	}
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	app, one := m.of(from, now), time.Second/time.Duration(m.rates.Requests)
	app.requests = later(app.requests, now)
	if wait := max(app.requests.Add(one).Sub(now), app.bytes.Sub(now)) - burst; wait > 0 {
		return rpc.QuotaExceeded(wait)
	}
	app.requests = app.requests.Add(one)
	return nil
}

// Count pays for the bytes of a request.
func (m *meters) Count(from rpc.Caller, bytes int) {
	if from.Key == m.owner {
		return
	}
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	app := m.of(from, now)
	app.bytes = later(app.bytes, now).Add(time.Duration(bytes) * time.Second / time.Duration(m.rates.Bytes))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// of needs mu.
func (m *meters) of(from rpc.Caller, now time.Time) *meter {
	key := meterKey{from.Store, from.Key}
	app, ok := m.apps[key]
	if !ok {
		m.forget(now)
		app = new(meter)
		m.apps[key] = app
	}
	return app
}

// forget drops meters that are as new, of apps that are quiet or gone. It needs mu.
func (m *meters) forget(now time.Time) {
	if len(m.apps) < m.sweep {
		return
	}
	for key, app := range m.apps {
		if !app.requests.After(now) && !app.bytes.After(now) {
			delete(m.apps, key)
		}
	}
	m.sweep = max(2*len(m.apps), leastSweep)
}
