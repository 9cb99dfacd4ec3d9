package saml_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/federation/idptest"
	"github.com/domicile-sso/domicile/federation/saml"
)

func certificate(t *testing.T, key crypto.Signer, from, until time.Time) []byte {
	t.Helper()
	der, err := idptest.SelfSigned(key, "idp", from, until)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func rsaKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// SAM-73: r and s end to end are accepted, ASN.1 is not.
func TestECDSA(t *testing.T) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		for _, method := range []string{"ecdsa-sha256", "ecdsa-sha384", "ecdsa-sha512"} {
			t.Run(curve.Params().Name+" "+method, func(t *testing.T) {
				scene, want := stage(t)
				cert := certificate(t, key, noon.Add(-time.Hour), noon.Add(time.Hour))
				want.Connection.SAML.Certificates = append(want.Connection.SAML.Certificates, cert)
				sig := idptest.SAMLSignature{Key: key, Certificate: cert, Method: "http://www.w3.org/2001/04/xmldsig-more#" + method}
				accepted(t, mint(t, scene, idptest.SAMLMint{Signature: sig}), want)
				sig.DER = true
				refused(t, mint(t, scene, idptest.SAMLMint{Signature: sig}), want, "signature")
				sig.DER, sig.Method = false, "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
				refused(t, mint(t, scene, idptest.SAMLMint{Signature: sig}), want, "signature")
			})
		}
	}
}

// SAM-72: during a roll-over either key may sign, without saying which.
func TestRollOver(t *testing.T) {
	scene, want := stage(t)
	next := rsaKey(t, 2048)
	cert := certificate(t, next, noon.Add(-time.Hour), noon.Add(time.Hour))
	sig := idptest.SAMLSignature{Key: next, NoKeyInfo: true}
	refused(t, mint(t, scene, idptest.SAMLMint{Signature: sig}), want, "signature")
	want.Connection.SAML.Certificates = append(want.Connection.SAML.Certificates, cert)
	accepted(t, mint(t, scene, idptest.SAMLMint{Signature: sig}), want)
	accepted(t, mint(t, scene, idptest.SAMLMint{Signature: idptest.SAMLSignature{NoKeyInfo: true}}), want)
}

// SAM-70: a certificate counts only while it is valid, and while it is pinned.
func TestCertificateDates(t *testing.T) {
	key := rsaKey(t, 2048)
	for _, tt := range []struct {
		name        string
		from, until time.Duration
		code        string
	}{
		{"valid", -time.Hour, time.Hour, ""},
		{"expired", -2 * time.Hour, -time.Hour, "certificate_dates"},
		{"not yet valid", time.Hour, 2 * time.Hour, "certificate_dates"},
	} {
		t.Run("SAM-70 "+tt.name, func(t *testing.T) {
			scene, want := stage(t)
			cert := certificate(t, key, noon.Add(tt.from), noon.Add(tt.until))
			response := mint(t, scene, idptest.SAMLMint{Signature: idptest.SAMLSignature{Key: key, Certificate: cert}})
			want.Connection.SAML.Certificates = [][]byte{cert}
			if tt.code == "" {
				accepted(t, response, want)
			} else {
				refused(t, response, want, tt.code)
			}
			want.Connection.SAML.Certificates = [][]byte{scene.IdP.Certificate()}
			refused(t, response, want, "signature")
		})
	}
}

// SAM-71: a weak certificate that found its way into a connection is of no use.
func TestWeakCertificate(t *testing.T) {
	scene, want := stage(t)
	response := mint(t, scene, idptest.SAMLMint{})
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	accepted(t, response, want)
	for _, key := range []crypto.Signer{rsaKey(t, 1024), p224} {
		want.Connection.SAML.Certificates = [][]byte{certificate(t, key, noon.Add(-time.Hour), noon.Add(time.Hour))}
		refused(t, response, want, "connection_certificate")
	}
}

func TestKeyPair(t *testing.T) {
	_, pair := keys()
	text, err := pair.PEM()
	if err != nil {
		t.Fatal(err)
	}
	got, err := saml.ParseKeyPair(text)
	if err != nil || !got.Key.Equal(pair.Key) || string(got.Certificate) != string(pair.Certificate) {
		t.Fatalf("does not survive being written and read: %v", err)
	}
	asJSON, err := json.Marshal(struct{ Key saml.KeyPair }{pair})
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{fmt.Sprint(pair), fmt.Sprintf("%+v", pair), fmt.Sprintf("%#v", pair), string(asJSON), pair.LogValue().String()} {
		if printed != "<secret>" && printed != `{"Key":"\u003csecret\u003e"}` && printed != `{"Key":"<secret>"}` {
			t.Errorf("prints as %.100q", printed)
		}
	}
	other, err := saml.GenerateKeyPair("other", noon)
	if err != nil {
		t.Fatal(err)
	}
	mixed, err := saml.KeyPair{Key: pair.Key, Certificate: other.Certificate}.PEM()
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{"empty": nil, "another's certificate": mixed, "no certificate": text[:len(text)/3], "not PEM": []byte("hello")} {
		if _, err := saml.ParseKeyPair(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := (saml.KeyPair{}).PEM(); err == nil {
		t.Error("an empty pair was written")
	}
}
