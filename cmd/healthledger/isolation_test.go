package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/ledger/seal"
	"healthledger/ledger/serve"
	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
)

// These tests speak to the daemon as an app could that was not made with this
// project's client: with plain NATS.

// credentials are those that the command line keeps of an app.
func (s *store) credentials(id, app string) client.Credentials {
	s.t.Helper()
	c, err := client.ReadCredentials(filepath.Join(s.dir, "credentials", id, app+".json"))
	if err != nil {
		s.t.Fatal(err)
	}
	address, err := serve.ReadAddress(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	c.URL = address.URL
	return c
}

func steps(start time.Time, count float64) *pb.Sample {
	return &pb.Sample{
		Type: "stepCount", Start: timestamppb.New(start), End: timestamppb.New(start.Add(time.Minute)),
		Value: &count, Unit: "count", Source: &pb.Source{Name: "Watch"},
	}
}

func encoded(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// aSave is a request to save one sample, under an id of its own.
func aSave(t *testing.T) []byte {
	t.Helper()
	id := make([]byte, 16)
	rand.Read(id)
	return encoded(t, &pb.SaveRequest{RequestId: id, Samples: []*pb.Sample{steps(time.Unix(1_700_000_000, 0), 7)}})
}

// stranger is a plain NATS connection with an app's credentials. Every message that
// reaches it and every refusal of the server is kept.
type stranger struct {
	t     *testing.T
	nc    *nats.Conn
	store string
	key   string

	mu      sync.Mutex
	refused []string
	got     []string
}

func knock(t *testing.T, c client.Credentials, user string) *stranger {
	t.Helper()
	s := &stranger{t: t, store: c.Store, key: c.Key}
	var err error
	s.nc, err = nats.Connect(c.URL, nats.UserInfo(user, c.Token), nats.CustomInboxPrefix("_INBOX."+c.Key),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.refused = append(s.refused, err.Error())
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.nc.Close)
	return s
}

func (s *stranger) subject(method string) string {
	return "health." + s.store + "." + s.key + "." + method
}

// listen keeps everything that arrives at a subject.
func (s *stranger) listen(subject string) {
	s.t.Helper()
	_, err := s.nc.Subscribe(subject, func(m *nats.Msg) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.got = append(s.got, m.Subject)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.flush()
}

// flush returns when the server has seen everything and its refusals are here.
func (s *stranger) flush() {
	s.t.Helper()
	if err := s.nc.Flush(); err != nil {
		s.t.Fatal(err)
	}
}

// refusals returns those since the last call, when as many as wanted have come.
func (s *stranger) refusals(want int) []string {
	s.t.Helper()
	s.flush()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		if len(s.refused) >= want || time.Now().After(deadline) {
			refused := s.refused
			s.refused = nil
			s.mu.Unlock()
			return refused
		}
		s.mu.Unlock()
	}
}

func (s *stranger) received() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// ask sends a request as it is and returns the whole answer.
func (s *stranger) ask(subject string, header nats.Header, body []byte) string {
	s.t.Helper()
	m, err := s.nc.RequestMsg(&nats.Msg{Subject: subject, Header: header, Data: body}, 30*time.Second)
	if err != nil {
		s.t.Fatalf("%s: %v", subject, err)
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(m.Header)) {
		fmt.Fprintf(&text, "%s: %q\n", name, m.Header[name])
	}
	return text.String() + hex.EncodeToString(m.Data)
}

// two makes a daemon with two stores, both unlocked.
func two(t *testing.T, flags ...string) (s *store, first, second string) {
	t.Helper()
	s = newStore(t)
	first = s.id()
	s.run("init", "--add", "--words-file", filepath.Join(s.work, "words2"))
	entries, err := os.ReadDir(filepath.Join(s.dir, "stores"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != first {
			second = e.Name()
		}
	}
	s.serve(flags...)
	for _, id := range []string{first, second} {
		s.run("--store", id, "unlock")
	}
	return s, first, second
}

func (s *store) register(id string, apps ...string) {
	s.t.Helper()
	for _, app := range apps {
		s.addApp(app, "--store", id)
		s.run("--store", id, "grant", app, "--share", "stepCount")
	}
}

// segments is the log of a store, which every accepted request would make longer.
func (s *store) segments(id string) string {
	s.t.Helper()
	return s.run("--store", id, "--json", "log", "list")
}

func TestAppIsolation(t *testing.T) {
	s, first, second := two(t)
	s.register(first, "com.example.one", "com.example.two", "com.example.gone")
	s.register(second, "com.example.three")
	for name, test := range map[string]func(t *testing.T, s *store, first, second string){
		"ForeignReplySubjectsGetNoAnswerAndChangeNothing": foreignReplies,
		"AppsReachNoSubjectButTheirOwn":                   foreignSubjects,
		"OnlyAnAppsOwnTokenLetsItIn":                      foreignTokens,
	} {
		t.Run(name, func(t *testing.T) {
			here := *s
			here.t = t
			test(t, &here, first, second)
		})
	}
}

func foreignReplies(t *testing.T, s *store, first, second string) {
	one := knock(t, s.credentials(first, "com.example.one"), s.credentials(first, "com.example.one").Key)
	other := s.credentials(first, "com.example.two")
	var others []*stranger
	for _, c := range []client.Credentials{other, s.credentials(second, "com.example.three")} {
		o := knock(t, c, c.Key)
		o.listen("_INBOX." + c.Key + ".>")
		o.listen("updates." + c.Store + "." + c.Key)
		others = append(others, o)
	}
	one.listen("_INBOX." + one.key + ".>")
	one.listen("updates." + first + "." + one.key)
	before := s.segments(first) + s.segments(second)

	save := aSave(t)
	bodies := map[string][]byte{"NoSuchMethod": nil}
	for method, request := range oneOfEach(t) {
		bodies[method] = encoded(t, request)
	}
	replies := []string{
		"",
		"$JS.API.STREAM.DELETE.LEDGER_" + first, "$JS.API.STREAM.PURGE.LEDGER_" + first,
		"$JS.API.STREAM.DELETE.LEDGER_" + second, "$JS.API.STREAM.MSG.DELETE.LEDGER_" + first, "$JS.API.INFO", "$JS.API.STREAM.NAMES",
		"$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT.APPS.CONNZ", "$SRV.PING",
		"ledger." + first, "ledger." + second,
		"_INBOX." + other.Key + ".x", "_INBOX." + others[1].key + ".x", "_INBOX_" + one.key + ".x", "_inbox." + one.key + ".x",
		"_INBOX." + one.key, "_INBOX." + one.key + ".", "_INBOX." + one.key + "x.y", "_INBOX." + one.key + ".*", "_INBOX." + one.key + ".>", "_INBOX.*.x", "_INBOX.>",
		"health." + first + "." + one.key + ".Save", "health." + first + "." + other.Key + ".Save", "owner." + first + "." + one.key + ".Lock",
		"updates." + first + "." + one.key, "updates." + first + "." + one.key + ".x", "updates." + first + "." + other.Key,
	}
	for _, reply := range replies {
		for method, body := range bodies {
			if err := one.nc.PublishMsg(&nats.Msg{Subject: one.subject(method), Reply: reply, Data: body}); err != nil {
				t.Fatal(err)
			}
		}
	}
	one.flush()
	// The service takes requests in their order: when this one is answered, all others
	// have been taken or dropped.
	if answer := one.ask(one.subject("NoSuchMethod"), nil, nil); !strings.Contains(answer, "unimplemented") {
		t.Fatalf("no answer to a proper request: %s", answer)
	}
	time.Sleep(200 * time.Millisecond)
	for _, o := range append(others, one) {
		for _, subject := range o.received() {
			// What came to its own inbox is the answer to the proper request.
			if !(o == one && strings.HasPrefix(subject, "_INBOX."+one.key+".")) || len(o.received()) > 1 {
				t.Errorf("app %s got %v", o.key, o.received())
			}
		}
	}
	if after := s.segments(first) + s.segments(second); after != before {
		t.Errorf("the logs differ:\n%s\n---\n%s", before, after)
	}
	// The same save, sent properly, does change the log.
	if answer := one.ask(one.subject("Save"), nil, save); strings.Contains(answer, "Nats-Service-Error") {
		t.Fatal(answer)
	}
	if after := s.segments(first) + s.segments(second); after == before {
		t.Error("a save with a reply of its own is not seen in the log, so a forbidden one would not be either")
	}
}

func foreignSubjects(t *testing.T, s *store, first, second string) {
	one := knock(t, s.credentials(first, "com.example.one"), s.credentials(first, "com.example.one").Key)
	other, third := s.credentials(first, "com.example.two").Key, s.credentials(second, "com.example.three").Key
	address, err := serve.ReadAddress(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	var others []*stranger
	for id, app := range map[string]string{first: "com.example.two", second: "com.example.three"} {
		c := s.credentials(id, app)
		o := knock(t, c, c.Key)
		o.listen("_INBOX." + c.Key + ".>")
		o.listen("updates." + c.Store + "." + c.Key)
		others = append(others, o)
	}
	before := s.segments(first) + s.segments(second)
	save := aSave(t)
	inbox := "_INBOX." + one.key + ".reply"
	answers, err := one.nc.SubscribeSync("_INBOX." + one.key + ".>")
	if err != nil {
		t.Fatal(err)
	}
	publish := []string{
		"health." + first + "." + other + ".Save", "health." + second + "." + one.key + ".Save", "health." + second + "." + third + ".Save",
		"health." + first + "." + one.key + ".Save.x", "health." + first + "." + one.key, "health." + first + ".Save",
		"owner." + first + "." + one.key + ".Lock", "owner." + first + "." + one.key + ".Status", "owner." + first + "." + address.Key + ".Lock",
		"health." + first + "." + address.Key + ".QuerySamples",
		"$JS.API.STREAM.DELETE.LEDGER_" + first, "$JS.API.STREAM.NAMES", "$JS.API.INFO", "$JS.API.DIRECT.GET.LEDGER_" + first, "$JS.ACK.x",
		"$SYS.REQ.SERVER.PING", "$SYS.REQ.USER.INFO", "$SRV.PING", "$SRV.INFO.health",
		"ledger." + first, "ledger." + second,
		"_INBOX." + other + ".x", "_INBOX." + third + ".x", inbox, "updates." + first + "." + one.key, "updates." + first + "." + other,
		"anything", "_R_.x",
	}
	for _, subject := range publish {
		if err := one.nc.PublishRequest(subject, inbox, save); err != nil {
			t.Fatal(err)
		}
		one.wantRefusal("publish", subject)
	}
	subscribe := []string{
		">", "*", "*.>", "*.*.*.*", "_INBOX.>", "_INBOX.*.>", "_INBOX.*", "_INBOX." + other + ".>", "_INBOX." + third + ".x", "_INBOX." + one.key,
		"_INBOX_" + one.key + ".>",
		"health.>", "health." + first + ".*.Save", "health." + first + "." + one.key + ".*", "health." + first + "." + other + ".>",
		"owner.>", "owner." + first + "." + one.key + ".*",
		"updates.>", "updates." + first + ".>", "updates." + first + ".*", "updates." + first + "." + other, "updates." + second + "." + one.key, "updates." + first + "." + one.key + ".>",
		"ledger.>", "ledger." + first, "$JS.>", "$JS.API.>", "$JS.EVENT.ADVISORY.>", "$SYS.>", "$SRV.>", "$SRV.PING", "anything",
	}
	for _, subject := range subscribe {
		for _, queue := range []string{"", "q"} {
			sub, err := one.nc.QueueSubscribeSync(subject, queue)
			if err != nil {
				t.Fatal(err)
			}
			one.wantRefusal("subscribe to", subject)
			_ = sub.Unsubscribe()
		}
	}
	if m, err := answers.NextMsg(100 * time.Millisecond); !errors.Is(err, nats.ErrTimeout) {
		t.Errorf("a forbidden request was answered: %v %v", m, err)
	}
	for _, o := range others {
		if got := o.received(); len(got) > 0 {
			t.Errorf("app %s got %v", o.key, got)
		}
	}
	if after := s.segments(first) + s.segments(second); after != before {
		t.Errorf("the logs differ:\n%s\n---\n%s", before, after)
	}
	if got := s.run("--store", first, "status"); !strings.Contains(got, "unlocked") {
		t.Errorf("the store is not unlocked any more: %s", got)
	}
	// Its own is allowed.
	one.listen("updates." + first + "." + one.key)
	if answer := one.ask(one.subject("Save"), nil, save); strings.Contains(answer, "Nats-Service-Error") {
		t.Error(answer)
	}
	if refused := one.refusals(0); len(refused) > 0 {
		t.Errorf("refused: %v", refused)
	}
}

func (s *stranger) wantRefusal(what, subject string) {
	s.t.Helper()
	refused := s.refusals(1)
	if len(refused) != 1 || !strings.Contains(strings.ToLower(refused[0]), "permissions violation") {
		s.t.Errorf("%s %q: %v, want one permissions violation", what, subject, refused)
	}
}

func foreignTokens(t *testing.T, s *store, first, second string) {
	one, gone, third := s.credentials(first, "com.example.one"), s.credentials(first, "com.example.gone"), s.credentials(second, "com.example.three")
	address, err := serve.ReadAddress(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	leaving := knock(t, gone, gone.Key)
	left := make(chan struct{})
	leaving.nc.SetClosedHandler(func(*nats.Conn) { close(left) })
	s.run("--store", first, "app", "remove", "com.example.gone")
	select {
	case <-left:
	case <-time.After(5 * time.Second):
		t.Error("the connection of a removed app stays open")
	}

	upper := strings.ToUpper(one.Key)
	for _, c := range []struct{ name, user, password string }{
		{"nothing", "", ""}, {"no user", "", one.Token}, {"no token", one.Key, ""}, {"part of the token", one.Key, one.Token[:len(one.Token)-1]},
		{"more than the token", one.Key, one.Token + "x"}, {"another app's token", one.Key, third.Token}, {"the owner's token", one.Key, address.Token},
		{"upper case", upper, one.Token}, {"wildcard", "*", one.Token}, {"wildcards", ">", one.Token}, {"bundle id", "com.example.one", one.Token},
		{"store", first, one.Token}, {"as the owner", "local-" + address.Key, one.Token}, {"as an owner", "local-" + one.Key, one.Token},
		{"the owner as an app", address.Key, address.Token}, {"removed app", gone.Key, gone.Token}, {"removed app as owner", "local-" + gone.Key, gone.Token},
		{"grant", "grant-" + one.Key, one.Token}, {"long", strings.Repeat("a", 1000), one.Token},
	} {
		nc, err := nats.Connect(one.URL, nats.UserInfo(c.user, c.password), nats.MaxReconnects(0))
		if err == nil {
			nc.Close()
			t.Errorf("%s is let in", c.name)
		} else if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v", c.name, err)
		}
	}

	// An app of one store is nobody in the other, in which it knows an app's key.
	three := knock(t, third, third.Key)
	before := s.segments(first)
	save := aSave(t)
	for _, key := range []string{third.Key, one.Key, gone.Key} {
		if err := three.nc.PublishRequest("health."+first+"."+key+".Save", "_INBOX."+third.Key+".x", save); err != nil {
			t.Fatal(err)
		}
		three.wantRefusal("publish", key)
	}
	if after := s.segments(first); after != before {
		t.Errorf("the log differs:\n%s\n---\n%s", before, after)
	}
}

// asOwner is the owner's connection, past the client that would add a session.
func (s *store) asOwner(id string) *stranger {
	s.t.Helper()
	address, err := serve.ReadAddress(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	return knock(s.t, client.Credentials{URL: address.URL, Store: id, Key: address.Key, Token: address.Token}, "local-"+address.Key)
}

// lockedAnswers fails unless every read gets the locked error, which is one for each
// encoding, whoever asks and whatever for.
func lockedAnswers(t *testing.T, callers map[string]*stranger, requests map[string]*nats.Msg) (answers map[string]string) {
	t.Helper()
	answers = map[string]string{}
	for who, caller := range callers {
		for name, answer := range caller.observe(requests) {
			encoding := requests[name].Header.Get("Content-Type") == "application/json"
			first, seen := answers[fmt.Sprint(encoding)]
			if !seen {
				answers[fmt.Sprint(encoding)] = answer
				if !strings.Contains(answer, "locked") || !strings.Contains(answer, hex.EncodeToString([]byte("STORE_LOCKED"))) {
					t.Errorf("%s, %s: not the locked error: %s", who, name, answer)
				}
				continue
			}
			if answer != first {
				t.Errorf("%s, %s:\n%s\nnot\n%s", who, name, answer, first)
			}
		}
	}
	return answers
}

// unlockButHold unlocks a store with a backlog and stops its projector before the view
// has caught up.
func (s *store) unlockButHold() (resume func()) {
	s.t.Helper()
	must := func(err error) {
		if err != nil {
			s.t.Helper()
			s.t.Fatal(err)
		}
	}
	address, err := serve.ReadAddress(s.dir)
	must(err)
	o, err := client.DialOwner(s.t.Context(), address.Credentials(), s.id(), "")
	must(err)
	defer o.Close()
	begun, err := o.Owner().BeginUnlock(s.t.Context(), &pb.BeginUnlockRequest{})
	must(err)
	sealed, err := seal.SealPassphrase(begun.GetPublicKey(), []byte(passphrase))
	must(err)
	projector := s.projector()
	_, err = o.Owner().Unlock(s.t.Context(), &pb.UnlockRequest{SealedPassphrase: sealed})
	must(err)
	must(syscall.Kill(projector, syscall.SIGSTOP))
	resume = sync.OnceFunc(func() {
		if err := syscall.Kill(projector, syscall.SIGCONT); err != nil {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(resume)
	return resume
}

func TestLockedErrorTellsNothing(t *testing.T) {
	s := newStore(t)
	id := s.id()
	s.serve()
	s.run("unlock")
	s.register(id, "com.example.granted", "com.example.denied", "com.example.writer")
	s.run("grant", "com.example.granted", "--read", "all")
	s.saveMany("com.example.writer", 8)
	callers := map[string]*stranger{"owner": s.asOwner(id)}
	for _, app := range []string{"com.example.granted", "com.example.denied", "com.example.writer", "healthledger.importer"} {
		c := s.credentials(id, app)
		callers[app] = knock(t, c, c.Key)
	}
	session, err := os.ReadFile(filepath.Join(s.dir, "sessions", id))
	if err != nil {
		t.Fatal(err)
	}
	requests := reads(t, "stepCount", "AAAA")
	s.run("lock", "--now")
	locked := lockedAnswers(t, callers, requests)

	// A session that was good before is not told from one that never was.
	for _, session := range []string{string(session), "made up", ""} {
		m := requests["samples, all"]
		answer := callers["owner"].ask(callers["owner"].subject(m.Subject), nats.Header{"Healthledger-Session": {session}}, m.Data)
		if answer != locked["false"] {
			t.Errorf("session: %s\nnot\n%s", answer, locked["false"])
		}
	}

	// While the view catches up, apps get the same. The projector is held still, so
	// that it cannot be done before they ask.
	export, _ := made(t, 20_000)
	s.run("import", export)
	resume := s.unlockButHold()
	if got := callers["owner"].state(); got != pb.LockState_LOCK_STATE_UNLOCKING {
		t.Fatalf("the store is %v", got)
	}
	if while := lockedAnswers(t, callers, requests); !maps.Equal(while, locked) {
		t.Errorf("unlocking: %v\nnot\n%v", while, locked)
	}
	resume()
	granted := callers["com.example.granted"]
	query := requests["samples, all"]
	for deadline := time.Now().Add(60 * time.Second); ; {
		answer := granted.ask(granted.subject(query.Subject), nil, query.Data)
		if answer != locked["false"] {
			if strings.Contains(answer, "Nats-Service-Error") {
				t.Errorf("unlocked: %s", answer)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the view does not catch up")
		}
	}
	if got := callers["owner"].state(); got != pb.LockState_LOCK_STATE_UNLOCKED {
		t.Errorf("the store is %v", got)
	}
}

// state asks for the lock state as the owner without a session, who is told nothing
// else: with one, status asks the projector too.
func (s *stranger) state() pb.LockState {
	s.t.Helper()
	m, err := s.nc.Request("owner."+s.store+"."+s.key+".Status", nil, 5*time.Second)
	if err != nil {
		s.t.Fatal(err)
	}
	status := &pb.StatusResponse{}
	if err := proto.Unmarshal(m.Data, status); err != nil {
		s.t.Fatal(err)
	}
	if status.GetDetailed() {
		s.t.Error("without a session status tells more than the lock state")
	}
	return status.GetState()
}
