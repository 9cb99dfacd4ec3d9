package idptest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/federation/idptest"
)

const back = "http://globex.us.localhost/cb"

func oidcServer(t *testing.T) (*idptest.OIDCProvider, string) {
	t.Helper()
	p := idptest.NewOIDC(idptest.OIDCOptions{
		Name:  "Globex",
		Users: []idptest.User{{Address: "gus@globex.example", Password: "right", GivenName: "Gus"}},
		Clients: []idptest.OIDCClient{{
			ID: "rp", Secret: "s", RedirectURIs: []string{back}, PostLogoutURIs: []string{"http://globex.us.localhost/"},
		}},
		Now: func() time.Time { return time.Unix(1_800_000_000, 0) },
	})
	srv := httptest.NewServer(p)
	t.Cleanup(srv.Close)
	p.SetIssuer(srv.URL + "/globex")
	return p, srv.URL + "/globex"
}

func noRedirects() *http.Client {
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func authorization(change func(url.Values)) string {
	challenge := sha256.Sum256([]byte(strings.Repeat("v", 43)))
	q := url.Values{
		"client_id": {"rp"}, "redirect_uri": {back}, "response_type": {"code"}, "scope": {"openid email"},
		"state": {"st"}, "nonce": {"no"}, "login_hint": {"gus@globex.example"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}
	if change != nil {
		change(q)
	}
	return "/authorize?" + q.Encode()
}

func TestOIDCLoginPage(t *testing.T) {
	_, at := oidcServer(t)
	browser := noRedirects()
	res, err := browser.Get(at + authorization(nil))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`<h1>Sign in to Globex</h1>`, `value="gus@globex.example"`, `<form method="post">`} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the page has no %s", want)
		}
	}
	_, style, _ := strings.Cut(string(body), "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	sum := sha256.Sum256([]byte(style))
	policy := res.Header.Get("Content-Security-Policy")
	for _, want := range []string{"form-action 'self' http://globex.us.localhost", "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy %q has no %s", policy, want)
		}
	}

	tests := []struct {
		name   string
		form   url.Values
		status int
		back   url.Values // without the code; nil: stays here
	}{
		{"right", url.Values{"email": {"GUS@globex.example "}, "password": {"right"}}, 303, url.Values{"state": {"st"}, "iss": {at}}},
		{"cancel", url.Values{"cancel": {"1"}}, 303, url.Values{"state": {"st"}, "iss": {at}, "error": {"access_denied"}}},
		{"wrong password", url.Values{"email": {"gus@globex.example"}, "password": {"wrong"}}, 401, nil},
		{"unknown", url.Values{"email": {"x@globex.example"}, "password": {"right"}}, 401, nil},
		{"nothing", url.Values{}, 401, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, err := browser.PostForm(at+authorization(nil), tt.form)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != tt.status {
				t.Fatalf("status %d, want %d", res.StatusCode, tt.status)
			}
			if tt.back == nil {
				return
			}
			to, err := res.Location()
			if err != nil {
				t.Fatal(err)
			}
			q := to.Query()
			if code := q.Get("code"); (code == "") != tt.back.Has("error") {
				t.Errorf("code = %q", code)
			}
			q.Del("code")
			if q.Encode() != tt.back.Encode() {
				t.Errorf("back with %v, want %v", q, tt.back)
			}
		})
	}
}

// A request that could lead a browser astray ends at the provider.
func TestOIDCRefusesRequests(t *testing.T) {
	_, at := oidcServer(t)
	for name, change := range map[string]func(url.Values){
		"client":    func(q url.Values) { q.Set("client_id", "x") },
		"redirect":  func(q url.Values) { q.Set("redirect_uri", "https://evil.example/") },
		"flow":      func(q url.Values) { q.Set("response_type", "token") },
		"no PKCE":   func(q url.Values) { q.Del("code_challenge") },
		"plain":     func(q url.Values) { q.Set("code_challenge_method", "plain") },
		"no scope":  func(q url.Values) { q.Del("scope") },
		"no state":  func(q url.Values) { q.Del("state") },
		"no nonce":  func(q url.Values) { q.Del("nonce") },
		"all empty": func(q url.Values) { clear(q) },
	} {
		res, err := noRedirects().Get(at + authorization(change))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: status %d", name, res.StatusCode)
		}
	}
}

func TestOIDCTokenRefuses(t *testing.T) {
	_, at := oidcServer(t)
	code := func() string {
		res, err := noRedirects().PostForm(at+authorization(nil), url.Values{"email": {"gus@globex.example"}, "password": {"right"}})
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		to, err := res.Location()
		if err != nil {
			t.Fatal(err)
		}
		return to.Query().Get("code")
	}
	for name, tt := range map[string]struct {
		change func(url.Values)
		status int
	}{
		"right":          {func(url.Values) {}, 200},
		"wrong secret":   {func(v url.Values) { v.Set("client_secret", "x") }, 401},
		"wrong verifier": {func(v url.Values) { v.Set("code_verifier", strings.Repeat("x", 43)) }, 400},
		"wrong redirect": {func(v url.Values) { v.Set("redirect_uri", "x") }, 400},
		"wrong grant":    {func(v url.Values) { v.Set("grant_type", "password") }, 400},
		"wrong code":     {func(v url.Values) { v.Set("code", "x") }, 400},
	} {
		v := url.Values{
			"grant_type": {"authorization_code"}, "client_id": {"rp"}, "client_secret": {"s"}, "code": {code()},
			"redirect_uri": {back}, "code_verifier": {strings.Repeat("v", 43)},
		}
		tt.change(v)
		res, err := http.PostForm(at+"/token", v)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != tt.status {
			t.Errorf("%s: status %d, want %d", name, res.StatusCode, tt.status)
		}
	}
}

func TestOIDCEndSession(t *testing.T) {
	_, at := oidcServer(t)
	tests := []struct{ query, to string }{
		{"?client_id=rp&post_logout_redirect_uri=http%3A%2F%2Fglobex.us.localhost%2F&state=s", "http://globex.us.localhost/?state=s"},
		{"?client_id=rp&post_logout_redirect_uri=https%3A%2F%2Fevil.example%2F", ""},
		{"", ""},
	}
	for _, tt := range tests {
		res, err := noRedirects().Get(at + "/end_session" + tt.query)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := res.Header.Get("Location"); got != tt.to {
			t.Errorf("%s leads to %q, want %q", tt.query, got, tt.to)
		}
	}
}
