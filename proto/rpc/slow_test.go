package rpc_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// deaf asks one thing after another on one connection and reads none of the answers.
func deaf(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.(*net.TCPConn).SetReadBuffer(4096)
	body := fmt.Sprintf(`{"payloadToken":%q}`, strings.Repeat("x", 500_000))
	request := fmt.Sprintf("POST /healthledger.v1.HealthService/QueryPayload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		rpc.Bearer(store, anna, secret), len(body), body)
	go func() {
		for range 20 {
			if _, err := io.WriteString(conn, request); err != nil {
				return
			}
		}
	}()
}

// Answers that their clients do not read take places of these clients only.
func TestUnreadAnswersTakePlacesOfTheirCallerOnly(t *testing.T) {
	server := web(t, service{save: accept}, rpc.HTTPOptions{MaxRequests: 9})
	greedy := protocols(t, server, rpc.Bearer(store, anna, secret))["connect"]
	for range 5 {
		deaf(t, server.Listener.Addr().String())
	}
	wait(t, func() bool { // all that it may have under way is
		_, err := greedy.Save(t.Context(), &pb.SaveRequest{})
		return rpc.Reason(err) == rpc.ReasonBusy
	})
	for name, client := range protocols(t, server, rpc.Bearer(store, berta, "of berta")) {
		if _, err := client.Save(t.Context(), &pb.SaveRequest{}); err != nil {
			t.Errorf("%s beside an app that does not read: %v", name, err)
		}
	}
}

// patient is a client's connection that knows how long an answer may take to it.
type patient struct {
	http.ResponseWriter
	until time.Time
}

func (p *patient) Header() http.Header               { return http.Header{} }
func (p *patient) WriteHeader(int)                   {}
func (p *patient) Write(content []byte) (int, error) { return len(content), nil }

func (p *patient) SetWriteDeadline(until time.Time) error {
	p.until = until
	return nil
}

// leaving is a connection that is told not to be read from any more, which takes its time.
type leaving struct {
	patient
	told atomic.Bool
}

func (l *leaving) SetReadDeadline(time.Time) error {
	time.Sleep(time.Second)
	l.told.Store(true)
	return nil
}

// What a service that stops does with a connection is done when the call's handler returns:
// over HTTP/2 there is nothing left of the connection after that.
func TestAStopTouchesNoConnectionAfterItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopping, stop := context.WithCancel(t.Context())
		stop()
		client := new(leaving)
		request, err := http.NewRequest(http.MethodPost, "/healthledger.v1.HealthService/Save", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", rpc.ContentTypeJSON)
		request.Header.Set("Authorization", "Bearer "+rpc.Bearer(store, anna, secret))
		handler(service{save: accept}, rpc.HTTPOptions{Stopping: stopping}).ServeHTTP(client, request)
		if !client.told.Load() {
			t.Error("it is told after the call")
			time.Sleep(time.Minute)
		}
	})
}

// How long an answer may take to its client counts from when it leaves, however long it
// was waited for.
func TestAnswersHaveTenSecondsToTheirClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const waited = time.Minute
		handler := handler(service{save: accept}, rpc.HTTPOptions{Gate: func(ctx context.Context, _ string) (context.Context, func(), error) {
			return ctx, func() { time.Sleep(waited) }, nil
		}})
		for path, body := range map[string]string{"Save": "{}", "QuerySamples": "nonsense"} {
			began, client := time.Now(), new(patient)
			request, err := http.NewRequest(http.MethodPost, "/healthledger.v1.HealthService/"+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", rpc.ContentTypeJSON)
			request.Header.Set("Authorization", "Bearer "+rpc.Bearer(store, anna, secret))
			handler.ServeHTTP(client, request)
			if took := client.until.Sub(began); took != waited+10*time.Second {
				t.Errorf("%s: given up after %v", path, took)
			}
		}
	})
}
