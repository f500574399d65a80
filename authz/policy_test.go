package authz

import (
	"regexp"
	"strings"
	"testing"

	"healthledger/authz/authztest"
	pb "healthledger/proto/healthledger/v1"
)

var blanks = regexp.MustCompile(`\[\[[^\]]*\]\]`)

// policyManifest says all that a policy tells, and has no hash yet.
func policyManifest(model string) *pb.Manifest {
	m := authztest.Manifest("org.example")
	m.Purposes = []string{"health", "research"}
	m.PrivacyPolicy = &pb.PrivacyPolicy{Url: "https://example.com/privacy", Model: model}
	m.Recipients = []*pb.Recipient{doctor, university}
	m.Research = &pb.Research{ConsentSha256: strings.Repeat("ab", 32), Protocol: "P-17", BoardApproval: "B-4", WithdrawUrl: "https://example.com/withdraw"}
	return m
}

func TestPoliciesSayWhatTheManifestSaysAndWhatTheirModelAsks(t *testing.T) {
	asked := map[string][]string{
		// ONC Model Privacy Notice, its sections.
		"phr": {
			"HIPAA", "What we use", "To whom we give", "sell", "Where we keep", "encrypted", "What else we look at", "What you can do", "When you stop",
			"When this notice changes", "If something happens", "Contact",
		},
		// 45 CFR 164.520(b)(1): header, uses and disclosures, rights, duties, complaints, contact, date.
		"hipaa": {
			"THIS NOTICE DESCRIBES HOW MEDICAL INFORMATION ABOUT YOU MAY BE USED AND DISCLOSED", "For treatment", "For payment", "For health care operations",
			"psychotherapy notes", "marketing", "revoke", "restrictions", "confidential communications", "see and copy", "amend", "accounting of disclosures", "on paper",
			"breach", "Secretary", "retaliate", "Contact", "Effective from",
			// Since February 2026.
			"42 CFR part 2", "legislative proceedings",
		},
	}
	for _, model := range models {
		m := policyManifest(model)
		text, err := PolicyTemplate(model, m)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range append(asked[model],
			m.Name, m.BundleId, m.PrivacyPolicy.Url, m.ReadUsageDescription, m.ShareUsageDescription, m.ClinicalUsageDescription, doctor.Name, doctor.Address,
			"health service", university.Name, "P-17", "B-4", m.Research.ConsentSha256, m.Research.WithdrawUrl, purposeTexts["health"], purposeTexts["research"],
		) {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not say %q", model, want)
			}
		}
		if strings.Contains(text, "<no value>") || strings.Contains(text, "\n\n\n") {
			t.Errorf("%s:\n%s", model, text)
		}
		if _, err := PolicyHash([]byte(text)); partOf(err) != "policy" {
			t.Errorf("%s has blanks, and is hashed: %v", model, err)
		}
		m.PrivacyPolicy.Sha256, err = PolicyHash([]byte(blanks.ReplaceAllString(text, "written")))
		if err != nil || CheckManifest(m) != nil {
			t.Error(model, err)
		}
	}
	for _, purpose := range purposes {
		if purposeTexts[purpose] == "" {
			t.Errorf("%s has no text", purpose)
		}
	}
}

func TestPoliciesOfWhatCannotBeRegisteredAreRefused(t *testing.T) {
	for part, change := range map[string]func(*pb.Manifest) string{
		"model":                func(*pb.Manifest) string { return "gdpr" },
		"privacy_policy.model": func(*pb.Manifest) string { return "hipaa" },
		"privacy_policy":       func(m *pb.Manifest) string { m.PrivacyPolicy = nil; return "phr" },
		"purposes[0]":          func(m *pb.Manifest) string { m.Purposes[0] = "advertising"; return "phr" },
	} {
		m := policyManifest("phr")
		if _, err := PolicyTemplate(change(m), m); partOf(err) != part {
			t.Errorf("%s: %v", part, err)
		}
	}
	for _, text := range []string{"", " \n", "\xff", "a\n[[ b ]]", strings.Repeat("a", MaxPolicy+1)} {
		if _, err := PolicyHash([]byte(text)); partOf(err) != "policy" {
			t.Errorf("%.20q is hashed", text)
		}
	}
}

func TestManifestTemplateIsOneWhenItsBlanksAreWritten(t *testing.T) {
	text := ManifestTemplate()
	for blank, value := range map[string]string{
		"[[ com.example.app ]]": "com.example.app", "[[ https://… where the text is ]]": "https://example.com/privacy", "sha256: [[ … ]]": "sha256: " + strings.Repeat("5e", 32),
	} {
		text = strings.Replace(text, blank, value, 1)
	}
	m, err := ParseManifest([]byte(blanks.ReplaceAllString(text, "written")))
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckManifest(m); err != nil {
		t.Error(err)
	}
	if _, err := ParseManifest([]byte(ManifestTemplate())); err == nil {
		t.Error("a manifest with blanks is taken")
	}
}
