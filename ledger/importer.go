package ledger

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"

	pb "healthledger/proto/healthledger/v1"
)

// importerPolicy is what becomes of the data that passes through the importer.
//
//go:embed importer_privacy.md
var importerPolicy []byte

// importerManifest explains the importer that every store has.
func importerManifest() *pb.Manifest {
	sum := sha256.Sum256(importerPolicy)
	return &pb.Manifest{
		BundleId: ImporterID, Name: "Importer", Version: "1",
		ShareUsageDescription: "Writes what you import from files into your ledger.",
		Purposes:              []string{"personal_export"},
		PrivacyPolicy:         &pb.PrivacyPolicy{Url: "urn:healthledger:importer:privacy", Model: "phr", Sha256: hex.EncodeToString(sum[:])},
	}
}
