package saml_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/idptest"
	"github.com/domicile-sso/domicile/federation/saml"
)

func TestIdentity(t *testing.T) {
	scene, want := stage(t)
	var assertion, index string
	response := mint(t, scene, idptest.SAMLMint{Edit: func(r *etree.Element) {
		assertion = r.SelectElement("Assertion").SelectAttrValue("ID", "")
		statement := r.FindElement("./Assertion/AuthnStatement")
		index = statement.SelectAttrValue("SessionIndex", "")
		statement.CreateAttr("SessionNotOnOrAfter", idptest.Stamp(noon.Add(8*time.Hour)))
		idptest.AddAttribute(r.FindElement("./Assertion/AttributeStatement"), "displayName", "Ada, Countess of Lovelace")
	}})
	got := accepted(t, response, want)
	if diff := cmp.Diff(federation.Identity{
		Connection: "acme", Issuer: scene.IdP.EntityID(), Subject: "u-1",
		Email: ada.Address, EmailVerified: true, Name: "Ada, Countess of Lovelace", GivenName: "Ada", FamilyName: "Lovelace",
		Groups:       []string{"staff", "maths"},
		ACR:          "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport",
		AuthTime:     noon,
		SessionIndex: index, SessionExpiry: noon.Add(8 * time.Hour),
		OnceID: assertion, OnceUntil: noon.Add(6 * time.Minute),
		Issued: noon, InResponseTo: requestID,
	}, got); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	// The moment the assertion may be forgotten is the one it is refused from.
	want.Now = got.OnceUntil.Add(-time.Second)
	accepted(t, response, want)
	want.Now = got.OnceUntil
	refused(t, response, want, "expired")
}

// An assertion with two bearer confirmations is good until the later one ends:
// forgotten any earlier, it could be played again.
func TestOnceUntilTheLastConfirmation(t *testing.T) {
	const path = "./Assertion/Subject/SubjectConfirmation"
	for name, tc := range map[string]struct{ first, second, conditions, want time.Duration }{
		"later second":           {2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 4 * time.Minute},
		"later first":            {4 * time.Minute, 2 * time.Minute, 5 * time.Minute, 4 * time.Minute},
		"first over already":     {-2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 4 * time.Minute},
		"conditions end earlier": {2 * time.Minute, 4 * time.Minute, 3 * time.Minute, 3 * time.Minute},
		"conditions do not end":  {2 * time.Minute, 4 * time.Minute, 0, 4 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			scene, want := stage(t)
			response := mint(t, scene, idptest.SAMLMint{Edit: func(r *etree.Element) {
				first := r.FindElement(path)
				second := first.Copy()
				r.FindElement("./Assertion/Subject").AddChild(second)
				first.FindElement("./SubjectConfirmationData").CreateAttr("NotOnOrAfter", idptest.Stamp(noon.Add(tc.first)))
				second.FindElement("./SubjectConfirmationData").CreateAttr("NotOnOrAfter", idptest.Stamp(noon.Add(tc.second)))
				conditions := r.FindElement("./Assertion/Conditions")
				conditions.RemoveAttr("NotOnOrAfter")
				if tc.conditions != 0 {
					conditions.CreateAttr("NotOnOrAfter", idptest.Stamp(noon.Add(tc.conditions)))
				}
			}})
			got := accepted(t, response, want)
			if end := noon.Add(tc.want + time.Minute); !got.OnceUntil.Equal(end) {
				t.Errorf("kept until %v, want %v", got.OnceUntil, end)
			}
			want.Now = got.OnceUntil.Add(-time.Second)
			accepted(t, response, want)
			want.Now = got.OnceUntil
			if _, err := saml.Verify(response, want); err == nil {
				t.Error("accepted after it may have been forgotten")
			}
		})
	}
}

// Both the conditions and the confirmation must hold: the earlier end counts.
func TestOnceUntil(t *testing.T) {
	for path, d := range map[string]time.Duration{
		"./Assertion/Conditions": 2 * time.Minute,
		"./Assertion/Subject/SubjectConfirmation/SubjectConfirmationData": 3 * time.Minute,
	} {
		scene, want := stage(t)
		got := accepted(t, mint(t, scene, idptest.SAMLMint{Edit: func(r *etree.Element) {
			r.FindElement(path).CreateAttr("NotOnOrAfter", idptest.Stamp(noon.Add(d)))
		}}), want)
		if want := noon.Add(d + time.Minute); !got.OnceUntil.Equal(want) {
			t.Errorf("%s ends after %v: kept until %v, want %v", path, d, got.OnceUntil, want)
		}
	}
}

