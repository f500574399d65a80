package ledger

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
)

// A pin is what the daemon remembers of a store's public keys: those of today, and the owner's
// first one, with which the chain of decisions begins. It is kept apart from the store, so that
// another keyring, and another beginning of the log, show.
type pin struct {
	keys seal.PublicKeys
	// first verifies the owner's first decisions.
	first ed25519.PublicKey
}

// pinOf returns what is pinned of a keyring.
func pinOf(k *seal.Keyring) pin { return pin{k.PublicKeys(), k.FirstOwnerKey()} }

// readPin returns the pin of a store, or ErrNoStore.
func readPin(path string, id seal.StoreID) (pin, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return pin{}, ErrNoStore
	}
	if err != nil {
		return pin{}, err
	}
	file := &pb.Keyring{}
	if err := proto.Unmarshal(content, file); err != nil {
		return pin{}, fmt.Errorf("%w: the pin cannot be read", ErrDataLoss)
	}
	p := pin{seal.PublicKeys{Store: id, StoreKey: file.GetStoreKey(), OwnerKey: file.GetOwnerKey()}, file.GetOwnerKey()}
	if len(file.GetFirstOwnerKey()) > 0 {
		p.first = file.GetFirstOwnerKey()
	}
	return p, nil
}

func (p pin) encode() []byte {
	file := &pb.Keyring{StoreKey: p.keys.StoreKey, OwnerKey: p.keys.OwnerKey}
	if !p.first.Equal(p.keys.OwnerKey) {
		file.FirstOwnerKey = p.first
	}
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(file)
	if err != nil {
		panic("ledger: three byte fields cannot be marshalled")
	}
	return content
}

func (p pin) write(path string) error { return log.WriteFile(path, p.encode()) }

func (p pin) equal(o pin) bool { return bytes.Equal(p.encode(), o.encode()) }

// follows tells whether a pin is the one that decisions lead to from another, which was pinned
// before some of them or after all.
func (p pin) follows(before pin, rekeyings []authz.Rekeying) bool {
	if !p.first.Equal(before.first) {
		return false
	}
	known := before.keys.OwnerKey.Equal(before.first)
	for _, r := range rekeyings {
		known = known || before.holds(r.StoreRekeyed)
	}
	if len(rekeyings) == 0 {
		return p.equal(before)
	}
	return known && p.holds(rekeyings[len(rekeyings)-1].StoreRekeyed)
}

// holds tells whether the keys are those that a decision gave the store.
func (p pin) holds(r *pb.StoreRekeyed) bool {
	return bytes.Equal(p.keys.OwnerKey, r.GetOwnerKey()) && bytes.Equal(p.keys.StoreKey, r.GetStoreKey())
}

// chain returns the verifier of the owner's first decision.
func (p pin) chain() verifier { return verifier{p.first, p.keys.Store} }
