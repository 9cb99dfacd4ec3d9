package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/store"
)

func TestPasswordSignIn(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)

	a := b.get("/login")
	a.want(t, 200, "Sign in to Initech")
	if csp := a.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https:") {
		t.Errorf("the address form cannot lead on to a provider: %s", csp)
	}
	if got := a.page.Text(".below"); !strings.Contains(got, "it@initech.example") {
		t.Errorf("nobody to ask for an invitation: %q", got)
	}
	a = b.follow(b.submit(a, url.Values{"email": {"ian@initech.example"}}))
	a.want(t, 200, "Enter your password")
	if a.page.Attr("#username", "value") != "ian@initech.example" || a.page.Attr("#username", "autocomplete") != "username" {
		t.Error("the password manager is not told whose password it is")
	}
	if a.Header.Get("Content-Security-Policy") != "" {
		t.Error("the password page widens the policy")
	}
	a = b.follow(b.submit(a, url.Values{"password": {goodPassword}}))
	a.want(t, 200, "Welcome, Ian")
	for selector, want := range map[string]string{
		"#address": "ian@initech.example", "#portal": "Initech " + initech, "#jurisdiction": "EU Frankfurt",
		"#method": "Your password for this portal", ".chip": "Data kept in EU",
	} {
		if got := a.page.Text(selector); got != want {
			t.Errorf("%s: got %q, want %q", selector, got, want)
		}
	}
	if !a.page.Has("#ends time[datetime]") {
		t.Error("home does not say when the session ends")
	}
	if b.cookies[SessionCookie].MaxAge != 0 {
		t.Error("a session nobody asked to keep outlives the browser")
	}
	if b.get("/login").Header.Get("Location") != "/" {
		t.Error("somebody signed in is asked to sign in")
	}
}

func TestKeepMeSignedIn(t *testing.T) {
	w := newFederatedWorld(t)
	b := w.browser(initech)
	a := b.follow(b.submit(b.get("/login"), url.Values{"email": {"ian@initech.example"}}))
	b.submit(a, url.Values{"password": {goodPassword}, "keep": {"yes"}})
	if got, want := b.cookies[SessionCookie].MaxAge, int(portal.KeptAbsolute/time.Second); got != want {
		t.Errorf("Max-Age %d, want %d", got, want)
	}

	// Where the portal switched it off (S15) there is no box, and sending it anyway does nothing.
	b = w.browser(umbrella)
	a = b.follow(b.submit(b.get("/login"), url.Values{"email": {"uma@umbrella.example"}}))
	a = b.get(a.page.Attr(".choice", "href"))
	a.want(t, 200, "Enter your password")
	if a.page.Has("#keep") {
		t.Error("the box is there")
	}
	b.submit(a, url.Values{"password": {goodPassword}, "keep": {"yes"}})
	if c := b.cookies[SessionCookie]; c == nil || c.MaxAge != 0 {
		t.Errorf("cookie %v", c)
	}
}

func TestCloudOrDomain(t *testing.T) {
	w := newFederatedWorld(t)
	b := w.browser(umbrella)
	a := b.follow(b.submit(b.get("/login"), url.Values{"email": {"uma@umbrella.example"}}))
	a.want(t, 200, "How would you like to sign in?")
	ways := a.page.All(".choice")
	if len(ways) != 2 {
		t.Fatalf("%d ways", len(ways))
	}
	a = b.get(a.page.Attr(".choice", "href"))
	a.want(t, 200, "Enter your password")
	b.follow(b.submit(a, url.Values{"password": {goodPassword}})).want(t, 200, "Welcome, Ian")
}

func TestWrongPassword(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	for who, password := range map[string]string{"ian@initech.example": "h0rribly-0ff", "nobody@initech.example": goodPassword} {
		a := b.signIn(who, password)
		a.want(t, 403, "Enter your password")
		if a.page.Text("#password-error") != "Error: The address or the password is not right." || !a.page.Has("#password[autofocus]") {
			t.Errorf("says %q", a.page.Text("#password-error"))
		}
		if strings.Contains(a.body, password) || b.cookies[SessionCookie] != nil {
			t.Error("the page repeats the password, or there is a session")
		}
		if a.page.Attr("#username", "value") != who || !strings.HasPrefix(a.page.Text("title"), "Error: ") {
			t.Error("the address is lost, or the title does not say there is an error")
		}
	}
	a := b.signIn("ian@initech.example", "wrong ")
	if !strings.Contains(a.page.Text("#password-error"), "ends with a blank") {
		t.Errorf("the blank is not named: %q", a.page.Text("#password-error"))
	}
	a = b.follow(b.submit(b.get("/login"), url.Values{"email": {"ian@initech.example"}}))
	b.submit(a, nil).want(t, 400, "Enter your password")
}

