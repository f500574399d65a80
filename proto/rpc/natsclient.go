package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

// DefaultTimeout of a call whose context has no deadline. How long the request itself
// lets the service wait comes on top.
const DefaultTimeout = time.Minute

// NATSClient calls the methods of one service for one caller. It may be used from
// many goroutines. The connection must have been made with InboxPrefix(key).
type NATSClient struct {
	nc      *nats.Conn
	subject string // with the last dot
	session atomic.Pointer[nats.Header]
	// connected ends when the connection is lost; then a new one takes its place.
	connected atomic.Pointer[connected]
}

type connected struct {
	ctx  context.Context
	lost context.CancelFunc
}

var errLost = errors.New("lost while the call was under way")

// NewNATSClient returns a client for <prefix>.<store>.<key>.*.
func NewNATSClient(nc *nats.Conn, prefix, store, key string) *NATSClient {
	c := &NATSClient{nc: nc, subject: prefix + "." + store + "." + key + "."}
	c.ConnectionLost()
	return c
}

// ConnectionLost ends the calls under way with ReasonUnavailable: their answers
// will not come. Whoever made the connection calls it from the connection's
// disconnect handler; without it such calls wait for their deadlines.
func (c *NATSClient) ConnectionLost() {
	next := new(connected)
	next.ctx, next.lost = context.WithCancel(context.Background())
	if last := c.connected.Swap(next); last != nil {
		last.lost()
	}
}

// SetSession sets the owner's session that goes with every call; empty: none.
func (c *NATSClient) SetSession(session string) {
	if session == "" {
		c.session.Store(nil)
		return
	}
	c.session.Store(&nats.Header{HeaderSession: {session}})
}

type sessionKey struct{}

// WithSession returns a context whose calls by a NATSClient go with this session instead.
func WithSession(ctx context.Context, session string) context.Context {
	return context.WithValue(ctx, sessionKey{}, &nats.Header{HeaderSession: {session}})
}

// Invoke calls a method by its name in the schema and waits for the answer. A call that
// comes too early for the app's rate is made again when the service says, unless ctx ends
// before. The error is a *connect.Error with a detail: the service's own, or one of
// ReasonUnavailable (nobody answers, or the connection was lost, in which case the
// call may have been executed), ReasonTooLarge, ReasonCanceled and
// ReasonDeadlineExceeded.
func (c *NATSClient) Invoke(ctx context.Context, method string, request, response proto.Message) error {
	body, err := proto.Marshal(request)
	if err != nil {
		return InvalidArgument("request", "holds a string that is not UTF-8")
	}
	if len(body) > MaxRequest {
		return tooLarge()
	}
	defer clear(body)
	ctx, cancel := limited(ctx, waitOf(request))
	defer cancel()
	for tries := 0; ; tries++ {
		err := c.invoke(ctx, method, body, response)
		after := RetryAfter(err)
		if after == 0 {
			return err
		}
		// Whoever is refused again has been overtaken by other calls of the same app.
		after <<= min(tries, 5)
		if deadline, _ := ctx.Deadline(); time.Until(deadline) < after {
			return err
		}
		select {
		case <-time.After(after):
		case <-ctx.Done():
			return err
		}
	}
}

// invoke calls a method once.
func (c *NATSClient) invoke(ctx context.Context, method string, body []byte, response proto.Message) error {
	ctx, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	defer context.AfterFunc(c.connected.Load().ctx, func() { lost(errLost) })()
	msg := &nats.Msg{Subject: c.subject + method, Data: body}
	if session, ok := ctx.Value(sessionKey{}).(*nats.Header); ok {
		msg.Header = *session
	} else if session := c.session.Load(); session != nil {
		msg.Header = *session
	}
	answer, err := c.nc.RequestMsgWithContext(ctx, msg)
	if err != nil {
		if context.Cause(ctx) == errLost {
			err = errLost
		}
		return c.unanswered(err)
	}
	defer clear(answer.Data)
	if answer.Header != nil {
		if code := answer.Header.Get(micro.ErrorCodeHeader); code != "" {
			return decodeError(code, answer.Header.Get(micro.ErrorHeader), answer.Data, Protobuf)
		}
	}
	if err := Protobuf.Unmarshal(answer.Data, response); err != nil {
		return Internal(fmt.Errorf("answer to %s: %w", method, err))
	}
	return nil
}

