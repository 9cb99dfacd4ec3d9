package oidc_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/fetch"
	"github.com/domicile-sso/domicile/federation/idptest"
	"github.com/domicile-sso/domicile/federation/oidc"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// signingKey is made once for all tests: making one takes a while.
var signingKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// A bed is one relying party and one provider that knows it.
type bed struct {
	idp  *idptest.OIDCProvider
	rp   *oidc.RelyingParty
	conn federation.Connection

	mu  sync.Mutex
	now time.Time
}

func (b *bed) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bed) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

var gus = idptest.User{
	Subject: "gus-1", Address: "gus@globex.example", Password: "correct horse",
	GivenName: "Gus", FamilyName: "Gorman", Groups: []string{"staff", "sales"},
}

const callback = "http://globex.us.localhost/oidc/globex-oidc/callback"

func newBed(t testing.TB) *bed {
	t.Helper()
	b := &bed{now: noon}
	b.idp = idptest.NewOIDC(idptest.OIDCOptions{
		Key: signingKey(), Now: b.clock, Silent: true,
		Users: []idptest.User{gus},
		Clients: []idptest.OIDCClient{{
			ID: "domicile", Secret: "s3cr3t", RedirectURIs: []string{callback},
			PostLogoutURIs: []string{"http://globex.us.localhost/"},
		}},
	})
	srv := httptest.NewServer(b.idp)
	t.Cleanup(srv.Close)
	b.idp.SetIssuer(srv.URL)
	b.rp = oidc.New(fetch.New(fetch.Options{DangerouslyAllowLoopback: true, Log: slog.New(slog.DiscardHandler)}), b.clock)
	settings, err := b.rp.Discover(t.Context(), srv.URL)
	if err != nil {
		t.Fatalf("Discover: %v", err)
	}
	settings.ClientID, settings.ClientSecret, settings.RedirectURI = "domicile", "s3cr3t", callback
	b.conn = federation.Connection{ID: "globex-oidc", Portal: "globex", Kind: federation.OIDC, OIDC: &settings}
	return b
}

func (b *bed) attempt() federation.Attempt {
	return federation.Attempt{
		Connection: b.conn.ID, State: oidc.Secret(), Nonce: oidc.Secret(), Verifier: oidc.Secret(),
		LoginHint: gus.Address, Started: b.clock(), Expires: b.clock().Add(10 * time.Minute),
	}
}

// visit sends a browser to the provider and returns what it brings back.
func (b *bed) visit(t testing.TB, a federation.Attempt) url.Values {
	t.Helper()
	to, err := b.rp.AuthURL(b.conn, a)
	if err != nil {
		t.Fatalf("AuthURL: %v", err)
	}
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := browser.Get(to)
	if err != nil {
		t.Fatalf("visit: %v", err)
	}
	res.Body.Close()
	back, err := res.Location()
	if err != nil {
		t.Fatalf("the provider answered %d without a way back", res.StatusCode)
	}
	if !strings.HasPrefix(back.String(), callback+"?") {
		t.Fatalf("sent back to %s", back)
	}
	return back.Query()
}

func (b *bed) signIn(t testing.TB) (federation.Identity, error) {
	t.Helper()
	a := b.attempt()
	return b.rp.Callback(t.Context(), b.conn, a, b.visit(t, a))
}

// wantCode says whether err is the refusal expected; "" expects none.
func wantCode(t testing.TB, err error, code string) {
	t.Helper()
	if code == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	r, ok := errors.AsType[*federation.Refusal](err)
	if !ok {
		t.Errorf("got %v (%T), want the refusal %q", err, err, code)
		return
	}
	if r.Code != code {
		t.Errorf("refused with %q (%s), want %q", r.Code, r.Detail, code)
	}
}

func TestSignIn(t *testing.T) {
	b := newBed(t)
	a := b.attempt()
	id, err := b.rp.Callback(t.Context(), b.conn, a, b.visit(t, a))
	if err != nil {
		t.Fatal(err)
	}
	if id.IDToken == "" || id.SessionIndex == "" {
		t.Error("no ID token or session index kept for sign-out")
	}
	id.IDToken, id.SessionIndex = "", ""
	want := federation.Identity{
		Connection: "globex-oidc", Issuer: b.idp.Issuer(), Subject: "gus-1",
		Email: "gus@globex.example", EmailVerified: true,
		Name: "Gus Gorman", GivenName: "Gus", FamilyName: "Gorman", Groups: []string{"staff", "sales"},
		AuthTime: id.AuthTime, OnceID: a.Nonce, OnceUntil: a.Expires,
	}
	if diff := cmp.Diff(want, id); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	if !id.AuthTime.Equal(noon) {
		t.Errorf("AuthTime = %v", id.AuthTime)
	}
}

