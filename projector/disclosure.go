package projector

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/authz"
	"healthledger/projector/query"
	"healthledger/projector/view"
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// handOver answers a query of an export to a third party, with what its grant holds as of
// now and the export has said that it takes of it.
func (s *service) handOver(ctx context.Context, req *pb.ReadRequest) (*pb.ReadResponse, error) {
	h := handing{begun: req.GetReader().GetDisclosure()}
	var answer proto.Message
	err := s.using(ctx, req.GetSequence(), func(_ *openStore, p *projection) (err error) {
		h.projection = p
		answer, err = h.answer(ctx, req)
		return err
	})
	if err != nil {
		return nil, s.refuse(fmt.Sprintf("hand over %T", req.GetQuery()), err)
	}
	encoded, err := proto.Marshal(answer)
	if err != nil {
		return nil, s.internal("hand over", err)
	}
	return &pb.ReadResponse{Answer: encoded, HandedOver: h.counts}, nil
}

func noDisclosure(err error) error {
	return rpc.Error(connect.CodeNotFound, &pb.ErrorDetail{Reason: rpc.ReasonNotFound, Field: "disclosure", Why: err.Error()}, "%s", err)
}

// handing is one query of an export to a third party.
type handing struct {
	*projection
	grant *authz.Disclosure
	scope authz.Scope
	// begun is what stands in the log of the export.
	begun  *pb.DisclosureBegun
	counts []*pb.DisclosureCount
}

func (h *handing) answer(ctx context.Context, req *pb.ReadRequest) (answer proto.Message, err error) {
	if h.grant, h.scope, err = h.state.Disclose(h.begun.GetGrant(), time.Now().UnixMicro()); err != nil {
		return nil, err
	}
	switch query := req.GetQuery().(type) {
	case *pb.ReadRequest_Samples:
		return h.samples(ctx, query.Samples)
	case *pb.ReadRequest_Payload:
		return h.payload(ctx, query.Payload)
	default:
		return nil, errors.New("it is not handed over")
	}
}

// period is what is in both the grant and the export.
func (h *handing) period() (from, to int64) {
	from, to = h.grant.From, h.grant.To
	if h.begun.From != nil {
		from = max(from, h.begun.GetFrom())
	}
	if h.begun.To != nil {
		to = min(to, h.begun.GetTo())
	}
	return from, max(from, to)
}

func (h *handing) names(field, name string) error {
	if t, ok := catalog.Lookup(name); ok && !slices.Contains(h.begun.GetTypes(), t.Code) {
		return &query.ArgumentError{Field: field, Value: name, Why: "the export does not name it"}
	}
	return nil
}

// samples has a query answered with what lies whole in the period, and so do its members.
func (h *handing) samples(ctx context.Context, req *pb.QuerySamplesRequest) (*pb.QuerySamplesResponse, error) {
	for i, name := range req.GetTypes() {
		if err := h.names(fmt.Sprintf("types[%d]", i), name); err != nil {
			return nil, err
		}
	}
	from, to := h.period()
	inside := proto.CloneOf(req)
	inside.Match = pb.PeriodMatch_PERIOD_MATCH_STRICT
	inside.From, inside.To = timeOrNone(from, math.MinInt64), timeOrNone(to, math.MaxInt64)
	answer, err := h.engine.Samples(ctx, h.scope, inside)
	if err != nil {
		return nil, err
	}
	outside := func(s *pb.Sample) bool {
		start, err := health.Micros(s.GetStart())
		end, err2 := health.Micros(s.GetEnd())
		return err != nil || err2 != nil || start < from || end >= to
	}
	counts := map[uint32]uint64{}
	answer.Samples = slices.DeleteFunc(answer.Samples, func(s *pb.Sample) bool {
		s.Members = slices.DeleteFunc(s.Members, outside)
		t, ok := catalog.Lookup(s.GetType())
		if !ok || outside(s) || t.Kind == catalog.Correlation && len(s.Members) == 0 {
			return true
		}
		counts[t.Code]++
		return false
	})
	for code, n := range counts {
		h.counts = append(h.counts, &pb.DisclosureCount{Type: code, Count: n})
	}
	return answer, nil
}

