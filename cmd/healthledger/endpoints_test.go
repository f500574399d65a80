package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"healthledger/ledger/serve"
	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// somebody asks over one transport, and gets everything that the answer says.
type somebody func(method protoreflect.MethodDescriptor, contentType string, body []byte) reply

type reply struct {
	failed string // "" if it has not
	body   []byte
}

// says is a reply without what is random in every one: text of such a length is a token.
func (a reply) says(method protoreflect.MethodDescriptor, known ...identifiers) (string, error) {
	if a.failed != "" {
		text := a.failed + string(a.body)
		for _, ids := range known {
			for name, value := range ids {
				text = strings.ReplaceAll(text, value, name)
			}
		}
		return text, nil
	}
	m := newMessage(method.Output())
	if err := proto.Unmarshal(a.body, m); err != nil {
		return "", err
	}
	replaceText(m.ProtoReflect(), func(text string) string {
		if len(text) >= 16 {
			return fmt.Sprintf("%d bytes", len(text))
		}
		return text
	})
	text, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	return string(text), err
}

func (a reply) internal() bool {
	return bytes.Contains(a.body, []byte(rpc.ReasonInternal)) || strings.Contains(a.failed, "internal")
}

// callNATS asks for an app, or for the local owner with a session.
func callNATS(t *testing.T, c client.Credentials, user, session string) somebody {
	s := knock(t, c, user)
	return func(method protoreflect.MethodDescriptor, contentType string, body []byte) reply {
		prefix := "health."
		if method.Parent().Name() == "OwnerService" {
			prefix = "owner."
		}
		m, err := s.nc.RequestMsg(&nats.Msg{
			Subject: prefix + c.Store + "." + c.Key + "." + string(method.Name()), Data: body,
			Header: nats.Header{rpc.HeaderContentType: {contentType}, rpc.HeaderSession: {session}},
		}, 30*time.Second)
		if err != nil {
			t.Fatalf("%s: the daemon does not answer: %v", method.Name(), err)
		}
		return reply{failed: m.Header.Get("Nats-Service-Error-Code") + m.Header.Get("Nats-Service-Error"), body: m.Data}
	}
}

// callHTTP asks with a bearer token.
func callHTTP(t *testing.T, address, bearer, session string) somebody {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return func(method protoreflect.MethodDescriptor, contentType string, body []byte) reply {
		if contentType == rpc.ContentTypeProtobuf {
			contentType = "application/proto" // as Connect calls it
		}
		request, err := http.NewRequest(http.MethodPost, fmt.Sprintf("%s/%s/%s", address, method.Parent().FullName(), method.Name()), bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", contentType)
		request.Header.Set("Authorization", "Bearer "+bearer)
		request.Header.Set(rpc.HeaderSession, session)
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatalf("%s: the daemon does not answer: %v", method.Name(), err)
		}
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatalf("%s: %v", method.Name(), err)
		}
		if response.StatusCode == http.StatusOK {
			return reply{body: content}
		}
		return reply{failed: response.Status, body: content}
	}
}

// both is somebody over both transports.
type both map[string]somebody

// endpoints are the methods of both services.
func endpoints(service protoreflect.ServiceDescriptor) (all []protoreflect.MethodDescriptor) {
	for i := range service.Methods().Len() {
		all = append(all, service.Methods().Get(i))
	}
	return all
}

func healthEndpoints() []protoreflect.MethodDescriptor {
	return endpoints(pb.File_healthledger_v1_health_proto.Services().ByName("HealthService"))
}

func ownerEndpoints() []protoreflect.MethodDescriptor {
	return endpoints(pb.File_healthledger_v1_owner_proto.Services().ByName("OwnerService"))
}

// crowd is a daemon with two stores, and everybody who asks it.
type crowd struct {
	*store
	first, second          string
	victim                 *client.Client
	reader, writer         both
	owner, stale, outsider both
	tokens                 identifiers
}

