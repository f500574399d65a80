package authz

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"

	"github.com/nats-io/nkeys"

	pb "healthledger/proto/healthledger/v1"
)

// Credential is what an app proves itself with: a token, of which only the hash is known
// here, or an nkey. It has exactly one at a time.
type Credential struct {
	// Decision that gave it to the app: another credential has another one.
	Decision uint64
	// NKey is the public key, "U…"; empty for a token.
	NKey string
	// Since is in microseconds since the Unix epoch.
	Since int64

	tokenHash [sha256.Size]byte
}

// Credential returns the one that is good now.
func (a *App) Credential() Credential { return a.credential }

// Holds tells in constant time whether token is the app's.
func (a *App) Holds(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(sum[:], a.credential.tokenHash[:]) == 1 && a.credential.NKey == "" && !a.Removed
}

// HoldsNKey tells whether an nkey is the app's. Who says so must have signed with it.
func (a *App) HoldsNKey(nkey string) bool {
	return nkey != "" && nkey == a.credential.NKey && !a.Removed
}

// nkeyLength is that of a public key in text; the library takes more, and ignores the rest.
const nkeyLength = 56

// credited is what names a credential.
type credited interface {
	GetTokenHash() []byte
	GetNkey() string
}

// credit gives the app the credential of a decision.
func (a *App) credit(d *pb.Decision, c credited) error {
	if err := checkCredential(c); err != nil {
		return fmt.Errorf("%w: decision %d: %w", ErrForged, d.GetNumber(), err)
	}
	a.credential = Credential{Decision: d.GetNumber(), NKey: c.GetNkey(), Since: d.GetTime()}
	copy(a.credential.tokenHash[:], c.GetTokenHash())
	return nil
}

// checkCredential returns a *DraftError for what is not exactly one credential.
func checkCredential(c credited) error {
	switch {
	case c.GetNkey() == "" && len(c.GetTokenHash()) == sha256.Size:
		return nil
	case c.GetNkey() == "":
		return &DraftError{Field: "token_hash", Why: "it is not a SHA-256"}
	case len(c.GetTokenHash()) > 0:
		return &DraftError{Field: "nkey", Why: "an app has a token or an nkey, not both"}
	case len(c.GetNkey()) != nkeyLength || !nkeys.IsValidPublicUserKey(c.GetNkey()):
		return &DraftError{Field: "nkey", Value: c.GetNkey(), Why: "it is not the public key of a user (\"U\" and 55 characters)"}
	}
	return nil
}
