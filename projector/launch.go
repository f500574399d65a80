package projector

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

// Launcher starts projectors as processes of their own.
type Launcher struct {
	// Path and Args of the program that calls Run; the socket is its descriptor 3.
	Path string
	Args []string
	// Env is their whole environment.
	Env []string
	// Stderr takes the projectors' logs.
	Stderr io.Writer
}

// Process is a running projector as its daemon sees it.
type Process struct {
	pb.ProjectorServiceClient
	conn net.Conn
	cmd  *exec.Cmd
	done chan struct{}
	once sync.Once
}

// Launch starts a projector. It is killed by the kernel if this process dies, and
// ends by itself when the socket closes.
func (l *Launcher) Launch(_ context.Context, config *pb.ProjectorConfig) (*Process, error) {
	content, err := proto.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("launch projector: %w", err)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("launch projector: socket pair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "projector"), os.NewFile(uintptr(fds[1]), "daemon")
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, fmt.Errorf("launch projector: %w", err)
	}
	p := &Process{conn: conn, done: make(chan struct{}), ProjectorServiceClient: serviceAt(conn)}
	p.cmd = exec.Command(l.Path, l.Args...)
	p.cmd.Stdin = bytes.NewReader(content)
	p.cmd.Stderr = l.Stderr
	p.cmd.ExtraFiles = []*os.File{theirs}
	p.cmd.Env = l.Env
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error)
	go func() {
		// The kernel sends the death signal when the thread that started the process
		// ends, so that thread stays until the process has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait()
			conn.Close()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		conn.Close()
		return nil, fmt.Errorf("launch projector: %w", err)
	}
	return p, nil
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// End closes the socket, at which the projector ends; one that has not after the
// context's end is killed. It returns when the process is gone.
func (p *Process) End(ctx context.Context) {
	p.once.Do(func() { p.conn.Close() })
	select {
	case <-p.done:
	case <-ctx.Done():
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}
