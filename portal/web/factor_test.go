package web

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/domicile-sso/domicile/portal"
)

const ianAt = "ian@initech.example"

// shown is the code that an app shows now for the key on a page.
func (w *world) shown(key string) string {
	w.t.Helper()
	code, err := totp.GenerateCode(strings.ReplaceAll(key, " ", ""), w.clock())
	if err != nil {
		w.t.Fatal(err)
	}
	return code
}

// addApp sets up an authenticator app by the pages, and waits for its next code.
func (b *browser) addApp() (key string) {
	b.w.t.Helper()
	a := b.follow(b.post("/account/security/totp", url.Values{"step": {"begin"}}))
	if key = a.page.Text("#key"); key == "" || a.page.Attr("svg.qr path", "d") == "" {
		b.w.t.Fatalf("%d %s: no key", a.StatusCode, a.page.Text("h1"))
	}
	a = b.follow(b.post("/account/security/totp", url.Values{"step": {"confirm"}, "name": {"Telephone"}, "code": {b.w.shown(key)}}))
	a.want(b.w.t, http.StatusOK, "Security")
	b.w.pass(30 * time.Second)
	return key
}

// answerSAML is the form that the provider makes a browser post, for the request
// it is on its way with.
func (w *world) answerSAML(b *browser) url.Values {
	w.t.Helper()
	leg := b.leg("acme-saml")
	return url.Values{"SAMLResponse": {w.assertion(w.target(b.host, "acme-saml", leg.RequestID), "ada@acme.example")}, "RelayState": {leg.State}}
}

