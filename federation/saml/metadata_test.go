package saml_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/xml"
	"strings"
	"testing"
	"time"

	wire "github.com/crewjam/saml"
	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/saml"
)

const (
	redirectBinding = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
	postBinding     = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
)

// idpMetadata is one EntityDescriptor; edits are pairs of old and new text.
func idpMetadata(cert []byte, edits ...string) string {
	return strings.NewReplacer(edits...).Replace(`<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="https://idp.example/a">
<!-- as Shibboleth writes it -->
<IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:1.1:protocol urn:oasis:names:tc:SAML:2.0:protocol">
<Extensions><x:Scope xmlns:x="urn:mace:shibboleth:metadata:1.0" regexp="false">idp.example</x:Scope></Extensions>
<KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>
` + base64.StdEncoding.EncodeToString(cert) + `
</ds:X509Certificate></ds:X509Data></ds:KeyInfo></KeyDescriptor>
<SingleSignOnService Binding="urn:mace:shibboleth:1.0:profiles:AuthnRequest" Location="https://idp.example/shib"/>
<SingleSignOnService Binding="` + postBinding + `" Location="https://idp.example/post"/>
<SingleSignOnService Binding="` + redirectBinding + `" Location="https://idp.example/redirect?a=b"/>
</IDPSSODescriptor></EntityDescriptor>`)
}

