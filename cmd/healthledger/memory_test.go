package main

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
	"google.golang.org/protobuf/proto"

	"healthledger/ledger/seal"
	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
)

// These tests look for a store's secrets in the memory of the daemon and of the
// projector. The secrets are worked out here from the files and the passphrase, after
// ledger/seal/FORMAT.md and not with the package, which might forget the same things
// in the same way twice.

// secrets are looked for by name. A test keeps them in its own memory only.
type secrets map[string][]byte

// text adds a secret in the forms in which text may stand in memory.
func (s secrets) text(name, value string) {
	s[name] = []byte(value)
	s[name+" in base64"] = []byte(base64.StdEncoding.EncodeToString([]byte(value)))
	s[name+" in hex"] = []byte(hex.EncodeToString([]byte(value)))
}

// keyholder works out the keys of a store.
type keyholder struct {
	t       *testing.T
	store   []byte
	folder  string
	private hpke.PrivateKey
	public  []byte
	owner   secrets
}

func (s *store) id() string {
	s.t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.dir, "stores"))
	if err != nil || len(entries) != 1 {
		s.t.Fatalf("stores: %v, %v", entries, err)
	}
	return entries[0].Name()
}

// keyholder opens the keyring with the passphrase.
func (s *store) keyholder() *keyholder {
	s.t.Helper()
	k := &keyholder{t: s.t, folder: filepath.Join(s.dir, "stores", s.id()), owner: secrets{}}
	content, err := os.ReadFile(filepath.Join(k.folder, "keyring"))
	k.must(err)
	ring := &pb.Keyring{}
	k.must(proto.Unmarshal(content, ring))
	k.store, k.public = ring.GetStore(), ring.GetStoreKey()

	a := ring.GetArgon2()
	binding := sha256.New()
	for _, field := range [][]byte{ring.GetStore(), ring.GetStoreKey(), ring.GetOwnerKey(), ring.GetRecoveryKey(), a.GetSalt()} {
		binding.Write(field)
	}
	for _, number := range []uint32{a.GetTime(), a.GetMemoryKib(), a.GetThreads()} {
		k.must(binary.Write(binding, binary.BigEndian, number))
	}
	key := argon2.IDKey([]byte(passphrase), a.GetSalt(), a.GetTime(), a.GetMemoryKib(), uint8(a.GetThreads()), 32)
	private := k.unbox(key, "healthledger/v1 passphrase box\x00"+string(binding.Sum(nil)), ring.GetPassphraseBox())
	sealing, signing := private[:32], private[32:]
	k.private, err = hpke.MLKEM768X25519().NewPrivateKey(sealing)
	k.must(err)

	k.owner.text("passphrase", passphrase)
	k.owner["Argon2's output"] = key
	k.owner["store's private key"] = sealing
	// What MLKEM768X25519 expands its seed to: d, z and the X25519 key.
	expanded := sha3.SumSHAKE256(sealing, 96)
	k.owner["store's ML-KEM seed d"], k.owner["store's ML-KEM seed z"] = expanded[:32], expanded[32:64]
	k.owner["store's X25519 key"] = expanded[64:]
	k.owner["owner's signing key"] = signing
	prefix := sha512.Sum512(signing)
	k.owner["owner's signing prefix"] = prefix[32:]
	words, err := os.ReadFile(filepath.Join(s.work, "words"))
	k.must(err)
	k.owner["recovery words"] = bytes.TrimSpace(words)
	k.owner["key of the view key"] = k.derived("view key")
	k.owner["key of page tokens"] = k.derived("page token")
	return k
}

// derived is Derive of the owner's keys.
func (k *keyholder) derived(label string) []byte {
	key, err := hkdf.Key(sha256.New, k.owner["store's private key"], k.store, "healthledger/v1 derived of owner\x00"+label, 32)
	k.must(err)
	return key
}

