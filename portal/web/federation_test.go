package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"

	"github.com/domicile-sso/domicile/discovery/page/pagetest"
	"github.com/domicile-sso/domicile/federation/idptest"
	"github.com/domicile-sso/domicile/federation/oidc"
	"github.com/domicile-sso/domicile/portal"
)

// depart goes as far as the way to the identity provider, and returns it.
func (b *browser) depart(who, first string) *url.URL {
	b.w.t.Helper()
	a := b.follow(b.submit(b.follow(b.get(first)), url.Values{"email": {who}}))
	if a.StatusCode == 200 { // Cloud or Domain
		ways := a.page.All(".choice")
		a = b.get(pagetest.Attr(ways[len(ways)-1], "href"))
	}
	u, err := url.Parse(a.Header.Get("Location"))
	if a.StatusCode != 303 || err != nil || u.Host == "" {
		b.w.t.Fatalf("got %d to %q", a.StatusCode, a.Header.Get("Location"))
	}
	return u
}

// leg is the request that a browser has open, from the region's own memory.
func (b *browser) leg(connection string) portal.Federated {
	b.w.t.Helper()
	id, _, _ := strings.Cut(b.host, ".")
	legs, err := b.w.store.FederationsForBrowser(b.w.t.Context(), id, portal.Secret(b.cookies[ssoCookie].Value), connection)
	if err != nil || len(legs) == 0 {
		b.w.t.Fatalf("no leg: %v", err)
	}
	return legs[len(legs)-1]
}

func (w *world) target(host, connection, request string) idptest.SAMLTarget {
	return idptest.SAMLTarget{EntityID: "https://" + host + "/saml/" + connection + "/metadata",
		ACS: "https://" + host + "/saml/" + connection + "/acs", RequestID: request}
}

