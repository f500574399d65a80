package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// demoApps are the apps of the demo, by the name of the file with their manifest.
var demoApps = map[string]string{
	"dashboard.yaml": `bundle_id: com.example.dashboard
name: Dashboard
version: 2.1
read_usage_description: Shows how much you walk.
purposes: [fitness]
privacy_policy:
  url: https://example.com/dashboard/privacy
  model: phr
  sha256: 0c9f1d7a2c5ce6ff2b17a4bd1dd6f6e1d6ce6d3a98d0a1a5b0a4a5e0c6a3f5b2
`,
	"game.yaml": `bundle_id: com.example.game
name: Game
version: 1.0
read_usage_description: Turns your steps into points.
purposes: [fitness]
privacy_policy:
  url: https://example.com/game/privacy
  model: phr
  sha256: 77e4a1d2f3c0b5968877665544332211ffeeddccbbaa00998877665544332211
`,
}

// register registers an app of the demo by its manifest.
func (d *demo) register(ctx context.Context, work, name string) error {
	path := filepath.Join(work, name)
	if err := os.WriteFile(path, []byte(demoApps[name]), 0o600); err != nil {
		return err
	}
	d.tell("$ cat %s", path)
	fmt.Fprintln(d.globals.out, strings.TrimSpace(demoApps[name]))
	_, err := d.run(ctx, 0, "app", "add", "--manifest", path)
	return err
}
