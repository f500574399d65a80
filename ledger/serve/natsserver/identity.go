package natsserver

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats-server/v2/server"

	"healthledger/proto/rpc"
)

// Kind says what a connection is for; account and permissions follow from it.
type Kind int

// The kinds of connections.
const (
	_ Kind = iota
	// App is a registered client of a store. Account APPS.
	App
	// LocalOwner is the owner on the daemon's machine. Account APPS.
	LocalOwner
	// Service is the daemon's own connection that answers apps and owners. Account
	// APPS, in the process only.
	Service
	// Administrator makes and describes streams. Account LOG, in the process only.
	Administrator
	// Appender adds to a store's stream. Account LOG, by Grant only.
	Appender
	// Reader reads a store's stream. Account GUESTS, by Grant only.
	Reader
)

// String names the kind in errors.
func (k Kind) String() string {
	switch k {
	case App:
		return "app"
	case LocalOwner:
		return "local owner"
	case Service:
		return "service"
	case Administrator:
		return "administrator"
	case Appender:
		return "appender"
	case Reader:
		return "reader"
	}
	return fmt.Sprintf("kind %d", int(k))
}

// Identity is who has connected, as Options.Authenticate found it.
type Identity struct {
	// App or LocalOwner; nothing else is accepted from outside.
	Kind Kind
	// Store the app belongs to, one subject token. A local owner reaches every
	// store of the daemon, the owner's session decides there; its Store is empty.
	Store string
	// Key is the connection's address: exactly 26 characters of lower-case base32
	// (rpc.IsKey).
	Key string
}

// Names of the accounts. GUESTS imports from LOG what reads a stream (log.GuestExports);
// nothing else crosses between them.
const (
	accountApps   = "APPS"
	accountLog    = "LOG"
	accountGuests = "GUESTS"
)

var accounts = []string{accountApps, accountLog, accountGuests}

// userKey returns the key a user name from outside stands for.
func userKey(user string) (kind Kind, key string, ok bool) {
	kind, key = App, user
	if rest, local := strings.CutPrefix(user, rpc.LocalPrefix); local {
		kind, key = LocalOwner, rest
	}
	return kind, key, rpc.IsKey(key)
}

// account returns the name of the account a kind of connection lives in.
func (k Kind) account() string {
	switch k {
	case App, LocalOwner, Service:
		return accountApps
	case Reader:
		return accountGuests
	}
	return accountLog
}

// permissions of an identity from outside.
//
// Inboxes are `_INBOX.<key>.…` and not `_INBOX_<key>.…`: with one common first
// token the service connection can be held to the allow-list `_INBOX.>`, which a
// token that merely starts alike cannot express.
func (id Identity) permissions() *server.Permissions {
	inbox := rpc.InboxPrefix(id.Key) + ".>"
	if id.Kind == LocalOwner {
		return allow(
			[]string{"owner.*." + id.Key + ".*", "health.*." + id.Key + ".*"},
			[]string{inbox},
		)
	}
	return allow(
		[]string{"health." + id.Store + "." + id.Key + ".*"},
		[]string{inbox, rpc.UpdatesSubject(id.Store, id.Key)},
	)
}

// permissions of the daemon's own connections.
func (k Kind) permissions() *server.Permissions {
	switch k {
	case Service:
		return allow([]string{"_INBOX.>", rpc.UpdatesSubject("*", "*")}, []string{"health.>", "owner.>"})
	case Administrator:
		return allow([]string{"$JS.API.>"}, []string{"_INBOX.>"})
	}
	return allow(nil, nil)
}

// allow makes permissions of which everything not listed is denied. An empty list
// denies everything; nats-server would take an empty list of subscriptions for
// no restriction at all.
func allow(publish, subscribe []string) *server.Permissions {
	return &server.Permissions{Publish: allowed(publish), Subscribe: allowed(subscribe)}
}

func allowed(subjects []string) *server.SubjectPermission {
	if len(subjects) == 0 {
		return &server.SubjectPermission{Allow: []string{}, Deny: []string{">"}}
	}
	return &server.SubjectPermission{Allow: subjects}
}

// changes are the subjects with which JetStream makes, changes and destroys
// streams and messages.
var changes = []string{
	"$JS.API.STREAM.CREATE.>", "$JS.API.STREAM.UPDATE.>", "$JS.API.STREAM.DELETE.>", "$JS.API.STREAM.PURGE.>",
	"$JS.API.STREAM.RESTORE.>", "$JS.API.STREAM.MSG.DELETE.>", "$JS.API.STREAM.PEER.>", "$JS.API.STREAM.LEADER.>",
	"$JS.API.META.>", "$JS.API.ACCOUNT.>", "$JS.API.SERVER.>",
}

// checkGrant refuses lists that would give a connection what its kind has no use
// for, or that nats-server would skip with nothing but a line in its log. A reader
// sees one store, so its subjects are literal; an appender writes all stores of the
// daemon, so one token may be a wildcard. An inbox is one connection's.
func checkGrant(kind Kind, publish, subscribe []string) error {
	for _, subject := range append(append([]string(nil), publish...), subscribe...) {
		if !server.IsValidSubject(subject) || strings.ContainsAny(subject, " \t\r\n") {
			return fmt.Errorf("subject %q is not valid", subject)
		}
		for _, change := range changes {
			if server.SubjectsCollide(subject, change) {
				return fmt.Errorf("subject %q can change streams", subject)
			}
		}
		tokens := strings.Split(subject, ".")
		inbox := tokens[0] == "_INBOX" && len(tokens) > 2 && tokens[1] != "*" || strings.HasPrefix(tokens[0], "_INBOX_") && len(tokens) > 1
		literal := server.IsValidLiteralSubject(subject)
		switch {
		case tokens[0] == "*" || tokens[0] == "$SYS":
			return fmt.Errorf("subject %q is too wide", subject)
		case tokens[0] == "_INBOX" && !inbox:
			return fmt.Errorf("subject %q is more than one inbox", subject)
		case inbox || literal:
		case kind == Appender && tokens[len(tokens)-1] != ">" && strings.Count(subject, "*") == 1:
		default:
			return fmt.Errorf("subject %q is too wide", subject)
		}
	}
	return nil
}
