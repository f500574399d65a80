package authz

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// The closed lists of a manifest (spec section 8). Advertising, sale and brokerage are in
// none of them: what has no word cannot be asked for.
var (
	purposes   = []string{"health", "fitness", "research", "personal_export"}
	categories = []string{"health_service", "fitness_service", "research"}
	models     = []string{"phr", "hipaa"}
)

const (
	maxDescription = 2000
	maxName        = 200
	maxRecipients  = 64
	// minRequired is how many clinical types are needed for "not all of them were granted"
	// not to tell which (spec section 1.7).
	minRequired = 3
)

// CheckManifest says what is missing in a manifest, or is not allowed in one. The error
// is a *DraftError that names the part.
func CheckManifest(m *pb.Manifest) error {
	for _, check := range []func(*pb.Manifest) error{
		checkIdentity, checkDescriptions, checkPurposes, checkPolicy, checkRecipients, checkRequired, checkResearch,
	} {
		if err := check(m); err != nil {
			return err
		}
	}
	return nil
}

// Explained says which requests of an app its manifest explains.
type Explained struct{ Share, Read, Clinical bool }

// Explains says which requests a manifest explains.
func Explains(m *pb.Manifest) Explained {
	return Explained{
		Share: m.GetShareUsageDescription() != "", Read: m.GetReadUsageDescription() != "", Clinical: m.GetClinicalUsageDescription() != "",
	}
}

func explainedOf(e *pb.Explained) Explained {
	return Explained{Share: e.GetShare(), Read: e.GetRead(), Clinical: e.GetClinical()}
}

func (e Explained) message() *pb.Explained {
	return &pb.Explained{Share: e.Share, Read: e.Read, Clinical: e.Clinical}
}

func checkIdentity(m *pb.Manifest) error {
	if len(m.GetBundleId()) > 155 || !bundleID.MatchString(m.GetBundleId()) {
		return &DraftError{"bundle_id", m.GetBundleId(), "a bundle id has two to ten parts of letters, digits and hyphens, joined by dots, 155 characters at most"}
	}
	if err := checkLine("name", m.GetName(), maxName); err != nil {
		return err
	}
	return checkLine("version", m.GetVersion(), maxName)
}

func checkDescriptions(m *pb.Manifest) error {
	for part, text := range map[string]string{
		"share_usage_description": m.GetShareUsageDescription(), "read_usage_description": m.GetReadUsageDescription(),
		"clinical_usage_description": m.GetClinicalUsageDescription(),
	} {
		if text == "" {
			continue
		}
		if err := checkText(part, text, maxDescription); err != nil {
			return err
		}
	}
	switch e := Explains(m); {
	case !e.Share && !e.Read:
		return &DraftError{"share_usage_description", "", "without it and read_usage_description there is nothing that the app could ask for"}
	case e.Clinical && !e.Read:
		return &DraftError{"read_usage_description", "", "missing, and clinical_usage_description needs it"}
	}
	return nil
}

func checkPurposes(m *pb.Manifest) error {
	if len(m.GetPurposes()) == 0 {
		return &DraftError{"purposes", "", "missing: name some of " + strings.Join(purposes, ", ")}
	}
	for i, purpose := range m.GetPurposes() {
		if err := checkOneOf(fmt.Sprintf("purposes[%d]", i), purpose, purposes); err != nil {
			return err
		}
		if slices.Contains(m.GetPurposes()[:i], purpose) {
			return &DraftError{fmt.Sprintf("purposes[%d]", i), purpose, "it is named twice"}
		}
	}
	return nil
}

func checkPolicy(m *pb.Manifest) error {
	policy := m.GetPrivacyPolicy()
	if policy == nil {
		return &DraftError{"privacy_policy", "", "missing"}
	}
	if err := checkURL("privacy_policy.url", policy.GetUrl()); err != nil {
		return err
	}
	if err := checkOneOf("privacy_policy.model", policy.GetModel(), models); err != nil {
		return err
	}
	return checkHash("privacy_policy.sha256", policy.GetSha256())
}

