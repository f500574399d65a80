package serve

import (
	"testing"
	"time"

	"healthledger/ledger/seal"
)

func TestAVerificationIsOfItsStoreAndGoesOnOnce(t *testing.T) {
	var r runs
	anna, bert := seal.StoreID{1}, seal.StoreID{2}
	name := r.keep(&run{store: anna})
	if r.take(name, bert) != nil {
		t.Error("another store's verification goes on")
	}
	if r.take(name, anna) == nil {
		t.Error("a verification does not go on")
	}
	if r.take(name, anna) != nil {
		t.Error("a verification goes on twice at once")
	}
	left := r.keep(&run{store: anna})
	r.open[left].used = time.Now().Add(-2 * runIdle)
	r.keep(&run{store: bert})
	if r.take(left, anna) != nil || len(r.open) != 1 {
		t.Error("a verification that was left is kept")
	}
}