func (k *keyholder) viewKey() []byte {
	boxed, err := os.ReadFile(filepath.Join(k.folder, "view.key"))
	k.must(err)
	return k.unbox(k.derived("view key"), "view key of "+filepath.Base(k.folder), boxed)
}

func (k *keyholder) unbox(key []byte, label string, box []byte) []byte {
	k.t.Helper()
	own, err := hkdf.Key(sha256.New, key, box[:16], "healthledger/v1 box\x00"+label, 32)
	k.must(err)
	block, err := aes.NewCipher(own)
	k.must(err)
	gcm, err := cipher.NewGCM(block)
	k.must(err)
	plaintext, err := gcm.Open(nil, make([]byte, 12), box[16:], []byte(label))
	k.must(err)
	return plaintext
}

func (k *keyholder) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

// epochs adds the root of every epoch and every chain and segment key that was used
// up to the log's end. next are the chain keys that come after them in the newest epoch
// of each class: the ones that the writer of the log must still have.
func (k *keyholder) epochs(log string) (used, next secrets) {
	k.t.Helper()
	last := map[string]int{}
	for line := range strings.Lines(log) {
		var segment struct {
			Class string
			Epoch string
			Index int
		}
		k.must(json.Unmarshal([]byte(line), &segment))
		number, _ := strconv.ParseUint(segment.Epoch, 10, 64)
		name := fmt.Sprintf("%s-%016x", segment.Class, number)
		last[name] = max(last[name], segment.Index+1)
	}
	used, next = secrets{}, secrets{}
	newest := map[uint32]uint64{}
	paths, err := filepath.Glob(filepath.Join(k.folder, "epochs", "*"))
	k.must(err)
	for _, path := range paths {
		name := filepath.Base(path)
		wrap := &pb.EpochWrap{}
		content, err := os.ReadFile(path)
		k.must(err)
		k.must(proto.Unmarshal(content, wrap))
		place := binary.BigEndian.AppendUint64(append(slices.Clone(k.store), byte(wrap.GetClass())), wrap.GetEpoch())
		root := k.unwrap(wrap, place)
		used[name+": root"] = root
		chain := k.expand(root, "healthledger/v1 chain\x00"+string(place))
		for i := range last[name] {
			used[fmt.Sprintf("%s: chain %d", name, i)] = chain
			used[fmt.Sprintf("%s: segment key %d", name, i)] = k.expand(chain, "healthledger/v1 segment key\x00")
			chain = k.expand(chain, "healthledger/v1 step\x00")
		}
		if wrap.GetEpoch() > newest[wrap.GetClass()] {
			newest[wrap.GetClass()] = wrap.GetEpoch()
			next[fmt.Sprintf("next chain key of class %d", wrap.GetClass())] = chain
		}
	}
	return used, next
}

func (k *keyholder) unwrap(wrap *pb.EpochWrap, place []byte) []byte {
	k.t.Helper()
	recipient := sha256.Sum256(k.public)
	for _, key := range wrap.GetKeys() {
		if bytes.Equal(key.GetRecipient(), recipient[:]) {
			info := "healthledger/v1 epoch\x00" + string(place) + string(recipient[:])
			root, err := hpke.Open(k.private, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(info), key.GetSealed())
			k.must(err)
			return root
		}
	}
	k.t.Fatal("an epoch is not wrapped to the store")
	return nil
}

func (k *keyholder) expand(key []byte, info string) []byte {
	out, err := hkdf.Expand(sha256.New, key, info, 32)
	k.must(err)
	return out
}

// found says which secrets stand in the memory of a process, and where.
func found(t *testing.T, pid int, wanted secrets) map[string][]string {
	t.Helper()
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Skip("this system does not show the memory of a process that forbids it; root may see it: ", err)
	}
	defer memory.Close()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	s := newSearch(wanted)
	for line := range strings.Lines(string(maps)) {
		var from, to uint64
		fields := strings.Fields(line)
		if _, err := fmt.Sscanf(fields[0], "%x-%x", &from, &to); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(fields[1], "rw") && !strings.Contains(line, "[vvar") {
			s.in(memory, int64(from), int64(to), strings.Join(fields, " "))
		}
	}
	if s.total < 1<<20 {
		t.Fatalf("only %d bytes of process %d could be read", s.total, pid)
	}
	return s.where
}