func TestMapping(t *testing.T) {
	const other = "ada.lovelace@acme.example"
	email := func(format string) idptest.SAMLMint {
		return idptest.SAMLMint{NameIDFormat: format, User: idptest.User{Subject: other, Address: other}, Edit: func(r *etree.Element) {
			statement := r.FindElement("./Assertion/AttributeStatement")
			statement.Parent().RemoveChild(statement)
		}}
	}
	with := func(name string, values ...string) idptest.SAMLMint {
		return idptest.SAMLMint{User: idptest.User{Subject: "u-1", Address: ada.Address}, Edit: func(r *etree.Element) {
			statement := r.FindElement("./Assertion/AttributeStatement")
			statement.Child = nil
			idptest.AddAttribute(statement, name, values...)
		}}
	}
	for _, tt := range []struct {
		name    string
		mint    idptest.SAMLMint
		mapping federation.Mapping
		want    string
	}{
		{"address as NameID", email("urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"), federation.Mapping{}, other},
		{"persistent NameID is no address", email(""), federation.Mapping{}, ""},
		{"NameID is not asked when a mapping is set", email("urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"), federation.Mapping{Email: "mail"}, ""},
		{"by OID", with("urn:oid:0.9.2342.19200300.100.1.3", other), federation.Mapping{}, other},
		{"by short name", with("mail", other), federation.Mapping{}, other},
		{"first of several", with("mail", other, "second@acme.example"), federation.Mapping{}, other},
		{"mapped", with("urn:example:mailbox", other), federation.Mapping{Email: "urn:example:mailbox"}, other},
		{"mapped to what is not there", with("mail", other), federation.Mapping{Email: "urn:example:mailbox"}, ""},
		{"case counts", with("MAIL", other), federation.Mapping{}, ""},
		{"white space around it", with("mail", "\n\t"+other+"\n"), federation.Mapping{}, other},
	} {
		t.Run(tt.name, func(t *testing.T) {
			scene, want := stage(t)
			want.Connection.Mapping = tt.mapping
			got, err := saml.Verify(mint(t, scene, tt.mint), want)
			if err != nil {
				t.Fatal(err)
			}
			if got.Email != tt.want {
				t.Errorf("address %q, want %q", got.Email, tt.want)
			}
		})
	}
}

// A FriendlyName never makes an attribute another one, and a subject made of
// an attribute never equals a NameID.
func TestSmuggling(t *testing.T) {
	scene, want := stage(t)
	const pairwise = "urn:oasis:names:tc:SAML:attribute:pairwise-id"
	got := accepted(t, mint(t, scene, idptest.SAMLMint{
		NameIDFormat: "urn:oasis:names:tc:SAML:2.0:nameid-format:transient",
		Edit: func(r *etree.Element) {
			idptest.AddAttribute(r.FindElement("./Assertion/AttributeStatement"), pairwise, "u-1")
		},
	}), want)
	if got.Subject != pairwise+" u-1" {
		t.Errorf("subject %q", got.Subject)
	}
}

// The gate stops counting at its caps, whatever lies behind them.
func TestFlatCost(t *testing.T) {
	_, want := stage(t)
	cost := func(doc string) float64 {
		form := base64.StdEncoding.EncodeToString([]byte(doc))
		return testing.AllocsPerRun(2, func() {
			if _, err := saml.Verify(form, want); err == nil {
				t.Error("accepted")
			}
		})
	}
	const most = 256 << 10
	siblings := func(n int) string { return "<r>" + strings.Repeat("<x/>", n) + "</r>" }
	for name, pair := range map[string][2]string{
		"SAM-32 siblings": {siblings(6000), siblings(60000)},
		"SAM-34 depth":    {strings.Repeat("<a>", 1000), strings.Repeat("<a>", 80000)},
	} {
		few, many := cost(pair[0]), cost(pair[1])
		if len(pair[1]) > most {
			t.Fatalf("%s: the document is refused for its size", name)
		}
		if many > few*1.1+10 {
			t.Errorf("%s: %v allocations, and %v for more of the same", name, few, many)
		}
	}
}

// Nothing is left of a connection that was not filled in.
func TestEmptyConnection(t *testing.T) {
	scene, want := stage(t)
	response := mint(t, scene, idptest.SAMLMint{})
	accepted(t, response, want)
	for name, empty := range map[string]func(*federation.SAMLSettings){
		"IdP": func(s *federation.SAMLSettings) { s.IDPEntityID = "" },
		"us":  func(s *federation.SAMLSettings) { s.EntityID = "" },
		"ACS": func(s *federation.SAMLSettings) { s.ACS = "" },
	} {
		settings := *want.Connection.SAML
		empty(&settings)
		bad := want
		bad.Connection.SAML = &settings
		t.Run(name, func(t *testing.T) { refused(t, response, bad, "connection") })
	}
	want.Connection.SAML = nil
	refused(t, response, want, "connection")
}

// SAM-61: an empty request ID never matches, not even an empty one.
func TestEmptyRequestID(t *testing.T) {
	scene, want := stage(t)
	want.RequestIDs = []string{""}
	scene.To.RequestID = ""
	refused(t, mint(t, scene, idptest.SAMLMint{}), want, "unsolicited")
	refused(t, mint(t, scene, idptest.SAMLMint{Edit: func(r *etree.Element) {
		r.CreateAttr("InResponseTo", "")
		r.FindElement("./Assertion/Subject/SubjectConfirmation/SubjectConfirmationData").CreateAttr("InResponseTo", "")
	}}), want, "in_response_to")
}
