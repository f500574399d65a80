package catalog

import (
	"strings"
	"testing"
)

func TestMetadataKeysOfBothFamilies(t *testing.T) {
	for key, want := range map[string]bool{
		"HKMenstrualCycleStart": true, "HKMetadataKeyMenstrualCycleStart": true,
		"MenstrualCycleStart": false, "HKMetadataKey": false, "HKMenstrualCycleStarts": false, "": false,
	} {
		if IsMetadataKey(key, "MenstrualCycleStart") != want {
			t.Errorf("IsMetadataKey(%q) is %v", key, !want)
		}
		k, ok := LookupMetadata(key)
		if ok != want || ok && (k.Name != "MenstrualCycleStart" || k.Type != Boolean) {
			t.Errorf("LookupMetadata(%q) = %v, %v", key, k, ok)
		}
	}
}

func TestEveryMetadataKeyIsWhole(t *testing.T) {
	keys := MetadataKeys()
	if len(keys) != 71 {
		t.Errorf("%d keys", len(keys)) // spec 3.4
	}
	for _, k := range keys {
		name := k.Name
		if got, ok := LookupMetadata("HKMetadataKey" + name); !ok || got != k || (k.Type == Enum) != (len(k.Values) > 0) || k.Type.String() == "" {
			t.Errorf("%s: %+v", name, k)
		}
	}
	for _, ty := range All() {
		for _, name := range ty.Requires {
			if _, ok := LookupMetadata("HK" + name); !ok {
				t.Errorf("%s requires the unknown key %s", ty, name)
			}
		}
	}
	activity, _ := LookupMetadata("HKActivityType")
	if label, ok := activity.Label(37); !ok || label != "running" {
		t.Errorf("activity 37 is %q", label)
	}
}

func TestBrokenMetadataTablesAreRefused(t *testing.T) {
	const header, good = "name,type,unit,values\n", "A,text,,\n"
	for name, text := range map[string]string{
		"header": good, "twice": header + good + good, "type": header + "A,word,,\n", "no type": header + "A,,,\n",
		"enum without values": header + "A,enum,,\n", "values of a text": header + "A,text,,a=1\n",
		"unit of a text": header + "A,text,m,\n", "values": header + "A,enum,,a\n", "columns": header + "A\n",
	} {
		if _, err := parseMetadata(text); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := parseMetadata(header + good + strings.ReplaceAll(good, "A", "B")); err != nil {
		t.Error(err)
	}
}
