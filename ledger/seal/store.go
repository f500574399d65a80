package seal

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
)

// StoreID names a store. It is random and means nothing.
type StoreID [16]byte

// A file-name-safe and subject-safe alphabet: a to z and 2 to 7.
var storeEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewStoreID returns a random store id.
func NewStoreID() StoreID {
	var id StoreID
	rand.Read(id[:])
	return id
}

// String returns the id as 26 characters of lower-case base32 without padding,
// which is a legal token of a NATS subject and a legal file name.
func (id StoreID) String() string { return storeEncoding.EncodeToString(id[:]) }

// ParseStoreID is the inverse of [StoreID.String] and accepts nothing else.
func ParseStoreID(s string) (StoreID, error) {
	var id StoreID
	if len(s) != storeEncoding.EncodedLen(len(id)) {
		return StoreID{}, fmt.Errorf("store id has %d characters, want %d", len(s), storeEncoding.EncodedLen(len(id)))
	}
	if _, err := storeEncoding.Decode(id[:], []byte(s)); err != nil {
		return StoreID{}, errors.New("store id has a character outside a-z and 2-7")
	}
	// 26 characters carry two bits more than the id, and base32 ignores line
	// breaks; one id must have one name only.
	if id.String() != s {
		return StoreID{}, errors.New("store id is not in its one canonical form")
	}
	return id, nil
}

// Class says who can open a segment. The numbers stand in the log.
type Class uint8

const (
	// Health segments open with the owner's keys only.
	Health Class = 1
	// Management segments open with the owner's keys and with the device key,
	// so that a locked daemon knows its apps and their share grants.
	Management Class = 2
	// Open segments are signed and readable by anyone.
	Open Class = 3
	// Resealed is no class of segments: its wraps hold the keys of what erasures have left
	// of segments of class health.
	Resealed Class = 4
)

var classNames = [...]string{Health: "health", Management: "management", Open: "open", Resealed: "resealed"}

// String returns "health", "management", "open" or "resealed".
func (c Class) String() string {
	if c >= Health && c <= Resealed {
		return classNames[c]
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

// ParseClass is the inverse of [Class.String].
func ParseClass(s string) (Class, error) {
	for c := Health; c <= Open; c++ {
		if classNames[c] == s {
			return c, nil
		}
	}
	return 0, errors.New("class is not one of health, management and open")
}

func (c Class) valid() bool  { return c >= Health && c <= Open }
func (c Class) sealed() bool { return c == Health || c == Management }
