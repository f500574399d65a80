package natsserver

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"healthledger/proto/rpc"
)

// gate decides who may connect, and as what. The server asks it once for each
// connection.
type gate struct {
	authenticate     func(user, password string) (Identity, bool)
	authenticateNKey func(user, nkey string) (Identity, bool)

	// open is set when the log is there: nobody gets in while JetStream recovers.
	open atomic.Bool

	mu       sync.Mutex
	accounts map[string]*server.Account
	grants   map[string]grant
}

// grant is a credential that exists in memory only.
type grant struct {
	kind        Kind
	password    []byte
	permissions *server.Permissions
}

// longest name and password worth looking at.
const maxCredential = 256

// Check implements server.Authentication.
func (g *gate) Check(c server.ClientAuthentication) bool {
	if !g.open.Load() || c.Kind() != server.CLIENT {
		return false
	}
	opts := c.GetOpts()
	if len(opts.Username) > maxCredential || len(opts.Password) > maxCredential {
		return false
	}
	kind, permissions, ok := Kind(0), (*server.Permissions)(nil), false
	switch {
	case opts.Nkey == "":
		kind, permissions, ok = g.identify(opts.Username, opts.Password, inProcess(c))
	case opts.Password == "" && signed(opts.Nkey, opts.Sig, c.GetNonce()):
		kind, permissions, ok = g.admit(opts.Username, opts.Nkey, g.authenticateNKey)
	}
	if !ok {
		return false
	}
	g.mu.Lock()
	account := g.accounts[kind.account()]
	g.mu.Unlock()
	if account == nil {
		return false
	}
	c.RegisterUser(&server.User{Username: opts.Username, Account: account, Permissions: permissions})
	return true
}

func (g *gate) identify(user, password string, inProcess bool) (Kind, *server.Permissions, bool) {
	g.mu.Lock()
	granted, found := g.grants[user]
	g.mu.Unlock()
	if found {
		ok := subtle.ConstantTimeCompare(granted.password, []byte(password)) == 1
		if granted.kind == Service || granted.kind == Administrator {
			ok = ok && inProcess
		}
		return granted.kind, granted.permissions, ok
	}
	return g.admit(user, password, g.authenticate)
}

// admit asks whether whoever connects from outside is who the user name says.
func (g *gate) admit(user, proof string, authenticate func(user, proof string) (Identity, bool)) (Kind, *server.Permissions, bool) {
	kind, key, ok := userKey(user)
	if !ok || authenticate == nil {
		return 0, nil, false
	}
	id, ok := authenticate(user, proof)
	if !ok || id.Kind != kind || id.Key != key {
		return 0, nil, false
	}
	if kind == App && !rpc.IsStore(id.Store) {
		return 0, nil, false
	}
	return kind, id.permissions(), true
}

// signed reports whether the nonce that this server has given to the connection was signed
// with an nkey. An Ed25519 signature has one length; whatever is longer is not looked at.
func signed(nkey, signature string, nonce []byte) bool {
	if len(nonce) == 0 || len(nkey) > maxCredential || len(signature) > maxCredential || !nkeys.IsValidPublicUserKey(nkey) {
		return false
	}
	sig, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		return false
	}
	public, err := nkeys.FromPublicKey(nkey)
	return err == nil && public.Verify(nonce, sig) == nil
}

// inProcess reports whether the connection came over a pipe of this process.
func inProcess(c server.ClientAuthentication) bool {
	address := c.RemoteAddress()
	return address != nil && address.Network() == "pipe"
}

// add makes a credential with a random name and password.
func (g *gate) add(kind Kind, permissions *server.Permissions) (user, password string) {
	user = "grant-" + randomText(16)
	password = randomText(32)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.grants[user] = grant{kind: kind, password: []byte(password), permissions: permissions}
	return user, password
}

func (g *gate) remove(user string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if granted, ok := g.grants[user]; ok {
		clear(granted.password)
		delete(g.grants, user)
	}
}

var textEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

func randomText(bytes int) string {
	buf := make([]byte, bytes)
	rand.Read(buf)
	return strings.ToLower(textEncoding.EncodeToString(buf))
}

// Grant makes a credential for LOG or GUESTS, valid until revoke or Shutdown, with
// which a connection may publish and subscribe to the given subjects and to nothing
// else. Password and permissions are kept in memory only. revoke ends the
// connections made with it; it may be called more than once.
//
// An error says that the kind is neither Appender nor Reader, or that a subject is
// not valid, can change streams, or is wider than the kind needs: a reader's are
// literal, an appender's may have one token for any store, and an inbox prefix
// belongs to one connection.
func (s *Server) Grant(kind Kind, publish, subscribe []string) (user, password string, revoke func(), err error) {
	if kind != Appender && kind != Reader {
		return "", "", nil, fmt.Errorf("natsserver: grant %s: only appenders and readers are granted", kind)
	}
	if err := checkGrant(kind, publish, subscribe); err != nil {
		return "", "", nil, fmt.Errorf("natsserver: grant %s: %w", kind, err)
	}
	user, password = s.gate.add(kind, allow(publish, subscribe))
	return user, password, func() {
		s.gate.remove(user)
		s.disconnectUser(user)
	}, nil
}