// DIS-01: what an anonymous visitor sees depends on the domain alone.
func TestKnownAndUnknownLookAlike(t *testing.T) {
	w := newWorld(t)
	shape := func(who string) string {
		b := w.browser(initech)
		a := b.follow(b.submit(b.get("/login"), url.Values{"email": {who}}))
		handle := a.page.Attr("input[name=attempt]", "value")
		wrong := b.submit(a, url.Values{"password": {"no"}})
		sent := b.post("/password/forgot", url.Values{"email": {who}})
		text := a.body + wrong.body + sent.body + wrong.Status + sent.Status
		return strings.NewReplacer(who, "WHO", handle, "HANDLE", wrong.page.Text(".reference code"), "REFERENCE").Replace(text)
	}
	if known, unknown := shape("ian@initech.example"), shape("xyz@initech.example"); known != unknown {
		t.Errorf("known and unknown differ:\n%s\n%s", known, unknown)
	}
}

func TestThrottled(t *testing.T) {
	w := newWorld(t)
	for _, who := range []string{"ian@initech.example", "nobody@initech.example"} {
		var a answer
		for range 40 {
			if a = w.browser(initech).signIn(who, "wrong"); a.StatusCode == http.StatusTooManyRequests {
				break
			}
		}
		a.want(t, 429, "Enter your password")
		if a.Header.Get("Retry-After") == "" || a.page.Text(".summary") == "" || a.page.Attr("#username", "value") != who {
			t.Errorf("Retry-After %q, says %q", a.Header.Get("Retry-After"), a.page.Text(".summary"))
		}
	}
}

func TestPageFirstAskedFor(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	a := b.follow(b.get("/account"))
	a.want(t, 200, "Sign in to Initech")
	a = b.follow(b.submit(a, url.Values{"email": {"ian@initech.example"}}))
	b.follow(b.submit(a, url.Values{"password": {goodPassword}})).want(t, 200, "Licence and profile")

	// DIS-20: nothing a visitor sends decides where one lands.
	for _, evil := range []string{"//evil.test", "/\\evil.test", "\\\\evil.test", "https:evil.test", "/%09/evil.test", "javascript:alert(1)",
		"https://evil.test/account", "///evil.test", "/logout", "/login", "/oidc/x/callback", "/account@evil.test"} {
		b := w.browser(initech)
		a := b.submit(b.get("/login"), url.Values{"email": {"ian@initech.example"}, "then": {evil}})
		a = b.submit(b.follow(a), url.Values{"password": {goodPassword}})
		if to := a.Header.Get("Location"); a.StatusCode != 303 || to != "/" {
			t.Errorf("%q leads to %q (%d)", evil, to, a.StatusCode)
		}
	}
}

func TestAttemptOfAnotherBrowser(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	a := b.follow(b.submit(b.follow(b.get("/account")), url.Values{"email": {"ian@initech.example"}}))
	handle := a.page.Attr("input[name=attempt]", "value")

	other := w.browser(initech)
	other.get("/account")
	for _, path := range []string{"/login", "/login/password", "/login/method", "/password/change"} {
		other.get(path+"?attempt="+handle).want(t, 403, "Sign in to Initech")
	}
	stolen := other.post("/login/password", url.Values{"attempt": {handle}, "password": {goodPassword}})
	stolen.want(t, 403, "Sign in to Initech")
	if other.cookies[SessionCookie] != nil {
		t.Fatal("signed in with the attempt of another browser")
	}

	// An attempt that ended: the way on keeps the page first asked for.
	w.pass(portal.AttemptLife + time.Second)
	late := b.submit(a, url.Values{"password": {goodPassword}})
	late.want(t, 403, "Sign in to Initech")
	if late.page.Text(".notice code") == "" {
		t.Error("no reference")
	}
	late = b.follow(b.submit(late, url.Values{"email": {"ian@initech.example"}}))
	b.follow(b.submit(late, url.Values{"password": {goodPassword}})).want(t, 200, "Licence and profile")
}

