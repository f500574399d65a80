package view

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "healthledger/proto/healthledger/v1"
)

// Sources and metadata lie in the view, and are compared, in a form of their own: of
// one content there is one form, whatever version of the protobuf runtime wrote the
// log. A text is its length and its bytes.

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// appendSource encodes who measured; the app only if an import brought it. An absent
// source is an empty one, and so is an empty device.
func appendSource(dst []byte, s *pb.Source) []byte {
	return appendDevice(appendKin(dst, s), s.GetDevice())
}

// appendKin encodes a source without its device.
func appendKin(dst []byte, s *pb.Source) []byte {
	dst = appendText(dst, s.GetName())
	dst = appendText(dst, s.GetApp())
	dst = appendText(dst, s.GetVersion())
	dst = appendText(dst, s.GetProductType())
	return appendText(dst, s.GetOsVersion())
}

func appendDevice(dst []byte, d *pb.Device) []byte {
	for _, field := range []string{
		d.GetName(), d.GetManufacturer(), d.GetModel(), d.GetHardwareVersion(), d.GetFirmwareVersion(),
		d.GetSoftwareVersion(), d.GetLocalIdentifier(), d.GetUdiDeviceIdentifier(),
	} {
		dst = appendText(dst, field)
	}
	dst = binary.AppendUvarint(dst, uint64(len(d.GetOther())))
	for _, other := range d.GetOther() {
		dst = appendText(dst, other)
	}
	return dst
}

func readSource(b []byte) (*pb.Source, bool) {
	r := reader{b: b}
	s := &pb.Source{Name: r.text(), App: r.text(), Version: r.text(), ProductType: r.text(), OsVersion: r.text()}
	d := &pb.Device{
		Name: r.text(), Manufacturer: r.text(), Model: r.text(), HardwareVersion: r.text(), FirmwareVersion: r.text(),
		SoftwareVersion: r.text(), LocalIdentifier: r.text(), UdiDeviceIdentifier: r.text(),
	}
	for range r.count() {
		d.Other = append(d.Other, r.text())
	}
	if !r.done() {
		return nil, false
	}
	// Ten empty texts and no properties: no device.
	if d.Name+d.Manufacturer+d.Model+d.HardwareVersion+d.FirmwareVersion+d.SoftwareVersion+
		d.LocalIdentifier+d.UdiDeviceIdentifier != "" || len(d.Other) > 0 {
		s.Device = d
	}
	return s, true
}

// The kinds of metadata values.
const (
	metadataNone byte = iota
	metadataText
	metadataNumber
	metadataDate
	metadataQuantity
)

func appendMetadata(dst []byte, m *pb.Metadata) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(m.GetEntries())))
	for _, e := range m.GetEntries() {
		dst = appendText(dst, e.GetKey())
		switch v := e.GetValue().(type) {
		case *pb.MetadataEntry_Text:
			dst = appendText(append(dst, metadataText), v.Text)
		case *pb.MetadataEntry_Number:
			dst = appendReal(append(dst, metadataNumber), v.Number)
		case *pb.MetadataEntry_Date:
			dst = binary.AppendVarint(append(dst, metadataDate), v.Date.GetSeconds())
			dst = binary.AppendVarint(dst, int64(v.Date.GetNanos()))
		case *pb.MetadataEntry_Quantity:
			dst = appendReal(append(dst, metadataQuantity), v.Quantity.GetValue())
			dst = appendText(dst, v.Quantity.GetUnit())
		default:
			dst = append(dst, metadataNone)
		}
	}
	return dst
}

func appendReal(dst []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(v))
}

func readMetadata(b []byte) ([]*pb.MetadataEntry, bool) {
	r := reader{b: b}
	var entries []*pb.MetadataEntry
	for range r.count() {
		e := &pb.MetadataEntry{Key: r.text()}
		switch r.byte() {
		case metadataText:
			e.Value = &pb.MetadataEntry_Text{Text: r.text()}
		case metadataNumber:
			e.Value = &pb.MetadataEntry_Number{Number: r.real()}
		case metadataDate:
			seconds, nanos := r.varint(), r.varint()
			if nanos != int64(int32(nanos)) {
				return nil, false
			}
			e.Value = &pb.MetadataEntry_Date{Date: &timestamppb.Timestamp{Seconds: seconds, Nanos: int32(nanos)}}
		case metadataQuantity:
			e.Value = &pb.MetadataEntry_Quantity{Quantity: &pb.Quantity{Value: r.real(), Unit: r.text()}}
		case metadataNone:
		default:
			return nil, false
		}
		if r.bad {
			return nil, false
		}
		entries = append(entries, e)
	}
	return entries, r.done()
}

// reader takes values off the front of a row. After the first that is not there
// everything it returns is zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) real() float64 {
	if b := r.take(8); b != nil {
		return math.Float64frombits(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	u, n := binary.Uvarint(r.b)
	if r.bad || n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return u
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if r.bad || n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count is how many things follow; each takes a byte at least.
func (r *reader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad = true
		return 0
	}
	return int(n)
}

func (r *reader) text() string {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad = true
		return ""
	}
	return string(r.take(int(n)))
}

func (r *reader) uvarint32() uint32 {
	u := r.uvarint()
	r.bad = r.bad || u > math.MaxUint32
	return uint32(u)
}

func (r *reader) done() bool { return !r.bad && len(r.b) == 0 }
