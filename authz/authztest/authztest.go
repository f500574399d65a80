// Package authztest makes manifests for tests.
package authztest

import (
	"strings"

	pb "healthledger/proto/healthledger/v1"
)

// Manifest is that of an app that may ask for everything that an app may ask for.
func Manifest(bundleID string) *pb.Manifest {
	return &pb.Manifest{
		BundleId: bundleID, Name: "App", Version: "1.0",
		ShareUsageDescription:    "Keeps what it measures.",
		ReadUsageDescription:     "Shows what was measured.",
		ClinicalUsageDescription: "Shows what the clinic has found.",
		Purposes:                 []string{"health"},
		PrivacyPolicy: &pb.PrivacyPolicy{
			Url: "https://example.com/privacy", Model: "phr", Sha256: strings.Repeat("5e", 32),
		},
	}
}
