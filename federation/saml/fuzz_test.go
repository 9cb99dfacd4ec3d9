package saml_test

import (
	"encoding/base64"
	"errors"
	"testing"

	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/idptest"
	"github.com/domicile-sso/domicile/federation/saml"
)

// FuzzVerify: no input panics, not even behind the recover, and whatever is
// accepted is what the identity provider signed.
func FuzzVerify(f *testing.F) {
	scene, want := stage(f)
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
