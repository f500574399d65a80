package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
)

// All stores of a data directory are written with the daemon's one key, and each owner decides
// for his own store which key that is. While the key is being replaced there are two:
//
//	device.key           what stores are written with whose owner has not enrolled the next one
//	device.key.next      what the others are written with, and new ones
//	device.key.old       the one before, until it is overwritten
//
// When no store needs device.key any more, the next one takes its place and it is destroyed. Which
// key a store is written with says its log: a crash at any point leaves what the next start needs.
const (
	deviceFile = "device.key"
	nextDevice = deviceFile + ".next"
	oldDevice  = deviceFile + ".old"
)

// devices are the keys of this daemon.
type devices struct {
	dir string

	mu sync.Mutex
	// keys has the one in use, and behind it the next one, if there is one.
	keys []*seal.DeviceKey
	// retired keys are not on the disk any more. Calls that are under way may use them.
	retired []*seal.DeviceKey
}

// openDevices reads the keys of a data directory, and makes the first one.
func openDevices(dir string) (*devices, error) {
	d := &devices{dir: dir}
	if err := d.destroyOld(); err != nil {
		return nil, err
	}
	key, err := readDevice(filepath.Join(dir, deviceFile))
	if errors.Is(err, fs.ErrNotExist) {
		key, err = newDevice(filepath.Join(dir, deviceFile))
	}
	if err != nil {
		return nil, err
	}
	d.keys = append(d.keys, key)
	next, err := readDevice(filepath.Join(dir, nextDevice))
	switch {
	case err == nil:
		d.keys = append(d.keys, next)
	case !errors.Is(err, fs.ErrNotExist):
		d.close()
		return nil, err
	}
	return d, nil
}

func readDevice(path string) (*seal.DeviceKey, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	defer clear(content)
	key, err := seal.ParseDeviceKey(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return key, nil
}

func newDevice(path string) (*seal.DeviceKey, error) {
	key, err := seal.NewDeviceKey()
	if err != nil {
		return nil, err
	}
	encoded := key.Encode()
	defer encoded.Destroy()
	if err := log.WriteFile(path, encoded.Bytes()); err != nil {
		key.Destroy()
		return nil, err
	}
	return key, nil
}

// newest returns the key that owners enrol.
func (d *devices) newest() *seal.DeviceKey {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.keys[len(d.keys)-1]
}

// public returns what owners enrol of each key.
func (d *devices) public() []*pb.DeviceEnrolled {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []*pb.DeviceEnrolled
	for _, key := range d.keys {
		all = append(all, enrolment(key))
	}
	return all
}

// find returns the key that an owner has enrolled, nil if it is none of this daemon's.
func (d *devices) find(enrolled *pb.DeviceEnrolled) *seal.DeviceKey {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, key := range d.keys {
		if isDevice(enrolled, key) {
			return key
		}
	}
	return nil
}

// stage returns the next key, which it makes if there is none.
func (d *devices) stage() (*seal.DeviceKey, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.keys) == 2 {
		return d.keys[1], nil
	}
	key, err := newDevice(filepath.Join(d.dir, nextDevice))
	if err != nil {
		return nil, err
	}
	d.keys = append(d.keys, key)
	return key, nil
}

// drop destroys the next key.
func (d *devices) drop() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.keys) < 2 {
		return nil
	}
	if err := log.DestroyFile(filepath.Join(d.dir, nextDevice)); err != nil {
		return err
	}
	d.retired, d.keys = append(d.retired, d.keys[1]), d.keys[:1]
	return nil
}

// promote puts the next key in the place of the one in use, which it destroys.
func (d *devices) promote() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.keys) < 2 {
		return nil
	}
	current, next, old := filepath.Join(d.dir, deviceFile), filepath.Join(d.dir, nextDevice), filepath.Join(d.dir, oldDevice)
	// A rename takes the only name of what it replaces, and what has no name cannot be overwritten.
	if err := os.Link(current, old); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.Rename(next, current); err != nil {
		return err
	}
	d.retired, d.keys = append(d.retired, d.keys[0]), d.keys[1:]
	return d.destroyOld()
}

