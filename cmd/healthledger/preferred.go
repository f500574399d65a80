package main

import (
	"context"
	"strconv"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/unit"
)

// preferredUnits are the units in which the owner likes to see types, by short name. A
// type that he likes as it comes is not among them.
type preferredUnits map[string]string

// preferred asks for the units of the quantities among types and their members. What is no
// type is for the query to tell.
func preferred(ctx context.Context, r reader, types ...string) (preferredUnits, error) {
	req := &pb.QueryPreferredUnitsRequest{}
	for _, name := range types {
		if t, ok := catalog.Lookup(name); ok {
			for _, t := range append([]*catalog.Type{t}, t.Members()...) {
				if t.Kind == catalog.Quantity {
					req.Types = append(req.Types, t.Short())
				}
			}
		}
	}
	units := preferredUnits{}
	if len(req.Types) == 0 {
		return units, nil
	}
	resp, err := r.Health().QueryPreferredUnits(ctx, req)
	for _, u := range resp.GetUnits() {
		if t, ok := catalog.Lookup(u.GetType()); ok && t.Unit != u.GetUnit() {
			units[u.GetType()] = u.GetUnit()
		}
	}
	return units, err
}

// convert changes a sample and its members to the units that are preferred, with so many
// digits: a file gets more of them than a person.
func (p preferredUnits) convert(s *pb.Sample, digits int) {
	for _, m := range s.GetMembers() {
		p.convert(m, digits)
	}
	wanted, ok := p[s.GetType()]
	if !ok || s.Value == nil || wanted == s.GetUnit() {
		return
	}
	from, err := unit.Parse(s.GetUnit())
	if err != nil {
		return
	}
	to, err := unit.Parse(wanted)
	if err != nil {
		return
	}
	v, err := unit.Convert(s.GetValue(), from, to)
	if err != nil {
		return
	}
	if v, err = strconv.ParseFloat(strconv.FormatFloat(v, 'g', digits, 64), 64); err == nil {
		s.Value, s.Unit = &v, wanted
	}
}

// Digits of converted values.
const (
	digitsToRead = 6
	digitsInFile = 12
)
