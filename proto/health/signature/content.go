package signature

import (
	"encoding/asn1"
	"fmt"
	"slices"
	"strconv"
	"time"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/unit"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// pair is an entry of the signed content.
type pair struct {
	Key   string `asn1:"utf8"`
	Value asn1.RawValue
}

// compare checks the signed content against the sample, and notes what it covers.
func (g *Signed) compare(content []byte, s *pb.Sample) error {
	var pairs []pair
	if rest, err := asn1.Unmarshal(content, &pairs); err != nil || len(rest) > 0 {
		return fmt.Errorf("%w: it is not a list of keys and values in DER", ErrContent)
	}
	for _, p := range pairs {
		field, agrees := p.matches(s)
		switch {
		case field == "":
			g.Other = append(g.Other, p.Key)
		case !agrees:
			return fmt.Errorf("%w: its %s is another", ErrContent, field)
		case !slices.Contains(g.Covers, field):
			g.Covers = append(g.Covers, field)
		}
	}
	slices.Sort(g.Covers)
	for _, field := range []string{"start", "value"} {
		if !slices.Contains(g.Covers, field) {
			return fmt.Errorf("%w: it does not repeat the %s", ErrContent, field)
		}
	}
	return nil
}

// matches returns the field of a sample that a pair is about, and whether it is the same
// there; "" for none.
func (p pair) matches(s *pb.Sample) (field string, agrees bool) {
	switch p.Key {
	case "startDate", "timestamp":
		return "start", p.isTime(s.GetStart())
	case "endDate":
		end := s.GetEnd()
		if end == nil {
			end = s.GetStart()
		}
		return "end", p.isTime(end)
	case "value":
		return "value", s.Value != nil && p.isNumber(*s.Value)
	case "type":
		signed, ok := catalog.Lookup(p.text())
		own, _ := catalog.Lookup(s.GetType())
		return "type", ok && signed == own
	case "unit":
		signed, err := unit.Parse(p.text())
		own, err2 := unit.Parse(s.GetUnit())
		return "unit", err == nil && err2 == nil && signed == own
	}
	return "", false
}

// text returns the value of a UTF8String, "" for others.
func (p pair) text() string {
	var text string
	if p.Value.Tag != asn1.TagUTF8String {
		return ""
	}
	if rest, err := asn1.Unmarshal(p.Value.FullBytes, &text); err != nil || len(rest) > 0 {
		return ""
	}
	return text
}

func (p pair) isTime(ts *timestamppb.Timestamp) bool {
	var t time.Time
	var err error
	if p.Value.Tag == asn1.TagGeneralizedTime {
		_, err = asn1.UnmarshalWithParams(p.Value.FullBytes, &t, "generalized")
	} else {
		t, err = health.ParseTime(p.text(), nil)
	}
	return err == nil && ts != nil && t.Equal(ts.AsTime())
}

func (p pair) isNumber(want float64) bool {
	var n int64
	if p.Value.Tag == asn1.TagInteger {
		_, err := asn1.Unmarshal(p.Value.FullBytes, &n)
		return err == nil && float64(n) == want && int64(want) == n
	}
	v, err := strconv.ParseFloat(p.text(), 64)
	return err == nil && v == want
}
