package oidc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/fetch"
)

const (
	// window is how far iat may lie from now: a token is made while we wait.
	window = 10 * time.Minute
	// lifetime is the longest one that is believed.
	lifetime = 24 * time.Hour
	// skew is granted where a provider's clock is compared with ours and no
	// window does it already.
	skew = time.Minute
	// notBefore is what go-oidc grants to nbf.
	notBefore = 5 * time.Minute
)

// addressed repeats go-oidc's checks (Core 3.1.3.7) on claims read by our own
// decoder, so that both have to agree and a refusal has a name.
func (rp *RelyingParty) addressed(c federation.Connection, claims object) error {
	if claims.text("iss") != c.OIDC.Issuer {
		return refuse("issuer_mismatch", "")
	}
	audience, ok := claims.texts("aud")
	if !ok || len(audience) == 0 {
		return refuse("audience_missing", "")
	}
	if !slices.Contains(audience, c.OIDC.ClientID) {
		return refuse("audience_mismatch", "")
	}
	if claims.has("azp") && claims.text("azp") != c.OIDC.ClientID {
		return refuse("azp_mismatch", "issued to another client")
	}
	now := rp.Now()
	exp, ok := claims.seconds("exp")
	if !ok {
		return refuse("exp_missing", "")
	}
	iat, ok := claims.seconds("iat")
	if !ok {
		return refuse("iat_missing", "")
	}
	if claims.has("nbf") {
		nbf, ok := claims.seconds("nbf")
		if !ok || time.Unix(nbf, 0).After(now.Add(notBefore)) {
			return refuse("not_yet_valid", "")
		}
	}
	switch {
	case !now.Before(time.Unix(exp, 0)):
		return refuse("expired", "")
	case now.Sub(time.Unix(iat, 0)).Abs() > window:
		return refuse("iat_out_of_window", "")
	case exp-iat > int64(lifetime/time.Second):
		return refuse("lifetime_too_long", "")
	}
	return nil
}

// bound says whether the token belongs to this attempt and to what came with it,
// and whether the sign-in at the provider was good enough.
func (rp *RelyingParty) bound(c federation.Connection, a federation.Attempt, claims object, alg string, t Tokens) error {
	if !claims.has("nonce") {
		return refuse("nonce_missing", "")
	}
	if !same(claims.text("nonce"), a.Nonce) {
		return refuse("nonce_mismatch", "")
	}
	if claims.has("at_hash") && !same(claims.text("at_hash"), halfHash(alg, t.Access)) {
		return refuse("at_hash_mismatch", "")
	}
	if claims.has("c_hash") && !same(claims.text("c_hash"), halfHash(alg, t.Code)) {
		return refuse("c_hash_mismatch", "")
	}
	if claims.has("events") {
		return refuse("id_token_type", "an event, not an ID token")
	}
	if max := c.OIDC.MaxAgeSeconds; max > 0 {
		at, ok := claims.seconds("auth_time")
		if !ok {
			return refuse("auth_time_missing", "")
		}
		if age := rp.Now().Sub(time.Unix(at, 0)); age > time.Duration(max)*time.Second+skew || age < -window {
			return refuse("auth_too_old", "")
		}
	}
	if accepted := c.OIDC.RequiredACR; len(accepted) > 0 && !slices.Contains(accepted, claims.text("acr")) {
		return refuse("acr_insufficient", "")
	}
	return tenant(c, claims)
}

