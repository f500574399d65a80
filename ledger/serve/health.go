package serve

import (
	"context"
	"time"

	"connectrpc.com/connect"

	"healthledger/authz"
	"healthledger/ledger"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// quantum is the grid on which answers to reads leave: arrival plus a whole number of
// them, so that small differences in work do not show.
const quantum = time.Millisecond

// healthService is what apps use.
type healthService struct {
	daemon *Daemon
}

// caller is who a request is from, after authentication.
type caller struct {
	store  *ledger.Store
	keeper *keeper
	record *recorder
	// app is nil for the owner.
	app *authz.App
	// export is the one that the owner reads for; nil: none.
	export *export
	// past is the session of the view of the past that the owner reads; empty: none.
	past string
	// life ends when the caller is not to be answered any more.
	life context.Context
}

type callerKey struct{}

// admit runs before a request is even decoded. It refuses what an app asks for beyond its
// rates, finds out who calls, and answers the reads of a locked store, which are decided by
// nothing else.
func (d *Daemon) admit(ctx context.Context, method string) (context.Context, func(), error) {
	arrived := time.Now()
	from, _ := rpc.CallerFrom(ctx)
	if err := d.meters.Take(from); err != nil {
		leave(arrived)
		return nil, nil, err
	}
	c, err := d.identify(from)
	if always(method) {
		// Whether the caller still is one is asked when what it writes is sealed.
		return context.WithValue(ctx, callerKey{}, c), nil, err
	}
	if err == nil {
		_, err = c.keeper.Reader()
	}
	if err != nil {
		leave(arrived)
		return nil, nil, err
	}
	return context.WithValue(ctx, callerKey{}, c), func() { leave(arrived) }, nil
}

// always tells whether a method is answered in every lock state: those that write, and
// what an app may write is no secret from it.
func always(method string) bool {
	switch method {
	case "Save", "SavePart", "Delete", "SetUpdates", "AckUpdates", "RequestAuthorization", "RequestObjectAuthorization", "GetAuthorizationStatus":
		return true
	}
	return false
}

// leave returns at the next quantum after arrival.
func leave(arrived time.Time) {
	passed := time.Since(arrived)
	time.Sleep((passed/quantum+1)*quantum - passed)
}

func (d *Daemon) identify(from rpc.Caller) (caller, error) {
	id, err := seal.ParseStoreID(from.Store)
	if err != nil {
		return caller{}, rpc.Unauthenticated()
	}
	k, err := d.keeper(id)
	if err != nil {
		return caller{}, refuse(err)
	}
	c := caller{store: k.store, keeper: k, record: d.recorderOf(k), life: context.Background()}
	if from.Key == d.local.Key {
		// Locked beats everything: without a session there is no telling whether one
		// was ever good.
		if _, err := k.Reader(); err != nil {
			return caller{}, err
		}
		if _, ok := k.Session(from.Session); ok {
			return c, nil
		}
		if k.pasts.Has(from.Session) {
			c.past = from.Session
			return c, nil
		}
		export, ok := k.exports.Use(from.Session)
		if !ok {
			return caller{}, rpc.Unauthenticated()
		}
		c.export = export
		return c, nil
	}
	app, ok := k.store.State().AppByKey(from.Key)
	if !ok {
		return caller{}, rpc.Unauthenticated()
	}
	c.app, c.life = app, d.lives.Of(from.Key)
	if from.Credential != 0 && from.Credential != app.Credential().Decision {
		return caller{}, rpc.Unauthenticated()
	}
	return c, c.stands()
}

// Save implements pb.HealthServiceHandler.
func (s *healthService) Save(ctx context.Context, req *pb.SaveRequest) (*pb.SaveResponse, error) {
	c := ctx.Value(callerKey{}).(caller)
	if c.app == nil {
		return nil, errOwnerSaves()
	}
	return c.store.Save(ctx, c.app, req)
}

// SavePart implements pb.HealthServiceHandler.
func (s *healthService) SavePart(ctx context.Context, req *pb.SavePartRequest) (*pb.SavePartResponse, error) {
	c := ctx.Value(callerKey{}).(caller)
	if c.app == nil {
		return nil, errOwnerSaves()
	}
	return c.store.SavePart(ctx, c.app, req)
}

// Delete implements pb.HealthServiceHandler.
func (s *healthService) Delete(ctx context.Context, req *pb.DeleteRequest) (*pb.DeleteResponse, error) {
	c := ctx.Value(callerKey{}).(caller)
	if c.app == nil {
		return nil, errOwnerSaves()
	}
	return c.store.Delete(ctx, c.app, req)
}

func errOwnerSaves() error {
	return rpc.Error(connect.CodePermissionDenied, &pb.ErrorDetail{Reason: rpc.ReasonShareDenied}, "samples are saved, and taken back, by apps")
}
