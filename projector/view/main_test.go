package view

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// Said on the command line, it is as said there.
	checks := "100"
	switch {
	case os.Getenv("HEALTHLEDGER_DRILL") != "":
		checks = "1000"
	case raced:
		// The detector makes drawing slow, which happens in one goroutine.
		checks = "40"
	}
	if err := flag.Set("rapid.checks", checks); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// Pebble leaves this one behind where it fails to open a database. A database that
	// nobody closed leaves others, too.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/cockroachdb/pebble/v2.(*ConcurrencyLimitScheduler).periodicGranter"))
}