func TestSignInAuthMethods(t *testing.T) {
	for _, method := range []string{"", "client_secret_basic", "client_secret_post"} {
		b := newBed(t)
		b.conn.OIDC.AuthMethod = method
		_, err := b.signIn(t)
		wantCode(t, err, "")
	}
	b := newBed(t)
	b.idp.AddClient(idptest.OIDCClient{ID: "public", RedirectURIs: []string{callback}})
	b.conn.OIDC.ClientID, b.conn.OIDC.ClientSecret, b.conn.OIDC.AuthMethod = "public", "", "none"
	_, err := b.signIn(t)
	wantCode(t, err, "")
}

// TestAttacks plays the whole list. Every row is played against a provider and
// a relying party of its own, and the unbroken flow is accepted before it.
func TestAttacks(t *testing.T) {
	for _, attack := range idptest.OIDCAttacks() {
		t.Run(attack.ID+" "+attack.Name, func(t *testing.T) {
			b := newBed(t)
			if attack.Settings != nil {
				attack.Settings(b.conn.OIDC)
			}
			b.idp.Break(attack.Faults(b.idp))
			id, err := b.signIn(t)
			wantCode(t, err, attack.Code)
			if err != nil {
				if diff := cmp.Diff(federation.Identity{}, id); diff != "" {
					t.Errorf("a refusal with an identity:\n%s", diff)
				}
				for _, secret := range []string{"gus", "victim", "s3cr3t", "script", "eyJ", "127.0.0.1"} {
					if strings.Contains(err.Error(), secret) {
						t.Errorf("the refusal repeats %q: %v", secret, err)
					}
				}
			}
			for endpoint, most := range map[string]int{"trap": 0, "token": 1, "jwks": 1} {
				if n := b.idp.Requests(endpoint); n > most {
					t.Errorf("%s was asked %d times", endpoint, n)
				}
			}
			if attack.Settings == nil {
				// Nothing of the attack outlives it.
				b.idp.Break(idptest.OIDCFaults{})
				b.pass(time.Minute)
				_, err := b.signIn(t)
				wantCode(t, err, "")
			}
		})
	}
}

func TestOID24EmailVerified(t *testing.T) {
	lenient := func(s *federation.OIDCSettings) { s.EmailVerifiedString = true }
	trusting := func(s *federation.OIDCSettings) { s.TrustEmail = true }
	tests := []struct {
		name     string
		settings func(*federation.OIDCSettings)
		value    any // nil: absent
		want     bool
	}{
		{"true", nil, true, true},
		{"false", nil, false, false},
		{"absent", nil, nil, false},
		{"text", nil, "true", false},
		{"one", nil, 1, false},
		{"list", nil, []any{true}, false},
		{"text by policy", lenient, "true", true},
		{"other text by policy", lenient, "TRUE", false},
		{"one by policy", lenient, 1, false},
		{"absent by policy", trusting, nil, true},
		{"false against policy", trusting, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBed(t)
			if tt.settings != nil {
				tt.settings(b.conn.OIDC)
			}
			b.idp.Break(idptest.OIDCFaults{Claims: func(c map[string]any) {
				delete(c, "email_verified")
				if tt.value != nil {
					c["email_verified"] = tt.value
				}
			}})
			id, err := b.signIn(t)
			if err != nil {
				t.Fatal(err)
			}
			if id.EmailVerified != tt.want || id.Email != gus.Address {
				t.Errorf("EmailVerified = %t for %q, want %t", id.EmailVerified, id.Email, tt.want)
			}
		})
	}
}

// email_verified says nothing about an address in another claim.
func TestOID24MappedEmail(t *testing.T) {
	b := newBed(t)
	b.conn.Mapping.Email = "upn"
	b.idp.Break(idptest.OIDCFaults{Claims: func(c map[string]any) { c["upn"] = "victim@globex.example" }})
	id, err := b.signIn(t)
	if err != nil {
		t.Fatal(err)
	}
	if id.Email != "victim@globex.example" || id.EmailVerified {
		t.Errorf("Email = %q, verified %t", id.Email, id.EmailVerified)
	}
}

// OID-25, OID-27: whoever it is, is told by connection, issuer and subject.
// Somebody else with the same address is somebody else.
func TestOID25SameAddressOtherSubject(t *testing.T) {
	b := newBed(t)
	first, err := b.signIn(t)
	if err != nil {
		t.Fatal(err)
	}
	b.idp.Break(idptest.OIDCFaults{Claims: func(c map[string]any) { c["sub"] = "gus-2" }})
	second, err := b.signIn(t)
	if err != nil {
		t.Fatal(err)
	}
	if first.Email != second.Email || first.Subject == second.Subject || first.Issuer != second.Issuer {
		t.Errorf("subjects %q and %q", first.Subject, second.Subject)
	}
}

