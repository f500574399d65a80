package seal_test

import (
	"fmt"
	"log"

	"healthledger/ledger/seal"
)

// wraps stands for the key directory.
type wraps map[uint64][]byte

func (w wraps) Wrap(_ seal.Class, epoch uint64) ([]byte, error) { return w[epoch], nil }

// The way of a sample: sealed by a daemon that cannot open it, opened by the
// owner with the passphrase.
func Example() {
	must := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}

	// init
	store := seal.NewStoreID()
	file, words, keys, err := seal.NewKeyring(store, []byte("passphrase"), seal.MinCost)
	must(err)
	keys.Destroy()
	_ = words // shown to the owner, once

	// The daemon, with the public half.
	keyring, err := seal.ParseKeyring(file)
	must(err)
	device, err := seal.NewDeviceKey()
	must(err)
	defer device.Destroy()
	epoch, wrap, err := seal.NewEpoch(store, seal.Health, 1, [][]byte{keyring.StoreKey()})
	must(err)
	defer epoch.Destroy()
	directory := wraps{1: wrap} // durable before the segment is
	payload, err := epoch.Seal(41, device, nil, []byte("61 bpm"))
	must(err)

	// The projector, once the owner has unlocked.
	keys, err = keyring.Open([]byte("passphrase"))
	must(err)
	defer keys.Destroy()
	opener := keys.Opener(store, directory)
	defer opener.Destroy()
	segment, err := seal.ParseSegment(payload)
	must(err)
	must(segment.Verify(store, 41, device.SigningKey()))
	plaintext, err := opener.Open(segment, 41, nil)
	must(err)
	fmt.Printf("%v epoch %d, index %d: %s\n", segment.Class, segment.Epoch, segment.Index, plaintext)
	// Output: health epoch 1, index 0: 61 bpm
}
