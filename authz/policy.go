package authz

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"strings"
	"text/template"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

//go:embed templates
var templates embed.FS

// blank begins what the author of an app has to write.
const blank = "[["

// MaxPolicy is how large the text of a privacy policy is at most, in bytes.
const MaxPolicy = 1 << 20

// ManifestTemplate is a manifest to begin with.
func ManifestTemplate() string {
	text, err := templates.ReadFile("templates/manifest.yaml")
	if err != nil {
		panic(err) // it is part of the program
	}
	return string(text)
}

// PolicyTemplate is a privacy policy after one of the models, "phr" or "hipaa" (spec section
// 8), for the app with this manifest. What a manifest does not say is left blank, in "[[ ]]".
// The manifest needs no hash yet. The error is a *DraftError.
func PolicyTemplate(model string, m *pb.Manifest) (string, error) {
	if err := checkOneOf("model", model, models); err != nil {
		return "", err
	}
	m = proto.CloneOf(m)
	if policy := m.GetPrivacyPolicy(); policy != nil {
		if policy.GetModel() != "" && policy.GetModel() != model {
			return "", &DraftError{"privacy_policy.model", policy.GetModel(), "the policy that is asked for is " + model}
		}
		policy.Model, policy.Sha256 = model, strings.Repeat("0", 64)
	}
	if err := CheckManifest(m); err != nil {
		return "", err
	}
	text, err := template.New(model+".md").Funcs(template.FuncMap{
		"purpose": func(word string) string { return purposeTexts[word] }, "category": func(word string) string { return strings.ReplaceAll(word, "_", " ") },
	}).ParseFS(templates, "templates/"+model+".md")
	if err != nil {
		return "", fmt.Errorf("template %s: %w", model, err)
	}
	var b bytes.Buffer
	if err := text.Execute(&b, m); err != nil {
		return "", fmt.Errorf("template %s: %w", model, err)
	}
	return b.String(), nil
}

// purposeTexts are the purposes as people read them.
var purposeTexts = map[string]string{
	"health":          "Looking after your health",
	"fitness":         "Your fitness",
	"research":        "Research, with your consent to the study",
	"personal_export": "Giving you your own data",
}

// PolicyHash is what a manifest has as the hash of a policy's text. One that still has blanks
// is no policy. The error is a *DraftError.
func PolicyHash(text []byte) (string, error) {
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		return "", &DraftError{"policy", "", "it is empty"}
	case len(text) > MaxPolicy:
		return "", &DraftError{"policy", "", fmt.Sprintf("larger than %d bytes", MaxPolicy)}
	case !utf8.Valid(text):
		return "", &DraftError{"policy", "", "it is not UTF-8"}
	}
	if before, _, found := bytes.Cut(text, []byte(blank)); found {
		line := bytes.Count(before, []byte("\n")) + 1
		return "", &DraftError{"policy", fmt.Sprintf("line %d", line), "there is a blank left to write (" + blank + " ]])"}
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}
