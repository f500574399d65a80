package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// piece is how many bytes of a secret are a find.
const piece = 16

// A search looks for secrets at every byte. Half a key is a find: both ends of each are looked
// for.
type search struct {
	ends      map[[piece]byte]string
	candidate [1 << 16]bool
	// where they were found, by their names, and how many bytes were looked at.
	where map[string][]string
	total int
}

func newSearch(wanted secrets) *search {
	s := &search{ends: map[[piece]byte]string{}, where: map[string][]string{}}
	for name, secret := range wanted {
		for _, end := range [][]byte{secret[:piece], secret[len(secret)-piece:]} {
			s.ends[[piece]byte(end)] = name
			s.candidate[binary.LittleEndian.Uint16(end)] = true
		}
	}
	return s
}

// in looks at a part of something that has a name; what cannot be read is passed over.
func (s *search) in(content io.ReaderAt, from, to int64, name string) {
	const window = 1 << 20
	buf, zeros := make([]byte, window+piece-1), make([]byte, 4096)
	for at := from; at < to; at += window {
		n, _ := content.ReadAt(buf[:min(window+piece-1, to-at)], at)
		b := buf[:n]
		for page := 0; page < min(n, window); page += len(zeros) {
			part := b[page:min(page+len(zeros)+piece-1, n)]
			if bytes.HasPrefix(part, zeros) {
				continue // no key starts with so many zeros
			}
			s.total += len(part)
			for i := 0; i+piece <= len(part); i++ {
				if !s.candidate[uint16(part[i])|uint16(part[i+1])<<8] {
					continue
				}
				if found, ok := s.ends[[piece]byte(part[i:i+piece])]; ok {
					s.where[found] = append(s.where[found], fmt.Sprintf("%x in %s", at+int64(page+i), name))
				}
			}
		}
	}
}
