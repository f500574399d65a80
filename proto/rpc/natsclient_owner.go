package rpc

import (
	"context"

	pb "healthledger/proto/healthledger/v1"
)

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

func (o ownerClient) AcceptLoss(ctx context.Context, r *pb.AcceptLossRequest) (*pb.AcceptLossResponse, error) {
	return call[pb.AcceptLossRequest, pb.AcceptLossResponse](ctx, o.c, "AcceptLoss", r)
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

func (o ownerClient) SetRetention(ctx context.Context, r *pb.SetRetentionRequest) (*pb.SetRetentionResponse, error) {
	return call[pb.SetRetentionRequest, pb.SetRetentionResponse](ctx, o.c, "SetRetention", r)
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
