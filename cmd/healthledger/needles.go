package main

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"healthledger/scripts/genexport/export"
)

// needles are what must not be found in the files of a store.
type needles struct {
	strings, numbers [][]byte
}

// needlesOf returns the names in an export, and values from all over it: as they are
// written there and as the bytes of a float64.
func needlesOf(archive string, manifest export.Manifest) (needles, error) {
	var n needles
	for name := range manifest.Sources {
		if len(name) >= 7 {
			n.strings = append(n.strings, []byte(name))
		}
	}
	for name := range manifest.Types {
		n.strings = append(n.strings, []byte(name))
	}
	xml, err := openLargest(archive)
	if err != nil {
		return needles{}, err
	}
	defer xml.Close()
	values, err := valuesIn(xml, 80)
	if err != nil {
		return needles{}, err
	}
	if len(values) == 0 || len(n.strings) == 0 {
		return needles{}, errors.New("the export has nothing to look for")
	}
	for text, v := range values {
		n.numbers = append(n.numbers, []byte(text),
			binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)),
			binary.BigEndian.AppendUint64(nil, math.Float64bits(v)))
	}
	return n, nil
}

// in says which needle a file contains, nil if none.
func (n needles) in(content []byte) []byte {
	for _, list := range [][][]byte{n.strings, n.numbers} {
		for _, needle := range list {
			if bytes.Contains(content, needle) {
				return needle
			}
		}
	}
	return nil
}

// valuesIn picks some of the values in XML, the shortest of them long enough not to
// occur by chance; every value is as likely to be picked (Vitter's algorithm R).
func valuesIn(xml io.Reader, most int) (map[string]float64, error) {
	random := rand.New(rand.NewPCG(1, 2))
	var picked []string
	seen := 0
	lines := bufio.NewScanner(xml)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		_, rest, _ := bytes.Cut(lines.Bytes(), []byte(` value="`))
		value, _, _ := bytes.Cut(rest, []byte{'"'})
		if len(value) < 7 || len(bytes.Trim(value, "0123456789.")) > 0 {
			continue
		}
		seen++
		if len(picked) < most {
			picked = append(picked, string(value))
		} else if at := random.IntN(seen); at < most {
			picked[at] = string(value)
		}
	}
	values := map[string]float64{}
	for _, text := range picked {
		if v, err := strconv.ParseFloat(text, 64); err == nil {
			values[text] = v
		}
	}
	return values, lines.Err()
}

// openLargest opens the largest file in an archive.
func openLargest(archive string) (io.ReadCloser, error) {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return nil, err
	}
	largest := z.File[0]
	for _, f := range z.File {
		if f.UncompressedSize64 > largest.UncompressedSize64 {
			largest = f
		}
	}
	r, err := largest.Open()
	if err != nil {
		return nil, errors.Join(err, z.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{r, z}, nil
}

// projectorsOf finds projector processes whose daemon serves a data directory.
func projectorsOf(dir string) []string {
	var found []string
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		args := bytes.Split(bytes.TrimRight(content, "\x00"), []byte{0})
		if len(args) < 2 || string(args[1]) != "projector" {
			continue
		}
		if parent := parentOf(filepath.Dir(path)); strings.Contains(parent, dir) {
			found = append(found, filepath.Base(filepath.Dir(path)))
		}
	}
	return found
}

// parentOf returns the command line of a process's parent.
func parentOf(process string) string {
	status, err := os.ReadFile(filepath.Join(process, "status"))
	if err != nil {
		return ""
	}
	for _, line := range strings.Split(string(status), "\n") {
		if pid, ok := strings.CutPrefix(line, "PPid:"); ok {
			parent, _ := os.ReadFile(filepath.Join("/proc", strings.TrimSpace(pid), "cmdline"))
			return string(parent)
		}
	}
	return ""
}
