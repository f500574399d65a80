package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"sync"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

const (
	// MaxBody is the most bytes EncodeBody makes. It leaves 16 KiB of MaxSegment for what
	// sealing adds: header, tag, signature.
	//
	// It is the compressed size that counts. Blocks whose lengths, plus 5 bytes for each
	// block and 1 for the body, add up to at most MaxBody fit whatever they contain.
	MaxBody = MaxSegment - 16<<10

	// MaxContent is the most bytes that the blocks of one body may have together before
	// compression: what a reader has to hold in memory.
	MaxContent = 64 << 20

	// MaxBlocks is the most blocks of one body.
	MaxBlocks = 1 << 14

	// maxLeft bounds what an erasure may leave of a body. It is a padded length.
	maxLeft = 1 << 20

	bodyVersion = 1

	// Below this size what compression saves is eaten by the padding.
	minCompressed = 128

	minBody = 64
)

// What can be wrong with a body.
var (
	// ErrBodyTooLarge: the blocks belong into more than one segment.
	ErrBodyTooLarge = errors.New("body is too large for one segment")
	// ErrBodyMalformed: EncodeBody cannot have made these bytes.
	ErrBodyMalformed = errors.New("malformed body of a segment")
)

// EncodeBody appends the plaintext of a segment to dst. Each block is the serialized
// EventList of one app and is compressed by itself: compressing two apps' data together
// would let the size tell one of them about the other's. The result is padded, so that
// its length tells little. There must be at least one block and no empty one.
//
// Errors: ErrBodyTooLarge.
func EncodeBody(dst []byte, blocks [][]byte) ([]byte, error) {
	return encodeBody(dst, blocks, MaxBody)
}

// EncodeLeft is EncodeBody of what an erasure has left of a body. It may need more room than
// the body did, since it is no segment by itself.
func EncodeLeft(blocks [][]byte) ([]byte, error) { return encodeBody(nil, blocks, maxLeft) }

func encodeBody(dst []byte, blocks [][]byte, limit int) ([]byte, error) {
	if len(blocks) == 0 {
		return nil, errors.New("encode body: no blocks")
	}
	if len(blocks) > MaxBlocks {
		return nil, fmt.Errorf("encode body: %w: %d blocks", ErrBodyTooLarge, len(blocks))
	}
	content := 0
	for _, block := range blocks {
		if len(block) == 0 {
			return nil, errors.New("encode body: an empty block")
		}
		if content += len(block); content > MaxContent {
			return nil, fmt.Errorf("encode body: %w: more than %d bytes before compression", ErrBodyTooLarge, MaxContent)
		}
	}
	start := len(dst)
	dst = append(dst, bodyVersion)
	for _, block := range blocks {
		dst = appendBlock(dst, block)
		if len(dst)-start > limit {
			clear(dst[start:])
			return nil, fmt.Errorf("encode body: %w: more than %d bytes", ErrBodyTooLarge, limit)
		}
	}
	return append(dst, make([]byte, paddedLength(len(dst)-start)-(len(dst)-start))...), nil
}

func appendBlock(dst, block []byte) []byte {
	if len(block) >= minCompressed {
		at := len(dst)
		// The frame is made where it will stand if its header needs the usual three bytes.
		const usual = 3
		dst = append(dst, make([]byte, usual)...)
		dst = encoder().EncodeAll(block, dst)
		frame := dst[at+usual:]
		if len(frame) < len(block) {
			header := binary.AppendUvarint(nil, uint64(len(frame))<<1|1)
			if len(header) > usual {
				dst = append(dst, make([]byte, len(header)-usual)...)
			}
			copy(dst[at+len(header):], frame)
			copy(dst[at:], header)
			return dst[:at+len(header)+len(frame)]
		}
		dst = dst[:at]
	}
	dst = binary.AppendUvarint(dst, uint64(len(block))<<1)
	return append(dst, block...)
}

// DecodeBody returns the blocks of a body. Those that were stored as they are share
// plain's memory. Anything that EncodeBody cannot have made, a padding that is not zero
// among it, is ErrBodyMalformed.
func DecodeBody(plain []byte) ([][]byte, error) {
	return decodeWithin(plain, MaxBody)
}

// DecodeLeft is DecodeBody of what EncodeLeft has made.
func DecodeLeft(plain []byte) ([][]byte, error) { return decodeWithin(plain, maxLeft) }

