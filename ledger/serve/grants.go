package serve

import (
	"bufio"
	"os"
	"strings"

	"healthledger/authz"
	"healthledger/ledger/seal"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// checkGrants refuses grants that cannot mean anything (spec section 1.1): unknown
// types, types that no app may write, and types that are asked for through others.
func checkGrants(req *pb.DecideRequest, importer bool) error {
	if len(req.GetShares())+len(req.GetReads()) == 0 {
		return rpc.InvalidValue("reads", "", "no grant is named")
	}
	for _, g := range req.GetShares() {
		t, ok := catalog.ByCode(g.GetType())
		if !ok {
			return rpc.InvalidValue("shares", "", "unknown type")
		}
		if why := authz.WhyNoShare(t, importer || !g.GetAllowed()); why != "" {
			return rpc.InvalidValue("shares", t.Short(), why)
		}
	}
	for _, g := range req.GetReads() {
		t, ok := catalog.ByCode(g.GetType())
		if !ok {
			return rpc.InvalidValue("reads", "", "unknown type")
		}
		if why := authz.WhyNoRead(t); why != "" {
			return rpc.InvalidValue("reads", t.Short(), why)
		}
		if g.GetExtent() == pb.ReadExtent_READ_EXTENT_UNSPECIFIED {
			return rpc.InvalidValue("reads", t.Short(), "the extent is missing")
		}
	}
	return nil
}

// memoryWarnings says what keeps keys from staying in memory.
func memoryWarnings() []string {
	var warnings []string
	if !seal.Erasing {
		warnings = append(warnings, "built without GOEXPERIMENT=runtimesecret: traces of used keys can stay in memory until it is reused")
	}
	if !seal.MemoryLocked() && swapOn() {
		warnings = append(warnings, "key memory cannot be locked and swap is on: keys could reach the swap device")
	}
	return warnings
}

func swapOn() bool {
	f, err := os.Open("/proc/swaps")
	if err != nil {
		return false
	}
	defer f.Close()
	lines := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.TrimSpace(s.Text()) != "" {
			lines++
		}
	}
	return lines > 1
}
