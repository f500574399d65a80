package main

import (
	"context"
	"encoding/base64"
	"fmt"

	pb "healthledger/proto/healthledger/v1"
)

type deviceCmd struct {
	Replace deviceReplaceCmd `cmd:"" help:"Write the log with a new device key from now on, and destroy the one before."`
}

type deviceReplaceCmd struct{}

func (c *deviceReplaceCmd) Run(ctx context.Context, g *globals) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	var resp *pb.ReplaceDeviceResponse
	err = o.with(ctx, func() (err error) {
		resp, err = o.Owner().ReplaceDevice(ctx, &pb.ReplaceDeviceRequest{})
		return err
	})
	if err != nil {
		return err
	}
	if g.JSON {
		return g.printMessage(resp)
	}
	fmt.Fprintf(g.out, "The log is written with another device key from now on: %s\n", base64.StdEncoding.EncodeToString(resp.GetSigningKey()))
	if left := resp.GetStoresLeft(); left > 0 {
		_, err = fmt.Fprintf(g.out, "The one before stays until the owners of %s have replaced it, too (--store).\n", counted(uint64(left), "other store", "other stores"))
	} else {
		_, err = fmt.Fprintln(g.out, "The one before is destroyed.")
	}
	return err
}