// unanswered says why there is no answer.
func (c *NATSClient) unanswered(err error) *connect.Error {
	switch {
	case errors.Is(err, nats.ErrConnectionClosed) && refused(c.nc.LastError()):
		return Unauthenticated()
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Public(err)
	case errors.Is(err, nats.ErrTimeout):
		return Public(context.DeadlineExceeded)
	case errors.Is(err, nats.ErrMaxPayload):
		return Error(connect.CodeResourceExhausted, &pb.ErrorDetail{Reason: ReasonTooLarge}, "the request is larger than the server takes")
	case errors.Is(err, nats.ErrNoResponders):
		return Error(connect.CodeUnavailable, nil, "the service does not answer")
	}
	return Error(connect.CodeUnavailable, nil, "connection: %w", err)
}

// Unauthenticated says that the credentials or the session open nothing.
func Unauthenticated() *connect.Error {
	return Error(connect.CodeUnauthenticated, nil, "the credentials are not valid")
}

// refused reports whether the server has refused the credentials.
func refused(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthRevoked) || errors.Is(err, nats.ErrAuthExpired)
}

// limited gives a context without a deadline one: DefaultTimeout and a wait from now.
func limited(ctx context.Context, wait time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, DefaultTimeout+wait)
}

// waitOf returns how long a request lets the service wait for something to happen.
func waitOf(request proto.Message) time.Duration {
	if r, ok := request.(interface{ GetWaitMs() uint32 }); ok {
		return time.Duration(r.GetWaitMs()) * time.Millisecond
	}
	return 0
}

func call[Request, Response any, P interface {
	*Response
	proto.Message
}, Q interface {
	*Request
	proto.Message
}](ctx context.Context, c *NATSClient, method string, request Q) (P, error) {
	response := P(new(Response))
	if err := c.Invoke(ctx, method, request, response); err != nil {
		return nil, err
	}
	return response, nil
}

// healthClient implements pb.HealthServiceClient.
type healthClient struct{ c *NATSClient }

// NewHealthClient returns the health service behind a client made with the prefix
// "health".
func NewHealthClient(c *NATSClient) pb.HealthServiceClient { return healthClient{c} }

func (h healthClient) Save(ctx context.Context, r *pb.SaveRequest) (*pb.SaveResponse, error) {
	return call[pb.SaveRequest, pb.SaveResponse](ctx, h.c, "Save", r)
}

func (h healthClient) SavePart(ctx context.Context, r *pb.SavePartRequest) (*pb.SavePartResponse, error) {
	return call[pb.SavePartRequest, pb.SavePartResponse](ctx, h.c, "SavePart", r)
}

func (h healthClient) Delete(ctx context.Context, r *pb.DeleteRequest) (*pb.DeleteResponse, error) {
	return call[pb.DeleteRequest, pb.DeleteResponse](ctx, h.c, "Delete", r)
}

func (h healthClient) SetUpdates(ctx context.Context, r *pb.SetUpdatesRequest) (*pb.SetUpdatesResponse, error) {
	return call[pb.SetUpdatesRequest, pb.SetUpdatesResponse](ctx, h.c, "SetUpdates", r)
}

func (h healthClient) AckUpdates(ctx context.Context, r *pb.AckUpdatesRequest) (*pb.AckUpdatesResponse, error) {
	return call[pb.AckUpdatesRequest, pb.AckUpdatesResponse](ctx, h.c, "AckUpdates", r)
}

func (h healthClient) RequestAuthorization(ctx context.Context, r *pb.RequestAuthorizationRequest) (*pb.RequestAuthorizationResponse, error) {
	return call[pb.RequestAuthorizationRequest, pb.RequestAuthorizationResponse](ctx, h.c, "RequestAuthorization", r)
}

func (h healthClient) RequestObjectAuthorization(ctx context.Context, r *pb.RequestObjectAuthorizationRequest) (*pb.RequestObjectAuthorizationResponse, error) {
	return call[pb.RequestObjectAuthorizationRequest, pb.RequestObjectAuthorizationResponse](ctx, h.c, "RequestObjectAuthorization", r)
}

func (h healthClient) GetAuthorizationStatus(ctx context.Context, r *pb.GetAuthorizationStatusRequest) (*pb.GetAuthorizationStatusResponse, error) {
	return call[pb.GetAuthorizationStatusRequest, pb.GetAuthorizationStatusResponse](ctx, h.c, "GetAuthorizationStatus", r)
}

func (h healthClient) GetRequestStatus(ctx context.Context, r *pb.GetRequestStatusRequest) (*pb.GetRequestStatusResponse, error) {
	return call[pb.GetRequestStatusRequest, pb.GetRequestStatusResponse](ctx, h.c, "GetRequestStatus", r)
}

