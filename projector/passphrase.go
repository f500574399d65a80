package projector

import (
	"crypto/sha256"
	"errors"
	"time"

	"connectrpc.com/connect"

	"healthledger/authz"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// openKeyring decrypts the keys with the passphrase, or with the recovery words. Errors:
// WRONG_PASSPHRASE, for words too, and INTERNAL.
func (s *service) openKeyring(keyring *seal.Keyring, secret *seal.Secret, words bool) (*seal.OwnerKeys, error) {
	open, wrong := keyring.Open, "wrong passphrase"
	if words {
		open, wrong = keyring.Recover, "wrong recovery words"
	}
	keys, err := open(secret.Bytes())
	if errors.Is(err, seal.ErrWrongPassphrase) || errors.Is(err, seal.ErrWrongWords) {
		return nil, rpc.Error(connect.CodeUnauthenticated, &pb.ErrorDetail{Reason: rpc.ReasonWrongPassphrase}, "%s", wrong)
	}
	if err != nil {
		return nil, s.internal("open keyring", err)
	}
	return keys, nil
}

// changePassphrase encrypts the keys again, and signs the decision that names the file.
// An open store is no proof: it wants the passphrase, or the words, once more.
func (s *service) changePassphrase(author *authz.Author, keys *seal.OwnerKeys, req *pb.ChangePassphraseRequest) (*pb.SignDecisionResponse, error) {
	secret, next, err := s.acceptBoth(req.GetSealedPassphrase(), req.GetSealedNew())
	if err != nil {
		return nil, err
	}
	defer secret.Destroy()
	defer next.Destroy()
	keyring, _, err := readKeyring(s.config, s.store)
	if err != nil {
		return nil, s.internal("open keyring", err)
	}
	proof, err := s.openKeyring(keyring, secret, req.GetWords())
	if err != nil {
		return nil, err
	}
	proof.Destroy()
	content, err := keyring.Rewrap(keys, next.Bytes())
	if err != nil {
		return nil, s.internal("change passphrase", err)
	}
	decision, err := author.ReplaceKeyring(time.Now().UnixMicro(), sha256.Sum256(content))
	if err != nil {
		return nil, s.internal("sign decision", err)
	}
	decision.Keyring = content
	return &pb.SignDecisionResponse{Decision: decision}, nil
}

func (s *service) acceptBoth(sealed, sealedNew []byte) (secret, next *seal.Secret, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if secret, err = s.accept(sealed); err != nil {
		return nil, nil, err
	}
	if next, err = s.accept(sealedNew); err != nil {
		secret.Destroy()
		return nil, nil, err
	}
	return secret, next, nil
}
