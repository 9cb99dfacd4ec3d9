package e2e

import (
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
	"github.com/domicile-sso/domicile/federation/idptest"
)

const (
	ada        = "ada@acme.example"
	gus        = "gus@globex.example"
	ian        = "ian@initech.example"
	uma        = "uma@umbrella.example"
	consultant = "max@consult.example"

	atTheirs = "their-own-Password-1" // at the identity providers
)

// A fleet is a plant that logs all it can, as JSON, with people of the demo's
// kind in it: Acme (SAML) and Umbrella (Cloud or Domain) in the EU, on SQLite;
// Globex (OpenID) and Initech (password) in the US, on PostgreSQL. Its identity
// providers are small ones of our own, on this machine.
type fleet struct {
	*plant
	acme, umbrella, globex, initech string // sites
	saml                            *idptest.SAMLIdP
	openID                          *idptest.OIDCProvider
}

// ship builds a fleet and starts nothing yet.
func ship(t testing.TB, people ...idptest.User) *fleet {
	t.Helper()
	f := &fleet{plant: build(t)}
	for _, file := range []string{"front.yaml", "eu-central.yaml", "us-east.yaml"} {
		f.rewrite(file, "{level: info, format: text}", "{level: debug, format: json}")
	}
	for _, address := range []string{ada, gus, uma} {
		people = append(people, idptest.User{Address: address, Password: atTheirs, GivenName: "Given", FamilyName: "Family"})
	}

	var both sync.WaitGroup
	both.Go(func() { f.fitEU(people) })
	both.Go(func() { f.fitUS(people) })
	both.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return f
}

func (f *fleet) fitEU(people []idptest.User) {
	var err error
	if f.saml, err = idptest.NewSAML(idptest.SAMLOptions{Name: "Acme", Users: people}); err != nil {
		f.t.Error(err)
		return
	}
	idp := httptest.NewServer(f.saml)
	f.t.Cleanup(idp.Close)
	f.saml.SetURL(idp.URL)
	f.acme = f.eu.portal("acme", "Acme Corporation")
	f.umbrella = f.eu.portal("umbrella", "Umbrella")
	for _, id := range []string{"acme", "umbrella"} {
		f.eu.do("connection", "add", "saml", id+"-saml", "--portal", id, "--metadata", f.saml.EntityID())
	}
	f.eu.do("domain", "route", "acme.example", "--portal", "acme", "--connection", "acme-saml", "--jit")
	f.eu.do("domain", "route", "umbrella.example", "--portal", "umbrella", "--connection", "umbrella-saml", "--jit", "--password")
}

func (f *fleet) fitUS(people []idptest.User) {
	f.openID = idptest.NewOIDC(idptest.OIDCOptions{Name: "Globex", Users: people})
	provider := httptest.NewServer(f.openID)
	f.t.Cleanup(provider.Close)
	f.openID.SetIssuer(provider.URL)
	f.globex = f.us.portal("globex", "Globex")
	f.initech = f.us.portal("initech", "Initech")
	f.openID.AddClient(idptest.OIDCClient{ID: "domicile", Secret: clientSecret, RedirectURIs: []string{f.globex + "/oidc/globex-oidc/callback"}})
	f.write("us-east/client-secret", "%s\n", clientSecret)
	f.us.do("connection", "add", "oidc", "globex-oidc", "--portal", "globex", "--issuer", provider.URL,
		"--client-id", "domicile", "--client-secret-file", f.path("us-east", "client-secret"))
	f.us.do("domain", "route", "globex.example", "--portal", "globex", "--connection", "globex-oidc", "--jit")
	f.us.do("domain", "route", "initech.example", "--portal", "initech")
}

// rewrite changes a word of a file.
func (p *plant) rewrite(name, old, better string) {
	p.t.Helper()
	text, err := os.ReadFile(p.path(name))
	if err != nil {
		p.t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		p.t.Fatalf("%s has no %q", name, old)
	}
	p.write(name, "%s", strings.ReplaceAll(string(text), old, better))
}

const ready = `"msg":"ready"`

func (f *fleet) startFront() {
	f.t.Helper()
	f.front = planttest.Serve(f.t, "the front door", ready, "serve", "discovery", "--config", f.path("front.yaml"))
}

func (f *fleet) startRegion(r *region) {
	f.t.Helper()
	r.Server = planttest.Serve(f.t, r.name, ready, "serve", "portal", "--config", r.config)
}

// sail starts everything and waits until all of it is known at the front door.
func (f *fleet) sail() *fleet {
	f.t.Helper()
	f.startFront()
	f.startRegion(f.eu)
	f.startRegion(f.us)
	for address, portal := range map[string]string{ada: "acme", uma: "umbrella", gus: "globex", ian: "initech"} {
		f.knows(address, portal)
	}
	return f
}

// invited invites somebody and returns the temporary password of the mail.
func (r *region) invited(portal, address string) string {
	r.plant.t.Helper()
	r.do("account", "invite", address, "--portal", portal, "--given-name", "Given")
	temporary := planttest.TemporaryPassword(r.plant.smtp.Letter(r.plant.t, address, "Your temporary password"))
	if temporary == "" {
		r.plant.t.Fatal("no temporary password in the mail")
	}
	return temporary
}

// enter types an address on a page and presses Next.
func (v *visitor) enter(address string) *visitor {
	v.t.Helper()
	return v.submit("Next", "email", address)
}

// atSAML signs in at our small SAML identity provider.
func (v *visitor) atSAML(f *fleet, password string) *visitor {
	v.t.Helper()
	if !strings.HasPrefix(v.url.String(), f.saml.SSO()) {
		v.sees(0)
		v.t.FailNow()
	}
	return v.submit("Sign in", "password", password).submit("Continue")
}

// atOpenID signs in at our small OpenID provider.
func (v *visitor) atOpenID(f *fleet, password string) *visitor {
	v.t.Helper()
	if !strings.HasPrefix(v.url.String(), f.openID.Issuer()) {
		v.sees(0)
		v.t.FailNow()
	}
	return v.submit("Sign in", "password", password)
}

// firstTime replaces a temporary password on the way in.
func (v *visitor) firstTime(temporary, own string) *visitor {
	v.t.Helper()
	v.submit("Sign in", "password", temporary)
	return v.submit("Save and sign in", "temporary", temporary, "new", own, "confirm", own)
}

var linkInMail = regexp.MustCompile(`https?://\S+`)

// links are the addresses in a mail.
func (l letter) links() []string { return linkInMail.FindAllString(l.text, -1) }
