package apple

import (
	"errors"
	"strings"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// The ledger takes all samples of a save or none, so a record that it would refuse is
// kept raw instead. The rules are those of package health; what is checked once
// for many records (type and unit, source, metadata) is checked here apart.

// policy: the owner imports what the system wrote.
var policy = health.Policy{Importer: true}

// rules check what records have in common, with a type that asks for nothing else.
type rules struct {
	steps *catalog.Type
	plain *health.Rules
}

func newRules() *rules {
	steps, ok := catalog.Lookup("stepCount")
	if !ok {
		panic("apple: the catalogue has no stepCount")
	}
	plain, err := health.NewRules(steps, "count", policy)
	if err != nil {
		panic("apple: " + err.Error())
	}
	return &rules{steps, plain}
}

// source says why the records of a source would be refused.
func (r *rules) source(s *pb.Source) (why string) {
	one := &pb.SampleColumns{
		Type: r.steps.Code, Unit: "count", Source: s, Tick: 1, Start: []int64{0}, Mantissa: []int64{1},
	}
	if err := health.Validate([]*pb.SampleColumns{one}, policy); err != nil {
		return "refused for its " + fieldOf(err)
	}
	return ""
}

// whyMetadata is why records whose metadata are too much would be refused.
const whyMetadata = "refused for its metadata"

// metadata says why records with these metadata would be refused.
func (r *rules) metadata(m *pb.Metadata) (why string) {
	if err := r.plain.Check(health.Row{Metadata: m}); err != nil {
		return "refused for its " + fieldOf(err)
	}
	return ""
}

// fieldOf names what an error of package health is about, without what is in it.
func fieldOf(err error) string {
	var refused *health.FieldError
	if !errors.As(err, &refused) {
		return "content"
	}
	name, _, _ := strings.Cut(refused.Field, "[")
	return name
}
