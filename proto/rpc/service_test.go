package rpc

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

type echo struct {
	pb.UnimplementedHealthServiceHandler
}

func (echo) Save(_ context.Context, r *pb.SaveRequest) (*pb.SaveResponse, error) {
	return &pb.SaveResponse{Accepted: uint32(len(r.Samples))}, nil
}

func (echo) QuerySamples(context.Context, *pb.QuerySamplesRequest) (*pb.QuerySamplesResponse, error) {
	return nil, nil
}

func (echo) QueryStatistics(context.Context, *pb.QueryStatisticsRequest) (*pb.QueryStatisticsResponse, error) {
	return &pb.QueryStatisticsResponse{}, nil
}

// misfit has every name and one wrong type.
type misfit struct{ echo }

func (misfit) QueryStatistics(context.Context, *pb.SaveRequest) (*pb.QueryStatisticsResponse, error) {
	return nil, nil
}

var health = pb.File_healthledger_v1_health_proto.Services().ByName("HealthService")

func TestImplementationMustFitTheService(t *testing.T) {
	if _, err := methods(health, echo{}); err != nil {
		t.Fatal(err)
	}
	for _, impl := range []any{nil, struct{}{}, misfit{}, 7} {
		if _, err := methods(health, impl); err == nil {
			t.Errorf("%T was accepted", impl)
		}
	}
	owner := pb.File_healthledger_v1_owner_proto.Services().ByName("OwnerService")
	if _, err := methods(owner, echo{}); err == nil {
		t.Error("a health service was accepted as an owner service")
	}
}

func TestBadRequestsAreRefusedByName(t *testing.T) {
	found, err := methods(health, echo{})
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		what, contentType, body string
		reason, field, why      string
	}{
		{"unknown content type", "text/xml", "", ReasonInvalidArgument, "Content-Type", "application/json"},
		{"unknown field", "application/json", `{"smaples":[]}`, ReasonInvalidArgument, "request", "smaples"},
		{"wrong type", "application/json", `{"samples":7}`, ReasonInvalidArgument, "request", "line 1"},
		{"not JSON", "application/json; charset=utf-8", `{`, ReasonInvalidArgument, "request", ""},
		{"not protobuf", "", "\xff\xff", ReasonInvalidArgument, "request", "SaveRequest"},
		{"deep", "application/json", strings.Repeat(`{"samples":[`, 1000), ReasonInvalidArgument, "request", ""},
		{"too large", "", strings.Repeat("x", MaxRequest+1), ReasonTooLarge, "request", "1048576"},
	}
	for _, c := range cases {
		_, err := found["Save"].invoke(t.Context(), c.contentType, []byte(c.body))
		detail := Detail(err)
		if detail.GetReason() != c.reason || detail.GetField() != c.field || !strings.Contains(detail.GetWhy(), c.why) {
			t.Errorf("%s: %v with detail %v", c.what, err, detail)
		}
	}
	if _, err := found["QuerySamples"].invoke(t.Context(), "", nil); Reason(Public(err)) != ReasonInternal {
		t.Errorf("neither response nor error: %v", err)
	}
}

func TestRepliesAreTheCallersOwn(t *testing.T) {
	const key, other = "aaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbb"
	for _, reply := range []string{"_INBOX." + key + ".x", "_INBOX." + key + ".abc.1"} {
		if !isInbox(reply, key) {
			t.Errorf("%q refused", reply)
		}
	}
	for _, reply := range []string{
		"", "_INBOX", "_INBOX.", "_INBOX." + key, "_INBOX." + key + ".", "_INBOX." + other + ".x", "_INBOX_" + key + ".x",
		"_INBOX." + key + "x.y", "_INBOX." + key + ".>", "_INBOX." + key + ".*", "_INBOX." + key + ".a b",
		"$JS.API.STREAM.DELETE.X", "ledger.x", "health.s." + key + ".Save", " _INBOX." + key + ".x",
	} {
		if isInbox(reply, key) {
			t.Errorf("%q accepted", reply)
		}
	}
}

// FuzzInvoke decodes whatever an app may send.
func FuzzInvoke(f *testing.F) {
	found, err := methods(health, echo{})
	if err != nil {
		f.Fatal(err)
	}
	request := &pb.SaveRequest{RequestId: make([]byte, 16), Samples: []*pb.Sample{{Type: "stepCount", Value: proto.Float64(3), Unit: "count"}}}
	binary, _ := proto.Marshal(request)
	f.Add("", binary)
	f.Add("application/json", []byte(`{"requestId":"AAAA","samples":[{"type":"stepCount","start":"2024-05-01T00:00:00Z","value":3}]}`))
	f.Add("application/json", []byte(`{"samples":[null]}`))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		response, err := found["Save"].invoke(context.Background(), contentType, body)
		if (response == nil) == (err == nil) {
			t.Fatalf("response %v and error %v", response, err)
		}
		if err != nil {
			if reason := Reason(Public(err)); reason != ReasonInvalidArgument && reason != ReasonTooLarge {
				t.Fatalf("bad input is %s: %v", reason, err)
			}
			for _, encoding := range []Encoding{Protobuf, JSON} {
				if _, text, body := encodeError(err, encoding); text == "" || len(body) == 0 {
					t.Fatalf("%v cannot travel", err)
				}
			}
		}
	})
}

func TestEncodedMessagesGoOutAsTheyAre(t *testing.T) {
	for _, want := range []*pb.QuerySamplesResponse{
		{}, {Samples: []*pb.Sample{{Type: "heartRate", Unit: "count/min"}}, NextPageToken: "next"},
	} {
		content, err := proto.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		for _, encoding := range []Encoding{Protobuf, JSON} {
			plain, err := encoding.Marshal(Encoded(new(pb.QuerySamplesResponse), content))
			if err != nil {
				t.Fatal(err)
			}
			got := new(pb.QuerySamplesResponse)
			if err := encoding.Unmarshal(plain, got); err != nil || !proto.Equal(got, want) {
				t.Errorf("%v: %v, %v, want %v", encoding, got, err, want)
			}
		}
	}
}
