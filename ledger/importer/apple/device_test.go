package apple

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	pb "healthledger/proto/healthledger/v1"
)

func TestDevicePropertiesAreTakenApart(t *testing.T) {
	for text, want := range map[string]*pb.Device{
		"":                   nil,
		"<<HKDevice: 0x30>>": nil,
		"<<HKDevice: 0x3035d0460>, name:Apple Watch, manufacturer:Apple Inc., model:Watch, hardware:Watch6,10, software:10.6.1, creation date:2024-08-24 17:12:03 +0000>": {
			Name: "Apple Watch", Manufacturer: "Apple Inc.", Model: "Watch", HardwareVersion: "Watch6,10", SoftwareVersion: "10.6.1",
			Other: []string{"creation date:2024-08-24 17:12:03 +0000"},
		},
		"<<HKDevice: 0x1>, name:HEM-7361T, manufacturer:OMRON HEALTHCARE Co., Ltd., model:M7, firmware:1.2, localIdentifier:x, y, UDIDeviceIdentifier:00386>": {
			Name: "HEM-7361T", Manufacturer: "OMRON HEALTHCARE Co., Ltd.", Model: "M7", FirmwareVersion: "1.2", LocalIdentifier: "x, y", UdiDeviceIdentifier: "00386",
		},
		// A name may hold anything, and a repeated property is not lost.
		"<<HKDevice: 0x1>, name:A>B, C: D, radio:2.4 GHz, name:again, model:>": {
			Name: "A>B", Other: []string{"C: D", "radio:2.4 GHz", "name:again", "model:"},
		},
		// What is not in that form stays as it is.
		"<Watch6,4>":                         {Other: []string{"<Watch6,4>"}},
		"<<HKDevice: nil>, name:x>":          {Other: []string{"<<HKDevice: nil>, name:x>"}},
		"<<HKDevice: 0x1>, name:cut off":     {Other: []string{"<<HKDevice: 0x1>, name:cut off"}},
		"<<HKDevice: 0x1>, nothing we know>": {Other: []string{"nothing we know"}},
	} {
		if diff := cmp.Diff(want, parseDevice(text), protocmp.Transform()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestAddressesDoNotMakeSources(t *testing.T) {
	in := newInterner()
	source := func(device string) *source {
		return in.source([]byte("Watch"), []byte("10.4"), []byte(device))
	}
	a := source("&lt;&lt;HKDevice: 0x1&gt;, name:Apple Watch&gt;")
	if b := source("&lt;&lt;HKDevice: 0x30ffe&gt;, name:Apple Watch&gt;"); a != b {
		t.Error("another address is another source")
	}
	if b := source("&#60;<HKDevice: 0x30ffe&gt;, name:Apple Watch&gt;"[5:]); a == b {
		t.Error("a text that is no device string is the same source")
	}
	if b := source("&gt;, name:Apple Watch&gt;"); a.message == b.message {
		t.Error("what is left of a device string is the same source as the whole")
	}
	if b := source("&#60;&lt;HKDevice: 0x7&gt;, name:Apple Watch&gt;"); a.message != b.message {
		t.Error("equal sources are two messages")
	}
}

func TestCacheKeepsWhatIsInUse(t *testing.T) {
	c := newCache[int](4)
	for i := range 100 {
		c.put([]byte{byte(i)}, i)
		if i > 0 {
			if _, ok := c.get([]byte{0}); !ok {
				t.Fatalf("what is asked for every time was forgotten after %d", i)
			}
		}
	}
	if len(c.young)+len(c.old) > 10 {
		t.Errorf("the cache holds %d entries", len(c.young)+len(c.old))
	}
}
