package main

import (
	"crypto/rand"
	"encoding/base64"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"pgregory.net/rapid"
)

// A drawn request holds the names of identifiers where identifiers belong; spell puts
// identifiers of somebody in their place.

// nameMark starts the name of an identifier.
const nameMark = "identifier:"

// namesOf says which identifiers fields of a name are filled with.
var namesOf = map[protoreflect.Name][]string{
	"receipt": {"receipt"}, "page_token": {"page"}, "anchor": {"anchor"}, "payload_token": {"payload"},
	"tokens": {"update"}, "uuid": {"uuid"}, "uuids": {"uuid"}, "request_id": {"request"}, "upload": {"upload"},
	"app": {"bundle"}, "apps": {"bundle"}, "bundle_id": {"bundle"},
}

// identifiers is a value for every name.
type identifiers map[string]string

// random returns identifiers of the same forms that stand for nothing.
func (ids identifiers) random() identifiers {
	other := identifiers{}
	for name, value := range ids {
		buf := make([]byte, len(value))
		rand.Read(buf)
		switch name {
		case "uuid":
			other[name] = uuid.NewString()
		case "request", "upload":
			other[name] = string(buf)
		case "bundle":
			other[name] = "com.example." + strings.ToLower(rand.Text())[:len(value)-len("com.example.")]
		default:
			other[name] = base64.RawStdEncoding.EncodeToString(buf)[:len(value)]
		}
	}
	return other
}

var drawnTypes = []string{"stepCount", "heartRate", "bloodPressure", "workout", "cda", "noSuchType", ""}

// drawMessage draws a message with about one in so many of its fields set.
func drawMessage(t *rapid.T, m protoreflect.Message, sparse, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if rapid.IntRange(1, sparse).Draw(t, string(f.Name())) != 1 || depth == 0 && f.Kind() == protoreflect.MessageKind {
			continue
		}
		switch {
		case f.IsMap():
			entries := m.Mutable(f).Map()
			key := drawScalar(t, f.MapKey()).MapKey()
			value := entries.NewValue()
			if f.MapValue().Kind() == protoreflect.MessageKind {
				drawMessage(t, value.Message(), sparse, depth-1)
			} else {
				value = drawScalar(t, f.MapValue())
			}
			entries.Set(key, value)
		case f.IsList():
			list := m.Mutable(f).List()
			for range rapid.IntRange(0, 3).Draw(t, "length") {
				value := list.NewElement()
				if f.Kind() == protoreflect.MessageKind {
					drawMessage(t, value.Message(), sparse, depth-1)
				} else {
					value = drawScalar(t, f)
				}
				list.Append(value)
			}
		case f.Kind() == protoreflect.MessageKind:
			drawMessage(t, m.Mutable(f).Message(), sparse, depth-1)
		default:
			m.Set(f, drawScalar(t, f))
		}
	}
}

func drawScalar(t *rapid.T, f protoreflect.FieldDescriptor) protoreflect.Value {
	if f.Name() == "wait_ms" { // there are only so many minutes
		return protoreflect.ValueOfUint32(rapid.SampledFrom([]uint32{0, 1, 5, 60_001}).Draw(t, "wait"))
	}
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t, "bool"))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(rapid.IntRange(-1, f.Enum().Values().Len()).Draw(t, "enum")))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(rapid.Int32().Draw(t, "int32"))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(rapid.Int64().Draw(t, "int64"))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(rapid.Uint32().Draw(t, "uint32"))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(rapid.Uint64().Draw(t, "uint64"))
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(rapid.Float32().Draw(t, "float"))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(rapid.Float64().Draw(t, "double"))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(drawText(t, f)))
	}
	return protoreflect.ValueOfString(drawText(t, f))
}

// drawText draws a string or bytes: an identifier where one belongs, most of the time.
func drawText(t *rapid.T, f protoreflect.FieldDescriptor) string {
	if names := namesOf[f.Name()]; names != nil && rapid.IntRange(0, 3).Draw(t, "identifier") > 0 {
		return nameMark + rapid.SampledFrom(names).Draw(t, "name")
	}
	if strings.HasPrefix(string(f.Name()), "type") || f.Name() == "share" || f.Name() == "read" {
		return rapid.SampledFrom(drawnTypes).Draw(t, "type")
	}
	return rapid.OneOf(rapid.SampledFrom([]string{"count", "Europe/Berlin", "kg", ""}), rapid.StringN(0, 20, 60)).Draw(t, "text")
}

// spell returns the message with identifiers for their names.
func spell(m proto.Message, ids identifiers) proto.Message {
	m = proto.Clone(m)
	replaceText(m.ProtoReflect(), func(text string) string {
		if name, ok := strings.CutPrefix(text, nameMark); ok {
			return ids[name]
		}
		return text
	})
	return m
}

// replaceText changes every string and all bytes in a message.
func replaceText(m protoreflect.Message, change func(string) string) {
	scalar := func(f protoreflect.FieldDescriptor, v protoreflect.Value) (protoreflect.Value, bool) {
		switch f.Kind() {
		case protoreflect.StringKind:
			return protoreflect.ValueOfString(change(v.String())), true
		case protoreflect.BytesKind:
			return protoreflect.ValueOfBytes([]byte(change(string(v.Bytes())))), true
		}
		return v, false
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			v.Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
				if f.MapValue().Kind() == protoreflect.MessageKind {
					replaceText(value.Message(), change)
				} else if changed, ok := scalar(f.MapValue(), value); ok {
					v.Map().Set(key, changed)
				}
				return true
			})
		case f.IsList():
			for i := range v.List().Len() {
				if f.Kind() == protoreflect.MessageKind {
					replaceText(v.List().Get(i).Message(), change)
				} else if changed, ok := scalar(f, v.List().Get(i)); ok {
					v.List().Set(i, changed)
				}
			}
		case f.Kind() == protoreflect.MessageKind:
			replaceText(v.Message(), change)
		default:
			if changed, ok := scalar(f, v); ok {
				m.Set(f, changed)
			}
		}
		return true
	})
}

// newMessage makes an empty message of the schema.
func newMessage(d protoreflect.MessageDescriptor) proto.Message {
	found, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		panic(err) // the schema is linked in
	}
	return found.New().Interface()
}