// p256 is a key that takes no time to make.
func p256(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestParseMetadata(t *testing.T) {
	cert := certificate(t, p256(t), noon.Add(-time.Hour), noon.Add(time.Hour))
	next := certificate(t, p256(t), noon.Add(time.Hour), noon.Add(2*time.Hour))
	over := certificate(t, p256(t), noon.Add(-2*time.Hour), noon.Add(-time.Hour))
	second := idpMetadata(next, "https://idp.example/a", "https://idp.example/b")
	aggregate := func(parts ...string) string {
		return `<?xml version="1.0" encoding="UTF-8"?><EntitiesDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata">` + strings.Join(parts, "") + `</EntitiesDescriptor>`
	}
	service := `<EntityDescriptor entityID="https://sp.example"><SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"/></EntityDescriptor>`
	certText := "<ds:X509Certificate>\n" + base64.StdEncoding.EncodeToString(cert) + "\n</ds:X509Certificate>"
	several := func(certs ...[]byte) string {
		var list strings.Builder
		for _, c := range certs {
			list.WriteString("<ds:X509Certificate>" + base64.StdEncoding.EncodeToString(c) + "</ds:X509Certificate>")
		}
		return idpMetadata(cert, certText, list.String())
	}
	want := federation.SAMLSettings{
		IDPEntityID: "https://idp.example/a", SSORedirect: "https://idp.example/redirect?a=b", SSOPost: "https://idp.example/post",
		Certificates: [][]byte{cert},
	}
	other := want
	other.IDPEntityID, other.Certificates = "https://idp.example/b", [][]byte{next}
	both := want
	both.Certificates = [][]byte{cert, next}
	local := want
	local.SSOPost = "http://idp.localhost:8080/post"

	loopback := []saml.MetadataOption{saml.DangerouslyAllowLoopback()}
	for _, tt := range []struct {
		name, doc, entity string
		options           []saml.MetadataOption
		want              federation.SAMLSettings
		code              string
	}{
		{name: "one IdP", doc: idpMetadata(cert), want: want},
		{name: "with a byte order mark", doc: "\uFEFF" + idpMetadata(cert), want: want},
		{name: "named", doc: idpMetadata(cert), entity: "https://idp.example/a", want: want},
		{name: "still valid", doc: idpMetadata(cert, "entityID", `validUntil="2026-03-01T12:00:01Z" entityID`), want: want},
		{name: "aggregate, one IdP beside a service", doc: aggregate(service, idpMetadata(cert)), want: want},
		{name: "aggregate, named", doc: aggregate(idpMetadata(cert), second), entity: "https://idp.example/b", want: other},
		{name: "next certificate announced", doc: several(cert, next), want: both},
		{name: "old certificate left over", doc: several(over, cert, cert), want: want},
		{name: "loopback allowed", doc: idpMetadata(cert, "https://idp.example/post", "http://idp.localhost:8080/post"), options: loopback, want: local},
		{name: "use left out", doc: idpMetadata(cert, ` use="signing"`, ""), want: want},

		{name: "SAM-85 several IdPs", doc: aggregate(idpMetadata(cert), second), code: "metadata_several"},
		{name: "SAM-85 another entity ID", doc: idpMetadata(cert), entity: "https://idp.example/b", code: "metadata_entity"},
		{name: "SAM-85 expired", doc: idpMetadata(cert, "entityID", `validUntil="2026-03-01T12:00:00Z" entityID`), code: "metadata_expired"},
		{name: "SAM-85 expired role", doc: idpMetadata(cert, "<IDPSSODescriptor", `<IDPSSODescriptor validUntil="2020-01-01T00:00:00Z"`), code: "metadata_expired"},
		{name: "SAM-85 expired aggregate", doc: strings.Replace(aggregate(idpMetadata(cert)), "<EntitiesDescriptor", `<EntitiesDescriptor validUntil="2020-01-01T00:00:00Z"`, 1), code: "metadata_expired"},
		{name: "SAM-85 validUntil is no time", doc: idpMetadata(cert, "entityID", `validUntil="tomorrow" entityID`), code: "time"},
		{name: "SAM-85 javascript", doc: idpMetadata(cert, "https://idp.example/redirect?a=b", "javascript:alert(1)"), code: "metadata_location"},
		{name: "SAM-85 javascript with a host", doc: idpMetadata(cert, "https://idp.example/post", "javascript://idp.example/%0aalert(1)"), code: "metadata_location"},
		{name: "SAM-85 http", doc: idpMetadata(cert, "https://idp.example/post", "http://idp.example/post"), code: "metadata_location"},
		{name: "SAM-85 http on localhost", doc: idpMetadata(cert, "https://idp.example/post", "http://localhost/post"), code: "metadata_location"},
		{name: "SAM-85 http elsewhere, loopback allowed", doc: idpMetadata(cert, "https://idp.example/post", "http://idp.example/post"), options: loopback, code: "metadata_location"},
		{name: "SAM-85 http with localhost in the name", doc: idpMetadata(cert, "https://idp.example/post", "http://localhost.evil.test/post"), options: loopback, code: "metadata_location"},
		{name: "SAM-85 location with a user", doc: idpMetadata(cert, "https://idp.example/post", "https://idp.example@evil.test/post"), code: "metadata_location"},
		{name: "SAM-85 location with a backslash", doc: idpMetadata(cert, "https://idp.example/post", `https://evil.test\.idp.example/post`), code: "metadata_location"},
		{name: "SAM-85 relative location", doc: idpMetadata(cert, "https://idp.example/post", "//evil.test/post"), code: "metadata_location"},
		{name: "SAM-85 no usable binding", doc: idpMetadata(cert, redirectBinding, "urn:x", postBinding, "urn:y"), code: "metadata_location"},
		{name: "SAM-85 no IdP", doc: aggregate(service), code: "metadata_no_idp"},
		{name: "SAM-85 an IdP for SAML 1.1 only", doc: idpMetadata(cert, " urn:oasis:names:tc:SAML:2.0:protocol", ""), code: "metadata_no_idp"},
		{name: "SAM-85 two roles", doc: idpMetadata(cert, "</EntityDescriptor>", `<IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"/></EntityDescriptor>`), code: "metadata_several"},
		{name: "SAM-85 no entity ID", doc: idpMetadata(cert, "https://idp.example/a", " "), code: "metadata_entity"},
		{name: "SAM-85 foreign namespace", doc: idpMetadata(cert, "SAML:2.0:metadata", "SAML:9.9:metadata"), code: "metadata_root"},
		{name: "SAM-85 too large", doc: idpMetadata(cert) + strings.Repeat(" ", 1<<20), code: "metadata_size"},
		{name: "SAM-85 not XML", doc: "<html>sign in<br>please", code: "xml_root"},
		{name: "SAM-85 DOCTYPE", doc: "<!DOCTYPE EntityDescriptor>" + idpMetadata(cert), code: "xml_doctype"},
		{name: "SAM-85 entity", doc: `<!DOCTYPE e [<!ENTITY x SYSTEM "file:///etc/passwd">]>` + idpMetadata(cert, "idp.example</x:Scope>", "&x;</x:Scope>"), code: "xml_doctype"},
		{name: "comment in a certificate", doc: idpMetadata(cert, "<ds:X509Certificate>", "<ds:X509Certificate><!-- -->AAAA"), code: "metadata_certificate"},
		{name: "no certificate", doc: several(), code: "metadata_certificate"},
		{name: "an empty certificate", doc: several(nil), code: "metadata_certificate"},
		{name: "every certificate expired", doc: several(over), code: "certificate_dates"},
		{name: "only an encryption key", doc: idpMetadata(cert, `use="signing"`, `use="encryption"`), code: "metadata_certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := saml.ParseMetadata([]byte(tt.doc), tt.entity, noon, tt.options...)
			if tt.code != "" {
				checkRefusal(t, err, tt.code)
				if err != nil && err.(*federation.Refusal).Status < 400 {
					t.Errorf("status %d", err.(*federation.Refusal).Status)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
}

// SAM-71: keys that are too short are refused at import, beside good ones too.
func TestParseMetadataWeakKey(t *testing.T) {
	good := certificate(t, p256(t), noon.Add(-time.Hour), noon.Add(time.Hour))
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak := map[string][]byte{
		"SAM-71 RSA-1024": certificate(t, rsaKey(t, 1024), noon.Add(-time.Hour), noon.Add(time.Hour)),
		"SAM-71 P-224":    certificate(t, p224, noon.Add(-time.Hour), noon.Add(time.Hour)),
	}
	for name, cert := range weak {
		t.Run(name, func(t *testing.T) {
			_, err := saml.ParseMetadata([]byte(idpMetadata(cert)), "", noon)
			checkRefusal(t, err, "certificate_weak")
			beside := idpMetadata(good, "</ds:X509Data>", "<ds:X509Certificate>"+base64.StdEncoding.EncodeToString(cert)+"</ds:X509Certificate></ds:X509Data>")
			_, err = saml.ParseMetadata([]byte(beside), "", noon)
			checkRefusal(t, err, "certificate_weak")
		})
	}
	t.Run("SAM-71 P-192", func(t *testing.T) {
		_, err := saml.ParseMetadata([]byte(idpMetadata(asP192(t))), "", noon)
		checkRefusal(t, err, "metadata_certificate")
	})
	if _, err := saml.ParseMetadata([]byte(idpMetadata(certificate(t, rsaKey(t, 2048), noon.Add(-time.Hour), noon.Add(time.Hour)))), "", noon); err != nil {
		t.Errorf("RSA-2048: %v", err)
	}
}

// asP192 is a P-256 certificate that says its curve is P-192 (1.2.840.10045.3.1.1
// rather than .7): Go makes no such keys, and must not read them either.
func asP192(t *testing.T) []byte {
	t.Helper()
	der := string(certificate(t, p256(t), noon.Add(-time.Hour), noon.Add(time.Hour)))
	const curve = "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01"
	if strings.Count(der, curve+"\x07") != 1 {
		t.Fatal("the curve is not where it was")
	}
	return []byte(strings.Replace(der, curve+"\x07", curve+"\x01", 1))
}

func TestIdPTestMetadata(t *testing.T) {
	scene, _ := stage(t)
	got, err := saml.ParseMetadata(scene.IdP.Metadata(), "", noon)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(scene.IdP.Settings(), got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestMetadata(t *testing.T) {
	_, want := stage(t)
	doc, err := saml.Metadata(want.Connection, want.Key)
	if err != nil {
		t.Fatal(err)
	}
	var got wire.EntityDescriptor
	if err := xml.Unmarshal(doc, &got); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(doc), "validUntil") {
		t.Errorf("it expires: %s", doc)
	}
	if got.EntityID != entityID || len(got.SPSSODescriptors) != 1 {
		t.Fatalf("it is not ours: %s", doc)
	}
	role := got.SPSSODescriptors[0]
	if !*role.AuthnRequestsSigned || !*role.WantAssertionsSigned {
		t.Error("nothing is said of signatures")
	}
	if len(role.AssertionConsumerServices) != 1 || role.AssertionConsumerServices[0].Location != acs || role.AssertionConsumerServices[0].Binding != postBinding {
		t.Errorf("assertion consumer services: %+v", role.AssertionConsumerServices)
	}
	uses := map[string][]string{}
	for _, k := range role.KeyDescriptors {
		var methods []string
		for _, m := range k.EncryptionMethods {
			methods = append(methods, m.Algorithm)
		}
		uses[k.Use] = methods
		if k.KeyInfo.X509Data.X509Certificates[0].Data != base64.StdEncoding.EncodeToString(want.Key.Certificate) {
			t.Errorf("the %s certificate is not ours", k.Use)
		}
	}
	if _, ok := uses["signing"]; !ok || len(uses) != 2 {
		t.Errorf("uses: %v", uses)
	}
	for _, m := range uses["encryption"] {
		if !strings.HasSuffix(m, "-gcm") && !strings.Contains(m, "rsa-oaep") {
			t.Errorf("offers %s", m)
		}
	}
}
