package projector

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"connectrpc.com/connect"

	"healthledger/authz"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// rekeying are new keys for the store, from when they are made until the store is locked, or others
// are made.
type rekeying struct {
	before  *seal.Keyring
	keyring *seal.Keyring
	content []byte
	keys    *seal.OwnerKeys
}

// Rekey makes new keys, or goes on to wrap epochs to them. Only here is the old key with which the
// roots come out. Errors: WRONG_PASSPHRASE, FAILED_PRECONDITION where none was begun.
func (s *service) Rekey(ctx context.Context, req *pb.RekeyRequest) (*pb.RekeyResponse, error) {
	var resp *pb.RekeyResponse
	err := s.using(ctx, 0, func(o *openStore, p *projection) (err error) {
		o.rekeys.Lock()
		defer o.rekeys.Unlock()
		if len(req.GetSealedPassphrase()) > 0 {
			if err := s.makeKeys(o, req.GetSealedPassphrase()); err != nil {
				return err
			}
		}
		if o.rekeying == nil {
			return noRekeying()
		}
		resp, err = o.rewrap(ctx, p.state.Device().GetSealingKey(), time.Duration(req.GetPeriodMs())*time.Millisecond)
		if err != nil {
			return s.internal("wrap epochs again", err)
		}
		return nil
	})
	return resp, err
}

func noRekeying() error {
	return rpc.Error(connect.CodeFailedPrecondition, &pb.ErrorDetail{Reason: rpc.ReasonFailedPrecondition}, "no new keys were made for the store as it is: begin again")
}

// makeKeys makes keys under the same passphrase, which it wants once more. It needs rekeys.
func (s *service) makeKeys(o *openStore, sealed []byte) error {
	s.mu.Lock()
	secret, err := s.accept(sealed)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	defer secret.Destroy()
	before, directory, err := readKeyring(s.config, s.store)
	if err != nil {
		return s.internal("open keyring", err)
	}
	proof, err := s.openKeyring(before, secret, false)
	if err != nil {
		return err
	}
	proof.Destroy()
	o.forgetRekeying()
	if err := directory.DropWraps(nil); err != nil {
		return s.internal("make new keys", err)
	}
	content, keys, err := before.Rekey(secret.Bytes())
	if err != nil {
		return s.internal("make new keys", err)
	}
	keyring, err := seal.ParseKeyring(content)
	if err != nil {
		keys.Destroy()
		return s.internal("make new keys", err)
	}
	o.rekeying = &rekeying{before, keyring, content, keys}
	return nil
}

// rewrap wraps epochs to the new keys until the period is over or all are. It needs rekeys.
func (o *openStore) rewrap(ctx context.Context, device []byte, period time.Duration) (*pb.RekeyResponse, error) {
	r := o.rekeying
	missing, total, err := o.directory.Unstaged(r.keyring.Hash())
	if err != nil {
		return nil, err
	}
	done := total - len(missing)
	for until := time.Now().Add(period); len(missing) > 0 && time.Now().Before(until) && ctx.Err() == nil; missing = missing[1:] {
		w := missing[0]
		wrap, err := o.directory.Wrap(w.Class, w.Epoch)
		if errors.Is(err, log.ErrNoWrap) {
			continue // erased meanwhile
		}
		if err != nil {
			return nil, err
		}
		next, err := seal.Rewrap(wrap, w.Class, w.Epoch, o.keys, r.keys, device)
		if err != nil {
			return nil, err
		}
		if err := o.directory.StageWrap(r.keyring.Hash(), w, next); err != nil {
			return nil, err
		}
		done++
	}
	return &pb.RekeyResponse{Done: uint64(done), Total: uint64(total)}, nil
}

// signRekeying signs the decision for the keys that Rekey has made, of which the passphrase must
// still be the store's.
func (s *service) signRekeying(o *openStore, p *projection) (*pb.SignDecisionResponse, error) {
	o.rekeys.Lock()
	defer o.rekeys.Unlock()
	now, _, err := readKeyring(s.config, s.store)
	if err != nil {
		return nil, s.internal("open keyring", err)
	}
	r := o.rekeying
	if r == nil || r.before.Hash() != now.Hash() {
		return nil, noRekeying()
	}
	author := &authz.Author{State: p.state, Signer: signer{o.keys, s.store}, Random: rand.Reader}
	decision, err := author.Rekey(time.Now().UnixMicro(), r.keyring.Hash(), func(previous []byte, d *pb.StoreRekeyed) {
		seal.SignRekeying(r.keys, o.keys.PublicKeys().OwnerKey, previous, d)
	})
	if err != nil {
		return nil, s.internal("sign decision", err)
	}
	decision.Keyring = r.content
	return &pb.SignDecisionResponse{Decision: decision}, nil
}

// forgetRekeying wipes keys that did not become the store's here. It needs rekeys.
func (o *openStore) forgetRekeying() {
	if o.rekeying != nil {
		o.rekeying.keys.Destroy()
	}
	o.rekeying = nil
}
