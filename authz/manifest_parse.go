package authz

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "healthledger/proto/healthledger/v1"
)

// MaxManifest is how large a manifest is at most, in bytes.
const MaxManifest = 64 << 10

// ParseManifest reads a manifest from YAML, of which JSON is a part. Names are those of
// the schema, as in protobuf or as in JSON; anything else is refused, and so are aliases,
// tags and names that come twice. It does not check what the manifest says. The error is
// a *DraftError.
func ParseManifest(text []byte) (*pb.Manifest, error) {
	if len(text) > MaxManifest {
		return nil, &DraftError{"manifest", "", fmt.Sprintf("larger than %d bytes", MaxManifest)}
	}
	var document yaml.Node
	if err := yaml.Load(text, &document); err != nil {
		return nil, &DraftError{"manifest", "", "not YAML: " + err.Error()}
	}
	if document.Kind != yaml.DocumentNode || len(document.Content) != 1 {
		return nil, &DraftError{"manifest", "", "it is empty"}
	}
	m := &pb.Manifest{}
	if err := fill(m.ProtoReflect(), document.Content[0], "manifest", ""); err != nil {
		return nil, err
	}
	return m, nil
}

// fill sets the fields of a message, all of which are texts, messages, and lists of them.
// Part is what the message is called, and prefix what stands before the names in it.
func fill(m protoreflect.Message, n *yaml.Node, part, prefix string) error {
	if n.Kind != yaml.MappingNode {
		return &DraftError{part, "", "not a list of names and values"}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if name.Kind != yaml.ScalarNode || name.Value == "" {
			return &DraftError{part, "", "a name is missing"}
		}
		field := m.Descriptor().Fields().ByTextName(name.Value)
		if field == nil {
			field = m.Descriptor().Fields().ByJSONName(name.Value)
		}
		if field == nil {
			return &DraftError{prefix + name.Value, "", "there is no such part"}
		}
		part := prefix + string(field.Name())
		if m.Has(field) {
			return &DraftError{part, "", "it is there twice"}
		}
		if field.IsList() {
			if err := fillList(m.Mutable(field).List(), field, value, part); err != nil {
				return err
			}
			continue
		}
		if field.Message() != nil {
			if err := fill(m.Mutable(field).Message(), value, part, part+"."); err != nil {
				return err
			}
			continue
		}
		text, err := scalar(value, part)
		if err != nil {
			return err
		}
		m.Set(field, protoreflect.ValueOfString(text))
	}
	return nil
}

func fillList(list protoreflect.List, field protoreflect.FieldDescriptor, n *yaml.Node, part string) error {
	if n.Kind != yaml.SequenceNode {
		return &DraftError{part, "", "not a list"}
	}
	for i, item := range n.Content {
		part := fmt.Sprintf("%s[%d]", part, i)
		if field.Message() != nil {
			if err := fill(list.AppendMutable().Message(), item, part, part+"."); err != nil {
				return err
			}
			continue
		}
		text, err := scalar(item, part)
		if err != nil {
			return err
		}
		list.Append(protoreflect.ValueOfString(text))
	}
	return nil
}

// scalar takes a text as it is written: a version 1.0 is not the number 1.
func scalar(n *yaml.Node, part string) (string, error) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || !strings.HasPrefix(n.Tag, "!!") || n.Tag == "!!binary" {
		return "", &DraftError{part, "", "not a text"}
	}
	return strings.TrimSpace(n.Value), nil
}
