package oidc_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/fetch"
	"github.com/domicile-sso/domicile/federation/oidc"
)

// TestCertifiedProvider signs in through a provider that none of us wrote: by
// each way of telling who we are, with the address in the token and out of it.
func TestCertifiedProvider(t *testing.T) {
	ada := servertest.Person{Email: "ada@acme.example", Password: "right", GivenName: "Ada", FamilyName: "Lovelace"}
	tests := []struct {
		method     string
		inToken    bool
		unverified bool
	}{
		{"client_secret_basic", false, false},
		{"client_secret_post", true, false},
		{"none", false, true},
	}
	for _, tt := range tests {
		t.Run(tt.method, func(t *testing.T) {
			answers := make(chan url.Values, 1)
			site := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { answers <- r.URL.Query() }))
			defer site.Close()
			ada := ada
			ada.Unverified = tt.unverified
			issuer := servertest.OIDCProvider(t, servertest.OIDCOptions{
				People: []servertest.Person{ada}, ClientID: "domicile", ClientSecret: "a secret: of %some+length",
				AuthMethod: tt.method, RedirectURI: site.URL + "/cb", ClaimsInIDToken: tt.inToken,
			})
			rp := oidc.New(fetch.New(fetch.Options{DangerouslyAllowLoopback: true}), time.Now)
			settings, err := rp.Discover(t.Context(), issuer)
			if err != nil {
				t.Fatalf("Discover: %v", err)
			}
			settings.ClientID, settings.ClientSecret, settings.AuthMethod = "domicile", "a secret: of %some+length", tt.method
			settings.RedirectURI = site.URL + "/cb"
			c := federation.Connection{ID: "c", Kind: federation.OIDC, OIDC: &settings}
			a := federation.Attempt{
				Connection: "c", State: oidc.Secret(), Nonce: oidc.Secret(), Verifier: oidc.Secret(),
				LoginHint: ada.Email, Expires: time.Now().Add(time.Minute),
			}
			signInAt(t, rp, c, a, ada)
			var answer url.Values
			select {
			case answer = <-answers:
			default:
				t.Fatal("the provider did not send the browser back")
			}
			id, err := rp.Callback(t.Context(), c, a, answer)
			if err != nil {
				t.Fatalf("Callback: %v", err)
			}
			if id.Subject == "" || id.IDToken == "" {
				t.Error("no subject or no ID token")
			}
			want := federation.Identity{
				Connection: "c", Issuer: issuer, Subject: id.Subject, Email: ada.Email, EmailVerified: !tt.unverified,
				Name: id.Name, GivenName: "Ada", FamilyName: "Lovelace", ACR: id.ACR, AuthTime: id.AuthTime,
				SessionIndex: id.SessionIndex, OnceID: a.Nonce, OnceUntil: id.OnceUntil, IDToken: id.IDToken,
			}
			if diff := cmp.Diff(want, id); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
		})
	}
}

// signInAt does what a person does at the provider's login page.
func signInAt(t *testing.T, rp *oidc.RelyingParty, c federation.Connection, a federation.Attempt, p servertest.Person) {
	t.Helper()
	to, err := rp.AuthURL(c, a)
	if err != nil {
		t.Fatalf("AuthURL: %v", err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	res, err := browser.Get(to)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	res, err = browser.PostForm(res.Request.URL.String(), url.Values{"login": {p.Email}, "password": {p.Password}})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("the login page answered %s", res.Status)
	}
}