func checkRecipients(m *pb.Manifest) error {
	if len(m.GetRecipients()) > maxRecipients {
		return &DraftError{"recipients", "", fmt.Sprintf("more than %d", maxRecipients)}
	}
	for i, r := range m.GetRecipients() {
		part := fmt.Sprintf("recipients[%d].", i)
		if err := checkLine(part+"name", r.GetName(), maxName); err != nil {
			return err
		}
		if slices.ContainsFunc(m.GetRecipients()[:i], func(other *pb.Recipient) bool { return other.GetName() == r.GetName() }) {
			return &DraftError{part + "name", r.GetName(), "it is named twice"}
		}
		if err := checkOneOf(part+"category", r.GetCategory(), categories); err != nil {
			return err
		}
		if r.GetCategory() == "research" && !slices.Contains(m.GetPurposes(), "research") {
			return &DraftError{part + "category", "research", "research is not among the purposes"}
		}
		if err := checkLine(part+"address", r.GetAddress(), maxDescription); err != nil {
			return err
		}
	}
	return nil
}

func checkRequired(m *pb.Manifest) error {
	required := m.GetRequiredClinicalTypes()
	if len(required) == 0 {
		return nil
	}
	if len(required) < minRequired {
		return &DraftError{"required_clinical_types", "", fmt.Sprintf("at least %d, or none: of fewer it could be told which was refused", minRequired)}
	}
	if !Explains(m).Clinical {
		return &DraftError{"clinical_usage_description", "", "missing, and required_clinical_types needs it"}
	}
	seen := map[uint32]bool{}
	for i, name := range required {
		part := fmt.Sprintf("required_clinical_types[%d]", i)
		t, ok := catalog.Lookup(name)
		switch {
		case !ok || t.Kind != catalog.Clinical:
			return &DraftError{part, name, "not a clinical type"}
		case seen[t.Code]:
			return &DraftError{part, name, "it is named twice"}
		}
		seen[t.Code] = true
	}
	return nil
}

func checkResearch(m *pb.Manifest) error {
	research := m.GetResearch()
	switch wants := slices.Contains(m.GetPurposes(), "research"); {
	case wants && research == nil:
		return &DraftError{"research", "", "missing, and the purpose research needs it"}
	case !wants && research != nil:
		return &DraftError{"research", "", "research is not among the purposes"}
	case research == nil:
		return nil
	}
	if err := checkHash("research.consent_sha256", research.GetConsentSha256()); err != nil {
		return err
	}
	if err := checkLine("research.protocol", research.GetProtocol(), maxName); err != nil {
		return err
	}
	if err := checkLine("research.board_approval", research.GetBoardApproval(), maxName); err != nil {
		return err
	}
	return checkURL("research.withdraw_url", research.GetWithdrawUrl())
}

// checkText wants a text that a terminal shows as it is: one that moves the cursor, or
// turns the direction of writing, could make a sheet say what it does not.
func checkText(part, text string, longest int) error {
	switch {
	case strings.TrimSpace(text) == "":
		return &DraftError{part, "", "missing"}
	case len(text) > longest:
		return &DraftError{part, "", fmt.Sprintf("longer than %d bytes", longest)}
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' }):
		return &DraftError{part, "", "it holds characters that cannot be printed"}
	}
	return nil
}

// checkLine wants a text of one line: a name with another could forge a row of a table.
func checkLine(part, text string, longest int) error {
	if err := checkText(part, text, longest); err != nil {
		return err
	}
	if strings.Contains(text, "\n") {
		return &DraftError{part, "", "it has more than one line"}
	}
	return nil
}

func checkOneOf(part, word string, list []string) error {
	if word == "" {
		return &DraftError{part, "", "missing: one of " + strings.Join(list, ", ")}
	}
	if !slices.Contains(list, word) {
		return &DraftError{part, word, "not one of " + strings.Join(list, ", ")}
	}
	return nil
}

// checkURL wants a place on the web, or the name of a text that has no place there.
func checkURL(part, text string) error {
	if err := checkLine(part, text, maxDescription); err != nil {
		return err
	}
	u, err := url.Parse(text)
	switch {
	case err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil:
		return nil
	case err == nil && u.Scheme == "urn" && u.Opaque != "":
		return nil
	}
	return &DraftError{part, text, "not an https URL"}
}

func checkHash(part, text string) error {
	if text == "" {
		return &DraftError{part, "", "missing"}
	}
	if sum, err := hex.DecodeString(text); err != nil || len(sum) != 32 || strings.ToLower(text) != text {
		return &DraftError{part, text, "not a SHA-256 in lower-case hex"}
	}
	return nil
}
