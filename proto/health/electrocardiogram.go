package health

import (
	"cmp"

	pb "healthledger/proto/healthledger/v1"
)

func normalElectrocardiogram(e *pb.Electrocardiogram) *FieldError {
	if !(finite(e.SamplingFrequency) && e.SamplingFrequency > 0) {
		return refuse("samplingFrequency", decimal(e.SamplingFrequency), "not a number of hertz above 0")
	}
	return cmp.Or(
		needWord("classification", "ecgClassification", &e.Classification),
		word("symptoms", "ecgSymptoms", &e.Symptoms),
		word("lead", "ecgLead", &e.Lead),
		amount("averageHeartRate", e.AverageHeartRate, "count/min"),
		byLedger("count", e.Count),
	)
}
