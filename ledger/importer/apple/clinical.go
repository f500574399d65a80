package apple

import (
	"bytes"
	"encoding/json"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// maxResource is the largest FHIR resource that becomes a record; a larger file is kept
// as it is.
const maxResource = 16 << 20

// resource is what this importer reads of a FHIR resource, of DSTU2 and R4 alike.
type resource struct {
	ResourceType string          `json:"resourceType"`
	ID           string          `json:"id"`
	Category     json.RawMessage `json:"category"`
}

// parseResource reads a FHIR resource; it is not ok where the JSON is none.
func parseResource(content []byte) (resource, bool) {
	var r resource
	err := json.Unmarshal(content, &r)
	return r, err == nil && r.ResourceType != ""
}

// clinicalTypes by the type of the resource. An observation is a vital sign where its
// category says so.
var clinicalTypes = map[string]string{
	"AllergyIntolerance": "allergyRecord", "DocumentReference": "clinicalNoteRecord", "Condition": "conditionRecord",
	"Coverage": "coverageRecord", "Immunization": "immunizationRecord", "Observation": "labResultRecord",
	"DiagnosticReport": "labResultRecord", "MedicationDispense": "medicationRecord", "MedicationOrder": "medicationRecord",
	"MedicationRequest": "medicationRecord", "MedicationStatement": "medicationRecord", "Medication": "medicationRecord",
	"MedicationAdministration": "medicationRecord", "Procedure": "procedureRecord",
}

// clinicalType finds the type of a record by what the element says, or by its resource.
func clinicalType(says string, res resource) (*catalog.Type, bool) {
	if t, ok := catalog.Lookup(says); ok && t.Kind == catalog.Clinical {
		return t, true
	}
	name, ok := clinicalTypes[says]
	if !ok {
		if name, ok = clinicalTypes[res.ResourceType]; !ok {
			return nil, false
		}
	}
	if name == "labResultRecord" && bytes.Contains(res.Category, []byte(`"vital-signs"`)) {
		name = "vitalSignRecord"
	}
	return catalog.Lookup(name)
}

// clinical reads a ClinicalRecord with the resource it refers to, byte for byte.
func (r *reader) clinical(n *node) (s *pb.Sample, why string, err error) {
	received, ok := n.date("receivedDate")
	if !ok {
		return nil, "a date of receipt that cannot be read", nil
	}
	take := func(name string) string {
		raw, _ := n.take(name)
		return r.text(raw)
	}
	c := &pb.ClinicalRecord{
		Identifier: take("identifier"), DisplayName: take("displayName"), FhirVersion: take("fhirVersion"),
		SourceUrl: take("sourceURL"), Received: health.Timestamp(received),
	}
	content, found, err := r.files.resource(take("resourceFilePath"), c.Identifier)
	if err != nil {
		return nil, "", err
	}
	says := r.text(n.peek("type"))
	t, ok := clinicalType(says, found)
	if !ok {
		return nil, "unknown type", nil
	}
	c.ResourceType, c.Size = found.ResourceType, 0
	if c.ResourceType == "" {
		c.ResourceType = says
	}
	if says == c.ResourceType || says == t.Identifier {
		n.take("type")
	}
	s = &pb.Sample{
		Type: t.Identifier, Start: c.Received, End: c.Received, Payload: chunksOf(content),
		Object: &pb.Sample_ClinicalRecord{ClinicalRecord: c},
	}
	if s.Source, why = r.sourceOf(n); why != "" {
		return nil, why, nil
	}
	s.Metadata, why = r.metadata(n)
	return s, why, nil
}