func (w *world) assertion(to idptest.SAMLTarget, who string) string {
	w.t.Helper()
	u, ok := w.saml.User(who)
	if !ok {
		u = idptest.User{Subject: who, Address: who}
	}
	s, err := w.saml.Mint(to, idptest.SAMLMint{User: u})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func TestSAMLSignIn(t *testing.T) {
	w := newFederatedWorld(t)
	b := w.browser(acme)
	to := b.depart("ada@acme.example", "/account")
	if to.Host != "idp.example" || to.Query().Get("SAMLRequest") == "" || to.Query().Get("Signature") == "" {
		t.Fatalf("led to %s", to)
	}
	leg := b.leg("acme-saml")
	if to.Query().Get("RelayState") != leg.State || strings.Contains(to.String(), "account") {
		t.Error("RelayState is not the opaque key")
	}
	response := w.assertion(w.target(acme, "acme-saml", leg.RequestID), "ada@acme.example")
	a := b.crossPost("/saml/acme-saml/acs", url.Values{"SAMLResponse": {response}, "RelayState": {leg.State}})
	if a.StatusCode != 303 || a.Header.Get("Location") != "/account" {
		t.Fatalf("got %d to %q: %s", a.StatusCode, a.Header.Get("Location"), a.page.Text("main"))
	}
	if b.cookies[ssoCookie] == nil {
		t.Error("the cookie of the trip is dropped while another tab may be on its own")
	}
	a = b.get("/")
	a.want(t, 200, "Welcome, Ada")
	if got := a.page.Text("#method"); !strings.Contains(got, "The acme provider (SAML)") {
		t.Errorf("signed in with %q", got)
	}

	// SAM-58: once and never again, in this browser or another.
	for _, c := range []*browser{b, w.browser(acme)} {
		c.crossPost("/saml/acme-saml/acs", url.Values{"SAMLResponse": {response}, "RelayState": {leg.State}}).want(t, 403, "This was not accepted")
	}
}

// SAM-60, OID-31: an answer to a request of another browser, connection or hour.
func TestAnswerToAnotherRequest(t *testing.T) {
	w := newFederatedWorld(t)
	victim, attacker := w.browser(acme), w.browser(acme)
	attacker.depart("ada@acme.example", "/account")
	victim.depart("ada@acme.example", "/account")
	theirs := attacker.leg("acme-saml")
	response := w.assertion(w.target(acme, "acme-saml", theirs.RequestID), "ada@acme.example")
	for _, form := range []url.Values{
		{"SAMLResponse": {response}, "RelayState": {theirs.State}},
		{"SAMLResponse": {response}, "RelayState": {victim.leg("acme-saml").State}},
		{"SAMLResponse": {response}},
	} {
		victim.crossPost("/saml/acme-saml/acs", form).want(t, 403, "This was not accepted")
	}
	w.pass(11 * time.Minute)
	attacker.crossPost("/saml/acme-saml/acs", url.Values{"SAMLResponse": {response}, "RelayState": {theirs.State}}).want(t, 403, "This was not accepted")
	if victim.cookies[SessionCookie] != nil || attacker.cookies[SessionCookie] != nil {
		t.Error("there is a session")
	}
	if codes := w.codes("acme"); len(codes) < 4 {
		t.Errorf("audit says %v", codes)
	}
}

// SAM-82, SAM-81, SAM-79: what is not one form-encoded SAMLResponse.
func TestAssertionConsumerInput(t *testing.T) {
	w := newFederatedWorld(t)
	b := w.browser(acme)
	b.depart("ada@acme.example", "/account")
	leg := b.leg("acme-saml")
	response := url.QueryEscape(w.assertion(w.target(acme, "acme-saml", leg.RequestID), "ada@acme.example"))
	const form = "application/x-www-form-urlencoded"
	const acs = "/saml/acme-saml/acs"
	for _, tc := range []struct {
		name, method, path, kind, body string
		status                         int
	}{
		{"by GET", "GET", acs + "?SAMLResponse=" + response[:500], "", "", 405},
		{"in the query", "POST", acs + "?SAMLResponse=" + response[:500], form, "SAMLResponse=" + response, 400},
		{"twice", "POST", acs, form, "SAMLResponse=" + response + "&SAMLResponse=" + response, 400},
		{"none", "POST", acs, form, "RelayState=x", 400},
		{"empty", "POST", acs, form, "SAMLResponse=", 400},
		{"JSON", "POST", acs, "application/json", `{"SAMLResponse":""}`, 415},
		{"multipart", "POST", acs, "multipart/form-data; boundary=b", "--b--", 415},
		{"junk", "POST", acs, form, "SAMLResponse=" + response + "%20!!", 400},
		{"not base64", "POST", acs, form, "SAMLResponse=%3CResponse%3E", 400},
		{"huge", "POST", acs, form, "SAMLResponse=" + strings.Repeat("QUFB", 200_000), 413},
		{"artifact", "POST", acs, form, "SAMLart=AAQAA", 403},
		{"artifact too", "POST", acs, form, "SAMLResponse=" + response + "&SAMLart=AAQAA", 403},
		{"artifact in the query", "POST", acs + "?SAMLart=AAQAA", form, "SAMLResponse=" + response, 400},
		{"address as state", "POST", acs, form, "SAMLResponse=" + response + "&RelayState=https%3A%2F%2Fevil.test", 403},
		{"long state", "POST", acs, form, "SAMLResponse=" + response + "&RelayState=" + strings.Repeat("a", 10<<10), 400},
		{"other tenant's address", "POST", "/saml/umbrella-saml/acs", form, "SAMLResponse=" + response, 404},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(tc.method, tc.path, strings.NewReader(tc.body))
			r.Header.Set("Content-Type", tc.kind)
			a := b.do(r)
			if a.StatusCode != tc.status || a.page.Text(".reference code") == "" {
				t.Errorf("got %d %q", a.StatusCode, a.page.Text("main"))
			}
		})
	}
	if b.cookies[SessionCookie] != nil {
		t.Error("there is a session")
	}
}

