package projector

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/authz"
	"healthledger/projector/query"
	"healthledger/projector/view"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

const (
	// maxAccesses is how many entries a page of the access log has at most, and
	// maxAccessesSeen of how many they are chosen.
	maxAccesses     = 1000
	maxAccessesSeen = 100_000
	// accessContext is what page tokens of the access log are bound to.
	accessContext = "access"
)

var errNotOwner = errors.New("it is the owner's to know")

// accessFilter chooses entries of the access log.
type accessFilter struct {
	all         bool
	apps        map[uint64]bool
	types       map[uint32]bool
	first, last int64 // minutes
}

func (p *projection) accessFilter(req *pb.AccessFilter) (*accessFilter, error) {
	f := &accessFilter{
		all: req.GetApp() == "" && !req.GetOwner(), apps: map[uint64]bool{0: req.GetOwner()}, types: map[uint32]bool{},
		first: math.MinInt64, last: math.MaxInt64,
	}
	numbers, err := numbersOf(p.state, req.GetApp())
	if err != nil {
		return nil, err
	}
	for _, n := range numbers {
		f.apps[n] = true
	}
	for i, name := range req.GetTypes() {
		t, ok := catalog.Lookup(name)
		if !ok {
			return nil, &query.ArgumentError{Field: fmt.Sprintf("types[%d]", i), Value: name, Why: "unknown type"}
		}
		f.types[t.Code] = true
	}
	if req.GetFrom() != nil {
		f.first = minuteOf(req.GetFrom().AsTime())
	}
	if req.GetTo() != nil {
		f.last = minuteOf(req.GetTo().AsTime().Add(-1))
	}
	return f, nil
}

// numbersOf are those of all apps that ever had a bundle id; no bundle id has none.
func numbersOf(state *authz.State, bundleID string) ([]uint64, error) {
	if bundleID == "" {
		return nil, nil
	}
	numbers := state.NumbersOf(bundleID)
	if len(numbers) == 0 {
		return nil, &query.ArgumentError{Field: "app", Value: bundleID, Why: "there has never been such an app"}
	}
	return numbers, nil
}

func (f *accessFilter) holds(a *view.Access) bool {
	return (f.all || f.apps[a.App]) && (len(f.types) == 0 || f.types[a.Type])
}

func minuteOf(t time.Time) int64 { return t.Truncate(time.Minute).Unix() / 60 }

func minuteTime(minute int64) *timestamppb.Timestamp {
	return timestamppb.New(time.Unix(minute*60, 0))
}

// accesses goes through the entries that a filter holds, the newest first.
func (p *projection) accesses(ctx context.Context, f *accessFilter, after []byte, yield func(a *view.Access, held bool) (more bool)) error {
	snapshot, err := p.view.Snapshot()
	if err != nil {
		return err
	}
	seen := 0
	err = snapshot.Accesses(f.first, f.last, after, func(a *view.Access) bool {
		if seen++; seen%1000 == 0 && (ctx.Err() != nil || snapshot.Err() != nil) {
			return false
		}
		return yield(a, f.holds(a))
	})
	return errors.Join(err, ctx.Err(), snapshot.Err(), snapshot.Close())
}

// listAccess returns a page of the access log.
func (p *projection) listAccess(ctx context.Context, reader *pb.Reader, req *pb.ListAccessRequest) (*pb.ListAccessResponse, error) {
	if reader.GetApp() != 0 {
		return nil, errNotOwner
	}
	if req.GetRefused() {
		return p.listRefusals(ctx, req)
	}
	f, err := p.accessFilter(req.GetFilter())
	if err != nil {
		return nil, err
	}
	after, err := p.openOwnerToken(accessContext, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	limit := accessLimit(req)
	page := &pb.ListAccessResponse{}
	var last view.Access
	seen, more := 0, false
	err = p.accesses(ctx, f, after, func(a *view.Access, held bool) bool {
		if more = len(page.Accesses) == limit || seen == maxAccessesSeen; more {
			return false
		}
		seen++
		last = *a
		if held {
			page.Accesses = append(page.Accesses, p.accessOf(a))
		}
		return true
	})
	if err != nil || !more {
		return page, err
	}
	page.NextPageToken, err = p.sealOwnerToken(accessContext, last.Position())
	return page, err
}

// accessLimit is how many entries a page has at most.
func accessLimit(req *pb.ListAccessRequest) int {
	if n := req.GetLimit(); n > 0 {
		return min(maxAccesses, int(n))
	}
	return maxAccesses
}

// sealOwnerToken makes a page token of one of the owner's lists.
func (p *projection) sealOwnerToken(list string, position []byte) (string, error) {
	token, err := pageTokens{p.tokenKey}.Seal([]byte(list), position)
	return base64.RawURLEncoding.EncodeToString(token), err
}

func (p *projection) openOwnerToken(list, text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	token, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		token, err = pageTokens{p.tokenKey}.Open([]byte(list), token)
	}
	if err != nil {
		return nil, &query.ArgumentError{Field: "page_token", Why: "it is not a page token of this list"}
	}
	return token, nil
}