// halfHash is at_hash and c_hash: the left half of the hash of the token's own
// algorithm (Core 3.1.3.6, 3.3.2.11).
func halfHash(alg, s string) string {
	d := hashOf(alg).New()
	d.Write([]byte(s))
	sum := d.Sum(nil)
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// tenant applies what Entra needs: its tenants share keys, and one tenant's
// users may be another tenant's guests, or carry addresses nobody checked.
func tenant(c federation.Connection, claims object) error {
	if c.OIDC.RequiredTenant == "" && !c.OIDC.TrustEmail {
		return nil
	}
	if t := c.OIDC.RequiredTenant; t != "" && claims.text("tid") != t {
		return refuse("tenant_mismatch", "")
	}
	// acct 1 is a guest; idp names where a guest really signed in, and for
	// everybody else repeats the issuer, in the old or the new spelling.
	home := []string{c.OIDC.Issuer, "https://sts.windows.net/" + c.OIDC.RequiredTenant + "/"}
	if isOne(claims["acct"]) || claims.has("idp") && !slices.Contains(home, claims.text("idp")) {
		return refuse("guest_user", "")
	}
	if claims.has("xms_edov") && claims["xms_edov"] != true && claims["xms_edov"] != "true" && !isOne(claims["xms_edov"]) {
		return refuse("email_domain_unverified", "xms_edov")
	}
	return nil
}

func isOne(v any) bool { return v == json.Number("1") || v == "1" }

// identity reads who it is. Connection, issuer and subject are the key; the
// address is no more than a statement.
func (rp *RelyingParty) identity(ctx context.Context, c federation.Connection, a federation.Attempt, claims object, accessToken string) (federation.Identity, error) {
	var none federation.Identity
	sub, ok := claims["sub"].(string)
	if !ok || sub == "" || len(sub) > 255 || !printable(sub) {
		return none, refuse("sub_invalid", "missing, empty, too long or unprintable")
	}
	exp, _ := claims.seconds("exp")
	once := time.Unix(exp, 0)
	if a.Expires.After(once) {
		once = a.Expires
	}
	id := federation.Identity{
		Connection:   c.ID,
		Issuer:       c.OIDC.Issuer,
		Subject:      sub,
		ACR:          claims.text("acr"),
		SessionIndex: claims.text("sid"),
		OnceID:       a.Nonce,
		OnceUntil:    once,
	}
	if at, ok := claims.seconds("auth_time"); ok {
		id.AuthTime = time.Unix(at, 0)
	}
	// What is signed comes last and so wins over what is not.
	email := or(c.Mapping.Email, "email")
	source := claims
	if !claims.has(email) && c.OIDC.UserInfoURL != "" {
		info, err := rp.userInfo(ctx, c, accessToken, sub)
		if err != nil {
			return none, err
		}
		if err := profile(&id, c, info); err != nil {
			return none, err
		}
		source = info
	}
	if err := profile(&id, c, claims); err != nil {
		return none, err
	}
	id.EmailVerified = source.has(email) && emailVerified(c, source)
	return id, nil
}

// profile fills in what is not the key. _claim_sources is never followed: a
// token must not send us anywhere.
func profile(id *federation.Identity, c federation.Connection, o object) error {
	fields := []struct {
		to   *string
		name string
	}{
		{&id.Email, or(c.Mapping.Email, "email")},
		{&id.Name, or(c.Mapping.Name, "name")},
		{&id.GivenName, or(c.Mapping.GivenName, "given_name")},
		{&id.FamilyName, or(c.Mapping.FamilyName, "family_name")},
	}
	for _, f := range fields {
		if !o.has(f.name) {
			continue
		}
		s, ok := o[f.name].(string)
		if !ok || len(s) > 1024 || !printable(s) {
			return refuse("claims_malformed", "a claim of the profile")
		}
		*f.to = s
	}
	if groups := or(c.Mapping.Groups, "groups"); o.has(groups) {
		list, ok := o.texts(groups)
		if !ok {
			return refuse("claims_malformed", "groups")
		}
		id.Groups = list
	}
	return nil
}

// emailVerified takes JSON true and nothing else (Core 5.1), unless the
// connection's policy says otherwise. An explicit no is a no under any policy.
func emailVerified(c federation.Connection, o object) bool {
	if or(c.Mapping.Email, "email") != "email" && o.has("email_verified") && !c.OIDC.TrustEmail {
		return false // email_verified speaks of email, not of another claim
	}
	switch v := o["email_verified"].(type) {
	case bool:
		return v
	case string:
		return v == "true" && c.OIDC.EmailVerifiedString
	case nil:
		return c.OIDC.TrustEmail
	}
	return false
}

// userInfo asks for the claims that were not in the token (Core 5.3). A plain
// JSON object is the only form: a signed one would need its own verification,
// and an unsigned JWT is a trap.
func (rp *RelyingParty) userInfo(ctx context.Context, c federation.Connection, accessToken, sub string) (object, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.OIDC.UserInfoURL, nil)
	if err != nil {
		return nil, refuse("endpoint_refused", "userinfo_endpoint")
	}
	req.Header.Set("Authorization", "Bearer "+accessToken)
	body, err := fetch.Do(rp.HTTP, req)
	if err != nil {
		return nil, unavailable("userinfo_unavailable", "")
	}
	info, err := decode(body)
	if err != nil {
		return nil, refuse("userinfo_malformed", err.Error())
	}
	if err := info.unambiguous(c.Mapping.Email); err != nil {
		return nil, refuse("userinfo_malformed", err.Error())
	}
	// Core 5.3.2: otherwise the answer may be about somebody else.
	if !same(info.text("sub"), sub) {
		return nil, refuse("userinfo_subject_mismatch", "")
	}
	return info, nil
}

func or(name, usual string) string {
	if name != "" {
		return name
	}
	return usual
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) })
}
