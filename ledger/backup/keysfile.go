package backup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
)

// Keys is a key directory in a backup.
type Keys struct {
	Store seal.StoreID
	// Files by their paths in the directory, in the order of the names.
	Files []KeyFile
	// Size and Checkpoint say which log the directory was beside: how many segments, and the
	// daemon's signed note.
	Size       uint64
	Checkpoint []byte
}

// KeyFile is a file of a key directory.
type KeyFile struct {
	Name    string
	Content []byte
}

// Find returns the content of a file, nil if it is not there.
func (k *Keys) Find(name string) []byte {
	for _, f := range k.Files {
		if f.Name == name {
			return f.Content
		}
	}
	return nil
}

// CopyKeys copies a key directory that is in use, together with a checkpoint that it is to go
// with: every key of the log up to there is in it, and the keyring is the one that the log
// names there, or is staged.
func CopyKeys(directory *log.KeyDirectory, store seal.StoreID, sign func() ([]byte, error)) (*Keys, error) {
	for {
		before, err := exported(directory)
		if err != nil {
			return nil, err
		}
		signed, err := sign()
		if err != nil {
			return nil, err
		}
		checkpoint, err := tree.ReadCheckpoint(signed)
		if err != nil {
			return nil, err
		}
		// Only now: segments up to the checkpoint may be sealed with keys that are new.
		after, err := exported(directory)
		if err != nil {
			return nil, err
		}
		// Only keys of epochs may have come meanwhile. A keyring may be one that the log names behind
		// the checkpoint, and what is replaced or destroyed is not yet all of one time.
		if onlyAdded(before, after) {
			return &Keys{Store: store, Files: after, Size: checkpoint.Size, Checkpoint: signed}, nil
		}
	}
}

// onlyAdded tells whether all files are what they were, and what came besides is in the folder
// of the epochs. Both are in the order of the names.
func onlyAdded(before, after []KeyFile) bool {
	for _, f := range after {
		switch {
		case len(before) > 0 && before[0].Name == f.Name && bytes.Equal(before[0].Content, f.Content):
			before = before[1:]
		case !strings.HasPrefix(f.Name, "epochs/"):
			return false
		}
	}
	return len(before) == 0
}

func exported(directory *log.KeyDirectory) (files []KeyFile, err error) {
	err = directory.Export(func(name string, content []byte) error {
		files = append(files, KeyFile{name, content})
		return nil
	})
	return files, err
}

// maxKeys bounds the file that is read into memory: of one epoch a day and class, two thousand
// years are fewer.
const maxKeys = 1 << 30

// WriteKeys replaces the file at path, which is for its user only (mode 0600). The content of
// the one before is overwritten: what was erased since could be opened with it. It reports
// whether there was one.
func WriteKeys(path string, k *Keys) (replaced bool, err error) {
	if _, err := os.Lstat(path); err == nil {
		replaced = true
	}
	return replaced, log.ReplaceFile(path, k.encode())
}

func (k *Keys) encode() []byte {
	b := appendHeader(nil, keysMagic, k.Store)
	for i, f := range k.Files {
		payload := append(append([]byte(f.Name), 0), f.Content...)
		b = appendFrame(b, frame{kindKey, uint64(i) + 1, payload})
	}
	return appendFrame(b, frame{kindCheckpoint, k.Size, k.Checkpoint})
}

// ReadKeys reads the file at path. Errors: *DamageError, and those of the filesystem.
func ReadKeys(path string) (*Keys, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	k, err := parseKeys(io.LimitReader(file, maxKeys))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

func parseKeys(r io.Reader) (*Keys, error) {
	frames, err := readFrames(r, keysMagic)
	if errors.Is(err, errTorn) {
		return nil, &DamageError{0, errTorn.Error()}
	}
	if err != nil {
		return nil, err
	}
	k := &Keys{Store: frames.store}
	for {
		at := frames.offset
		f, err := frames.next()
		switch {
		case errors.Is(err, errTorn):
			return nil, &DamageError{at, errTorn.Error()}
		case errors.Is(err, io.EOF):
			return nil, &DamageError{at, "the file ends before its checkpoint"}
		case err != nil:
			return nil, err
		case f.kind == kindCheckpoint:
			k.Size, k.Checkpoint = f.sequence, f.payload
			if _, err := frames.next(); !errors.Is(err, io.EOF) {
				return nil, &DamageError{frames.offset, "it goes on behind its checkpoint"}
			}
			return k, nil
		}
		name, content, found := bytes.Cut(f.payload, []byte{0})
		if f.kind != kindKey || f.sequence != uint64(len(k.Files))+1 || !found {
			return nil, &DamageError{at, "it is no key file"}
		}
		k.Files = append(k.Files, KeyFile{string(name), content})
	}
}
