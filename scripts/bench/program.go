package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// program is the command line on a data directory.
type program struct{ self, dir, passphrase string }

// newProgram makes a data directory with a store in a folder.
func newProgram(ctx context.Context, dir string) (*program, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &program{self: self, dir: filepath.Join(dir, "data"), passphrase: filepath.Join(dir, "passphrase")}
	if err := os.WriteFile(p.passphrase, []byte("bench\n"), 0o600); err != nil {
		return nil, err
	}
	_, err = p.run(ctx, "init", "--words-file", filepath.Join(dir, "words"))
	return p, err
}

func (p *program) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, p.self, append([]string{"--dir", p.dir, "--passphrase-file", p.passphrase}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("healthledger %v: %w: %s", args, err, stderr.String())
	}
	return out, nil
}

func (p *program) unlock(ctx context.Context) (time.Duration, error) {
	started := time.Now()
	_, err := p.run(ctx, "unlock")
	return time.Since(started), err
}

func (p *program) serve(flags ...string) (stop func(), err error) {
	cmd := exec.Command(p.self, append([]string{"--dir", p.dir, "serve"}, flags...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := out.Read(make([]byte, 1024)); err != nil {
		return nil, errors.Join(err, cmd.Wait())
	}
	return func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}, nil
}

func (p *program) viewSize() (int64, error) {
	views, err := filepath.Glob(filepath.Join(p.dir, "stores", "*", "view-*"))
	if err != nil || len(views) != 1 {
		return 0, fmt.Errorf("%d views in %s", len(views), p.dir)
	}
	return sizeOf(views[0])
}
