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

// The passphrase, or all keys, change with the decision that names the new keyring: before it is
// in the log the old keyring is the store's, after that the new one, which has been staged in the
// key directory by then, with the wraps of all epochs to the new keys. A crash at any point leaves
// what the next start needs to do the rest.

// stageKeyring puts the keyring that a decision names into the key directory. The error wraps
// authz.ErrForged when it is not a keyring of this store with the same public keys.
func (s *Store) stageKeyring(content, hash []byte) error {
	keyring, err := parseNamed(content, hash)
	if err != nil {
		return err
	}
	if !pinOf(keyring).equal(pinOf(s.Keyring())) {
		return fmt.Errorf("%w: %w", authz.ErrForged, ErrNotPinned)
	}
	return s.directory.StageKeyring(content)
}

// stageKeys is stageKeyring for a keyring with other keys, to which all epochs must be wrapped.
// Errors: authz.ErrForged, seal.ErrTampered, ErrNotStaged.
func (s *Store) stageKeys(content []byte, rekeyed *pb.StoreRekeyed) error {
	keyring, err := parseNamed(content, rekeyed.GetKeyring())
	if err != nil {
		return err
	}
	if !keyring.Succeeds(s.Keyring()) || !pinOf(keyring).holds(rekeyed) {
		return fmt.Errorf("%w: its keyring does not follow on the one in use", authz.ErrForged)
	}
	all, err := s.directory.AllWraps()
	if err != nil {
		return err
	}
	for _, w := range all {
		if err := s.checkRewrap(w, keyring); err != nil {
			return fmt.Errorf("%s epoch %d: %w", w.Class, w.Epoch, err)
		}
	}
	return s.directory.StageKeyring(content)
}

// checkRewrap checks what is to take the place of a wrap.
func (s *Store) checkRewrap(w log.WrapName, keyring *seal.Keyring) error {
	before, err := s.directory.Wrap(w.Class, w.Epoch)
	if err != nil {
		return err
	}
	after, err := s.directory.StagedWrap(keyring.Hash(), w)
	if errors.Is(err, log.ErrNoWrap) {
		return ErrNotStaged
	}
	if err != nil {
		return err
	}
	return seal.CheckRewrap(before, after, w.Class, w.Epoch, keyring.PublicKeys(), s.key().SealingKey())
}

// checkStaged has the last word before the decision is in the log: no epoch may have begun that
// the new keys do not open.
func (s *Store) checkStaged(check func() error, rekeyed *pb.StoreRekeyed) func() error {
	return func() error {
		if err := check(); err != nil {
			return err
		}
		missing, _, err := s.directory.Unstaged([sha256.Size]byte(rekeyed.GetKeyring()))
		if err == nil && len(missing) > 0 {
			err = ErrNotStaged
		}
		return err
	}
}

// parseNamed parses the keyring that a decision names. The error wraps authz.ErrForged.
func parseNamed(content, hash []byte) (*seal.Keyring, error) {
	sum := sha256.Sum256(content)
	if !bytes.Equal(sum[:], hash) {
		return nil, fmt.Errorf("%w: it names another keyring", authz.ErrForged)
	}
	keyring, err := seal.ParseKeyring(content)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", authz.ErrForged, err)
	}
	return keyring, nil
}

// acknowledged learns a decision that the log has got. Where it names a keyring that is used:
// whoever made it may have been told that the log cannot be written, and have gone.
func (s *Store) acknowledged(d *pb.SignedDecision) error {
	before, keys := s.state.Keyring(), len(s.state.Rekeyings())
	if err := s.learn(d); err != nil {
		return err
	}
	if hash := s.state.Keyring(); bytes.Equal(hash, before) {
		return nil
	}
	// Where that fails the next start does it, as whoever still waits is told.
	settled := s.settleKeyring(s.state) == nil
	if len(s.state.Rekeyings()) > keys {
		// No epoch goes on that is wrapped to the keys before.
		s.appender.use(s.key())
		if settled {
			s.dropping.Go(func() { _ = s.dropWraps(s.state) })
		}
	}
	return nil
}

// dropWraps destroys all wraps but those in use and those that are still to be.
func (s *Store) dropWraps(state *authz.State) error {
	all := state.Rekeyings()
	if len(all) == 0 {
		return s.directory.DropWraps(nil)
	}
	keyring := [sha256.Size]byte(all[len(all)-1].GetKeyring())
	return s.directory.DropWraps(&keyring)
}

// finishKeys finishes what the decision began, and tells what is left of it.
func (s *Store) finishKeys() error {
	s.dropping.Wait()
	err := s.settleKeyring(s.state)
	if err == nil {
		err = s.dropWraps(s.state)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKeyringPending, err)
	}
	return nil
}

// settleKeyring brings keyring, pin and wraps to what the log says: a decision may have been the last
// thing before a crash, or have never come into the log. What the keys before opened is still
// there, apart. It may be called again.
func (s *Store) settleKeyring(state *authz.State) error {
	hash, rekeyings := state.Keyring(), state.Rekeyings()
	if hash != nil {
		if err := s.directory.UseKeyring([sha256.Size]byte(hash)); errors.Is(err, log.ErrNoKeyring) {
			return fmt.Errorf("%w: %w", ErrOldKeyring, err)
		} else if err != nil {
			return err
		}
	}
	keyring, err := s.readKeyring()
	if err != nil {
		return err
	}
	if err := s.adoptKeyring(keyring, rekeyings); err != nil {
		return err
	}
	if hash == nil {
		return s.directory.DropKeyrings()
	}
	if len(rekeyings) == 0 {
		return nil
	}
	return s.settleWraps([sha256.Size]byte(rekeyings[len(rekeyings)-1].GetKeyring()))
}

// adoptKeyring takes over the keyring in use, and pins it, if that is where the decisions lead to.
func (s *Store) adoptKeyring(keyring *seal.Keyring, rekeyings []authz.Rekeying) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := pinOf(keyring)
	if !next.follows(s.pin, rekeyings) {
		return ErrNotPinned
	}
	if !next.equal(s.pin) {
		if err := next.write(s.pinPath); err != nil {
			return err
		}
	}
	s.keyring, s.pin = keyring, next
	return nil
}

// settleWraps puts the wraps to the store's keys into use. The key of the view goes first: it is
// encrypted to the keys before, and who has had it can read every copy of the view.
func (s *Store) settleWraps(keyring [sha256.Size]byte) error {
	if !s.directory.WrapsPending(keyring) {
		return nil
	}
	if err := s.directory.DestroyViewKey(); err != nil {
		return err
	}
	return s.directory.UseWraps(keyring)
}

// storeKey returns the key that epochs are wrapped to.
func (s *Store) storeKey() []byte {
	if all := s.state.Rekeyings(); len(all) > 0 {
		return all[len(all)-1].GetStoreKey()
	}
	return s.Keyring().StoreKey()
}

func (s *Store) readKeyring() (*seal.Keyring, error) {
	content, err := s.directory.Keyring()
	if errors.Is(err, log.ErrNoKeyring) {
		return nil, fmt.Errorf("%w: %w", ErrDataLoss, err)
	}
	if err != nil {
		return nil, err
	}
	return seal.ParseKeyring(content)
}
