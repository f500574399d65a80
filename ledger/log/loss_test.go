package log

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"healthledger/ledger/seal"
)

// firstLoss asks for every segment by itself and returns the first missing range.
func firstLoss(t testing.TB, r *Reader, to uint64) (loss LossError) {
	t.Helper()
	for sequence := uint64(1); sequence <= to; sequence++ {
		_, err := r.single(testContext(t), sequence)
		missing := errors.Is(err, jetstream.ErrMsgNotFound)
		switch {
		case err != nil && !missing:
			t.Fatal(err)
		case missing && loss.From == 0:
			loss = LossError{From: sequence, To: sequence}
		case missing:
			loss.To = sequence
		case loss.From != 0:
			return loss
		}
	}
	return loss
}

// checkLoss reads a damaged log and expects everything up to the first loss, and then
// exactly that loss.
func checkLoss(t *testing.T, r *Reader, to uint64, want LossError) {
	t.Helper()
	if got := firstLoss(t, r, to); got != want {
		t.Fatalf("the log lacks %+v, the test wanted %+v", got, want)
	}
	last, err := readAll(testContext(t), t, r, 1, to, constant(1000))
	var loss *LossError
	if !errors.As(err, &loss) || !errors.Is(err, ErrLoss) {
		t.Fatalf("err = %v, want a LossError", err)
	}
	if *loss != want {
		t.Errorf("loss %+v, want %+v", *loss, want)
	}
	if last != want.From-1 {
		t.Errorf("read up to %d, want %d", last, want.From-1)
	}
	if _, err := r.Get(testContext(t), want.From); !errors.Is(err, ErrLoss) {
		t.Errorf("Get of a lost segment: %v", err)
	}
}

func TestDeletedSegmentsAreLoss(t *testing.T) {
	cases := map[string]struct {
		deleted []uint64
		to      uint64
		want    LossError
	}{
		"one":               {[]uint64{7}, 30, LossError{7, 7}},
		"several":           {[]uint64{10, 11, 12, 13}, 30, LossError{10, 13}},
		"the first ones":    {[]uint64{1, 2}, 30, LossError{1, 2}},
		"the last ones":     {[]uint64{29, 30}, 30, LossError{29, 30}},
		"the first of two":  {[]uint64{5, 20}, 30, LossError{5, 5}},
		"beyond what I ask": {[]uint64{8, 9, 10, 11}, 9, LossError{8, 9}},
		"all":               {[]uint64{1, 2, 3, 4}, 4, LossError{1, 4}},
	}
	conn := startServer(t).connectInProcess()
	next := byte(0)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			// Each has a store of its own: to delete a stream races with making the next.
			next++
			store := testStore(next)
			js := jetStream(conn)
			config := streamConfig(store, 1)
			config.DenyDelete = false
			stream, err := js.CreateStream(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			fill(t, conn, store, 1, 30, constant(1000))
			for _, sequence := range c.deleted {
				if err := stream.DeleteMsg(t.Context(), sequence); err != nil {
					t.Fatal(err)
				}
			}
			checkLoss(t, NewReader(conn, store), c.to, c.want)
			checkNotWhole(t, NewReader(conn, store), c.want.From)
		})
	}
}

func checkNotWhole(t *testing.T, r *Reader, from uint64) {
	t.Helper()
	var loss *LossError
	if err := r.Whole(testContext(t)); !errors.As(err, &loss) || loss.From != from {
		t.Errorf("a log that lost segment %d is taken for whole: %v", from, err)
	}
}

func TestALogThatIsTooShortIsLoss(t *testing.T) {
	conn := startServer(t).connectInProcess()
	store := testStore(1)
	createStream(t, conn, store)
	r := NewReader(conn, store)
	checkLoss(t, r, 3, LossError{1, 3})
	fill(t, conn, store, 1, 10, constant(1000))
	checkLoss(t, r, 25, LossError{11, 25})
	if err := r.Whole(testContext(t)); err != nil {
		t.Error(err)
	}
	if _, err := readAll(testContext(t), t, r, 1, 10, constant(1000)); err != nil {
		t.Error(err)
	}
}

