package authz

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"healthledger/authz/authztest"
	pb "healthledger/proto/healthledger/v1"
)

// fullManifest has every part there is.
const fullManifest = `
# Comments are welcome.
bundle_id: com.example.study
name: Study
version: 1.0
share_usage_description: |
  Writes the doses that you confirm.
  No more.
readUsageDescription: "Reads how you sleep."
clinical_usage_description: Compares with your results.
purposes: [health, research]
privacy_policy:
  url: https://example.com/privacy
  model: hipaa
  sha256: 5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e
recipients:
- name: Clinic
  category: health_service
  address: Main Street 1
- {name: University, category: research, address: https://example.edu}
required_clinical_types: [labResultRecord, conditionRecord, medicationRecord]
research:
  consent_sha256: 5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e
  protocol: P-17
  board_approval: 2026/12
  withdraw_url: https://example.edu/withdraw
`

func full(t testing.TB) *pb.Manifest {
	t.Helper()
	m, err := ParseManifest([]byte(fullManifest))
	if err == nil {
		err = CheckManifest(m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestManifestIsReadAsItIsWritten(t *testing.T) {
	m := full(t)
	if m.GetVersion() != "1.0" || m.GetShareUsageDescription() != "Writes the doses that you confirm.\nNo more." ||
		m.GetReadUsageDescription() != "Reads how you sleep." || m.GetRecipients()[1].GetAddress() != "https://example.edu" ||
		m.GetResearch().GetBoardApproval() != "2026/12" || !slices.Equal(m.GetPurposes(), []string{"health", "research"}) {
		t.Errorf("%v", m)
	}
}

// What protobuf writes as JSON, in either spelling of names, is read as the same manifest.
func TestManifestInJSONIsTheSame(t *testing.T) {
	m := full(t)
	for _, names := range []bool{false, true} {
		text, err := protojson.MarshalOptions{UseProtoNames: names, Multiline: names}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseManifest(text); err != nil || !proto.Equal(again, m) {
			t.Errorf("%v\n%s", err, text)
		}
	}
}

// Every part that is missing, or is none of those that there are, is named.
func TestManifestsAreRefusedByThePart(t *testing.T) {
	if err := CheckManifest(authztest.Manifest("org.example")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		part  string
		spoil func(m *pb.Manifest)
	}{
		{"bundle_id", func(m *pb.Manifest) { m.BundleId = "" }},
		{"bundle_id", func(m *pb.Manifest) { m.BundleId = "com.example.*" }},
		{"name", func(m *pb.Manifest) { m.Name = "" }},
		{"name", func(m *pb.Manifest) { m.Name = "Study\x1b[2J" }},
		{"name", func(m *pb.Manifest) { m.Name = "Study\u202e" }},
		{"name", func(m *pb.Manifest) { m.Name = "Study\ncom.example.other" }},
		{"version", func(m *pb.Manifest) { m.Version = "" }},
		{"version", func(m *pb.Manifest) { m.Version = "1\n2" }},
		{"share_usage_description", func(m *pb.Manifest) {
			m.ShareUsageDescription, m.ReadUsageDescription, m.ClinicalUsageDescription = "", "", ""
		}},
		{"share_usage_description", func(m *pb.Manifest) { m.ShareUsageDescription = " " }},
		{"read_usage_description", func(m *pb.Manifest) { m.ReadUsageDescription = "" }},
		{"read_usage_description", func(m *pb.Manifest) { m.ReadUsageDescription = strings.Repeat("x", maxDescription+1) }},
		{"clinical_usage_description", func(m *pb.Manifest) { m.ClinicalUsageDescription = "" }},
		{"purposes", func(m *pb.Manifest) { m.Purposes = nil }},
		{"purposes[2]", func(m *pb.Manifest) { m.Purposes = append(m.Purposes, "health") }},
		{"purposes[1]", func(m *pb.Manifest) { m.Purposes[1] = "Health" }},
		{"privacy_policy", func(m *pb.Manifest) { m.PrivacyPolicy = nil }},
		{"privacy_policy.url", func(m *pb.Manifest) { m.PrivacyPolicy.Url = "" }},
		{"privacy_policy.url", func(m *pb.Manifest) { m.PrivacyPolicy.Url = "http://example.com" }},
		{"privacy_policy.url", func(m *pb.Manifest) { m.PrivacyPolicy.Url = "https:///privacy" }},
		{"privacy_policy.url", func(m *pb.Manifest) { m.PrivacyPolicy.Url = "https://a@example.com" }},
		{"privacy_policy.model", func(m *pb.Manifest) { m.PrivacyPolicy.Model = "" }},
		{"privacy_policy.model", func(m *pb.Manifest) { m.PrivacyPolicy.Model = "gdpr" }},
		{"privacy_policy.sha256", func(m *pb.Manifest) { m.PrivacyPolicy.Sha256 = "" }},
		{"privacy_policy.sha256", func(m *pb.Manifest) { m.PrivacyPolicy.Sha256 = strings.Repeat("5E", 32) }},
		{"privacy_policy.sha256", func(m *pb.Manifest) { m.PrivacyPolicy.Sha256 = "5e" }},
		{"recipients[0].name", func(m *pb.Manifest) { m.Recipients[0].Name = "" }},
		{"recipients[1].category", func(m *pb.Manifest) { m.Recipients[1].Category = "" }},
		{"recipients[0].name", func(m *pb.Manifest) { m.Recipients[0].Name = "Coach\nNobody else" }},
		{"recipients[1].address", func(m *pb.Manifest) { m.Recipients[1].Address = "" }},
		{"recipients[1].address", func(m *pb.Manifest) { m.Recipients[1].Address = "here\nthere" }},
		{"recipients[1].category", func(m *pb.Manifest) { m.Purposes, m.Research = []string{"health"}, nil }},
		{"recipients", func(m *pb.Manifest) { m.Recipients = slices.Repeat(m.Recipients, maxRecipients) }},
		{"required_clinical_types", func(m *pb.Manifest) { m.RequiredClinicalTypes = m.RequiredClinicalTypes[:2] }},
		{"required_clinical_types[2]", func(m *pb.Manifest) { m.RequiredClinicalTypes[2] = "labResultRecord" }},
		{"required_clinical_types[0]", func(m *pb.Manifest) { m.RequiredClinicalTypes[0] = "stepCount" }},
		{"research", func(m *pb.Manifest) { m.Research = nil }},
		{"research", func(m *pb.Manifest) { m.Purposes, m.Recipients = []string{"health"}, nil }},
		{"research.consent_sha256", func(m *pb.Manifest) { m.Research.ConsentSha256 = "" }},
		{"research.protocol", func(m *pb.Manifest) { m.Research.Protocol = "" }},
		{"research.protocol", func(m *pb.Manifest) { m.Research.Protocol = "1\n2" }},
		{"research.board_approval", func(m *pb.Manifest) { m.Research.BoardApproval = "" }},
		{"research.board_approval", func(m *pb.Manifest) { m.Research.BoardApproval = "1\n2" }},
		{"research.withdraw_url", func(m *pb.Manifest) { m.Research.WithdrawUrl = "mailto:a@example.com" }},
	} {
		m := full(t)
		c.spoil(m)
		if err := CheckManifest(m); partOf(err) != c.part {
			t.Errorf("%s: %v", c.part, err)
		}
	}
}

// There is no word for what must never be asked for, in whatever part.
func TestAdvertisingSaleAndBrokerageHaveNoSpelling(t *testing.T) {
	for _, word := range []string{"advertising", "ads", "ad_network", "marketing", "sale", "resale", "reseller", "broker", "data_broker", "data_brokerage", "insurance"} {
		m := full(t)
		m.Purposes[0] = word
		if err := CheckManifest(m); partOf(err) != "purposes[0]" || !strings.Contains(err.Error(), "health, fitness, research, personal_export") {
			t.Errorf("%v", err)
		}
		m = full(t)
		m.Recipients[0].Category = word
		if err := CheckManifest(m); partOf(err) != "recipients[0].category" || !strings.Contains(err.Error(), "health_service, fitness_service, research") {
			t.Errorf("%v", err)
		}
		if _, err := ParseManifest(fmt.Appendf([]byte(fullManifest), "%s: true\n", word)); partOf(err) != word {
			t.Errorf("%v", err)
		}
	}
}

func TestManifestsThatAreNotWrittenAsTheyShouldBe(t *testing.T) {
	for part, text := range map[string]string{
		"manifest":                   "",
		"recipients[0].nam":          "recipients: [{nam: x}]",
		"name":                       "name: [a]",
		"version":                    "version: {a: b}",
		"purposes":                   "purposes: health",
		"purposes[1]":                "purposes: [health, {a: b}]",
		"recipients[0]":              "recipients: [x]",
		"research":                   "research: x",
		"privacy_policy.url":         "privacy_policy: {url: a, url: b}",
		"share_usage_description":    "share_usage_description: a\nshareUsageDescription: b",
		"bundle_id":                  "bundle_id: ~",
		"read_usage_description":     "name: &a x\nread_usage_description: *a",
		"clinical_usage_description": "clinical_usage_description: !!binary aGVsbG8=",
		"<<":                         "<<: {name: x}",
		"privacy_policy.sha256":      "privacy_policy: {sha256: !secret x}",
		"required_clinical_types[0]": "required_clinical_types: [~]",
	} {
		if _, err := ParseManifest([]byte(text)); partOf(err) != part {
			t.Errorf("%s: %v", part, err)
		}
	}
	for name, text := range map[string]string{
		"a list": "- a", "two documents": "name: a\n---\nname: b", "no YAML": "name: [", "no name": "{{}}", "an empty name": "'': x", "long": "name: " + strings.Repeat("x", MaxManifest),
		"many aliases": "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b]", "deep": strings.Repeat("[", 50_000),
	} {
		if _, err := ParseManifest([]byte(text)); partOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A manifest of any texts, written as JSON, comes back trimmed.
func TestManifestOfAnyTextsIsReadBack(t *testing.T) {
	text := rapid.StringMatching(`[ -~äöü漢]{0,20}`)
	rapid.Check(t, func(r *rapid.T) {
		m := &pb.Manifest{Name: text.Draw(r, "name"), Purposes: rapid.SliceOfN(text, 0, 3).Draw(r, "purposes")}
		written, err := json.Marshal(map[string]any{"name": m.GetName(), "purposes": m.GetPurposes()})
		if err != nil {
			r.Fatal(err)
		}
		if m.GetPurposes() == nil {
			written = []byte(strings.ReplaceAll(string(written), "null", "[]"))
		}
		m.Name = strings.TrimSpace(m.GetName())
		for i, p := range m.GetPurposes() {
			m.Purposes[i] = strings.TrimSpace(p)
		}
		if got, err := ParseManifest(written); err != nil || !proto.Equal(got, m) {
			r.Fatalf("%s: %v, %v", written, got, err)
		}
	})
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(fullManifest))
	f.Add([]byte(`{"bundleId": "a.b", "recipients": [{"name": "x"}], "research": {}}`))
	f.Add([]byte("name: &a x\nversion: *a\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ParseManifest(text)
		if err != nil {
			if partOf(err) == "" {
				t.Fatalf("no part is named: %v", err)
			}
			return
		}
		if err := CheckManifest(m); err != nil {
			if partOf(err) == "" {
				t.Fatalf("no part is named: %v", err)
			}
			return
		}
		written, err := protojson.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if len(written) > MaxManifest {
			return
		}
		if again, err := ParseManifest(written); err != nil || !proto.Equal(again, m) {
			t.Fatalf("%v\n%s", err, written)
		}
	})
}