// destroyOld destroys the key before, but takes away only the name where it is a second one of
// the key in use.
func (d *devices) destroyOld() error {
	path := filepath.Join(d.dir, oldDevice)
	old, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if current, err := os.Lstat(filepath.Join(d.dir, deviceFile)); err == nil && os.SameFile(old, current) {
		return os.Remove(path)
	}
	return log.DestroyFile(path)
}

func (d *devices) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, key := range slices.Concat(d.keys, d.retired) {
		key.Destroy()
	}
	d.keys, d.retired = nil, nil
}

// A deviceOpener opens what is sealed to any of a daemon's keys.
type deviceOpener []*seal.Opener

func (d *devices) opener(store seal.StoreID, wraps seal.WrapSource) deviceOpener {
	d.mu.Lock()
	defer d.mu.Unlock()
	var o deviceOpener
	for _, key := range d.keys {
		o = append(o, key.Opener(store, wraps))
	}
	return o
}

// Open returns what is sealed in a segment. Errors: those of seal.Opener.
func (o deviceOpener) Open(segment seal.Segment, sequence uint64) (body []byte, err error) {
	for _, opener := range o {
		body, err = opener.Open(segment, sequence, nil)
		if !errors.Is(err, seal.ErrNotRecipient) {
			break
		}
	}
	return body, err
}

func (o deviceOpener) Destroy() {
	for _, opener := range o {
		opener.Destroy()
	}
}

// isDevice tells whether an enrolment is of a device key.
func isDevice(d *pb.DeviceEnrolled, device *seal.DeviceKey) bool {
	return d != nil && bytes.Equal(d.GetSigningKey(), device.SigningKey()) && bytes.Equal(d.GetSealingKey(), device.SealingKey())
}

// Device returns the public keys that an owner enrols.
func (l *Ledger) Device() *pb.DeviceEnrolled { return enrolment(l.devices.newest()) }

func enrolment(key *seal.DeviceKey) *pb.DeviceEnrolled {
	return &pb.DeviceEnrolled{SigningKey: key.SigningKey(), SealingKey: key.SealingKey()}
}

// ReplaceDevice returns the public keys of the next device key, which it makes unless there is one.
func (l *Ledger) ReplaceDevice() (*pb.DeviceEnrolled, error) {
	key, err := l.devices.stage()
	if err != nil {
		return nil, fmt.Errorf("replace device key: %w", err)
	}
	return enrolment(key), nil
}

// WrittenWith tells whether the owner has enrolled these keys last.
func (s *Store) WrittenWith(device *pb.DeviceEnrolled) bool {
	return proto.Equal(s.state.Device(), device)
}

// SettleDevice finishes the replacement of the device key once no store is written with the one
// before, and returns how many still are; a store that cannot be served or whose log is damaged
// counts, for nobody knows.
func (l *Ledger) SettleDevice() (left int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	left, _, err = l.settleDevice()
	return left, err
}

func (l *Ledger) settleDevice() (left, taken int, err error) {
	if l.devices.count() < 2 {
		return 0, 0, nil
	}
	next := l.devices.newest()
	for _, s := range l.stores {
		switch d := s.state.Device(); {
		case s.damage != nil: // unsure counts it
		case isDevice(d, next):
			taken++
		case l.devices.find(d) != nil:
			left++
		}
	}
	left += l.unsure()
	if left == 0 && taken > 0 {
		err = l.devices.promote()
	}
	return left, taken, err
}

// settleDevices does at the start what a crash has left of a replacement. A next key that nobody
// has enrolled is destroyed.
func (l *Ledger) settleDevices() error {
	_, taken, err := l.settleDevice()
	if err == nil && taken == 0 && l.unsure() == 0 {
		err = l.devices.drop()
	}
	return err
}

func (d *devices) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.keys)
}