func decodeWithin(plain []byte, limit int) ([][]byte, error) {
	blocks, err := decodeBody(plain, limit)
	if err != nil {
		return nil, fmt.Errorf("decode body: %w: %s", ErrBodyMalformed, err)
	}
	return blocks, nil
}

func decodeBody(plain []byte, limit int) ([][]byte, error) {
	if len(plain) > limit {
		return nil, fmt.Errorf("%d bytes", len(plain))
	}
	if len(plain) == 0 || plain[0] != bodyVersion {
		return nil, errors.New("unknown version")
	}
	var blocks [][]byte
	content, at := 0, 1
	for at < len(plain) && plain[at] != 0 {
		if len(blocks) == MaxBlocks {
			return nil, errors.New("too many blocks")
		}
		header, n := binary.Uvarint(plain[at:])
		if n <= 0 || n > 1 && plain[at+n-1] == 0 {
			return nil, fmt.Errorf("header of block %d", len(blocks))
		}
		at += n
		length := header >> 1
		if length == 0 || length > uint64(len(plain)-at) {
			return nil, fmt.Errorf("length of block %d", len(blocks))
		}
		block := plain[at : at+int(length) : at+int(length)]
		at += int(length)
		if header&1 == 1 {
			var err error
			if block, err = decompress(block, MaxContent-content); err != nil {
				return nil, fmt.Errorf("block %d: %w", len(blocks), err)
			}
		}
		if content += len(block); content > MaxContent {
			return nil, errors.New("too much content")
		}
		blocks = append(blocks, block)
	}
	if len(blocks) == 0 {
		return nil, errors.New("no blocks")
	}
	if len(plain) != paddedLength(at) {
		return nil, errors.New("length of the padding")
	}
	for _, b := range plain[at:] {
		if b != 0 {
			return nil, errors.New("padding is not zero")
		}
	}
	return blocks, nil
}

// decompress opens one zstd frame. Its size stands in its header, so that a frame which
// grows too large is refused before any memory is taken for it.
func decompress(frame []byte, limit int) ([]byte, error) {
	var header zstd.Header
	if err := header.Decode(frame); err != nil {
		return nil, err
	}
	size := header.FrameContentSize
	if header.Skippable || !header.HasFCS || header.DictionaryID != 0 || size > uint64(limit) {
		return nil, errors.New("unfit zstd frame")
	}
	if size <= uint64(len(frame)) {
		return nil, errors.New("compressed to more than it was")
	}
	block, err := decoder().DecodeAll(frame, make([]byte, 0, size))
	if err != nil {
		return nil, err
	}
	if uint64(len(block)) != size {
		return nil, errors.New("more than one zstd frame")
	}
	return block, nil
}

// The coders are made once and hold nothing between calls but their buffers; both are
// safe for concurrent use.
var (
	encoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil,
			zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithEncoderCRC(false), // sealing authenticates
			zstd.WithSingleSegment(true),
			zstd.WithWindowSize(1<<20),
			zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(err) // only for options that contradict each other
		}
		return e
	})
	decoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil,
			zstd.WithDecoderConcurrency(0),
			zstd.WithDecoderMaxMemory(MaxContent),
			zstd.WithDecoderMaxWindow(MaxContent),
			zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			panic(err)
		}
		return d
	})
)

// paddedLength rounds a length up so that only its magnitude and a few bits below it show
// (Padmé, Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and
// Communication with PURBs", 2019, section 4): it adds at most 12 %, less for long ones.
func paddedLength(n int) int {
	if n <= minBody {
		return minBody
	}
	exponent := bits.Len(uint(n)) - 1
	step := 1 << (exponent - bits.Len(uint(exponent)))
	return (n + step - 1) &^ (step - 1)
}

// Events parses a block.
func Events(block []byte) ([]*pb.Event, error) {
	var list pb.EventList
	if err := proto.Unmarshal(block, &list); err != nil {
		// The parser's own words could quote what they could not parse.
		return nil, fmt.Errorf("parse events: %w: not an EventList", ErrBodyMalformed)
	}
	return list.Events, nil
}

// AllEvents returns the events of a body in their order.
func AllEvents(plain []byte) ([]*pb.Event, error) {
	blocks, err := DecodeBody(plain)
	if err != nil {
		return nil, err
	}
	var all []*pb.Event
	for _, block := range blocks {
		events, err := Events(block)
		if err != nil {
			return nil, err
		}
		all = append(all, events...)
	}
	return all, nil
}
