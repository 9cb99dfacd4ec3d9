package attacks

import (
	"bytes"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/web"
)

const (
	browserCookie = "__Host-browser"
	ssoCookie     = "__Host-sso"
)

// TestSessions attacks what a browser holds once somebody is signed in, and what
// it holds on the way there.
func TestSessions(t *testing.T) {
	w := newWorld(t)
	for _, row := range []struct {
		name string
		test func(*testing.T, *world)
	}{
		{"SES-01 fixation", fixation},
		{"SES-02 SES-04 cookies", cookies},
		{"SES-03 cookies of a sibling", tossedCookies},
		{"SES-05 many sign-ins at once", manyLegs},
		{"SES-06 SES-07 SES-11 forged requests", forgedRequests},
		{"SES-08 reading changes nothing", readingChangesNothing},
		{"SES-09 paths beside the consumer", besideConsumer},
		{"SES-10 somebody else's sign-in", loginForgery},
		{"SES-13 the identifier is nowhere", identifierNowhere},
		{"SES-14 time", timeouts},
		{"SES-16 two processes", twoProcesses},
		{"SES-17 another place", anotherPlace},
		{"SES-18 too many sessions", tooManySessions},
		{"SES-20 Back", back},
		{"SES-21 other origins", otherOrigins},
		{"HDR-07 HDR-08 odd requests", oddRequests},
		{"LOG-01 what breaks lines", lineBreakers},
		{"ADM-10 verbs and paths", verbsAndPaths},
		{"LOG-03 a changed audit log", changedAudit},
		{"LOG-04 no audit, no change", noAudit},
		{"LOG-05 HDR-01 a broken store", brokenStore},
	} {
		t.Run(row.name, func(t *testing.T) {
			w.Clock.Pass(2 * time.Minute)
			row.test(t, w)
		})
	}
}

// SES-01: whatever a browser brings, it leaves with a session of its own.
func fixation(t *testing.T, w *world) {
	planted := strings.Repeat("planted", 6) + "x"
	for _, way := range []string{"password", "SAML", "OIDC"} {
		b := w.named(t, "192.0.2.101")
		b.plant(acme, web.SessionCookie, planted)
		b.plant(acme, browserCookie, planted)
		b.plant(acme, ssoCookie, planted)
		switch way {
		case "password":
			b.signInPassword(acme, pat, password)
		case "SAML":
			w.member(t, b, "")
		case "OIDC":
			who := w.IdPs.Person(t, "acme-oidc.example")
			b.crossGet(b.departWith(acme, "acme-oidc", who.Address, "/").authorise(who).String())
		}
		first := b.cookie(acme, web.SessionCookie)
		if first == planted || b.signedIn(acme) == "" {
			t.Errorf("%s: the planted session is in use", way)
		}
		// Once more in the same browser: a new one, and the first is over.
		w.member(t, b, "")
		old := w.browser(t)
		old.plant(acme, web.SessionCookie, first)
		if b.cookie(acme, web.SessionCookie) == first || old.signedIn(acme) != "" {
			t.Errorf("%s: the session before is still good", way)
		}
	}
}

// SES-02, SES-04: every cookie of every step.
func cookies(t *testing.T, w *world) {
	b, who := w.named(t, "192.0.2.102"), w.IdPs.Person(t, "acme.example")
	var set []*http.Cookie
	see := func(a *answer) *answer {
		set = append(set, (&http.Response{Header: a.Header}).Cookies()...)
		return a
	}
	see(b.post(frontDoor+"/", url.Values{"email": {who.Address}}))
	see(b.post(frontDoor+"/forget", url.Values{}))
	a := see(b.post(acme+"/login", url.Values{"email": {who.Address}}))
	trip := b.departing(acme, "acme-saml", see(b.follow(a)))
	see(trip.deliver(trip.assertion(who)))
	see(b.get(acme + "/"))
	see(b.get(acme + "/remember"))
	see(b.post(acme+"/logout", url.Values{}))
	see(b.signInPassword(acme, pat, password))
	see(b.post(acme+"/account/sessions/end-all", url.Values{}))
	names := map[string]bool{}
	for _, c := range set {
		names[c.Name] = true
		want := http.SameSiteLaxMode
		if c.Name == ssoCookie {
			want = http.SameSiteNoneMode
			if c.MaxAge > 600 || c.MaxAge == 0 {
				t.Errorf("%s lives for %d s", c.Name, c.MaxAge)
			}
		}
		if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != want {
			t.Errorf("cookie %s", c)
		}
	}
	for _, name := range []string{web.SessionCookie, browserCookie, ssoCookie, "__Host-portals"} {
		if !names[name] {
			t.Errorf("no %s was seen", name)
		}
	}
	// The cookies of the way carry no authority.
	thief := w.browser(t)
	for _, name := range []string{browserCookie, ssoCookie} {
		for _, as := range []string{name, web.SessionCookie} {
			for _, c := range set {
				if c.Name == name && c.Value != "" {
					thief.plant(acme, as, c.Value)
					if thief.signedIn(acme) != "" {
						t.Errorf("%s as %s signs in", name, as)
					}
				}
			}
		}
	}
}