// Every message of the attack list, posted to a real portal.
func TestSAMLAttacks(t *testing.T) {
	w := newFederatedWorld(t)
	victim := idptest.User{Subject: "victim", Address: "victim@acme.example"}
	ada, _ := w.saml.User("ada@acme.example")
	stored, key, err := w.store.Connection(t.Context(), "acme", "acme-saml")
	if err != nil {
		t.Fatal(err)
	}
	b := w.browser(acme)
	for _, attack := range idptest.SAMLAttacks() {
		t.Run(attack.ID+" "+attack.Name, func(t *testing.T) {
			c := stored
			settings := *stored.SAML
			if attack.Policy != nil {
				attack.Policy(&settings)
			}
			c.SAML = &settings
			if _, _, err := w.store.PutConnection(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			w.forgetIdentities()
			b.cookies = map[string]*http.Cookie{}
			b.depart("ada@acme.example", "/account")
			leg := b.leg("acme-saml")
			to := w.target(acme, "acme-saml", leg.RequestID)
			to.Certificate = key.Certificate
			response, err := attack.Build(idptest.SAMLScene{IdP: w.saml, To: to, User: ada, Victim: victim})
			if err != nil {
				t.Fatal(err)
			}
			a := b.crossPost("/saml/acme-saml/acs", url.Values{"SAMLResponse": {response}, "RelayState": {leg.State}})
			if attack.Accept {
				if a.page.Text("h1") == "Is this you?" {
					a = b.submit(a, nil)
				}
				if a.StatusCode != 303 || !b.signedIn() {
					t.Errorf("got %d; audit says %v", a.StatusCode, last(w.codes("acme")))
				}
				return
			}
			if !slices.Contains([]int{400, 403, 413}, a.StatusCode) || b.cookies[SessionCookie] != nil {
				t.Errorf("got %d, session %v", a.StatusCode, b.cookies[SessionCookie])
			}
			if a.page.Text("h1") == "" || strings.Contains(a.body, "victim") || strings.Contains(a.page.Text("body"), attack.Code) {
				t.Error("the page is not dull")
			}
			want := attack.Code
			if response == "" {
				want = "field_missing" // the form is refused before anybody reads a message
			}
			if got := last(w.codes("acme")); got != want {
				t.Errorf("audit says %q, want %q", got, want)
			}
		})
	}
}

// forgetIdentities makes the next sign-in at a provider the first: attacks that
// must be accepted come as different subjects with one address.
func (w *world) forgetIdentities() {
	w.t.Helper()
	if _, err := w.db.Exec("DELETE FROM identities"); err != nil {
		w.t.Fatal(err)
	}
}

func last(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[len(s)-1]
}

// SAM-69, OID-28: an identity provider speaks for its portal's domains only.
func TestAddressOfAnotherDomain(t *testing.T) {
	w := newFederatedWorld(t)
	for _, who := range []string{"gus@globex.example", "x@nobody.example", "not an address"} {
		b := w.browser(acme)
		b.depart("ada@acme.example", "/account")
		leg := b.leg("acme-saml")
		response := w.assertion(w.target(acme, "acme-saml", leg.RequestID), who)
		a := b.crossPost("/saml/acme-saml/acs", url.Values{"SAMLResponse": {response}, "RelayState": {leg.State}})
		if a.StatusCode != 403 || b.cookies[SessionCookie] != nil || last(w.codes("acme")) == "" {
			t.Errorf("%s: got %d, audit %q", who, a.StatusCode, last(w.codes("acme")))
		}
	}
}

// SAM-61, SAM-63: unasked, where the connection allows it: nothing happens
// before the person has said yes on a page of ours.
func TestUnsolicited(t *testing.T) {
	w := newFederatedWorld(t)
	refused := w.browser(acme)
	refused.crossPost("/saml/acme-saml/acs", url.Values{"SAMLResponse": {w.assertion(w.target(acme, "acme-saml", ""), "ada@acme.example")}}).want(t, 403, "This was not accepted")

	b := w.browser(umbrella)
	response := w.assertion(w.target(umbrella, "umbrella-saml", ""), "uma@umbrella.example")
	a := b.crossPost("/saml/umbrella-saml/acs", url.Values{"SAMLResponse": {response}, "RelayState": {"https://evil.test/"}})
	a.want(t, 200, "Is this you?")
	if b.cookies[SessionCookie] != nil || !strings.Contains(a.page.Text("main"), "uma@umbrella.example") {
		t.Fatal("signed in without a word, or the page does not say as whom")
	}
	b.follow(b.submit(a, nil)).want(t, 200, "Welcome, Ian")
	b.submit(a, nil).want(t, 403, "This was not accepted")

	// SAM-62: a response to a request of somebody's does not pass as unasked.
	solicited := w.assertion(w.target(umbrella, "umbrella-saml", "id-0123456789abcdef0123"), "uma@umbrella.example")
	c := w.browser(umbrella)
	c.crossPost("/saml/umbrella-saml/acs", url.Values{"SAMLResponse": {solicited}}).want(t, 403, "This was not accepted")
	c.post("/saml/umbrella-saml/confirm", url.Values{"SAMLResponse": {solicited}}).want(t, 403, "This was not accepted")
}

func TestPostBinding(t *testing.T) {
	w := newFederatedWorld(t)
	c, _, err := w.store.Connection(t.Context(), "acme", "acme-saml")
	if err != nil {
		t.Fatal(err)
	}
	c.SAML.SSORedirect, c.SAML.SSOPost = "", "https://idp.example/saml/sso"
	if _, _, err := w.store.PutConnection(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	b := w.browser(acme)
	a := b.follow(b.submit(b.get("/login"), url.Values{"email": {"ada@acme.example"}}))
	a.want(t, 200, "On to your organisation")
	if !strings.HasPrefix(a.page.Attr("main form", "action"), "https://idp.example/saml/sso") || a.page.Attr("input[name=SAMLRequest]", "value") == "" {
		t.Error("the form leads nowhere")
	}
	if csp := a.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://idp.example") {
		t.Errorf("policy %s", csp)
	}
}

func TestMetadata(t *testing.T) {
	w := newFederatedWorld(t)
	a := w.browser(acme).get("/saml/acme-saml/metadata")
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/samlmetadata+xml" || !strings.Contains(a.body, "https://"+acme+"/saml/acme-saml/acs") {
		t.Errorf("got %d %s", a.StatusCode, a.Header.Get("Content-Type"))
	}
}

