package backup

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

// What OpenLog may find.
var (
	// ErrOtherStore: the file is of another store.
	ErrOtherStore = errors.New("the backup of another store")
	// ErrBusy: another backup writes the file.
	ErrBusy = errors.New("another backup is writing it")
	// ErrOtherLog: the segments in the file are not those of the log that goes on from there.
	ErrOtherLog = errors.New("the backup is not of this log")
	// ErrMeanwhile: segments were given up since the checkpoint was made.
	ErrMeanwhile = errors.New("its owner has accepted a loss meanwhile: back up once more")
)

// A LogFile is a backup of a log that is being gone on with.
type LogFile struct {
	// Cut is how many bytes were cut off at the end, which an interrupted backup had left.
	Cut int64

	file      *os.File
	w         *bufio.Writer
	store     seal.StoreID
	tree      tree.Tree
	committed uint64 // size of the last checkpoint
	scratch   []byte
	// old: the header is of a version in which no segment is gone.
	old bool
	// What the owner has accepted to have lost, by the decisions that are in the file.
	losses    log.Losses
	decisions map[string]bool

	// Where this backup began.
	start     int64
	startTree tree.Tree
}

// OpenLog opens the file at path to go on with it, and makes it if it is not there. It reads
// all that is in it, telling of its progress in bytes. Errors: *DamageError, ErrOtherStore,
// ErrBusy, and those of the filesystem.
func OpenLog(path string, store seal.StoreID, progress func(done, total int64)) (*LogFile, error) {
	l, err := openLog(path, store, progress)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

func openLog(path string, store seal.StoreID, progress func(done, total int64)) (_ *LogFile, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	l := &LogFile{file: file, store: store, w: bufio.NewWriterSize(file, 64<<10), decisions: map[string]bool{}}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return nil, ErrBusy
	} else if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	end, err := l.scan(info.Size(), progress)
	if err != nil {
		return nil, err
	}
	if l.Cut = info.Size() - end; l.Cut > 0 {
		if err := file.Truncate(end); err != nil {
			return nil, err
		}
	}
	if _, err := file.Seek(end, io.SeekStart); err != nil {
		return nil, err
	}
	if end == 0 {
		if _, err := l.w.Write(appendHeader(nil, logMagic, store)); err != nil {
			return nil, err
		}
		end = int64(headerSize)
		if err := syncFolder(filepath.Dir(path)); err != nil {
			return nil, err
		}
	}
	l.start, l.startTree = end, l.tree
	return l, nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// scan reads the file, and returns where the last whole frame ends.
func (l *LogFile) scan(size int64, progress func(done, total int64)) (end int64, err error) {
	r, err := newLogReader(l.file)
	if errors.Is(err, errTorn) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if r.store != l.store {
		return 0, fmt.Errorf("%w: %s", ErrOtherStore, r.store)
	}
	l.old = r.magic == logMagic1
	for {
		if progress != nil {
			progress(r.offset, size)
		}
		at := r.offset
		err := r.next((*scanned)(l))
		if errors.Is(err, io.EOF) || errors.Is(err, errTorn) {
			l.committed = r.committed
			return r.offset, nil
		}
		if errors.Is(err, log.ErrLoss) || errors.Is(err, seal.ErrTampered) {
			err = &DamageError{at, err.Error()}
		}
		if err != nil {
			return 0, err
		}
	}
}

// scanned takes note of what is in a file.
type scanned LogFile

func (l *scanned) Segment(sequence uint64, payload []byte) error {
	return l.losses.Append(&l.tree, sequence, tree.Leaf(payload))
}

func (l *scanned) Gone(_, to uint64, decisions []*pb.SignedDecision) error {
	for _, d := range decisions {
		if err := (*LogFile)(l).learn(d); err != nil {
			return err
		}
	}
	return l.losses.Pass(&l.tree, to)
}

func (l *scanned) Checkpoint([]byte) error { return nil }

// Size returns how many segments are in the file.
func (l *LogFile) Size() uint64 { return l.tree.Size() }

// Append adds the next segment. The error is seal.ErrTampered where its owner goes on with another
// log.
func (l *LogFile) Append(payload []byte) error {
	if err := l.losses.Append(&l.tree, l.tree.Size()+1, tree.Leaf(payload)); err != nil {
		return err
	}
	return l.write(frame{kindSegment, l.tree.Size(), payload})
}

// Gone says that the next segments, up to one, are gone, as decisions say: those that accept losses,
// and those that name the owner's keys and the daemons, as far as they are lost.
func (l *LogFile) Gone(to uint64, decisions []*pb.SignedDecision) error {
	if l.old {
		// A version that knows more; an older program leaves the file alone from here on.
		if _, err := l.file.WriteAt(appendHeader(nil, logMagic, l.store), 0); err != nil {
			return err
		}
		l.old = false
	}
	from := l.tree.Size() + 1
	for _, d := range decisions {
		if l.decisions[string(d.GetDecision())] {
			continue
		}
		if err := errors.Join(l.learn(d), l.write(frame{kindDecision, l.tree.Size(), encodeDecision(d)})); err != nil {
			return err
		}
	}
	if err := l.losses.Pass(&l.tree, to); err != nil {
		return err
	}
	return l.write(frame{kindGone, from, binary.BigEndian.AppendUint64(nil, to)})
}

// learn takes what a decision says. Whether it is the owner's, a Check finds out.
func (l *LogFile) learn(d *pb.SignedDecision) error {
	decision := &pb.Decision{}
	if err := proto.Unmarshal(d.GetDecision(), decision); err != nil {
		return fmt.Errorf("%w: %w", seal.ErrTampered, err)
	}
	l.decisions[string(d.GetDecision())] = true
	if loss := decision.GetLossAccepted(); loss != nil {
		return l.losses.Accept(loss)
	}
	return nil
}

func (l *LogFile) write(f frame) error {
	l.scratch = appendFrame(l.scratch[:0], f)
	_, err := l.w.Write(l.scratch)
	return err
}

// Commit ends a backup with the checkpoint of what is in the file, which is on the disk when
// Commit returns. The error is ErrOtherLog where the checkpoint is not of that, and ErrMeanwhile
// where nobody can know: then the file is what it was before.
func (l *LogFile) Commit(c tree.Checkpoint, signed []byte) error {
	if l.losses.Blind(l.tree.Size()) {
		return errors.Join(ErrMeanwhile, l.abandon())
	}
	if c.Size != l.tree.Size() || c.Root != l.tree.Root() {
		return errors.Join(ErrOtherLog, l.abandon())
	}
	if l.committed != c.Size {
		if err := l.write(frame{kindCheckpoint, c.Size, signed}); err != nil {
			return err
		}
	}
	if err := l.w.Flush(); err != nil {
		return err
	}
	return l.file.Sync()
}

// abandon takes back what was appended.
func (l *LogFile) abandon() error {
	l.w.Reset(l.file)
	l.tree = l.startTree
	return l.file.Truncate(l.start)
}

// Close closes the file. What was appended and not committed is there or not, and the next
// backup goes on from what is.
func (l *LogFile) Close() error { return errors.Join(l.w.Flush(), l.file.Close()) }
