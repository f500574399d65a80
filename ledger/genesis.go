package ledger

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
	"time"

	"healthledger/authz"
	"healthledger/ledger/seal"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// ImporterID is the built-in app whose share grants let an import run while the
// store is locked.
const ImporterID = "healthledger.importer"

// Genesis is a store before it exists. Its owner makes it, in the owner's process:
// the daemon gets the request and never sees a private key.
type Genesis struct {
	Store   seal.StoreID
	Request *pb.CreateStoreRequest
	// Words recover the store when the passphrase is lost.
	Words string
	// Key and Token are the importer's.
	Key, Token string
}

// NewGenesis makes keys and the owner's first decisions: they enrol the daemon with
// the given public keys and register the importer.
func NewGenesis(passphrase []byte, cost seal.Cost, device *pb.DeviceEnrolled) (*Genesis, error) {
	g := &Genesis{Store: seal.NewStoreID(), Key: NewAppKey(), Token: NewAppToken()}
	content, words, keys, err := seal.NewKeyring(g.Store, passphrase, cost)
	if err != nil {
		return nil, fmt.Errorf("new store: %w", err)
	}
	defer keys.Destroy()
	keyring, err := seal.ParseKeyring(content)
	if err != nil {
		return nil, fmt.Errorf("new store: %w", err)
	}
	decisions, err := g.decide(device, genesisOwner{keys, verifier{keyring.OwnerKey(), g.Store}})
	if err != nil {
		return nil, fmt.Errorf("new store: %w", err)
	}
	g.Words, g.Request = words, &pb.CreateStoreRequest{Keyring: content, Decisions: decisions}
	return g, nil
}

func (g *Genesis) decide(device *pb.DeviceEnrolled, owner genesisOwner) ([]*pb.NewDecision, error) {
	state := authz.NewState(owner, true)
	author := &authz.Author{State: state, Signer: owner, Random: rand.Reader}
	now := time.Now().UnixMicro()
	enrolment, err := author.EnrolDevice(now, device)
	if err != nil {
		return nil, err
	}
	if err := state.Decide(enrolment.GetDecision(), enrolment.GetDetail()); err != nil {
		return nil, err
	}
	var shares []*pb.ShareGrant
	for _, t := range catalog.All() {
		if authz.WhyNoShare(t, true) == "" {
			shares = append(shares, &pb.ShareGrant{Type: t.Code, Allowed: true})
		}
	}
	hash := sha256.Sum256([]byte(g.Token))
	registration, err := author.AddApp(now, &pb.AppDraft{Manifest: importerManifest(), Key: g.Key, TokenHash: hash[:]}, true, shares)
	return []*pb.NewDecision{enrolment, registration}, err
}

// genesisOwner signs and verifies with the keys of the new store.
type genesisOwner struct {
	keys *seal.OwnerKeys
	verifier
}

func (o genesisOwner) SignDecision(decision []byte) []byte {
	return seal.SignDecision(o.keys, o.store, decision)
}

// NewAppKey returns a random address for an app: 26 characters of base32.
func NewAppKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}

// NewAppToken returns a random secret for an app, of 260 bits.
func NewAppToken() string { return rand.Text() + rand.Text() }