// payload needs a token that samples has given for the same grant.
func (h *handing) payload(ctx context.Context, req *pb.QueryPayloadRequest) (*pb.QueryPayloadResponse, error) {
	if err := h.names("type", req.GetType()); err != nil {
		return nil, err
	}
	return h.engine.Payload(ctx, h.scope, req)
}

// openExport says what an export under a grant takes of it.
func (p *projection) openExport(reader *pb.Reader, req *pb.OpenExportRequest) (*pb.DisclosureBegun, error) {
	if reader.GetApp() != 0 {
		return nil, errNotOwner
	}
	grant, _, err := p.state.Disclose(req.GetDisclosure(), time.Now().UnixMicro())
	if err != nil {
		return nil, err
	}
	begun := &pb.DisclosureBegun{Grant: grant.Number}
	for _, t := range catalog.All() {
		named := func(t *catalog.Type) bool { return slices.Contains(grant.Types, t.Code) }
		if named(t) || slices.ContainsFunc(t.Members(), named) {
			begun.Types = append(begun.Types, t.Code)
		}
	}
	if len(req.GetTypes()) > 0 {
		if begun.Types, err = chosen(req.GetTypes(), begun.Types); err != nil {
			return nil, err
		}
	}
	from, to, err := microsBetween(req.GetFrom(), req.GetTo())
	if err != nil {
		return nil, err
	}
	from, to = max(from, grant.From), min(to, grant.To)
	if from >= to {
		return nil, &query.ArgumentError{Field: "to", Why: "nothing of the grant's period is before it and not before from"}
	}
	if from != math.MinInt64 {
		begun.From = &from
	}
	if to != math.MaxInt64 {
		begun.To = &to
	}
	return begun, nil
}

func chosen(names []string, granted []uint32) (codes []uint32, err error) {
	for i, name := range names {
		t, ok := catalog.Lookup(name)
		if !ok || !slices.Contains(granted, t.Code) {
			return nil, &query.ArgumentError{Field: fmt.Sprintf("types[%d]", i), Value: name, Why: "the grant does not name it"}
		}
		codes = append(codes, t.Code)
	}
	slices.Sort(codes)
	return slices.Compact(codes), nil
}

// listDisclosures returns the grants.
func (p *projection) listDisclosures(reader *pb.Reader) (*pb.ListDisclosuresResponse, error) {
	if reader.GetApp() != 0 {
		return nil, errNotOwner
	}
	answer := &pb.ListDisclosuresResponse{}
	now := time.Now().UnixMicro()
	for _, d := range p.state.Disclosures() {
		grant := &pb.DisclosureGrant{
			Number: d.Number, Recipient: d.Recipient, Types: typeNames(d.Types), From: timeOrNone(d.From, math.MinInt64), To: timeOrNone(d.To, math.MaxInt64),
			Purpose: d.Purpose, Statement: d.Statement, Granted: health.Timestamp(d.Granted), Expires: health.Timestamp(d.Expires),
		}
		grant.BundleId = p.nameOf(d.App)
		if at, why := d.EndedBy(now); why != "" {
			grant.Ended, grant.WhyEnded = health.Timestamp(at), why
		}
		answer.Grants = append(answer.Grants, grant)
	}
	return answer, nil
}

// Of the account of disclosures a page has at most so many bytes, chosen of so many entries.
const (
	maxAccount     = 256 << 10
	maxAccountSeen = 10_000
	// accountContext is what its page tokens are bound to.
	accountContext = "disclosures"
)

