package projector

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// viewIn returns the folder of the only view of a store.
func viewIn(t testing.TB, store string) string {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(store, viewPrefix+"*"))
	if err != nil || len(folders) != 1 {
		t.Fatal("views:", folders, err)
	}
	return folders[0]
}

func viewFiles(t testing.TB, store string) []string {
	t.Helper()
	folder := viewIn(t, store)
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, filepath.Join(folder, e.Name()))
		}
	}
	return names
}

// Whatever happens to the view's files, one unlock or the next gives the same view
// again, and never another.
func TestDamagedViewIsRebuilt(t *testing.T) {
	h := history(t)
	payloads := h.payloads(t)
	config := h.config(t, h.server, h.folder(t))
	s := open(t, config, payloads)
	waitReady(t, s, payloads)
	want := mustDump(t, s)
	if err := s.shutdown(); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(5, 6))
	intact := t.TempDir()
	if err := os.CopyFS(filepath.Join(intact, "store"), os.DirFS(config.GetDirectory())); err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T, damage func(folder string)) {
		config := h.config(t, h.server, filepath.Join(t.TempDir(), "store"))
		if err := os.CopyFS(config.GetDirectory(), os.DirFS(filepath.Join(intact, "store"))); err != nil {
			t.Fatal(err)
		}
		damage(config.GetDirectory())
		for try := 0; ; try++ {
			s := open(t, config, payloads)
			err := catchUp(s, uint64(len(payloads)))
			var got seen
			if err == nil {
				got, err = dump(s, 0)
			}
			if err := s.shutdown(); err != nil {
				t.Fatal(err)
			}
			if err == nil && got != want {
				t.Fatal("another view")
			}
			if err == nil {
				break
			}
			if try > 0 {
				t.Fatal("it stays damaged:", err)
			}
		}
	}
	for _, file := range viewFiles(t, config.GetDirectory()) {
		name := filepath.Base(file)
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 0 {
			t.Run("flip "+name, func(t *testing.T) {
				check(t, func(folder string) {
					path := filepath.Join(viewIn(t, folder), name)
					b, err := os.ReadFile(path)
					if err != nil {
						t.Fatal(err)
					}
					b[random.IntN(len(b))] ^= 1 << random.IntN(8)
					if err := os.WriteFile(path, b, 0o600); err != nil {
						t.Fatal(err)
					}
				})
			})
			t.Run("cut "+name, func(t *testing.T) {
				check(t, func(folder string) {
					if err := os.Truncate(filepath.Join(viewIn(t, folder), name), random.Int64N(info.Size())); err != nil {
						t.Fatal(err)
					}
				})
			})
		}
		t.Run("delete "+name, func(t *testing.T) {
			check(t, func(folder string) {
				if err := os.Remove(filepath.Join(viewIn(t, folder), name)); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
	viewKey := func(folder string) []byte {
		directory, err := log.OpenKeyDirectory(folder)
		if err != nil {
			t.Fatal(err)
		}
		key, _ := directory.ViewKey()
		return key
	}
	old := viewKey(config.GetDirectory())
	t.Run("view key lost", func(t *testing.T) {
		check(t, func(folder string) {
			if err := os.Remove(filepath.Join(folder, "view.key")); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("view key altered", func(t *testing.T) {
		check(t, func(folder string) {
			altered := bytes.Clone(old)
			altered[len(altered)/2] ^= 1
			if err := os.WriteFile(filepath.Join(folder, "view.key"), altered, 0o600); err != nil {
				t.Fatal(err)
			}
		})
	})
	// Whoever has no private key can make a view and a key for it, but not the box of the key.
	t.Run("forged", func(t *testing.T) {
		check(t, func(folder string) {
			own := seal.NewSecret(32)
			defer own.Destroy()
			forged, err := seal.Box(own, viewKeyLabel+config.GetStore(), make([]byte, 32))
			if err != nil {
				t.Fatal(err)
			}
			o := &openStore{config: &pb.ProjectorConfig{Directory: folder}}
			if err := os.Rename(viewIn(t, folder), o.viewFolder(forged)); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(folder, "view.key"), forged, 0o600); err != nil {
				t.Fatal(err)
			}
		})
	})
	// A key is for one view: files of the one before must not pass.
	t.Run("files deleted", func(t *testing.T) {
		var store string
		check(t, func(folder string) {
			store = folder
			if err := os.RemoveAll(viewIn(t, folder)); err != nil {
				t.Fatal(err)
			}
		})
		if bytes.Equal(viewKey(store), old) {
			t.Fatal("a new view under the old key")
		}
	})
}

func TestPageTokensSurviveARebuild(t *testing.T) {
	h := newHouse(t)
	for n := range 3 {
		h.save(t, n*2000, 2000)
	}
	payloads := h.payloads(t)
	config := h.config(t, h.server, h.store.Path())
	read := func(s *service, app uint64, token string) (*pb.QuerySamplesResponse, error) {
		resp, err := s.Read(t.Context(), &pb.ReadRequest{
			Reader: &pb.Reader{App: app}, Query: &pb.ReadRequest_Samples{Samples: &pb.QuerySamplesRequest{Types: []string{"stepCount"}, PageToken: token}},
		})
		return answer[pb.QuerySamplesResponse](resp), err
	}
	s := open(t, config, payloads)
	waitReady(t, s, payloads)
	first, err := read(s, 0, "")
	if err != nil || first.GetNextPageToken() == "" {
		t.Fatal("one page only", err)
	}
	second, err := read(s, 0, first.GetNextPageToken())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.shutdown(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(viewIn(t, config.GetDirectory())); err != nil {
		t.Fatal(err)
	}
	s = open(t, config, payloads)
	waitReady(t, s, payloads)
	again, err := read(s, 0, first.GetNextPageToken())
	if err != nil {
		t.Fatal(err)
	}
	if len(again.GetSamples()) == 0 || len(again.GetSamples()) != len(second.GetSamples()) ||
		again.GetSamples()[0].GetUuid() != second.GetSamples()[0].GetUuid() {
		t.Fatal("another page")
	}
	for _, c := range []struct {
		app   uint64
		token string
	}{{h.app.Number, first.GetNextPageToken()}, {0, strings.ToUpper(first.GetNextPageToken())}, {0, "x"}} {
		if _, err := read(s, c.app, c.token); rpc.Detail(err).GetField() != "page_token" {
			t.Fatal("a token of another:", err)
		}
	}
}

func TestOnlyThePassphraseOpens(t *testing.T) {
	h := history(t)
	payloads := h.payloads(t)
	target, root := rootOf(payloads)
	s := begin(t, h.config(t, h.server, h.store.Path()))
	closed := func() {
		t.Helper()
		if _, err := dump(s, 0); rpc.Reason(err) != rpc.ReasonStoreLocked {
			t.Fatal(err)
		}
	}
	closed()
	if err := unlock(s, []byte("wrong"), target, root[:]); rpc.Reason(err) != rpc.ReasonWrongPassphrase {
		t.Fatal(err)
	}
	closed()
	offer, err := s.Offer(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := seal.SealPassphrase(offer.GetPublicKey(), passphrase)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 { // an offer is for one passphrase
		_, err := s.Open(t.Context(), &pb.OpenRequest{SealedPassphrase: sealed, Target: target, Root: root[:]})
		if i == 0 && err != nil || i == 1 && rpc.Reason(err) != rpc.ReasonFailedPrecondition {
			t.Fatal(i, err)
		}
	}
	waitReady(t, s, payloads)
	// On an open store it is only checked.
	if err := unlock(s, []byte("wrong"), target, root[:]); rpc.Reason(err) != rpc.ReasonWrongPassphrase {
		t.Fatal(err)
	}
	if _, err := dump(s, 0); err != nil {
		t.Fatal("a wrong passphrase closed the store:", err)
	}
	if _, err := s.Close(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	closed()
}

// Several owners may be unlocking at once, each with a key of their own.
func TestOffersDoNotDisplaceEachOther(t *testing.T) {
	h := history(t)
	target, root := rootOf(h.payloads(t))
	s := begin(t, h.config(t, h.server, h.store.Path()))
	var sealed [][]byte
	for range maxOffers + 1 {
		offer, err := s.Offer(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		one, err := seal.SealPassphrase(offer.GetPublicKey(), passphrase)
		if err != nil {
			t.Fatal(err)
		}
		sealed = append(sealed, one)
	}
	for i, one := range sealed {
		_, err := s.Open(t.Context(), &pb.OpenRequest{SealedPassphrase: one, Target: target, Root: root[:]})
		if i == 0 && rpc.Reason(err) != rpc.ReasonFailedPrecondition {
			t.Errorf("more than %d offers are kept: %v", maxOffers, err)
		} else if i > 0 && err != nil {
			t.Errorf("offer %d: %v", i, err)
		}
	}
	if _, err := s.Close(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

func TestAppSeesNothingOfOthersWithoutAGrant(t *testing.T) {
	h := history(t)
	payloads := h.payloads(t)
	s := open(t, h.config(t, h.server, h.store.Path()), payloads)
	waitReady(t, s, payloads)
	for _, app := range []uint64{1, 77, 1 << 40} {
		if out, err := dump(s, app); err != nil || out.samples != "" {
			t.Fatal("an app without a grant sees samples", err)
		}
	}
	if out, err := dump(s, h.app.Number); err != nil || out.samples == "" {
		t.Fatal("an app does not see its own", err)
	}
}

// Damage to samples does not show before somebody reads them.
func TestDamageThatAReadFindsIsGoneAfterTheNextUnlock(t *testing.T) {
	h := newHouse(t)
	for n := range 3 {
		h.save(t, n*2000, 2000)
	}
	payloads := h.payloads(t)
	config := h.config(t, h.server, h.store.Path())
	s := open(t, config, payloads)
	waitReady(t, s, payloads)
	want := mustDump(t, s)
	if err := s.shutdown(); err != nil {
		t.Fatal(err)
	}
	largest, size := "", int64(0)
	for _, file := range viewFiles(t, config.GetDirectory()) {
		if info, err := os.Stat(file); err == nil && info.Size() > size && strings.HasSuffix(file, ".sst") {
			largest, size = file, info.Size()
		}
	}
	b, err := os.ReadFile(largest)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(largest, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, config, payloads)
	waitReady(t, s, payloads)
	if _, err := dump(s, 0); rpc.Reason(err) != rpc.ReasonInternal {
		t.Fatal("a damaged block was read:", err)
	}
	if err := s.shutdown(); err != nil {
		t.Fatal(err)
	}
	s = open(t, config, payloads)
	waitReady(t, s, payloads)
	if got := mustDump(t, s); got != want {
		t.Fatal("another view")
	}
}
