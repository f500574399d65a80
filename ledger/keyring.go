package ledger

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"healthledger/authz"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
)

// The passphrase changes with the decision that names the new keyring: before it is in the
// log the old keyring is the store's, after that the new one, which has been staged in the key
// directory by then. A crash at any point leaves what the next start needs to do the rest.

// stageKeyring puts the keyring that a decision names into the key directory. The error wraps
// authz.ErrForged when it is not a keyring of this store with the same public keys.
func (s *Store) stageKeyring(content, hash []byte) error {
	sum := sha256.Sum256(content)
	if !bytes.Equal(sum[:], hash) {
		return fmt.Errorf("%w: it names another keyring", authz.ErrForged)
	}
	keyring, err := seal.ParseKeyring(content)
	if err != nil {
		return fmt.Errorf("%w: %w", authz.ErrForged, err)
	}
	if !bytes.Equal(pinOf(keyring), pinOf(s.keyring)) {
		return fmt.Errorf("%w: %w", authz.ErrForged, ErrNotPinned)
	}
	return s.directory.StageKeyring(content)
}

// acknowledged learns a decision that the log has got. Where it names a keyring that is used:
// whoever made it may have been told that the log cannot be written, and have gone.
func (s *Store) acknowledged(d *pb.SignedDecision) error {
	before := s.state.Keyring()
	if err := s.learn(d); err != nil {
		return err
	}
	if hash := s.state.Keyring(); !bytes.Equal(hash, before) {
		// Where that fails the next start does it, as whoever still waits is told.
		_ = s.useKeyring(hash)
	}
	return nil
}

// useKeyring finishes what the decision began. It may be called again.
func (s *Store) useKeyring(hash []byte) error {
	if err := s.directory.UseKeyring([sha256.Size]byte(hash)); err != nil {
		return fmt.Errorf("%w: %w", ErrKeyringPending, err)
	}
	return nil
}

// settleKeyring brings the key directory to what the log says: a decision may have been the
// last thing before a crash, or have never come into the log.
func (s *Store) settleKeyring(hash []byte) error {
	if hash == nil {
		return s.directory.DropKeyrings()
	}
	err := s.directory.UseKeyring([sha256.Size]byte(hash))
	if errors.Is(err, log.ErrNoKeyring) {
		return fmt.Errorf("%w: %w", ErrOldKeyring, err)
	}
	return err
}
