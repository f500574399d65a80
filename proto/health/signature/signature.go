// Package signature checks the signed copy of itself that a measuring device may put
// into the metadata of a sample (spec section 2), as HKMetadataKeyDigitalSignature.
//
// The form is Apple's: CMS SignedData (RFC 5652), DER, in base64, with SHA-256 and ECDSA
// over P-256. One signer is named by issuer and serial number; its certificate is inside
// or is given by the caller, who has it from the maker of the device. A signer that is
// named by a key identifier only is not supported.
//
// Apple says of the signed content that it repeats at least a timestamp and the value,
// and suggests key-value pairs in DER. What is checked here is
//
//	Content ::= SEQUENCE OF SEQUENCE { key UTF8String, value ANY }
//
// where these keys must agree with the sample, and others are reported:
//
//	startDate, timestamp   GeneralizedTime, or UTF8String in RFC 3339; one is needed
//	value                  INTEGER, or UTF8String in decimal; needed
//	endDate                as startDate
//	type                   UTF8String, any name of the type
//	unit                   UTF8String, the unit of the value
//
// A signature says that a key signed, not whose key it should be: nobody is trusted here.
package signature

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"

	"github.com/smallstep/pkcs7"
)

// The reasons why a sample has no good signature, wrapped by the errors of Verify. The
// errors quote neither values nor keys.
var (
	// ErrAbsent: the sample has no signature.
	ErrAbsent = errors.New("no signature")
	// ErrMalformed: it is not CMS, or not of the form and algorithms above.
	ErrMalformed = errors.New("malformed signature")
	// ErrSigner: the certificate of the signer is neither inside nor among the known ones.
	ErrSigner = errors.New("unknown signer")
	// ErrSignature: the key of the signer did not sign the content.
	ErrSignature = errors.New("bad signature")
	// ErrContent: what was signed is not this sample, or does not say enough of it.
	ErrContent = errors.New("the signed content does not match the sample")
)

// Signed says who signed a sample, and what of it.
type Signed struct {
	// Certificate of the signer, of which nothing was checked but that its key signed.
	Certificate *x509.Certificate
	// Key is the key of the certificate.
	Key *ecdsa.PublicKey
	// Covers are the JSON names of the sample's fields that the signature covers, in
	// alphabetical order; "start" and "value" are always there.
	Covers []string
	// Other are the keys of what else was signed, in the order of the content.
	Other []string
}

// Subject returns the name that the certificate gives to the signer.
func (s *Signed) Subject() string { return s.Certificate.Subject.String() }

// Verify checks the signature of a sample as [health.Sample] makes it. The known
// certificates are looked at before those that came with the signature. The error wraps
// one of the errors above; with ErrContent it still says who signed.
func Verify(s *pb.Sample, known ...*x509.Certificate) (*Signed, error) {
	text := ""
	for _, e := range s.GetMetadata() {
		if k, ok := catalog.LookupMetadata(e.GetKey()); ok && k.Name == "DigitalSignature" {
			text = e.GetText()
			break
		}
	}
	if text == "" {
		return nil, ErrAbsent
	}
	message, err := parse(text)
	if err != nil {
		return nil, err
	}
	message.Certificates = slices.Concat(known, message.Certificates)
	signed := &Signed{Certificate: message.GetOnlySigner()}
	if signed.Certificate == nil {
		return nil, ErrSigner
	}
	key, ok := signed.Certificate.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w: the key is not one of ECDSA over P-256", ErrMalformed)
	}
	signed.Key = key
	if err := message.Verify(); err != nil {
		return nil, ErrSignature
	}
	return signed, signed.compare(message.Content, s)
}

// parse reads a signature with one signer and the algorithms that are allowed.
func parse(text string) (*pkcs7.PKCS7, error) {
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return nil, fmt.Errorf("%w: not base64", ErrMalformed)
	}
	// The library reads BER too.
	var outer asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &outer); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("%w: not DER", ErrMalformed)
	}
	message, err := pkcs7.Parse(der)
	if err != nil {
		return nil, fmt.Errorf("%w: not CMS", ErrMalformed)
	}
	if len(message.Signers) != 1 {
		return nil, fmt.Errorf("%w: not signed by one signer, named by issuer and number", ErrMalformed)
	}
	signer := message.Signers[0]
	if !signer.DigestAlgorithm.Algorithm.Equal(pkcs7.OIDDigestAlgorithmSHA256) ||
		!signer.DigestEncryptionAlgorithm.Algorithm.Equal(pkcs7.OIDDigestAlgorithmECDSASHA256) &&
			!signer.DigestEncryptionAlgorithm.Algorithm.Equal(pkcs7.OIDEncryptionAlgorithmECDSAP256) {
		return nil, fmt.Errorf("%w: not SHA-256 with ECDSA", ErrMalformed)
	}
	return message, nil
}
