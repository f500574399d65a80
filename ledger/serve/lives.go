package serve

import (
	"context"
	"sync"
)

// lives are how long apps' calls may wait, by the apps' keys: until their credential is
// replaced, or they are removed. There is one for each app that has called.
type lives struct {
	mu sync.Mutex
	of map[string]life
}

type life struct {
	ctx context.Context
	end context.CancelFunc
}

func newLives() *lives { return &lives{of: map[string]life{}} }

// Of returns what ends with the app's credential. Whoever looks up the credential after
// that sees one that is good, or another.
func (l *lives) Of(key string) context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, ok := l.of[key]
	if !ok {
		found.ctx, found.end = context.WithCancel(context.Background())
		l.of[key] = found
	}
	return found.ctx
}

// End ends the calls of an app that wait. Its next ones have a life of their own.
func (l *lives) End(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if found, ok := l.of[key]; ok {
		found.end()
		delete(l.of, key)
	}
}
