package export

import (
	"bytes"
	"encoding/json"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// AppendJSON appends a message as JSON in the schema's names, without spaces: protojson
// varies them on purpose, while one object has one form in an export.
func AppendJSON(b *bytes.Buffer, m proto.Message) error {
	text, err := protojson.Marshal(m)
	if err != nil {
		return err
	}
	return json.Compact(b, text)
}
