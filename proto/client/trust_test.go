package client

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"healthledger/proto/rpc"
)

// Somebody else at the daemon's address gets no credentials from a client that expects
// TLS, whatever he says about it.
func TestNoCredentialsWithoutTLS(t *testing.T) {
	for _, offer := range []string{
		`{"server_id":"X","version":"2.15.2","proto":1,"headers":true,"max_payload":1000000}`,
		`{"server_id":"X","version":"2.15.2","proto":1,"headers":true,"max_payload":1000000,"auth_required":true,"tls_required":false}`,
		`{"server_id":"X","version":"2.15.2","proto":1,"headers":true,"max_payload":1000000,"tls_required":true}`,
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		sent := make(chan []byte, 1)
		go func() {
			conn, err := listener.Accept()
			if err != nil {
				sent <- nil
				return
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(500 * time.Millisecond))
			fmt.Fprintf(conn, "INFO %s\r\n", offer)
			all, _ := io.ReadAll(conn)
			sent <- all
		}()
		c := good
		c.URL = "tls://" + listener.Addr().String()
		if _, err := Dial(t.Context(), c); rpc.Reason(err) != rpc.ReasonUnavailable {
			t.Errorf("%s: %v", offer, err)
		}
		listener.Close()
		if all := <-sent; bytes.Contains(all, []byte(c.Token)) || bytes.Contains(all, []byte("CONNECT")) {
			t.Errorf("%s: the client sent %q", offer, all)
		}
	}
}

// A URL without TLS beyond this machine is refused before anything is sent.
func TestURLsAreEncryptedOrLocal(t *testing.T) {
	ca := Trust{CA: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}
	for address, trust := range map[string]Trust{
		"nats://192.0.2.1:4222":          {},
		"nats://ledger.example:4222":     {},
		"nats://localhost.example:4222":  {},
		"nats://0.0.0.0:4222":            {},
		"nats://127.0.0.1:1,10.0.0.1:2":  {},
		"ws://127.0.0.1:4222":            {},
		"tls://":                         {},
		"tls://a:b@ledger.example:4222":  {},
		"tls://ledger.example:4222/more": {},
		"nats://127.0.0.1:4222":          {ServerName: "ledger.example"},
		"tls://ledger.example:4222":      ca,
	} {
		if _, err := trust.Options(address); err == nil {
			t.Errorf("%s, %+v: accepted", address, trust)
		}
		c := good
		c.URL, c.Trust = address, trust
		if _, err := Dial(t.Context(), c); rpc.Reason(err) != rpc.ReasonInvalidArgument {
			t.Errorf("%s, %+v: %v", address, trust, err)
		} else if strings.Contains(err.Error(), c.Token) {
			t.Errorf("%s: the error has the token: %v", address, err)
		}
	}
	for _, address := range []string{"nats://127.0.0.1:4222", "nats://[::1]:4222", "nats://localhost:4222", "tls://ledger.example:4222", "tls://192.0.2.1"} {
		if _, err := (Trust{}).Options(address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}