func (h healthClient) QueryPayload(ctx context.Context, r *pb.QueryPayloadRequest) (*pb.QueryPayloadResponse, error) {
	return call[pb.QueryPayloadRequest, pb.QueryPayloadResponse](ctx, h.c, "QueryPayload", r)
}

func (h healthClient) QuerySamples(ctx context.Context, r *pb.QuerySamplesRequest) (*pb.QuerySamplesResponse, error) {
	return call[pb.QuerySamplesRequest, pb.QuerySamplesResponse](ctx, h.c, "QuerySamples", r)
}

func (h healthClient) QueryStatistics(ctx context.Context, r *pb.QueryStatisticsRequest) (*pb.QueryStatisticsResponse, error) {
	return call[pb.QueryStatisticsRequest, pb.QueryStatisticsResponse](ctx, h.c, "QueryStatistics", r)
}

func (h healthClient) QueryChanges(ctx context.Context, r *pb.QueryChangesRequest) (*pb.QueryChangesResponse, error) {
	return call[pb.QueryChangesRequest, pb.QueryChangesResponse](ctx, h.c, "QueryChanges", r)
}

func (h healthClient) QuerySources(ctx context.Context, r *pb.QuerySourcesRequest) (*pb.QuerySourcesResponse, error) {
	return call[pb.QuerySourcesRequest, pb.QuerySourcesResponse](ctx, h.c, "QuerySources", r)
}

func (h healthClient) QueryPreferredUnits(ctx context.Context, r *pb.QueryPreferredUnitsRequest) (*pb.QueryPreferredUnitsResponse, error) {
	return call[pb.QueryPreferredUnitsRequest, pb.QueryPreferredUnitsResponse](ctx, h.c, "QueryPreferredUnits", r)
}

func (h healthClient) QueryOutcome(ctx context.Context, r *pb.QueryOutcomeRequest) (*pb.QueryOutcomeResponse, error) {
	return call[pb.QueryOutcomeRequest, pb.QueryOutcomeResponse](ctx, h.c, "QueryOutcome", r)
}

func (h healthClient) QueryUpdates(ctx context.Context, r *pb.QueryUpdatesRequest) (*pb.QueryUpdatesResponse, error) {
	return call[pb.QueryUpdatesRequest, pb.QueryUpdatesResponse](ctx, h.c, "QueryUpdates", r)
}

// ownerClient implements pb.OwnerServiceClient.
type ownerClient struct{ c *NATSClient }

// NewOwnerClient returns the owner service behind a client made with the prefix
// "owner".
func NewOwnerClient(c *NATSClient) pb.OwnerServiceClient { return ownerClient{c} }

func (o ownerClient) CreateStore(ctx context.Context, r *pb.CreateStoreRequest) (*pb.CreateStoreResponse, error) {
	return call[pb.CreateStoreRequest, pb.CreateStoreResponse](ctx, o.c, "CreateStore", r)
}

func (o ownerClient) Status(ctx context.Context, r *pb.StatusRequest) (*pb.StatusResponse, error) {
	return call[pb.StatusRequest, pb.StatusResponse](ctx, o.c, "Status", r)
}

func (o ownerClient) BeginUnlock(ctx context.Context, r *pb.BeginUnlockRequest) (*pb.BeginUnlockResponse, error) {
	return call[pb.BeginUnlockRequest, pb.BeginUnlockResponse](ctx, o.c, "BeginUnlock", r)
}

func (o ownerClient) Unlock(ctx context.Context, r *pb.UnlockRequest) (*pb.UnlockResponse, error) {
	return call[pb.UnlockRequest, pb.UnlockResponse](ctx, o.c, "Unlock", r)
}

func (o ownerClient) RekeyStore(ctx context.Context, r *pb.RekeyStoreRequest) (*pb.RekeyStoreResponse, error) {
	return call[pb.RekeyStoreRequest, pb.RekeyStoreResponse](ctx, o.c, "RekeyStore", r)
}

func (o ownerClient) ChangePassphrase(ctx context.Context, r *pb.ChangePassphraseRequest) (*pb.ChangePassphraseResponse, error) {
	return call[pb.ChangePassphraseRequest, pb.ChangePassphraseResponse](ctx, o.c, "ChangePassphrase", r)
}

func (o ownerClient) Lock(ctx context.Context, r *pb.LockRequest) (*pb.LockResponse, error) {
	return call[pb.LockRequest, pb.LockResponse](ctx, o.c, "Lock", r)
}

