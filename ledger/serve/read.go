package serve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"healthledger/ledger"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// maxTypes is how many types one request names.
const maxTypes = 1000

// question is a query as the record of reads sees it.
type question struct {
	operation string
	// Short names of the types that are read, and what the request's field of them is called.
	types  []string
	field  string
	period period
	// receipt of a save or a delete that the answer must contain; empty: none.
	receipt string
	// waits is how long the caller waits for something to answer, 0: not at all.
	waits time.Duration
}

// QuerySamples implements pb.HealthServiceHandler.
func (s *healthService) QuerySamples(ctx context.Context, req *pb.QuerySamplesRequest) (*pb.QuerySamplesResponse, error) {
	return passOn[pb.QuerySamplesResponse](ctx, s, question{
		operation: "samples", types: req.GetTypes(), field: "types", period: periodOf(req.GetFrom(), req.GetTo()), receipt: req.GetReceipt(),
	}, &pb.ReadRequest{Query: &pb.ReadRequest_Samples{Samples: req}})
}

// QueryChanges implements pb.HealthServiceHandler.
func (s *healthService) QueryChanges(ctx context.Context, req *pb.QueryChangesRequest) (*pb.QueryChangesResponse, error) {
	return passOn[pb.QueryChangesResponse](ctx, s, question{
		operation: "changes", types: []string{req.GetType()}, period: periodOf(nil, nil), receipt: req.GetReceipt(),
		waits: time.Duration(req.GetWaitMs()) * time.Millisecond,
	}, &pb.ReadRequest{Query: &pb.ReadRequest_Changes{Changes: req}})
}

// QueryStatistics implements pb.HealthServiceHandler.
func (s *healthService) QueryStatistics(ctx context.Context, req *pb.QueryStatisticsRequest) (*pb.QueryStatisticsResponse, error) {
	return passOn[pb.QueryStatisticsResponse](ctx, s, question{
		operation: "statistics", types: []string{req.GetType()}, period: periodOf(req.GetFrom(), req.GetTo()), receipt: req.GetReceipt(),
	}, &pb.ReadRequest{Query: &pb.ReadRequest_Statistics{Statistics: req}})
}

// QueryPayload implements pb.HealthServiceHandler.
func (s *healthService) QueryPayload(ctx context.Context, req *pb.QueryPayloadRequest) (*pb.QueryPayloadResponse, error) {
	return passOn[pb.QueryPayloadResponse](ctx, s, question{
		operation: "payload", types: []string{req.GetType()}, period: periodOf(nil, nil),
	}, &pb.ReadRequest{Query: &pb.ReadRequest_Payload{Payload: req}})
}

// QuerySources implements pb.HealthServiceHandler.
func (s *healthService) QuerySources(ctx context.Context, req *pb.QuerySourcesRequest) (*pb.QuerySourcesResponse, error) {
	return passOn[pb.QuerySourcesResponse](ctx, s, question{
		operation: "sources", types: []string{req.GetType()}, period: periodOf(nil, nil), receipt: req.GetReceipt(),
	}, &pb.ReadRequest{Query: &pb.ReadRequest_Sources{Sources: req}})
}

// QueryOutcome implements pb.HealthServiceHandler. What an app has done itself is not
// recorded as a read.
func (s *healthService) QueryOutcome(ctx context.Context, req *pb.QueryOutcomeRequest) (*pb.QueryOutcomeResponse, error) {
	receipt, err := ctx.Value(callerKey{}).(caller).receipt(req.GetReceipt())
	if err != nil {
		return nil, err
	}
	resp, err := passOn[pb.QueryOutcomeResponse](ctx, s, question{receipt: req.GetReceipt()},
		&pb.ReadRequest{Query: &pb.ReadRequest_Outcome{Outcome: &pb.Outcome{RequestId: receipt.RequestID[:]}}})
	if err != nil {
		return nil, err
	}
	// One that came again, in another segment, is there.
	known := resp.GetStored()+resp.GetDuplicates()+resp.GetIncomplete()+resp.GetDeleted() > 0
	resp.Lost = !known && ctx.Value(callerKey{}).(caller).store.LostAt(receipt.Sequence)
	return resp, nil
}

// QueryPreferredUnits implements pb.HealthServiceHandler. It reads no samples, so it is
// not recorded.
func (s *healthService) QueryPreferredUnits(ctx context.Context, req *pb.QueryPreferredUnitsRequest) (*pb.QueryPreferredUnitsResponse, error) {
	return passOn[pb.QueryPreferredUnitsResponse](ctx, s, question{}, &pb.ReadRequest{Query: &pb.ReadRequest_PreferredUnits{PreferredUnits: req}})
}

// passOn has a query answered. What the projector wrote goes out as it is.
func passOn[R any, M interface {
	*R
	proto.Message
}](ctx context.Context, s *healthService, q question, req *pb.ReadRequest) (M, error) {
	answer, err := s.read(ctx, q, req)
	if err != nil {
		return nil, err
	}
	return rpc.Encoded(M(new(R)), answer.GetAnswer()), nil
}