func wantNothing(t *testing.T, when string, pid int, unwanted secrets) {
	t.Helper()
	where := found(t, pid, unwanted)
	for _, name := range slices.Sorted(maps.Keys(where)) {
		t.Errorf("%s: the daemon has the %s at %s", when, name, strings.Join(where[name], "; "))
	}
}

func wantAll(t *testing.T, who string, pid int, wanted secrets) {
	t.Helper()
	where := found(t, pid, wanted)
	for name := range wanted {
		if len(where[name]) == 0 {
			t.Errorf("%s: the search does not find the %s, so it would not find what it must not", who, name)
		}
	}
}

// runAsDelivered has daemons run without the race detector, beside which runtime/secret erases
// nothing.
func runAsDelivered(t *testing.T) {
	t.Helper()
	if !seal.Erasing {
		t.Skip("built without GOEXPERIMENT=runtimesecret, nothing is promised about what stays in memory")
	}
	racing := watched
	watched = built
	t.Cleanup(func() { watched = racing })
}

// projector returns the one projector of the store's daemon.
func (s *store) projector() int {
	s.t.Helper()
	running := projectorsOf(s.dir)
	if len(running) != 1 {
		s.t.Fatalf("projectors: %v, want one", running)
	}
	pid, err := strconv.Atoi(running[0])
	if err != nil {
		s.t.Fatal(err)
	}
	return pid
}

func (s *store) log() string {
	s.t.Helper()
	return s.run("--json", "log", "list")
}

// saveMany saves samples one by one, from several goroutines.
func (s *store) saveMany(app string, count int) {
	s.t.Helper()
	c := s.dial(app)
	defer c.Close()
	var saving sync.WaitGroup
	for worker := range 4 {
		saving.Go(func() {
			for i := worker; i < count; i += 4 {
				start := time.Date(2024, 5, 1, 0, i, 0, 0, time.UTC)
				if _, err := c.Save(s.t.Context(), &pb.SaveRequest{Samples: []*pb.Sample{steps(start, float64(i+1))}}); err != nil {
					s.t.Error(err)
				}
			}
		})
	}
	saving.Wait()
}

