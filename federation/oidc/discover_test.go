package oidc_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/fetch"
	"github.com/domicile-sso/domicile/federation/idptest"
	"github.com/domicile-sso/domicile/federation/oidc"
)

func jsonOf(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func TestDiscover(t *testing.T) {
	b := newBed(t)
	got, err := b.rp.Discover(t.Context(), b.idp.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	at := b.idp.Issuer()
	want := federation.OIDCSettings{
		Issuer: at, AuthURL: at + "/authorize", TokenURL: at + "/token", UserInfoURL: at + "/userinfo",
		JWKSURL: at + "/jwks", EndSessionURL: at + "/end_session",
		AuthMethod: "client_secret_basic", Algs: []string{"RS256"}, IssParameter: true, Scopes: []string{"email", "profile"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestDiscoverRefuses(t *testing.T) {
	set := func(name string, v any) func(map[string]any) {
		return func(doc map[string]any) { doc[name] = v }
	}
	drop := func(name string) func(map[string]any) {
		return func(doc map[string]any) { delete(doc, name) }
	}
	tests := []struct {
		name string // begins with the attack's number
		doc  func(map[string]any)
		code string
	}{
		{"OID-03 only HS256 and none", set("id_token_signing_alg_values_supported", []string{"none", "HS256"}), "alg_forbidden"},
		{"OID-03 algs is not a list", set("id_token_signing_alg_values_supported", []any{1}), ""},
		{"OID-12 other issuer", set("issuer", "https://other.example"), "issuer_mismatch"},
		{"OID-12 no issuer", drop("issuer"), "issuer_mismatch"},
		{"OID-12 issuer of another case", func(doc map[string]any) { doc["Issuer"] = doc["issuer"]; delete(doc, "issuer") }, "issuer_mismatch"},
		{"OID-36 javascript", set("authorization_endpoint", "javascript:alert(1)"), "endpoint_refused"},
		{"OID-36 data", set("authorization_endpoint", "data:text/html,<script>"), "endpoint_refused"},
		{"OID-36 http", set("authorization_endpoint", "http://op.example/authorize"), "endpoint_refused"},
		{"OID-36 missing", drop("authorization_endpoint"), "endpoint_refused"},
		{"OID-36 our parameters set already", set("authorization_endpoint", "https://op.example/a?redirect_uri=https://evil.example"), "endpoint_refused"},
		{"OID-34 token endpoint http", set("token_endpoint", "http://op.example/token"), "endpoint_refused"},
		{"OID-37 token endpoint inside", set("token_endpoint", "https://169.254.169.254/latest"), "endpoint_refused"},
		{"OID-37 key set inside", set("jwks_uri", "https://[::ffff:7f00:1]/jwks"), "endpoint_refused"},
		{"OID-37 key set behind NAT64", set("jwks_uri", "https://[64:ff9b::7f00:1]/jwks"), "endpoint_refused"},
		{"OID-37 UserInfo inside", set("userinfo_endpoint", "https://10.0.0.1/u"), "endpoint_refused"},
		{"OID-36 end of session javascript", set("end_session_endpoint", "javascript:alert(1)"), "endpoint_refused"},
		{"OID-21 implicit flow only", set("response_types_supported", []string{"id_token"}), "flow_unsupported"},
		{"OID-35 only signed client assertions", set("token_endpoint_auth_methods_supported", []string{"private_key_jwt"}), "auth_method_unsupported"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBed(t)
			b.idp.Break(idptest.OIDCFaults{Discovery: tt.doc})
			got, err := b.rp.Discover(t.Context(), b.idp.Issuer())
			wantCode(t, err, tt.code)
			if err != nil {
				if diff := cmp.Diff(federation.OIDCSettings{}, got); diff != "" {
					t.Errorf("settings with a refusal:\n%s", diff)
				}
			}
		})
	}
}

func TestDiscoverBody(t *testing.T) {
	body := func(media, s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", media)
			w.Write([]byte(s))
		}
	}
	tests := []struct {
		name, code string
		serve      http.HandlerFunc
	}{
		{"not found", "discovery_unavailable", http.NotFound},
		{"a page", "discovery_unavailable", body("text/html", "<html>")},
		{"nothing", "discovery_malformed", body("application/json", "")},
		{"a list", "discovery_malformed", body("application/json", "[]")},
		{"issuer twice", "discovery_malformed", body("application/json", `{"issuer":"a","issuer":"b"}`)},
		{"two documents", "discovery_malformed", body("application/json", `{}{}`)},
		{"deep", "discovery_malformed", body("application/json", `{"a":`+strings.Repeat("[", 200_000)+strings.Repeat("]", 200_000)+`}`)},
		{"2 MiB", "discovery_unavailable", body("application/json", `{"a":"`+strings.Repeat("x", 2<<20)+`"}`)},
		{"elsewhere", "discovery_unavailable", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/trap", http.StatusFound)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBed(t)
			b.idp.Break(idptest.OIDCFaults{Serve: map[string]http.HandlerFunc{"discovery": tt.serve}})
			_, err := b.rp.Discover(t.Context(), b.idp.Issuer())
			wantCode(t, err, tt.code)
			if n := b.idp.Requests("trap"); n != 0 {
				t.Error("the redirect was followed")
			}
		})
	}
}

func TestDiscoverIssuer(t *testing.T) {
	rp := oidc.New(fetch.New(fetch.Options{}), newBed(t).clock)
	for _, issuer := range []string{
		"", "op.example", "http://op.example", "https://127.0.0.1", "https://localhost", "https://op.example:8443",
		"https://user:pass@op.example", "https://op.example/?a=b", "https://op.example/#f", "https://op.example/\t",
		"https://login.microsoftonline.com/{tenantid}/v2.0", "javascript:alert(1)",
	} {
		_, err := rp.Discover(t.Context(), issuer)
		wantCode(t, err, "issuer_refused")
	}
}

// OID-03: a list that came from a customer's settings is filtered when it is
// saved, when it is used, and by the list of algorithms itself.
func TestOID03SettingsAlgorithms(t *testing.T) {
	for _, algs := range [][]string{nil, {"none"}, {"RS256", "HS256"}, {"RS256", "none"}, {""}, {"rs256"}} {
		b := newBed(t)
		b.conn.OIDC.Algs = algs
		wantCode(t, b.rp.Check(*b.conn.OIDC), "alg_forbidden")
		_, err := b.rp.AuthURL(b.conn, b.attempt())
		wantCode(t, err, "alg_forbidden")
	}
	b := newBed(t)
	b.idp.Break(idptest.OIDCFaults{Discovery: func(doc map[string]any) {
		doc["id_token_signing_alg_values_supported"] = []string{"none", "HS256", "ES256", "RS256", "ES256K", "EdDSA"}
	}})
	got, err := b.rp.Discover(t.Context(), b.idp.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"RS256", "ES256", "EdDSA"}, got.Algs); diff != "" {
		t.Errorf("algorithms (-want +got):\n%s", diff)
	}
}
