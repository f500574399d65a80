package cryptfs

import "strings"

// kind says what a file is to Pebble. The numbers stand in headers and never
// change.
type kind byte

const (
	kindPlain    kind = 0 // LOCK and markers: no content, never a header
	kindTable    kind = 1
	kindBlob     kind = 2
	kindOptions  kind = 3
	kindManifest kind = 4
	kindLog      kind = 5
	kindOther    kind = 6
)

// appended tells the files that are synced and read while they grow from those
// that are written once.
func (k kind) appended() bool { return k == kindManifest || k == kindLog }

// identity is what a file is bound to: its kind and its name without the
// directory, since a checkpoint links files into another one. The name holds
// the file's number.
type identity struct {
	kind kind
	name string
}

// identify reads the identity off a file's base name. Pebble writes OPTIONS
// under a temporary name with the final number and renames it, so the two
// names are one identity.
func identify(base string) identity {
	switch {
	case base == "LOCK", strings.HasPrefix(base, "marker."):
		return identity{kindPlain, ""}
	case strings.HasSuffix(base, ".sst"):
		return identity{kindTable, base}
	case strings.HasSuffix(base, ".blob"):
		return identity{kindBlob, base}
	case strings.HasPrefix(base, "OPTIONS-"):
		return identity{kindOptions, base}
	case strings.HasPrefix(base, "MANIFEST-"):
		return identity{kindManifest, base}
	case strings.HasSuffix(base, ".log"):
		return identity{kindLog, base}
	}
	if number, ok := strings.CutPrefix(base, "temporary."); ok {
		if number, ok = strings.CutSuffix(number, ".dbtmp"); ok {
			return identity{kindOptions, "OPTIONS-" + number}
		}
	}
	return identity{kindOther, base}
}
