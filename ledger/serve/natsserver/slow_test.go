package natsserver

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"healthledger/proto/rpc"
)

// deaf connects as an app that subscribes to its inbox, and reads nothing more.
func (s *Server) deaf(t *testing.T, key string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_, err = fmt.Fprintf(conn, "CONNECT {\"user\":%q,\"pass\":\"token\",\"verbose\":false}\r\nSUB %s.> 1\r\nPING\r\n", key, rpc.InboxPrefix(key))
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(conn); lines.Text() != "PONG"; {
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
	}
}

// A client that does not read its answers loses them, and nobody waits for it: the service
// has one connection for everybody's.
func TestClientThatDoesNotReadHoldsNobodyUp(t *testing.T) {
	s, err := Start(Options{StoreDir: t.TempDir(), Authenticate: func(user, _ string) (Identity, bool) {
		return Identity{Kind: App, Store: "store", Key: user}, true
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	slow, quick := strings.Repeat("a", 26), strings.Repeat("b", 26)
	s.deaf(t, slow)
	service, err := s.Connect(Service)
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	// Each request of the quick one is answered after one of the slow one's.
	answer := make([]byte, 512<<10)
	_, err = service.Subscribe("health.>", func(m *nats.Msg) {
		_ = service.Publish(rpc.InboxPrefix(slow)+".x", answer)
		_ = m.Respond([]byte("answer"))
	})
	if err == nil {
		err = service.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	client, err := nats.Connect(s.URL(), nats.UserInfo(quick, "token"), nats.CustomInboxPrefix(rpc.InboxPrefix(quick)))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for range 150 { // more than the server keeps for a client
		if _, err := client.Request("health.store."+quick+".Save", nil, 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	state, err := s.nats.Varz(&server.VarzOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if state.StalledClients > 0 {
		t.Errorf("the service waited %d times", state.StalledClients)
	}
}
