package main

import (
	"context"
	"fmt"
	"time"
	_ "time/tzdata" // for hosts that have no time zones installed

	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/projector/export"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// reader is who can answer a query.
type reader interface {
	export.Reader
	Health() pb.HealthServiceClient
}

// asWhom says who reads.
type asWhom struct {
	App         string `help:"Read as this app." xor:"who" required:""`
	Owner       bool   `help:"Read as the owner." xor:"who" required:""`
	Credentials string `help:"The app's credentials, if not in the data directory." type:"path"`
}

// as connects as the reader that was named and runs the query. A daemon in this
// process is unlocked first, since it serves nobody else.
func (a *asWhom) as(ctx context.Context, g *globals, query func(reader) error) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	if a.Owner {
		return o.with(ctx, func() error { return query(o) })
	}
	app, err := o.app(ctx, a.App, a.Credentials)
	if err != nil {
		return err
	}
	defer app.Close()
	if o.inside != nil {
		if err := o.unlockHere(ctx); err != nil {
			return err
		}
	}
	return query(app)
}

// zoned says in which time zone dates are.
type zoned struct {
	TimeZone string `name:"tz" help:"Time zone of dates, days and hours (IANA name; default: this machine's)."`
}

func (z *zoned) zone() (*time.Location, error) {
	if z.TimeZone == "" {
		return time.Local, nil
	}
	loc, err := time.LoadLocation(z.TimeZone)
	if err != nil {
		return nil, usagef("--tz: %w", err)
	}
	return loc, nil
}

// zoneName names the zone for the service, which may be on another machine.
func (z *zoned) zoneName() string {
	if z.TimeZone != "" {
		return z.TimeZone
	}
	if name := time.Local.String(); name != "Local" {
		return name
	}
	return localZoneName()
}

// span is a period.
type span struct {
	From string `help:"Start of the period (RFC 3339 or 2024-05-01)."`
	To   string `help:"End of the period, not included."`
}

func (s *span) period(loc *time.Location) (from, to *timestamppb.Timestamp, err error) {
	if from, err = date("--from", s.From, loc); err != nil {
		return nil, nil, err
	}
	to, err = date("--to", s.To, loc)
	return from, to, err
}

func date(flag, text string, loc *time.Location) (*timestamppb.Timestamp, error) {
	if text == "" {
		return nil, nil
	}
	t, err := health.ParseTime(text, loc)
	if err != nil {
		return nil, usagef("%s: %w", flag, err)
	}
	return timestamppb.New(t), nil
}

// receipted makes a query wait for what was saved or deleted.
type receipted struct {
	Receipt string `help:"Answer when this save or delete can be seen: the receipt that it printed."`
}

// inCSV says that answers are a file.
type inCSV struct {
	CSV bool `name:"csv" help:"Print comma-separated values, with exact numbers, and texts as they are."`
}

func (c *inCSV) check(g *globals) error {
	if c.CSV && g.JSON {
		return usagef("--csv: --json does not go with it")
	}
	return nil
}

// digits is how many a converted value has.
func (c *inCSV) digits() int {
	if c.CSV {
		return digitsInFile
	}
	return digitsToRead
}

// nothing tells a person that there is nothing; programs see it.
func (c *inCSV) nothing(g *globals, what string) {
	if !c.CSV && !g.JSON {
		fmt.Fprintln(g.err, what)
	}
}
