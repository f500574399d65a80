package apple

import (
	"strings"

	pb "healthledger/proto/healthledger/v1"
)

// An export prints a device as
//
//	<<HKDevice: 0x3035d0460>, name:Apple Watch, manufacturer:Apple Inc., hardware:Watch6,10>
//
// The address differs in every export and says nothing. Values contain commas, so a
// property begins only after ", " and with something that looks like a name.

// parseDevice reads the decoded text of a device attribute. What is not in that form
// is kept whole in Other; nothing but an address gives nil.
func parseDevice(s string) *pb.Device {
	body, ok := strings.CutPrefix(s, "<<HKDevice: ")
	if !ok {
		return other(s)
	}
	address, body, ok := strings.Cut(body, ">")
	if !ok || !isAddress(address) {
		return other(s)
	}
	body, ok = strings.CutSuffix(body, ">")
	if !ok {
		return other(s)
	}
	body = strings.TrimPrefix(body, ", ")
	if body == "" {
		return nil
	}
	device := &pb.Device{}
	for body != "" {
		var property string
		property, body = cutProperty(body)
		name, value, found := strings.Cut(property, ":")
		field := propertyField(device, name)
		switch {
		case found && field != nil && *field == "" && value != "":
			*field = value
		default:
			device.Other = append(device.Other, property)
		}
	}
	return device
}

func other(s string) *pb.Device {
	if s == "" {
		return nil
	}
	return &pb.Device{Other: []string{s}}
}

func isAddress(s string) bool {
	digits, ok := strings.CutPrefix(s, "0x")
	return ok && strings.Trim(digits, "0123456789abcdefABCDEF") == ""
}

// propertyField is where the value of a property goes, nil for other properties.
func propertyField(d *pb.Device, name string) *string {
	switch name {
	case "name":
		return &d.Name
	case "manufacturer":
		return &d.Manufacturer
	case "model":
		return &d.Model
	case "hardware":
		return &d.HardwareVersion
	case "firmware":
		return &d.FirmwareVersion
	case "software":
		return &d.SoftwareVersion
	case "localIdentifier":
		return &d.LocalIdentifier
	case "UDIDeviceIdentifier", "udiDeviceIdentifier":
		return &d.UdiDeviceIdentifier
	}
	return nil
}

// cutProperty returns the first property and what follows the comma after it.
func cutProperty(s string) (property, rest string) {
	for at := 0; ; {
		i := strings.Index(s[at:], ", ")
		if i < 0 {
			return s, ""
		}
		at += i
		if beginsProperty(s[at+2:]) {
			return s[:at], s[at+2:]
		}
		at += 2
	}
}

// longNames are the names of properties that are more than one word.
var longNames = []string{"creation date:", "FDA UDI:"}

// beginsProperty says whether a property begins here: a long name, or one word in
// ASCII letters.
func beginsProperty(s string) bool {
	for _, name := range longNames {
		if strings.HasPrefix(s, name) {
			return true
		}
	}
	letters := 0
	for letters < len(s) && (s[letters]|0x20 >= 'a' && s[letters]|0x20 <= 'z') {
		letters++
	}
	return letters > 0 && letters < len(s) && s[letters] == ':'
}
