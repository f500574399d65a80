// Package house holds the rules of the house as tests: what lies at the top level,
// and who may import whom.
package house

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "healthledger"

// rooms says for every folder which of the project's own folders its packages may
// import; a trailing "/..." stands for everything below. The longest match counts.
var rooms = map[string][]string{
	"proto/healthledger/v1": {},
	"proto/catalog":         {"proto/..."},
	"proto/unit":            {"proto/..."},
	"proto/health":          {"proto/..."},
	"proto/rpc":             {"proto/..."},
	"proto/client":          {"proto/..."},
	"authz":                 {"proto/..."},
	"ledger":                {"proto/...", "authz", "ledger/..."},
	"ledger/log":            {"proto/...", "ledger/seal", "ledger/tree"},
	"ledger/seal":           {"proto/..."},
	"ledger/tree":           {"proto/..."},
	"ledger/backup":         {"proto/...", "ledger/log", "ledger/seal", "ledger/tree"},
	"ledger/serve":          {"proto/...", "authz", "ledger/..."},
	"ledger/importer":       {"proto/..."},
	"projector":             {"proto/...", "authz", "ledger/log", "ledger/seal", "ledger/tree", "projector/..."},
	"projector/aggregate":   {"proto/catalog"},
	"projector/cryptfs":     {},
	"projector/erase":       {"proto/...", "authz", "projector/view"},
	"projector/export":      {"proto/..."},
	"projector/view":        {"proto/...", "authz", "projector/aggregate", "projector/cryptfs"},
	"projector/query":       {"proto/...", "authz", "projector/aggregate", "projector/view"},
	"cmd/healthledger":      {"..."},
	"scripts":               {"..."},
}

// pure packages take values and give values: no clock, no network, no files.
var pure = []string{"proto/catalog", "proto/unit", "proto/health", "ledger/seal", "ledger/tree", "authz", "projector/aggregate"}

// impure is what a pure package does not import.
var impure = []string{"os", "os/exec", "net", "net/http", "log/slog", "github.com/nats-io/nats.go", "github.com/cockroachdb/pebble/v2"}

type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p listed
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// inModule cuts the module's name off an import path of the project.
func inModule(path string) (string, bool) { return strings.CutPrefix(path, module+"/") }

// room returns the folder whose rule holds for a package.
func room(path string) (string, bool) {
	for folder := path; folder != "."; folder = filepath.Dir(folder) {
		if _, ok := rooms[folder]; ok {
			return folder, true
		}
	}
	return "", false
}

func allowed(rules []string, path string) bool {
	return slices.ContainsFunc(rules, func(rule string) bool {
		if below, ok := strings.CutSuffix(rule, "..."); ok {
			return strings.HasPrefix(path+"/", below)
		}
		return path == rule
	})
}

func TestImportsFollowTheHouse(t *testing.T) {
	for _, p := range packages(t) {
		path, _ := inModule(p.ImportPath)
		folder, ok := room(path)
		if !ok {
			t.Errorf("%s lies in no room of the house", path)
			continue
		}
		for _, imported := range p.Imports {
			target, ours := inModule(imported)
			if ours && !strings.HasPrefix(target+"/", folder+"/") && !allowed(rooms[folder], target) {
				t.Errorf("%s may not import %s", path, target)
			}
			if slices.Contains(pure, folder) && slices.Contains(impure, imported) {
				t.Errorf("%s is pure, but imports %s", path, imported)
			}
		}
	}
}

func TestWriteSideNeverReachesTheView(t *testing.T) {
	byPath := map[string]listed{}
	for _, p := range packages(t) {
		byPath[p.ImportPath] = p
	}
	var visit func(from, path string, seen map[string]bool)
	visit = func(from, path string, seen map[string]bool) {
		if seen[path] {
			return
		}
		seen[path] = true
		if strings.HasPrefix(path, module+"/projector") {
			t.Errorf("%s reaches %s", from, path)
		}
		for _, next := range byPath[path].Imports {
			if _, ours := inModule(next); ours {
				visit(from, next, seen)
			}
		}
	}
	for path := range byPath {
		if strings.HasPrefix(path, module+"/ledger") {
			visit(path, path, map[string]bool{})
		}
	}
}

func TestTopLevelIsFixed(t *testing.T) {
	want := []string{"LICENSE", "Makefile", "README.md", "authz", "cmd", "go.mod", "go.sum", "ledger", "projector", "proto", "scripts"}
	out, err := exec.Command("git", "-C", filepath.Join("..", ".."), "ls-files").Output()
	if err != nil {
		t.Skip("not a git checkout")
	}
	for _, file := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		top, _, _ := strings.Cut(file, "/")
		if !strings.HasPrefix(top, ".") && !slices.Contains(want, top) {
			t.Errorf("%s does not belong at the top level", top)
		}
	}
}