// OID-30: a code stolen from the victim's browser is worth nothing in another's:
// the attempt there has another verifier and another nonce.
func TestOID30CodeInjection(t *testing.T) {
	b := newBed(t)
	victim, attacker := b.attempt(), b.attempt()
	stolen := b.visit(t, victim)
	stolen.Set("state", attacker.State)
	_, err := b.rp.Callback(t.Context(), b.conn, attacker, stolen)
	wantCode(t, err, "token_refused")

	// Even if the verifier leaked, the nonce is the victim's.
	stolen = b.visit(t, victim)
	stolen.Set("state", attacker.State)
	attacker.Verifier = victim.Verifier
	_, err = b.rp.Callback(t.Context(), b.conn, attacker, stolen)
	wantCode(t, err, "nonce_mismatch")
}

func TestOID31State(t *testing.T) {
	b := newBed(t)
	a := b.attempt()
	q := b.visit(t, a)
	with := func(name, value string) url.Values {
		v := url.Values{}
		for k := range q {
			v.Set(k, q.Get(k))
		}
		v.Set(name, value)
		return v
	}
	none := with("state", "")
	none.Del("state")
	ctx := t.Context()
	_, err := b.rp.Callback(ctx, b.conn, a, none)
	wantCode(t, err, "state_missing")
	_, err = b.rp.Callback(ctx, b.conn, a, with("state", oidc.Secret()))
	wantCode(t, err, "state_mismatch")
	_, err = b.rp.Callback(ctx, b.conn, b.attempt(), q)
	wantCode(t, err, "state_mismatch")

	elsewhere := b.conn
	elsewhere.ID = "another-connection"
	_, err = b.rp.Callback(ctx, elsewhere, a, q)
	wantCode(t, err, "wrong_connection")

	// OID-32: an error without a state is no answer to anything.
	_, err = b.rp.Callback(ctx, b.conn, a, url.Values{"error": {"access_denied"}})
	wantCode(t, err, "state_missing")

	// Nothing so far has used up the code. Twice is once too often.
	_, err = b.rp.Callback(ctx, b.conn, a, q)
	wantCode(t, err, "")
	_, err = b.rp.Callback(ctx, b.conn, a, q)
	wantCode(t, err, "token_refused")

	late := b.attempt()
	q = b.visit(t, late)
	b.pass(10 * time.Minute)
	_, err = b.rp.Callback(ctx, b.conn, late, q)
	wantCode(t, err, "attempt_expired")
}

func TestOID33Parameters(t *testing.T) {
	b := newBed(t)
	a := b.attempt()
	tests := []struct {
		name string
		q    url.Values
		code string
	}{
		{"code twice", url.Values{"state": {a.State}, "code": {"1", "2"}}, "duplicate_parameter"},
		{"unknown twice", url.Values{"state": {a.State}, "code": {"1"}, "x": {"1", "2"}}, "duplicate_parameter"},
		{"1 MB", url.Values{"state": {a.State}, "code": {strings.Repeat("c", 1<<20)}}, "oversized_parameter"},
		{"many", url.Values{"a": {strings.Repeat("c", 4000)}, "b": {strings.Repeat("c", 4000)}, "c": {strings.Repeat("c", 4000)}}, "oversized_parameter"},
		{"zero byte", url.Values{"state": {a.State}, "code": {"1\x002"}}, "malformed_parameter"},
	}
	for _, tt := range tests {
		_, err := b.rp.Callback(t.Context(), b.conn, a, tt.q)
		wantCode(t, err, tt.code)
		if r, ok := errors.AsType[*federation.Refusal](err); ok && r.Status != http.StatusBadRequest {
			t.Errorf("%s: status %d", tt.name, r.Status)
		}
	}
	if n := b.idp.Requests("token"); n != 0 {
		t.Errorf("the token endpoint was asked %d times", n)
	}
}

// OID-43: there is no refreshing, so no refreshed token can be of somebody else.
func TestOID43NoRefreshTokens(t *testing.T) {
	b := newBed(t)
	b.conn.OIDC.Scopes = []string{"email", "offline_access", "email", "bad scope"}
	to, err := b.rp.AuthURL(b.conn, b.attempt())
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	if got := u.Query().Get("scope"); got != "openid email" {
		t.Errorf("scope = %q", got)
	}
}

