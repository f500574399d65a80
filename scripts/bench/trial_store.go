package bench

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"healthledger/ledger"
	"healthledger/ledger/seal"
	"healthledger/ledger/serve"
	"healthledger/proto/catalog"
	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// subject is a store of the trial, and the ways of its owner and of the app to it.
type subject struct {
	name, id      string
	importer, app client.Credentials

	owner *client.OwnerClient
	nc    *nats.Conn
	http  *http.Client
	url   string

	// anchors of the types, from before there was anything, and the token of a payload.
	anchors map[string]string
	token   string
}

// newSubject makes a store, with an app that may read what a trial is about, and takes its
// anchors. It is locked then.
func newSubject(ctx context.Context, name string, d *decade, a serve.LocalAddress) (*subject, error) {
	genesis, err := ledger.NewGenesis([]byte(trialPassphrase), seal.MinCost, &pb.DeviceEnrolled{SigningKey: a.SigningKey, SealingKey: a.SealingKey})
	if err != nil {
		return nil, err
	}
	s := &subject{name: name, id: genesis.Store.String(), anchors: map[string]string{}}
	s.importer = client.Credentials{Store: s.id, Key: genesis.Key, Token: genesis.Token}
	if s.owner, err = client.DialOwner(ctx, a.Credentials(), s.id, ""); err != nil {
		return nil, err
	}
	defer s.disconnect()
	if _, err := s.owner.Owner().CreateStore(ctx, genesis.Request); err != nil {
		return nil, err
	}
	if err := s.unlock(ctx); err != nil {
		return nil, err
	}
	if err := s.addApp(ctx, d); err != nil {
		return nil, err
	}
	if err := s.connect(ctx, a); err != nil {
		return nil, err
	}
	for _, k := range []kind{denied, empty, unknown, since, granted} {
		var answer pb.QueryChangesResponse
		if err := s.ask(ctx, "QueryChanges", &pb.QueryChangesRequest{Type: k.typ, FromNow: true}, &answer); err != nil {
			return nil, err
		}
		s.anchors[k.typ] = answer.GetAnchor()
	}
	_, err = s.owner.Owner().Lock(ctx, &pb.LockRequest{})
	return s, err
}

func (s *subject) addApp(ctx context.Context, d *decade) error {
	added, err := s.owner.Owner().AddApp(ctx, &pb.AddAppRequest{Manifest: readerManifest(readerID)})
	if err != nil {
		return err
	}
	s.app = client.Credentials{Store: s.id, Key: added.GetKey(), Token: added.GetToken()}
	return s.decide(ctx, d, true)
}

func (s *subject) decide(ctx context.Context, d *decade, hearing bool) error {
	_, err := s.owner.Owner().Decide(ctx, &pb.DecideRequest{BundleId: readerID, Reads: reads(d, hearing)})
	return err
}

// connect reaches the daemon as the owner, without a session, and as the app.
func (s *subject) connect(ctx context.Context, a serve.LocalAddress) (err error) {
	if s.owner == nil {
		if s.owner, err = client.DialOwner(ctx, a.Credentials(), s.id, ""); err != nil {
			return err
		}
	}
	s.nc, err = nats.Connect(a.URL, nats.UserInfo(s.app.Key, s.app.Token), nats.CustomInboxPrefix(rpc.InboxPrefix(s.app.Key)))
	s.http, s.url = &http.Client{Transport: &http.Transport{}}, a.HTTP
	s.importer.URL = a.URL
	return err
}

func (s *subject) disconnect() {
	if s.owner != nil {
		s.owner.Close()
		s.owner = nil
	}
	if s.nc != nil {
		s.nc.Close()
		s.http.CloseIdleConnections()
		s.nc = nil
	}
}

// greet uses the ways once, without a look into the store.
func (s *subject) greet(ctx context.Context) error {
	body, err := proto.Marshal(&pb.GetAuthorizationStatusRequest{Types: []string{denied.typ}})
	if err != nil {
		return err
	}
	for _, w := range ways {
		if _, err := s.time(ctx, w, "GetAuthorizationStatus", body, false); err != nil {
			return err
		}
	}
	return nil
}

// unlock returns when the view has caught up.
func (s *subject) unlock(ctx context.Context) error {
	begun, err := s.owner.Owner().BeginUnlock(ctx, &pb.BeginUnlockRequest{})
	if err != nil {
		return err
	}
	sealed, err := seal.SealPassphrase(begun.GetPublicKey(), []byte(trialPassphrase))
	if err != nil {
		return err
	}
	unlocked, err := s.owner.Owner().Unlock(ctx, &pb.UnlockRequest{SealedPassphrase: sealed})
	if err != nil {
		return err
	}
	s.owner.SetSession(unlocked.GetSession())
	for {
		status, err := s.owner.Owner().Status(ctx, &pb.StatusRequest{})
		if err != nil || status.GetState() == pb.LockState_LOCK_STATE_UNLOCKED {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// record has another app bring a recording, and keeps what its payload is read with. After
// that the recording is denied, and in a store that is to hold nothing it is deleted too.
func (s *subject) record(ctx context.Context, d *decade, holds bool) error {
	importer, err := client.Dial(ctx, s.importer)
	if err != nil {
		return err
	}
	defer importer.Close()
	if _, err := importer.Save(ctx, &pb.SaveRequest{Samples: []*pb.Sample{electrocardiogram(d)}}); err != nil {
		return err
	}
	for s.token == "" {
		var answer pb.QuerySamplesResponse
		if err := s.ask(ctx, "QuerySamples", &pb.QuerySamplesRequest{Types: []string{recording.typ}}, &answer); err != nil {
			return err
		}
		for _, found := range answer.GetSamples() {
			s.token = found.GetPayloadToken()
		}
		time.Sleep(5 * time.Millisecond)
	}
	if !holds {
		gone := &pb.Deletion{Type: recording.typ, Uuids: []string{oneOf(recording)}}
		if _, err := importer.Delete(ctx, &pb.DeleteRequest{Deletions: []*pb.Deletion{gone}}); err != nil {
			return err
		}
	}
	return s.decide(ctx, d, false)
}

func electrocardiogram(d *decade) *pb.Sample {
	const seconds, hertz = 30, 512
	return &pb.Sample{
		Type: recording.typ, Uuid: oneOf(recording), Source: allSources()[0],
		Start: stamp(d.end - day), End: stamp(d.end - day + seconds*second),
		Object: &pb.Sample_Electrocardiogram{Electrocardiogram: &pb.Electrocardiogram{
			Classification: "sinusRhythm", Symptoms: "none", Lead: "appleWatchSimilarToLeadI", SamplingFrequency: hertz,
		}},
		Payload: []*pb.Chunk{{Microvolts: make([]float64, seconds*hertz)}},
	}
}

// fill brings the decade into a store.
func (s *subject) fill(ctx context.Context, d *decade) (int, error) {
	importer, err := client.Dial(ctx, s.importer)
	if err != nil {
		return 0, err
	}
	defer importer.Close()
	if _, err := importer.Save(ctx, &pb.SaveRequest{Samples: singles(d)}); err != nil {
		return 0, fmt.Errorf("samples with UUIDs: %w", err)
	}
	return d.save(ctx, importer, d.points(), 0)
}

func codeOf(name string) uint32 {
	t, _ := catalog.Lookup(name)
	return t.Code
}
