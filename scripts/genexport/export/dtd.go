package export

import (
	"fmt"
	"strings"
)

// attributeLists of the elements, in the order of the document type. A "!" marks a
// required attribute.
var attributeLists = []struct{ element, children, attributes string }{
	{"ExportDate", "EMPTY", "value!"},
	{"Me", "EMPTY", "HKCharacteristicTypeIdentifierDateOfBirth! HKCharacteristicTypeIdentifierBiologicalSex! HKCharacteristicTypeIdentifierBloodType! HKCharacteristicTypeIdentifierFitzpatrickSkinType!"},
	{"Record", "((MetadataEntry|HeartRateVariabilityMetadataList)*)", "type! unit value sourceName! sourceVersion device creationDate startDate! endDate!"},
	{"Correlation", "((MetadataEntry|Record)*)", "type! sourceName! sourceVersion device creationDate startDate! endDate!"},
	{"Workout", "((MetadataEntry|WorkoutEvent|WorkoutRoute|WorkoutStatistics)*)", "workoutActivityType! duration durationUnit totalDistance totalDistanceUnit totalEnergyBurned totalEnergyBurnedUnit sourceName! sourceVersion device creationDate startDate! endDate!"},
	{"WorkoutEvent", "EMPTY", "type! date! duration durationUnit"},
	{"WorkoutStatistics", "EMPTY", "type! startDate! endDate! average minimum maximum sum unit"},
	{"WorkoutRoute", "((MetadataEntry|FileReference)*)", "sourceName! sourceVersion device creationDate startDate! endDate!"},
	{"FileReference", "EMPTY", "path!"},
	{"ActivitySummary", "EMPTY", "dateComponents activeEnergyBurned activeEnergyBurnedGoal activeEnergyBurnedUnit appleMoveTime appleMoveTimeGoal appleExerciseTime appleExerciseTimeGoal appleStandHours appleStandHoursGoal"},
	{"MetadataEntry", "EMPTY", "key! value!"},
	{"HeartRateVariabilityMetadataList", "(InstantaneousBeatsPerMinute*)", ""},
	{"InstantaneousBeatsPerMinute", "EMPTY", "bpm! time!"},
	{"ClinicalRecord", "EMPTY", "type! identifier! sourceName! sourceURL! fhirVersion! receivedDate! resourceFilePath!"},
	{"Audiogram", "(SensitivityPoint*)", "type! sourceName! sourceVersion device creationDate startDate! endDate!"},
	{"SensitivityPoint", "EMPTY", "frequencyValue! frequencyUnit! leftEarValue leftEarUnit rightEarValue rightEarUnit"},
	{"VisionPrescription", "((RightEye|LeftEye|MetadataEntry)*)", "type! dateIssued! expirationDate brand"},
	{"RightEye", "EMPTY", "sphere sphereUnit cylinder cylinderUnit axis axisUnit"},
	{"LeftEye", "EMPTY", "sphere sphereUnit cylinder cylinderUnit axis axisUnit"},
}

// documentType returns the internal document type of a version. Version 12 misses a
// ">", so that a parser that believes it swallows the whole document.
func documentType(version DTD) string {
	if version == DTDNone {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<!DOCTYPE HealthData [\n<!-- HealthKit Export Version: %d -->\n", version)
	top := "Record|Correlation|Workout|ActivitySummary|ClinicalRecord"
	if version != DTD11 {
		top += "|Audiogram|VisionPrescription"
	}
	fmt.Fprintf(&b, "<!ELEMENT HealthData (ExportDate,Me,(%s)*)>\n<!ATTLIST HealthData\n  locale CDATA #REQUIRED\n>\n", top)
	for _, list := range attributeLists {
		if version == DTD11 && (list.element == "WorkoutStatistics" || list.element == "VisionPrescription" || strings.HasSuffix(list.element, "Eye")) {
			continue
		}
		if list.element == "Correlation" {
			b.WriteString("<!-- Note: Any Records that appear as children of a correlation also appear as top-level records in this document. -->\n")
		}
		fmt.Fprintf(&b, "<!ELEMENT %s %s>\n", list.element, list.children)
		if list.attributes == "" {
			continue
		}
		fmt.Fprintf(&b, "<!ATTLIST %s\n", list.element)
		for _, name := range strings.Fields(list.attributes) {
			use := "#IMPLIED"
			if bare, required := strings.CutSuffix(name, "!"); required {
				name, use = bare, "#REQUIRED"
			}
			fmt.Fprintf(&b, "  %-21s CDATA %s\n", name, use)
		}
		if version == DTD12 && list.element == "SensitivityPoint" {
			continue
		}
		b.WriteString(">\n")
	}
	b.WriteString("]>\n")
	return b.String()
}
