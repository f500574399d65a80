package query

import (
	"context"
	"testing"

	pb "healthledger/proto/healthledger/v1"
)

// What an app was given while an object was granted to it is worth nothing when it is revoked,
// or hidden of its own: nothing says that it was there, and its deletion comes to nobody.
func TestARevokedObjectIsGoneSilently(t *testing.T) {
	for name, c := range map[string]struct {
		app           uint64
		grant, revoke func(*pb.ObjectsDecided, *pb.ObjectName)
	}{
		"revoked": {
			anna, func(d *pb.ObjectsDecided, name *pb.ObjectName) { d.Granted = append(d.Granted, name) },
			func(d *pb.ObjectsDecided, name *pb.ObjectName) { d.Revoked = append(d.Revoked, name) },
		},
		"all revoked": {
			anna, func(d *pb.ObjectsDecided, name *pb.ObjectName) { d.Granted = append(d.Granted, name) },
			func(d *pb.ObjectsDecided, _ *pb.ObjectName) { d.RevokeAll = true },
		},
		"own hidden": {
			bert, func(d *pb.ObjectsDecided, _ *pb.ObjectName) { d.Own = pb.OwnObjects_OWN_OBJECTS_READABLE },
			func(d *pb.ObjectsDecided, _ *pb.ObjectName) { d.Own = pb.OwnObjects_OWN_OBJECTS_HIDDEN },
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, state := newStore(t), grants(t, nil)
			defer s.close(t)
			g := grantable{app: c.app, typeName: "visionPrescription"}
			decided := func(how func(*pb.ObjectsDecided, *pb.ObjectName)) {
				d := &pb.ObjectsDecided{App: bert, Type: code(g.typeName)}
				how(d, g.name())
				decide(t, state, d)
			}
			s.sequence++
			s.applyEvent(t, &pb.Event{Body: &pb.Event_UpdatesSet{UpdatesSet: &pb.UpdatesSet{App: bert, Type: code(g.typeName), Frequency: pb.Frequency_FREQUENCY_IMMEDIATE}}})
			s.saveSamples(t, c.app, 0, g.sample(base))
			decided(c.grant)
			samples, err := s.engine.Samples(context.Background(), state.Scope(bert), &pb.QuerySamplesRequest{Types: []string{g.typeName}})
			if err != nil || len(samples.GetSamples()) != 1 || samples.GetSamples()[0].GetPayloadToken() == "" {
				t.Fatal(samples, err)
			}
			payload := &pb.QueryPayloadRequest{Type: g.typeName, PayloadToken: samples.GetSamples()[0].GetPayloadToken()}
			if _, err := s.engine.Payload(context.Background(), state.Scope(bert), payload); err != nil {
				t.Fatal(err)
			}
			f := &learner{known: map[string]bool{}}
			f.follow(t, s, state.Scope(bert), g.typeName)
			decided(c.revoke)

			gone := func(when string) {
				t.Helper()
				scope := state.Scope(bert)
				samples, err := s.engine.Samples(context.Background(), scope, &pb.QuerySamplesRequest{Types: []string{g.typeName}})
				if err != nil || len(samples.GetSamples()) > 0 {
					t.Error(when, samples, err)
				}
				sources, err := s.engine.Sources(context.Background(), scope, &pb.QuerySourcesRequest{Type: g.typeName})
				if err != nil || len(sources.GetSources()) > 0 {
					t.Error(when, sources, err)
				}
				for _, a := range f.follow(t, s, scope, g.typeName) {
					if len(a.GetSamples())+len(a.GetDeleted()) > 0 {
						t.Error(when, a)
					}
				}
				if due, _ := s.due(t, scope, base); len(due) > 0 {
					t.Error(when, due)
				}
				_, revoked := s.engine.Payload(context.Background(), scope, payload)
				_, made := s.engine.Payload(context.Background(), scope, &pb.QueryPayloadRequest{Type: g.typeName, PayloadToken: "AAAA"})
				if revoked == nil || revoked.Error() != made.Error() {
					t.Errorf("%s: %v, and of a token that was never given %v", when, revoked, made)
				}
			}
			gone("revoked:")
			id := g.uuid()
			s.sequence++
			s.applyEvent(t, &pb.Event{Body: &pb.Event_SamplesDeleted{SamplesDeleted: &pb.SamplesDeleted{
				App: c.app, RequestId: make([]byte, 16), Deletions: []*pb.DeletedSamples{{Type: code(g.typeName), Uuids: [][]byte{id[:]}}},
			}}})
			gone("deleted:")
		})
	}
}
