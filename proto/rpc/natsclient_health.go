package rpc

import (
	"context"

	pb "healthledger/proto/healthledger/v1"
)

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
