package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/mod/sumdb/note"
)

// flipbyte GLOB N changes the byte at one Nth of the one file.
func flipByte(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flipbyte glob n")
	}
	files, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(files) != 1 {
		ts.Fatalf("files: %q", files)
	}
	part, err := strconv.Atoi(args[1])
	ts.Check(err)
	content, err := os.ReadFile(files[0])
	ts.Check(err)
	content[len(content)/part] ^= 1
	ts.Check(os.WriteFile(files[0], content, 0o600))
}

// noteverify KEYS FILE checks, as any tool for signed notes does, that each of the keys has
// signed the note in the file, and nobody else.
func noteVerify(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: noteverify keys file")
	}
	var keys []note.Verifier
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		key, err := note.NewVerifier(strings.TrimSpace(line))
		ts.Check(err)
		keys = append(keys, key)
	}
	n, err := note.Open([]byte(ts.ReadFile(args[1])), note.VerifierList(keys...))
	ts.Check(err)
	if len(n.Sigs) != len(keys) || len(n.UnverifiedSigs) > 0 {
		ts.Fatalf("%d of %d keys have signed it, and %d others", len(n.Sigs), len(keys), len(n.UnverifiedSigs))
	}
}
