package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"

	"github.com/nats-io/nats.go"
)

// Trust says how a client knows that a daemon is the one it means. What it names is asked
// for over TLS, that is where the URL is tls://host:port.
type Trust struct {
	// CA is certificates in PEM, one of which the daemon's must be or be issued by. Empty:
	// those that the system trusts.
	CA string `json:"ca,omitempty"`
	// ServerName is what the daemon's certificate must be for. Empty: the host of the URL.
	ServerName string `json:"serverName,omitempty"`
}

// Config returns the TLS configuration of a client, which may be changed. The error says
// that CA holds no certificate.
func (t Trust) Config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: t.ServerName}
	if t.CA == "" {
		return config, nil
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM([]byte(t.CA)) {
		return nil, errors.New("ca holds no certificate in PEM")
	}
	return config, nil
}

// Options returns how to connect to a URL so that nobody but the daemon gets to know the
// credentials: over TLS, or without it on this machine. An error says what is wrong with
// the URL or the certificates.
func (t Trust) Options(address string) ([]nats.Option, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "nats" && u.Scheme != "tls") || u.Hostname() == "" || u.User != nil || u.Path != "" {
		return nil, errors.New("url is not of the form tls://host:port or nats://host:port")
	}
	// What a server says of others is not what the credentials are for.
	options := []nats.Option{nats.IgnoreDiscoveredServers()}
	if u.Scheme == "tls" {
		config, err := t.Config()
		return append(options, nats.Secure(config)), err
	}
	if t != (Trust{}) {
		return nil, errors.New("url must be of the form tls://host:port where ca or serverName are given")
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, errors.New("url must be of the form tls://host:port: the token is not sent in the clear beyond this machine")
	}
	return options, nil
}
