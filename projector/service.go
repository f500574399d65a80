package projector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/authz"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// service answers the daemon. Before Open it has no keys; after Close none any more.
type service struct {
	config *pb.ProjectorConfig
	store  seal.StoreID
	logger *slog.Logger

	mu      sync.Mutex
	offers  []*seal.Offer
	open    *openStore
	erasure *erasure
}

// maxOffers is how many owners may be about to send a passphrase; the oldest gives way.
const maxOffers = 16

func newService(config *pb.ProjectorConfig, logger *slog.Logger) (*service, error) {
	store, err := seal.ParseStoreID(config.GetStore())
	if err != nil {
		return nil, fmt.Errorf("projector: %w", err)
	}
	return &service{config: config, store: store, logger: logger}, nil
}

// Offer makes a key for one passphrase.
func (s *service) Offer(context.Context, *pb.OfferRequest) (*pb.OfferResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	offer, err := seal.NewOffer()
	if err != nil {
		return nil, s.internal("offer", err)
	}
	if len(s.offers) == maxOffers {
		s.offers[0].Destroy()
		s.offers = s.offers[1:]
	}
	s.offers = append(s.offers, offer)
	return &pb.OfferResponse{PublicKey: offer.PublicKey()}, nil
}

// Open decrypts the keys and begins to catch up. On an open store it only checks the
// passphrase, or the words. Errors: WRONG_PASSPHRASE, DATA_LOSS, INVALID_ARGUMENT.
func (s *service) Open(_ context.Context, req *pb.OpenRequest) (*pb.OpenResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	secret, err := s.accept(req.GetSealedPassphrase())
	if err != nil {
		return nil, err
	}
	defer secret.Destroy()
	keyring, directory, err := readKeyring(s.config, s.store)
	if err != nil {
		return nil, s.internal("open keyring", err)
	}
	keys, err := s.openKeyring(keyring, secret, req.GetWords())
	if err != nil {
		return nil, err
	}
	if s.open != nil {
		keys.Destroy()
		return &pb.OpenResponse{}, nil
	}
	open, err := openAll(s.config, s.store, keys, directory, s.logger)
	if err != nil {
		keys.Destroy()
		return nil, s.internal("open view", err)
	}
	if applied, _ := open.live.follower.Applied(); applied > req.GetTarget() {
		open.close()
		return nil, rpc.Error(connect.CodeDataLoss, &pb.ErrorDetail{Reason: rpc.ReasonDataLoss},
			"the view contains %d segments, the log only %d: the log was cut short", applied, req.GetTarget())
	}
	open.follow(req.GetTarget(), req.GetRoot())
	s.open = open
	return &pb.OpenResponse{}, nil
}

// accept decrypts a passphrase with the offer it was sealed to, which is used up. It needs mu.
func (s *service) accept(sealed []byte) (*seal.Secret, error) {
	for i, offer := range s.offers {
		passphrase, err := offer.Open(sealed)
		if err == nil {
			s.offers = slices.Delete(s.offers, i, i+1)
			return passphrase, nil
		}
	}
	return nil, rpc.Error(connect.CodeFailedPrecondition, &pb.ErrorDetail{Reason: rpc.ReasonFailedPrecondition},
		"the passphrase is not sealed to a key that was offered")
}

// Advance passes on how far the log has grown, and waits for the view if asked to.
func (s *service) Advance(ctx context.Context, req *pb.AdvanceRequest) (*pb.AdvanceResponse, error) {
	open, err := s.opened()
	if err != nil {
		return nil, err
	}
	resp := &pb.AdvanceResponse{}
	err = open.with(func(p *projection) error {
		p.follower.Extend(req.GetSequence())
		if req.GetWait() {
			if err := p.follower.Wait(ctx, req.GetSequence()); err != nil {
				return s.lost(err)
			}
		}
		applied, fault := p.follower.Applied()
		counts := p.view.Counts()
		resp.Applied, resp.Samples, resp.Duplicates, resp.Incomplete = applied, counts.Samples, counts.Duplicates, counts.Incomplete
		ready, verdict := open.ready()
		resp.Ready = ready
		if err := errors.Join(fault, verdict); err != nil {
			resp.Fault = err.Error()
		}
		return nil
	})
	return resp, err
}