// accountDisclosures returns a page of what was handed over.
func (p *projection) accountDisclosures(ctx context.Context, reader *pb.Reader, req *pb.AccountDisclosuresRequest) (*pb.AccountDisclosuresResponse, error) {
	if reader.GetApp() != 0 {
		return nil, errNotOwner
	}
	after, err := p.openOwnerToken(accountContext, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	f := req.GetFilter()
	apps, err := numbersOf(p.state, f.GetApp())
	if err != nil {
		return nil, err
	}
	from, to, err := microsBetween(f.GetFrom(), f.GetTo())
	if err != nil {
		return nil, err
	}
	grants := map[uint64]*authz.Disclosure{}
	for _, d := range p.state.Disclosures() {
		if (f.GetApp() == "" || slices.Contains(apps, d.App)) && (f.GetRecipient() == "" || f.GetRecipient() == d.Recipient.GetName()) {
			grants[d.Number] = d
		}
	}
	snapshot, err := p.view.Snapshot()
	if err != nil {
		return nil, err
	}
	page := &pb.AccountDisclosuresResponse{}
	var last []byte
	seen, size, more := 0, 0, false
	err = snapshot.Disclosures(from, to, after, func(d *view.Disclosure) bool {
		if more = size >= maxAccount || seen == maxAccountSeen; more || ctx.Err() != nil {
			return false
		}
		seen++
		last = d.Position()
		if grant := grants[d.Begun.GetGrant()]; grant != nil {
			entry := p.disclosureOf(grant, d)
			page.Disclosures = append(page.Disclosures, entry)
			size += proto.Size(entry)
		}
		return true
	})
	if err = errors.Join(err, ctx.Err(), snapshot.Close()); err != nil || !more {
		return page, err
	}
	page.NextPageToken, err = p.sealOwnerToken(accountContext, last)
	return page, err
}

// disclosureOf says of a disclosure all that an accounting needs.
func (p *projection) disclosureOf(grant *authz.Disclosure, d *view.Disclosure) *pb.Disclosure {
	entry := &pb.Disclosure{
		Time: health.Timestamp(d.Begun.GetTime()), Grant: grant.Number, Recipient: grant.Recipient, Types: typeNames(d.Begun.GetTypes()),
		Purpose: grant.Purpose, Statement: grant.Statement, Outcome: pb.DisclosureOutcome_DISCLOSURE_OUTCOME_UNKNOWN,
	}
	entry.BundleId = p.nameOf(grant.App)
	if d.Begun.From != nil {
		entry.From = health.Timestamp(d.Begun.GetFrom())
	}
	if d.Begun.To != nil {
		entry.To = health.Timestamp(d.Begun.GetTo())
	}
	switch {
	case d.Ended == nil:
		return entry
	case d.Ended.GetComplete():
		entry.Outcome = pb.DisclosureOutcome_DISCLOSURE_OUTCOME_COMPLETE
	default:
		entry.Outcome = pb.DisclosureOutcome_DISCLOSURE_OUTCOME_CUT_SHORT
	}
	for _, c := range d.Ended.GetCounts() {
		entry.Counts = append(entry.Counts, &pb.TypeCount{Type: typeName(c.GetType()), Count: c.GetCount()})
	}
	return entry
}

func typeNames(codes []uint32) (names []string) {
	for _, code := range codes {
		names = append(names, typeName(code))
	}
	return names
}

// timeOrNone is absent where an end is open.
func timeOrNone(t, open int64) *timestamppb.Timestamp {
	if t == open {
		return nil
	}
	return health.Timestamp(t)
}

// microsBetween is the inverse of timeOrNone for both ends.
func microsBetween(from, to *timestamppb.Timestamp) (first, end int64, err error) {
	if first, err = microsOr(from, "from", math.MinInt64); err != nil {
		return 0, 0, err
	}
	end, err = microsOr(to, "to", math.MaxInt64)
	return first, end, err
}

func microsOr(t *timestamppb.Timestamp, field string, none int64) (int64, error) {
	if t == nil {
		return none, nil
	}
	at, err := health.Micros(t)
	if err != nil {
		return 0, &query.ArgumentError{Field: field, Why: err.Error()}
	}
	return at, nil
}
