package apple

import (
	"encoding/xml"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestDecodeReplacesWhatXMLForbids(t *testing.T) {
	for raw, want := range map[string]struct {
		text     string
		replaced uint64
	}{
		"":                            {"", 0},
		"plain":                       {"plain", 0},
		"a\u00a0’😀\ufffd":             {"a\u00a0’😀\ufffd", 0},
		"a&amp;&lt;&gt;&quot;&apos;b": {"a&<>\"'b", 0},
		"&#65;&#x42;&#x1F600;&#10;":   {"AB😀\n", 0},
		"a\r\nb\rc\n\td":              {"a\nb\nc\n\td", 0},
		"\x0b":                        {"\ufffd", 1},
		"a\x00b\x1fc":                 {"a\ufffdb\ufffdc", 2},
		"&#11;&#0;&#xB;":              {"\ufffd\ufffd\ufffd", 3},
		"&#xD800;&#xFFFE;&#xFFFF;":    {"\ufffd\ufffd\ufffd", 3},
		"&#x110000;&#99999999999;":    {"\ufffd\ufffd", 2},
		"caf\xe9!":                    {"caf\ufffd!", 1},
		"\xe2\x82":                    {"\ufffd\ufffd", 2},
		"\xed\xa0\x80":                {"\ufffd\ufffd\ufffd", 3},
		"\uffff":                      {"\ufffd", 1},
		"\x7f\u0085":                  {"\x7f\u0085", 0},
		// What we do not resolve stays as it is.
		"&nbsp;&unknown;":             {"&nbsp;&unknown;", 0},
		"a & b &":                     {"a & b &", 0},
		"&;&#;&#x;&#xG;&#1a;":         {"&;&#;&#x;&#xG;&#1a;", 0},
		"&" + strings.Repeat("a", 99): {"&" + strings.Repeat("a", 99), 0},
		"&amp;amp;":                   {"&amp;", 0},
	} {
		got, _, replaced := decode([]byte(raw), nil)
		if string(got) != want.text || replaced != want.replaced {
			t.Errorf("%q: got %q, %d replaced, want %q, %d", raw, got, replaced, want.text, want.replaced)
		}
	}
}

func TestDecodeInvertsEscaping(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		var b strings.Builder
		if err := xml.EscapeText(&b, []byte(s)); err != nil {
			t.Fatal(err)
		}
		want := strings.Map(func(r rune) rune { // EscapeText replaces too
			if allowed(r) {
				return r
			}
			return utf8.RuneError
		}, s)
		if got, _, replaced := decode([]byte(b.String()), nil); string(got) != want || replaced != 0 {
			t.Fatalf("got %q, %d replaced, want %q", got, replaced, want)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("a&amp;b&#11;\x0b\xff&nbsp;"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, _, replaced := decode(raw, nil)
		if !utf8.Valid(got) {
			t.Fatalf("%q is not UTF-8", got)
		}
		marks := uint64(0)
		for _, r := range string(got) {
			if !allowed(r) {
				t.Fatalf("%q holds %U", got, r)
			}
			if r == utf8.RuneError {
				marks++
			}
		}
		if replaced > marks {
			t.Fatalf("%d replaced, %d marks", replaced, marks)
		}
	})
}
