package query

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	"healthledger/authz"
	"healthledger/projector/view"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// payloadOf asks until it is done, and returns all that came.
func payloadOf(t rapid.TB, s *store, scope authz.Scope, typeName, token string) []*pb.Chunk {
	t.Helper()
	q := &pb.QueryPayloadRequest{Type: typeName, PayloadToken: token}
	var chunks []*pb.Chunk
	for {
		answer, err := s.engine.Payload(context.Background(), scope, q)
		if err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, answer.GetChunks()...)
		if size := proto.Size(answer); len(answer.GetChunks()) > 1 && size > s.engine.pageBytes {
			t.Fatalf("a page of %d bytes, at most %d", size, s.engine.pageBytes)
		}
		if answer.GetDone() != (answer.GetNextPageToken() == "") || len(answer.GetChunks()) == 0 {
			t.Fatalf("done %v with %d chunks and token %q", answer.GetDone(), len(answer.GetChunks()), answer.GetNextPageToken())
		}
		if answer.GetDone() {
			return chunks
		}
		q.PageToken = answer.GetNextPageToken()
	}
}

func comparePayloads(r *rapid.T, full, bare *store, a, b *pb.QuerySamplesResponse, scope authz.Scope) {
	r.Helper()
	for i, s := range a.GetSamples() {
		if s.GetPayloadToken() == "" {
			continue
		}
		x := payloadOf(r, full, scope, s.GetType(), s.GetPayloadToken())
		y := payloadOf(r, bare, scope, s.GetType(), b.GetSamples()[i].GetPayloadToken())
		if diff := cmp.Diff(x, y, protocmp.Transform()); diff != "" {
			r.Fatal(diff)
		}
	}
}

// savePart applies a part of a payload.
func (s *store) savePart(t testing.TB, app uint64, upload []byte, number uint32, chunk *pb.Chunk) {
	t.Helper()
	s.sequence++
	s.applyEvent(t, &pb.Event{Body: &pb.Event_PartSaved{PartSaved: &pb.PartSaved{App: app, Upload: upload, Number: number, Chunk: chunk}}})
}

func recording(uuid string) *pb.Sample {
	return &pb.Sample{
		Type: "electrocardiogram", Uuid: uuid, Start: health.Timestamp(base), End: health.Timestamp(base + 30*second), Source: &pb.Source{Name: "watch"},
		Object: &pb.Sample_Electrocardiogram{Electrocardiogram: &pb.Electrocardiogram{
			Classification: "sinusRhythm", Symptoms: "none", Lead: "appleWatchSimilarToLeadI", SamplingFrequency: 512,
		}},
	}
}

// firstToken returns the payload token of the first electrocardiogram.
func firstToken(t testing.TB, s *store, scope authz.Scope) string {
	t.Helper()
	answer, err := s.engine.Samples(context.Background(), scope, &pb.QuerySamplesRequest{Types: []string{"electrocardiogram"}})
	if err != nil || len(answer.GetSamples()) == 0 {
		t.Fatal(answer, err)
	}
	return answer.GetSamples()[0].GetPayloadToken()
}

// However a payload is cut, and whichever way it came, it comes out whole and in order.
func TestPayloadComesBackWhole(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := newStore(t)
		s.engine.pageBytes = rapid.SampledFrom([]int{1, 700, 3000, pageBytes}).Draw(r, "page")
		var chunks []*pb.Chunk
		var want []float64
		for range rapid.IntRange(1, 6).Draw(r, "chunks") {
			c := &pb.Chunk{Microvolts: rapid.SliceOfN(rapid.Float64Range(-1e4, 1e4), 1, 200).Draw(r, "volts")}
			chunks, want = append(chunks, c), append(want, c.Microvolts...)
		}
		sample := recording("00000000-0000-4000-8000-000000000001")
		if rapid.Bool().Draw(r, "ahead") {
			sample.Upload = &pb.Upload{Id: make([]byte, 16), Parts: uint32(len(chunks))}
			for _, i := range rapid.Permutation(indices(len(chunks))).Draw(r, "order") {
				s.savePart(t, anna, sample.Upload.Id, uint32(i), chunks[i])
				s.savePart(t, anna, sample.Upload.Id, uint32(i), &pb.Chunk{Microvolts: []float64{13}}) // adds nothing
			}
		} else {
			sample.Payload = chunks
		}
		columns, err := health.Columns([]*pb.Sample{sample}, health.Policy{Importer: true})
		if err != nil {
			r.Fatal(err)
		}
		s.save(t, anna, 0, columns...)
		scope := grants(t, nil).OwnerScope()
		answer, err := s.engine.Samples(context.Background(), scope, &pb.QuerySamplesRequest{Types: []string{"electrocardiogram"}})
		if err != nil {
			r.Fatal(err)
		}
		got := answer.GetSamples()[0]
		if n := got.GetElectrocardiogram().GetCount(); n != uint64(len(want)) || len(got.Payload) > 0 || got.Upload != nil {
			r.Fatalf("%v, want %d voltages", got, len(want))
		}
		var volts []float64
		for _, c := range payloadOf(t, s, scope, "electrocardiogram", got.GetPayloadToken()) {
			volts = append(volts, c.GetMicrovolts()...)
		}
		if !slices.Equal(volts, want) {
			r.Fatalf("%v, want %v", volts, want)
		}
		s.close(t)
	})
}

