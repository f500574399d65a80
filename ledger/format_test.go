package ledger

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/encoding/protodelim"

	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/scripts/golden"
)

func TestHeadFormat(t *testing.T) {
	slot, err := headAt(3).encode()
	if err != nil {
		t.Fatal(err)
	}
	want := golden.Bytes(t, "head", func() []byte { return slot })
	if !bytes.Equal(slot, want) {
		t.Errorf("got %x, want %x", slot, want)
	}
	golden.OnPage(t, "slot of a head", want)
}

// delimited are two decisions as the cache has them.
func delimited(t testing.TB) []byte {
	var b bytes.Buffer
	for _, d := range []*pb.SignedDecision{
		{Decision: []byte("first"), Signature: bytes.Repeat([]byte{1}, 4)},
		{Decision: []byte("second"), Signature: bytes.Repeat([]byte{2}, 4)},
	} {
		if _, err := protodelim.MarshalTo(&b, d); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestDecisionCacheFormat(t *testing.T) {
	want := golden.Bytes(t, "decisions", func() []byte { return delimited(t) })
	golden.OnPage(t, "decision cache", want)
	list, intact := parseDecisions(want)
	if len(list) != 2 || intact != len(want) || string(list[1].GetDecision()) != "second" {
		t.Errorf("%d decisions, %d of %d bytes", len(list), intact, len(want))
	}
	// A torn end is left out, and nothing before it.
	for cut := range want {
		if list, intact := parseDecisions(want[:cut]); intact > cut || len(list) > 2 || cut < len(want) && len(list) == 2 {
			t.Errorf("cut at %d: %d decisions in %d bytes", cut, len(list), intact)
		}
	}
}

func TestTokenFormats(t *testing.T) {
	receipt := Receipt{Sequence: 41, RequestID: [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}
	want := golden.Bytes(t, "receipt", func() []byte { return receipt.appendTo(nil) })
	if got, ok := readReceipt(want); !ok || got != receipt {
		t.Errorf("the receipt reads as %+v", got)
	}
	golden.OnPage(t, "receipt", want)
	want = golden.Bytes(t, "update", func() []byte { return appendUpdate(nil, 77, 41) })
	if code, sequence, ok := readUpdate(want); !ok || code != 77 || sequence != 41 {
		t.Errorf("the update reads as %d, %d", code, sequence)
	}
	golden.OnPage(t, "update", want)
}

func FuzzParseDecisions(f *testing.F) {
	f.Add(delimited(f))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, content []byte) {
		list, intact := parseDecisions(content)
		if intact > len(content) {
			t.Fatalf("%d of %d bytes are intact", intact, len(content))
		}
		if again, same := parseDecisions(content[:intact]); len(again) != len(list) || same != intact {
			t.Fatalf("%d decisions in %d bytes, then %d in %d", len(list), intact, len(again), same)
		}
	})
}

func FuzzTokens(f *testing.F) {
	f.Add(Receipt{Sequence: 1}.appendTo(nil), "token")
	f.Add(appendUpdate(nil, 1, 2), "")
	device, err := seal.NewDeviceKey()
	if err != nil {
		f.Fatal(err)
	}
	key := device.TokenKey("fuzz")
	f.Fuzz(func(t *testing.T, plain []byte, token string) {
		if r, ok := readReceipt(plain); ok && !bytes.Equal(r.appendTo(nil), plain) {
			t.Errorf("receipt %x reads as %+v", plain, r)
		}
		if code, sequence, ok := readUpdate(plain); ok && !bytes.Equal(appendUpdate(nil, code, sequence), plain) {
			t.Errorf("update %x reads as %d, %d", plain, code, sequence)
		}
		if _, err := key.Open(nil, token); err == nil {
			t.Errorf("token %q opens", token)
		}
	})
}
