package saml_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/idptest"
	"github.com/domicile-sso/domicile/federation/saml"
)

// fixed is stage with a signing key that every worker of a fuzzing run shares:
// each is a process of its own, and the corpus outlives them all.
func fixed(f *testing.F) (idptest.SAMLScene, saml.Expect) {
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{7}, 32))
	if err != nil {
		f.Fatal(err)
	}
	scene, want := stage(f)
	scene.IdP, err = idptest.NewSAML(idptest.SAMLOptions{URL: "https://idp.acme.example", Users: []idptest.User{ada, eve}, Now: func() time.Time { return noon }, Key: key})
	if err != nil {
		f.Fatal(err)
	}
	want.Connection.SAML.Certificates = [][]byte{scene.IdP.Certificate()}
	accepted(f, mint(f, scene, idptest.SAMLMint{}), want)
	return scene, want
}

// FuzzVerify: no input panics, not even behind the recover, and whatever is
// accepted is what the identity provider signed.
func FuzzVerify(f *testing.F) {
	scene, want := fixed(f)
	for _, a := range idptest.SAMLAttacks() {
		response, err := a.Build(scene)
		if err != nil {
			f.Fatal(err)
		}
		doc, err := base64.StdEncoding.DecodeString(response)
		if err != nil || len(doc) > 32<<10 {
			continue
		}
		f.Add(doc)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		got, err := saml.Verify(base64.StdEncoding.EncodeToString(doc), want)
		var r *federation.Refusal
		switch {
		case err == nil:
			if got.Issuer != scene.IdP.EntityID() || got.Subject == "" || got.OnceID == "" || got.InResponseTo != requestID {
				t.Errorf("accepted %+v", got)
			}
		case !errors.As(err, &r) || r.Code == "" || r.Code == "panic":
			t.Errorf("refused with %v", err)
		}
	})
}

func FuzzParseMetadata(f *testing.F) {
	scene, _ := stage(f)
	cert := scene.IdP.Certificate()
	f.Add(scene.IdP.Metadata(), "")
	f.Add([]byte(idpMetadata(cert)), "https://idp.example/a")
	f.Add([]byte(`<EntitiesDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata">`+idpMetadata(cert)+`</EntitiesDescriptor>`), "")
	f.Add([]byte(`<!DOCTYPE x>`), "")
	f.Fuzz(func(t *testing.T, doc []byte, entity string) {
		got, err := saml.ParseMetadata(doc, entity, noon)
		var r *federation.Refusal
		switch {
		case err == nil:
			if got.IDPEntityID == "" || got.SSORedirect == "" && got.SSOPost == "" || len(got.Certificates) == 0 {
				t.Errorf("accepted %+v", got)
			}
		case !errors.As(err, &r) || r.Code == "" || r.Code == "panic":
			t.Errorf("refused with %v", err)
		}
	})
}
