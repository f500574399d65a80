package main

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

var valueAttribute = regexp.MustCompile(` value="([0-9]+\.[0-9]+)"`)

// valuesIn returns values of an export as they are written and as the bytes of a
// float64, the shortest of them long enough not to occur by chance.
func valuesIn(text []byte, limit int) [][]byte {
	var found [][]byte
	seen := map[string]bool{}
	for _, match := range valueAttribute.FindAllSubmatch(text, -1) {
		value := string(match[1])
		if len(value) < 7 || seen[value] {
			continue
		}
		seen[value] = true
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			continue
		}
		found = append(found, []byte(value),
			binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)),
			binary.BigEndian.AppendUint64(nil, math.Float64bits(v)))
		if len(found) >= limit {
			break
		}
	}
	return found
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
		if len(args) != 2 || string(args[1]) != "projector" {
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