func TestAuthURL(t *testing.T) {
	b := newBed(t)
	b.conn.OIDC.MaxAgeSeconds, b.conn.OIDC.RequiredACR = 300, []string{"phr", "phrh"}
	a := b.attempt()
	a.Verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636, appendix B
	to, err := b.rp.AuthURL(b.conn, a)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"client_id": {"domicile"}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid email profile"},
		"state": {a.State}, "nonce": {a.Nonce}, "login_hint": {gus.Address}, "max_age": {"300"}, "acr_values": {"phr phrh"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}
	if diff := cmp.Diff(want, u.Query()); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
}

// OID-46: the address goes to the provider of its own domain, or to none.
func TestOID46LoginHint(t *testing.T) {
	b := newBed(t)
	a := b.attempt()
	a.LoginHint = ""
	to, err := b.rp.AuthURL(b.conn, a)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(to, "login_hint") || strings.Contains(to, "gus") {
		t.Errorf("AuthURL = %s", to)
	}
	a = b.attempt()
	a.Connection = "another-connection"
	_, err = b.rp.AuthURL(b.conn, a)
	wantCode(t, err, "wrong_connection")
}

func TestAuthURLRefuses(t *testing.T) {
	tests := []struct {
		code   string
		change func(*federation.Connection, *federation.Attempt)
	}{
		{"connection_kind", func(c *federation.Connection, _ *federation.Attempt) { c.OIDC = nil }},
		{"connection_incomplete", func(c *federation.Connection, _ *federation.Attempt) { c.OIDC.ClientID = "" }},
		{"attempt_incomplete", func(_ *federation.Connection, a *federation.Attempt) { a.State = "" }},
		{"attempt_incomplete", func(_ *federation.Connection, a *federation.Attempt) { a.Nonce = "" }},
		{"attempt_incomplete", func(_ *federation.Connection, a *federation.Attempt) { a.Verifier = "short" }},
		{"attempt_expired", func(_ *federation.Connection, a *federation.Attempt) { a.Expires = noon }},
		{"endpoint_refused", func(c *federation.Connection, _ *federation.Attempt) { c.OIDC.AuthURL = "javascript:alert(1)" }},
	}
	for _, tt := range tests {
		b := newBed(t)
		a := b.attempt()
		tt.change(&b.conn, &a)
		_, err := b.rp.AuthURL(b.conn, a)
		wantCode(t, err, tt.code)
		_, err = b.rp.Callback(context.Background(), b.conn, a, url.Values{})
		wantCode(t, err, tt.code)
	}
}

func TestEndSessionURL(t *testing.T) {
	b := newBed(t)
	to, err := b.rp.EndSessionURL(b.conn, "", "http://globex.us.localhost/", "s")
	if err != nil {
		t.Fatal(err)
	}
	want := b.idp.Issuer() + "/end_session?client_id=domicile&post_logout_redirect_uri=http%3A%2F%2Fglobex.us.localhost%2F&state=s"
	if to != want {
		t.Errorf("EndSessionURL = %s, want %s", to, want)
	}
	b.conn.OIDC.EndSessionURL = ""
	if to, err := b.rp.EndSessionURL(b.conn, "t", "", ""); to != "" || err != nil {
		t.Errorf("without an endpoint: %q, %v", to, err)
	}
	b.conn.OIDC.EndSessionURL = "data:text/html,x"
	_, err = b.rp.EndSessionURL(b.conn, "t", "", "")
	wantCode(t, err, "endpoint_refused")
}

// BenchmarkVerify is a callback without its network: beside it, the signature
// check alone.
func BenchmarkVerify(b *testing.B) {
	bed := newBed(b)
	a := bed.attempt()
	a.Nonce = "n"
	var payload []byte
	bed.idp.Break(idptest.OIDCFaults{Token: func(header, claims map[string]any) string {
		delete(claims, "at_hash")
		payload = jsonOf(claims)
		return idptest.SignJWS("RS256", jsonOf(header), payload, signingKey())
	}})
	id, err := bed.rp.Callback(b.Context(), bed.conn, a, bed.visit(b, a))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("callback", func(b *testing.B) {
		for b.Loop() {
			if _, err := bed.rp.Verify(b.Context(), bed.conn, a, oidc.Tokens{ID: id.IDToken, Access: "t", Code: "c"}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("signature", func(b *testing.B) {
		sum := sha256.Sum256(payload)
		sig, err := rsa.SignPKCS1v15(nil, signingKey(), crypto.SHA256, sum[:])
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			sum := sha256.Sum256(payload)
			if err := rsa.VerifyPKCS1v15(&signingKey().PublicKey, crypto.SHA256, sum[:], sig); err != nil {
				b.Fatal(err)
			}
		}
	})
}
