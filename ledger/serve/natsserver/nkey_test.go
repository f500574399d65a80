package natsserver_test

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"healthledger/ledger/serve/natsserver"
)

func newNkey(t *testing.T) (nkeys.KeyPair, string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return pair, public
}

// as logs in as a user.
func as(user, password string) nats.Option {
	return func(o *nats.Options) error {
		o.User, o.Password = user, password
		return nil
	}
}

func TestOnlyASignedNonceOpensWithAnNkey(t *testing.T) {
	pair, public := newNkey(t)
	stranger, other := newNkey(t)
	srv := start(t, natsserver.Options{AuthenticateNKey: func(user, nkey string) (natsserver.Identity, bool) {
		return natsserver.Identity{Kind: natsserver.App, Store: store, Key: anna}, user == anna && nkey == public
	}})
	var seen []byte
	closed := make(chan struct{})
	nc, err := nats.Connect(srv.URL(), as(anna, ""), nats.MaxReconnects(0), nats.ClosedHandler(func(*nats.Conn) { close(closed) }),
		nats.Nkey(public, func(nonce []byte) ([]byte, error) {
			sig, err := pair.Sign(nonce)
			seen = sig
			return sig, err
		}))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	signs := func(pair nkeys.KeyPair) nats.SignatureHandler { return pair.Sign }
	for what, c := range map[string]struct {
		user, password, nkey string
		sign                 nats.SignatureHandler
	}{
		"another key's signature":  {anna, "", public, signs(stranger)},
		"another key":              {anna, "", other, signs(stranger)},
		"another nonce":            {anna, "", public, func([]byte) ([]byte, error) { return seen, nil }},
		"no signature":             {anna, "", public, func([]byte) ([]byte, error) { return nil, nil }},
		"another app":              {berta, "", public, signs(pair)},
		"nobody":                   {"", "", public, signs(pair)},
		"a password beside it":     {anna, secret + anna, public, signs(pair)},
		"the local owner's prefix": {"local-" + anna, "", public, signs(pair)},
	} {
		_, err := nats.Connect(srv.URL(), as(c.user, c.password), nats.Nkey(c.nkey, c.sign))
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v", what, err)
		}
	}
	srv.Disconnect(anna, public)
	<-closed
}
