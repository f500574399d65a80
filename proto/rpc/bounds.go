package rpc

import (
	"sync"

	"connectrpc.com/connect"

	pb "healthledger/proto/healthledger/v1"
)

// bounds limit what is under way at once. A key may have as much as it leaves free for all
// others: n keys that take whatever they get have 1/(n+1) of it each, and as much is left
// for whoever comes next.
type bounds struct {
	requests, bytes int64 // at most

	mu    sync.Mutex
	all   load
	byKey map[string]*load
}

// load is what is under way.
type load struct{ requests, bytes int64 }

func newBounds(requests int, bytes int64) *bounds {
	return &bounds{requests: int64(requests), bytes: bytes, byKey: map[string]*load{}}
}

// take lets a request of so many bytes in, or refuses it with ReasonBusy.
func (b *bounds) take(key string, bytes int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var own load
	if l := b.byKey[key]; l != nil {
		own = *l
	}
	if own.requests+1 > b.requests-b.all.requests || own.bytes+bytes > b.bytes-b.all.bytes {
		return Error(connect.CodeResourceExhausted, &pb.ErrorDetail{Reason: ReasonBusy}, "too many requests at once")
	}
	b.add(key, load{1, bytes})
	return nil
}

// settle says how many bytes a request has that was let in with others.
func (b *bounds) settle(key string, taken, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(key, load{0, bytes - taken})
}

// leave ends a request of so many bytes.
func (b *bounds) leave(key string, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(key, load{-1, -bytes})
}

// add needs mu.
func (b *bounds) add(key string, l load) {
	own := b.byKey[key]
	if own == nil {
		own = new(load)
		b.byKey[key] = own
	}
	for _, sum := range []*load{own, &b.all} {
		sum.requests += l.requests
		sum.bytes += l.bytes
	}
	if own.requests == 0 {
		delete(b.byKey, key)
	}
}
