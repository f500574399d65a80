package query

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// examples is how many samples of every type are tried.
var examples = 5

func TestMain(m *testing.M) {
	// Said on the command line, it is as said there.
	checks := "100"
	switch {
	case os.Getenv("HEALTHLEDGER_DRILL") != "":
		checks, examples = "1000", 50
	case raced:
		// One goroutine draws and one answers: the detector makes that slow and finds nothing.
		checks, examples = "25", 2
	}
	if err := flag.Set("rapid.checks", checks); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}