func (s *store) dial(app string) *client.Client {
	s.t.Helper()
	c, err := client.Dial(s.t.Context(), s.credentials(s.id(), app))
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// everyday is what a day brings: an import, apps that come and go, saves and reads.
func (s *store) everyday(export string, during func()) {
	s.t.Helper()
	wrong := filepath.Join(s.work, "wrong")
	if err := os.WriteFile(wrong, []byte(wrongPassphrase+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.run("import", export)
	if _, _, code := s.exec("--passphrase-file", wrong, "unlock"); code != exitFailed {
		s.t.Errorf("a wrong passphrase ends with %d", code)
	}
	s.run("unlock")
	if !strings.Contains(s.run("app", "list"), "com.example.watch") {
		s.addApp("com.example.watch")
	}
	s.run("grant", "com.example.watch", "--share", "stepCount", "--read", "stepCount,heartRate")
	s.saveMany("com.example.watch", 60)
	s.run("query", "samples", "stepCount", "--app", "com.example.watch", "--limit", "500")
	s.run("query", "statistics", "heartRate", "--app", "com.example.watch", "--every", "day")
	s.run("query", "samples", "heartRate", "--owner", "--limit", "500")
	s.run("revoke", "com.example.watch", "--read", "heartRate")
	during()
	s.run("lock", "--now")
}

// Neither of the passphrases nor the words stay in the memory of the daemon or, after their
// use, of the projector.
func TestChangingThePassphraseLeavesNoneInMemory(t *testing.T) {
	runAsDelivered(t)
	s := newStore(t)
	daemon := s.serve()
	keys := s.keyholder()
	s.run("unlock")
	const next = "the next passphrase of this store"
	file := s.secret("next", next)
	s.run("passphrase", "--new-passphrase-file", file)
	s.run("recover", "--words-file", filepath.Join(s.work, "words"), "--new-passphrase-file", file)
	unwanted := secrets{"recovery words": keys.owner["recovery words"]}
	unwanted.text("passphrase", passphrase)
	unwanted.text("next passphrase", next)
	wantNothing(t, "as projector", s.projector(), unwanted)
	for _, name := range []string{"store's private key", "owner's signing key"} {
		unwanted[name] = keys.owner[name]
	}
	wantNothing(t, "changed", daemon.Process.Pid, unwanted)
	wantAll(t, "projector", s.projector(), secrets{"store's private key": keys.owner["store's private key"]})
}

const wrongPassphrase = "not the passphrase of this store"

func TestLockedDaemonMemoryHoldsNoSecret(t *testing.T) {
	runAsDelivered(t)
	s := newStore(t)
	daemon := s.serve()
	pid := daemon.Process.Pid
	export, _ := made(t, 5_000)
	keys := s.keyholder()
	keys.owner.text("wrong passphrase", wrongPassphrase)
	device, err := os.ReadFile(filepath.Join(s.dir, "device.key"))
	if err != nil {
		t.Fatal(err)
	}
	wantAll(t, "daemon", pid, secrets{"device's signing key": device[5:37], "device's sealing key": device[37:69]})

	for round := range 2 {
		when := fmt.Sprintf("round %d", round+1)
		s.everyday(export, func() {
			inside := secrets{"view key": keys.viewKey()}
			for _, name := range []string{"store's private key", "owner's signing key", "key of page tokens"} {
				inside[name] = keys.owner[name]
			}
			wantAll(t, "projector", s.projector(), inside)
			// The daemon never has the owner's keys, whatever the lock state.
			never := maps.Clone(keys.owner)
			never["view key"] = inside["view key"]
			wantNothing(t, when+", unlocked", pid, never)
		})
		if left := projectorsOf(s.dir); len(left) > 0 {
			t.Errorf("%s: projectors %v are left", when, left)
		}
		used, next := keys.epochs(s.log())
		if len(used) < 60 {
			t.Fatalf("%s: only %d keys to look for", when, len(used))
		}
		unwanted := maps.Clone(keys.owner)
		unwanted["view key"] = keys.viewKey()
		maps.Copy(unwanted, used)
		wantNothing(t, when+", locked", pid, unwanted)
		// The key of the next segment is the daemon's to keep. That it is found shows
		// that the ratchet was worked out as the daemon runs it.
		wantAll(t, "daemon", pid, next)
		if t.Failed() {
			return
		}
		// A locked store is written to as well.
		s.saveMany("com.example.watch", 60)
	}

	used, _ := keys.epochs(s.log())
	maps.Copy(used, keys.owner)
	wantNothing(t, "written to while locked", pid, used)
}

func TestProjectorDiesWithItsDaemon(t *testing.T) {
	s := newStore(t)
	daemon := s.serve()
	s.run("unlock")
	projector := s.projector()
	kill(t, daemon)
	within(t, time.Second, "the projector is gone", func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/%d/mem", projector))
		return os.IsNotExist(err) || zombie(projector)
	})
	s.serve()
	if got := s.run("status"); !strings.Contains(got, "locked") || strings.Contains(got, "unlocked") {
		t.Errorf("after a restart: %s", got)
	}
}

// zombie tells whether a process has ended and waits for its parent to notice.
func zombie(pid int) bool {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if state, ok := strings.CutPrefix(lines.Text(), "State:"); ok {
			return strings.HasPrefix(strings.TrimSpace(state), "Z")
		}
	}
	return false
}
