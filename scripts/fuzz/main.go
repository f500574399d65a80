// Command fuzz runs the fuzz targets of packages, so long each and two side by side.
//
//	go run ./scripts/fuzz -time 10s ./proto/unit/... ./ledger/importer/...
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"
)

// target is a fuzz target of a package.
type target struct{ pkg, name string }

func main() {
	long := flag.Duration("time", 10*time.Second, "how long each target runs")
	flag.Parse()
	targets, err := list(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
	if len(targets) == 0 {
		fmt.Fprintln(os.Stderr, "fuzz: no targets in", flag.Args())
		os.Exit(2)
	}
	if failed := run(targets, *long); failed > 0 {
		fmt.Printf("fuzz: %d of %d targets failed\n", failed, len(targets))
		os.Exit(1)
	}
	fmt.Printf("fuzz: %d targets, %s each\n", len(targets), *long)
}

var declared = regexp.MustCompile(`(?m)^func (Fuzz\w*)\(`)

// list finds the targets in the sources: to ask the tests they would have to be built once more,
// without what fuzzing needs.
func list(patterns []string) ([]target, error) {
	const files = `{{$p := .}}{{range .TestGoFiles}}{{$p.ImportPath}} {{$p.Dir}}/{{.}}
{{end}}{{range .XTestGoFiles}}{{$p.ImportPath}} {{$p.Dir}}/{{.}}
{{end}}`
	out, err := exec.Command("go", append([]string{"list", "-f", files}, patterns...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var targets []target
	for line := range strings.Lines(string(out)) {
		pkg, file, found := strings.Cut(strings.TrimSpace(line), " ")
		if !found {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for _, name := range declared.FindAllSubmatch(source, -1) {
			targets = append(targets, target{pkg, string(name[1])})
		}
	}
	return targets, nil
}

func run(targets []target, long time.Duration) (failed int) {
	var wait sync.WaitGroup
	var mu sync.Mutex
	queue := make(chan target)
	for range 2 {
		wait.Go(func() {
			for t := range queue {
				out, ok := t.fuzz(long)
				mu.Lock()
				if !ok {
					failed++
					fmt.Printf("FAIL %s %s\n%s\n", t.pkg, t.name, out)
				} else {
					fmt.Printf("ok   %s %s\n", t.pkg, t.name)
				}
				mu.Unlock()
			}
		})
	}
	for _, t := range targets {
		queue <- t
	}
	close(queue)
	wait.Wait()
	return failed
}

// fuzz runs one target. The engine minimises nothing: that can take longer than all the rest. What
// is built for it is the same in every clone.
func (t target) fuzz(long time.Duration) (out []byte, ok bool) {
	// At the end of its time the engine at times reports that as an error of its own
	// (golang/go issue 75804), and then the target runs again.
	for range 2 {
		var err error
		out, err = exec.Command("go", "test", "-trimpath", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", long.String(),
			"-fuzzminimizetime", "1x", "-parallel", "1", t.pkg).CombinedOutput()
		if err == nil {
			return out, true
		}
		if bytes.Contains(out, []byte("Failing input written")) || !bytes.Contains(out, []byte("context deadline exceeded")) {
			break
		}
	}
	return out, false
}