func gather(t *testing.T) *crowd {
	c := &crowd{}
	c.store, c.first, c.second = two(t, "--http", "127.0.0.1:0")
	c.register(c.first, "com.example.victim", "com.example.reader", "com.example.writer")
	c.register(c.second, "com.example.stranger")
	address, err := serve.ReadAddress(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	if c.victim, err = client.Dial(t.Context(), c.credentials(c.first, "com.example.victim")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.victim.Close)
	app := func(name string) both {
		mine := c.credentials(c.first, name)
		return both{"NATS": callNATS(t, mine, mine.Key, ""), "HTTP": callHTTP(t, address.HTTP, mine.Bearer(), "")}
	}
	c.reader, c.writer = app("com.example.reader"), app("com.example.writer")
	local := client.Credentials{URL: address.URL, Store: c.second, Key: address.Key, Token: address.Token}
	session, err := os.ReadFile(filepath.Join(c.dir, "sessions", c.second))
	if err != nil {
		t.Fatal(err)
	}
	owner := func(session string) both {
		return both{"NATS": callNATS(t, local, rpc.LocalPrefix+local.Key, session), "HTTP": callHTTP(t, address.HTTP, local.Bearer(), session)}
	}
	c.owner, c.stale = owner(string(session)), owner("no session")
	mine, others, strangers := c.credentials(c.first, "com.example.reader"), c.credentials(c.first, "com.example.victim"), c.credentials(c.second, "com.example.stranger")
	c.outsider = both{}
	for what, bearer := range map[string]string{
		"another's key":   rpc.Bearer(c.first, others.Key, mine.Token),
		"nobody's key":    rpc.Bearer(c.first, strings.Repeat("a", 26), mine.Token),
		"another store":   rpc.Bearer(c.second, mine.Key, mine.Token),
		"no store":        rpc.Bearer("nosuchstore", mine.Key, mine.Token),
		"stranger's":      rpc.Bearer(c.first, strangers.Key, strangers.Token),
		"the owner's key": rpc.Bearer(c.first, local.Key, mine.Token),
		"garbage":         "garbage",
		"nothing":         "",
	} {
		c.outsider[what] = callHTTP(t, address.HTTP, bearer, string(session))
	}
	c.collect(t)
	return c
}

// collect gets tokens of the victim that live long.
func (c *crowd) collect(t *testing.T) {
	health, ctx := c.victim.Health(), t.Context()
	c.tokens = identifiers{"bundle": "com.example.victim"}
	if err := c.victim.SetUpdates(ctx, "stepCount", pb.Frequency_FREQUENCY_IMMEDIATE); err != nil {
		t.Fatal(err)
	}
	var many []*pb.Sample // more than a page
	for i := range 6000 {
		many = append(many, steps(time.Date(2024, 3, 1, 0, i, 0, 0, time.UTC), float64(i+1)))
	}
	saved, err := c.victim.Save(ctx, &pb.SaveRequest{Samples: many})
	if err != nil {
		t.Fatal(err)
	}
	page, err := health.QuerySamples(ctx, &pb.QuerySamplesRequest{Types: []string{"stepCount"}, Receipt: saved.GetReceipt()})
	if err != nil {
		t.Fatal(err)
	}
	changes, err := health.QueryChanges(ctx, &pb.QueryChangesRequest{Type: "stepCount"})
	if err != nil {
		t.Fatal(err)
	}
	updates, err := health.QueryUpdates(ctx, &pb.QueryUpdatesRequest{WaitMs: 30_000})
	if err != nil {
		t.Fatal(err)
	}
	c.tokens["page"], c.tokens["payload"], c.tokens["anchor"] = page.GetNextPageToken(), page.GetNextPageToken(), changes.GetAnchor()
	c.tokens["update"] = updates.GetUpdates()[0].GetToken()
	for name, token := range c.tokens {
		if token == "" {
			t.Fatalf("the victim has no %s", name)
		}
	}
}

// fresh returns identifiers of the victim that nobody has used yet.
func (c *crowd) fresh(t *testing.T) identifiers {
	request, upload := make([]byte, 16), make([]byte, 16)
	rand.Read(request)
	rand.Read(upload)
	sample := steps(time.Unix(1_700_000_000, 0), 7)
	sample.Uuid = uuid.NewString()
	saved, err := c.victim.Save(t.Context(), &pb.SaveRequest{RequestId: request, Samples: []*pb.Sample{sample}})
	if err != nil {
		t.Fatal(err)
	}
	ids := identifiers{"request": string(request), "upload": string(upload), "uuid": sample.Uuid, "receipt": saved.GetReceipt()}
	for name, token := range c.tokens {
		ids[name] = token
	}
	return ids
}

// Whoever asks whatever, of any method, over any transport: the daemon answers, and it is
// not "internal"; and to an app, what is another's is what nobody has.
func TestEveryEndpointSurvivesAndTellsNothing(t *testing.T) {
	c := gather(t)
	proper := oneOfEach(t)
	for range rounds(1, 200) {
		t.Run("not yours is not there", func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) { c.notYours(t, rt, proper) })
		})
		t.Run("strange requests", func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) { c.strange(rt) })
		})
		t.Run("wrong credentials", func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) { c.wrong(rt) })
		})
	}
	c.run("--store", c.first, "status")
	if _, err := c.victim.Health().QuerySamples(t.Context(), &pb.QuerySamplesRequest{Types: []string{"stepCount"}}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// notYours asks for what is the victim's, and for what is nobody's.
func (c *crowd) notYours(t *testing.T, rt *rapid.T, proper map[string]proto.Message) {
	method := rapid.SampledFrom(healthEndpoints()).Draw(rt, "method")
	request := newMessage(method.Input())
	if rapid.Bool().Draw(rt, "proper") {
		request = proto.Clone(proper[string(method.Name())])
	}
	drawMessage(rt, request.ProtoReflect(), rapid.SampledFrom([]int{1, 3, 8}).Draw(rt, "sparse"), 3)
	transport := rapid.SampledFrom([]string{"NATS", "HTTP"}).Draw(rt, "transport")
	// Reads would see what was written meanwhile.
	ask := c.writer[transport]
	if name := string(method.Name()); strings.HasPrefix(name, "Query") || strings.HasPrefix(name, "Get") {
		ask = c.reader[transport]
	}
	theirs := c.fresh(t)
	nobodys := theirs.random()
	var said [2]string
	for i, ids := range []identifiers{theirs, nobodys} {
		body, err := proto.Marshal(spell(request, ids))
		if err != nil {
			rt.Skip("not UTF-8")
		}
		got := ask(method, rpc.ContentTypeProtobuf, body)
		if got.internal() {
			rt.Fatalf("%s over %s: %s %q", method.Name(), transport, got.failed, got.body)
		}
		if said[i], err = got.says(method, theirs, nobodys); err != nil {
			rt.Fatalf("%s over %s: %v", method.Name(), transport, err)
		}
	}
	if said[0] != said[1] {
		rt.Fatalf("%s over %s, %v:\nanother's: %q\nnobody's:  %q", method.Name(), transport, request, said[0], said[1])
	}
}

// strange sends what no client would.
func (c *crowd) strange(rt *rapid.T) {
	method := rapid.SampledFrom(append(healthEndpoints(), ownerEndpoints()...)).Draw(rt, "method")
	who := []both{c.owner, c.stale}
	if method.Parent().Name() == "HealthService" {
		who = append(who, c.writer)
	}
	ask := rapid.SampledFrom(who).Draw(rt, "who")[rapid.SampledFrom([]string{"NATS", "HTTP"}).Draw(rt, "transport")]
	request := newMessage(method.Input())
	drawMessage(rt, request.ProtoReflect(), 2, 4)
	body, _ := proto.Marshal(spell(request, c.tokens.random()))
	switch rapid.IntRange(0, 3).Draw(rt, "how") {
	case 0:
		body = rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(rt, "bytes")
	case 1:
		body = body[:rapid.IntRange(0, len(body)).Draw(rt, "cut")]
	case 2:
		if len(body) > 0 {
			body[rapid.IntRange(0, len(body)-1).Draw(rt, "place")] ^= byte(rapid.IntRange(1, 255).Draw(rt, "flip"))
		}
	}
	kind := rapid.SampledFrom([]string{rpc.ContentTypeProtobuf, rpc.ContentTypeProtobuf, rpc.ContentTypeJSON, "text/plain", ""}).Draw(rt, "content type")
	if got := ask(method, kind, body); got.internal() {
		rt.Fatalf("%s: %s %q to %x", method.Name(), got.failed, got.body, body)
	}
}

// wrong asks with credentials that open nothing: all of them get one answer.
func (c *crowd) wrong(rt *rapid.T) {
	method := rapid.SampledFrom(append(healthEndpoints(), ownerEndpoints()...)).Draw(rt, "method")
	request := newMessage(method.Input())
	drawMessage(rt, request.ProtoReflect(), 2, 3)
	body, _ := proto.Marshal(spell(request, c.tokens))
	want := c.outsider["garbage"](healthEndpoints()[0], rpc.ContentTypeProtobuf, nil)
	callers := both{"an app, for the owner": c.reader["HTTP"]}
	if method.Parent().Name() == "HealthService" {
		callers = both{}
	}
	for what, ask := range c.outsider {
		callers[what] = ask
	}
	for what, ask := range callers {
		got := ask(method, rpc.ContentTypeProtobuf, body)
		if got.failed != want.failed || !bytes.Equal(got.body, want.body) {
			rt.Fatalf("%s with %s: %s %q, not %s %q", method.Name(), what, got.failed, got.body, want.failed, want.body)
		}
	}
}
