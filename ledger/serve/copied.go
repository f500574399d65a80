package serve

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"healthledger/ledger"
	"healthledger/ledger/backup"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/serve/natsserver"
	pb "healthledger/proto/healthledger/v1"
)

// CopiedLog is the log of a store in a copy of a JetStream directory, read by a server of its
// own.
type CopiedLog struct {
	folder string
	server *natsserver.Server
	conn   *nats.Conn
	reader *log.Reader
	size   uint64
	// What says which segments are gone.
	decisions []*pb.SignedDecision
}

// OpenCopied opens the log of a store in a copy of a JetStream directory that no server has
// open, and whose key directory is in a backup. It copies it once more, into a folder beside dir: a
// server changes what it opens.
func OpenCopied(ctx context.Context, from, dir string, keys *backup.Keys) (_ *CopiedLog, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	c := &CopiedLog{}
	if c.folder, err = os.MkdirTemp(dir, "restoring-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.Close()
			err = fmt.Errorf("%s: %w", from, err)
		}
	}()
	store := keys.Store
	// Only this store's: others may be larger.
	stream, err := filepath.Glob(filepath.Join(from, "jetstream", "*", "streams", log.StreamName(store)))
	if err != nil || len(stream) != 1 {
		return nil, fmt.Errorf("there is no stream %s: not a copy of the JetStream directory", log.StreamName(store))
	}
	inside, err := filepath.Rel(from, stream[0])
	if err != nil {
		return nil, err
	}
	if err := os.CopyFS(filepath.Join(c.folder, inside), os.DirFS(stream[0])); err != nil {
		return nil, err
	}
	if c.server, err = natsserver.Start(natsserver.Options{StoreDir: c.folder}); err != nil {
		return nil, err
	}
	inbox := inboxPrefix()
	publish, subscribe := log.AppenderPermissions(inbox)
	user, password, _, err := c.server.Grant(natsserver.Appender, publish, subscribe)
	if err != nil {
		return nil, err
	}
	if c.conn, err = c.server.ConnectGranted(user, password, nats.CustomInboxPrefix(inbox)); err != nil {
		return nil, err
	}
	c.reader = log.NewReader(c.conn, store)
	if c.size, err = c.reader.Last(ctx); err != nil || c.size == 0 {
		return c, err
	}
	return c, c.findLosses(ctx, keys)
}

// findLosses has what is gone left out.
func (c *CopiedLog) findLosses(ctx context.Context, keys *backup.Keys) error {
	keyring, err := seal.ParseKeyring(keys.Find("keyring"))
	if err != nil {
		return fmt.Errorf("the keyring of the backup: %w", err)
	}
	if c.decisions, err = ledger.FindLosses(ctx, c.reader, keys.Store, keyring.FirstOwnerKey()); err != nil {
		return err
	}
	losses := &log.Losses{}
	for _, d := range c.decisions {
		decision := &pb.Decision{}
		if err := proto.Unmarshal(d.GetDecision(), decision); err != nil {
			return err
		}
		if loss := decision.GetLossAccepted(); loss != nil {
			if err := losses.Accept(loss); err != nil {
				return err
			}
		}
	}
	c.reader.PassOver(losses)
	return nil
}

// Size returns how many segments there are.
func (c *CopiedLog) Size() uint64 { return c.size }

// Each implements backup.Log. There are no checkpoints beside the segments.
func (c *CopiedLog) Each(ctx context.Context, v backup.Visitor) error {
	if c.size == 0 {
		return nil
	}
	decisions, last := c.decisions, uint64(0)
	return c.reader.Read(ctx, 1, c.size, func(e log.Entry) error {
		if e.Sequence > last+1 {
			if err := v.Gone(last+1, e.Sequence-1, decisions); err != nil {
				return err
			}
			decisions = nil
		}
		last = e.Sequence
		return v.Segment(e.Sequence, e.Payload)
	})
}

// Close removes the second copy.
func (c *CopiedLog) Close() {
	if c.conn != nil {
		c.conn.Close()
	}
	if c.server != nil {
		c.server.Shutdown()
	}
	_ = os.RemoveAll(c.folder)
}

var _ backup.Log = (*CopiedLog)(nil)
