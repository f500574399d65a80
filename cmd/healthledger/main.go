// Command healthledger keeps a person's health data in a sealed ledger.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"strconv"
	"syscall"

	"github.com/alecthomas/kong"
	"golang.org/x/sys/unix"

	"healthledger/ledger/disk"
	"healthledger/ledger/serve"
	"healthledger/proto/rpc"
)

// commands is the command line, one field a group.
type commands struct {
	globals

	Init          initCmd          `cmd:"" help:"Make a store: keys, recovery words, log."`
	Serve         serveCmd         `cmd:"" help:"Run the daemon."`
	Status        statusCmd        `cmd:"" help:"Say whether the store is locked, and to its owner what is behind it."`
	Unlock        unlockCmd        `cmd:"" help:"Open the store for reading."`
	Lock          lockCmd          `cmd:"" help:"End reading, after a grace period or now."`
	Passphrase    passphraseCmd    `cmd:"" help:"Change the passphrase."`
	Rekey         rekeyCmd         `cmd:"" help:"Give the store new keys, when somebody may have the ones it has."`
	Recover       recoverCmd       `cmd:"" help:"Set a new passphrase with the recovery words, when the old one is lost."`
	App           appCmd           `cmd:"" help:"Register, update, list, show and remove apps."`
	Grant         grantCmd         `cmd:"" help:"Allow an app to write or read types."`
	Revoke        revokeCmd        `cmd:"" help:"Take grants back."`
	Requests      requestsCmd      `cmd:"" help:"List what apps have asked for and is not decided."`
	Decide        decideCmd        `cmd:"" help:"Show what an app asks for, and answer it."`
	Authorization authorizationCmd `cmd:"" help:"Ask, as an app, for what it needs."`
	Policy        policyCmd        `cmd:"" help:"Show or set what becomes of implausible values."`
	Import        importCmd        `cmd:"" help:"Import an export of Apple's Health app or of Health Auto Export, lines of JSON, or CSV."`
	Save          saveCmd          `cmd:"" help:"Save samples, one JSON object a line, as an app."`
	Delete        deleteCmd        `cmd:"" help:"Delete samples: as an app its own, as the owner anybody's."`
	Erase         eraseCmd         `cmd:"" help:"Make samples unreadable in every copy of the log, and prove it."`
	Query         queryCmd         `cmd:"" help:"Read samples and statistics."`
	Export        exportCmd        `cmd:"" help:"Write samples to a file: without loss, as tables, or as Apple's Health app does."`
	Disclose      discloseCmd      `cmd:"" help:"Hand data to a third party that an app names: grant it, export under the grant, and account for it."`
	Updates       updatesCmd       `cmd:"" help:"Be told, as an app, that types have changed."`
	Order         orderCmd         `cmd:"" help:"Show or set which source counts where several have samples at once."`
	Types         typesCmd         `cmd:"" help:"List the health types."`
	Units         unitsCmd         `cmd:"" help:"List, check and convert units (\"units 5 mi km\"), and set those that the owner prefers."`
	Access        accessCmd        `cmd:"" help:"Show who has read what, when and how often."`
	Log           logCmd           `cmd:"" help:"Look at the log: what needs no key, and its events."`
	Replay        replayCmd        `cmd:"" help:"Make the view anew from the log while it is read, or compare it with what the log gives."`
	Backup        backupCmd        `cmd:"" help:"Back the store up to two files, of which the log's is only gone on with."`
	Restore       restoreCmd       `cmd:"" help:"Make a store of a backup, on this machine or another."`
	Device        deviceCmd        `cmd:"" help:"Replace the key that this machine writes the log with."`
	Bench         benchCmd         `cmd:"" help:"Measure this machine against its limits."`
	Demo          demoCmd          `cmd:"" help:"Show the main job on a made-up export."`
	Projector     projectorCmd     `cmd:"" hidden:""`
}

// Exit codes.
const (
	exitFailed   = 1
	exitUsage    = 2
	exitLocked   = 3
	exitDataLoss = 4
)

func main() {
	if err := harden(); err != nil {
		fmt.Fprintln(os.Stderr, "healthledger:", err)
		os.Exit(exitFailed)
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// harden keeps memory out of core dumps and from other processes of the user. Every
// command may hold a passphrase, or samples.
func harden() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	return nil
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	cli := &commands{}
	cli.in, cli.out, cli.err = stdin, stdout, stderr
	code := -1
	home, err := os.UserHomeDir()
	if err != nil {
		home = "."
	}
	usual := filepath.Join(home, ".healthledger")
	parser, err := kong.New(cli,
		kong.Name("healthledger"), kong.Description("A sealed, append-only ledger for personal health data."),
		kong.UsageOnError(), kong.Writers(stdout, stderr), kong.Exit(func(c int) { code = c }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.Bind(&cli.globals),
		kong.Vars{
			"dir":          usual,
			"reserve":      strconv.Itoa(disk.DefaultReserve>>20) + "MiB",
			"app_requests": strconv.Itoa(serve.DefaultRates.Requests), "app_bytes": strconv.Itoa(serve.DefaultRates.Bytes),
		},
	)
	if err != nil {
		fmt.Fprintln(stderr, "healthledger:", err)
		return exitFailed
	}
	parsed, err := parser.Parse(args)
	if code >= 0 {
		return code
	}
	if err == nil {
		err = checkFlags(parsed)
	}
	if err != nil {
		fmt.Fprintf(stderr, "healthledger: %v\nRun \"healthledger --help\" for usage.\n", err)
		return exitUsage
	}
	if cli.Dir == "" { // as from an empty variable
		cli.Dir = usual
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	if err := parsed.Run(&cli.globals); err != nil {
		fmt.Fprintln(stderr, "healthledger:", printableLines(message(err)))
		return exitCode(err)
	}
	return 0
}

// checkFlags refuses flags without a value, as from a variable that is not set: what they would
// have narrowed down was meant to be.
func checkFlags(parsed *kong.Context) error {
	for _, p := range parsed.Path {
		if p.Flag == nil || p.Flag.Name == "dir" { // without a value it is the usual one
			continue
		}
		value := reflect.ValueOf(parsed.FlagValue(p.Flag))
		switch value.Kind() {
		case reflect.String, reflect.Slice:
			if value.Len() == 0 {
				return fmt.Errorf("--%s: no value", p.Flag.Name)
			}
		}
	}
	return nil
}

// usageError is a mistake in the command line that its grammar does not catch.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func exitCode(err error) int {
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case rpc.Reason(err) == rpc.ReasonStoreLocked:
		return exitLocked
	case rpc.Reason(err) == rpc.ReasonDataLoss:
		return exitDataLoss
	}
	return exitFailed
}
