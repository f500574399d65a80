package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"healthledger/ledger"
	"healthledger/ledger/serve"
	"healthledger/ledger/serve/natsserver"
	"healthledger/projector"
)

type serveCmd struct {
	Listen   string        `help:"Address for NATS clients; beyond loopback with a certificate only." default:"127.0.0.1:0"`
	HTTP     string        `name:"http" help:"Also answer over HTTP (Connect, gRPC, JSON) at this address; beyond loopback with a certificate only."`
	Metrics  string        `help:"Answer /healthz, /readyz and, to whoever shows the token in metrics.token of the data directory, /metrics (Prometheus) at this address; beyond loopback with a certificate only."`
	Cert     string        `name:"tls-cert" help:"Certificate (PEM; the chain behind it, if there is one) for NATS and HTTP, which then speak nothing but TLS. Read at the start." type:"existingfile" and:"tls"`
	CertKey  string        `name:"tls-key" help:"Key of the certificate (PEM)." type:"existingfile" and:"tls"`
	Requests int           `name:"app-requests" help:"Requests that each app may make in a second; the owner is not limited." default:"${app_requests}"`
	Bytes    int           `name:"app-bytes" help:"Bytes of requests that each app may send in a second." default:"${app_bytes}"`
	Reserve  byteCount     `help:"How much of the disk apps leave free (as 256MiB): beneath that they cannot write, and what is left is for the records without which nobody reads, and for the owner's decisions. 0: nothing." default:"${reserve}"`
	AutoLock time.Duration `help:"Lock a store so long after its owner was last there (0: never)." default:"12h"`
	Logging  logging       `embed:""`
}

// Run serves until it is told to end.
func (c *serveCmd) Run(ctx context.Context, g *globals) error {
	if c.Requests < 1 {
		return usagef("--app-requests: %d is not a number from 1", c.Requests)
	}
	if c.Bytes < 1 {
		return usagef("--app-bytes: %d is not a number from 1", c.Bytes)
	}
	if c.AutoLock < 0 {
		return usagef("--auto-lock: %s is not a time from 0", c.AutoLock)
	}
	for flag, address := range map[string]string{"--listen": c.Listen, "--http": c.HTTP, "--metrics": c.Metrics} {
		if _, _, err := net.SplitHostPort(address); err != nil && address != "" {
			return usagef("%s: %q is not HOST:PORT", flag, address)
		}
	}
	options, err := g.serveOptions(c.Logging)
	if err != nil {
		return err
	}
	options.Listen, options.AutoLock, options.Reserve = c.Listen, c.AutoLock, uint64(c.Reserve)
	options.Rates = serve.Rates{Requests: c.Requests, Bytes: c.Bytes}
	options.HTTP, options.Metrics, options.TLS = c.HTTP, c.Metrics, serve.TLS{Certificate: c.Cert, Key: c.CertKey}
	d, err := serve.Start(ctx, options)
	if errors.Is(err, natsserver.ErrNotLoopback) {
		return fmt.Errorf("%w: give --tls-cert and --tls-key", err)
	}
	if err != nil {
		return err
	}
	defer d.Close()
	ids, err := ledger.Stores(g.Dir)
	if err != nil {
		return err
	}
	if g.JSON {
		a := d.Address()
		if err := g.printJSON(map[string]any{"url": a.URL, "http": a.HTTP, "metrics": a.Metrics, "pid": os.Getpid(), "stores": len(ids)}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(g.out, "Serving %d locked store(s) of %s on %s\n", len(ids), g.Dir, strings.TrimSpace(d.Address().URL+" "+d.Address().HTTP))
	}
	<-ctx.Done()
	return nil
}

type projectorCmd struct {
	Logging logging `embed:""`
}

// Run is the projector's process; only a daemon starts it.
func (c *projectorCmd) Run(ctx context.Context, g *globals) error {
	socket := os.NewFile(3, "daemon")
	if socket == nil {
		return usagef("a projector is started by the daemon")
	}
	return projector.Run(ctx, socket, g.in, c.Logging.logger(g.err))
}
