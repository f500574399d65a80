package rpc

import "context"

// Caller is who called. On NATS it comes from the subject, which the server has
// checked against the caller's credentials, and never from the payload.
type Caller struct {
	// Store that the call is about.
	Store string
	// Key of the app, or of the local owner.
	Key string
	// Session of the owner as the caller gave it, not verified; usually empty.
	Session string
	// Credential that the caller came with, as HTTPOptions.Authenticate numbered it; 0 on
	// NATS, where a connection ends with its credential.
	Credential uint64
}

type callerKey struct{}

// WithCaller returns a context in which CallerFrom finds the caller.
func WithCaller(ctx context.Context, caller Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

// CallerFrom returns who called. ok is false outside of a call.
func CallerFrom(ctx context.Context) (caller Caller, ok bool) {
	caller, ok = ctx.Value(callerKey{}).(Caller)
	return caller, ok
}

// keyLength is the length of 16 random bytes in unpadded base32.
const keyLength = 26

// IsKey reports whether s has the only form a key may have: 26 characters of
// lower-case base32. Keys are subject tokens: a dot or a wildcard in one would let
// its bearer act as somebody else.
func IsKey(s string) bool {
	if len(s) != keyLength {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// LocalPrefix stands before the key in the user name of the owner on the daemon's
// machine; an app's user name is its key.
const LocalPrefix = "local-"

// IsStore reports whether s can name a store: one subject token of lower-case
// letters and digits.
func IsStore(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// UpdatesSubject is where the updates of an app come without being asked for.
func UpdatesSubject(store, key string) string { return "updates." + store + "." + key }
