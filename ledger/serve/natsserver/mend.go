package natsserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"healthledger/ledger/log"
)

// A stream whose disk refused a write once takes nothing any more and does not answer those
// who publish: nats-server keeps the error until the stream is opened again. The mender
// does that as soon as the disk takes a segment again, so that nobody needs to restart the
// daemon.
type mender struct {
	server *Server
	// every is how often it tries.
	every time.Duration

	broke chan struct{}
	quit  chan struct{}
	done  chan struct{}

	mu    sync.Mutex
	fault error // why streams cannot be written
}

// mendEvery is how often a disk is tried that refuses writes.
const mendEvery = time.Second

func newMender(s *Server) *mender {
	return &mender{
		server: s, every: mendEvery,
		broke: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
}

// Broke says that a stream refuses writes from now on.
func (m *mender) Broke() {
	m.set(errors.New("a write to the disk failed"))
	select {
	case m.broke <- struct{}{}:
	default:
	}
}

func (m *mender) set(fault error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = fault
}

// Fault returns why streams cannot be written; nil: they can be.
func (m *mender) Fault() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fault
}

// run mends until Close.
func (m *mender) run() {
	defer close(m.done)
	for {
		select {
		case <-m.quit:
			return
		case <-m.broke:
		}
		for {
			err := m.mend()
			m.set(err)
			if err == nil {
				m.server.log.Warn("the log can be written again")
				break
			}
			select {
			case <-m.quit:
				return
			case <-time.After(m.every):
			}
		}
	}
}

// Close returns when nothing is mended any more.
func (m *mender) Close() {
	close(m.quit)
	<-m.done
}

// mend opens the streams again, if the disk takes a segment.
func (m *mender) mend() error {
	dir := m.server.dir
	if err := probe(filepath.Join(dir, "probe")); err != nil {
		return err
	}
	// An error says that it is disabled already: the last attempt ended here.
	_ = m.server.gate.accounts[accountLog].DisableJetStream()
	if err := settle(dir); err != nil {
		return err
	}
	return m.server.recoverStreams()
}

// probe writes as much as a segment may need, and takes it away again.
func probe(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(make([]byte, log.MaxSegment))
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close(), os.Remove(path))
}

// settle makes what can be read of the streams what the disk holds. After a failed sync the
// kernel takes pages for written that are not: read back from memory, a segment would pass
// for durable that is on no disk.
func settle(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".blk" {
			return err
		}
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := file.Sync(); err != nil {
			return err
		}
		return unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
}

// recoverStreams enables JetStream for LOG, which opens its streams, side by side: it is
// mostly waiting for the disk.
func (s *Server) recoverStreams() error {
	tasks := make(chan func())
	defer close(tasks)
	for range 4 * runtime.GOMAXPROCS(0) {
		go func() {
			for task := range tasks {
				task()
			}
		}()
	}
	if err := s.gate.accounts[accountLog].EnableJetStream(nil, tasks); err != nil {
		return fmt.Errorf("recover streams: %w", err)
	}
	return nil
}

// Writable returns nil, or why nothing can be put into streams. As soon as the disk takes
// segments again it is nil again.
func (s *Server) Writable() error { return s.mender.Fault() }