// decoded is an answer that the daemon itself wants to know.
func decoded[R any, M interface {
	*R
	proto.Message
}](answer *pb.ReadResponse) (M, error) {
	m := M(new(R))
	if err := proto.Unmarshal(answer.GetAnswer(), m); err != nil {
		return nil, rpc.Internal(err)
	}
	return m, nil
}

// read records a question and has the query answered for the caller, if it still is one
// when the answer is there.
func (s *healthService) read(ctx context.Context, q question, req *pb.ReadRequest) (*pb.ReadResponse, error) {
	c := ctx.Value(callerKey{}).(caller)
	answer, err := s.answer(ctx, c, q, req)
	if refusal := c.stands(); refusal != nil {
		return nil, refusal
	}
	return answer, err
}

func (s *healthService) answer(ctx context.Context, c caller, q question, req *pb.ReadRequest) (*pb.ReadResponse, error) {
	codes, err := q.codes()
	if err != nil {
		return nil, err
	}
	if c.export != nil {
		if q.operation != "samples" && q.operation != "payload" {
			return nil, rpc.Error(connect.CodePermissionDenied, nil, "an export reads samples and payloads")
		}
		q.operation = c.export.operation()
	}
	if c.past != "" && q.waits != 0 {
		return nil, rpc.InvalidArgument("wait_ms", "nothing happens in the past any more")
	}
	if q.waits < 0 || q.waits > maxWait {
		return nil, rpc.InvalidValue("wait_ms", "", "at most 60000")
	}
	if q.receipt != "" {
		receipt, err := c.receipt(q.receipt)
		if err != nil {
			return nil, err
		}
		if err := s.daemon.awaitView(ctx, c, receipt.Sequence); err != nil {
			return nil, err
		}
	}
	// Everything acknowledged before must be in the answer.
	sequence, _, _ := c.store.Head()
	if err := c.record.Record(ctx, c.number(), q.operation, codes, q.period); err != nil {
		return nil, errUnrecorded(err)
	}
	req.Reader, req.Sequence = c.reader(), sequence
	if q.waits > 0 {
		var answer *pb.ReadResponse
		err := s.daemon.await(ctx, c, func(ctx context.Context, process Projector) (err error) {
			answer, err = process.Read(ctx, req)
			return err
		})
		return answer, err
	}
	process, err := c.keeper.Reader()
	if err != nil {
		return nil, err
	}
	answer, err := process.Read(ctx, req)
	if err != nil {
		return nil, c.failed(err)
	}
	if c.export != nil {
		if err := c.export.count(answer.GetHandedOver()); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

// reader says to the projector who asks.
func (c caller) reader() *pb.Reader {
	if c.export != nil {
		return &pb.Reader{Disclosure: c.export.begun}
	}
	return &pb.Reader{App: c.number(), Past: c.past}
}

func errUnrecorded(err error) error {
	if errors.Is(err, log.ErrNoSpace) {
		return ledger.NoSpace("the read cannot be recorded, so it is not answered")
	}
	return rpc.Error(connect.CodeUnavailable, &pb.ErrorDetail{Reason: rpc.ReasonUnavailable},
		"the read cannot be recorded, so it is not answered")
}

// codes are those of the types that are read.
func (q *question) codes() ([]uint32, error) {
	if len(q.types) > maxTypes {
		return nil, rpc.InvalidArgument(q.field, fmt.Sprintf("more than %d types", maxTypes))
	}
	codes := make([]uint32, len(q.types))
	for i, name := range q.types {
		field := "type"
		if q.field != "" {
			field = fmt.Sprintf("%s[%d]", q.field, i)
		}
		code, err := ledger.TypeCode(field, name)
		if err != nil {
			return nil, err
		}
		codes[i] = code
	}
	return codes, nil
}

// receipt opens a receipt of the caller's. One of others and one that is made up are the
// same; the owner has none.
func (c caller) receipt(text string) (ledger.Receipt, error) {
	invalid := rpc.InvalidValue("receipt", "", "it is not a receipt of this app")
	if c.app == nil {
		return ledger.Receipt{}, invalid
	}
	receipt, err := c.store.Receipt(c.app, text)
	if errors.Is(err, seal.ErrToken) {
		return receipt, invalid
	}
	if err != nil {
		return receipt, rpc.Internal(err)
	}
	if head, _, _ := c.store.Head(); receipt.Sequence > head {
		return receipt, rpc.Error(connect.CodeDataLoss, &pb.ErrorDetail{Reason: rpc.ReasonDataLoss, Field: "receipt"},
			"what the receipt is of is lost: the log was cut short")
	}
	return receipt, nil
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

func (c caller) number() uint64 {
	if c.app == nil {
		return 0
	}
	return c.app.Number
}