func (o ownerClient) AddApp(ctx context.Context, r *pb.AddAppRequest) (*pb.AddAppResponse, error) {
	return call[pb.AddAppRequest, pb.AddAppResponse](ctx, o.c, "AddApp", r)
}

func (o ownerClient) UpdateApp(ctx context.Context, r *pb.UpdateAppRequest) (*pb.UpdateAppResponse, error) {
	return call[pb.UpdateAppRequest, pb.UpdateAppResponse](ctx, o.c, "UpdateApp", r)
}

func (o ownerClient) ReplaceCredential(ctx context.Context, r *pb.ReplaceCredentialRequest) (*pb.ReplaceCredentialResponse, error) {
	return call[pb.ReplaceCredentialRequest, pb.ReplaceCredentialResponse](ctx, o.c, "ReplaceCredential", r)
}

func (o ownerClient) RemoveApp(ctx context.Context, r *pb.RemoveAppRequest) (*pb.RemoveAppResponse, error) {
	return call[pb.RemoveAppRequest, pb.RemoveAppResponse](ctx, o.c, "RemoveApp", r)
}

func (o ownerClient) ListApps(ctx context.Context, r *pb.ListAppsRequest) (*pb.ListAppsResponse, error) {
	return call[pb.ListAppsRequest, pb.ListAppsResponse](ctx, o.c, "ListApps", r)
}

func (o ownerClient) ListRequests(ctx context.Context, r *pb.ListRequestsRequest) (*pb.ListRequestsResponse, error) {
	return call[pb.ListRequestsRequest, pb.ListRequestsResponse](ctx, o.c, "ListRequests", r)
}

func (o ownerClient) Decide(ctx context.Context, r *pb.DecideRequest) (*pb.DecideResponse, error) {
	return call[pb.DecideRequest, pb.DecideResponse](ctx, o.c, "Decide", r)
}

func (o ownerClient) ListObjects(ctx context.Context, r *pb.ListObjectsRequest) (*pb.ListObjectsResponse, error) {
	return call[pb.ListObjectsRequest, pb.ListObjectsResponse](ctx, o.c, "ListObjects", r)
}

func (o ownerClient) DecideObjects(ctx context.Context, r *pb.DecideObjectsRequest) (*pb.DecideObjectsResponse, error) {
	return call[pb.DecideObjectsRequest, pb.DecideObjectsResponse](ctx, o.c, "DecideObjects", r)
}

func (o ownerClient) SetPolicy(ctx context.Context, r *pb.SetPolicyRequest) (*pb.SetPolicyResponse, error) {
	return call[pb.SetPolicyRequest, pb.SetPolicyResponse](ctx, o.c, "SetPolicy", r)
}

func (o ownerClient) SetSourceOrder(ctx context.Context, r *pb.SetSourceOrderRequest) (*pb.SetSourceOrderResponse, error) {
	return call[pb.SetSourceOrderRequest, pb.SetSourceOrderResponse](ctx, o.c, "SetSourceOrder", r)
}

func (o ownerClient) SetPreferredUnits(ctx context.Context, r *pb.SetPreferredUnitsRequest) (*pb.SetPreferredUnitsResponse, error) {
	return call[pb.SetPreferredUnitsRequest, pb.SetPreferredUnitsResponse](ctx, o.c, "SetPreferredUnits", r)
}

func (o ownerClient) DeleteSamples(ctx context.Context, r *pb.DeleteSamplesRequest) (*pb.DeleteSamplesResponse, error) {
	return call[pb.DeleteSamplesRequest, pb.DeleteSamplesResponse](ctx, o.c, "DeleteSamples", r)
}

func (o ownerClient) Erase(ctx context.Context, r *pb.EraseRequest) (*pb.EraseResponse, error) {
	return call[pb.EraseRequest, pb.EraseResponse](ctx, o.c, "Erase", r)
}

func (o ownerClient) ProveErasures(ctx context.Context, r *pb.ProveErasuresRequest) (*pb.ProveErasuresResponse, error) {
	return call[pb.ProveErasuresRequest, pb.ProveErasuresResponse](ctx, o.c, "ProveErasures", r)
}

func (o ownerClient) ListAccess(ctx context.Context, r *pb.ListAccessRequest) (*pb.ListAccessResponse, error) {
	return call[pb.ListAccessRequest, pb.ListAccessResponse](ctx, o.c, "ListAccess", r)
}

func (o ownerClient) SummarizeAccess(ctx context.Context, r *pb.SummarizeAccessRequest) (*pb.SummarizeAccessResponse, error) {
	return call[pb.SummarizeAccessRequest, pb.SummarizeAccessResponse](ctx, o.c, "SummarizeAccess", r)
}