// SES-03: what a sibling host put beside our cookie is refused, not chosen from.
func tossedCookies(t *testing.T, w *world) {
	b := w.browser(t)
	w.member(t, b, "")
	mine := b.cookie(acme, web.SessionCookie)
	for _, header := range []string{
		web.SessionCookie + "=" + mine + "; " + web.SessionCookie + "=" + strings.Repeat("x", 43),
		web.SessionCookie + "=" + mine + "; " + web.SessionCookie + "=" + mine,
		web.SessionCookie + "=" + mine + "; " + browserCookie + "=a; " + browserCookie + "=b",
	} {
		a := w.browser(t).send(request{URL: acme + "/account", Header: http.Header{"Cookie": {header}}})
		secured(t, a)
		a.want(http.StatusBadRequest)
	}
	for _, value := range []string{"", `"` + mine + `"`, mine + "=", mine[:42], mine + "A", strings.Repeat("A", 5000)} {
		a := w.browser(t).send(request{URL: acme + "/account", Header: http.Header{"Cookie": {web.SessionCookie + "=" + value}}})
		if value != `"`+mine+`"` && a.Status == http.StatusOK || a.Status >= 500 {
			t.Errorf("a session of %d bytes: got %d", len(value), a.Status)
		}
	}
	a := w.browser(t).send(request{URL: acme + "/account", Header: http.Header{"Cookie": {"session=" + mine + "; __Secure-session=" + mine}}})
	if a.Status == http.StatusOK {
		t.Error("a cookie without its prefix is a session")
	}
}

// SES-05: two hundred ways begun leave three cookies, and the session stands.
func manyLegs(t *testing.T, w *world) {
	b := w.browser(t)
	w.member(t, b, "")
	before := b.signedIn(acme)
	for range 200 {
		b.depart(acme, "acme-saml")
	}
	if n := len(b.cookies[hostOf(acme)]); n > 3 || b.signedIn(acme) != before {
		t.Errorf("%d cookies, signed in as %q", n, b.signedIn(acme))
	}
}

// unsafe lists what can be posted, but for what other sites may post.
func unsafeRoutes() []string {
	var paths []string
	for _, line := range web.Routes() {
		if method, path := pathOf(line, strings.Repeat("0", 32)); method == http.MethodPost && !strings.HasSuffix(path, "/acs") {
			paths = append(paths, path)
		}
	}
	return paths
}

// SES-06, SES-07, SES-11: nobody else makes a browser post, and with a session at
// stake a request has to say where it comes from.
func forgedRequests(t *testing.T, w *world) {
	b := w.browser(t)
	w.member(t, b, "")
	mine := b.signedIn(acme)
	from := func(origin, site string) http.Header {
		return http.Header{"Origin": {origin}, "Sec-Fetch-Site": {site}}
	}
	none := http.Header{"Origin": nil, "Sec-Fetch-Site": nil}
	for _, path := range unsafeRoutes() {
		for name, h := range map[string]http.Header{
			"another site":        from("https://evil.example", "cross-site"),
			"a sibling":           from("https://beta.eu.domicile.example", "same-site"),
			"no origin":           from("null", "cross-site"),
			"null alone":          {"Origin": {"null"}, "Sec-Fetch-Site": nil},
			"http":                {"Origin": {"http://acme.eu.domicile.example"}, "Sec-Fetch-Site": nil},
			"another origin":      {"Origin": {"https://evil.example"}, "Sec-Fetch-Site": nil},
			"origin and port":     {"Origin": {"https://acme.eu.domicile.example:8443"}, "Sec-Fetch-Site": nil},
			"neither header":      none,
			"cross-site by fetch": {"Origin": nil, "Sec-Fetch-Site": {"cross-site"}},
		} {
			cookie := http.Header{"Cookie": {web.SessionCookie + "=" + b.cookie(acme, web.SessionCookie)}}
			for k, v := range h {
				cookie[k] = v
			}
			a := w.browser(t).send(request{Method: http.MethodPost, URL: acme + path, Body: "x=y", Type: "application/x-www-form-urlencoded", Header: cookie})
			secured(t, a)
			if a.Status != http.StatusForbidden {
				t.Errorf("POST %s from %s: got %d", path, name, a.Status)
			}
		}
		a := b.send(request{Method: http.MethodPost, URL: acme + path, Body: `{"x":"y"}`, Type: "text/plain", From: acme})
		if a.Status != http.StatusUnsupportedMediaType && a.Status != http.StatusForbidden {
			t.Errorf("POST %s as text: got %d", path, a.Status)
		}
	}
	for _, path := range []string{"/", "/choose", "/remember", "/forget", "/v1/discover"} {
		if a := b.crossPost(frontDoor+path, url.Values{"email": {pat}}); a.Status != http.StatusForbidden {
			t.Errorf("POST %s of the front door from elsewhere: got %d", path, a.Status)
		}
	}
	b.crossGet(acme + "/logout")
	b.send(request{URL: acme + "/logout", Header: http.Header{"Sec-Fetch-Dest": {"image"}, "Sec-Fetch-Mode": {"no-cors"}}, From: "https://evil.example"})
	if got := b.signedIn(acme); got != mine {
		t.Errorf("signed in as %q, want %q", got, mine)
	}
}

