package serve

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

// freshFor is how long after the passphrase a session may decide.
const freshFor = 5 * time.Minute

// sessions are the owner's: each was made by a passphrase and ends with the lock.
// Only their hashes are kept.
type sessions struct {
	clock clock

	mu   sync.Mutex
	made map[[32]byte]time.Duration
}

func newSessions(c clock) *sessions {
	return &sessions{clock: c, made: map[[32]byte]time.Duration{}}
}

// New makes a session.
func (s *sessions) New() string {
	token := rand.Text() + rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made[sha256.Sum256([]byte(token))] = s.clock.boot()
	return token
}

// Check tells whether a session is there, and fresh.
func (s *sessions) Check(token string) (fresh, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.made[sha256.Sum256([]byte(token))]
	return ok && s.clock.boot()-at < freshFor, ok
}

// Clear ends all of them.
func (s *sessions) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.made)
}
