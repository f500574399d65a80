package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// opaque fields hold what is random or made by the ledger: two stores that are the same to
// an app may differ in them, in nothing but the letters. Whatever is in no list is
// compared as it is.
var opaque = map[protoreflect.Name]bool{
	"uuid": true, "payload_token": true, "next_page_token": true, "anchor": true, "receipt": true, "token": true,
}

// pair is what the two stores say, or are told, in the same place.
type pair struct {
	texts [2]string
	// of is the type of the object that a token came with, if it came with one.
	of string
}

// names knows what stands for the same in the two stores.
type names struct {
	// uuids of one store by that of the other, both ways.
	uuids [2]map[string]string
	// found are the texts of opaque fields, by the field.
	found map[protoreflect.Name][]pair
}

func newNames() *names {
	return &names{uuids: [2]map[string]string{{}, {}}, found: map[protoreflect.Name][]pair{}}
}

// same compares the answers to one call; told is what the requests differed in.
func (n *names) same(w *wire, a, b *answer, of protoreflect.MessageType, told []pair) error {
	x, errX := w.decode(a, of)
	y, errY := w.decode(b, of)
	if errX != nil || errY != nil {
		return fmt.Errorf("an answer cannot be read: %v, %v", errX, errY)
	}
	if x != nil && y != nil {
		var met []pair
		if err := n.sameMessage(x, y, "", &met); err != nil {
			return err
		}
		told = append(slices.Clone(told), met...)
	}
	return n.sameBytes(a, b, told)
}

// sameBytes compares everything, when what is opaque in the second has the letters of
// that in the first.
func (n *names) sameBytes(a, b *answer, opaque []pair) error {
	text, body := b.headers(), b.body
	for _, p := range opaque {
		if p.texts[0] != p.texts[1] && p.texts[1] != "" {
			text = strings.ReplaceAll(text, p.texts[1], p.texts[0])
			body = bytes.ReplaceAll(body, []byte(p.texts[1]), []byte(p.texts[0]))
		}
	}
	switch {
	case a.status != b.status:
		return fmt.Errorf("status %d, not %d", a.status, b.status)
	case a.headers() != text:
		return fmt.Errorf("headers\n%snot\n%s", a.headers(), text)
	case !bytes.Equal(a.body, body):
		return fmt.Errorf("%d bytes %q, not %d bytes %q", len(a.body), shorten(a.body), len(body), shorten(body))
	}
	return nil
}

func shorten(b []byte) []byte { return b[:min(len(b), 2000)] }

// sameMessage compares messages field by field and notes what is opaque in them.
func (n *names) sameMessage(a, b protoreflect.Message, path string, met *[]pair) error {
	fields := a.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		at := path + "." + string(field.Name())
		if a.Has(field) != b.Has(field) {
			return fmt.Errorf("%s of\n%v\nnot\n%v", at, a.Interface(), b.Interface())
		}
		if !a.Has(field) {
			continue
		}
		if !field.IsList() {
			if err := n.sameValue(field, a, a.Get(field), b.Get(field), at, met); err != nil {
				return err
			}
			continue
		}
		x, y := a.Get(field).List(), b.Get(field).List()
		if x.Len() != y.Len() {
			return fmt.Errorf("%s of\n%v\nnot\n%v", at, a.Interface(), b.Interface())
		}
		for j := range x.Len() {
			if err := n.sameValue(field, a, x.Get(j), y.Get(j), fmt.Sprintf("%s[%d]", at, j), met); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n *names) sameValue(field protoreflect.FieldDescriptor, in protoreflect.Message, a, b protoreflect.Value, at string, met *[]pair) error {
	switch {
	case field.Message() != nil:
		return n.sameMessage(a.Message(), b.Message(), at, met)
	case field.Kind() == protoreflect.StringKind && opaque[field.Name()]:
		p := pair{texts: [2]string{a.String(), b.String()}}
		if typed := in.Descriptor().Fields().ByName("type"); typed != nil {
			p.of = in.Get(typed).String()
		}
		if err := n.meet(field.Name(), p); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		*met = append(*met, p)
		return nil
	case !a.Equal(b):
		return fmt.Errorf("%s: %v, not %v", at, a, b)
	}
	return nil
}

// meet notes a pair. Tokens need only have one length; a UUID must stand for the same
// object whenever it comes.
func (n *names) meet(name protoreflect.Name, p pair) error {
	x, y := p.texts[0], p.texts[1]
	if len(x) != len(y) {
		return fmt.Errorf("%q has another length than %q", x, y)
	}
	if name == "uuid" {
		for i, other := range []string{y, x} {
			if before, ok := n.uuids[i][p.texts[i]]; ok && before != other {
				return fmt.Errorf("%s stood for %s, and now for %s", p.texts[i], before, other)
			}
			n.uuids[i][p.texts[i]] = other
		}
	}
	n.found[name] = append(n.found[name], p)
	return nil
}