// SES-08: no GET and no HEAD changes anything but what a sign-in that begins
// needs.
func readingChangesNothing(t *testing.T, w *world) {
	b := w.browser(t)
	w.member(t, b, "")
	token, _ := w.invite(t, acme, "look@guest.example")
	before := w.rows(t, w.home(acme).DB)
	for _, line := range web.Routes() {
		method, path := pathOf(line, strings.Repeat("0", 32))
		if method != http.MethodGet {
			continue
		}
		for _, path := range []string{path, path + "?token=" + token} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				b.send(request{Method: method, URL: acme + path})
			}
		}
	}
	w.unchanged(t, w.home(acme).DB, before, "attempts", "federations")
	directory := w.rows(t, w.FrontDB)
	for _, path := range []string{"/", "/remember", "/.well-known/webfinger?resource=acct:" + pat, "/forget", "/choose"} {
		b.get(frontDoor + path)
	}
	w.unchanged(t, w.FrontDB, directory)
	if b.signedIn(acme) == "" {
		t.Error("reading signed out")
	}
}

// SES-09: only the exact path of the assertion consumer takes posts of others.
func besideConsumer(t *testing.T, w *world) {
	b := w.browser(t)
	w.member(t, b, "")
	for _, path := range []string{"/saml/acme-saml/acs/", "//saml/acme-saml/acs", "/saml//acme-saml/acs", "/saml/acme-saml/acs/../../../logout", "/saml/x/../acme-saml/acs",
		"/saml/acme-saml/%61cs", "/saml/acme-saml/acs;x", "/saml/acme%2fsaml/acs", "/saml/ACME-SAML/acs", "/saml/acme-saml/acs%00", "/saml/acme-saml/confirm", "/logout", "/account/sessions/end-all"} {
		a := b.send(request{Method: http.MethodPost, URL: acme + path, Body: "SAMLResponse=x", Type: "application/x-www-form-urlencoded", From: "https://evil.example"})
		if a.Status != http.StatusForbidden && a.Status != http.StatusBadRequest {
			t.Errorf("POST %s from elsewhere: got %d", path, a.Status)
		}
	}
	if b.signedIn(acme) == "" {
		t.Error("signed out from elsewhere")
	}
}

// SES-10: what one browser has begun, another cannot be made to finish, in any
// way there is.
func loginForgery(t *testing.T, w *world) {
	attacker, victim := w.named(t, "192.0.2.110"), w.named(t, "192.0.2.111")
	w.member(t, victim, "")
	mine := victim.signedIn(acme)
	who := w.IdPs.Person(t, "acme.example")
	trip := attacker.departWith(acme, "acme-saml", who.Address, "/")
	response := trip.assertion(who)
	victim.depart(acme, "acme-saml") // has an open way of its own, too
	w.refused(t, acme, refusal{Status: http.StatusForbidden, Code: "in_response_to", Secrets: []string{who.Address}}, func() *answer {
		return victim.crossPost(trip.acs(), url.Values{"SAMLResponse": {response}, "RelayState": {trip.State}})
	})
	robin := w.IdPs.Person(t, "acme-oidc.example")
	back := attacker.departWith(acme, "acme-oidc", robin.Address, "/").authorise(robin)
	if a := victim.crossGet(back.String()); a.session() != nil || a.Status == http.StatusOK {
		t.Errorf("OIDC: %d", a.Status)
	}
	form := attacker.arrive(attacker.post(acme+"/login", url.Values{"email": {pat}}))
	handle := form.page().Attr("input[name=attempt]", "value")
	stranger := w.browser(t)
	stranger.depart(acme, "acme-saml")
	if a := stranger.post(acme+"/login/password", url.Values{"attempt": {handle}, "password": {password}}); a.session() != nil {
		t.Errorf("password: %d", a.Status)
	}
	if got := victim.signedIn(acme); got != mine {
		t.Errorf("the victim is signed in as %q", got)
	}
}

