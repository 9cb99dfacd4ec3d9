package web

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/discovery/page"
)

const browserAt = "192.0.2.7" // where every browser of a world is

// limited is a federated world with limits that a test can reach.
func limited(t *testing.T, l Limits) *world {
	t.Helper()
	w := newFederatedWorld(t)
	w.options.Limits = l
	site, err := New(w.options)
	if err != nil {
		t.Fatal(err)
	}
	w.site = site
	return w
}

// tries asks as a client without cookies until it is told to wait, and returns
// how often that went well.
func (w *world) tries(client, method, host, path string) int {
	w.t.Helper()
	for n := range 1000 {
		r := httptest.NewRequest(method, "https://"+host+path, nil)
		if method == http.MethodPost {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		rec := httptest.NewRecorder()
		ctx := page.WithReference(r.Context(), "REFS-TEST")
		w.site.ServeHTTP(rec, r.WithContext(page.WithClient(ctx, netip.MustParseAddr(client))))
		if rec.Code == http.StatusTooManyRequests {
			if s, err := strconv.Atoi(rec.Header().Get("Retry-After")); err != nil || s < 1 || s > 60 {
				w.t.Errorf("%s: Retry-After is %q", path, rec.Header().Get("Retry-After"))
			}
			if len(rec.Result().Cookies()) > 0 {
				w.t.Errorf("%s: a refusal sets cookies", path)
			}
			return n
		}
	}
	w.t.Fatalf("%s %s: there is no limit", method, path)
	return 0
}

// Whatever writes for a stranger is counted; what only shows a page is not.
func TestLimits(t *testing.T) {
	w := limited(t, Limits{PerClient: 60, ClientBurst: 3})
	for _, c := range []struct{ method, host, path string }{
		{"GET", acme, "/account"}, {"GET", acme, "/remember"},
		{"GET", acme, "/login?ticket=made-up"}, {"GET", acme, "/login/acme-saml"}, {"GET", globex, "/login/globex-oidc"},
		{"GET", globex, "/oidc/globex-oidc/callback?state=x"},
		{"POST", acme, "/login"}, {"POST", acme, "/login/password"}, {"POST", acme, "/password/forgot"},
		{"POST", acme, "/password/reset"}, {"POST", acme, "/password/change"}, {"POST", acme, "/invitation"},
		{"POST", acme, "/saml/acme-saml/acs"}, {"POST", acme, "/saml/acme-saml/confirm"},
	} {
		w.pass(time.Minute)
		before := w.attempts()
		if n := w.tries("192.0.2.1", c.method, c.host, c.path); n != 3 {
			t.Errorf("%s %s: %d tries, want 3", c.method, c.path, n)
		}
		if n := w.attempts() - before; n > 3 {
			t.Errorf("%s %s: %d attempts were written", c.method, c.path, n)
		}
		w.pass(time.Second)
		if n := w.tries("192.0.2.1", c.method, c.host, c.path); n != 1 {
			t.Errorf("%s %s: %d tries after a second, want 1", c.method, c.path, n)
		}
	}

	// The way in stays open to look at, and so does the way out.
	w.tries(browserAt, "GET", acme, "/account")
	b := w.browser(acme)
	for _, path := range []string{"/", "/login", "/password/forgot", "/saml/acme-saml/metadata", "/logout"} {
		if a := b.get(path); a.StatusCode >= 400 {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
	if a := b.post("/logout", nil); a.StatusCode >= 400 {
		t.Errorf("signing out: %d", a.StatusCode)
	}
}

func (w *world) attempts() (n int) {
	w.t.Helper()
	if err := w.db.QueryRow(`SELECT count(*) FROM attempts`).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func TestLimitsByNetwork(t *testing.T) {
	w := limited(t, Limits{PerClient: 60, ClientBurst: 2})
	for _, c := range []struct {
		client string
		want   int
	}{
		{"192.0.2.1", 2}, {"192.0.2.2", 2}, {"::ffff:192.0.2.1", 0},
		{"2001:db8::1", 2}, {"2001:db8::ffff:1", 0}, {"2001:db8:0:1::1", 2},
	} {
		if n := w.tries(c.client, "GET", acme, "/account"); n != c.want {
			t.Errorf("%s: %d tries, want %d", c.client, n, c.want)
		}
	}
	all := limited(t, Limits{PerClient: 1000, ClientBurst: 1000, Global: 1, GlobalBurst: 4})
	if n := all.tries("192.0.2.1", "GET", acme, "/account"); n != 4 {
		t.Errorf("all together: %d tries, want 4", n)
	}
	if n := all.tries("192.0.2.9", "GET", acme, "/account"); n != 0 {
		t.Errorf("another client: %d tries, want 0", n)
	}
}

// A member goes on while strangers on the same network have to wait.
func TestLimitsAreForStrangers(t *testing.T) {
	w := limited(t, Limits{PerClient: 60, ClientBurst: 5})
	b := w.browser(initech)
	if b.signIn("ian@initech.example", goodPassword); !b.signedIn() {
		t.Fatal("not signed in")
	}
	w.tries(browserAt, "GET", acme, "/account")
	for range 10 {
		if a := b.get("/account/profile"); a.StatusCode != http.StatusOK {
			t.Fatalf("a member got %d", a.StatusCode)
		}
	}
	if a := b.post("/logout", url.Values{}); a.StatusCode >= 400 || b.signedIn() {
		t.Errorf("signing out: %d", a.StatusCode)
	}
}
