package signature

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"math/big"
	"slices"
	"testing"
	"time"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"

	"github.com/smallstep/pkcs7"
	"google.golang.org/protobuf/proto"
)

var noon = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

// device is something that measures and signs.
type device struct {
	key  crypto.Signer
	cert *x509.Certificate
}

func newDevice(t testing.TB, name string, key crypto.Signer) device {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, NotBefore: noon, NotAfter: noon.AddDate(100, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return device{key, cert}
}

func newKey(t testing.TB, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// how a device signs.
type how struct {
	digest     asn1.ObjectIdentifier
	bare       bool // no signed attributes, as Apple shows it
	withoutKey bool // the certificate is left out
	detached   bool
}

func (d device) sign(t testing.TB, content []byte, h how) string {
	t.Helper()
	message, err := pkcs7.NewSignedData(content)
	if err != nil {
		t.Fatal(err)
	}
	if h.digest == nil {
		h.digest = pkcs7.OIDDigestAlgorithmSHA256
	}
	message.SetDigestAlgorithm(h.digest)
	add := message.AddSigner
	if h.bare {
		add = message.SignWithoutAttr
	}
	if err := add(d.cert, d.key, pkcs7.SignerInfoConfig{}); err != nil {
		t.Fatal(err)
	}
	if h.detached {
		message.Detach()
	}
	der, err := message.Finish()
	if h.withoutKey {
		// Finish adds the certificates; Apple's form leaves them out.
		message.GetSignedData().Certificates.Raw = nil
		var inner []byte
		if inner, err = asn1.Marshal(*message.GetSignedData()); err == nil {
			der, err = asn1.Marshal(struct {
				Type    asn1.ObjectIdentifier
				Content asn1.RawValue
			}{pkcs7.OIDSignedData, asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: inner}})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

func encode(t testing.TB, v any, params string) asn1.RawValue {
	t.Helper()
	der, err := asn1.MarshalWithParams(v, params)
	if err != nil {
		t.Fatal(err)
	}
	return asn1.RawValue{FullBytes: der}
}

func encoded(t testing.TB, pairs ...pair) []byte {
	t.Helper()
	der, err := asn1.Marshal(pairs)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func glucose(signature string) *pb.Sample {
	v := 5.5
	return &pb.Sample{
		Type: "bloodGlucose", Unit: "mmol<180.1558800000541>/L", Value: &v,
		Start: health.Timestamp(noon.UnixMicro()), End: health.Timestamp(noon.UnixMicro()),
		Metadata: []*pb.MetadataEntry{
			{Key: "HKTimeZone", Value: &pb.MetadataEntry_Text{Text: "UTC"}},
			{Key: "HKMetadataKeyDigitalSignature", Value: &pb.MetadataEntry_Text{Text: signature}},
		},
	}
}

func (d device) content(t testing.TB) []byte {
	return encoded(t,
		pair{"timestamp", encode(t, noon, "generalized")}, pair{"value", encode(t, "5.5", "utf8")},
		pair{"unit", encode(t, "mmol<180.1558800000541>/L", "utf8")}, pair{"serial", encode(t, 4711, "")},
		pair{"type", encode(t, "HKQuantityTypeIdentifierBloodGlucose", "utf8")})
}

func TestVerifySaysWhoSignedWhat(t *testing.T) {
	meter := newDevice(t, "Meter 4711", newKey(t, elliptic.P256()))
	for name, h := range map[string]how{"with attributes": {}, "as Apple shows it": {bare: true}, "key elsewhere": {bare: true, withoutKey: true}} {
		s := glucose(meter.sign(t, meter.content(t), h))
		signed, err := Verify(s, meter.cert)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if signed.Subject() != "CN=Meter 4711" || !signed.Key.Equal(meter.key.Public()) || !signed.Certificate.Equal(meter.cert) {
			t.Errorf("%s: signed by %s", name, signed.Subject())
		}
		if !slices.Equal(signed.Covers, []string{"start", "type", "unit", "value"}) || !slices.Equal(signed.Other, []string{"serial"}) {
			t.Errorf("%s: covers %v, and %v", name, signed.Covers, signed.Other)
		}
		if _, err := Verify(s); h.withoutKey != errors.Is(err, ErrSigner) {
			t.Errorf("%s: without the certificate: %v", name, err)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	meter := newDevice(t, "Meter", newKey(t, elliptic.P256()))
	other := newDevice(t, "Meter", newKey(t, elliptic.P256()))
	large := newDevice(t, "Meter", newKey(t, elliptic.P384()))
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	old := newDevice(t, "Meter", rsaKey)
	content := meter.content(t)
	at, five := pair{"startDate", encode(t, noon, "generalized")}, pair{"value", encode(t, "5.5", "utf8")}
	flip := func(text string, from int) string {
		der, _ := base64.StdEncoding.DecodeString(text)
		der[(len(der)+from)%len(der)] ^= 1
		return base64.StdEncoding.EncodeToString(der)
	}
	swap := func(text string) string { // another value of the same length
		return base64.StdEncoding.EncodeToString(bytes.ReplaceAll(mustDecode(text), []byte("5.5"), []byte("9.9")))
	}
	sign := func(pairs ...pair) string { return meter.sign(t, encoded(t, pairs...), how{}) }
	for name, c := range map[string]struct {
		text  string
		known []*x509.Certificate
		want  error
	}{
		"empty":             {"", nil, ErrAbsent},
		"not base64":        {"!", nil, ErrMalformed},
		"not DER":           {"AAAA", nil, ErrMalformed},
		"trailing bytes":    {base64.StdEncoding.EncodeToString(append(mustDecode(meter.sign(t, content, how{})), 0)), nil, ErrMalformed},
		"not CMS":           {base64.StdEncoding.EncodeToString(content), nil, ErrMalformed},
		"SHA-1":             {meter.sign(t, content, how{digest: pkcs7.OIDDigestAlgorithmSHA1}), nil, ErrMalformed},
		"RSA":               {old.sign(t, content, how{}), nil, ErrMalformed},
		"P-384":             {large.sign(t, content, how{}), nil, ErrMalformed},
		"signature flipped": {flip(meter.sign(t, content, how{bare: true}), -1), nil, ErrSignature},
		"content changed":   {swap(meter.sign(t, content, how{bare: true})), nil, ErrSignature},
		"attributes lie":    {swap(meter.sign(t, content, how{})), nil, ErrSignature},
		"detached":          {meter.sign(t, content, how{detached: true}), nil, ErrSignature},
		"another's key":     {meter.sign(t, content, how{withoutKey: true}), []*x509.Certificate{other.cert}, ErrSignature},
		"nobody's key":      {meter.sign(t, content, how{withoutKey: true}), nil, ErrSigner},
		"free text":         {meter.sign(t, []byte("5.5 mmol/L at noon"), how{}), nil, ErrContent},
		"no value":          {sign(at), nil, ErrContent},
		"no time":           {sign(five), nil, ErrContent},
		"another value":     {sign(at, pair{"value", encode(t, "5.4", "utf8")}), nil, ErrContent},
		"a whole value":     {sign(at, pair{"value", encode(t, 5, "")}), nil, ErrContent},
		"value then other":  {sign(at, five, pair{"value", encode(t, "5.4", "utf8")}), nil, ErrContent},
		"another time":      {sign(five, pair{"startDate", encode(t, noon.Add(time.Second), "generalized")}), nil, ErrContent},
		"another end":       {sign(at, five, pair{"endDate", encode(t, "2024-05-01T12:00:01Z", "utf8")}), nil, ErrContent},
		"another type":      {sign(at, five, pair{"type", encode(t, "bodyMass", "utf8")}), nil, ErrContent},
		"another unit":      {sign(at, five, pair{"unit", encode(t, "mg/dL", "utf8")}), nil, ErrContent},
		"a unit in numbers": {sign(at, five, pair{"unit", encode(t, 1, "")}), nil, ErrContent},
	} {
		if _, err := Verify(glucose(c.text), c.known...); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	none := glucose("")
	none.Metadata = nil
	if _, err := Verify(none); !errors.Is(err, ErrAbsent) {
		t.Error(err)
	}
}

func mustDecode(text string) []byte {
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return der
}

// Whatever of the sample is signed cannot be changed; what is not signed can.
func TestSignedFieldsCannotBeChanged(t *testing.T) {
	meter := newDevice(t, "Meter", newKey(t, elliptic.P256()))
	s := glucose(meter.sign(t, meter.content(t), how{}))
	for name, change := range map[string]func(*pb.Sample){
		"start": func(s *pb.Sample) { s.Start.Nanos = 1000 },
		"value": func(s *pb.Sample) { *s.Value += 1e-9 },
		"none":  func(s *pb.Sample) { s.Value = nil },
		"type":  func(s *pb.Sample) { s.Type = "bodyMass" },
		"unit":  func(s *pb.Sample) { s.Unit = "mg/dL" },
	} {
		changed := proto.CloneOf(s)
		change(changed)
		if _, err := Verify(changed); !errors.Is(err, ErrContent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	changed := proto.CloneOf(s)
	changed.End = health.Timestamp(0)
	if _, err := Verify(changed); err != nil {
		t.Errorf("the end is not signed: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	meter := newDevice(f, "Meter", newKey(f, elliptic.P256()))
	for _, h := range []how{{}, {bare: true}, {withoutKey: true}, {detached: true}} {
		f.Add(mustDecode(meter.sign(f, meter.content(f), h)))
	}
	f.Add([]byte{0x30, 0x80, 0, 0})
	f.Fuzz(func(t *testing.T, der []byte) {
		signed, err := Verify(glucose(base64.StdEncoding.EncodeToString(der)), meter.cert)
		if err != nil {
			return
		}
		if signed.Key == nil || !slices.Contains(signed.Covers, "value") || !slices.Contains(signed.Covers, "start") {
			t.Fatalf("accepted without saying who signed what: %+v", signed)
		}
	})
}
