package health

import (
	"math"
	"testing"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

func number(key string, v float64) *pb.MetadataEntry {
	return &pb.MetadataEntry{Key: key, Value: &pb.MetadataEntry_Number{Number: v}}
}

func TestSyncOf(t *testing.T) {
	const id, version = "HKSyncIdentifier", "HKSyncVersion"
	const newID, newVersion = "HKMetadataKeySyncIdentifier", "HKMetadataKeySyncVersion"
	for name, c := range map[string]struct {
		entries []*pb.MetadataEntry
		want    string
		version int64
		ok      bool
	}{
		"old keys":           {[]*pb.MetadataEntry{entry(id, "a"), number(version, 3)}, "a", 3, true},
		"new keys":           {[]*pb.MetadataEntry{number(newVersion, -1), entry("x", "y"), entry(newID, "a")}, "a", -1, true},
		"text version":       {[]*pb.MetadataEntry{entry(id, "a"), entry(version, "9007199254740993")}, "a", 1<<53 + 1, true},
		"first of several":   {[]*pb.MetadataEntry{entry(id, "a"), entry(id, "b"), number(version, 1), number(version, 2)}, "a", 1, true},
		"none":               {nil, "", 0, false},
		"only identifier":    {[]*pb.MetadataEntry{entry(id, "a")}, "", 0, false},
		"only version":       {[]*pb.MetadataEntry{number(version, 1)}, "", 0, false},
		"empty":              {[]*pb.MetadataEntry{entry(id, ""), number(version, 1)}, "", 0, false},
		"identifier number":  {[]*pb.MetadataEntry{number(id, 1), number(version, 1)}, "", 0, false},
		"fraction":           {[]*pb.MetadataEntry{entry(id, "a"), number(version, 1.5)}, "", 0, false},
		"beyond 2^53":        {[]*pb.MetadataEntry{entry(id, "a"), number(version, 1<<54)}, "", 0, false},
		"infinite":           {[]*pb.MetadataEntry{entry(id, "a"), number(version, math.Inf(1))}, "", 0, false},
		"not decimal":        {[]*pb.MetadataEntry{entry(id, "a"), entry(version, "0x1")}, "", 0, false},
		"leading zero":       {[]*pb.MetadataEntry{entry(id, "a"), entry(version, "01")}, "", 0, false},
		"version a quantity": {[]*pb.MetadataEntry{entry(id, "a"), {Key: version, Value: &pb.MetadataEntry_Quantity{}}}, "", 0, false},
	} {
		got, v, ok := SyncOf(c.entries)
		if got != c.want || v != c.version || ok != c.ok {
			t.Errorf("%s: %q, %d, %v", name, got, v, ok)
		}
	}
}

func TestIdentityOf(t *testing.T) {
	body := map[string]*pb.Sample{
		"activitySummary":         {Object: &pb.Sample_ActivitySummary{ActivitySummary: &pb.ActivitySummary{Day: "2024-05-01"}}},
		"userAnnotatedMedication": {Object: &pb.Sample_Medication{Medication: &pb.Medication{Concept: "c1"}}},
	}
	want := map[string]string{"activitySummary": "2024-05-01", "userAnnotatedMedication": "c1"}
	for _, ty := range catalog.All() {
		got, ok := IdentityOf(ty, body[ty.Short()])
		_, named := want[ty.Short()]
		if ok != (named || ty.Kind == catalog.Characteristic) || got != want[ty.Short()] {
			t.Errorf("%s: %q, %v", ty, got, ok)
		}
	}
}