// spoil changes a block file while its server is down.
func spoil(t *testing.T, srv *natsServer, store seal.StoreID, forgetIndex bool, change func(file string, block []byte)) {
	t.Helper()
	srv.stop()
	blocks := srv.blocks(store)
	file := blocks[len(blocks)-1]
	block, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	change(file, block)
	if forgetIndex {
		if err := os.Remove(filepath.Join(filepath.Dir(file), "index.db")); err != nil {
			t.Fatal(err)
		}
	}
	srv.start()
}

func flip(t *testing.T, sequences ...uint64) func(string, []byte) {
	return func(file string, block []byte) {
		for _, sequence := range sequences {
			at := bytes.Index(block, payloadOf(sequence, 1000))
			if at < 0 {
				t.Fatalf("segment %d is not in %s", sequence, file)
			}
			block[at+500] ^= 1
		}
		if err := os.WriteFile(file, block, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDamagedBlockIsLossOfExactlyItsSegments(t *testing.T) {
	const last = 200
	cases := map[string]struct {
		forgetIndex bool
		change      func(*testing.T) func(string, []byte)
		want        LossError
	}{
		"a flipped bit": {
			false, func(t *testing.T) func(string, []byte) { return flip(t, 77) }, LossError{77, 77},
		},
		"flipped bits side by side": {
			false, func(t *testing.T) func(string, []byte) { return flip(t, 77, 78, 79) }, LossError{77, 79},
		},
		"flipped bits apart": {
			false, func(t *testing.T) func(string, []byte) { return flip(t, 77, 90) }, LossError{77, 77},
		},
		"a flipped bit in the first segment": {
			false, func(t *testing.T) func(string, []byte) { return flip(t, 1) }, LossError{1, 1},
		},
		"a flipped bit in the last segment": {
			false, func(t *testing.T) func(string, []byte) { return flip(t, last) }, LossError{last, last},
		},
		"a flipped bit, index gone": {
			true, func(t *testing.T) func(string, []byte) { return flip(t, 77) }, LossError{77, last},
		},
		"cut in the middle": {
			false, func(t *testing.T) func(string, []byte) {
				return func(file string, block []byte) {
					at := bytes.Index(block, payloadOf(120, 1000))
					if err := os.Truncate(file, int64(at+10)); err != nil {
						t.Fatal(err)
					}
				}
			}, LossError{120, last},
		},
		"cut at the end, index gone": {
			true, func(t *testing.T) func(string, []byte) {
				return func(file string, block []byte) {
					if err := os.Truncate(file, int64(len(block)-100)); err != nil {
						t.Fatal(err)
					}
				}
			}, LossError{last, last},
		},
		"block gone, index gone": {
			true, func(t *testing.T) func(string, []byte) {
				return func(file string, _ []byte) {
					if err := os.Remove(file); err != nil {
						t.Fatal(err)
					}
				}
			}, LossError{1, last},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			srv := startServer(t, func(o *server.Options) { o.SyncAlways = false })
			conn := srv.connect()
			store := testStore(1)
			createStream(t, conn, store)
			fill(t, conn, store, 1, last, constant(1000))
			conn.Close()
			spoil(t, srv, store, c.forgetIndex, c.change(t))
			r := NewReader(srv.connect(), store)
			checkLoss(t, r, last, c.want)
			// A single record that is damaged shows when it is read; JetStream counts it.
			if atEnd := c.want.To == last; atEnd && !c.forgetIndex {
				checkNotWhole(t, r, c.want.From)
			}
		})
	}
}

func TestLossNamesItsRange(t *testing.T) {
	if got := (&LossError{4, 4}).Error(); !strings.Contains(got, "segment 4") {
		t.Errorf("%q", got)
	}
	if got := (&LossError{4, 9}).Error(); !strings.Contains(got, "segments 4 to 9") {
		t.Errorf("%q", got)
	}
}
