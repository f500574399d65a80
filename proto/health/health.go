// Package health is the sample model: what a sample is, when it is refused, and
// how rows and columns of samples turn into each other.
//
// A producer sends rows ([pb.Sample]) or columns ([pb.SampleColumns]); the log
// and the view hold columns. [Columns] checks rows and packs them, [Validate]
// checks columns that came from outside, and both refuse the same samples with
// the same [FieldError]. [Rows] reads columns back, [Sample] makes a row for the
// wire again. A [Builder] packs samples that a bulk producer makes one by one.
//
// Quantities and categories are a number. All other kinds are an object, and what a
// sample has beyond the columns is its body ([ParseBody]); each kind has a file here
// with its rules. [Implausible] finds what is allowed and yet hard to believe, [SyncOf]
// and [IdentityOf] say what a later save replaces. Package healthtest draws samples of
// every type for tests, package signature checks those that a device signed.
//
// All times are microseconds since the Unix epoch, UTC. The rules are those of
// spec/healthkit.md, sections 3 and 4; where HealthKit gives no number the
// limits are ours and stand below.
package health

import (
	"fmt"
	"strings"
	"unicode/utf8"

	pb "healthledger/proto/healthledger/v1"
)

// Limits of one sample, in bytes where nothing else is said. HealthKit has
// them too but does not publish them.
const (
	// MaxText is the longest text of a source or a device.
	MaxText = 1024
	// MaxOther is how many properties without a field a device may have.
	MaxOther = 32
	// MaxSource is the size of a whole encoded source.
	MaxSource = 16 << 10
	// MaxKey is the longest metadata key.
	MaxKey = 256
	// MaxEntries is how many metadata entries a sample may have.
	MaxEntries = 256
	// MaxMetadata is the size of the whole encoded metadata of a sample.
	MaxMetadata = 128 << 10
	// MaxBody is the size of what a sample has beyond columns and metadata, its members
	// and the payload that comes with it included. A larger payload goes ahead.
	MaxBody = 384 << 10
	// MaxMembers is how many members an object may have.
	MaxMembers = 4096
	// MaxKept is how many pieces of an imported document an object may keep.
	MaxKept = 256
	// MaxParts is how many parts a payload may have that goes ahead.
	MaxParts = 4096
	// MaxChunk is the size of one chunk of a payload.
	MaxChunk = 256 << 10
)

// Policy says who a set of samples comes from. The zero Policy is an app.
type Policy struct {
	// Importer accepts types that only the system may write, and the app that a sample
	// came from: an importer brings what others wrote.
	Importer bool
}

// FieldError says which field of which sample was refused, and why.
type FieldError struct {
	// Index of the sample in the request: the row, or the running number over
	// all columns in order.
	Index int
	// Field is the JSON name: "start", "value", "metadata[HKFoo]", "source.name", …
	Field string
	// Value is what the field held, shortened to some 40 characters of valid UTF-8.
	Value string
	Why   string
}

// Error names the sample, the field, its value and the reason.
func (e *FieldError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("sample %d: %s: %s", e.Index, e.Field, e.Why)
	}
	return fmt.Sprintf("sample %d: %s %q: %s", e.Index, e.Field, e.Value, e.Why)
}

// maxShown is how many bytes of a value an error repeats.
const maxShown = 40

// refuse makes an error without an index; whoever knows it fills it in.
func refuse(field, value, why string) *FieldError {
	return &FieldError{Field: field, Value: shorten(value), Why: why}
}

func shorten(s string) string {
	if len(s) <= maxShown {
		return strings.ToValidUTF8(s, "�")
	}
	end := maxShown
	for end > maxShown-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return strings.ToValidUTF8(s[:end], "�") + "…"
}

// errEmpty refuses a request without samples.
func errEmpty() *FieldError { return refuse("samples", "", "there is nothing to save") }

// Collect checks a save request that may bring rows, columns or both, and
// returns all of it as columns. The index of a FieldError counts the rows
// first, then the samples of the columns in order.
func Collect(samples []*pb.Sample, columns []*pb.SampleColumns, p Policy) ([]*pb.SampleColumns, error) {
	if len(samples) == 0 {
		return columns, Validate(columns, p)
	}
	packed, err := Columns(samples, p)
	if err != nil || len(columns) == 0 {
		return packed, err
	}
	if err := validate(columns, p, len(samples)); err != nil {
		return nil, err
	}
	return append(packed, columns...), nil
}
