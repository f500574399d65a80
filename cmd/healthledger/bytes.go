package main

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// byteCount is a number of bytes on the command line: 1048576, 256MiB, 1GiB.
type byteCount uint64

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *byteCount) UnmarshalText(text []byte) error {
	number, power := string(text), 0
	for i, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if before, ok := strings.CutSuffix(number, unit); ok {
			number, power = before, i+1
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil || n != 0 && bits.Len64(n)+10*power > 64 {
		return fmt.Errorf("%q is no number of bytes, KiB, MiB, GiB or TiB", text)
	}
	*c = byteCount(n << (10 * power))
	return nil
}