func TestTwoTabs(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	one := b.follow(b.submit(b.follow(b.get("/account")), url.Values{"email": {"ian@initech.example"}}))
	two := b.follow(b.submit(b.get("/login"), url.Values{"email": {"ian@initech.example"}}))
	b.follow(b.submit(one, url.Values{"password": {goodPassword}})).want(t, 200, "Licence and profile")
	b.follow(b.submit(two, url.Values{"password": {goodPassword}})).want(t, 200, "Welcome, Ian")
	if n := len(b.cookies); n != 2 {
		t.Errorf("%d cookies", n)
	}
}

func TestSignOut(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	b.signIn("ian@initech.example", goodPassword).want(t, 200, "Welcome, Ian")
	old := b.cookies[SessionCookie]
	b.get("/logout").want(t, 200, "Sign out?")
	if !b.signedIn() {
		t.Fatal("a GET signed out")
	}
	a := b.post("/logout", nil)
	a.want(t, 200, "You are signed out")
	if a.Header.Get("Clear-Site-Data") == "" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", a.Header)
	}
	b.cookies[SessionCookie] = old
	if b.signedIn() {
		t.Error("the old session still counts")
	}
	b.get("/logout").want(t, 200, "You are signed out")
}

func TestSignOutEverywhere(t *testing.T) {
	w := newWorld(t)
	one, two := w.browser(initech), w.browser(initech)
	one.signIn("ian@initech.example", goodPassword)
	two.signIn("ian@initech.example", goodPassword)
	one.post("/account/sessions/end-all", nil).want(t, 200, "You are signed out")
	if one.signedIn() || two.signedIn() {
		t.Error("still signed in")
	}
}

// SES-01, SES-17: a session is new with every sign-in and good at one portal.
func TestSessionFixationAndOtherPortal(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	planted := portal.NewSecret()
	b.cookies[SessionCookie] = &http.Cookie{Name: SessionCookie, Value: planted.Clear(), SameSite: http.SameSiteLaxMode}
	b.signIn("ian@initech.example", goodPassword)
	if b.cookies[SessionCookie].Value == planted.Clear() {
		t.Fatal("the planted session was taken over")
	}
	first := b.cookies[SessionCookie]
	other := w.browser(umbrella)
	other.cookies[SessionCookie] = first
	if other.signedIn() {
		t.Error("a session of another portal counts")
	}
	a := b.follow(b.post("/login", url.Values{"email": {"ian@initech.example"}}))
	b.follow(b.submit(a, url.Values{"password": {goodPassword}})).want(t, 200, "Welcome, Ian")
	stale := w.browser(initech)
	stale.cookies[SessionCookie] = first
	if stale.signedIn() {
		t.Error("the session before the sign-in still counts")
	}
}

func TestDisabledAtOnce(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	b.signIn("ian@initech.example", goodPassword)
	if _, err := w.store.Disable(t.Context(), "initech", portal.Visitor{}, address(t, "ian@initech.example")); err != nil {
		t.Fatal(err)
	}
	if b.signedIn() {
		t.Fatal("a disabled account is signed in")
	}
	if a := b.signIn("ian@initech.example", goodPassword); a.StatusCode != 403 {
		t.Errorf("a disabled account signs in: %d", a.StatusCode)
	}
}

