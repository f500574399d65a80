package rpc_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// Nothing about the request is looked at before the gate: neither how it is compressed.
func TestGateOfHTTPRunsBeforeTheCompressionIsLookedAt(t *testing.T) {
	server := web(t, service{save: accept}, rpc.HTTPOptions{Gate: func(context.Context, string) (context.Context, func(), error) {
		return nil, nil, rpc.StoreLocked()
	}})
	for _, protocol := range []connect.ClientOption{connect.WithClientOptions(), connect.WithGRPCWeb()} {
		client := pb.NewHealthServiceClient(server.Client(), server.URL, protocol, connect.WithSendGzip(), bearing(rpc.Bearer(store, anna, secret)))
		if _, err := client.Save(t.Context(), &pb.SaveRequest{RequestId: make([]byte, 4096)}); rpc.Reason(err) != rpc.ReasonStoreLocked {
			t.Error(err)
		}
	}
}

// How well an answer compresses would tell how alike what is in it is.
func TestAnswersOfHTTPAreNotCompressed(t *testing.T) {
	server := web(t, service{save: accept}, rpc.HTTPOptions{})
	text := strings.Repeat("x", 4096)
	request, err := http.NewRequest(http.MethodPost, server.URL+"/healthledger.v1.HealthService/QuerySamples", strings.NewReader(`{"types":["`+text+`"]}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", rpc.ContentTypeJSON)
	request.Header.Set("Accept-Encoding", "gzip")
	request.Header.Set("Authorization", "Bearer "+rpc.Bearer(store, anna, secret))
	answer, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil || answer.Header.Get("Content-Encoding") != "" || !strings.Contains(string(content), text) {
		t.Errorf("%v, encoded as %q: %.100s", err, answer.Header.Get("Content-Encoding"), content)
	}
}
