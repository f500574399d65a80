package serve

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// What an app is let in for is what its own rate has, whatever others do: each one's
// answers are those that it would have had alone, the owner is always let in, a refused app
// gets in when it was told, and never are there more than the rate allows.
func TestRatesAreEachAppsOwn(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		rates := Rates{Requests: rapid.IntRange(1, 50).Draw(r, "requests"), Bytes: rapid.IntRange(1, 5000).Draw(r, "bytes")}
		start := time.Unix(1_700_000_000, 0)
		now := start
		metered := func() *meters {
			m := newMeters(rates, "owner")
			m.now = func() time.Time { return now }
			return m
		}
		all, alone := metered(), map[string]*meters{}
		requests, paid := map[string]int{}, map[string]int{}
		r.Repeat(map[string]func(*rapid.T){
			"ask": func(r *rapid.T) {
				who := rapid.SampledFrom([]string{"a", "b", "c", "owner"}).Draw(r, "app")
				from := rpc.Caller{Store: rapid.SampledFrom([]string{"s", "t"}).Draw(r, "store"), Key: who}
				name := from.Store + who
				if alone[name] == nil {
					alone[name] = metered()
				}
				for range rapid.IntRange(1, 70).Draw(r, "times") {
					err, own := all.Take(from), alone[name].Take(from)
					if fmt.Sprint(err) != fmt.Sprint(own) {
						r.Fatalf("%s gets %v, alone %v", name, err, own)
					}
					if err != nil {
						if who == "owner" || rpc.Reason(err) != rpc.ReasonQuotaExceeded || rpc.RetryAfter(err) <= 0 {
							r.Fatalf("%s: %v", name, err)
						}
						if rapid.Bool().Draw(r, "wait") {
							now = now.Add(rpc.RetryAfter(err))
							if err := all.Take(from); err != nil {
								r.Fatalf("%s was told to come now: %v", name, err)
							}
							_ = alone[name].Take(from)
							requests[name]++
						}
						continue
					}
					size := rapid.IntRange(0, 9000).Draw(r, "size")
					all.Count(from, size)
					alone[name].Count(from, size)
					requests[name]++
					// What goes over is one request's.
					if paid[name] > int(float64(rates.Bytes)*(1+now.Sub(start).Seconds()))+1 && who != "owner" {
						r.Fatalf("%s got in with %d bytes in %v", name, paid[name], now.Sub(start))
					}
					paid[name] += size
				}
				if limit := float64(rates.Requests) * (1 + now.Sub(start).Seconds()); who != "owner" && float64(requests[name]) > limit+1 {
					r.Fatalf("%s got in %d times in %v", name, requests[name], now.Sub(start))
				}
			},
			"later": func(r *rapid.T) {
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(3*time.Second)).Draw(r, "later")))
			},
		})
	})
}

