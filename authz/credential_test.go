package authz

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"testing"

	"healthledger/authz/authztest"
	pb "healthledger/proto/healthledger/v1"
)

// nkeysOfTests are public keys of users, and none.
var nkeysOfTests = []string{
	"", "UAGL2IYVU6KYBG6YOXKROMF2255WFLJN5OZGPF44N5STNQFLJD4FO7UM", "UDIKW7ZS3WUPPSLYXPE2YMYIOA4AK3KLYVHW4NBB5HCKGQ6ASALS6CAX",
}

func hashOf(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

var aHash = hashOf("a token")

// What is no credential, or two, neither registers an app nor replaces its credential,
// whoever has written the decision.
func TestAppHasExactlyOneCredential(t *testing.T) {
	state := NewState(anna, true)
	author := &Author{State: state, Signer: anna, Random: rand.Reader}
	good, err := author.AddApp(1, &pb.AppDraft{Manifest: authztest.Manifest("org.example.a"), Key: "k", TokenHash: aHash}, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := state.Decide(good.GetDecision(), good.GetDetail()); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]*pb.CredentialDraft{
		"none":            {},
		"short hash":      {TokenHash: aHash[1:]},
		"both":            {TokenHash: aHash, Nkey: nkeysOfTests[1]},
		"another letter":  {Nkey: nkeysOfTests[1][:55] + "A"},
		"an account":      {Nkey: "AAC7KUZ2VZMBZVCI4VNMBUUXP3HGJ6MUYGSFLDGDNCIQVXENW7N75T7Y"},
		"a seed":          {Nkey: "SUAOLUXDIWNUBXKSJZCTSSLVC4SH6KVDMTIDNWGKSUGJYTDJB3MB75WMHI"},
		"more than a key": {Nkey: nkeysOfTests[1] + "A"},
	} {
		var draft *DraftError
		c.BundleId = "org.example.a"
		if _, err := author.ReplaceCredential(2, c); !errors.As(err, &draft) {
			t.Errorf("%s: replaced: %v", what, err)
		}
		if _, err := author.AddApp(2, &pb.AppDraft{Manifest: authztest.Manifest("org.example.b"), Key: "l", TokenHash: c.TokenHash, Nkey: c.Nkey}, false, nil); !errors.As(err, &draft) {
			t.Errorf("%s: registered: %v", what, err)
		}
		forged, err := author.sign(&pb.Decision{Body: &pb.Decision_CredentialReplaced{CredentialReplaced: &pb.CredentialReplaced{
			App: 1, TokenHash: c.TokenHash, Nkey: c.Nkey,
		}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := state.Decide(forged.GetDecision(), nil); !errors.Is(err, ErrForged) {
			t.Errorf("%s: decided: %v", what, err)
		}
	}
}
