package main

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"healthledger/ledger/serve"
	"healthledger/ledger/serve/servetest"
	"healthledger/proto/client"
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

// as APP sets what a client of the app needs, for the nats command line
// and for curl.
func as(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: as app")
	}
	address, err := serve.ReadAddress(ts.Getenv("HEALTHLEDGER_DIR"))
	ts.Check(err)
	c, err := client.ReadCredentials(ts.MkAbs(args[0] + ".json"))
	ts.Check(err)
	endpoint, err := url.Parse(address.HTTP)
	ts.Check(err)
	for name, value := range map[string]string{
		"NATS_URL": c.URL, "NATS_USER": c.Key, "NATS_PASSWORD": c.Token, "STORE": c.Store, "KEY": c.Key,
		"TOKEN": c.Bearer(), "PORT": endpoint.Port(),
	} {
		ts.Setenv(name, value)
	}
}

// builtNATS is what building the nats command line came to.
var builtNATS = sync.OnceValues(func() (output []byte, err error) {
	modfile, err := filepath.Abs(filepath.Join("..", "..", "scripts", "natscli", "go.mod"))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "build", "-modfile", modfile, "-o", filepath.Join(filepath.Dir(built), "nats"), "github.com/nats-io/natscli/nats")
	return cmd.CombinedOutput()
})

// natscli puts the nats command line of scripts/natscli into the path.
func natscli(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: natscli")
	}
	if output, err := builtNATS(); err != nil {
		ts.Fatalf("build nats: %v\n%s", err, output)
	}
}

// weigh FILE runs the program in Go that the README shows, with an app's credentials.
func weigh(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: weigh credentials")
	}
	source := filepath.Join("testdata", "weigh", "main.go")
	program, err := os.ReadFile(source)
	ts.Check(err)
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	ts.Check(err)
	_, shown, _ := strings.Cut(string(program), "\tdefer c.Close()\n")
	shown, _, _ = strings.Cut(shown, "\treturn nil\n}\n")
	shown = strings.ReplaceAll("    "+strings.ReplaceAll(strings.TrimSpace(shown), "\n\t", "\n    "), "\t", "    ")
	if !strings.Contains(string(readme), shown) {
		ts.Fatalf("README.md does not show what %s does:\n%s", source, shown)
	}
	cmd := exec.Command("go", "run", source, ts.MkAbs(args[0]))
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	ts.Check(cmd.Run())
}
