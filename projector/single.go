package projector

import (
	"net"
	"sync"
	"sync/atomic"
)

// single is a listener that accepts one connection that is there already.
type single struct {
	conn   atomic.Pointer[net.Conn]
	addr   net.Addr
	once   sync.Once
	closed chan struct{}
}

func (s *single) Accept() (net.Conn, error) {
	if c := s.conn.Swap(nil); c != nil {
		return *c, nil
	}
	<-s.closed
	return nil, net.ErrClosed
}

func (s *single) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *single) Addr() net.Addr { return s.addr }