// ReadApps lists the apps with what they may do.
func (s *service) ReadApps(ctx context.Context, req *pb.ReadAppsRequest) (*pb.ReadAppsResponse, error) {
	resp := &pb.ReadAppsResponse{}
	err := s.using(ctx, req.GetSequence(), func(_ *openStore, p *projection) error {
		resp.Apps = p.apps()
		return nil
	})
	return resp, err
}

func (p *projection) apps() (apps []*pb.App) {
	for _, a := range p.state.Apps() {
		app := &pb.App{
			Manifest: a.Manifest, Key: a.Key, Importer: a.Importer,
			Registered: timestamppb.New(time.UnixMicro(a.Registered)),
			Nkey:       a.Credential().NKey, CredentialSince: timestamppb.New(time.UnixMicro(a.Credential().Since)),
		}
		for _, code := range a.Shares() {
			app.Share = append(app.Share, typeName(code))
		}
		for code, r := range a.Reads() {
			read := &pb.AppRead{Type: typeName(code)}
			if r.Extent == authz.ExtentSince {
				read.Since = timestamppb.New(time.UnixMicro(r.Since))
			}
			app.Read = append(app.Read, read)
		}
		for code, o := range a.Objects() {
			if len(o.Granted) > 0 || o.OwnHidden {
				app.Objects = append(app.Objects, &pb.AppObjects{Type: typeName(code), Granted: uint32(len(o.Granted)), OwnHidden: o.OwnHidden})
			}
		}
		slices.SortFunc(app.Objects, func(a, b *pb.AppObjects) int { return strings.Compare(a.GetType(), b.GetType()) })
		slices.Sort(app.Share)
		slices.SortFunc(app.Read, func(a, b *pb.AppRead) int { return strings.Compare(a.GetType(), b.GetType()) })
		apps = append(apps, app)
	}
	return apps
}

func typeName(code uint32) string {
	if t, ok := catalog.ByCode(code); ok {
		return t.Short()
	}
	return fmt.Sprintf("type%d", code)
}

// Close closes the view and forgets the keys. The process ends when the daemon
// closes the socket.
func (s *service) Close(context.Context, *pb.CloseRequest) (*pb.CloseResponse, error) {
	if err := s.shutdown(); err != nil {
		return nil, s.internal("close view", err)
	}
	return &pb.CloseResponse{}, nil
}

func (s *service) shutdown() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, offer := range s.offers {
		offer.Destroy()
	}
	s.offers = nil
	if s.open == nil {
		return nil
	}
	err := s.open.close()
	s.open = nil
	return err
}

func (s *service) opened() (*openStore, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		return nil, rpc.StoreLocked()
	}
	return s.open, nil
}

// lost says that the view does not follow the log any more. A full disk is no loss.
func (s *service) lost(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if log.IsFull(err) {
		return s.internal("follow the log", err)
	}
	return rpc.Error(connect.CodeDataLoss, &pb.ErrorDetail{Reason: rpc.ReasonDataLoss, Why: err.Error()}, "the log cannot be followed: %s", err)
}

// internal keeps what went wrong inside: the log of the process has it. Only that the disk is
// full is told, which its owner can mend.
func (s *service) internal(operation string, err error) error {
	s.logger.Error("projector failed", "operation", operation, "error", err)
	if log.IsFull(err) {
		return rpc.Error(connect.CodeResourceExhausted, &pb.ErrorDetail{Reason: rpc.ReasonNoSpace}, "the daemon's disk is full: try again when there is room")
	}
	return rpc.Internal(fmt.Errorf("%s: %w", operation, err))
}
