package e2e

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/domicile-sso/domicile/config/servertest"
)

var (
	grace = servertest.Person{Email: "grace@acme.example", Password: "nanoseconds", GivenName: "Grace", FamilyName: "Hopper"}
	linus = servertest.Person{Email: "linus@globex.example", Password: "penguins", GivenName: "Linus", FamilyName: "Pauling"}
)

// A company is a plant with organisations in it: Acme in the EU with
// SimpleSAMLphp, Globex in the US with oidc-provider, Initech in the EU with
// passwords of the portal.
type company struct {
	*plant
	acme, globex, initech string // sites
	saml                  *servertest.SAMLIdP
	issuer                string
}

func found(t testing.TB, more ...servertest.Person) *company {
	t.Helper()
	c := &company{plant: build(t)}
	c.acme = c.eu.portal("acme", "Acme Corporation")
	c.initech = c.eu.portal("initech", "Initech")
	c.globex = c.us.portal("globex", "Globex")

	c.saml = servertest.SimpleSAMLphp(t, append(more, grace))
	c.eu.do("connection", "add", "saml", "acme-saml", "--portal", "acme", "--metadata", c.saml.MetadataURL, "--name", "Acme sign-in")
	c.eu.do("domain", "route", "acme.example", "--portal", "acme", "--connection", "acme-saml", "--jit")

	const secret = "a secret of the test"
	c.issuer = servertest.OIDCProvider(t, servertest.OIDCOptions{
		People: []servertest.Person{linus}, ClientID: "domicile", ClientSecret: secret,
		RedirectURI: c.globex + "/oidc/globex-oidc/callback",
	})
	c.write("us-east/client-secret", "%s\n", secret)
	c.us.do("connection", "add", "oidc", "globex-oidc", "--portal", "globex", "--issuer", c.issuer,
		"--client-id", "domicile", "--client-secret-file", c.path("us-east", "client-secret"), "--name", "Globex sign-in")
	c.us.do("domain", "route", "globex.example", "--portal", "globex", "--connection", "globex-oidc", "--jit")

	c.eu.do("domain", "route", "initech.example", "--portal", "initech")
	c.start()
	c.saml.Trust(get(t, c.acme+"/saml/acme-saml/metadata"))
	c.knows(grace.Email, "acme")
	c.knows(linus.Email, "globex")
	return c
}

// TestRealIdentityProviders signs people in with software that none of us wrote.
func TestRealIdentityProviders(t *testing.T) {
	c := found(t)
	both(t, func(t *testing.T, scripts bool) {
		b := browser(t, scripts)
		b.open(c.url + "/")
		b.fill("email", grace.Email)
		b.press("Next")
		atPHP(b, c.saml, grace)
		b.arrived(c.acme, home{grace.Email, "Acme Corporation", "EU", "Acme sign-in (SAML)"})
		b.sees("Welcome, Grace")

		b = browser(t, scripts)
		b.open(c.url + "/")
		b.fill("email", linus.Email)
		b.press("Next")
		atNode(b, c.issuer, linus)
		b.arrived(c.globex, home{linus.Email, "Globex", "US", "Globex sign-in (OpenID Connect)"})
		b.sees("Welcome, Linus")
	})
}

// TestStartedAtTheProvider: where the operator allowed it, a sign-in may begin at
// SimpleSAMLphp. The person is asked before it takes place, because anybody could
// have sent this browser there.
func TestStartedAtTheProvider(t *testing.T) {
	c := found(t)
	start := c.saml.URL + "saml2/idp/SSOService.php?" + url.Values{"spentityid": {c.acme + "/saml/acme-saml/metadata"}}.Encode()
	b := browser(t, true)
	b.open(start)
	atPHP(b, c.saml, grace)
	b.at(c.acme, "/saml/")
	b.mustNotSay("Yes, sign me in")
	if b.answer() != http.StatusForbidden {
		t.Errorf("status %d where it is not allowed, want 403", b.answer())
	}

	c.eu.do("connection", "add", "saml", "acme-saml", "--portal", "acme", "--metadata", c.saml.MetadataURL, "--name", "Acme sign-in", "--allow-idp-initiated")
	both(t, func(t *testing.T, scripts bool) {
		b := browser(t, scripts)
		b.open(start)
		atPHP(b, c.saml, grace)
		b.at(c.acme, "/saml/")
		b.sees("Is this you?")
		b.sees(grace.Email)
		b.look("confirm")
		b.press("Yes, sign me in")
		b.arrived(c.acme, home{grace.Email, "Acme Corporation", "EU", "SAML"})
	})
}
