package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/unit"
)

// filter says which samples are meant. All of its flags must fit; of the values of one
// flag that may be repeated, one, but for --metadata and --value, which are limits.
type filter struct {
	UUID           []string `name:"uuid" help:"Only the samples with these UUIDs."`
	Source         []string `sep:"none" help:"Only what this source measured: its name, or the bundle id of its app."`
	Device         []string `sep:"none" help:"Only what was measured with this device: a Device in JSON, as --json prints it." placeholder:"JSON"`
	Metadata       []string `sep:"none" help:"Only with this metadata: KEY, KEY=VALUE, or with != < <= > >=. A value is a number, a quantity (\"5 m\"), a date, a word of the key, or a text (in double quotes: in any case)." placeholder:"KEY[=VALUE]"`
	Workout        string   `help:"Only what belongs to the workout with this UUID." placeholder:"UUID"`
	Correlation    string   `help:"Only members of the correlation with this UUID (\"none\": of no correlation)." placeholder:"UUID"`
	Value          []string `sep:"none" help:"Only quantities like \">=100 mg/dL\" (also = != < <= >)." placeholder:"COMPARISON"`
	Category       []string `help:"Only categories with one of these values: names or numbers."`
	Activity       []string `help:"Only workouts with one of these activities."`
	Classification []string `help:"Only electrocardiograms with one of these classifications."`
	Where          string   `help:"Only what fits this Predicate of the schema: JSON, or a file that holds it." placeholder:"FILE|JSON"`
}

// predicate is all of the flags as one predicate; nil: everything fits.
func (f *filter) predicate() (*pb.Predicate, error) {
	all := f.plain()
	for _, part := range []struct {
		flag  string
		given []string
		parse func(string) (*pb.Predicate, error)
	}{{"--metadata", f.Metadata, metadataPredicate}, {"--value", f.Value, quantityPredicate}, {"--where", given(f.Where), wherePredicate}} {
		for _, text := range part.given {
			p, err := part.parse(text)
			if err != nil {
				return nil, usagef("%s: %w", part.flag, err)
			}
			all = append(all, p)
		}
	}
	if len(f.Device) > 0 {
		devices := &pb.DevicePredicate{}
		for _, text := range f.Device {
			d := &pb.Device{}
			if err := protojson.Unmarshal([]byte(text), d); err != nil {
				return nil, usagef("--device: not a Device in JSON: %w", err)
			}
			devices.Devices = append(devices.Devices, d)
		}
		all = append(all, &pb.Predicate{Kind: &pb.Predicate_Device{Device: devices}})
	}
	switch len(all) {
	case 0:
		return nil, nil
	case 1:
		return all[0], nil
	}
	return &pb.Predicate{Kind: &pb.Predicate_AllOf{AllOf: &pb.PredicateList{Predicates: all}}}, nil
}

