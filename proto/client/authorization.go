package client

import (
	"context"

	pb "healthledger/proto/healthledger/v1"
)

// RequestAuthorization asks the owner to let the app write and read types. It returns when
// the request is kept, in whatever lock state, and says nothing of what the owner decides.
// It is repeated like Save.
func (c *Client) RequestAuthorization(ctx context.Context, share, read []string) error {
	_, err := repeat(ctx, c, func(ctx context.Context) (*pb.RequestAuthorizationResponse, error) {
		return c.health.RequestAuthorization(ctx, &pb.RequestAuthorizationRequest{Share: share, Read: read})
	})
	return err
}

// RequestObjectAuthorization asks the owner to let the app read objects of a type that is
// granted object by object, again whatever was decided before. It is like
// RequestAuthorization otherwise.
func (c *Client) RequestObjectAuthorization(ctx context.Context, req *pb.RequestObjectAuthorizationRequest) error {
	_, err := repeat(ctx, c, func(ctx context.Context) (*pb.RequestObjectAuthorizationResponse, error) {
		return c.health.RequestObjectAuthorization(ctx, req)
	})
	return err
}
