package view

import (
	"bytes"
	"encoding/binary"
	"math"

	"healthledger/projector/aggregate"
)

// The families of keys. Numbers are forever within a format version; FORMAT.md
// describes the rows.
const (
	familyState      byte = 0x01
	familyDecision   byte = 0x02
	familyUnit       byte = 0x10
	familySource     byte = 0x11
	familyEvent      byte = 0x12
	familyMetadata   byte = 0x13
	familyBody       byte = 0x14
	familyChunk      byte = 0x15
	familyEntry      byte = 0x20
	familyDay        byte = 0x21
	familyAddition   byte = 0x22
	familyRemoval    byte = 0x23
	familyFigures    byte = 0x24
	familyBeside     byte = 0x25
	familyDeletion   byte = 0x26
	familyRequest    byte = 0x30
	familyUUID       byte = 0x31
	familyIdentity   byte = 0x32
	familyPart       byte = 0x33
	familyMembership byte = 0x34
	familyDerived    byte = 0x35
	familyUpdates    byte = 0x36
	familyAsked      byte = 0x37
	familyAccess     byte = 0x38
	familyDisclosure byte = 0x39
	familyRefusal    byte = 0x3a
	familyObjects    byte = 0x3b
	familySample     byte = 0x40
)

// Place is where a sample stands: its period, then its place in the log.
type Place = aggregate.Place

// Small numbers are most of a key, so they are written short: one byte below
// shortLimit, else a byte that tells the length and that many bytes, most significant
// first. The form keeps the order of the numbers, and no form is a prefix of another.
const shortLimit = 0xf8

func appendOrdered(dst []byte, u uint64) []byte {
	if u < shortLimit {
		return append(dst, byte(u))
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], u)
	first := 0
	for b[first] == 0 {
		first++
	}
	dst = append(dst, byte(shortLimit-1+8-first))
	return append(dst, b[first:]...)
}

// readOrdered returns the number and its length, 0 when b does not begin with one.
// With mask 0xff it reads the descending form.
func readOrdered(b []byte, mask byte) (uint64, int) {
	if len(b) == 0 {
		return 0, 0
	}
	first := b[0] ^ mask
	if first < shortLimit {
		return uint64(first), 1
	}
	n := int(first-shortLimit) + 1
	if len(b) < 1+n {
		return 0, 0
	}
	var u uint64
	for _, c := range b[1 : 1+n] {
		u = u<<8 | uint64(c^mask)
	}
	if u < shortLimit || n > 1 && u>>(8*(n-1)) == 0 {
		return 0, 0
	}
	return u, 1 + n
}

// appendDescending is appendOrdered in the opposite order.
func appendDescending(dst []byte, u uint64) []byte {
	from := len(dst)
	dst = appendOrdered(dst, u)
	for i := from; i < len(dst); i++ {
		dst[i] ^= 0xff
	}
	return dst
}

func appendTime(dst []byte, t int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(t)^1<<63)
}

func readTime(b []byte) int64 {
	return int64(binary.BigEndian.Uint64(b) ^ 1<<63)
}

// appendSamplePrefix begins the keys of the samples of a type from a source.
func appendSamplePrefix(dst []byte, typeCode, source uint32) []byte {
	return appendOrdered(appendOrdered(append(dst, familySample), uint64(typeCode)), uint64(source))
}

// appendPeriod puts samples in order of end, then start: the longer of two that end
// together comes first.
func appendPeriod(dst []byte, start, end int64) []byte {
	return appendDescending(appendTime(dst, end), uint64(end)-uint64(start))
}

// appendTie ends the key of a sample.
func appendTie(dst []byte, sequence uint64, event, index uint32) []byte {
	return appendOrdered(appendOrdered(appendOrdered(dst, sequence), uint64(event)), uint64(index))
}

// readPlace decodes what follows the prefix in the key of a sample.
func readPlace(b []byte, p *Place) bool {
	if len(b) < 8 {
		return false
	}
	p.End = readTime(b)
	b = b[8:]
	duration, n := readOrdered(b, 0xff)
	if n == 0 || duration > uint64(p.End)+1<<63 {
		return false
	}
	p.Start = int64(uint64(p.End) - duration)
	b = b[n:]
	if p.Sequence, n = readOrdered(b, 0); n == 0 {
		return false
	}
	b = b[n:]
	var ok bool
	if p.Event, b, ok = readOrdered32(b); !ok {
		return false
	}
	p.Index, b, ok = readOrdered32(b)
	return ok && len(b) == 0
}

