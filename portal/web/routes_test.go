package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// concrete is a path of a route that can be asked for.
func concrete(rt route) string {
	path := strings.ReplaceAll(rt.path, connection, "acme-saml")
	path = strings.ReplaceAll(path, account, strings.Repeat("0", 32))
	path = strings.ReplaceAll(path, domainName, "acme.example")
	path = strings.NewReplacer(imported, strings.Repeat("0", 32), letterKind, "invitation", letterLanguage, "de").Replace(path)
	if strings.HasPrefix(path, "/oidc/") {
		path = strings.ReplaceAll(path, "acme-saml", "globex-oidc")
	}
	return path
}

func hostFor(path string) string {
	if strings.Contains(path, "globex") {
		return globex
	}
	return acme
}

// Every route, for somebody who is not signed in and brings nothing.
func TestRoutesAsStranger(t *testing.T) {
	w := newFederatedWorld(t)
	want := map[string]int{
		"GET /": 303, "GET /account": 303, "GET /account/password": 303, "POST /account/password": 303,
		"POST /account/sessions/end": 303, "GET /remember": 303,
		"GET /login": 200, "POST /login": 400, "GET /login/method": 403, "GET /login/password": 403, "POST /login/password": 403,
		"GET /login/factor": 403, "POST /login/factor": 403, "POST /login/factor/sms": 403, "GET /login/enrol": 403, "POST /login/enrol": 403,
		"GET /login/acme-saml": 303, "GET /logout": 200, "POST /logout": 200,
		"GET /login/passkey": 303, "POST /login/passkey": 303, "GET /login/recovery": 403, "POST /login/recovery": 403,
		"GET /recovery": 403, "POST /recovery": 403, "GET /recovery/cancel": 403, "POST /recovery/cancel": 403,
		"POST /language":       400,
		"GET /password/forgot": 200, "POST /password/forgot": 400, "GET /password/reset": 403, "POST /password/reset": 403,
		"GET /password/change": 403, "POST /password/change": 403, "GET /invitation": 403, "POST /invitation": 403,
		"POST /saml/acme-saml/acs": 400, "POST /saml/acme-saml/confirm": 400, "GET /saml/acme-saml/metadata": 200,
		"GET /oidc/globex-oidc/callback": 403,
	}
	for _, rt := range w.site.routes() {
		path := concrete(rt)
		name := rt.method + " " + path
		t.Run(name, func(t *testing.T) {
			b := w.browser(hostFor(path))
			var a answer
			if rt.method == http.MethodPost {
				a = b.post(path, nil)
			} else {
				a = b.get(path)
			}
			status, listed := want[name]
			if rt.access >= member {
				status, listed = http.StatusSeeOther, true
			}
			if rt.access == member || rt.access == fresh {
				status, listed = http.StatusSeeOther, true
			}
			if !listed || a.StatusCode != status {
				t.Errorf("got %d, want %d", a.StatusCode, status)
			}
			if b.cookies[SessionCookie] != nil {
				t.Error("a stranger has a session")
			}
			if to := a.Header.Get("Location"); (rt.access == member || rt.access == fresh) && !strings.HasPrefix(to, "/login") {
				t.Errorf("led to %q", to)
			}
			if rt.method == http.MethodGet {
				head := b.do(httptest.NewRequest(http.MethodHead, path, nil))
				if head.body != "" || head.StatusCode >= 500 {
					t.Errorf("HEAD: %d with %d bytes", head.StatusCode, len(head.body))
				}
			}
		})
	}
}

// SES-08: reading changes nothing that counts. Attempts are left out: they carry
// no authority, and a sign-in has to start somewhere.
func TestGetChangesNothing(t *testing.T) {
	w := newFederatedWorld(t)
	b := w.browser(initech)
	b.signIn("ian@initech.example", goodPassword)
	ian := w.owner("initech", "ian@initech.example") // whom no page refuses
	b.post("/password/forgot", url.Values{"email": {"ian@initech.example"}})
	before := w.rows()
	for _, rt := range w.site.routes() {
		if rt.method != http.MethodGet || strings.HasPrefix(rt.path, "/oidc/") {
			continue
		}
		path := strings.ReplaceAll(concrete(rt), strings.Repeat("0", 32), ian.ID)
		if rt.path == "/password/reset" {
			path += "?token=" + strings.Repeat("a", 43)
		}
		b.get(path)
		if after := w.rows(); after != before {
			t.Errorf("GET %s changed rows: %s, before %s", path, after, before)
		}
	}
	if !b.signedIn() {
		t.Error("reading signed out")
	}
}

func (w *world) rows() string {
	w.t.Helper()
	var s strings.Builder
	for _, table := range []string{"accounts", "addresses", "identities", "credentials", "sessions", "tokens", "audit WHERE action NOT IN ('access.refused', 'users.exported', 'audit.exported')", "outbox", "letters", "assertions"} {
		var n int
		if err := w.db.QueryRow("SELECT count(*) FROM " + table).Scan(&n); err != nil {
			w.t.Fatal(err)
		}
		fmt.Fprintf(&s, "%s %d ", table, n)
	}
	return s.String()
}

func TestNoSuchRoute(t *testing.T) {
	w := newFederatedWorld(t)
	b := w.browser(initech)
	for _, tc := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/nowhere", 404, ""},
		{"GET", "/login/", 404, ""},
		{"GET", "//login", 404, ""},
		{"GET", "/account/../login", 404, ""},
		{"GET", "/%6cogin", 404, ""},
		{"GET", "/login/UPPER", 404, ""},
		{"GET", "/login/no-such-connection", 404, ""},
		{"GET", "/login/acme-saml", 404, ""}, // of another portal
		{"GET", "/saml/acme-saml/metadata", 404, ""},
		{"POST", "/saml/initech/acs/", 404, ""},
		{"GET", "/saml/initech/acs", 405, "POST"},
		{"DELETE", "/login", 405, "GET, HEAD, POST"},
		{"PUT", "/", 405, "GET, HEAD"},
		{"POST", "/account", 405, "GET, HEAD"},
	} {
		a := b.do(httptest.NewRequest(tc.method, tc.path, nil))
		if a.StatusCode != tc.status || a.Header.Get("Allow") != tc.allow {
			t.Errorf("%s %s: got %d, Allow %q", tc.method, tc.path, a.StatusCode, a.Header.Get("Allow"))
		}
		if a.page.Text(".reference code") == "" {
			t.Errorf("%s %s: not the product's page", tc.method, tc.path)
		}
	}
}

// DIS-28: no host but a portal's own is answered.
func TestUnknownHost(t *testing.T) {
	w := newFederatedWorld(t)
	for _, host := range []string{"evil.test", "acme.eu.example.com:8443", "acme.eu.example.com.", "eu.example.com", ""} {
		a := w.browser(host).get("/login")
		if a.StatusCode != 421 || strings.Contains(a.body, "evil") {
			t.Errorf("%q: got %d", host, a.StatusCode)
		}
	}
}
