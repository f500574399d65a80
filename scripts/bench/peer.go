package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// peer is SQLite with SQLCipher, in a process of its own that is made of another module
// (scripts/sqlcipher says what the fields mean).
type peer struct {
	version  string
	in       io.WriteCloser
	requests *json.Encoder
	answers  *json.Decoder
	wait     func() error
}

type peerRequest struct {
	Rows    [][5]float64 `json:"rows,omitempty"`
	Loaded  bool         `json:"loaded,omitempty"`
	Query   *peerQuery   `json:"query,omitempty"`
	Seconds float64      `json:"seconds,omitempty"`
	Runs    int          `json:"runs,omitempty"`
}

type peerQuery struct {
	Name   string  `json:"name"`
	Type   int     `json:"type"`
	Bounds []int64 `json:"bounds,omitempty"`
	After  int64   `json:"after,omitempty"`
	Limit  int     `json:"limit,omitempty"`
}

type peerAnswer struct {
	Error   string
	Version string
	Bytes   int64
	Last    int64
	Result  []float64
	Nanos   []time.Duration
}

// buildPeer compiles the peer into a folder. The error says what is missing.
func buildPeer(ctx context.Context, dir string) (string, error) {
	source, err := findPeer()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "sqlcipher")
	// With OpenSSL it is fastest; where that is not there, with what the driver brings.
	openssl := []string{`CGO_CFLAGS=-O2 "-include` + filepath.Join(source, "openssl.h") + `"`, "CGO_LDFLAGS=-lcrypto"}
	for _, flags := range [][]string{openssl, {"CGO_CFLAGS=-O2"}} {
		cmd := exec.CommandContext(ctx, "go", "build", "-o", path, ".")
		cmd.Dir = source
		cmd.Env = append(append(os.Environ(), "CGO_ENABLED=1"), flags...)
		var output []byte
		if output, err = cmd.CombinedOutput(); err == nil {
			return path, nil
		}
		err = fmt.Errorf("build %s: %w: %s", source, err, bytes.TrimSpace(output))
	}
	return "", err
}

// findPeer looks for the peer's module from here and from the program upwards.
func findPeer() (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	for _, dir := range []string{here, filepath.Dir(self)} {
		for ; ; dir = filepath.Dir(dir) {
			source := filepath.Join(dir, "scripts", "sqlcipher")
			if _, err := os.Stat(filepath.Join(source, "go.mod")); err == nil {
				return source, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", errors.New("scripts/sqlcipher is neither above this folder nor above the program")
}

// startPeer starts the peer on a new database.
func startPeer(ctx context.Context, program, database string) (*peer, error) {
	cmd := exec.CommandContext(ctx, program, database)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &peer{in: in, requests: json.NewEncoder(in), answers: json.NewDecoder(bufio.NewReaderSize(out, 1<<16)), wait: cmd.Wait}
	first, err := p.next()
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	p.version = first.Version
	return p, nil
}

func (p *peer) close() error { return errors.Join(p.in.Close(), p.wait()) }

func (p *peer) ask(r *peerRequest) (*peerAnswer, error) {
	if err := p.requests.Encode(r); err != nil {
		return nil, fmt.Errorf("SQLCipher: %w", err)
	}
	return p.next()
}

func (p *peer) next() (*peerAnswer, error) {
	a := &peerAnswer{}
	if err := p.answers.Decode(a); err != nil {
		return nil, fmt.Errorf("SQLCipher: %w", err)
	}
	if a.Error != "" {
		return nil, fmt.Errorf("SQLCipher: %s", a.Error)
	}
	return a, nil
}

// peerBatch is how many rows the peer inserts in one transaction.
const peerBatch = 50_000

// insert stores points and returns the number of the last row.
func (p *peer) insert(points iter.Seq[point]) (last int64, err error) {
	rows := make([][5]float64, 0, peerBatch)
	flush := func() bool {
		var a *peerAnswer
		if a, err = p.ask(&peerRequest{Rows: rows}); err == nil {
			last, rows = a.Last, rows[:0]
		}
		return err == nil
	}
	for at := range points {
		rows = append(rows, [5]float64{float64(at.series), float64(at.source), float64(at.start), float64(at.end), at.value})
		if len(rows) == peerBatch && !flush() {
			return 0, err
		}
	}
	if len(rows) > 0 {
		flush()
	}
	return last, err
}

// loaded makes the indexes and returns the size of the database.
func (p *peer) loaded() (int64, error) {
	a, err := p.ask(&peerRequest{Loaded: true})
	if err != nil {
		return 0, err
	}
	return a.Bytes, nil
}

// measure runs a query as often as measure does.
func (p *peer) measure(q *peerQuery, d time.Duration) (*timing, error) {
	a, err := p.ask(&peerRequest{Query: q, Seconds: d.Seconds(), Runs: many})
	if err != nil {
		return nil, err
	}
	return newTiming(a.Nanos, a.Result), nil
}
