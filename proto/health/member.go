package health

import (
	"strconv"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"

	"google.golang.org/protobuf/proto"
)

// members checks the members of a body, and brings each into its normal form.
func (s subject) members(b *pb.Sample) *FieldError {
	t := s.typ
	if len(b.Members) == 0 {
		return nil
	}
	if t.Kind != catalog.Correlation && t.Kind != catalog.Workout {
		return refuse("members", "", "only correlations and workouts have members")
	}
	if len(b.Members) > MaxMembers {
		return refuse("members", strconv.Itoa(len(b.Members)), "more than "+strconv.Itoa(MaxMembers))
	}
	pk := &packer{policy: s.policy, rules: map[rulesKey]*Rules{}}
	for i, m := range b.Members {
		normal, err := s.member(pk, m)
		if err != nil {
			return in("members["+strconv.Itoa(i)+"]", err)
		}
		b.Members[i] = normal
	}
	return s.correlation(b.Members)
}

// member returns a member with the short name of its type, its end, and the number
// of its label.
func (s subject) member(pk *packer, m *pb.Sample) (*pb.Sample, *FieldError) {
	t, ok := catalog.Lookup(m.GetType())
	switch {
	case !ok:
		return nil, refuse("type", m.GetType(), "no such type")
	case len(m.Members) > 0:
		return nil, refuse("members", "", "members have no members")
	case !mayBeMember(s.typ, t):
		return nil, refuse("type", t.Short(), "not a member of a "+s.typ.Short())
	}
	// A member is checked as the sample that it is.
	var row Row
	_, err := pk.row(m, &row)
	if err == nil {
		err = checkSource(m.Source, s.policy)
	}
	if err != nil {
		return nil, err
	}
	source := m.Source
	if proto.Size(source) == 0 {
		source = nil
	}
	body, broken := ParseBody(row.Body)
	if broken != nil {
		return nil, refuse("body", "", broken.Error())
	}
	normal := Sample(t, m.Unit, source, row, body)
	normal.Label = ""
	return normal, nil
}

func mayBeMember(whole, t *catalog.Type) bool {
	if whole.Kind == catalog.Workout {
		return t.Kind == catalog.Quantity || t.Kind == catalog.Category || t.Kind == catalog.Series
	}
	for _, m := range whole.Members() {
		if m == t {
			return true
		}
	}
	return false
}

// correlation checks that a correlation is whole: one of each blood pressure (spec
// section 3.2). An importer may bring what a reader of one of the two has exported.
func (s subject) correlation(members []*pb.Sample) *FieldError {
	if s.typ.Kind != catalog.Correlation || s.typ.Short() != "bloodPressure" || s.policy.Importer && len(members) == 1 {
		return nil
	}
	if len(members) != 2 || members[0].GetType() == members[1].GetType() {
		return refuse("members", strconv.Itoa(len(members)), "a blood pressure has one systolic and one diastolic member")
	}
	return nil
}

// Member reads a member of a checked body as a sample of its own: type, unit, source
// (nil: that of the whole) and row.
func Member(m *pb.Sample) (*catalog.Type, string, *pb.Source, Row, error) {
	t, ok := catalog.Lookup(m.GetType())
	if !ok {
		return nil, "", nil, Row{}, refuse("type", m.GetType(), "no such type")
	}
	row, refused := parseRow(t, m)
	if refused != nil {
		return nil, "", nil, Row{}, refused
	}
	if b := bodyOf(m); b != nil {
		var err error
		if row.Body, err = AppendBody(nil, b); err != nil {
			return nil, "", nil, Row{}, err
		}
	}
	return t, m.GetUnit(), m.GetSource(), row, nil
}

// Types calls fn with the type of every sample in checked columns that stands for itself:
// those of the columns and of members, but not correlations, which are their members.
func Types(columns []*pb.SampleColumns, fn func(code uint32) error) error {
	for _, c := range columns {
		t, _ := catalog.ByCode(c.GetType())
		if t == nil || t.Kind != catalog.Correlation {
			if err := fn(c.GetType()); err != nil {
				return err
			}
		}
		if t == nil || t.Kind != catalog.Correlation && t.Kind != catalog.Workout {
			continue
		}
		for _, body := range c.Body {
			s := &pb.Sample{}
			if err := proto.Unmarshal(body, s); err != nil {
				return refuse("body", "", "not a sample")
			}
			for _, m := range s.Members {
				if member, ok := catalog.Lookup(m.GetType()); ok {
					if err := fn(member.Code); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}
