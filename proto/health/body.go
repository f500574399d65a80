package health

import (
	"cmp"
	"errors"
	"strconv"
	"strings"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A body is what a sample has beyond the columns: its object, members, payload and what
// an import kept. It is a Sample with nothing else in it, serialized. It has one normal
// form: words in their usual spelling, members as subject.member makes them, zeros
// positive (a copy of a protobuf message drops the sign).

// bodyOf returns the body of a sample, nil if there is none. It shares memory with the sample.
func bodyOf(s *pb.Sample) *pb.Sample {
	if s.Object == nil && len(s.Members) == 0 && len(s.Kept) == 0 && len(s.Payload) == 0 && s.Upload == nil {
		return nil
	}
	return &pb.Sample{Object: s.Object, Members: s.Members, Kept: s.Kept, Payload: s.Payload, Upload: s.Upload}
}

// ParseBody reads the body of a row that was checked; nil for a row without.
func ParseBody(body []byte) (*pb.Sample, error) {
	if len(body) == 0 {
		return nil, nil
	}
	s := &pb.Sample{}
	if err := proto.Unmarshal(body, s); err != nil {
		// The parser's own words could quote what they could not parse.
		return nil, errors.New("malformed body of a sample")
	}
	return s, nil
}

// AppendBody encodes a body: the same content always gives the same bytes.
func AppendBody(b []byte, body *pb.Sample) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.MarshalAppend(b, body)
}

// body checks and encodes the body of a sample whose row was checked.
func (pk *packer) body(t *catalog.Type, row *Row, s *pb.Sample) ([]byte, *FieldError) {
	b := bodyOf(s)
	if b == nil {
		return nil, needsBody(t)
	}
	b, err := subject{t, pk.policy, row.Start, row.End}.body(b)
	if err != nil {
		return nil, err
	}
	return encodeBody(b)
}

func encodeBody(b *pb.Sample) ([]byte, *FieldError) {
	body, err := AppendBody(nil, b)
	if err != nil {
		return nil, refuse("sample", "", "a text is not UTF-8")
	}
	if len(body) > MaxBody {
		return nil, refuse("payload", strconv.Itoa(len(body)), "more than "+strconv.Itoa(MaxBody)+
			" bytes with all it has: send the payload ahead, in parts")
	}
	return body, nil
}

// needsBody refuses a sample without a body of a type that is nothing without.
func needsBody(t *catalog.Type) *FieldError {
	switch {
	case t.Kind.HasNumber():
		return nil
	case t.Kind == catalog.Correlation:
		return refuse("members", "", "missing; a "+t.Short()+" is its members")
	}
	return refuse(objectField(t), "", "missing; a "+t.Short()+" needs it")
}

// checkBodies checks the bodies of columns, which must be in normal form.
func checkBodies(t *catalog.Type, c *pb.SampleColumns, p Policy) *FieldError {
	if len(c.Body) == 0 {
		return needsBody(t)
	}
	for i, row := range Rows(c) {
		if err := (subject{t, p, row.Start, row.End}).encoded(row.Body); err != nil {
			return at(i, err)
		}
	}
	return nil
}

// encoded checks a body that is encoded, and in normal form.
func (s subject) encoded(body []byte) *FieldError {
	if len(body) == 0 {
		return needsBody(s.typ)
	}
	if len(body) > MaxBody {
		return refuse("body", strconv.Itoa(len(body)), "more than "+strconv.Itoa(MaxBody)+" bytes")
	}
	given, err := ParseBody(body)
	if err != nil {
		return refuse("body", "", "not a sample")
	}
	b := bodyOf(given)
	if b == nil || hasUnknown(given) || fields(b) != fields(given) {
		return refuse("body", "", "it holds what belongs into the columns, or nothing")
	}
	normal, refused := s.body(b)
	if refused != nil {
		return refused
	}
	if !proto.Equal(normal, given) {
		return refuse("body", "", "not in normal form; send the sample as a row")
	}
	return nil
}

// fields returns how many fields of a message are set.
func fields(m *pb.Sample) (n int) {
	m.ProtoReflect().Range(func(protoreflect.FieldDescriptor, protoreflect.Value) bool {
		n++
		return true
	})
	return n
}

// body checks a body and returns it in normal form. The argument is not changed.
func (s subject) body(b *pb.Sample) (*pb.Sample, *FieldError) {
	if unknownWithin(b.ProtoReflect()) {
		return nil, refuse("sample", "", whyUnknown)
	}
	b = proto.CloneOf(b)
	if err := checkKept(b.Kept, s.policy); err != nil {
		return nil, err
	}
	if err := s.object(b); err != nil {
		return nil, err
	}
	if err := s.members(b); err != nil {
		return nil, err
	}
	return b, s.payload(b)
}

// unknownWithin says whether a message or one inside of it has fields that this version
// does not know.
func unknownWithin(m protoreflect.Message) bool {
	if len(m.GetUnknown()) > 0 {
		return true
	}
	found := false
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Message() == nil:
		case field.IsList():
			for i := range value.List().Len() {
				found = found || unknownWithin(value.List().Get(i).Message())
			}
		default:
			found = unknownWithin(value.Message())
		}
		return !found
	})
	return found
}

// objectField is the JSON name of the object that a type's samples have; empty: none.
func objectField(t *catalog.Type) string {
	switch t.Kind {
	case catalog.Quantity:
		return "quantitySeries"
	case catalog.Category, catalog.Goal, catalog.Correlation:
		return ""
	case catalog.Clinical:
		return "clinicalRecord"
	case catalog.Document:
		return "document"
	case catalog.Characteristic:
		return "characteristic"
	case catalog.Summary:
		return "activitySummary"
	case catalog.UserAnnotated:
		return "medication"
	case catalog.Imported:
		return "importedElement"
	}
	if strings.HasPrefix(t.Identifier, "HKScoredAssessment") {
		return "scoredAssessment"
	}
	return t.Short()
}

// objectOf returns the field of the object that a body has, nil for none.
func objectOf(b *pb.Sample) protoreflect.FieldDescriptor {
	return b.ProtoReflect().WhichOneof(b.ProtoReflect().Descriptor().Oneofs().ByName("object"))
}

// object checks that the object is the one of the type, and what it says.
func (s subject) object(b *pb.Sample) *FieldError {
	t, want, got := s.typ, objectField(s.typ), ""
	if field := objectOf(b); field != nil {
		got = field.JSONName()
	}
	switch {
	case got == "" && t.Kind == catalog.Correlation && len(b.Members) == 0:
		return needsBody(t)
	case got == "" && (t.Kind.HasNumber() || t.Kind == catalog.Correlation):
		return nil
	case got == "":
		return needsBody(t)
	case got != want:
		return refuse(got, "", "not what a "+t.Short()+" has")
	}
	return cmp.Or(in(got, s.kind(b)), s.times(b))
}
