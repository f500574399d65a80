package health

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// Deriver makes the UUIDs of samples that came without one, all of one
// (request, app, type).
//
// A UUID is of version 8 (RFC 9562, section 5.8). Its first 12 bytes, but for
// the version and the variant, are 90 bits of
//
//	HMAC-SHA256(request, "healthledger uuid 1" ‖ type, 4 bytes ‖ the app's key)
//
// big-endian; its last 4 bytes are the sample's index among those of its type
// in the request, big-endian, under a permutation of 32 bits keyed with bytes
// 16 to 31 of the same HMAC. So a retry gives the same UUIDs, one record can
// stand for all of them, and whoever sees some of them learns neither the order
// nor how many there are in between. The app's key, which is random, keeps apart what
// apps with one request id have written: with its number in the log an app, which knows
// all the rest, could tell how much the owner had decided before it came. This is a
// format: it never changes.
type Deriver struct {
	prefix [12]byte
	k0, k1 uint64
}

// NewDeriver makes the Deriver of one (request, app, type). The request id must
// be random.
func NewDeriver(request [16]byte, appKey string, typeCode uint32) Deriver {
	mac := hmac.New(sha256.New, request[:])
	mac.Write([]byte("healthledger uuid 1"))
	var code [4]byte
	binary.BigEndian.PutUint32(code[:], typeCode)
	mac.Write(code[:])
	mac.Write([]byte(appKey))
	sum := mac.Sum(nil)
	d := Deriver{
		prefix: [12]byte(sum),
		k0:     binary.LittleEndian.Uint64(sum[16:]),
		k1:     binary.LittleEndian.Uint64(sum[24:]),
	}
	d.prefix[6] = d.prefix[6]&0x0f | 0x80
	d.prefix[8] = d.prefix[8]&0x3f | 0x80
	return d
}

// DeriveUUID returns the UUID of one sample; see Deriver.
func DeriveUUID(request [16]byte, appKey string, typeCode uint32, index uint32) [16]byte {
	d := NewDeriver(request, appKey, typeCode)
	return d.UUID(index)
}

// Prefix returns the first 12 bytes of all its UUIDs.
func (d *Deriver) Prefix() [12]byte { return d.prefix }

// UUID returns the UUID of the sample with this index.
func (d *Deriver) UUID(index uint32) (id [16]byte) {
	copy(id[:], d.prefix[:])
	binary.BigEndian.PutUint32(id[12:], d.permute(index))
	return id
}

// Index says whether a UUID is one of this Deriver's, and at which index. The
// index may be beyond the samples that the request had.
func (d *Deriver) Index(id [16]byte) (index uint32, ok bool) {
	if [12]byte(id[:]) != d.prefix {
		return 0, false
	}
	return d.invert(binary.BigEndian.Uint32(id[12:])), true
}

// rounds of the Feistel network; so many as FF1 has for small blocks.
const rounds = 10

func (d *Deriver) permute(x uint32) uint32 {
	left, right := uint16(x>>16), uint16(x)
	for i := range uint64(rounds) {
		left, right = right, left^uint16(sipHash(d.k0, d.k1, i<<16|uint64(right)))
	}
	return uint32(left)<<16 | uint32(right)
}

func (d *Deriver) invert(x uint32) uint32 {
	left, right := uint16(x>>16), uint16(x)
	for i := range uint64(rounds) {
		left, right = right^uint16(sipHash(d.k0, d.k1, (rounds-1-i)<<16|uint64(left))), left
	}
	return uint32(left)<<16 | uint32(right)
}

// sipHash is SipHash-2-4 of the 8 bytes of m, little-endian (Aumasson and
// Bernstein, 2012).
func sipHash(k0, k1, m uint64) uint64 {
	v0, v1, v2, v3 := k0^0x736f6d6570736575, k1^0x646f72616e646f6d, k0^0x6c7967656e657261, k1^0x7465646279746573
	round := func() {
		v0 += v1
		v1 = bits.RotateLeft64(v1, 13) ^ v0
		v0 = bits.RotateLeft64(v0, 32)
		v2 += v3
		v3 = bits.RotateLeft64(v3, 16) ^ v2
		v0 += v3
		v3 = bits.RotateLeft64(v3, 21) ^ v0
		v2 += v1
		v1 = bits.RotateLeft64(v1, 17) ^ v2
		v2 = bits.RotateLeft64(v2, 32)
	}
	for _, block := range [...]uint64{m, 8 << 56} { // the second holds the length
		v3 ^= block
		round()
		round()
		v0 ^= block
	}
	v2 ^= 0xff
	for range 4 {
		round()
	}
	return v0 ^ v1 ^ v2 ^ v3
}
