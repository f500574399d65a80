package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

// kind is a type that the app asks for, and what the owner let it read.
type kind struct {
	name, typ string
	// extent is unspecified where the owner was never asked.
	extent pb.ReadExtent
}

// The kinds of types. Of denied, since and granted one store holds samples and the others
// none; empty and unknown are in no store, and measured in the unit that denied is.
var (
	denied  = kind{"denied", "heartRate", pb.ReadExtent_READ_EXTENT_NONE}
	empty   = kind{"empty", "restingHeartRate", pb.ReadExtent_READ_EXTENT_ALL}
	unknown = kind{"unknown", "walkingHeartRateAverage", pb.ReadExtent_READ_EXTENT_UNSPECIFIED}
	since   = kind{"since a date", "stepCount", pb.ReadExtent_READ_EXTENT_SINCE}
	// granted shows that the comparison sees what there is to see.
	granted = kind{"granted", "activeEnergyBurned", pb.ReadExtent_READ_EXTENT_ALL}
	// recording has payloads. It is denied, but was not always: there is a token.
	recording = kind{"denied", "electrocardiogram", pb.ReadExtent_READ_EXTENT_NONE}
)

// question is a query that an app can make of any kind of type.
type question struct {
	name, method string
	// shows says that it is answered later of a type that may be read, if there is much.
	shows bool
	// refused says that the answer is an error, whatever the store holds.
	refused bool
	kinds   []kind
	request func(s *subject, k kind) proto.Message
}

func questions(d *decade) []question {
	all := []kind{denied, empty, unknown, since, granted}
	from, to := stamp(d.end-lastYear*day), stamp(d.end+30*day)
	return []question{
		{name: "samples", method: "QuerySamples", shows: true, kinds: all, request: func(_ *subject, k kind) proto.Message {
			return &pb.QuerySamplesRequest{Types: []string{k.typ}, Limit: 1000}
		}},
		{name: "one UUID", method: "QuerySamples", kinds: all, request: func(_ *subject, k kind) proto.Message {
			one := &pb.Predicate{Kind: &pb.Predicate_Uuid{Uuid: &pb.UuidPredicate{Uuids: []string{oneOf(k)}}}}
			return &pb.QuerySamplesRequest{Types: []string{k.typ}, Predicate: one}
		}},
		{name: "changes", method: "QueryChanges", shows: true, kinds: all, request: func(_ *subject, k kind) proto.Message {
			return &pb.QueryChangesRequest{Type: k.typ, Limit: 1000}
		}},
		{name: "changes after an anchor", method: "QueryChanges", shows: true, kinds: all, request: func(s *subject, k kind) proto.Message {
			return &pb.QueryChangesRequest{Type: k.typ, Anchor: s.anchors[k.typ], Limit: 1000}
		}},
		{name: "statistics", method: "QueryStatistics", shows: true, kinds: all, request: func(_ *subject, k kind) proto.Message {
			every := &pb.Interval{Unit: pb.CalendarUnit_CALENDAR_UNIT_DAY}
			return &pb.QueryStatisticsRequest{Type: k.typ, From: from, To: to, Interval: every, TimeZone: d.zone.String()}
		}},
		{name: "sources", method: "QuerySources", kinds: all, request: func(_ *subject, k kind) proto.Message {
			return &pb.QuerySourcesRequest{Type: k.typ}
		}},
		{name: "payload", method: "QueryPayload", refused: true, kinds: []kind{recording}, request: func(s *subject, k kind) proto.Message {
			return &pb.QueryPayloadRequest{Type: k.typ, PayloadToken: s.token}
		}},
	}
}

// oneOf is the UUID of a sample of a kind, in the store that holds some.
func oneOf(k kind) string { return fmt.Sprintf("6f1c2a30-0000-4000-8000-%012x", len(k.typ)) }

// singles are samples whose UUIDs are asked for.
func singles(d *decade) (all []*pb.Sample) {
	for i := range d.series {
		s := &d.series[i]
		for _, k := range []kind{denied, since, granted} {
			if s.name == k.typ {
				at := stamp(d.end - day)
				all = append(all, &pb.Sample{
					Type: s.name, Uuid: oneOf(k), Source: allSources()[0], Start: at, End: at,
					Value: proto.Float64(60), Unit: s.unit,
				})
			}
		}
	}
	return all
}

// reads are what the owner lets the app read; hearing says whether recordings too.
func reads(d *decade, hearing bool) (all []*pb.ReadGrant) {
	for _, k := range []kind{denied, empty, since, granted, recording} {
		g := &pb.ReadGrant{Type: codeOf(k.typ), Extent: k.extent}
		if k.extent == pb.ReadExtent_READ_EXTENT_SINCE {
			g.Since = d.end + day
		}
		if k == recording && hearing {
			g.Extent = pb.ReadExtent_READ_EXTENT_ALL
		}
		all = append(all, g)
	}
	return all
}

// way is a transport, without a client that would do more than it must.
type way struct {
	name string
	// call returns the answer; the error is errRefused if that is what it says.
	call func(ctx context.Context, s *subject, method string, body []byte) ([]byte, error)
}

// errRefused is an answer too.
var errRefused = errors.New("refused")

var ways = []way{{"NATS", overNATS}, {"HTTP", overHTTP}}

func overNATS(ctx context.Context, s *subject, method string, body []byte) ([]byte, error) {
	m, err := s.nc.RequestWithContext(ctx, "health."+s.id+"."+s.app.Key+"."+method, body)
	if err != nil {
		return nil, err
	}
	if code := m.Header.Get("Nats-Service-Error-Code"); code != "" {
		return nil, fmt.Errorf("%w: %s: %s", errRefused, code, m.Data)
	}
	return m.Data, nil
}

func overHTTP(ctx context.Context, s *subject, method string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/healthledger.v1.HealthService/"+method, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+s.app.Bearer())
	request.Header.Set("Content-Type", "application/proto")
	answer, err := s.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	read, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%w: %s: %s", errRefused, answer.Status, read)
	}
	return read, err
}

// ask makes a call and decodes its answer.
func (s *subject) ask(ctx context.Context, method string, m, answer proto.Message) error {
	body, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	read, err := overNATS(ctx, s, method, body)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return proto.Unmarshal(read, answer)
}

// time makes a call, which is to be refused or not, and says how long its answer took.
func (s *subject) time(ctx context.Context, w way, method string, body []byte, refused bool) (time.Duration, error) {
	began := time.Now()
	_, err := w.call(ctx, s, method, body)
	took := time.Since(began)
	switch {
	case refused && errors.Is(err, errRefused):
		return took, nil
	case refused && err == nil:
		err = errors.New("answered what is to be refused")
	}
	if err != nil {
		return 0, fmt.Errorf("%s over %s of the %s store: %w", method, w.name, s.name, err)
	}
	return took, nil
}
