package serve

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/url"
	"strings"

	"healthledger/proto/client"
)

// TLS names the files of a certificate chain and its key, both PEM. They are read at the
// start of the daemon.
type TLS struct{ Certificate, Key string }

// certificate is what the daemon shows to its clients. Without one they are on this machine.
type certificate struct {
	config *tls.Config
	// name of a host that it is for.
	name string
	// local is how clients on this machine know the daemon: by its very certificate.
	local client.Trust
	// apps is how others do: by whoever issued it, or it itself if nobody did.
	apps client.Trust
}

func (t TLS) load() (*certificate, error) {
	if t == (TLS{}) {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
	if err != nil {
		return nil, err
	}
	chain, err := parseAll(pair.Certificate)
	if err != nil {
		return nil, err
	}
	c := &certificate{
		config: &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}},
		name:   hostOf(chain[0]),
	}
	if c.name == "" {
		return nil, errors.New("the certificate names no host (subject alternative name)")
	}
	c.local = client.Trust{CA: encode(chain[0]), ServerName: c.name}
	if !known(chain, c.name) {
		c.apps.CA = encode(chain[len(chain)-1])
	}
	return c, nil
}

// remote returns where apps find a daemon whose URL on this machine is given.
func (c *certificate) remote(local string) (Remote, error) {
	if c == nil {
		return Remote{URL: local}, nil
	}
	u, err := url.Parse(local)
	if err != nil {
		return Remote{}, err
	}
	u.Host = net.JoinHostPort(c.name, u.Port())
	return Remote{URL: u.String(), Trust: c.apps}, nil
}

func parseAll(raw [][]byte) (chain []*x509.Certificate, err error) {
	for _, der := range raw {
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		chain = append(chain, parsed)
	}
	return chain, nil
}

// hostOf returns a host that a certificate is for.
func hostOf(c *x509.Certificate) string {
	switch {
	case len(c.DNSNames) > 0:
		return strings.Replace(c.DNSNames[0], "*", "healthledger", 1)
	case len(c.IPAddresses) > 0:
		return c.IPAddresses[0].String()
	}
	return ""
}

// known tells whether this system, and so probably others, trusts a chain.
func known(chain []*x509.Certificate, name string) bool {
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: name, Intermediates: between})
	return err == nil
}

func encode(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}
