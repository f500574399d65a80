package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// manifestOf is the manifest of an app that may ask for everything.
func manifestOf(bundleID string) []byte {
	return fmt.Appendf(nil, `# What the app %[1]s wants.
bundle_id: %[1]s
name: %[1]s
version: 1.0
share_usage_description: Keeps what it measures.
read_usage_description: Shows what was measured.
clinical_usage_description: Shows what the clinic has found.
purposes: [health, fitness]
privacy_policy:
  url: https://example.com/privacy
  model: phr
  sha256: 5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e
`, bundleID)
}

// manifest FILE BUNDLE-ID writes the manifest of an app.
func writeManifest(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: manifest file bundle-id")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), manifestOf(args[1]), 0o600))
}

// addApp registers an app.
func (s *store) addApp(bundleID string, flags ...string) {
	s.t.Helper()
	path := filepath.Join(s.work, bundleID+".yaml")
	if err := os.WriteFile(path, manifestOf(bundleID), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.run(append([]string{"app", "add", "--manifest", path}, flags...)...)
}