// OID-46: the address goes to the provider of its own domain and to no other.
func TestLoginHint(t *testing.T) {
	w := newFederatedWorld(t)
	b := w.browser(globex)
	if hint := b.depart("gus@globex.example", "/account").Query().Get("login_hint"); hint != "gus@globex.example" {
		t.Errorf("hint %q", hint)
	}
	guest := w.browser(globex)
	a := guest.follow(guest.submit(guest.get("/login"), url.Values{"email": {"guest@consult.example"}}))
	a.want(t, 200, "Enter your password")
	to := guest.get("/login/globex-oidc?attempt=" + a.page.Attr("input[name=attempt]", "value")).Header.Get("Location")
	if to == "" || strings.Contains(to, "guest") || strings.Contains(to, "login_hint") {
		t.Errorf("led to %s", to)
	}
	if to := w.browser(globex).get("/login/globex-oidc").Header.Get("Location"); !strings.Contains(to, "state=") {
		t.Errorf("a bookmark leads to %q", to)
	}
}

// through lets the silent provider answer, and returns the way back.
func (w *world) through(to *url.URL) string {
	w.t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Get(to.String())
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	back, err := url.Parse(res.Header.Get("Location"))
	if err != nil || back.Host != globex {
		w.t.Fatalf("the provider answers %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
	return back.RequestURI()
}

func TestOIDCSignIn(t *testing.T) {
	w := newFederatedWorld(t)
	b := w.browser(globex)
	back := w.through(b.depart("gus@globex.example", "/account"))

	stranger := w.browser(globex)
	stranger.depart("gus@globex.example", "/account")
	stranger.get(back).want(t, 403, "Sign in to Globex")

	b.do(httptest.NewRequest(http.MethodHead, back, nil))
	a := b.get(back)
	if a.StatusCode != 303 || a.Header.Get("Location") != "/account" {
		t.Fatalf("got %d to %q: %s, audit %v", a.StatusCode, a.Header.Get("Location"), a.page.Text("main"), w.codes("globex"))
	}
	home := b.get("/")
	home.want(t, 200, "Welcome, Gus")
	if got := home.page.Text("#method"); !strings.Contains(got, "Globex ID (OpenID Connect)") {
		t.Errorf("signed in with %q", got)
	}

	// OID-31: the same answer again, in a browser that is not signed in.
	other := w.browser(globex)
	other.cookies[ssoCookie] = &http.Cookie{Name: ssoCookie, Value: b.w.t.Name() + "aaaaaaaaaaaaaaaaaaaaaaaa", SameSite: http.SameSiteNoneMode}
	other.get(back).want(t, 403, "Sign in to Globex")

	a = b.post("/logout", nil)
	a.want(t, 200, "You are signed out")
}

// Who turns back at the provider is told so on the ordinary sign-in page, and
// goes on from there to the page first asked for.
func TestTurningBack(t *testing.T) {
	w := newFederatedWorld(t)
	wantBack := func(t *testing.T, a answer, portalID, code string) {
		t.Helper()
		a.want(t, 403, "Sign in to "+map[string]string{"acme": "Acme", "globex": "Globex"}[portalID])
		if got := a.page.Text(".notice"); !strings.Contains(got, "You can try again.") || !strings.Contains(got, "Reference") {
			t.Errorf("told %q", got)
		}
		if strings.Contains(a.body, "evil") || strings.Contains(a.body, "gus@") {
			t.Error("something is reflected")
		}
		if got := last(w.codes(portalID)); got != code {
			t.Errorf("audit says %q, want %q", got, code)
		}
	}

	t.Run("OIDC", func(t *testing.T) {
		b := w.browser(globex)
		back, err := url.Parse(w.through(b.depart("gus@globex.example", "/account")))
		if err != nil {
			t.Fatal(err)
		}
		q := back.Query()
		q.Del("code")
		q.Set("error", "access_denied")
		q.Set("error_description", "evil@evil.test")
		a := b.get(back.Path + "?" + q.Encode())
		wantBack(t, a, "globex", "idp_error")
		to, err := url.Parse(b.follow(b.submit(a, url.Values{"email": {"gus@globex.example"}})).Header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		if a := b.get(w.through(to)); a.StatusCode != 303 || a.Header.Get("Location") != "/account" {
			t.Errorf("the second try leads to %d %q", a.StatusCode, a.Header.Get("Location"))
		}
	})
	for _, code := range []string{"AuthnFailed", "RequestDenied", "NoPassive"} {
		t.Run("SAML "+code, func(t *testing.T) {
			b := w.browser(acme)
			b.depart("ada@acme.example", "/account")
			leg := b.leg("acme-saml")
			response := w.turnedBack(w.target(acme, "acme-saml", leg.RequestID), code)
			a := b.crossPost("/saml/acme-saml/acs", url.Values{"SAMLResponse": {response}, "RelayState": {leg.State}})
			if code == "NoPassive" {
				a.want(t, 403, "This was not accepted")
				return
			}
			wantBack(t, a, "acme", "status")
			stranger := w.browser(acme)
			stranger.crossPost("/saml/acme-saml/acs", url.Values{"SAMLResponse": {response}, "RelayState": {leg.State}}).want(t, 403, "This was not accepted")
		})
	}
}

// turnedBack is a response that says why there is no assertion.
func (w *world) turnedBack(to idptest.SAMLTarget, code string) string {
	w.t.Helper()
	s, err := w.saml.Mint(to, idptest.SAMLMint{Sign: idptest.SignNothing, Edit: func(r *etree.Element) {
		r.RemoveChild(r.SelectElement("Assertion"))
		status := r.FindElement("./Status/StatusCode")
		status.CreateAttr("Value", "urn:oasis:names:tc:SAML:2.0:status:Responder")
		status.CreateElement("samlp:StatusCode").CreateAttr("Value", "urn:oasis:names:tc:SAML:2.0:status:"+code)
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func TestOIDCAnswers(t *testing.T) {
	w := newFederatedWorld(t)
	for name, tc := range map[string]struct {
		change func(q url.Values)
		status int
	}{
		"error": {func(q url.Values) {
			q.Del("code")
			q.Set("error", "access_denied")
			q.Set("error_description", "<script>")
		}, 403},
		"no state":      {func(q url.Values) { q.Del("state") }, 403},
		"guessed state": {func(q url.Values) { q.Set("state", portal.NewSecret().Clear()) }, 403},
		"two states":    {func(q url.Values) { q.Add("state", "x") }, 400},
		"two codes":     {func(q url.Values) { q.Add("code", "x") }, 400},
		"wrong code":    {func(q url.Values) { q.Set("code", "x") }, 403},
		"front channel": {func(q url.Values) { q.Del("code"); q.Set("id_token", "x") }, 400},
	} {
		t.Run(name, func(t *testing.T) {
			b := w.browser(globex)
			back, err := url.Parse(w.through(b.depart("gus@globex.example", "/account")))
			if err != nil {
				t.Fatal(err)
			}
			q := back.Query()
			tc.change(q)
			a := b.get(back.Path + "?" + q.Encode())
			if a.StatusCode != tc.status || b.cookies[SessionCookie] != nil || strings.Contains(a.body, "script") {
				t.Errorf("got %d, audit %q", a.StatusCode, last(w.codes("globex")))
			}
			if last(w.codes("globex")) == "" {
				t.Error("nothing in the audit log")
			}
		})
	}
}

// Every fault of the attack list, through a real portal. What a stored
// connection cannot be set to is for the relying party's own test.
func TestOIDCAttacks(t *testing.T) {
	w := newFederatedWorld(t)
	for _, attack := range idptest.OIDCAttacks() {
		if attack.Settings != nil {
			continue
		}
		t.Run(attack.ID+" "+attack.Name, func(t *testing.T) {
			defer w.oidc.Break(idptest.OIDCFaults{})
			w.site.RelyingParty.Keys = oidc.NewKeySets(w.site.RelyingParty.HTTP, w.clock)
			w.oidc.Break(attack.Faults(w.oidc))
			w.forgetIdentities()
			b := w.browser(globex)
			a := b.get(w.through(b.depart("gus@globex.example", "/account")))
			if attack.Code == "" {
				if a.StatusCode != 303 || !b.signedIn() {
					t.Errorf("got %d, audit %q", a.StatusCode, last(w.codes("globex")))
				}
				return
			}
			if a.StatusCode < 400 || a.StatusCode >= 500 && a.StatusCode != 503 || b.cookies[SessionCookie] != nil {
				t.Errorf("got %d, session %v", a.StatusCode, b.cookies[SessionCookie])
			}
			if got := last(w.codes("globex")); got != attack.Code {
				t.Errorf("audit says %q, want %q", got, attack.Code)
			}
		})
	}
}

// SES-05: two hundred trips to a provider fill no cookie jar.
func TestManyTrips(t *testing.T) {
	w := newFederatedWorld(t)
	b := w.browser(globex)
	b.depart("gus@globex.example", "/account")
	first := b.cookies[ssoCookie].Value
	for range 30 {
		b.get("/login/globex-oidc")
	}
	if len(b.cookies) != 2 || b.cookies[ssoCookie].Value != first {
		t.Errorf("%d cookies", len(b.cookies))
	}
}

func TestSignOutAtTheProvider(t *testing.T) {
	w := newFederatedWorld(t)
	c, _, err := w.store.Connection(t.Context(), "globex", "globex-oidc")
	if err != nil {
		t.Fatal(err)
	}
	if c.OIDC.EndSessionURL == "" {
		c.OIDC.EndSessionURL = c.OIDC.Issuer + "/end"
		if _, _, err := w.store.PutConnection(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	b := w.browser(globex)
	b.follow(b.get(w.through(b.depart("gus@globex.example", "/account"))))
	a := b.post("/logout", nil)
	a.want(t, 200, "You are signed out")
	if to := a.page.Attr(".actions a", "href"); !strings.HasPrefix(to, c.OIDC.EndSessionURL) {
		t.Errorf("offers %q", to)
	}
}
