package main

import (
	"bytes"

	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "healthledger/proto/healthledger/v1"
)

// methods are the names of all methods that apps have.
func methods() []string {
	var names []string
	all := pb.File_healthledger_v1_health_proto.Services().ByName("HealthService").Methods()
	for i := range all.Len() {
		names = append(names, string(all.Get(i).Name()))
	}
	return names
}

// oneOfEach is a proper request for every method there is.
func oneOfEach(t *testing.T) map[string]proto.Message {
	t.Helper()
	id := make([]byte, 16)
	id[0] = 1
	requests := map[string]proto.Message{
		"Save":                       &pb.SaveRequest{RequestId: id, Samples: []*pb.Sample{steps(time.Unix(1_700_000_000, 0), 7)}},
		"SavePart":                   &pb.SavePartRequest{Type: "stepCount", Upload: id, Chunk: &pb.Chunk{Quantities: &pb.Quantities{Offset: []int64{1}, Value: []float64{2}}}},
		"Delete":                     &pb.DeleteRequest{RequestId: id, Deletions: []*pb.Deletion{{Type: "stepCount", From: timestamppb.New(time.Unix(0, 0))}}},
		"SetUpdates":                 &pb.SetUpdatesRequest{Type: "stepCount", Frequency: pb.Frequency_FREQUENCY_IMMEDIATE},
		"AckUpdates":                 &pb.AckUpdatesRequest{Tokens: []string{"AAAA"}},
		"RequestAuthorization":       &pb.RequestAuthorizationRequest{Share: []string{"height"}, Read: []string{"stepCount"}},
		"RequestObjectAuthorization": &pb.RequestObjectAuthorizationRequest{Type: "visionPrescription"},
		"GetAuthorizationStatus":     &pb.GetAuthorizationStatusRequest{Types: []string{"stepCount"}},
		"GetRequestStatus":           &pb.GetRequestStatusRequest{Read: []string{"stepCount"}},
		"QuerySamples":               &pb.QuerySamplesRequest{Types: []string{"stepCount"}},
		"QueryChanges":               &pb.QueryChangesRequest{Type: "stepCount"},
		"QueryStatistics":            &pb.QueryStatisticsRequest{Type: "stepCount"},
		"QueryPayload":               &pb.QueryPayloadRequest{Type: "stepCount", PayloadToken: "AAAA"},
		"QuerySources":               &pb.QuerySourcesRequest{Type: "stepCount"},
		"QueryPreferredUnits":        &pb.QueryPreferredUnitsRequest{Types: []string{"stepCount"}},
		"QueryOutcome":               &pb.QueryOutcomeRequest{Receipt: "AAAA"},
		"QueryUpdates":               &pb.QueryUpdatesRequest{},
	}
	for _, method := range methods() {
		if requests[method] == nil {
			t.Fatalf("no case for %s", method)
		}
	}
	return requests
}

