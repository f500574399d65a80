package cryptfs

import (
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// plainFile is a file whose name is all it says. It takes no content, so that
// nothing is ever written in the clear, and gives none.
type plainFile struct {
	vfs.File
	path string
}

// directory is a handle for syncing.
type directory struct {
	vfs.File
	path string
}

// fileInfo replaces the size on disk by the size of the content.
type fileInfo struct {
	vfs.FileInfo
	size int64
}

func (i fileInfo) Size() int64 { return i.size }

func (p *plainFile) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	return 0, unsupported("write to a file that carries nothing but its name", p.path)
}

func (p *plainFile) WriteAt([]byte, int64) (int, error) { return 0, unsupported("write at", p.path) }
func (p *plainFile) Read([]byte) (int, error)           { return 0, io.EOF }
func (p *plainFile) ReadAt([]byte, int64) (int, error)  { return 0, io.EOF }
func (p *plainFile) Fd() uintptr                        { return vfs.InvalidFd }

func (d *directory) Write([]byte) (int, error) { return 0, unsupported("write to a directory", d.path) }
func (d *directory) WriteAt([]byte, int64) (int, error) {
	return 0, unsupported("write to a directory", d.path)
}
func (d *directory) Read([]byte) (int, error) { return 0, unsupported("read from a directory", d.path) }
func (d *directory) ReadAt([]byte, int64) (int, error) {
	return 0, unsupported("read from a directory", d.path)
}
func (d *directory) Fd() uintptr { return vfs.InvalidFd }
