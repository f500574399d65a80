package apple

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protojson"

	pb "healthledger/proto/healthledger/v1"
)

// ownElement is what our own export writes for objects that Apple's format has no element
// for: a sample as JSON.
const ownElement = "HealthledgerSample"

// own reads a sample that our own export wrote as JSON.
func (r *reader) own(n *node) (*pb.Sample, string) {
	text, _, replaced := decode(bytes.Join(n.texts, nil), nil)
	s := &pb.Sample{}
	if err := protojson.Unmarshal(text, s); err != nil {
		return nil, "not a sample"
	}
	r.replaced += replaced
	n.take("type")
	n.texts = nil
	return s, ""
}