func given(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// plain are the predicates of flags whose values stand for themselves.
func (f *filter) plain() (all []*pb.Predicate) {
	if len(f.UUID) > 0 {
		all = append(all, &pb.Predicate{Kind: &pb.Predicate_Uuid{Uuid: &pb.UuidPredicate{Uuids: f.UUID}}})
	}
	if len(f.Source) > 0 {
		sources := &pb.SourcePredicate{}
		for _, name := range f.Source {
			sources.Sources = append(sources.Sources, &pb.Source{Name: name}, &pb.Source{App: name})
		}
		all = append(all, &pb.Predicate{Kind: &pb.Predicate_Source{Source: sources}})
	}
	if f.Workout != "" {
		all = append(all, &pb.Predicate{Kind: &pb.Predicate_Workout{Workout: f.Workout}})
	}
	if f.Correlation != "" {
		c := &pb.CorrelationPredicate{}
		if f.Correlation != "none" {
			c.Uuid = f.Correlation
		}
		all = append(all, &pb.Predicate{Kind: &pb.Predicate_Correlation{Correlation: c}})
	}
	if len(f.Category) > 0 {
		all = append(all, &pb.Predicate{Kind: &pb.Predicate_Category{Category: &pb.CategoryPredicate{Values: f.Category}}})
	}
	if len(f.Activity) > 0 {
		all = append(all, &pb.Predicate{Kind: &pb.Predicate_Activity{Activity: &pb.NamePredicate{Names: f.Activity}}})
	}
	if len(f.Classification) > 0 {
		all = append(all, &pb.Predicate{Kind: &pb.Predicate_Classification{Classification: &pb.NamePredicate{Names: f.Classification}}})
	}
	return all
}

func wherePredicate(text string) (*pb.Predicate, error) {
	content := []byte(text)
	if !strings.HasPrefix(strings.TrimSpace(text), "{") {
		var err error
		if content, err = os.ReadFile(text); err != nil {
			return nil, err
		}
	}
	p := &pb.Predicate{}
	if err := protojson.Unmarshal(content, p); err != nil {
		return nil, fmt.Errorf("not a Predicate in JSON: %w", err)
	}
	return p, nil
}

// comparisons are the operators, the longer of two that begin alike first.
var comparisons = []struct {
	sign string
	is   pb.Comparison
}{
	{"!=", pb.Comparison_COMPARISON_NOT_EQUAL},
	{"<=", pb.Comparison_COMPARISON_LESS_OR_EQUAL},
	{">=", pb.Comparison_COMPARISON_GREATER_OR_EQUAL},
	{"=", pb.Comparison_COMPARISON_EQUAL},
	{"<", pb.Comparison_COMPARISON_LESS},
	{">", pb.Comparison_COMPARISON_GREATER},
}

// compared cuts a text at its first operator.
func compared(text string) (before, after string, is pb.Comparison) {
	at := strings.IndexAny(text, "!=<>")
	if at < 0 {
		return text, "", 0
	}
	for _, c := range comparisons {
		if rest, ok := strings.CutPrefix(text[at:], c.sign); ok {
			return strings.TrimSpace(text[:at]), strings.TrimSpace(rest), c.is
		}
	}
	return text, "", 0
}

func quantityPredicate(text string) (*pb.Predicate, error) {
	before, after, is := compared(text)
	q, ok := quantity(after)
	if is == 0 || before != "" || !ok {
		return nil, fmt.Errorf("%q is not an operator, a number and a unit, like \">=100 mg/dL\"", text)
	}
	return &pb.Predicate{Kind: &pb.Predicate_Quantity{Quantity: &pb.QuantityPredicate{Comparison: is, Quantity: q}}}, nil
}

func quantity(text string) (*pb.Quantity, bool) {
	figure, name, ok := strings.Cut(text, " ")
	v, err := strconv.ParseFloat(figure, 64)
	if !ok || err != nil {
		return nil, false
	}
	u, err := unit.Parse(strings.TrimSpace(name))
	return &pb.Quantity{Value: v, Unit: u.String()}, err == nil
}

func metadataPredicate(text string) (*pb.Predicate, error) {
	key, value, is := compared(text)
	if key == "" {
		return nil, fmt.Errorf("%q has no key", text)
	}
	p := &pb.MetadataPredicate{Key: key, Comparison: is}
	switch is {
	case 0:
	case pb.Comparison_COMPARISON_EQUAL:
		p.Values = readings(key, value)
	default:
		p.Values = readings(key, value)[:1]
	}
	return &pb.Predicate{Kind: &pb.Predicate_Metadata{Metadata: p}}, nil
}

// readings are the values that a text may stand for, the likeliest first: an import
// brings as text what an app saves as a number.
func readings(key, text string) (all []*pb.MetadataEntry) {
	if inside, ok := strings.CutPrefix(text, `"`); ok && strings.HasSuffix(inside, `"`) {
		return []*pb.MetadataEntry{{Value: &pb.MetadataEntry_Text{Text: strings.TrimSuffix(inside, `"`)}}}
	}
	if k, ok := catalog.LookupMetadata(key); ok && k.Vocabulary != nil {
		if n, ok := k.Value(text); ok {
			all = append(all, &pb.MetadataEntry{Value: &pb.MetadataEntry_Number{Number: float64(n)}})
		}
	}
	if q, ok := quantity(text); ok {
		all = append(all, &pb.MetadataEntry{Value: &pb.MetadataEntry_Quantity{Quantity: q}})
	}
	if v, err := strconv.ParseFloat(text, 64); err == nil {
		all = append(all, &pb.MetadataEntry{Value: &pb.MetadataEntry_Number{Number: v}})
	}
	if t, err := health.ParseTime(text, nil); err == nil {
		all = append(all, &pb.MetadataEntry{Value: &pb.MetadataEntry_Date{Date: timestamppb.New(t)}})
	}
	return append(all, &pb.MetadataEntry{Value: &pb.MetadataEntry_Text{Text: text}})
}