func (p *projection) accessOf(a *view.Access) *pb.Access {
	access := &pb.Access{Type: typeName(a.Type), Operation: a.Operation, Minute: minuteTime(a.Minute)}
	access.BundleId, access.Purposes = p.readerOf(a.App, a.Minute)
	if a.Known {
		access.Count = &a.Count
	}
	if a.From != math.MinInt64 {
		access.From = timestamppb.New(time.UnixMicro(a.From))
	}
	if a.To != math.MaxInt64 {
		access.To = timestamppb.New(time.UnixMicro(a.To))
	}
	return access
}

// readerOf names an app, a removed one too, and its purposes in a minute; nothing: the owner.
func (p *projection) readerOf(app uint64, minute int64) (bundleID string, purposes []string) {
	if a, ok := p.state.AppByNumber(app); ok {
		begun := time.Unix(minute*60, 0)
		purposes = a.PurposesIn(begun.UnixMicro(), begun.Add(time.Minute).UnixMicro())
	}
	return p.nameOf(app), purposes
}

// nameOf is the bundle id of an app, of a removed one too; of the owner there is none.
func (p *projection) nameOf(app uint64) string {
	if app == 0 {
		return ""
	}
	if a, ok := p.state.AppByNumber(app); ok {
		return a.BundleID()
	}
	return fmt.Sprintf("app %d", app)
}

// summarizeAccess counts by app, type, operation and purposes.
func (p *projection) summarizeAccess(ctx context.Context, reader *pb.Reader, req *pb.SummarizeAccessRequest) (*pb.SummarizeAccessResponse, error) {
	if reader.GetApp() != 0 {
		return nil, errNotOwner
	}
	f, err := p.accessFilter(req.GetFilter())
	if err != nil {
		return nil, err
	}
	type what struct {
		app       uint64
		typeCode  uint32
		operation string
		purposes  string
	}
	sums := map[what]*pb.AccessSummary{}
	first := map[what]int64{}
	err = p.accesses(ctx, f, nil, func(a *view.Access, held bool) bool {
		if !held {
			return true
		}
		bundleID, purposes := p.readerOf(a.App, a.Minute)
		w := what{a.App, a.Type, a.Operation, strings.Join(purposes, " ")}
		s := sums[w]
		if s == nil {
			s = &pb.AccessSummary{
				BundleId: bundleID, Purposes: purposes, Type: typeName(a.Type), Operation: a.Operation, Last: minuteTime(a.Minute),
			}
			sums[w] = s
		}
		first[w] = a.Minute
		if a.Known {
			s.Count += a.Count
		} else {
			s.Unknown++
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	answer := &pb.SummarizeAccessResponse{}
	for w, s := range sums {
		s.First = minuteTime(first[w])
		answer.Summaries = append(answer.Summaries, s)
	}
	slices.SortFunc(answer.Summaries, func(a, b *pb.AccessSummary) int {
		return cmp.Or(cmp.Compare(a.GetBundleId(), b.GetBundleId()), cmp.Compare(a.GetType(), b.GetType()), cmp.Compare(a.GetOperation(), b.GetOperation()),
			cmp.Compare(a.GetLast().GetSeconds(), b.GetLast().GetSeconds()), slices.Compare(a.GetPurposes(), b.GetPurposes()))
	})
	return answer, nil
}
