package house

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	declared  = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z]\w*)\(`)
	mentioned = regexp.MustCompile(`\b((?:Test|Fuzz)[A-Z]\w*)(?:/(\w+))?`)
)

// The document on threats is worth what its tests are: each that it names is there, and
// so is each script.
func TestEveryTestThatThreatsNameIsThere(t *testing.T) {
	root := filepath.Join("..", "..")
	there := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		for _, match := range declared.FindAllSubmatch(content, -1) {
			there[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(filepath.Join(root, "ledger", "THREATS.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := mentioned.FindAllSubmatch(document, -1)
	if len(names) < 50 {
		t.Errorf("only %d tests are named", len(names))
	}
	for _, match := range names {
		name, script := string(match[1]), string(match[2])
		if !there[name] {
			t.Errorf("there is no %s", name)
		}
		if script == "" {
			continue
		}
		if name != "TestScripts" {
			t.Errorf("%s/%s: only scripts are named by subtest", name, script)
		}
		_, err := os.Stat(filepath.Join(root, "cmd", "healthledger", "testdata", script+".txt"))
		if errors.Is(err, fs.ErrNotExist) {
			t.Errorf("there is no script %s", script)
		}
	}
}
