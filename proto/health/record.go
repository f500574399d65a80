package health

import (
	"cmp"
	"strconv"
	"strings"
	"unicode/utf8"

	pb "healthledger/proto/healthledger/v1"
)

func checkClinical(c *pb.ClinicalRecord) *FieldError {
	if err := needText("resourceType", c.ResourceType); err != nil {
		return err
	}
	if strings.Trim(c.ResourceType, letters) != "" {
		return refuse("resourceType", c.ResourceType, "not the name of a FHIR resource, such as Observation")
	}
	if !isFHIRVersion(c.FhirVersion) {
		return refuse("fhirVersion", c.FhirVersion, "not a FHIR version, such as DSTU2, R4 or 4.0.1")
	}
	return cmp.Or(
		needText("identifier", c.Identifier),
		checkText("displayName", c.DisplayName),
		checkText("sourceUrl", c.SourceUrl),
		moment("received", c.Received),
		byLedger("size", c.Size),
	)
}

const (
	digits  = "0123456789"
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// isFHIRVersion knows the names of releases (DSTU2, STU3, R4, R4B) and their numbers
// (1.0.2, 4.0.1). A version may be missing.
func isFHIRVersion(v string) bool {
	if v == "" {
		return true
	}
	for _, release := range []string{"DSTU", "STU", "R"} {
		if n, ok := strings.CutPrefix(v, release); ok {
			n = strings.TrimSuffix(n, "B")
			return len(n) == 1 && strings.Contains(digits, n)
		}
	}
	parts := strings.Split(v, ".")
	for _, part := range parts {
		if part == "" || len(part) > 2 || strings.Trim(part, digits) != "" {
			return false
		}
	}
	return len(parts) == 2 || len(parts) == 3
}

func checkDocument(d *pb.Document) *FieldError {
	return cmp.Or(
		checkText("title", d.Title),
		checkText("patient", d.Patient),
		checkText("custodian", d.Custodian),
		checkText("author", d.Author),
		byLedger("size", d.Size),
	)
}

// imported checks a whole element of an imported document. Its text is bounded by the
// body only.
func (s subject) imported(e *pb.ImportedElement) *FieldError {
	if e.Element == nil {
		return refuse("element", "", "missing")
	}
	return cmp.Or(in("element", checkPiece(e.Element)), checkText("why", e.Why))
}

// checkKept checks what an import kept. Only an importer keeps anything.
func checkKept(kept []*pb.Kept, p Policy) *FieldError {
	switch {
	case len(kept) == 0:
		return nil
	case !p.Importer:
		return refuse("kept", "", "only an import keeps what it does not understand")
	case len(kept) > MaxKept:
		return refuse("kept", strconv.Itoa(len(kept)), "more than "+strconv.Itoa(MaxKept)+" pieces")
	}
	return each("kept", kept, checkPiece)
}

func checkPiece(k *pb.Kept) *FieldError {
	if !utf8.ValidString(k.GetValue()) {
		return refuse("value", k.GetValue(), "not UTF-8")
	}
	return cmp.Or(needText("format", k.GetFormat()), needText("name", k.GetName()))
}
