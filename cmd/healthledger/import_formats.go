package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"healthledger/ledger/importer/healthautoexport"
	"healthledger/ledger/importer/ndjson"
	"healthledger/proto/client"
)

// format is a kind of file that can be imported. Files are told apart by what is in
// them, whatever they are called.
type format struct {
	name, what string
	// detect looks at the first headBytes of a file.
	detect func(head []byte) bool
	run    func(c *importCmd, ctx context.Context, g *globals, app *client.Client) error
}

// formats in the order in which files are looked at.
var formats = []format{
	{"apple", "an export of Apple's Health app: a ZIP file, or XML with HealthData", isApple, (*importCmd).run},
	{"health-auto-export", `JSON of the app Health Auto Export: {"data": {"metrics": …}}`, isHealthAutoExport, (*importCmd).runHealthAutoExport},
	{"ndjson", `samples as lines of JSON: {"type": "bodyMass", …}`, ndjson.Detect, (*importCmd).runNDJSON},
	{"csv", "a table: CSV, whose columns --column names", func([]byte) bool { return false }, (*importCmd).runTable},
}

// headBytes is how much of a file is looked at.
const headBytes = 64 << 10

// choose finds the format of the file: the one that was asked for, or the one that it is.
func (c *importCmd) choose() (*format, error) {
	if c.Format == "auto" && c.table() {
		c.Format = "csv"
	}
	if c.Format != "csv" && c.table() {
		return nil, usagef("--column, --type, --unit and the like are for --format csv")
	}
	for i := range formats {
		if formats[i].name == c.Format {
			return &formats[i], nil
		}
	}
	head, err := headOf(c.File)
	if err != nil {
		return nil, err
	}
	for i := range formats {
		if formats[i].detect(head) {
			return &formats[i], nil
		}
	}
	return nil, unknownFormat(c.File, head)
}

func headOf(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, headBytes)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return head[:n], nil
}

// unknownFormat says what was looked for.
func unknownFormat(path string, head []byte) error {
	if len(head) == 0 {
		return fmt.Errorf("%s is empty", path)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s is nothing that can be imported. Its beginning is none of:", path)
	for _, f := range formats {
		fmt.Fprintf(&b, "\n  %-20s %s", f.name, f.what)
	}
	if isTable(head) {
		b.WriteString("\nIt may be CSV: say what its columns are, as in --type bodyMass --unit kg --column start=Date,value=Weight.")
	} else {
		b.WriteString("\nIf it is one of them all the same, say so with --format.")
	}
	return errors.New(b.String())
}

func isApple(head []byte) bool {
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n")
	return bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, []byte("<")) && bytes.Contains(head, []byte("<HealthData")) ||
		bytes.HasPrefix(head, []byte("<?xml")) || bytes.HasPrefix(head, []byte("<!DOCTYPE"))
}

// isHealthAutoExport looks at the first field of the object, which is how the app begins.
func isHealthAutoExport(head []byte) bool {
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(head, []byte("\ufeff"))))
	for _, want := range []json.Token{json.Delim('{'), nil, nil} {
		token, err := d.Token()
		if err != nil || want != nil && token != want {
			return false
		}
		if key, ok := token.(string); ok && key != "data" && !healthautoexport.IsSection(key) {
			return false
		}
		if want == nil && token == json.Delim('{') || token == json.Delim('[') {
			return true
		}
	}
	return false
}

// isTable guesses whether a file is lines of text with as many delimiters in the first two.
func isTable(head []byte) bool {
	lines := bytes.SplitN(head, []byte("\n"), 3)
	if len(lines) < 2 || bytes.IndexByte(head, 0) >= 0 || !utf8.Valid(lines[0]) {
		return false
	}
	for _, delimiter := range []string{",", ";", "\t", "|"} {
		if n := bytes.Count(lines[0], []byte(delimiter)); n > 0 && n <= bytes.Count(lines[1], []byte(delimiter)) {
			return true
		}
	}
	return false
}
