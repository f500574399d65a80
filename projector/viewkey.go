package projector

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
)

// viewPrefix begins the names of all folders with a view in the folder of the store.
const viewPrefix = "view-"

// viewFolder is where the view lies that a key file is for. So the file decides which view
// is the live one, and to replace it replaces the view.
func (o *openStore) viewFolder(keyFile []byte) string {
	hash := sha256.Sum256(keyFile)
	return filepath.Join(o.config.GetDirectory(), viewPrefix+hex.EncodeToString(hash[:8]))
}

// openLive opens the view that the key file names, and removes all others: views that were
// replaced, and those that were being made beside it. Without a key, or with one that has no
// files, a new view is made.
func (o *openStore) openLive() (*projection, error) {
	keyFile, err := o.directory.ViewKey()
	if err != nil && !errors.Is(err, log.ErrNoViewKey) {
		return nil, err
	}
	folder := o.viewFolder(keyFile)
	var key *seal.Secret
	// A key serves one view only: with it, files of the one that is gone would pass.
	if files, _ := os.ReadDir(folder); err == nil && len(files) > 0 {
		key, err = o.unboxViewKey(keyFile)
	} else if key, keyFile, err = o.newViewKey(); err == nil {
		folder, err = o.viewFolder(keyFile), o.directory.PutViewKey(keyFile)
	}
	if err != nil {
		return nil, err
	}
	if err := o.removeViews(folder); err != nil {
		key.Destroy()
		return nil, err
	}
	return o.openProjection(folder, key)
}

const viewKeyLabel = "view key of "

// viewKeyContext is what the box of a view's key is bound to. With each erasure it is another:
// the key of a view from before, put back, is none, since that view has what is erased. So it is
// with each loss that is accepted: that view may have what the log does not have.
func (o *openStore) viewKeyContext() string {
	context := viewKeyLabel + o.store.String()
	if n := o.known.erasures(); n > 0 {
		context += fmt.Sprintf(" after erasure %d", n)
	}
	if accepts := o.known.accepts(); accepts != "" {
		context += " without " + accepts
	}
	return context
}

// newViewKey makes a random key, and the file that holds it encrypted under a key that only
// an unlocked store has.
func (o *openStore) newViewKey() (key *seal.Secret, keyFile []byte, err error) {
	wrapping := o.keys.Derive("view key")
	defer wrapping.Destroy()
	key = seal.NewSecret(32)
	rand.Read(key.Bytes())
	if keyFile, err = seal.Box(wrapping, o.viewKeyContext(), key.Bytes()); err != nil {
		key.Destroy()
		return nil, nil, err
	}
	return key, keyFile, nil
}

func (o *openStore) unboxViewKey(keyFile []byte) (*seal.Secret, error) {
	wrapping := o.keys.Derive("view key")
	defer wrapping.Destroy()
	return seal.UnboxSecret(wrapping, o.viewKeyContext(), keyFile)
}

// removeViews deletes the folders of all views but one. Their keys are gone.
func (o *openStore) removeViews(but string) error {
	entries, err := os.ReadDir(o.config.GetDirectory())
	for _, e := range entries {
		folder := filepath.Join(o.config.GetDirectory(), e.Name())
		if strings.HasPrefix(e.Name(), viewPrefix) && folder != but {
			err = errors.Join(err, os.RemoveAll(folder))
		}
	}
	return err
}