func readOrdered32(b []byte) (uint32, []byte, bool) {
	u, n := readOrdered(b, 0)
	if n == 0 || u > math.MaxUint32 {
		return 0, nil, false
	}
	return uint32(u), b[n:], true
}

// successor returns the first key after all that begin with prefix.
func successor(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// appendBlockKey is the key of the figures of a block of quarters.
func appendBlockKey(dst []byte, typeCode, source uint32, start int64) []byte {
	return appendTime(appendEntryKey(dst, familyFigures, typeCode, source), start)
}

// appendBesideKey is like the key of the sample.
func appendBesideKey(dst []byte, typeCode, source uint32, p *Place) []byte {
	dst = appendPeriod(appendEntryKey(dst, familyBeside, typeCode, source), p.Start, p.End)
	return appendTie(dst, p.Sequence, p.Event, p.Index)
}

func stateKey() []byte { return []byte{familyState} }

func decisionKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{familyDecision}, number)
}

func appendID(dst []byte, family byte, id uint32) []byte {
	return appendOrdered(append(dst, family), uint64(id))
}

func appendEventKey(dst []byte, sequence uint64, event uint32) []byte {
	return appendOrdered(appendOrdered(append(dst, familyEvent), sequence), uint64(event))
}

func appendBodyKey(dst []byte, sequence uint64, event, number uint32) []byte {
	return appendTie(append(dst, familyBody), sequence, event, number)
}

func appendChunkKey(dst []byte, sequence uint64, event, number, chunk uint32) []byte {
	return appendOrdered(appendTie(append(dst, familyChunk), sequence, event, number), uint64(chunk))
}

func appendPartKey(dst []byte, app uint64, upload *[16]byte, number uint32) []byte {
	return appendOrdered(appendObjectKey(dst, familyPart, app, upload), uint64(number))
}

func appendIdentityKey(dst []byte, app uint64, typeCode uint32, name *[32]byte) []byte {
	return append(appendOrdered(appendOrdered(append(dst, familyIdentity), app), uint64(typeCode)), name[:]...)
}

func appendUpdatesKey(dst []byte, app uint64, typeCode uint32) []byte {
	return appendOrdered(appendOrdered(append(dst, familyUpdates), app), uint64(typeCode))
}

func appendAskedKey(dst []byte, app uint64, direction Direction, typeCode uint32) []byte {
	return appendOrdered(append(appendOrdered(append(dst, familyAsked), app), byte(direction)), uint64(typeCode))
}

func appendObjectsKey(dst []byte, app uint64, typeCode uint32) []byte {
	return appendOrdered(appendOrdered(append(dst, familyObjects), app), uint64(typeCode))
}

func appendAccessKey(dst []byte, minute int64, app uint64, typeCode uint32, operation string) []byte {
	dst = appendOrdered(appendOrdered(appendTime(append(dst, familyAccess), minute), app), uint64(typeCode))
	return append(dst, operation...)
}

// appendRefusalKey has the event's place behind the time, since there can be two at once.
func appendRefusalKey(dst []byte, time int64, sequence uint64, event uint32) []byte {
	return appendOrdered(appendOrdered(appendTime(append(dst, familyRefusal), time), sequence), uint64(event))
}

func appendMetadataKey(dst []byte, sequence uint64, event, number uint32) []byte {
	return appendTie(append(dst, familyMetadata), sequence, event, number)
}

func appendEntryKey(dst []byte, family byte, typeCode, source uint32) []byte {
	return appendOrdered(appendOrdered(append(dst, family), uint64(typeCode)), uint64(source))
}

func appendDayKey(dst []byte, typeCode, source uint32, day int32) []byte {
	return binary.BigEndian.AppendUint32(appendEntryKey(dst, familyDay, typeCode, source), uint32(day)^1<<31)
}

func appendDerivedKey(dst []byte, app uint64, typeCode uint32, prefix [12]byte) []byte {
	return append(appendOrdered(appendOrdered(append(dst, familyDerived), app), uint64(typeCode)), prefix[:]...)
}

// appendObjectKey makes the keys of requests and of UUIDs, both an app's own.
func appendObjectKey(dst []byte, family byte, app uint64, id *[16]byte) []byte {
	return append(appendOrdered(append(dst, family), app), id[:]...)
}
