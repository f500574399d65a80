package ndjson

import (
	"bytes"
	"encoding/json"
)

// Detect says whether a file that begins like this is lines of samples: an object whose
// first members have names of a Sample, its type among them.
func Detect(head []byte) bool {
	head = bytes.TrimPrefix(head, []byte("\uFEFF"))
	d := json.NewDecoder(bytes.NewReader(head))
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return false
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return false
		}
		switch name {
		case "type":
			value, err := d.Token()
			_, text := value.(string)
			return err == nil && text
		case "uuid", "start", "end", "value", "unit", "label":
			var value json.RawMessage
			if d.Decode(&value) != nil {
				return false
			}
		default:
			return false
		}
	}
	return false
}