func (o ownerClient) GrantDisclosure(ctx context.Context, r *pb.GrantDisclosureRequest) (*pb.GrantDisclosureResponse, error) {
	return call[pb.GrantDisclosureRequest, pb.GrantDisclosureResponse](ctx, o.c, "GrantDisclosure", r)
}

func (o ownerClient) RevokeDisclosure(ctx context.Context, r *pb.RevokeDisclosureRequest) (*pb.RevokeDisclosureResponse, error) {
	return call[pb.RevokeDisclosureRequest, pb.RevokeDisclosureResponse](ctx, o.c, "RevokeDisclosure", r)
}

func (o ownerClient) ListDisclosures(ctx context.Context, r *pb.ListDisclosuresRequest) (*pb.ListDisclosuresResponse, error) {
	return call[pb.ListDisclosuresRequest, pb.ListDisclosuresResponse](ctx, o.c, "ListDisclosures", r)
}

func (o ownerClient) AccountDisclosures(ctx context.Context, r *pb.AccountDisclosuresRequest) (*pb.AccountDisclosuresResponse, error) {
	return call[pb.AccountDisclosuresRequest, pb.AccountDisclosuresResponse](ctx, o.c, "AccountDisclosures", r)
}

func (o ownerClient) OpenExport(ctx context.Context, r *pb.OpenExportRequest) (*pb.OpenExportResponse, error) {
	return call[pb.OpenExportRequest, pb.OpenExportResponse](ctx, o.c, "OpenExport", r)
}

func (o ownerClient) CloseExport(ctx context.Context, r *pb.CloseExportRequest) (*pb.CloseExportResponse, error) {
	return call[pb.CloseExportRequest, pb.CloseExportResponse](ctx, o.c, "CloseExport", r)
}

func (o ownerClient) ListLog(ctx context.Context, r *pb.ListLogRequest) (*pb.ListLogResponse, error) {
	return call[pb.ListLogRequest, pb.ListLogResponse](ctx, o.c, "ListLog", r)
}

func (o ownerClient) SignCheckpoint(ctx context.Context, r *pb.SignCheckpointRequest) (*pb.SignCheckpointResponse, error) {
	return call[pb.SignCheckpointRequest, pb.SignCheckpointResponse](ctx, o.c, "SignCheckpoint", r)
}

func (o ownerClient) ProveLog(ctx context.Context, r *pb.ProveLogRequest) (*pb.ProveLogResponse, error) {
	return call[pb.ProveLogRequest, pb.ProveLogResponse](ctx, o.c, "ProveLog", r)
}

func (o ownerClient) ReplaceDevice(ctx context.Context, r *pb.ReplaceDeviceRequest) (*pb.ReplaceDeviceResponse, error) {
	return call[pb.ReplaceDeviceRequest, pb.ReplaceDeviceResponse](ctx, o.c, "ReplaceDevice", r)
}

func (o ownerClient) ReadSegments(ctx context.Context, r *pb.ReadSegmentsRequest) (*pb.ReadSegmentsResponse, error) {
	return call[pb.ReadSegmentsRequest, pb.ReadSegmentsResponse](ctx, o.c, "ReadSegments", r)
}

func (o ownerClient) RestoreStore(ctx context.Context, r *pb.RestoreStoreRequest) (*pb.RestoreStoreResponse, error) {
	return call[pb.RestoreStoreRequest, pb.RestoreStoreResponse](ctx, o.c, "RestoreStore", r)
}

func (o ownerClient) VerifyLog(ctx context.Context, r *pb.VerifyLogRequest) (*pb.VerifyLogResponse, error) {
	return call[pb.VerifyLogRequest, pb.VerifyLogResponse](ctx, o.c, "VerifyLog", r)
}

func (o ownerClient) ReadLog(ctx context.Context, r *pb.ReadLogRequest) (*pb.ReadLogResponse, error) {
	return call[pb.ReadLogRequest, pb.ReadLogResponse](ctx, o.c, "ReadLog", r)
}

func (o ownerClient) Replay(ctx context.Context, r *pb.ReplayRequest) (*pb.ReplayResponse, error) {
	return call[pb.ReplayRequest, pb.ReplayResponse](ctx, o.c, "Replay", r)
}

func (o ownerClient) OpenPast(ctx context.Context, r *pb.OpenPastRequest) (*pb.OpenPastResponse, error) {
	return call[pb.OpenPastRequest, pb.OpenPastResponse](ctx, o.c, "OpenPast", r)
}
