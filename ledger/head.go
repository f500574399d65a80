package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"healthledger/ledger/log"
	"healthledger/ledger/tree"
)

// A head is the daemon's own memory of how far a log had come: the Merkle frontier
// the last decision and the last checkpoint. It makes a log that was cut short show (JetStream reports a
// truncated log as a shorter one). It is written with every append and synced once a
// second, so after a power loss it may lag behind the log, never run ahead of it.
//
// The file has two slots, written in turn, so that a torn write leaves the other.
type head struct {
	tree         tree.Tree
	decision     uint64
	decisionHash []byte
	checkpoint   checkpointed
}

// checkpointed is where the last checkpoint stands in the log.
type checkpointed struct {
	// How many segments it commits to, 0: there is none; and when it was made, in
	// microseconds since the Unix epoch.
	size uint64
	time int64
	// Up to here the log has nothing behind those segments but checkpoints.
	settled uint64
	// The signed note, as long as it may yet get the owner's signature. The file has none.
	note string
}

// grown tells whether there is something in the log that no checkpoint commits to.
func (h head) grown() bool { return h.tree.Size() > h.checkpoint.settled }

// checkpointAt takes note of a checkpoint in the last segment, in which there is nothing
// else if it is alone. One that is not of the segment before is the last one, cosigned.
func (h *head) checkpointAt(c checkpointed, alone bool) {
	last := h.tree.Size()
	if c.size == last-1 {
		h.checkpoint = checkpointed{size: c.size, time: c.time, settled: c.size, note: c.note}
	} else {
		h.checkpoint.note = ""
	}
	if alone && h.checkpoint.settled == last-1 {
		h.checkpoint.settled = last
	}
}

const (
	headSlot  = 4096
	headMagic = "HLH2"
	headSync  = time.Second
)

type headFile struct {
	file *os.File

	mu     sync.Mutex
	writes int
	dirty  bool
	stop   chan struct{}
	done   chan struct{}
}

// createHead makes the file, which holds the zero head.
func createHead(path string) (*headFile, head, error) {
	slot, err := head{}.encode()
	if err != nil {
		return nil, head{}, err
	}
	if err := log.WriteFile(path, append(slot, make([]byte, 2*headSlot-len(slot))...)); err != nil {
		return nil, head{}, err
	}
	return openHead(path)
}

// openHead opens the file and returns the newest head in it. A file that is missing, or
// in which no slot is intact, is an error: without it a log that was cut short would
// pass for a whole one.
func openHead(path string) (*headFile, head, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, head{}, err
	}
	newest, slot, err := newestHead(content)
	if err != nil {
		return nil, head{}, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err != nil {
		return nil, head{}, err
	}
	// The first write goes to the other slot.
	h := &headFile{file: file, writes: slot, stop: make(chan struct{}), done: make(chan struct{})}
	go h.syncLoop()
	return h, newest, nil
}

// newestHead returns the newest head and the slot it is in.
func newestHead(content []byte) (head, int, error) {
	if len(content) != 2*headSlot {
		return head{}, 0, errors.New("not of the right length")
	}
	var newest head
	slot := -1
	for i := range 2 {
		h, err := parseHead(content[i*headSlot : (i+1)*headSlot])
		if err == nil && (slot < 0 || h.tree.Size() > newest.tree.Size()) {
			newest, slot = h, i
		}
	}
	if slot < 0 {
		return head{}, 0, errors.New("no slot is intact")
	}
	return newest, slot, nil
}

func (h head) encode() ([]byte, error) {
	frontier, err := h.tree.MarshalBinary()
	if err != nil {
		return nil, err
	}
	b := append(make([]byte, 0, headSlot), headMagic...)
	b = binary.BigEndian.AppendUint64(b, h.decision)
	b = append(b, byte(len(h.decisionHash)))
	b = append(b, h.decisionHash...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(frontier)))
	b = append(b, frontier...)
	b = binary.BigEndian.AppendUint64(b, h.checkpoint.size)
	b = binary.BigEndian.AppendUint64(b, uint64(h.checkpoint.time))
	b = binary.BigEndian.AppendUint64(b, h.checkpoint.settled)
	sum := sha256.Sum256(b)
	b = append(b, sum[:]...)
	if len(b) > headSlot {
		return nil, errors.New("head does not fit its slot")
	}
	return b, nil
}

func parseHead(slot []byte) (head, error) {
	damaged := errors.New("damaged slot")
	if len(slot) != headSlot {
		return head{}, damaged
	}
	r := bytes.NewBuffer(slot)
	if string(r.Next(len(headMagic))) != headMagic {
		return head{}, damaged
	}
	var h head
	h.decision = binary.BigEndian.Uint64(r.Next(8))
	n, _ := r.ReadByte()
	h.decisionHash = bytes.Clone(r.Next(int(n)))
	if len(h.decisionHash) == 0 {
		h.decisionHash = nil
	}
	frontier := r.Next(int(binary.BigEndian.Uint16(r.Next(2))))
	settled := r.Next(3 * 8)
	end := len(slot) - r.Len()
	sum := sha256.Sum256(slot[:end])
	if !bytes.Equal(r.Next(len(sum)), sum[:]) {
		return head{}, damaged
	}
	if err := h.tree.UnmarshalBinary(frontier); err != nil {
		return head{}, err
	}
	h.checkpoint = checkpointed{
		size: binary.BigEndian.Uint64(settled), time: int64(binary.BigEndian.Uint64(settled[8:])), settled: binary.BigEndian.Uint64(settled[16:]),
	}
	return h, nil
}

// Write replaces the older slot. It reaches the disk within headSync.
func (f *headFile) Write(h head) error {
	slot, err := h.encode()
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	f.dirty = true
	_, err = f.file.WriteAt(slot, int64(f.writes%2)*headSlot)
	return err
}

func (f *headFile) syncLoop() {
	defer close(f.done)
	tick := time.NewTicker(headSync)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f.sync()
		case <-f.stop:
			return
		}
	}
}

func (f *headFile) sync() {
	f.mu.Lock()
	dirty := f.dirty
	f.dirty = false
	f.mu.Unlock()
	if dirty {
		// A failed sync loses nothing: the log itself is synced before it is acknowledged.
		_ = f.file.Sync()
	}
}

// Close syncs and closes the file.
func (f *headFile) Close() error {
	close(f.stop)
	<-f.done
	f.sync()
	return f.file.Close()
}
