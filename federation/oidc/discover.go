package oidc

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/fetch"
)

// Algorithms are the signatures an ID token may carry. none and the HMAC family
// are not here and cannot be configured: with them, whoever knows a public key
// or a client ID is an identity provider.
func Algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// The media types a provider's documents come as. Key sets are often static
// files, so their type is left open; their content decides.
var documents = []string{"application/json", "+json"}

// Discover reads the provider's metadata (OpenID Connect Discovery 1.0) and
// returns settings without RedirectURI and client: the caller adds these. The
// issuer must be spelled exactly as the provider spells it.
func (rp *RelyingParty) Discover(ctx context.Context, issuer string) (federation.OIDCSettings, error) {
	var s federation.OIDCSettings
	if err := rp.issuer(issuer); err != nil {
		return s, err
	}
	// Discovery 4: a terminating slash is removed before the suffix is added.
	body, err := fetch.Get(ctx, rp.HTTP, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", documents...)
	if err != nil {
		return s, unavailable("discovery_unavailable", "")
	}
	doc, err := decode(body)
	if err != nil {
		return s, refuse("discovery_malformed", err.Error())
	}
	if doc.text("issuer") != issuer {
		return s, refuse("issuer_mismatch", "the document speaks for another issuer")
	}
	s = federation.OIDCSettings{
		Issuer:        issuer,
		AuthURL:       doc.text("authorization_endpoint"),
		TokenURL:      doc.text("token_endpoint"),
		UserInfoURL:   doc.text("userinfo_endpoint"),
		JWKSURL:       doc.text("jwks_uri"),
		EndSessionURL: doc.text("end_session_endpoint"),
		IssParameter:  doc["authorization_response_iss_parameter_supported"] == true,
	}
	if types, ok := doc.texts("response_types_supported"); ok && !slices.Contains(types, "code") {
		return federation.OIDCSettings{}, refuse("flow_unsupported", "no authorisation code flow")
	}
	if s.AuthMethod = authMethod(doc); s.AuthMethod == "" {
		return federation.OIDCSettings{}, refuse("auth_method_unsupported", "neither client_secret_basic nor client_secret_post nor none")
	}
	s.Algs = usable(doc)
	s.Scopes = []string{"email", "profile"}
	if offered, ok := doc.texts("scopes_supported"); ok {
		s.Scopes = slices.DeleteFunc(s.Scopes, func(v string) bool { return !slices.Contains(offered, v) })
	}
	if err := rp.Check(s); err != nil {
		return federation.OIDCSettings{}, err
	}
	return s, nil
}

// usable are the offered algorithms that are ours too. Core 2 makes RS256 the
// default; Discovery 3 makes the list required, so an absent one means just that.
func usable(doc object) []string {
	offered, ok := doc.texts("id_token_signing_alg_values_supported")
	if !ok {
		return []string{"RS256"}
	}
	return slices.DeleteFunc(Algorithms(), func(a string) bool { return !slices.Contains(offered, a) })
}

func authMethod(doc object) string {
	offered, ok := doc.texts("token_endpoint_auth_methods_supported")
	if !ok {
		return "client_secret_basic" // Discovery 3: the default
	}
	for _, m := range []string{"client_secret_basic", "client_secret_post", "none"} {
		if slices.Contains(offered, m) {
			return m
		}
	}
	return ""
}

// Check says whether settings are safe to save and to use: every place is one
// the client would go to, and every algorithm is one of Algorithms.
func (rp *RelyingParty) Check(s federation.OIDCSettings) error {
	if err := rp.issuer(s.Issuer); err != nil {
		return err
	}
	if len(s.Algs) == 0 {
		return refuse("alg_forbidden", "no usable signing algorithm")
	}
	for _, a := range s.Algs {
		if !slices.Contains(Algorithms(), a) {
			return refuse("alg_forbidden", "an algorithm in the list cannot be used")
		}
	}
	if !slices.Contains([]string{"", "client_secret_basic", "client_secret_post", "none"}, s.AuthMethod) {
		return refuse("auth_method_unsupported", "")
	}
	places := []struct {
		name, url string
		required  bool
	}{
		{"authorization_endpoint", s.AuthURL, true},
		{"token_endpoint", s.TokenURL, true},
		{"jwks_uri", s.JWKSURL, true},
		{"userinfo_endpoint", s.UserInfoURL, false},
		{"end_session_endpoint", s.EndSessionURL, false},
	}
	for _, p := range places {
		if p.url == "" && !p.required {
			continue
		}
		if err := rp.endpoint(p.name, p.url); err != nil {
			return err
		}
	}
	return nil
}

// issuer checks the spelling of an issuer (Core 1.2: https, no query, no
// fragment).
func (rp *RelyingParty) issuer(issuer string) error {
	if err := fetch.Check(rp.HTTP, issuer); err != nil {
		return refuse("issuer_refused", "not an https URL of a public host")
	}
	if strings.ContainsAny(issuer, "?{}") {
		return refuse("issuer_refused", "a query or a template")
	}
	return nil
}

// endpoint also refuses a query that would collide with ours: which of two
// values of a parameter counts is up to the reader.
func (rp *RelyingParty) endpoint(name, raw string) error {
	if err := fetch.Check(rp.HTTP, raw); err != nil {
		return refuse("endpoint_refused", name)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return refuse("endpoint_refused", name)
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return refuse("endpoint_refused", name)
	}
	for _, ours := range []string{"client_id", "redirect_uri", "response_type", "response_mode", "request", "request_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method", "id_token_hint"} {
		if q.Has(ours) {
			return refuse("endpoint_refused", name)
		}
	}
	return nil
}
