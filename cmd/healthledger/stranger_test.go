package main

import (
	"os"

	"github.com/rogpeppe/go-internal/testscript"

	"healthledger/ledger/serve/servetest"
)

// certificate HOST CERT KEY CA has a certificate issued, and writes who issued it too.
func certificate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: certificate host cert key ca")
	}
	authority, err := servetest.NewAuthority()
	ts.Check(err)
	ts.Check(authority.Write(args[0], ts.MkAbs(args[1]), ts.MkAbs(args[2])))
	ts.Check(os.WriteFile(ts.MkAbs(args[3]), []byte(authority.CA()), 0o600))
}
