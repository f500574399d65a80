package authz

import (
	"slices"
	"strconv"

	"healthledger/proto/catalog"
)

// maxAsked is how many types a request names at most, in each direction.
const maxAsked = 1000

// Request is what an app asks its owner for: the codes of types, each once, in order.
type Request struct{ Shares, Reads []uint32 }

// Empty says whether nothing is asked for.
func (r Request) Empty() bool { return len(r.Shares)+len(r.Reads) == 0 }

// ParseRequest reads the names of the types that an app asks for. What it may not even ask
// for is decided by the types and by what the app's manifest explains, never by what the
// owner has decided. Errors: *DraftError.
func (a *App) ParseRequest(share, read []string) (Request, error) {
	if len(share)+len(read) == 0 {
		return Request{}, &DraftError{"share", "", "no type is named"}
	}
	shares, err := parseTypes("share", share, func(t *catalog.Type) string {
		if why := WhyNoShare(t, a.Importer); why != "" {
			return why
		}
		return UnexplainedShare(a.explained)
	})
	if err != nil {
		return Request{}, err
	}
	reads, err := parseTypes("read", read, func(t *catalog.Type) string {
		if why := WhyNoRead(t); why != "" {
			return why
		}
		return UnexplainedRead(t, a.explained)
	})
	return Request{shares, reads}, err
}

func parseTypes(field string, names []string, against func(*catalog.Type) string) ([]uint32, error) {
	if len(names) > maxAsked {
		return nil, &DraftError{field, "", "more than " + strconv.Itoa(maxAsked)}
	}
	var codes []uint32
	for _, name := range names {
		t, ok := catalog.Lookup(name)
		if !ok {
			return nil, &DraftError{field, name, "unknown type"}
		}
		if why := against(t); why != "" {
			return nil, &DraftError{field, t.Short(), why}
		}
		codes = append(codes, t.Code)
	}
	slices.Sort(codes)
	return slices.Compact(codes), nil
}

// Lapsed is what the owner had answered before the app asked again, and when that was, in
// microseconds since the Unix epoch.
func (a *App) Lapsed() (r Request, at int64) { return a.lapsed, a.lapsedAt }

// Unanswered is what the owner has still to answer of a request, in order. One of the required
// clinical types stands for all of them.
func (a *App) Unanswered(r Request) Request {
	shares, reads := slices.Clone(r.Shares), slices.Clone(r.Reads)
	if slices.ContainsFunc(reads, func(code uint32) bool { return slices.Contains(a.required, code) }) {
		reads = append(reads, a.required...)
	}
	slices.Sort(shares)
	slices.Sort(reads)
	return Request{
		Shares: slices.DeleteFunc(slices.Compact(shares), func(code uint32) bool {
			_, answered := a.shares[code]
			return answered || a.Removed || UnexplainedShare(a.explained) != ""
		}),
		Reads: slices.DeleteFunc(slices.Compact(reads), func(code uint32) bool {
			t, ok := catalog.ByCode(code)
			return a.asked[code] || a.Removed || !ok || UnexplainedRead(t, a.explained) != ""
		}),
	}
}

// RequiredNotGranted says that the owner has answered all of the required clinical types,
// and has not granted all of them.
func (a *App) RequiredNotGranted() bool {
	unanswered := slices.ContainsFunc(a.required, func(code uint32) bool { return !a.asked[code] })
	return !unanswered && !a.requiredGranted()
}

func (a *App) requiredGranted() bool {
	return !slices.ContainsFunc(a.required, func(code uint32) bool { return a.reads[code].Extent == ExtentNone })
}

// settle finds out what the app may read after its grants have changed: of the required
// clinical types all or none (spec section 1.7).
func (a *App) settle() {
	a.readable = a.reads
	if a.requiredGranted() {
		return
	}
	a.readable = make(map[uint32]Read, len(a.reads))
	for code, read := range a.reads {
		if !slices.Contains(a.required, code) {
			a.readable[code] = read
		}
	}
}
