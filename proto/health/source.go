package health

import (
	"strconv"
	"unicode/utf8"

	pb "healthledger/proto/healthledger/v1"

	"google.golang.org/protobuf/proto"
)

// checkSource checks who measured; nil is allowed.
func checkSource(s *pb.Source, p Policy) *FieldError {
	if s == nil {
		return nil
	}
	if err := checkSourceFields(s, p); err != nil {
		return err
	}
	if n := proto.Size(s); n > MaxSource {
		return refuse("source", strconv.Itoa(n), "more than "+strconv.Itoa(MaxSource)+" bytes")
	}
	return nil
}

func checkSourceFields(s *pb.Source, p Policy) *FieldError {
	if hasUnknown(s) {
		return refuse("source", "", whyUnknown)
	}
	if s.App != "" && !p.Importer {
		return refuse("source.app", s.App, whyLedger)
	}
	if s.Importer != "" {
		return refuse("source.importer", s.Importer, whyLedger)
	}
	for _, f := range [...]struct{ name, value string }{
		{"source.app", s.App}, {"source.name", s.Name}, {"source.version", s.Version},
		{"source.productType", s.ProductType}, {"source.osVersion", s.OsVersion},
	} {
		if err := checkText(f.name, f.value); err != nil {
			return err
		}
	}
	return checkDevice(s.Device)
}

func checkDevice(d *pb.Device) *FieldError {
	if d == nil {
		return nil
	}
	if hasUnknown(d) {
		return refuse("device", "", whyUnknown)
	}
	if len(d.Other) > MaxOther {
		return refuse("device.other", strconv.Itoa(len(d.Other)), "more than "+strconv.Itoa(MaxOther)+" entries")
	}
	for _, text := range d.Other {
		if text == "" {
			return refuse("device.other", "", "an entry is empty")
		}
		if err := checkText("device.other", text); err != nil {
			return err
		}
	}
	set := len(d.Other) > 0
	for _, f := range [...]struct{ name, value string }{
		{"device.name", d.Name}, {"device.manufacturer", d.Manufacturer}, {"device.model", d.Model},
		{"device.hardwareVersion", d.HardwareVersion}, {"device.firmwareVersion", d.FirmwareVersion},
		{"device.softwareVersion", d.SoftwareVersion}, {"device.localIdentifier", d.LocalIdentifier},
		{"device.udiDeviceIdentifier", d.UdiDeviceIdentifier},
	} {
		if err := checkText(f.name, f.value); err != nil {
			return err
		}
		set = set || f.value != ""
	}
	if !set {
		return refuse("device", "", "at least one of its fields must be set")
	}
	return nil
}

func checkText(field, text string) *FieldError {
	if len(text) > MaxText {
		return refuse(field, text, "longer than "+strconv.Itoa(MaxText)+" bytes")
	}
	if !utf8.ValidString(text) {
		return refuse(field, text, "not UTF-8")
	}
	return nil
}

// appendSource appends a form of a source by which equal ones are found. No
// source and an empty one are the same. It is used in memory only.
func appendSource(b []byte, s *pb.Source) []byte {
	b = appendText(b, s.GetName())
	b = appendText(b, s.GetApp())
	b = appendText(b, s.GetVersion())
	b = appendText(b, s.GetProductType())
	b = appendText(b, s.GetOsVersion())
	d := s.GetDevice()
	if d == nil {
		return b
	}
	for _, text := range [...]string{d.Name, d.Manufacturer, d.Model, d.HardwareVersion, d.FirmwareVersion,
		d.SoftwareVersion, d.LocalIdentifier, d.UdiDeviceIdentifier} {
		b = appendText(b, text)
	}
	for _, text := range d.Other {
		b = appendText(b, text)
	}
	return b
}
