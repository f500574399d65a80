package serve

import (
	"context"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/ledger"
	"healthledger/ledger/seal"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// quantum is the grid on which answers to reads leave: arrival plus a whole number of
// them, so that small differences in work do not show.
const quantum = time.Millisecond

// healthService is what apps use.
type healthService struct {
	pb.UnimplementedHealthServiceHandler
	daemon *Daemon
}

// caller is who a request is from, after authentication.
type caller struct {
	store  *ledger.Store
	keeper *keeper
	record *recorder
	// app is nil for the owner.
	app *authz.App
}

type callerKey struct{}

// admit runs before a request is even decoded. It finds out who calls, and answers
// the reads of a locked store, which are decided by nothing else.
func (d *Daemon) admit(ctx context.Context, method string, next rpc.Next) (proto.Message, error) {
	arrived := time.Now()
	if !writes(method) {
		defer leave(arrived)
	}
	from, _ := rpc.CallerFrom(ctx)
	c, err := d.identify(from)
	if err != nil {
		return nil, err
	}
	if !writes(method) {
		if _, err := c.keeper.Reader(); err != nil {
			return nil, err
		}
	}
	return next(context.WithValue(ctx, callerKey{}, c))
}

// writes tells whether a method writes, which it may in every lock state.
func writes(method string) bool { return method == "Save" || method == "SavePart" }

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
	d.mu.Lock()
	c := caller{store: k.store, keeper: k, record: d.records[id]}
	d.mu.Unlock()
	if from.Key == d.local.Key {
		// Locked beats everything: without a session there is no telling whether one
		// was ever good.
		if _, err := k.Reader(); err != nil {
			return caller{}, err
		}
		if _, ok := k.Session(from.Session); !ok {
			return caller{}, rpc.Unauthenticated()
		}
		return c, nil
	}
	app, ok := k.store.State().AppByKey(from.Key)
	if !ok {
		return caller{}, rpc.Unauthenticated()
	}
	c.app = app
	return c, nil
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

func errOwnerSaves() error {
	return rpc.Error(connect.CodePermissionDenied, &pb.ErrorDetail{Reason: rpc.ReasonShareDenied}, "samples are saved by apps")
}

// QuerySamples implements pb.HealthServiceHandler.
func (s *healthService) QuerySamples(ctx context.Context, req *pb.QuerySamplesRequest) (*pb.QuerySamplesResponse, error) {
	answer, err := s.read(ctx, "samples", req.GetTypes(), periodOf(req.GetFrom(), req.GetTo()), &pb.ReadRequest{Query: &pb.ReadRequest_Samples{Samples: req}})
	return answer.GetSamples(), err
}

// QueryStatistics implements pb.HealthServiceHandler.
func (s *healthService) QueryStatistics(ctx context.Context, req *pb.QueryStatisticsRequest) (*pb.QueryStatisticsResponse, error) {
	answer, err := s.read(ctx, "statistics", []string{req.GetType()}, periodOf(req.GetFrom(), req.GetTo()), &pb.ReadRequest{Query: &pb.ReadRequest_Statistics{Statistics: req}})
	return answer.GetStatistics(), err
}

// QueryPayload implements pb.HealthServiceHandler.
func (s *healthService) QueryPayload(ctx context.Context, req *pb.QueryPayloadRequest) (*pb.QueryPayloadResponse, error) {
	answer, err := s.read(ctx, "payload", []string{req.GetType()}, periodOf(nil, nil), &pb.ReadRequest{Query: &pb.ReadRequest_Payload{Payload: req}})
	return answer.GetPayload(), err
}

// read records a query and has it answered for the caller.
func (s *healthService) read(ctx context.Context, operation string, types []string, p period, req *pb.ReadRequest) (*pb.ReadResponse, error) {
	c := ctx.Value(callerKey{}).(caller)
	process, sequence, err := c.prepare(ctx, operation, types, p)
	if err != nil {
		return nil, err
	}
	req.Reader, req.Sequence = c.reader(), sequence
	answer, err := process.Read(ctx, req)
	if err != nil {
		return nil, c.failed(err)
	}
	return answer, nil
}

// failed is what a reader learns of a query that failed: that the store was locked
// meanwhile, and nothing of the log, whose sequences are not an app's to know.
func (c caller) failed(err error) error {
	err = c.keeper.cut(err)
	if c.app != nil && rpc.Reason(err) == rpc.ReasonDataLoss {
		return rpc.Error(connect.CodeDataLoss, &pb.ErrorDetail{Reason: rpc.ReasonDataLoss}, "data of the store is lost or damaged")
	}
	return err
}

func (c caller) reader() *pb.Reader { return &pb.Reader{App: c.number()} }

func (c caller) number() uint64 {
	if c.app == nil {
		return 0
	}
	return c.app.Number
}

// prepare writes the read into the log and returns the projector that may answer it,
// and the sequence that the view must contain: everything acknowledged before.
func (c caller) prepare(ctx context.Context, operation string, types []string, p period) (Projector, uint64, error) {
	codes := make([]uint32, len(types))
	for i, name := range types {
		t, ok := catalog.Lookup(name)
		if !ok {
			return nil, 0, rpc.Error(connect.CodeInvalidArgument, &pb.ErrorDetail{
				Reason: rpc.ReasonInvalidArgument, Field: "type", Value: name, Why: "unknown type",
			}, "type: unknown type %q", name)
		}
		codes[i] = t.Code
	}
	sequence, _, _ := c.store.Head()
	for _, code := range codes {
		if err := c.record.Record(ctx, access{c.number(), code, operation}, p); err != nil {
			return nil, 0, rpc.Error(connect.CodeUnavailable, &pb.ErrorDetail{Reason: rpc.ReasonUnavailable},
				"the read cannot be recorded, so it is not answered")
		}
	}
	process, err := c.keeper.Reader()
	return process, sequence, err
}
