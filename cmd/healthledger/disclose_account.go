package main

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "healthledger/proto/healthledger/v1"
)

// accountYears is how far back an accounting goes (45 CFR 164.528(a)(1)). Nothing older is
// gone: --from asks for it.
const accountYears = 6

type discloseAccountCmd struct {
	span
	zoned
	inCSV
	App       string `help:"Only by this app; one that was removed, too."`
	Recipient string `help:"Only to this recipient." placeholder:"NAME"`
	Summary   bool   `help:"Print the first, the last and how many, by app, recipient and purpose."`
}

func (c *discloseAccountCmd) Run(ctx context.Context, g *globals) error {
	if err := c.check(g); err != nil {
		return err
	}
	loc, err := c.zone()
	if err != nil {
		return err
	}
	filter := &pb.DisclosureFilter{App: c.App, Recipient: c.Recipient}
	if filter.From, filter.To, err = c.period(loc); err != nil {
		return err
	}
	if filter.From == nil {
		filter.From = timestamppb.New(time.Now().AddDate(-accountYears, 0, 0).Truncate(time.Second))
	}
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	all, err := o.disclosures(ctx, filter)
	switch {
	case err != nil:
		return err
	case c.Summary:
		return c.summarize(g, all, loc)
	case g.JSON:
		return printMessages(g, all)
	}
	if len(all) == 0 {
		c.nothing(g, "nothing was handed over")
	}
	t := g.newListing(c.CSV, "time", "recipient", "category", "address", "app", "what", "from", "to", "purpose", "statement", "outcome", "grant")
	for _, d := range all {
		r := d.GetRecipient()
		err := t.row(asMoment(d.GetTime(), loc), asText(r.GetName()), asText(r.GetCategory()), asText(r.GetAddress()), asText(d.GetBundleId()),
			asText(whatText(d)), asMoment(d.GetFrom(), loc), asMoment(d.GetTo(), loc), asText(d.GetPurpose()), asText(d.GetStatement()),
			asText(enumText(d.GetOutcome().String(), "DISCLOSURE_OUTCOME_")), asCount(d.GetGrant()))
		if err != nil {
			return err
		}
	}
	return t.flush()
}

// disclosures returns what a filter holds, the newest first.
func (o *owner) disclosures(ctx context.Context, filter *pb.DisclosureFilter) (all []*pb.Disclosure, err error) {
	req := &pb.AccountDisclosuresRequest{Filter: filter}
	for {
		var page *pb.AccountDisclosuresResponse
		err := o.with(ctx, func() (err error) {
			page, err = o.Owner().AccountDisclosures(ctx, req)
			return err
		})
		if err != nil {
			return nil, err
		}
		all = append(all, page.GetDisclosures()...)
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return all, nil
		}
	}
}

// whatText is which types, and how many samples where that is known.
func whatText(d *pb.Disclosure) string {
	var parts []string
	for _, name := range d.GetTypes() {
		i := slices.IndexFunc(d.GetCounts(), func(c *pb.TypeCount) bool { return c.GetType() == name })
		switch {
		case i >= 0:
			parts = append(parts, name+": "+strconv.FormatUint(d.GetCounts()[i].GetCount(), 10))
		case d.GetOutcome() == pb.DisclosureOutcome_DISCLOSURE_OUTCOME_UNKNOWN:
			parts = append(parts, name+": unknown")
		default:
			parts = append(parts, name+": 0")
		}
	}
	return strings.Join(parts, ", ")
}

// disclosureSummary is what went to a recipient for a purpose (45 CFR 164.528(b)(3)).
type disclosureSummary struct {
	App       string `json:"app"`
	Recipient string `json:"recipient"`
	Address   string `json:"address"`
	Purpose   string `json:"purpose"`
	Count     uint64 `json:"count"`
	First     string `json:"first"`
	Last      string `json:"last"`
}

func (c *discloseAccountCmd) summarize(g *globals, all []*pb.Disclosure, loc *time.Location) error {
	var sums []*disclosureSummary
	for _, d := range all {
		at := d.GetTime().AsTime().In(loc).Format(time.RFC3339)
		i := slices.IndexFunc(sums, func(s *disclosureSummary) bool {
			return s.App == d.GetBundleId() && s.Recipient == d.GetRecipient().GetName() && s.Address == d.GetRecipient().GetAddress() && s.Purpose == d.GetPurpose()
		})
		if i < 0 {
			i = len(sums)
			sums = append(sums, &disclosureSummary{
				App: d.GetBundleId(), Recipient: d.GetRecipient().GetName(), Address: d.GetRecipient().GetAddress(), Purpose: d.GetPurpose(), Last: at,
			})
		}
		sums[i].Count++
		sums[i].First = at
	}
	t := g.newListing(c.CSV, "app", "recipient", "address", "purpose", "count", "first", "last")
	for _, s := range sums {
		var err error
		if g.JSON {
			err = g.printJSON(s)
		} else {
			err = t.row(asText(s.App), asText(s.Recipient), asText(s.Address), asText(s.Purpose), asCount(s.Count), asText(s.First), asText(s.Last))
		}
		if err != nil {
			return err
		}
	}
	if len(sums) == 0 {
		c.nothing(g, "nothing was handed over")
	}
	return t.flush()
}
