package applexml

import (
	"strings"

	pb "healthledger/proto/healthledger/v1"
)

// source adds who measured, as far as the format says it.
func (e *exporter) source(x *element, s *pb.Source) {
	x.set("sourceName", s.GetName())
	x.set("sourceVersion", s.GetVersion())
	x.set("device", device(s.GetDevice()))
	e.countSource(s)
	for _, other := range s.GetDevice().GetOther() {
		if !strings.Contains(other, ":") {
			e.report.Changed["nameless property of a device, which runs into the one before"]++
		}
	}
}

func (e *exporter) countSource(s *pb.Source) {
	if s.GetApp() != "" {
		e.report.Changed["app of a source"]++
	}
	if s.GetProductType() != "" || s.GetOsVersion() != "" {
		e.report.Changed["product type or system version of a source"]++
	}
}

// device prints a device as the Health app does, but for the address in memory, which
// says nothing:
//
//	<<HKDevice: 0x0>, name:Apple Watch, manufacturer:Apple Inc., hardware:Watch6,10>
//
// One that an import could not take apart comes back as it was.
func device(d *pb.Device) string {
	if d == nil {
		return ""
	}
	var b strings.Builder
	b.WriteString("<<HKDevice: 0x0>")
	for _, p := range []struct{ name, value string }{
		{"name", d.Name}, {"manufacturer", d.Manufacturer}, {"model", d.Model}, {"hardware", d.HardwareVersion},
		{"firmware", d.FirmwareVersion}, {"software", d.SoftwareVersion}, {"localIdentifier", d.LocalIdentifier},
		{"UDIDeviceIdentifier", d.UdiDeviceIdentifier},
	} {
		if p.value != "" {
			b.WriteString(", " + p.name + ":" + p.value)
		}
	}
	if b.Len() == len("<<HKDevice: 0x0>") && len(d.Other) == 1 {
		return d.Other[0]
	}
	for _, other := range d.Other {
		b.WriteString(", " + other)
	}
	b.WriteByte('>')
	return b.String()
}
