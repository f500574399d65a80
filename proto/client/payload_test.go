package client_test

import (
	"bytes"
	"context"
	"iter"
	"math/rand/v2"
	"strconv"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"healthledger/proto/catalog"
	"healthledger/proto/client"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

func (l *ledger) SavePart(_ context.Context, r *pb.SavePartRequest) (*pb.SavePartResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partCalls++
	if l.partBefore != nil {
		if err := l.partBefore(l.partCalls); err != nil {
			return nil, err
		}
	}
	t, ok := catalog.Lookup(r.Type)
	if !ok || len(r.Upload) != 16 {
		return nil, rpc.InvalidArgument("type", "not a part")
	}
	if err := health.CheckChunk(t, r.Chunk); err != nil {
		return nil, rpc.InvalidArgument("chunk", err.Error())
	}
	if l.parts == nil {
		l.parts = map[string]map[uint32]*pb.Chunk{}
	}
	if l.parts[string(r.Upload)] == nil {
		l.parts[string(r.Upload)] = map[uint32]*pb.Chunk{}
	}
	if l.parts[string(r.Upload)][r.Number] == nil {
		l.parts[string(r.Upload)][r.Number] = r.Chunk
	}
	return &pb.SavePartResponse{}, nil
}

// bytes puts the data of an upload together; its parts must all be there.
func (l *ledger) bytes(u *pb.Upload) (all []byte) {
	for number := range u.GetParts() {
		part, ok := l.parts[string(u.Id)][number]
		if !ok {
			return nil
		}
		all = append(all, part.Data...)
	}
	return all
}

// QueryPayload answers a byte at a time: the token is what it says.
func (l *ledger) QueryPayload(_ context.Context, r *pb.QueryPayloadRequest) (*pb.QueryPayloadResponse, error) {
	if r.Type == "locked" {
		return nil, rpc.StoreLocked()
	}
	at, _ := strconv.Atoi(r.PageToken)
	answer := &pb.QueryPayloadResponse{NextPageToken: strconv.Itoa(at + 1)}
	if at < len(r.PayloadToken) {
		answer.Chunks = []*pb.Chunk{{Data: []byte{r.PayloadToken[at]}}}
	}
	if r.Type == "stuck" {
		answer.NextPageToken = "7"
	}
	if answer.Done = at+1 >= len(r.PayloadToken) && r.Type != "stuck"; answer.Done {
		answer.NextPageToken = ""
	}
	return answer, nil
}

func TestPayloadFollowsThePages(t *testing.T) {
	d := run(t, new(ledger), t.TempDir(), "")
	c := dial(t, d)
	o, err := client.DialOwner(t.Context(), client.LocalCredentials{URL: d.srv.URL(), Key: key, Token: token}, store, "")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	for _, query := range []func(context.Context, string, string) iter.Seq2[*pb.Chunk, error]{c.QueryPayload, o.QueryPayload} {
		var got []byte
		for chunk, err := range query(t.Context(), "clinicalRecord", "abc") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, chunk.Data...)
		}
		if string(got) != "abc" {
			t.Fatalf("%q", got)
		}
		for chunk := range query(t.Context(), "clinicalRecord", "abc") {
			if string(chunk.Data) == "b" {
				break
			}
		}
		var failures []error
		for _, typ := range []string{"locked", "stuck"} {
			for _, err := range query(t.Context(), typ, "abcdefghijk") {
				if err != nil {
					failures = append(failures, err)
				}
			}
		}
		if len(failures) != 2 || rpc.Reason(failures[0]) != rpc.ReasonStoreLocked || rpc.Reason(failures[1]) != rpc.ReasonInternal {
			t.Fatalf("failing queries: %v", failures)
		}
	}
}

// large is a document of so many bytes, in one piece.
func large(n int) (*pb.Sample, []byte) {
	content := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(content)
	return &pb.Sample{
		Type: "cda", Start: health.Timestamp(int64(n)), Object: &pb.Sample_Document{Document: &pb.Document{Title: "Report"}},
		Payload: []*pb.Chunk{{Data: content}},
	}, content
}

func TestLargePayloadGoesAheadOnceHoweverOftenCallsFail(t *testing.T) {
	busy := func(every int) func(int) error {
		return func(n int) error {
			if n%every != 0 {
				return rpc.Error(connect.CodeResourceExhausted, &pb.ErrorDetail{Reason: rpc.ReasonBusy}, "busy")
			}
			return nil
		}
	}
	l := &ledger{partBefore: busy(2), before: busy(3)}
	c := dial(t, run(t, l, t.TempDir(), ""))
	document, content := large(3 << 20)
	request := &pb.SaveRequest{RequestId: []byte("0123456789abcdef"), Samples: append(someSamples(3), document)}
	before := proto.CloneOf(request)
	for range 2 { // the caller does not know whether the first one was stored
		if _, err := c.Save(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	if !proto.Equal(request, before) {
		t.Error("the caller's request was changed")
	}
	saves, requests, samples := l.counts()
	saved := l.samples[3]
	if saves != 6 || requests != 1 || samples != 4 || len(l.parts) != 1 || len(saved.Payload) != 0 {
		t.Fatalf("%d saves of %d requests with %d samples and %d uploads", saves, requests, samples, len(l.parts))
	}
	if !bytes.Equal(l.bytes(saved.Upload), content) {
		t.Error("the payload did not arrive")
	}
}

func TestRefusedPartNamesItsObject(t *testing.T) {
	for _, c := range []struct {
		err   error
		index uint32
		field string
	}{
		{rpc.Error(connect.CodeInvalidArgument, &pb.ErrorDetail{Reason: rpc.ReasonInvalidSample, Field: "chunk.locations.time"}, "bad"), 2, "payload.locations.time"},
		{rpc.Error(connect.CodePermissionDenied, &pb.ErrorDetail{Reason: rpc.ReasonShareDenied, Field: "type"}, "denied"), 0, "type"},
	} {
		l := &ledger{partBefore: func(int) error { return c.err }}
		app := dial(t, run(t, l, t.TempDir(), ""))
		document, _ := large(1 << 20)
		_, err := app.Save(t.Context(), &pb.SaveRequest{Samples: append(someSamples(2), document)})
		if d := rpc.Detail(err); d.GetReason() != rpc.Reason(c.err) || d.GetIndex() != c.index || d.GetField() != c.field {
			t.Errorf("%v: %v", c.err, d)
		}
		if saves, _, _ := l.counts(); saves != 0 || l.partCalls != 1 {
			t.Errorf("%d saves after %d parts", saves, l.partCalls)
		}
	}
}
