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

// noteverify KEY FILE checks a signed note as any tool for them does.
func noteVerify(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: noteverify key file")
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(ts.ReadFile(args[0])))
	ts.Check(err)
	_, err = note.Open([]byte(ts.ReadFile(args[1])), note.VerifierList(verifier))
	ts.Check(err)
}
