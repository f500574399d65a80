package log

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/scripts/golden"
)

// saveOf is what one app's save of so many heart rates looks like in the log.
func saveOf(samples int) *pb.EventList {
	rng := rand.New(rand.NewPCG(1, uint64(samples)))
	columns := &pb.SampleColumns{
		Type: 77, Unit: "count/min", Tick: 1_000_000,
		Source: &pb.Source{Name: "Anna's Apple Watch", Version: "11.2", ProductType: "Watch7,1", OsVersion: "11.2"},
	}
	start := int64(1_700_000_000)
	for range samples {
		columns.Start = append(columns.Start, start)
		columns.Mantissa = append(columns.Mantissa, rng.Int64N(9)-4)
		start = 5 + rng.Int64N(3)
	}
	return &pb.EventList{Events: []*pb.Event{{
		Time: 1_700_000_000_000_000,
		Body: &pb.Event_SamplesSaved{SamplesSaved: &pb.SamplesSaved{
			App: 3, RequestId: payloadOf(9, 16), Columns: []*pb.SampleColumns{columns},
		}},
	}}}
}

func blockOf(t testing.TB, list *pb.EventList) []byte {
	t.Helper()
	b, err := proto.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecodedBodyIsWhatWasEncoded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		blocks := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) []byte {
			if rapid.Bool().Draw(t, "repetitive") {
				unit := rapid.SliceOfN(rapid.Byte(), 1, 9).Draw(t, "unit")
				return bytes.Repeat(unit, rapid.IntRange(1, 400).Draw(t, "times"))
			}
			return payloadOf(rapid.Uint64().Draw(t, "seed"), rapid.IntRange(1, 700).Draw(t, "size"))
		}), 1, 5).Draw(t, "blocks")
		prefix := rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "dst")

		encoded, err := EncodeBody(bytes.Clone(prefix), blocks)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(encoded, prefix) {
			t.Fatal("what stood in dst is gone")
		}
		body := encoded[len(prefix):]
		again, err := EncodeBody(nil, blocks)
		if err != nil || !bytes.Equal(again, body) {
			t.Fatal("the same blocks make another body")
		}
		decoded, err := DecodeBody(body)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(blocks, decoded, bytes.Equal) {
			t.Fatal(cmp.Diff(blocks, decoded))
		}
	})
}

func TestBlocksThatAddUpToMaxBodyAlwaysFit(t *testing.T) {
	const blocks = 3
	size := MaxBody - 1 - 5*blocks
	incompressible := [][]byte{payloadOf(1, size/2), payloadOf(2, size/4), payloadOf(3, size-size/2-size/4)}
	body, err := EncodeBody(nil, incompressible)
	if err != nil {
		t.Fatal(err)
	}
	if len(body) > MaxBody {
		t.Errorf("body of %d bytes", len(body))
	}
	if _, err := DecodeBody(body); err != nil {
		t.Error(err)
	}
	if _, err := EncodeBody(nil, append(incompressible, payloadOf(4, 100))); !errors.Is(err, ErrBodyTooLarge) {
		t.Errorf("a body that is too large: %v", err)
	}
}