func indices(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// What cannot be seen any more, what never could, and what is no token answer alike.
func TestPayloadTokensOpenWhatCanBeSeenOnly(t *testing.T) {
	ecg := code("electrocardiogram")
	grant := func(extent pb.ReadExtent, since int64) *authz.State {
		return grants(t, map[uint64][]*pb.ReadGrant{bert: {{Type: ecg, Extent: extent, Since: since}}})
	}
	all := grant(pb.ReadExtent_READ_EXTENT_ALL, 0)
	s := newStore(t)
	sync := func(version float64) []*pb.MetadataEntry {
		return []*pb.MetadataEntry{
			{Key: "HKSyncIdentifier", Value: &pb.MetadataEntry_Text{Text: "a"}}, {Key: "HKSyncVersion", Value: &pb.MetadataEntry_Number{Number: version}},
		}
	}
	sample := recording("00000000-0000-4000-8000-000000000001")
	sample.Payload, sample.Metadata = []*pb.Chunk{{Microvolts: []float64{1}}, {Microvolts: []float64{2}}}, sync(1)
	s.saveSamples(t, anna, 0, sample)
	token := firstToken(t, s, all.Scope(bert))
	s.engine.pageBytes = 1
	first, err := s.engine.Payload(context.Background(), all.Scope(bert), &pb.QueryPayloadRequest{Type: "electrocardiogram", PayloadToken: token})
	if err != nil || first.GetDone() {
		t.Fatal(first, err)
	}
	flipped := []byte(token)
	flipped[5] ^= 1
	ask := func(scope authz.Scope, token, page string) error {
		_, err := s.engine.Payload(context.Background(), scope, &pb.QueryPayloadRequest{Type: "electrocardiogram", PayloadToken: token, PageToken: page})
		return err
	}
	next := first.GetNextPageToken()
	bad := ask(all.Scope(bert), "nonsense", "")
	var argument *ArgumentError
	if !errors.As(bad, &argument) || argument.Field != "payload_token" {
		t.Fatal(bad)
	}
	check := func(name string, err error) {
		t.Helper()
		if err == nil || err.Error() != bad.Error() {
			t.Errorf("%s: %v, want %v", name, err, bad)
		}
	}
	check("none", ask(all.Scope(bert), "", ""))
	check("flipped", ask(all.Scope(bert), string(flipped), ""))
	check("another reader's", ask(all.Scope(carl), token, ""))
	check("the owner", ask(all.OwnerScope(), token, ""))
	check("revoked", ask(grant(pb.ReadExtent_READ_EXTENT_NONE, 0).Scope(bert), token, ""))
	check("revoked between pages", ask(grant(pb.ReadExtent_READ_EXTENT_NONE, 0).Scope(bert), token, next))
	check("since later", ask(grant(pb.ReadExtent_READ_EXTENT_SINCE, endOf(sample)+1).Scope(bert), token, next))
	if err := ask(grant(pb.ReadExtent_READ_EXTENT_SINCE, endOf(sample)).Scope(bert), token, next); err != nil {
		t.Error("since its end:", err)
	}
	if err := ask(all.Scope(bert), token, token); !errors.As(err, &argument) || argument.Field != "page_token" {
		t.Error("a payload token as a page token:", err)
	}
	_, err = s.engine.Payload(context.Background(), all.Scope(bert), &pb.QueryPayloadRequest{Type: "workout", PayloadToken: token})
	check("another type", err)
	later := proto.CloneOf(sample)
	later.Uuid, later.Metadata = "00000000-0000-4000-8000-000000000002", sync(2)
	s.saveSamples(t, anna, 0, later)
	check("replaced", ask(all.Scope(bert), token, ""))
	check("replaced between pages", ask(all.Scope(bert), token, next))
	other := firstToken(t, s, all.Scope(bert))
	if err := ask(all.Scope(bert), other, next); !errors.As(err, &argument) || argument.Field != "page_token" {
		t.Error("a page token of another sample:", err)
	}
	if len(other) != len(token) {
		t.Errorf("tokens of %d and %d letters", len(token), len(other))
	}
	clear(s.touched)
	_ = ask(grant(pb.ReadExtent_READ_EXTENT_NONE, 0).Scope(bert), token, "")
	if len(s.touched) > 0 {
		t.Errorf("a denied reader touched %v", s.touched)
	}
	s.close(t)
}

// Statistics of a series are those of its entries, each saved as a sample.
func TestStatisticsRunOnTheEntriesOfASeries(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		name := rapid.SampledFrom([]string{"stepCount", "heartRate", "environmentalAudioExposure"}).Draw(r, "type")
		unit := map[string]string{"stepCount": "count", "heartRate": "count/min", "environmentalAudioExposure": "dBASPL"}[name]
		whole, parts := newStore(t), newStore(t)
		start := drawTime(r, "start")
		series := &pb.Sample{
			Type: name, Uuid: id(), Start: health.Timestamp(start), End: health.Timestamp(start + day), Unit: unit, Value: proto.Float64(1e6),
			Source: &pb.Source{Name: "watch"}, Object: &pb.Sample_QuantitySeries{QuantitySeries: &pb.QuantitySeries{}},
		}
		var entries []*pb.Sample
		for range rapid.IntRange(1, 3).Draw(r, "chunks") {
			q := &pb.Quantities{}
			for range rapid.IntRange(1, 4).Draw(r, "entries") {
				at, lasts := rapid.Int64Range(0, 3).Draw(r, "at")*day/4, rapid.Int64Range(0, 1).Draw(r, "lasts")*day/4
				value := float64(rapid.IntRange(1, 9).Draw(r, "value"))
				q.Offset, q.Duration, q.Value = append(q.Offset, at), append(q.Duration, lasts), append(q.Value, value)
				entries = append(entries, &pb.Sample{
					Type: name, Uuid: id(), Start: health.Timestamp(start + at), End: health.Timestamp(start + at + lasts),
					Unit: unit, Value: &value, Source: series.Source,
				})
			}
			series.Payload = append(series.Payload, &pb.Chunk{Quantities: q})
		}
		whole.saveSamples(t, anna, 0, series)
		parts.saveSamples(t, anna, 0, entries...)
		q := drawStatistics(r)
		q.Type, q.Unit = name, ""
		scope := grants(t, nil).OwnerScope()
		a, errA := whole.engine.Statistics(context.Background(), scope, q)
		b, errB := parts.engine.Statistics(context.Background(), scope, q)
		if (errA == nil) != (errB == nil) || errA != nil && errA.Error() != errB.Error() {
			r.Fatal(errA, errB)
		}
		explained := proto.CloneOf(q)
		explained.Explain = !q.Explain
		c, errC := whole.engine.Statistics(context.Background(), scope, explained)
		if (errA == nil) != (errC == nil) {
			r.Fatal(errA, errC)
		}
		compareAnswers(r, unexplained(a), unexplained(c))
		for _, s := range append(a.GetStatistics(), b.GetStatistics()...) {
			s.MostRecent = nil // of entries that end together there is no most recent one
			for _, source := range s.BySource {
				source.Statistics.MostRecent = nil
			}
		}
		compareAnswers(r, a, b)
		answer, err := whole.engine.Samples(context.Background(), scope, &pb.QuerySamplesRequest{Types: []string{name}})
		if err != nil || len(answer.GetSamples()) != 1 || answer.Samples[0].GetValue() != 1e6 ||
			answer.Samples[0].GetQuantitySeries().GetCount() != uint64(len(entries)) {
			r.Fatal(answer, err)
		}
		whole.close(t)
		parts.close(t)
	})
}

// unexplained returns the answer as it is without explain.
func unexplained(answer *pb.QueryStatisticsResponse) *pb.QueryStatisticsResponse {
	answer = proto.CloneOf(answer)
	for _, s := range answer.GetStatistics() {
		s.Won = nil
	}
	return answer
}

func FuzzPayloadTokens(f *testing.F) {
	f.Add(appendSample(nil, &view.Locator{Source: 1}), "token")
	f.Add(binary.BigEndian.AppendUint32([]byte{pageVersion}, 7), strings.Repeat("A", 80))
	f.Fuzz(func(t *testing.T, plain []byte, token string) {
		if l, ok := readSample(1, plain); ok && string(appendSample(nil, &l)) != string(plain) {
			t.Errorf("token %x reads as %v", plain, l)
		}
		if _, ok := openToken(newSealed(), []byte("c"), token); ok {
			t.Errorf("token %q opens", token)
		}
	})
}