// However many apps come and go, what is kept of them is of those that were there lately.
func TestMetersOfQuietAppsAreForgotten(t *testing.T) {
	m := newMeters(Rates{Requests: 2, Bytes: 10}, "owner")
	now := time.Unix(1_700_000_000, 0)
	m.now = func() time.Time { return now }
	for i := range 10_000 {
		if i%100 == 0 {
			now = now.Add(time.Second)
		}
		if err := m.Take(rpc.Caller{Store: "s", Key: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.apps) > 3*100+leastSweep {
		t.Errorf("%d meters", len(m.apps))
	}
}

// stopped is a front whose time stands still for rates.
func stopped(t *testing.T, rates Rates) *front {
	f := newFrontWith(t, Options{HTTP: "127.0.0.1:0", Rates: rates})
	now := time.Now()
	f.meters.now = func() time.Time { return now }
	return f
}

// connect makes a bare connection of the importer.
func (f *front) connect(t *testing.T) *nats.Conn {
	t.Helper()
	key := f.genesis.Key
	conn, err := nats.Connect(f.Address().URL, nats.UserInfo(key, f.genesis.Token), nats.CustomInboxPrefix(rpc.InboxPrefix(key)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// ask makes a request once and returns all that comes back.
func (f *front) ask(t *testing.T, conn *nats.Conn, method string, body []byte) string {
	t.Helper()
	answer, err := conn.Request("health."+f.genesis.Store.String()+"."+f.genesis.Key+"."+method, body, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(answer.Header, string(answer.Data))
}

// askHTTP does so over HTTP.
func (f *front) askHTTP(t *testing.T, method, body string) (status int, retryAfter, content string) {
	t.Helper()
	answer, err := f.post(t, method, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header.Get("Retry-After"), string(all)
}

// An app that has used up its rate on one transport has none on the other; the owner has
// none to use up.
func TestBothTransportsShareOneRate(t *testing.T) {
	for _, first := range []string{"NATS", "HTTP"} {
		f := stopped(t, Rates{Requests: 4})
		conn := f.connect(t)
		for range 4 {
			answer := f.ask
			if first == "HTTP" {
				answer = func(t *testing.T, _ *nats.Conn, method string, _ []byte) string {
					_, _, content := f.askHTTP(t, method, "{}")
					return content
				}
			}
			if content := answer(t, conn, "GetRequestStatus", nil); strings.Contains(content, "exhausted") {
				t.Fatal(content)
			}
		}
		if status, after, content := f.askHTTP(t, "GetRequestStatus", "{}"); status != http.StatusTooManyRequests || after != "1" {
			t.Errorf("over HTTP after %s: %d, again after %q: %s", first, status, after, content)
		}
		brief, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := f.app.Health().GetRequestStatus(brief, &pb.GetRequestStatusRequest{})
		if rpc.Reason(err) != rpc.ReasonQuotaExceeded || rpc.RetryAfter(err) != 250*time.Millisecond {
			t.Errorf("over NATS after %s: %v, again after %v", first, err, rpc.RetryAfter(err))
		}
		f.unlock(t)
		for range 10 {
			if _, err := f.owner.Owner().Status(t.Context(), &pb.StatusRequest{}); err != nil {
				t.Fatal(err)
			}
			if _, err := f.owner.Health().GetAuthorizationStatus(t.Context(), &pb.GetAuthorizationStatusRequest{}); rpc.Reason(err) == rpc.ReasonQuotaExceeded {
				t.Fatal(err)
			}
		}
	}
}

// What is over the rate is refused before anything else is known: alike for every method,
// request and lock state, on a whole quantum.
func TestRefusalByRateTellsNothing(t *testing.T) {
	f := stopped(t, Rates{Requests: 1})
	conn := f.connect(t)
	f.ask(t, conn, "GetRequestStatus", nil)
	seen := map[string]string{}
	look := func(state string) {
		for _, method := range []string{"Save", "Delete", "QuerySamples", "QueryStatistics", "GetRequestStatus"} {
			for _, body := range []string{"", "{}", "not a message", strings.Repeat("x", 100_000)} {
				began := time.Now()
				seen[f.ask(t, conn, method, []byte(body))] = state + " " + method
				if took := time.Since(began); took < quantum {
					t.Errorf("%s, %s: answered after %v", state, method, took)
				}
				_, after, content := f.askHTTP(t, method, body)
				seen["over HTTP "+after+content] = state + " " + method
			}
		}
	}
	look("locked")
	f.unlock(t)
	look("unlocked")
	if len(seen) != 2 {
		t.Errorf("%q", seen)
	}
	for answer := range seen {
		if !strings.Contains(answer, "resource_exhausted") {
			t.Error(answer)
		}
	}
}

// The bytes of a request are paid after it, whether it can be read or not, and until they
// are nothing is let in.
func TestBytesArePaidOnBothTransports(t *testing.T) {
	for _, first := range []string{"NATS", "HTTP"} {
		f := stopped(t, Rates{Bytes: 1000})
		conn, body := f.connect(t), strings.Repeat("x", 3000)
		if first == "NATS" {
			f.ask(t, conn, "Save", []byte(body))
		} else {
			f.askHTTP(t, "Save", body)
		}
		// Two thousand bytes are owed, and on NATS those of the subject.
		status, after, content := f.askHTTP(t, "Save", "{}")
		if status != http.StatusTooManyRequests || after != "2" && after != "3" {
			t.Errorf("%s: %d, again after %q: %s", first, status, after, content)
		}
	}
}

// A client that is over its rate waits as long as it is told, and then gets its answer.
func TestClientsObeyTheRate(t *testing.T) {
	f := newFrontWith(t, Options{Rates: Rates{Requests: 10}})
	began := time.Now()
	for range 15 {
		if _, err := f.app.Delete(t.Context(), aDelete("0123456789abcdef")); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took < 400*time.Millisecond {
		t.Errorf("15 calls at 10 a second, of which 10 may be made at once, took %v", took)
	}
}
