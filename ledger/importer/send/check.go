package send

import (
	"unicode/utf8"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// Checker says whether the ledger will take a sample, before it is sent: an importer then
// names the place in its document, or keeps what it read as it came. The zero Checker is
// ready. It is for one goroutine.
type Checker struct {
	rules map[rulesKey]*health.Rules
}

type rulesKey struct {
	typ  *catalog.Type
	unit string
}

// maxRules bounds what is remembered; units come out of the document.
const maxRules = 1000

// Check checks a sample. The error is a *health.FieldError.
func (c *Checker) Check(s *pb.Sample) error {
	if s.Object != nil || len(s.Members)+len(s.Kept)+len(s.Payload) > 0 || s.Upload != nil || !named(s.Source) {
		return whole(s)
	}
	t, unit, _, row, err := health.Member(s)
	if err != nil {
		return err
	}
	if !t.Kind.HasNumber() {
		return whole(s)
	}
	// Most samples are but a number, for which this is faster.
	rules := c.rules[rulesKey{t, unit}]
	if rules == nil {
		if rules, err = health.NewRules(t, unit, health.Policy{Importer: true}); err != nil {
			return err
		}
		if c.rules == nil {
			c.rules = map[rulesKey]*health.Rules{}
		}
		if len(c.rules) < maxRules {
			c.rules[rulesKey{t, unit}] = rules
		}
	}
	return rules.Check(row)
}

// named says whether a source is nothing but a name that may be one.
func named(s *pb.Source) bool {
	return s == nil || s.App == "" && s.Version == "" && s.ProductType == "" && s.OsVersion == "" && s.Importer == "" && s.Device == nil &&
		len(s.Name) <= health.MaxText && utf8.ValidString(s.Name)
}

func whole(s *pb.Sample) error {
	_, err := health.Columns([]*pb.Sample{s}, health.Policy{Importer: true})
	return err
}