func TestTicket(t *testing.T) {
	w := newWorld(t)
	sealed := w.ticket("initech", "ian@initech.example")

	// DIS-26: looking is not using.
	head := w.browser(initech)
	if a := head.do(httptest.NewRequest("HEAD", "/login?ticket="+sealed, nil)); a.StatusCode != 200 || len(head.cookies) != 0 {
		t.Errorf("HEAD: %d, cookies %v", a.StatusCode, head.cookies)
	}
	ahead := httptest.NewRequest("GET", "/login?ticket="+sealed, nil)
	ahead.Header.Set("Sec-Purpose", "prefetch;prerender")
	if a := head.do(ahead); a.StatusCode != 503 || len(head.cookies) != 0 {
		t.Errorf("prefetch: %d, cookies %v", a.StatusCode, head.cookies)
	}

	b := w.browser(initech)
	a := b.get("/login?ticket=" + sealed)
	if to := a.Header.Get("Location"); a.StatusCode != 303 || !strings.HasPrefix(to, "/login?attempt=") {
		t.Fatalf("got %d to %q", a.StatusCode, to)
	}
	a = b.follow(a)
	a.want(t, 200, "Enter your password")
	if a.page.Attr("#username", "value") != "ian@initech.example" {
		t.Error("the ticket's address is lost")
	}

	// DIS-22, 23, 24: spent, foreign, of another portal, expired, nonsense.
	late := w.ticket("initech", "ian@initech.example")
	foreign := w.ticket("acme", "ian@initech.example")
	w.pass(61 * time.Second)
	for name, s := range map[string]string{"spent": sealed, "expired": late, "other portal": foreign, "nonsense": "AAAA", "empty": ""} {
		c := w.browser(initech)
		a := c.get("/login?ticket=" + url.QueryEscape(s))
		if a.StatusCode != 403 || a.page.Text("h1") != "Sign in to Initech" || a.page.Text(".notice code") == "" {
			t.Errorf("%s: got %d %q", name, a.StatusCode, a.page.Text("h1"))
		}
		if got := a.page.Text(".notice p"); got != portal.ErrTicket.Say {
			t.Errorf("%s: says %q", name, got)
		}
	}
	if codes := strings.Join(w.codes("initech"), " "); !strings.Contains(codes, "expired") || !strings.Contains(codes, "malformed") {
		t.Errorf("audit says %s", codes)
	}
}

func TestRemember(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	b.signIn("ian@initech.example", goodPassword)
	a := b.get(b.get("/").page.Attr(".below a", "href"))
	if to := a.Header.Get("Location"); a.StatusCode != 303 || !strings.HasPrefix(to, "https://signin.example/remember?proof=") || strings.Contains(to, "ian") {
		t.Errorf("got %d to %q", a.StatusCode, to)
	}
}

func TestAddressForm(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	for _, bad := range []string{"", "ian", "ian@", "@initech.example", "ian@initech", "a b@initech.example", strings.Repeat("a", 70) + "@initech.example"} {
		a := b.post("/login", url.Values{"email": {bad}})
		a.want(t, 400, "Sign in to Initech")
		if a.page.Attr("#email", "aria-invalid") != "true" || a.page.Text("#email-error") == "" || a.page.Attr("#email", "value") != bad {
			t.Errorf("%q: not told at the field, or lost", bad)
		}
	}
}

func TestStoreDown(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	a := b.follow(b.submit(b.get("/login"), url.Values{"email": {"ian@initech.example"}}))
	handle := a.page.Attr("input[name=attempt]", "value")
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, r := range []answer{b.get("/"), b.get("/login?attempt=" + handle), b.submit(a, url.Values{"password": {goodPassword}})} {
		if r.StatusCode != 503 || r.Header.Get("Retry-After") == "" || r.page.Text(".reference code") == "" {
			t.Errorf("got %d %q", r.StatusCode, r.page.Text("h1"))
		}
		if r.page.Has("main form") {
			t.Error("the page claims to know something")
		}
	}
}

func TestProblemDocuments(t *testing.T) {
	w := newWorld(t)
	r := httptest.NewRequest("POST", "/login", strings.NewReader("email=ian"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	a := w.browser(initech).do(r)
	if a.StatusCode != 400 || a.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(a.body, `"field":"email"`) {
		t.Errorf("got %d %s", a.StatusCode, a.body)
	}
}

// A region that restarts in the middle of a sign-in loses nothing.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	a := b.follow(b.submit(b.follow(b.get("/account")), url.Values{"email": {"ian@initech.example"}}))
	w.options.Store = store.New(w.db, w.vault, w.clock)
	var err error
	if w.site, err = New(w.options); err != nil {
		t.Fatal(err)
	}
	b.follow(b.submit(a, url.Values{"password": {goodPassword}})).want(t, 200, "Licence and profile")
}