func TestLimitsOfABody(t *testing.T) {
	large := make([]byte, MaxContent)
	body, err := EncodeBody(nil, [][]byte{large})
	if err != nil {
		t.Fatal(err)
	}
	if blocks, err := DecodeBody(body); err != nil || len(blocks) != 1 || len(blocks[0]) != MaxContent {
		t.Fatalf("largest content: %v", err)
	}
	if _, err := EncodeBody(nil, [][]byte{large, {1}}); !errors.Is(err, ErrBodyTooLarge) {
		t.Errorf("more content: %v", err)
	}
	many := make([][]byte, MaxBlocks+1)
	for i := range many {
		many[i] = []byte{byte(i)}
	}
	if _, err := EncodeBody(nil, many); !errors.Is(err, ErrBodyTooLarge) {
		t.Errorf("too many blocks: %v", err)
	}
	if body, err = EncodeBody(nil, many[1:]); err != nil {
		t.Fatal(err)
	}
	if blocks, err := DecodeBody(body); err != nil || len(blocks) != MaxBlocks {
		t.Errorf("most blocks: %v", err)
	}
	for name, blocks := range map[string][][]byte{"no blocks": nil, "an empty block": {{1}, {}}} {
		if _, err := EncodeBody(nil, blocks); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPaddingIsBoundedAndCoarse(t *testing.T) {
	lengths := map[int]bool{}
	for n := 1; n <= MaxBody; n++ {
		padded := paddedLength(n)
		switch {
		case padded < n:
			t.Fatalf("%d bytes padded to %d", n, padded)
		case n > minBody && float64(padded-n) > 0.12*float64(n):
			t.Fatalf("%d bytes padded to %d", n, padded)
		case paddedLength(padded) != padded:
			t.Fatalf("padding %d twice gives %d", n, paddedLength(padded))
		case padded < minBody || padded > MaxBody:
			t.Fatalf("%d bytes padded to %d", n, padded)
		}
		lengths[padded] = true
	}
	// log log n bits of information, against log n without padding.
	if len(lengths) > 256 {
		t.Errorf("%d different lengths", len(lengths))
	}
}

// An app must not learn from the size what else was saved at the same time: each
// block takes the bytes it would take alone.
func TestBlocksAreCompressedApart(t *testing.T) {
	block := blockOf(t, saveOf(500))
	alone := len(appendBlock(nil, block))
	two := appendBlock(appendBlock(nil, block), block)
	if len(two) != 2*alone {
		t.Errorf("twice the same block takes %d bytes, once %d", len(two), alone)
	}
}

func TestALoneSaveCostsAFewBytes(t *testing.T) {
	for _, samples := range []int{1, 3, 10} {
		block := blockOf(t, saveOf(samples))
		unpadded := 1 + len(appendBlock(nil, block))
		if unpadded > len(block)+4 {
			t.Errorf("%d samples: block of %d bytes takes %d", samples, len(block), unpadded)
		}
	}
	block := blockOf(t, saveOf(1))
	body, err := EncodeBody(nil, [][]byte{block})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a lone sample: block %d bytes, body %d", len(block), len(body))
}

func TestAThousandSamplesAreSmall(t *testing.T) {
	block := blockOf(t, saveOf(1000))
	body, err := EncodeBody(nil, [][]byte{block})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("1000 samples: block %d bytes, body %d", len(block), len(body))
	if len(body) > 2000 {
		t.Errorf("1000 samples take %d bytes", len(body))
	}
}

func TestMalformedBodyIsRefused(t *testing.T) {
	body := func(content ...byte) []byte {
		return append(content, make([]byte, paddedLength(len(content))-len(content))...)
	}
	valid, err := EncodeBody(nil, [][]byte{[]byte("one"), bytes.Repeat([]byte("two "), 500)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeBody(valid); err != nil {
		t.Fatal(err)
	}
	frame := encoder().EncodeAll(bytes.Repeat([]byte("two "), 500), nil)
	block := func(frame []byte) []byte {
		return append(binary.AppendUvarint([]byte{bodyVersion}, uint64(len(frame))<<1|1), frame...)
	}
	bomb := bytes.Clone(encoder().EncodeAll(make([]byte, MaxContent), nil))
	last := bytes.Clone(valid)
	last[len(last)-1] = 1
	cases := map[string][]byte{
		"nothing":                   {},
		"no blocks":                 body(bodyVersion),
		"another version":           body(2, 2, 'x'),
		"version 0":                 make([]byte, minBody),
		"a block beyond the end":    body(bodyVersion, 200, 200, 1),
		"an empty compressed block": body(bodyVersion, 1),
		"a header of two lengths":   body(bodyVersion, 0x82, 0x00, 'x'),
		"an endless header":         body(bodyVersion, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255),
		"padding that is not zero":  last,
		"padding too short":         valid[:len(valid)-1],
		"padding too long":          append(bytes.Clone(valid), 0),
		"no padding":                {bodyVersion, 2, 'x'},
		"a frame that is none":      body(block([]byte("this is no frame"))...),
		"half a frame":              body(block(frame[:len(frame)-3])...),
		"two frames":                body(block(append(bytes.Clone(frame), frame...))...),
		"more than fits in memory":  body(append(block(bomb), block(frame)[1:]...)...),
		"a frame of an empty block": body(block([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x01, 0x00, 0x00})...),
		"longer than a segment":     make([]byte, MaxBody+1),
	}
	for name, b := range cases {
		t.Run(name, func(t *testing.T) {
			if blocks, err := DecodeBody(b); !errors.Is(err, ErrBodyMalformed) || blocks != nil {
				t.Errorf("%d blocks, err = %v; want ErrBodyMalformed", len(blocks), err)
			}
		})
	}
}

func TestEventsAreThoseOfTheBlock(t *testing.T) {
	list := saveOf(20)
	events, err := Events(blockOf(t, list))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(list.Events, events, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if _, err := Events([]byte("secret\xff")); !errors.Is(err, ErrBodyMalformed) || strings.Contains(err.Error(), "secret") {
		t.Errorf("err = %v", err)
	}
}

// The golden bodies were made by an early version and must be readable for ever. The
// compressor may change what it makes, so only the raw one must also be made again.
func TestGoldenBodies(t *testing.T) {
	cases := map[string][][]byte{
		"raw":        {[]byte("first app"), []byte("second app"), bytes.Repeat([]byte{7}, 100)},
		"compressed": {bytes.Repeat([]byte("first app "), 100), []byte("second app"), bytes.Repeat([]byte("third app "), 20)},
	}
	for name, blocks := range cases {
		t.Run(name, func(t *testing.T) {
			made, err := EncodeBody(nil, blocks)
			if err != nil {
				t.Fatal(err)
			}
			want := golden.Bytes(t, "body-"+name, func() []byte { return made })
			if name == "raw" {
				golden.OnPage(t, "head of the body", want[:25])
			}
			decoded, err := DecodeBody(want)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(blocks, decoded); diff != "" {
				t.Error(diff)
			}
			if name == "raw" && !bytes.Equal(made, want) {
				t.Error("the byte format changed")
			}
		})
	}
}

func FuzzDecodeBody(f *testing.F) {
	for _, blocks := range [][][]byte{
		{[]byte("x")}, {bytes.Repeat([]byte("block "), 40), []byte("y")}, {payloadOf(1, 300)},
	} {
		body, err := EncodeBody(nil, blocks)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, plain []byte) {
		blocks, err := DecodeBody(plain)
		if err != nil {
			return
		}
		content := 0
		for _, block := range blocks {
			content += len(block)
			_, _ = Events(block)
		}
		if content > MaxContent || len(blocks) > MaxBlocks {
			t.Fatal("beyond the limits")
		}
		again, err := EncodeBody(nil, blocks)
		if err != nil {
			return // a better compressor than ours made it
		}
		if decoded, err := DecodeBody(again); err != nil || !cmp.Equal(blocks, decoded) {
			t.Fatal("encoding the blocks again loses them")
		}
	})
}

func BenchmarkBody(b *testing.B) {
	for name, samples := range map[string]int{"1": 1, "1000": 1000, "100000": 100_000} {
		block := blockOf(b, saveOf(samples))
		body, err := EncodeBody(nil, [][]byte{block})
		if err != nil {
			b.Fatal(err)
		}
		b.Run("encode/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(block)))
			b.ReportAllocs()
			b.ReportMetric(float64(len(body))/float64(samples), "B/sample")
			var dst []byte
			for b.Loop() {
				dst, _ = EncodeBody(dst[:0], [][]byte{block})
			}
		})
		b.Run("decode/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(block)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DecodeBody(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What is left of a body may have more bytes than a segment takes, and no more than its bound.
func TestWhatIsLeftOfABodyMayBeLarger(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	for size, fits := range map[int]bool{100: true, MaxBody + 1: true, maxLeft - 6: true, maxLeft: false} {
		blocks := [][]byte{noise(size)}
		body, err := EncodeLeft(blocks)
		if !fits {
			if !errors.Is(err, ErrBodyTooLarge) {
				t.Errorf("%d bytes: %v", size, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := DecodeLeft(body); err != nil || !bytes.Equal(got[0], blocks[0]) {
			t.Errorf("%d bytes: %v", size, err)
		}
		if _, err := DecodeBody(body); (err == nil) != (size < MaxBody) {
			t.Errorf("%d bytes as a segment: %v", size, err)
		}
	}
}
