package attacks

import (
	"compress/flate"
	"encoding/base64"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/federation/idptest"
	"github.com/domicile-sso/domicile/portal/web"
)

// A trip is one way to an identity provider, as the provider sees it.
type trip struct {
	Portal, Connection string
	To                 *url.URL
	State              string // OpenID Connect state, SAML RelayState
	RequestID          string // SAML

	b *browser
}

// depart opens GET /login/{connection} and reads the request that the browser is
// sent on with. It goes no further.
func (b *browser) depart(portal, connection string) *trip {
	b.t.Helper()
	return b.departing(portal, connection, b.get(portal+"/login/"+connection))
}

// departWith first types an address on the sign-in page, after asking for a page
// of the portal ("/" where there is no wish).
func (b *browser) departWith(portal, connection, address, page string) *trip {
	b.t.Helper()
	a := b.arrive(b.get(portal + page))
	form := url.Values{"email": {address}}
	if handle := a.page().Attr("input[name=attempt]", "value"); handle != "" {
		form.Set("attempt", handle)
	}
	return b.departing(portal, connection, b.follow(b.post(portal+"/login", form)))
}

func (b *browser) departing(portal, connection string, a *answer) *trip {
	b.t.Helper()
	to := a.leads()
	q := to.Query()
	trip := &trip{Portal: portal, Connection: connection, To: to, State: q.Get("state"), b: b}
	if message := q.Get("SAMLRequest"); message != "" {
		trip.State, trip.RequestID = q.Get("RelayState"), requestID(b.t, message)
	}
	if trip.State == "" {
		b.t.Fatalf("the way to the identity provider has no state: %s", to)
	}
	return trip
}

func requestID(t testing.TB, message string) string {
	t.Helper()
	var request struct {
		ID string `xml:"ID,attr"`
	}
	if err := xml.Unmarshal([]byte(inflated(t, message)), &request); err != nil || request.ID == "" {
		t.Fatalf("no request ID: %v", err)
	}
	return request.ID
}

// inflated is a message of the redirect binding in clear.
func inflated(t testing.TB, message string) string {
	t.Helper()
	packed, err := base64.StdEncoding.DecodeString(message)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(flate.NewReader(strings.NewReader(string(packed))))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// target is whom an answer to the trip is for.
func (p *trip) target() idptest.SAMLTarget {
	p.b.t.Helper()
	c, key, err := p.b.w.store(p.Portal).Connection(p.b.t.Context(), idOf(p.Portal), p.Connection)
	if err != nil {
		p.b.t.Fatal(err)
	}
	return idptest.SAMLTarget{EntityID: c.SAML.EntityID, ACS: p.acs(), RequestID: p.RequestID, Certificate: key.Certificate}
}

// assertion is a correct answer for somebody, from the connection's provider.
func (p *trip) assertion(who idptest.User) string {
	p.b.t.Helper()
	return mint(p.b.t, p.b.w.IdPs.SAML[p.Connection], p.target(), idptest.SAMLMint{User: who})
}

func mint(t testing.TB, idp *idptest.SAMLIdP, to idptest.SAMLTarget, m idptest.SAMLMint) string {
	t.Helper()
	response, err := idp.Mint(to, m)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func (p *trip) acs() string { return p.Portal + "/saml/" + p.Connection + "/acs" }

// deliver posts a SAMLResponse as the provider's page would.
func (p *trip) deliver(response string) *answer {
	p.b.t.Helper()
	return p.b.crossPost(p.acs(), url.Values{"SAMLResponse": {response}, "RelayState": {p.State}})
}

// authorise signs somebody in at an OpenID provider and returns the way back,
// with code and state, that nobody has gone yet.
func (p *trip) authorise(who idptest.User) *url.URL {
	p.b.t.Helper()
	to := *p.To
	q := to.Query()
	q.Set("login_hint", who.Address)
	to.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(p.b.t.Context(), http.MethodGet, to.String(), nil)
	if err != nil {
		p.b.t.Fatal(err)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		p.b.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	back, err := url.Parse(res.Header.Get("Location"))
	if res.StatusCode != http.StatusSeeOther || err != nil {
		p.b.t.Fatalf("the provider answered %d", res.StatusCode)
	}
	return back
}

// accepted insists on having been signed in as somebody, at the page first asked
// for, with a session cookie as it should be.
func (w *world) accepted(t testing.TB, b *browser, at string, a *answer, who, page string) {
	t.Helper()
	if a.Status != http.StatusSeeOther || a.Header.Get("Location") != page {
		t.Fatalf("%s: got %d to %q, want 303 to %q: %s; audit: %v", a.URL.Path, a.Status, a.Header.Get("Location"), page, a.text(), w.events(t, at, a))
	}
	secured(t, a)
	c := a.session()
	if c == nil {
		t.Fatal("no session cookie")
	}
	if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.Name != web.SessionCookie {
		t.Errorf("session cookie: %s", c)
	}
	w.audited(t, at, a, "session.start", "")
	if got := b.signedIn(at); got != who {
		t.Errorf("signed in as %q, want %q", got, who)
	}
}

// signInPassword goes from the sign-in page to the answer to a password.
func (b *browser) signInPassword(portal, address, password string) *answer {
	b.t.Helper()
	form := b.arrive(b.post(portal+"/login", url.Values{"email": {address}}))
	return b.post(portal+"/login/password", url.Values{"attempt": {form.page().Attr("input[name=attempt]", "value")}, "password": {password}})
}