// SES-13: the identifier of a session is in no database, log or URL; only its
// digest is kept.
func identifierNowhere(t *testing.T, w *world) {
	b := w.browser(t)
	mark := w.Log.Len()
	w.member(t, b, "")
	token := b.cookie(acme, web.SessionCookie)
	for _, path := range []string{"/", "/account", "/account/password", "/logout"} {
		if a := b.get(acme + path); strings.Contains(a.Body+a.URL.String()+a.Header.Get("Location"), token) {
			t.Errorf("%s shows the session", path)
		}
	}
	w.quiet(t, mark, token)
	files, err := filepath.Glob(filepath.Join(w.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if text, err := os.ReadFile(name); err == nil && bytes.Contains(text, []byte(token)) {
			t.Errorf("%s has the session in clear", filepath.Base(name))
		}
	}
	if w.count(t, acme, "sessions WHERE digest = $1", portal.Secret(token).Digest()) != 1 {
		t.Error("the session is not kept by its digest")
	}
}

// SES-14: an hour without use, twelve in all, and a clock that was set back ends
// a session rather than lengthening it.
func timeouts(t *testing.T, w *world) {
	b := w.browser(t)
	w.member(t, b, "")
	w.Clock.Pass(59 * time.Minute)
	if b.signedIn(acme) == "" {
		t.Error("over before its time")
	}
	w.Clock.Pass(time.Hour)
	if b.signedIn(acme) != "" {
		t.Error("an hour without use, and still signed in")
	}
	w.member(t, b, "")
	for range 14 {
		w.Clock.Pass(50 * time.Minute)
		b.get(acme + "/")
	}
	w.Clock.Pass(20*time.Minute - time.Second)
	if b.signedIn(acme) == "" {
		t.Error("over before twelve hours")
	}
	w.Clock.Pass(time.Second)
	if b.signedIn(acme) != "" {
		t.Error("twelve hours, and still signed in")
	}
	w.member(t, b, "")
	w.Clock.Pass(-2 * time.Hour)
	if b.signedIn(acme) != "" {
		t.Error("the clock was set back, and it is still good")
	}
	w.Clock.Pass(2 * time.Hour)
	kept := w.named(t, "192.0.2.114")
	form := kept.arrive(kept.post(acme+"/login", url.Values{"email": {pat}}))
	a := kept.post(acme+"/login/password", url.Values{"attempt": {form.page().Attr("input[name=attempt]", "value")}, "password": {password}, "keep": {"yes"}})
	if c := a.session(); c == nil || c.MaxAge != int(portal.KeptAbsolute/time.Second) {
		t.Errorf("kept: %v", c)
	}
	w.Clock.Pass(portal.KeptIdle - time.Hour)
	if kept.signedIn(acme) == "" {
		t.Error("kept, and over before its time")
	}
	w.Clock.Pass(portal.KeptIdle + time.Minute)
	if kept.signedIn(acme) != "" {
		t.Error("kept for ever")
	}
}

// SES-16: what ended at one process has ended at the other.
func twoProcesses(t *testing.T, w *world) {
	node := w.Regions[europe].Node(t)
	here, there := w.browser(t), w.browser(t).via(node)
	w.member(t, here, "")
	there.plant(acme, web.SessionCookie, here.cookie(acme, web.SessionCookie))
	if there.signedIn(acme) == "" {
		t.Fatal("the other process does not know the session")
	}
	here.post(acme+"/logout", url.Values{})
	if there.signedIn(acme) != "" {
		t.Error("signed out here, signed in there")
	}
}

// SES-17: a session is of one portal.
func anotherPlace(t *testing.T, w *world) {
	b := w.browser(t)
	w.member(t, b, "")
	for _, at := range []string{beta, gamma} {
		thief := w.browser(t)
		thief.plant(at, web.SessionCookie, b.cookie(acme, web.SessionCookie))
		if thief.signedIn(at) != "" {
			t.Errorf("a session of %s is one of %s", acme, at)
		}
	}
}

// SES-18: one more than the most ends the one used least recently.
func tooManySessions(t *testing.T, w *world) {
	who := w.IdPs.Person(t, "acme.example")
	in := make([]*browser, portal.MaxSessions+1)
	for i := range in {
		w.Clock.Pass(time.Second)
		in[i] = w.browser(t)
		trip := in[i].departWith(acme, "acme-saml", who.Address, "/")
		trip.deliver(trip.assertion(who))
	}
	for i, b := range in {
		if got := b.signedIn(acme) != ""; got != (i > 0) {
			t.Errorf("session %d of %d: signed in %v", i+1, len(in), got)
		}
	}
}

// SES-20: nothing of a signed-in page is kept, and the way back leads to the
// sign-in page.
func back(t *testing.T, w *world) {
	b := w.browser(t)
	w.member(t, b, "")
	for _, path := range []string{"/", "/account/profile", "/account/password", "/account/sessions"} {
		a := b.get(acme + path)
		if a.Status != http.StatusOK || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Etag")+a.Header.Get("Last-Modified") != "" {
			t.Errorf("%s: %d, %v", path, a.Status, a.Header)
		}
	}
	out := b.post(acme+"/logout", url.Values{})
	if got := out.Header.Get("Clear-Site-Data"); got != `"cache", "storage"` {
		t.Errorf("Clear-Site-Data: %s", got)
	}
	for _, path := range []string{"/", "/account", "/account/profile", "/account/password", "/account/sessions"} {
		if to := b.get(acme + path).leads(); to.Path != "/login" {
			t.Errorf("%s leads to %s", path, to)
		}
	}
}

