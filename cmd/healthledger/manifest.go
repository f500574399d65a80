package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"healthledger/authz"
	pb "healthledger/proto/healthledger/v1"
)

// readManifest reads an app's manifest from a file.
func readManifest(path string) (*pb.Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	// One byte more than there may be, so that it is seen to be too much.
	text, err := io.ReadAll(io.LimitReader(f, authz.MaxManifest+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	manifest, err := authz.ParseManifest(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return manifest, nil
}

// printManifest prints what an app says of itself.
func printManifest(out io.Writer, m *pb.Manifest) {
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(out, "%-9s %s\n", name, strings.ReplaceAll(printableLines(text), "\n", "\n          "))
		}
	}
	line("App", fmt.Sprintf("%s (%s %s)", m.GetBundleId(), m.GetName(), m.GetVersion()))
	line("To write", m.GetShareUsageDescription())
	line("To read", m.GetReadUsageDescription())
	line("Clinical", m.GetClinicalUsageDescription())
	if required := m.GetRequiredClinicalTypes(); len(required) > 0 {
		line("Needs", "all or none of "+strings.Join(required, ", "))
	}
	line("Purposes", strings.Join(m.GetPurposes(), ", "))
	policy := m.GetPrivacyPolicy()
	line("Policy", fmt.Sprintf("%s (%s, SHA-256 %s…)", policy.GetUrl(), policyModels[policy.GetModel()], policy.GetSha256()[:min(16, len(policy.GetSha256()))]))
	for _, r := range m.GetRecipients() {
		line("Hands to", describeRecipient(r))
	}
	if r := m.GetResearch(); r != nil {
		line("Research", fmt.Sprintf("protocol %s, approved as %s; withdraw at %s", r.GetProtocol(), r.GetBoardApproval(), r.GetWithdrawUrl()))
	}
}

// policyModels are the models of privacy policies in words.
var policyModels = map[string]string{"phr": "notice for personal health records", "hipaa": "HIPAA notice of privacy practices"}
