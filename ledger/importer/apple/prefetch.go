package apple

import "io"

// prefetch reads ahead in a goroutine of its own, so that decompression and scanning
// run side by side. It is an io.Reader for one goroutine.
type prefetch struct {
	full  chan chunk
	free  chan []byte
	stop  chan struct{}
	done  chan struct{}
	chunk chunk
	at    int
}

type chunk struct {
	bytes []byte
	err   error
}

const (
	chunkSize = 256 << 10
	chunks    = 8
	// maxReads fill one chunk, or it goes on its way half full.
	maxReads = 1000
)

func newPrefetch(r io.Reader) *prefetch {
	p := &prefetch{
		full: make(chan chunk, chunks), free: make(chan []byte, chunks),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	for range chunks {
		p.free <- make([]byte, chunkSize)
	}
	go p.run(r)
	return p
}

func (p *prefetch) run(r io.Reader) {
	defer close(p.done)
	for {
		var buf []byte
		select {
		case buf = <-p.free:
		case <-p.stop:
			return
		}
		n, err := 0, error(nil)
		for range maxReads {
			var m int
			m, err = r.Read(buf[n:chunkSize])
			if n += m; err != nil || n == chunkSize {
				break
			}
		}
		p.full <- chunk{buf[:n], err}
		if err != nil {
			return
		}
	}
}

func (p *prefetch) Read(b []byte) (int, error) {
	if p.at == len(p.chunk.bytes) {
		if p.chunk.err != nil {
			return 0, p.chunk.err
		}
		if p.chunk.bytes != nil {
			p.free <- p.chunk.bytes[:chunkSize]
		}
		p.chunk, p.at = <-p.full, 0
	}
	n := copy(b, p.chunk.bytes[p.at:])
	p.at += n
	return n, nil
}

// close ends the goroutine and waits for it.
func (p *prefetch) close() {
	close(p.stop)
	<-p.done
}
