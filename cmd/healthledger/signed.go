package main

import (
	"context"
	"errors"
	"strings"

	pb "healthledger/proto/healthledger/v1"

	"healthledger/proto/health/signature"
)

// printSigners prints of each sample who signed it. Nobody is trusted: it says that a key
// signed, not whose key it should be. A signature that is not good is not good for a
// reason, which is printed; the samples are printed all the same.
func printSigners(ctx context.Context, g *globals, r reader, req *pb.QuerySamplesRequest) error {
	t := g.newListing(false, "uuid", "value", "unit", "signature", "signer", "covers")
	for s, err := range r.QuerySamples(ctx, req) {
		if err != nil {
			return err
		}
		verdict, signer, covers := checkSignature(s)
		if g.JSON {
			err = g.printJSON(map[string]any{"uuid": s.GetUuid(), "type": s.GetType(), "signature": verdict, "signer": signer, "covers": covers})
		} else {
			err = t.row(asText(s.GetUuid()), asText(summary(s)), asText(s.GetUnit()), asText(verdict), asText(signer), asText(strings.Join(covers, " ")))
		}
		if err != nil {
			return err
		}
	}
	return t.flush()
}

func checkSignature(s *pb.Sample) (verdict, signer string, covers []string) {
	signed, err := signature.Verify(s)
	switch {
	case errors.Is(err, signature.ErrAbsent):
		return "none", "", []string{}
	case err != nil:
		return err.Error(), "", []string{}
	}
	return "good", signed.Subject(), signed.Covers
}
