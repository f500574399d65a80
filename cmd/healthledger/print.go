package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// printMessage prints a message as one line of JSON, in the schema's names.
func (g *globals) printMessage(m proto.Message) error {
	text, err := protojson.Marshal(m)
	if err != nil {
		return err
	}
	// protojson varies its spaces on purpose; one object has one form here.
	var line bytes.Buffer
	if err := json.Compact(&line, text); err != nil {
		return err
	}
	_, err = fmt.Fprintln(g.out, line.String())
	return err
}

func (g *globals) printJSON(v any) error { return json.NewEncoder(g.out).Encode(v) }

// say prints the one word that a command without an answer ends with.
func (g *globals) say(state string) error {
	if g.JSON {
		return g.printJSON(map[string]string{"state": state})
	}
	_, err := fmt.Fprintln(g.out, state)
	return err
}

func byteSize(n uint64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	div, exp := uint64(unit), 0
	for m := n / unit; m >= unit && exp < 4; m /= unit {
		div *= unit
		exp++
	}
	return fmt.Sprintf("%.1f %ciB", float64(n)/float64(div), "KMGTP"[exp])
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// bar shows progress with rate and time left on a terminal, and nothing elsewhere.
type bar struct {
	pool *mpb.Progress
	bar  *mpb.Bar
}

func (g *globals) bar(what, unit string) *bar {
	f, ok := g.err.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || g.JSON {
		return &bar{}
	}
	counter := decor.CountersNoUnit("%d / %d " + unit)
	rate := decor.AverageSpeed(nil, "  %.0f "+unit+"/s")
	if unit == "bytes" {
		counter = decor.CountersKibiByte("% .1f / % .1f")
		rate = decor.AverageSpeed(decor.SizeB1024(0), "  % .1f")
	}
	pool := mpb.New(mpb.WithOutput(f), mpb.WithRefreshRate(100*time.Millisecond))
	return &bar{pool: pool, bar: pool.AddBar(0,
		mpb.PrependDecorators(decor.Name(what+"  "), counter),
		mpb.AppendDecorators(rate, decor.Name("  "), decor.AverageETA(decor.ET_STYLE_GO)),
	)}
}

func (b *bar) set(done, total int64) {
	if b.bar != nil {
		b.bar.SetTotal(total, false)
		b.bar.SetCurrent(done)
	}
}

func (b *bar) done() {
	if b.bar != nil {
		b.bar.SetTotal(-1, true)
		b.pool.Wait()
	}
}

// confirmed asks at a terminal; elsewhere only --yes is an answer. The error says what has not
// happened.
func (g *globals) confirmed(yes bool, question, refused string) error {
	if yes {
		return nil
	}
	terminal, ok := g.in.(*os.File)
	if g.JSON || !ok || !term.IsTerminal(int(terminal.Fd())) {
		return errors.New(refused + ": confirm with --yes")
	}
	fmt.Fprintf(g.out, "\n%s (y or n)? ", question)
	lines := bufio.NewScanner(g.in)
	if !lines.Scan() {
		return errors.Join(errors.New(refused), lines.Err())
	}
	if answer := strings.TrimSpace(lines.Text()); answer != "y" && answer != "yes" {
		return errors.New(refused)
	}
	return nil
}
