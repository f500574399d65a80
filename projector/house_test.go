package projector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/authz"
	"healthledger/ledger"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/serve/natsserver"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var passphrase = []byte("correct horse")

// server is a real NATS server with what a daemon has of it.
type server struct {
	*natsserver.Server
	admin jetstream.JetStream
	conn  *nats.Conn
}

func startServer(t testing.TB) *server {
	t.Helper()
	s := &server{}
	var err error
	if s.Server, err = natsserver.Start(natsserver.Options{StoreDir: filepath.Join(t.TempDir(), "jetstream")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	admin, err := s.Connect(natsserver.Administrator)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	if s.admin, err = jetstream.New(admin); err != nil {
		t.Fatal(err)
	}
	publish, subscribe := log.AppenderPermissions("_INBOX.appender")
	user, password, _, err := s.Grant(natsserver.Appender, publish, subscribe)
	if err != nil {
		t.Fatal(err)
	}
	if s.conn, err = s.ConnectGranted(user, password, nats.CustomInboxPrefix("_INBOX.appender")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.conn.Close)
	return s
}

// house is a store whose log a real ledger.Store writes.
type house struct {
	*server
	ledger  *ledger.Ledger
	store   *ledger.Store
	genesis *ledger.Genesis
	app     *authz.App
}

func newHouse(t testing.TB) *house {
	t.Helper()
	s := startServer(t)
	l, err := ledger.Open(t.Context(), ledger.Config{
		Dir: t.TempDir(), Admin: s.admin, Appender: s.conn, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return storeIn(t, s, l)
}

// neighbour is another store of the same daemon.
func (h *house) neighbour(t testing.TB) *house {
	t.Helper()
	return storeIn(t, h.server, h.ledger)
}

func storeIn(t testing.TB, s *server, l *ledger.Ledger) *house {
	t.Helper()
	h := &house{server: s, ledger: l}
	var err error
	if h.genesis, err = ledger.NewGenesis(passphrase, seal.MinCost, l.Device()); err != nil {
		t.Fatal(err)
	}
	if h.store, err = l.Create(t.Context(), h.genesis.Request); err != nil {
		t.Fatal(err)
	}
	_, h.app, _ = l.AppByKey(h.genesis.Key)
	return h
}

// save saves samples whose number and values differ from those of other calls.
func (h *house) save(t testing.TB, from, n int) {
	t.Helper()
	req := &pb.SaveRequest{RequestId: make([]byte, 16)}
	copy(req.GetRequestId(), []byte{byte(from), byte(from >> 8), byte(from >> 16)})
	for i := range n {
		start := time.Date(2024, 5, 1, 0, from+i, 0, 0, time.UTC)
		req.Samples = append(req.Samples, &pb.Sample{
			Type: "stepCount", Unit: "count", Value: proto.Float64(float64(from + i)),
			Start: timestamppb.New(start), End: timestamppb.New(start.Add(time.Minute)),
			Source: &pb.Source{Name: "Watch", Device: &pb.Device{Name: "W", Model: "Watch7,1", Manufacturer: "Example"}},
		})
	}
	if _, err := h.store.Save(t.Context(), h.app, req); err != nil {
		t.Fatal(err)
	}
}

// saveObjects saves a blood pressure, of which two versions come, a workout with a member
// and two recordings whose payload went ahead, one of them not all of it.
func (h *house) saveObjects(t testing.TB, n int) {
	t.Helper()
	h.saveRecordings(t, n, 300)
}

// saveRecordings is saveObjects with so many voltages in each of three parts of a recording.
func (h *house) saveRecordings(t testing.TB, n, volts int) {
	t.Helper()
	at := timestamppb.New(time.Date(2024, 5, 1+n, 0, 0, 0, 0, time.UTC))
	number := func(name, unit string, value float64) *pb.Sample {
		return &pb.Sample{Type: name, Unit: unit, Value: &value, Start: at}
	}
	pressure := &pb.Sample{
		Type: "bloodPressure", Start: at, Members: []*pb.Sample{number("bloodPressureSystolic", "mmHg", 120), number("bloodPressureDiastolic", "mmHg", 80)},
		Metadata: []*pb.MetadataEntry{
			{Key: "HKSyncIdentifier", Value: &pb.MetadataEntry_Text{Text: fmt.Sprint(n / 2)}},
			{Key: "HKSyncVersion", Value: &pb.MetadataEntry_Number{Number: float64(n)}},
		},
	}
	workout := &pb.Sample{
		Type: "workout", Start: at, Members: []*pb.Sample{number("stepCount", "count", 7)},
		Object: &pb.Sample_Workout{Workout: &pb.Workout{Activity: "running"}},
	}
	req := &pb.SaveRequest{RequestId: make([]byte, 16), Samples: []*pb.Sample{pressure, workout}}
	req.RequestId[0], req.RequestId[15] = byte(n), 1
	for _, missing := range []uint32{0, 1} {
		ecg := &pb.Sample{Type: "electrocardiogram", Start: at, Upload: &pb.Upload{Id: make([]byte, 16), Parts: 3 + missing}}
		ecg.Upload.Id[0], ecg.Upload.Id[1] = byte(n), byte(missing)
		ecg.Object = &pb.Sample_Electrocardiogram{Electrocardiogram: &pb.Electrocardiogram{
			Classification: "sinusRhythm", Symptoms: "none", Lead: "appleWatchSimilarToLeadI", SamplingFrequency: 512,
		}}
		for number := range uint32(3) {
			chunk := &pb.Chunk{Microvolts: make([]float64, volts)}
			chunk.Microvolts[0] = float64(number)
			part := &pb.SavePartRequest{Type: ecg.Type, Upload: ecg.Upload.Id, Number: number, Chunk: chunk}
			if _, err := h.store.SavePart(t.Context(), h.app, part); err != nil {
				t.Fatal(err)
			}
		}
		req.Samples = append(req.Samples, ecg)
	}
	if _, err := h.store.Save(t.Context(), h.app, req); err != nil {
		t.Fatal(err)
	}
}

// payloads is the log up to now.
func (h *house) payloads(t testing.TB) [][]byte {
	t.Helper()
	last, _, _ := h.store.Head()
	var all [][]byte
	err := h.store.Reader().Read(t.Context(), 1, last, func(e log.Entry) error {
		all = append(all, e.Payload)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func rootOf(payloads [][]byte) (uint64, tree.Hash) {
	var t tree.Tree
	for _, p := range payloads {
		t.Append(tree.Leaf(p))
	}
	return t.Size(), t.Root()
}

// replica is another server with a log of the test's making for the same store. A
// missing payload is a segment that was lost.
func (h *house) replica(t testing.TB, payloads [][]byte) *server {
	t.Helper()
	s := startServer(t)
	stream, err := s.admin.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: log.StreamName(h.store.ID()), Subjects: []string{log.Subject(h.store.ID())}, AllowDirect: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	publisher := log.NewPublisher(s.conn, h.store.ID())
	for i, p := range payloads {
		if p == nil {
			p = []byte("lost")
		}
		if err := publisher.Publish(t.Context(), uint64(i)+1, p); err != nil {
			t.Fatal(err)
		}
	}
	for i, p := range payloads {
		if p == nil {
			if err := stream.DeleteMsg(t.Context(), uint64(i)+1); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}

// folder is a copy of the key directory, without a view.
func (h *house) folder(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(dir, os.DirFS(h.store.Path())); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (h *house) config(t testing.TB, s *server, folder string) *pb.ProjectorConfig {
	t.Helper()
	publish, subscribe := log.GuestPermissions(h.store.ID(), "_INBOX.reader")
	user, password, revoke, err := s.Grant(natsserver.Reader, publish, subscribe)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(revoke)
	return &pb.ProjectorConfig{
		Store: h.store.ID().String(), Directory: folder, NatsUrl: s.URL(), NatsUser: user, NatsPassword: password, NatsInbox: "_INBOX.reader",
		OwnerKey: h.store.Keyring().OwnerKey(), StoreKey: h.store.Keyring().StoreKey(), FirstOwnerKey: h.store.Keyring().FirstOwnerKey(),
	}
}

// begin makes a service that has not opened the store.
func begin(t testing.TB, config *pb.ProjectorConfig) *service {
	t.Helper()
	s, err := newService(config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.shutdown() })
	return s
}

func unlock(s *service, passphrase []byte, target uint64, root []byte) error {
	offer, err := s.Offer(context.Background(), nil)
	if err != nil {
		return err
	}
	sealed, err := seal.SealPassphrase(offer.GetPublicKey(), passphrase)
	if err != nil {
		return err
	}
	_, err = s.Open(context.Background(), &pb.OpenRequest{SealedPassphrase: sealed, Target: target, Root: root})
	return err
}

// open unlocks the store as a daemon would that knows this much of the log.
func open(t testing.TB, config *pb.ProjectorConfig, payloads [][]byte) *service {
	t.Helper()
	s := begin(t, config)
	target, root := rootOf(payloads)
	if err := unlock(s, passphrase, target, root[:]); err != nil {
		t.Fatal(err)
	}
	return s
}

var errNotReady = errors.New("not ready")

// catchUp waits until apps may read.
func catchUp(s *service, target uint64) error {
	for range 400 {
		a, err := s.Advance(context.Background(), &pb.AdvanceRequest{Sequence: target, Wait: true})
		if err != nil {
			return err
		}
		if a.GetFault() != "" {
			return errors.New(a.GetFault())
		}
		if a.GetReady() {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return errNotReady
}

func waitReady(t testing.TB, s *service, payloads [][]byte) {
	t.Helper()
	if err := catchUp(s, uint64(len(payloads))); err != nil {
		t.Fatal(err)
	}
}

// seen is everything that a reader sees: the samples of all pages with their payloads, the
// apps, and how much the view says it holds.
type seen struct{ samples, apps, counts string }

func dump(s *service, app uint64) (seen, error) {
	var samples strings.Builder
	for _, name := range []string{"stepCount", "bloodPressure", "bloodPressureSystolic", "workout", "electrocardiogram"} {
		query := &pb.QuerySamplesRequest{Types: []string{name}}
		for {
			resp, err := s.Read(context.Background(), &pb.ReadRequest{Reader: &pb.Reader{App: app}, Query: &pb.ReadRequest_Samples{Samples: query}})
			if err != nil {
				return seen{}, err
			}
			for _, sample := range answer[pb.QuerySamplesResponse](resp).GetSamples() {
				if sample.Payload, err = payloadOf(s, app, sample); err != nil {
					return seen{}, err
				}
				sample.PayloadToken = ""
				b, err := proto.MarshalOptions{Deterministic: true}.Marshal(sample)
				if err != nil {
					return seen{}, err
				}
				samples.Write(b)
			}
			if query.PageToken = answer[pb.QuerySamplesResponse](resp).GetNextPageToken(); query.PageToken == "" {
				break
			}
		}
	}
	apps, err := s.ReadApps(context.Background(), &pb.ReadAppsRequest{})
	if err != nil {
		return seen{}, err
	}
	a, err := s.Advance(context.Background(), &pb.AdvanceRequest{})
	if err != nil {
		return seen{}, err
	}
	return seen{samples.String(), protojson.MarshalOptions{}.Format(apps), fmt.Sprint(a.GetApplied(), a.GetSamples(), a.GetDuplicates(), a.GetIncomplete())}, nil
}

// payloadOf reads the payload of a sample, nil if it has none.
func payloadOf(s *service, app uint64, sample *pb.Sample) ([]*pb.Chunk, error) {
	var chunks []*pb.Chunk
	query := &pb.QueryPayloadRequest{Type: sample.GetType(), PayloadToken: sample.GetPayloadToken()}
	for done := query.PayloadToken == ""; !done; {
		resp, err := s.Read(context.Background(), &pb.ReadRequest{Reader: &pb.Reader{App: app}, Query: &pb.ReadRequest_Payload{Payload: query}})
		if err != nil {
			return nil, err
		}
		chunks = append(chunks, answer[pb.QueryPayloadResponse](resp).GetChunks()...)
		done, query.PageToken = answer[pb.QueryPayloadResponse](resp).GetDone(), answer[pb.QueryPayloadResponse](resp).GetNextPageToken()
	}
	return chunks, nil
}

func mustDump(t testing.TB, s *service) seen {
	t.Helper()
	out, err := dump(s, 0)
	if err != nil {
		t.Fatal(err)
	}
	if out.samples == "" {
		t.Fatal("nothing is seen")
	}
	return out
}

// answer reads what the daemon would pass on.
func answer[R any, M interface {
	*R
	proto.Message
}](resp *pb.ReadResponse) M {
	m := M(new(R))
	if err := proto.Unmarshal(resp.GetAnswer(), m); err != nil {
		panic(err)
	}
	return m
}