// reads are requests to read, good and bad, that concern a type.
func reads(t *testing.T, typeName, pageToken string) map[string]*nats.Msg {
	t.Helper()
	from, to := timestamppb.New(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)), timestamppb.New(time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC))
	m := map[string]*nats.Msg{}
	proper := map[string]bool{}
	add := func(name, method, contentType string, body []byte) {
		msg := &nats.Msg{Subject: method, Data: body}
		if contentType != "" {
			msg.Header = nats.Header{"Content-Type": {contentType}}
		}
		m[name] = msg
	}
	request := func(name, method string, r proto.Message) {
		proper[method] = true
		add(name, method, "", encoded(t, r))
	}
	for name, r := range map[string]*pb.QuerySamplesRequest{
		"all": {}, "period": {From: from, To: to}, "oldest": {Order: pb.Order_ORDER_ASCENDING}, "one": {Limit: 1}, "many": {Limit: 1 << 31},
		"backwards": {From: to, To: from}, "no order": {Order: 77}, "made-up token": {PageToken: "AAAA"}, "another's token": {PageToken: pageToken},
		"another's token and limit": {PageToken: pageToken, Limit: 2}, "long token": {PageToken: strings.Repeat("A", 100)},
		"made-up receipt": {Receipt: "AAAA"},
	} {
		r.Types = []string{typeName}
		request("samples, "+name, "QuerySamples", r)
	}
	for name, r := range map[string]*pb.QueryStatisticsRequest{
		"all": {}, "period": {From: from, To: to}, "days": {From: from, To: to, Interval: &pb.Interval{Unit: pb.CalendarUnit_CALENDAR_UNIT_DAY}, TimeZone: "Europe/Berlin"},
		"hours": {From: from, To: to, Interval: &pb.Interval{Unit: pb.CalendarUnit_CALENDAR_UNIT_HOUR}}, "days without end": {Interval: &pb.Interval{Unit: pb.CalendarUnit_CALENDAR_UNIT_DAY}},
		"backwards": {From: to, To: from}, "no zone": {TimeZone: "Mars/Olympus", Interval: &pb.Interval{Unit: pb.CalendarUnit_CALENDAR_UNIT_DAY}}, "no bucket": {Interval: &pb.Interval{Unit: 77}}, "no unit": {Unit: "furlong"}, "wrong unit": {Unit: "kg"},
	} {
		r.Type = typeName
		request("statistics, "+name, "QueryStatistics", r)
	}
	for name, r := range map[string]*pb.QueryPayloadRequest{
		"no token": {}, "made-up token": {PayloadToken: "AAAA"}, "another's token": {PayloadToken: pageToken}, "long token": {PayloadToken: strings.Repeat("A", 100)},
		"another's page": {PayloadToken: pageToken, PageToken: pageToken},
	} {
		r.Type = typeName
		request("payload, "+name, "QueryPayload", r)
	}
	for name, r := range map[string]*pb.QueryChangesRequest{
		"all": {}, "from now": {FromNow: true}, "one": {Limit: 1}, "made-up anchor": {Anchor: "AAAA"}, "another's anchor": {Anchor: pageToken},
		"a wait": {WaitMs: 20}, "a wait from now": {FromNow: true, WaitMs: 20}, "too long a wait": {WaitMs: 60_001}, "made-up receipt": {Receipt: "AAAA"},
	} {
		r.Type = typeName
		request("changes, "+name, "QueryChanges", r)
	}
	for name, r := range map[string]*pb.QuerySourcesRequest{"all": {}, "made-up receipt": {Receipt: "AAAA"}} {
		r.Type = typeName
		request("sources, "+name, "QuerySources", r)
	}
	request("units, one", "QueryPreferredUnits", &pb.QueryPreferredUnitsRequest{Types: []string{typeName}})
	request("units, none", "QueryPreferredUnits", &pb.QueryPreferredUnitsRequest{})
	request("request status", "GetRequestStatus", &pb.GetRequestStatusRequest{Read: []string{typeName}})
	request("request status, of nothing", "GetRequestStatus", &pb.GetRequestStatusRequest{})
	request("outcome, made-up receipt", "QueryOutcome", &pb.QueryOutcomeRequest{Receipt: pageToken})
	for name, wait := range map[string]uint32{"now": 0, "a wait": 20, "too long a wait": 60_001} {
		request("updates, "+name, "QueryUpdates", &pb.QueryUpdatesRequest{WaitMs: wait})
	}
	for _, method := range methods() {
		if !strings.HasPrefix(method, "Query") && method != "GetRequestStatus" {
			continue
		}
		if !proper[method] {
			t.Errorf("no proper request for %s", method)
		}
		add(method+", JSON", method, "application/json", []byte(`{"type":"`+typeName+`"}`))
		add(method+", malformed JSON", method, "application/json", []byte(`{"type":`))
		add(method+", unknown field", method, "application/json", []byte(`{"typ":1}`))
		add(method+", malformed", method, "", []byte{0xff, 0xff, 0xff})
		add(method+", empty", method, "", nil)
		add(method+", other content type", method, "text/plain", []byte("x"))
		add(method+", unknown type", method, "", encoded(t, &pb.QuerySamplesRequest{Types: []string{"noSuchType"}}))
		add(method+", category type", method, "", encoded(t, &pb.QuerySamplesRequest{Types: []string{"sleepAnalysis"}}))
		add(method+", huge", method, "", bytes.Repeat([]byte{0x0a}, 1<<20))
	}
	return m
}

// observe returns every answer to the reads.
func (s *stranger) observe(requests map[string]*nats.Msg) map[string]string {
	s.t.Helper()
	seen := map[string]string{}
	for name, m := range requests {
		seen[name] = s.ask(s.subject(m.Subject), m.Header, m.Data)
	}
	return seen
}
