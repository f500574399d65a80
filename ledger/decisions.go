package ledger

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"

	"google.golang.org/protobuf/encoding/protodelim"

	"healthledger/ledger/log"
	pb "healthledger/proto/healthledger/v1"
)

// A decisionCache keeps the decisions that a locked daemon can open in a file of
// their own, so that a start does not read the whole log for them. It is no
// authority: every decision is verified again when it is loaded, a torn end is cut
// off, and where the cache is behind the head the log is read instead.
type decisionCache struct {
	path string
	file *os.File

	mu   sync.Mutex
	list []*pb.SignedDecision
}

// All returns the decisions. They must not be changed.
func (c *decisionCache) All() []*pb.SignedDecision {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.list[:len(c.list):len(c.list)]
}

func openDecisions(path string) (*decisionCache, error) {
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	c := &decisionCache{path: path}
	var intact int
	c.list, intact = parseDecisions(content)
	c.file, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := c.file.Truncate(int64(intact)); err != nil {
		return nil, err
	}
	if _, err := c.file.Seek(0, io.SeekEnd); err != nil {
		return nil, err
	}
	return c, nil
}

// parseDecisions reads decisions up to what is not whole, and says where that begins.
func parseDecisions(content []byte) (list []*pb.SignedDecision, intact int) {
	for r := bytes.NewReader(content); ; intact = len(content) - r.Len() {
		d := &pb.SignedDecision{}
		if err := protodelim.UnmarshalFrom(r, d); err != nil {
			return list, intact
		}
		list = append(list, d)
	}
}

// readDecisions returns what is intact of a cache that somebody may be writing.
func readDecisions(path string) []*pb.SignedDecision {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	list, _ := parseDecisions(content)
	return list
}

// Add appends a decision and syncs.
func (c *decisionCache) Add(d *pb.SignedDecision) error {
	if _, err := protodelim.MarshalTo(c.file, d); err != nil {
		return err
	}
	c.mu.Lock()
	c.list = append(c.list, d)
	c.mu.Unlock()
	return c.file.Sync()
}

// Reset empties the cache.
func (c *decisionCache) Reset() error {
	c.Close()
	if err := log.WriteFile(c.path, nil); err != nil {
		return err
	}
	fresh, err := openDecisions(c.path)
	if err != nil {
		return err
	}
	c.file, c.list = fresh.file, fresh.list
	return nil
}

// Fill puts decisions in the place of what is there, and syncs once.
func (c *decisionCache) Fill(list []*pb.SignedDecision) error {
	if err := c.Reset(); err != nil {
		return err
	}
	w := bufio.NewWriter(c.file)
	for _, d := range list {
		if _, err := protodelim.MarshalTo(w, d); err != nil {
			return err
		}
	}
	if err := errors.Join(w.Flush(), c.file.Sync()); err != nil {
		return err
	}
	c.list = list
	return nil
}

// Close closes the file.
func (c *decisionCache) Close() { _ = c.file.Close() }
