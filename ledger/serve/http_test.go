package serve

import (
	"bytes"
	"crypto/rand"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/ledger"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// signer decides as the owner of a front's store.
type signer struct {
	store seal.StoreID
	keys  *seal.OwnerKeys
	owner []byte
}

func (s signer) SignDecision(decision []byte) []byte {
	return seal.SignDecision(s.keys, s.store, decision)
}

func (s signer) VerifyDecision(decision, signature []byte) error {
	return seal.VerifyDecision(s.owner, s.store, decision, signature)
}

func (s signer) Rekeyed([]byte, *pb.StoreRekeyed) (authz.Verifier, error) { return s, nil }

// author writes the decisions of the front's owner.
func (f *front) author(t *testing.T) *authz.Author {
	t.Helper()
	keyring, err := seal.ParseKeyring(f.genesis.Request.GetKeyring())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keyring.Open([]byte("passphrase"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keys.Destroy)
	s := signer{f.genesis.Store, keys, keyring.OwnerKey()}
	state := authz.NewState(s, true)
	for _, d := range f.genesis.Request.GetDecisions() {
		if err := state.Decide(d.GetDecision(), d.GetDetail()); err != nil {
			t.Fatal(err)
		}
	}
	return &authz.Author{State: state, Signer: s, Random: rand.Reader}
}

// post calls a method over HTTP as the importer.
func (f *front) post(t *testing.T, method string, body io.Reader) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.Address().HTTP+"/healthledger.v1.HealthService/"+method, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+rpc.Bearer(f.genesis.Store.String(), f.genesis.Key, f.genesis.Token))
	return http.DefaultTransport.RoundTrip(req)
}

// trickle is a body of which half has come; the rest comes when it is let go.
func trickle(t *testing.T, m proto.Message) (body io.Reader, half <-chan struct{}, rest func()) {
	t.Helper()
	content, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	came, more := make(chan struct{}), make(chan struct{})
	go func() {
		_, _ = w.Write(content[:len(content)/2])
		close(came)
		<-more
		_, _ = io.Copy(w, bytes.NewReader(content[len(content)/2:]))
		_ = w.Close()
	}()
	return r, came, func() { close(more) }
}

// A request whose body comes slowly is decided when it is all there, not when it began.
func TestSlowBodyWritesNothingAfterARevocation(t *testing.T) {
	for what, decide := range map[string]func(*authz.Author) (*pb.NewDecision, error){
		"share": func(a *authz.Author) (*pb.NewDecision, error) {
			return a.Grant(1, &pb.DecideRequest{BundleId: ledger.ImporterID, Shares: []*pb.ShareGrant{{Type: codeOf(t, "cda")}}})
		},
		"app": func(a *authz.Author) (*pb.NewDecision, error) { return a.RemoveApp(1, ledger.ImporterID) },
	} {
		f := newFront(t)
		body, half, rest := trickle(t, aPart())
		answered := make(chan string)
		go func() {
			answer, err := f.post(t, "SavePart", body)
			if err != nil {
				answered <- err.Error()
				return
			}
			content, _ := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			answered <- string(content)
		}()
		<-half
		time.Sleep(100 * time.Millisecond) // it has passed the gate
		d, err := decide(f.author(t))
		if err != nil {
			t.Fatal(err)
		}
		before, err := f.store.Decide(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		rest()
		answer := <-answered
		if after, _, _ := f.store.Head(); after != before {
			t.Errorf("written after the %s was taken away: %s", what, answer)
		}
		if !strings.Contains(answer, "permission_denied") && !strings.Contains(answer, "unauthenticated") {
			t.Errorf("%s: %s", what, answer)
		}
	}
}

// A body of which the rest does not come holds nobody up when the daemon stops.
func TestUnfinishedBodyDoesNotHoldTheShutdown(t *testing.T) {
	f := newFront(t)
	body, half, rest := trickle(t, aPart())
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if answer, err := f.post(t, "SavePart", body); err == nil {
			_ = answer.Body.Close()
		}
	}()
	<-half
	time.Sleep(100 * time.Millisecond) // it is being read
	began := time.Now()
	f.Close()
	if took := time.Since(began); took > drainTimeout/2 {
		t.Errorf("the shutdown took %v", took)
	}
	rest()
	<-answered
}