// request is the AuthnRequest in a redirect.
func request(t *testing.T, to *url.URL) string {
	t.Helper()
	deflated, err := base64.StdEncoding.DecodeString(to.Query().Get("SAMLRequest"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(flate.NewReader(bytes.NewReader(deflated)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// second fills in the code of a second step.
func (b *browser) second(a answer, set url.Values) answer {
	b.w.t.Helper()
	form := url.Values{"attempt": {a.page.Attr("#factor input[name=attempt]", "value")}, "way": {a.page.Attr("#factor input[name=way]", "value")}}
	for name, v := range set {
		form[name] = v
	}
	return b.post("/login/factor", form)
}

func TestSecondStep(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	b.signIn(ianAt, goodPassword)
	a := b.get("/account/security")
	a.want(t, http.StatusOK, "Security")
	if a.page.Text("#none") == "" || a.page.Text("#trusted") == "" {
		t.Errorf("without a factor: %s", a.page.Text("main"))
	}
	key := b.addApp()
	a = b.get("/account/security")
	if len(a.page.All("#factors h3")) != 1 || !strings.Contains(a.page.Text("#factors"), "Telephone") {
		t.Errorf("factors: %s", a.page.Text("#factors"))
	}

	// PWD-09: the right password is half a sign-in, and half a sign-in is nothing.
	c := w.browser(initech)
	a = c.signIn(ianAt, goodPassword)
	a.want(t, http.StatusOK, "Second step")
	for _, path := range []string{"/", "/account/security", "/account/security/totp", "/account/password", "/admin/users"} {
		if got := c.get(path); got.StatusCode != http.StatusSeeOther || !strings.HasPrefix(got.Header.Get("Location"), "/login") {
			t.Errorf("%s with half a sign-in: %d to %q", path, got.StatusCode, got.Header.Get("Location"))
		}
	}
	if c.cookies[SessionCookie] != nil {
		t.Error("half a sign-in has a session cookie")
	}
	code := a.page.All("#factor input[name=code]")
	if len(code) != 1 || a.page.Attr("#code", "autocomplete") != "one-time-code" || a.page.Attr("#code", "inputmode") != "numeric" {
		t.Error("the field is not one for codes")
	}
	c.second(a, url.Values{"code": {"12"}}).want(t, http.StatusBadRequest, "Second step")
	wrong := c.second(a, url.Values{"code": {"000000"}})
	wrong.want(t, http.StatusForbidden, "Second step")
	if wrong.page.Text("#code-error") == "" || wrong.page.Attr("#code", "value") != "" {
		t.Error("a wrong code is not said to be one, or repeated")
	}
	if got := c.second(a, url.Values{"code": {"000000"}, "extra": {"1"}}); got.StatusCode != http.StatusBadRequest {
		t.Errorf("a field too many: %d", got.StatusCode)
	}
	in := c.follow(c.second(a, url.Values{"code": {w.shown(key)}, "trust": {"yes"}}))
	if in.StatusCode != http.StatusOK || !c.signedIn() {
		t.Fatalf("signed in: %d %s", in.StatusCode, in.page.Text("h1"))
	}
	// Trusted: next time the password is enough, and sensitive pages ask all the same.
	c.post("/logout", nil)
	if c.signIn(ianAt, goodPassword); !c.signedIn() {
		t.Error("a trusted browser is asked for the second step")
	}
	if got := c.get("/account/security/totp"); got.Header.Get("Location") != "/account/confirm?then=%2Faccount%2Fsecurity%2Ftotp" {
		t.Errorf("PWD-10: %d to %q", got.StatusCode, got.Header.Get("Location"))
	}
	c.follow(c.post("/account/security/distrust", nil)).want(t, http.StatusOK, "Security")
	c.post("/logout", nil)
	c.signIn(ianAt, goodPassword).want(t, http.StatusOK, "Second step")
}

// Five wrong codes, and the password has to be entered again.
func TestHalfIsOver(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	b.signIn(ianAt, goodPassword)
	key := b.addApp()
	c := w.browser(initech)
	a := c.signIn(ianAt, goodPassword)
	for range portal.HalfTries - 1 {
		c.second(a, url.Values{"code": {"000000"}}).want(t, http.StatusForbidden, "Second step")
	}
	c.second(a, url.Values{"code": {"000000"}}).want(t, http.StatusForbidden, "Sign in to Initech")
	c.second(a, url.Values{"code": {w.shown(key)}}).want(t, http.StatusForbidden, "Sign in to Initech")
	if l := w.letters()[portal.FactorLetter]; l.Factor.What == "" {
		t.Error("nobody is told")
	}
}

func TestRecoveryCodesPage(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	b.signIn(ianAt, goodPassword)
	b.post("/account/security/codes", nil).want(t, http.StatusConflict, "Recovery codes")
	b.addApp()
	a := b.post("/account/security/codes", nil)
	codes := a.page.All("#codes li code")
	if len(codes) != portal.RecoveryCodes || !strings.Contains(a.Header.Get("Cache-Control"), "no-store") {
		t.Fatalf("%d codes, %q", len(codes), a.Header.Get("Cache-Control"))
	}
	one := a.page.Text("#codes li code")
	if again := b.get("/account/security/codes"); len(again.page.All("#codes li")) != 0 || strings.Contains(again.body, one) {
		t.Error("the codes are shown twice")
	}
	// The page names the day that stands on the sheet, also later.
	if today := w.clock().UTC().Format("2 January 2006"); !strings.Contains(a.page.Text("main .quiet"), today) {
		t.Errorf("the sheet says %q, and not %s", a.page.Text("main .quiet"), today)
	}
	if _, err := w.db.Exec(`UPDATE recovery_codes SET created = created - 259200000000`); err != nil {
		t.Fatal(err)
	}
	day := w.clock().UTC().Add(-72 * time.Hour).Format("2 January 2006")
	if made := b.get("/account/security/codes").page.Text("#made"); !strings.Contains(made, day) {
		t.Errorf("made: %q, and not %s", made, day)
	}
	c := w.browser(initech)
	a = c.signIn(ianAt, goodPassword)
	a = c.get("/login/factor?way=code&attempt=" + a.page.Attr("#factor input[name=attempt]", "value"))
	a.want(t, http.StatusOK, "Second step")
	a = c.second(a, url.Values{"code": {strings.ToUpper(one)}})
	a.want(t, http.StatusOK, "You are signed in")
	if left := a.page.Text("#left"); !strings.Contains(left, "9") || !c.signedIn() {
		t.Errorf("left: %s", left)
	}
	// What the site logs, checkLog looks through; a code is in no table either.
	for _, table := range []string{"recovery_codes", "audit"} {
		var n int
		if err := w.db.QueryRow(`SELECT COUNT(*) FROM ` + table + ` WHERE CAST(` + map[string]string{"recovery_codes": "digest", "audit": "code"}[table] + ` AS TEXT) = '` + one + `'`).Scan(&n); err != nil || n > 0 {
			t.Errorf("in %s: %d, %v", table, n, err)
		}
	}
}

// What protects an account is taken away on purpose only, and not from a portal
// that demands it (PWD-31).
func TestRemoveFactor(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	b.signIn(ianAt, goodPassword)
	b.addApp()
	id := b.get("/account/security").page.Attr("#factors input[name=factor]", "value")
	b.post("/account/security/remove", url.Values{"factor": {id}}).want(t, http.StatusOK, "Remove this second factor?")
	if _, err := w.db.Exec(`UPDATE settings SET second_factor = 'password' WHERE portal = 'initech'`); err != nil {
		t.Fatal(err)
	}
	b.post("/account/security/remove", url.Values{"factor": {id}, "sure": {"yes"}}).want(t, http.StatusConflict, "Security")
	if _, err := w.db.Exec(`UPDATE settings SET second_factor = 'optional'`); err != nil {
		t.Fatal(err)
	}
	// SES-19: long after, the question is first who asks.
	w.pass(21 * time.Minute)
	a := b.post("/account/security/remove", url.Values{"factor": {id}, "sure": {"yes"}})
	if a.Header.Get("Location") != "/account/confirm?then=%2Faccount%2Fsecurity" {
		t.Fatalf("%d to %q", a.StatusCode, a.Header.Get("Location"))
	}
	a = b.follow(a)
	a.want(t, http.StatusOK, "Confirm that it is you")
	if !strings.Contains(a.page.Text(".notice"), "was not saved") {
		t.Errorf("notice: %s", a.page.Text(".notice"))
	}
	if got := b.get("/account/security"); len(got.page.All("#factors h3")) != 1 {
		t.Error("it is gone all the same")
	}
}

// Step-up by password and, where there is one, the second factor; by SAML; by
// OpenID Connect. Each ends where it was asked for, with a new cookie (SES-01).
func TestStepUp(t *testing.T) {
	w := newFederatedWorld(t)
	later := func(b *browser) (before string, a answer) {
		t.Helper()
		w.pass(11 * time.Minute)
		before = b.cookies[SessionCookie].Value
		a = b.follow(b.get("/account/security/totp"))
		a.want(t, http.StatusOK, "Confirm that it is you")
		return before, a
	}
	done := func(b *browser, before string, a answer) {
		t.Helper()
		b.follow(a).want(t, http.StatusOK, "Set up an authenticator app")
		if b.cookies[SessionCookie].Value == before {
			t.Error("the cookie is the old one")
		}
		old := w.browser(b.host)
		old.cookies[SessionCookie] = &http.Cookie{Name: SessionCookie, Value: before}
		if old.signedIn() {
			t.Error("the old cookie still opens the session")
		}
	}
	t.Run("password", func(t *testing.T) {
		b := w.browser(initech)
		b.signIn(ianAt, goodPassword)
		before, _ := later(b)
		form := url.Values{"then": {"/account/security/totp"}, "password": {"not this one"}}
		b.post("/account/confirm", form).want(t, http.StatusForbidden, "Confirm that it is you")
		form.Set("password", goodPassword)
		done(b, before, b.post("/account/confirm", form))
		key := b.addApp()
		before, _ = later(b)
		a := b.follow(b.post("/account/confirm", form))
		a.want(t, http.StatusOK, "Confirm that it is you")
		done(b, before, b.second(a, url.Values{"code": {w.shown(key)}}))
	})
	t.Run("SAML", func(t *testing.T) {
		b := w.browser(acme)
		if plain := request(t, b.depart("ada@acme.example", "/")); strings.Contains(plain, "ForceAuthn") {
			t.Error("an ordinary sign-in asks anew")
		}
		b.follow(b.crossPost("/saml/acme-saml/acs", w.answerSAML(b)))
		before, a := later(b)
		if a.page.Attr("input[name=password]", "name") != "" {
			t.Error("a password is asked of somebody who has none")
		}
		a = b.post("/account/confirm", url.Values{"then": {"/account/security/totp"}, "way": {"domain"}})
		a = b.get(a.Header.Get("Location"))
		to, err := url.Parse(a.Header.Get("Location"))
		if err != nil || !strings.Contains(request(t, to), `ForceAuthn="true"`) {
			t.Fatalf("%d to %v", a.StatusCode, to)
		}
		done(b, before, b.crossPost("/saml/acme-saml/acs", w.answerSAML(b)))
	})
	t.Run("OpenID Connect", func(t *testing.T) {
		b := w.browser(globex)
		b.follow(b.get(w.through(b.depart("gus@globex.example", "/"))))
		before, _ := later(b)
		a := b.post("/account/confirm", url.Values{"then": {"/account/security/totp"}, "way": {"domain"}})
		a = b.get(a.Header.Get("Location"))
		to, err := url.Parse(a.Header.Get("Location"))
		if err != nil || to.Query().Get("prompt") != "login" || to.Query().Get("max_age") != "0" {
			t.Fatalf("%d to %v", a.StatusCode, to)
		}
		done(b, before, b.get(w.through(to)))
	})
}

// Where a portal demands a factor, the way in leads through setting one up.
func TestEnrolOnTheWayIn(t *testing.T) {
	w := newWorld(t)
	if _, err := w.db.Exec(`UPDATE settings SET second_factor = 'password' WHERE portal = 'initech'`); err != nil {
		t.Fatal(err)
	}
	b := w.browser(initech)
	a := b.follow(b.submit(b.get("/login"), url.Values{"email": {ianAt}}))
	a = b.follow(b.submit(a, url.Values{"password": {goodPassword}}))
	a.want(t, http.StatusOK, "Set up a second step")
	if b.signedIn() {
		t.Error("signed in before it is set up")
	}
	handle := strings.TrimPrefix(a.page.Attr("#ways a", "href"), "/login/enrol?attempt=")
	handle, _, _ = strings.Cut(handle, "&")
	form := url.Values{"attempt": {handle}, "way": {"totp"}, "step": {"begin"}}
	a = b.follow(b.post("/login/enrol", form))
	a.want(t, http.StatusOK, "Set up an authenticator app")
	key := a.page.Text("#key")
	form.Set("step", "confirm")
	form.Set("code", "000000")
	b.post("/login/enrol", form).want(t, http.StatusForbidden, "Set up an authenticator app")
	form.Set("code", w.shown(key))
	b.follow(b.post("/login/enrol", form))
	if !b.signedIn() {
		t.Error("not signed in afterwards")
	}
}

// The console sees sorts of factors, never what they are, and takes away what was
// lost.
func TestUserSecurity(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	b.signIn(ianAt, goodPassword)
	b.addApp()
	ian, _, err := w.store.AccountByAddress(t.Context(), "initech", address(t, ianAt))
	if err != nil {
		t.Fatal(err)
	}
	w.someone("initech", "olga@initech.example", portal.Owner)
	w.someone("initech", "mel@initech.example", portal.Member)
	path := "/admin/users/" + ian.ID + "/security"
	m := w.browser(initech)
	m.signIn("mel@initech.example", goodPassword)
	if a := m.get(path); a.StatusCode != http.StatusForbidden {
		t.Errorf("a member: %d", a.StatusCode)
	}
	o := w.browser(initech)
	o.signIn("olga@initech.example", goodPassword)
	a := o.get(path)
	if a.StatusCode != http.StatusOK || len(a.page.All("#factors tbody tr")) != 1 || strings.Contains(a.body, "Telephone") {
		t.Fatalf("%d: %s", a.StatusCode, a.page.Text("main"))
	}
	id := a.page.Attr("input[name=factor]", "value")
	w.letters()
	a = o.follow(o.post(path, url.Values{"do": {"reset"}}))
	if a.StatusCode != http.StatusOK || w.letters()[portal.ResetLetter].Token == "" {
		t.Errorf("reset: %d", a.StatusCode)
	}
	a = o.follow(o.post(path, url.Values{"do": {"remove"}, "factor": {id}}))
	if a.page.Text("#none") == "" || w.letters()[portal.FactorLetter].Factor.What != portal.FactorRemovedByOther || b.signedIn() {
		t.Errorf("removed: %s", a.page.Text("main"))
	}
	if a := o.post(path, url.Values{"do": {"password"}, "factor": {id}}); a.StatusCode != http.StatusBadRequest {
		t.Errorf("PWD-34: %d", a.StatusCode)
	}
	if a := o.get("/admin/users/" + strings.Repeat("0", 32) + "/security"); a.StatusCode != http.StatusNotFound {
		t.Errorf("nobody: %d", a.StatusCode)
	}
}
