package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// wire is a way in which calls travel: as bytes, past every client, so that nothing of an
// answer goes unseen.
type wire struct {
	name string
	// contentType of the request; empty: none.
	contentType string
	json        bool
	send        func(w *wire, c *channel, method string, body []byte) (*answer, error)
}

var wires = []*wire{
	{name: "NATS", send: overNATS},
	{name: "NATS, JSON", contentType: "application/json", json: true, send: overNATS},
	{name: "Connect", contentType: "application/proto", send: overHTTP},
	{name: "Connect, JSON", contentType: "application/json", json: true, send: overHTTP},
	{name: "gRPC", contentType: "application/grpc+proto", send: overGRPC},
	{name: "gRPC-Web", contentType: "application/grpc-web+proto", send: overGRPC},
}

// channel is an app's way to its store.
type channel struct {
	nc      *nats.Conn
	subject string // of methods, with the last dot
	url     string // of methods, with the last slash
	bearer  string
}

// answer is all that a caller gets.
type answer struct {
	status int
	// header has the trailers too.
	header map[string][]string
	body   []byte
	// message in the body; nil: the call failed.
	message []byte
}

// answerTimeout is longer than anything that is asked for takes.
const answerTimeout = 30 * time.Second

// plain speaks HTTP/1.1, framed HTTP/2 as gRPC wants it.
var plain, framed = newHTTP(false), newHTTP(true)

func newHTTP(second bool) *http.Client {
	t := &http.Transport{DisableCompression: true, Protocols: new(http.Protocols)}
	t.Protocols.SetHTTP1(!second)
	t.Protocols.SetUnencryptedHTTP2(second)
	return &http.Client{Transport: t, Timeout: answerTimeout}
}

func overNATS(w *wire, c *channel, method string, body []byte) (*answer, error) {
	msg := &nats.Msg{Subject: c.subject + method, Data: body}
	if w.contentType != "" {
		msg.Header = nats.Header{"Content-Type": {w.contentType}}
	}
	m, err := c.nc.RequestMsg(msg, answerTimeout)
	if err != nil {
		return nil, err
	}
	a := &answer{header: m.Header, body: m.Data}
	if m.Header.Get("Nats-Service-Error-Code") == "" {
		a.message = append([]byte{}, m.Data...)
	}
	return a, nil
}

func overHTTP(w *wire, c *channel, method string, body []byte) (*answer, error) {
	a, err := post1(plain, w, c, method, body)
	if err == nil && a.status == http.StatusOK {
		a.message = append([]byte{}, a.body...)
	}
	return a, err
}

// overGRPC puts the message into a frame: a byte of flags and the length before it.
func overGRPC(w *wire, c *channel, method string, body []byte) (*answer, error) {
	framing := framed
	if strings.Contains(w.contentType, "web") {
		framing = plain
	}
	frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body)))
	a, err := post1(framing, w, c, method, append(frame, body...))
	if err == nil && len(a.body) >= 5 && a.body[0] == 0 {
		size := binary.BigEndian.Uint32(a.body[1:])
		a.message = append([]byte{}, a.body[5:5+size]...)
	}
	return a, err
}

func post1(by *http.Client, w *wire, c *channel, method string, body []byte) (*answer, error) {
	request, err := http.NewRequest(http.MethodPost, c.url+method, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header = http.Header{"Authorization": {"Bearer " + c.bearer}}
	if w.contentType != "" {
		request.Header.Set("Content-Type", w.contentType)
	}
	if by == framed {
		request.Header.Set("Te", "trailers")
	}
	response, err := by.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	a := &answer{status: response.StatusCode, header: map[string][]string{}}
	if a.body, err = io.ReadAll(response.Body); err != nil {
		return nil, err
	}
	maps.Copy(a.header, response.Header)
	for name, values := range response.Trailer {
		a.header["trailer "+name] = values
	}
	delete(a.header, "Date")
	return a, nil
}

// encode makes the bytes of a request.
func (w *wire) encode(m proto.Message) ([]byte, error) {
	if w.json {
		return protojson.Marshal(m)
	}
	return proto.Marshal(m)
}

// decode reads the message of an answer, nil of a call that failed.
func (w *wire) decode(a *answer, of protoreflect.MessageType) (protoreflect.Message, error) {
	if a.message == nil {
		return nil, nil
	}
	m := of.New()
	if w.json {
		return m, protojson.Unmarshal(a.message, m.Interface())
	}
	return m, proto.Unmarshal(a.message, m.Interface())
}

// headers are those of an answer as text.
func (a *answer) headers() string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(a.header)) {
		text.WriteString(name + ": " + strings.Join(a.header[name], ", ") + "\n")
	}
	return text.String()
}

// Something of every answer is compared, so all of it must be read.
func TestEveryPartOfAnAnswerIsCompared(t *testing.T) {
	base := func() *answer {
		return &answer{status: 200, header: map[string][]string{"A": {"1"}}, body: []byte("x")}
	}
	for name, change := range map[string]func(*answer){
		"status": func(a *answer) { a.status = 404 },
		"header": func(a *answer) { a.header["A"] = []string{"2"} },
		"more":   func(a *answer) { a.header["B"] = nil },
		"body":   func(a *answer) { a.body = []byte("y") },
		"size":   func(a *answer) { a.body = []byte("xx") },
	} {
		other := base()
		change(other)
		if newNames().sameBytes(base(), other, nil) == nil {
			t.Errorf("%s: the difference is not seen", name)
		}
	}
	if err := newNames().sameBytes(base(), base(), nil); err != nil {
		t.Error(err)
	}
}
