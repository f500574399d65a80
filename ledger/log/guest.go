package log

import (
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"healthledger/ledger/seal"
)

// A guest reads from another account than the log's, as every reader does that is not the
// daemon itself: JetStream sends an answer to whatever reply subject a request names, with
// the server's own rights. Inside the log's account, a connection that may do nothing but
// read can thereby delete the stream (a direct get of a segment that does not exist, with
// the reply $JS.API.STREAM.DELETE.<stream>) or append to it (a direct get of one that
// does, with the log's own subject). From another account, answers end in that account.

// guestPrefix stands for $JS.API in the guests' account; $JS.API itself is JetStream's
// there, too.
const guestPrefix = "LOG"

// Export is a service that the log's account offers to the guests' account.
type Export struct {
	// Subject in the log's account, and what the guests call it.
	Subject, Imported string
	// One request has many answers.
	Streamed bool
}

// GuestExports returns what the account of guests must import from the log's account for
// the readers of all stores. What one guest may use is GuestPermissions.
func GuestExports() []Export {
	return []Export{
		{Subject: "$JS.API.DIRECT.GET.*", Imported: guestPrefix + ".DIRECT.GET.*", Streamed: true},
		{Subject: "$JS.API.STREAM.INFO.*", Imported: guestPrefix + ".STREAM.INFO.*"},
	}
}

// GuestPermissions returns the subjects that the connection of a store's guest must be
// allowed to publish and to subscribe to; it needs no others. The inbox prefix is the
// connection's nats.CustomInboxPrefix ("_INBOX" by default).
func GuestPermissions(store seal.StoreID, inboxPrefix string) (publish, subscribe []string) {
	publish = []string{
		guestPrefix + ".DIRECT.GET." + StreamName(store),
		guestPrefix + ".STREAM.INFO." + StreamName(store),
	}
	return publish, []string{inboxPrefix + ".>"}
}

// NewGuestReader is NewReader for a connection to the guests' account.
func NewGuestReader(conn *nats.Conn, store seal.StoreID) *Reader {
	r := NewReader(conn, store)
	js, err := jetstream.NewWithAPIPrefix(conn, guestPrefix)
	if err != nil {
		panic(err) // only for a malformed prefix
	}
	r.js = js
	return r
}