// SES-21: no other origin reads anything that goes by cookies.
func otherOrigins(t *testing.T, w *world) {
	b := w.browser(t)
	w.member(t, b, "")
	for _, origin := range []string{"https://evil.example", "null", "https://evilacme.eu.domicile.example", "https://beta.eu.domicile.example", acme} {
		for _, at := range []string{acme + "/", acme + "/account", acme + "/login", acme + "/nowhere", frontDoor + "/", frontDoor + "/v1/discover"} {
			for _, method := range []string{http.MethodGet, http.MethodOptions} {
				a := b.send(request{Method: method, URL: at, Header: http.Header{"Origin": {origin}, "Access-Control-Request-Method": {"POST"}, "Sec-Fetch-Site": {"cross-site"}}})
				for name := range a.Header {
					if strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("%s %s from %s: %s", method, at, origin, name)
					}
				}
			}
		}
	}
	a := b.get(frontDoor + "/.well-known/webfinger?resource=acct:" + pat)
	if a.Header.Get("Access-Control-Allow-Origin") != "*" || a.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("WebFinger, which is for everybody: %v", a.Header)
	}
}

// ADM-10: no verb, header or spelling of a path gets anybody where the route
// itself would not.
func verbsAndPaths(t *testing.T, w *world) {
	stranger, b := w.browser(t), w.browser(t)
	w.member(t, b, "")
	for _, path := range []string{"/account/", "//account", "/./account", "/x/../account", "/%61ccount", "/account%2f", "/account;x", "/account%00", "/ACCOUNT", "/account.json", "/account/../account", "/%2e%2e/account", "/account%20", "/%5caccount"} {
		for _, who := range []*browser{stranger, b} {
			if a := who.get(acme + path); a.Status != http.StatusNotFound && a.Status != http.StatusBadRequest {
				t.Errorf("GET %s: got %d", path, a.Status)
			}
		}
	}
	for _, header := range []string{"X-Http-Method-Override", "X-Method-Override", "X-Http-Method"} {
		for _, verb := range []string{"POST", "DELETE"} {
			b.send(request{URL: acme + "/logout", Header: http.Header{header: {verb}}})
			b.send(request{URL: acme + "/logout?_method=" + verb})
		}
	}
	for _, verb := range []string{"HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "get", "POSTS", "PROPFIND"} {
		for _, path := range []string{"/logout", "/account/sessions/end-all", "/account/password"} {
			if a := b.send(request{Method: verb, URL: acme + path, From: acme}); a.Status/100 != 4 && verb != "HEAD" {
				t.Errorf("%s %s: got %d", verb, path, a.Status)
			}
		}
	}
	if b.signedIn(acme) == "" {
		t.Error("one of them signed out")
	}
}
