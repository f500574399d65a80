package serve

import (
	"context"

	pb "healthledger/proto/healthledger/v1"
)

// ChangePassphrase implements pb.OwnerServiceHandler. The daemon sees neither passphrase:
// both are sealed to the projector, and what comes back is the encrypted keyring.
func (s *ownerService) ChangePassphrase(ctx context.Context, req *pb.ChangePassphraseRequest) (*pb.ChangePassphraseResponse, error) {
	k, err := s.keeper(ctx)
	if err != nil {
		return nil, err
	}
	// Who has no session learns nothing from a passphrase, nor waits for one.
	if _, _, err := s.session(ctx, true); err != nil {
		return nil, err
	}
	session, err := k.Change(ctx, localCaller, func() error {
		_, err := s.decide(ctx, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_ChangePassphrase{ChangePassphrase: req}})
		return err
	})
	if err != nil {
		return nil, err
	}
	return &pb.ChangePassphraseResponse{Session: session}, nil
}

// Change runs a change of the passphrase, which asks for the one before, one at a time with
// the unlocks. It ends all sessions and exports, which were begun with the passphrase before,
// and returns another session, none if the store has been locked meanwhile.
func (k *keeper) Change(ctx context.Context, caller string, change func() error) (string, error) {
	k.unlocking.Lock()
	defer k.unlocking.Unlock()
	if err := k.throttle.Wait(ctx, caller); err != nil {
		return "", err
	}
	err := change()
	k.throttle.Tried(caller, err)
	if err != nil {
		return "", err
	}
	k.sessions.Clear()
	k.pasts.Clear()
	k.exports.Cut()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.state == pb.LockState_LOCK_STATE_LOCKED {
		return "", nil
	}
	return k.sessions.New(), nil
}
