package rpc

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Encoding is the form of messages on the wire.
type Encoding int

// The encodings. JSON uses the schema's JSON names and refuses unknown fields.
const (
	Protobuf Encoding = iota
	JSON
)

// Content types, as they stand in the header Content-Type.
const (
	ContentTypeProtobuf = "application/protobuf"
	ContentTypeJSON     = "application/json"
)

// maxDepth of nested messages; the schema's deepest is 6.
const maxDepth = 32

// ParseContentType returns the encoding of a content type; empty means protobuf.
func ParseContentType(value string) (Encoding, bool) {
	mediaType, _, _ := strings.Cut(value, ";")
	switch strings.ToLower(strings.TrimSpace(mediaType)) {
	case "", ContentTypeProtobuf, "application/proto", "application/x-protobuf":
		return Protobuf, true
	case ContentTypeJSON:
		return JSON, true
	}
	return Protobuf, false
}

// ContentType names the encoding.
func (e Encoding) ContentType() string {
	if e == JSON {
		return ContentTypeJSON
	}
	return ContentTypeProtobuf
}

// Encoded makes m, which must be empty, a message that goes out as content, its protobuf
// form: whoever passes a message on need not decode it. Nothing of it can be read before
// it has been marshalled.
func Encoded[M proto.Message](m M, content []byte) M {
	// Unknown fields go out as they came.
	m.ProtoReflect().SetUnknown(content)
	return m
}

// Marshal encodes a message.
func (e Encoding) Marshal(m proto.Message) ([]byte, error) {
	if e != JSON {
		return proto.Marshal(m)
	}
	if content := m.ProtoReflect().GetUnknown(); len(content) > 0 {
		m = m.ProtoReflect().New().Interface()
		if err := proto.Unmarshal(content, m); err != nil {
			return nil, err
		}
	}
	return protojson.Marshal(m)
}

// Unmarshal decodes a message. Nothing of data is kept. The error describes the
// data, which are the caller's: it may go back to the caller, not into a log.
func (e Encoding) Unmarshal(data []byte, m proto.Message) error {
	if e == JSON {
		if len(data) == 0 {
			return nil // like protobuf, in which an empty message has no bytes
		}
		if err := (protojson.UnmarshalOptions{RecursionLimit: maxDepth}).Unmarshal(data, m); err != nil {
			// The library's errors start with its name and an unstable kind of space.
			text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
			return fmt.Errorf("%s", strings.TrimSpace(strings.TrimPrefix(text, "proto:")))
		}
		return nil
	}
	if err := (proto.UnmarshalOptions{RecursionLimit: maxDepth, DiscardUnknown: true}).Unmarshal(data, m); err != nil {
		return fmt.Errorf("not a protobuf message of type %s", m.ProtoReflect().Descriptor().Name())
	}
	return nil
}
