package health_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

var drill = os.Getenv("HEALTHLEDGER_DRILL") != ""

func TestMain(m *testing.M) {
	// Said on the command line, it is as said there. One check draws up to twenty samples.
	checks := "40"
	if drill {
		checks = "1000"
	}
	if err := flag.Set("rapid.checks", checks); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
