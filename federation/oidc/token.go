package oidc

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	goidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/domicile-sso/domicile/federation"
)

// maxToken bounds an ID token before anything is decoded.
const maxToken = 16 << 10

// A verification is one token under examination. It is the KeySet that go-oidc
// asks for the signature, and keeps the payload and the exact reason of a
// refusal, which go-oidc would flatten into a sentence.
type verification struct {
	keys    *KeySets
	url     string
	alg     string
	kid     string
	payload []byte
	refused *federation.Refusal
}

// verified returns the claims of an ID token: signed by the provider, addressed
// to us, in time as far as go-oidc looks, and free of ambiguity. The checks that
// remain are those of bound and identity. It also returns the algorithm.
func (rp *RelyingParty) verified(ctx context.Context, c federation.Connection, token string) (object, string, error) {
	v := &verification{keys: rp.Keys, url: c.OIDC.JWKSURL}
	if err := v.header(token, c.OIDC.Algs); err != nil {
		return nil, "", err
	}
	_, err := goidc.NewVerifier(c.OIDC.Issuer, v, &goidc.Config{
		ClientID:             c.OIDC.ClientID,
		SupportedSigningAlgs: c.OIDC.Algs,
		Now:                  rp.Now,
	}).Verify(ctx, token)
	switch {
	case v.refused != nil:
		return nil, "", v.refused
	case v.payload == nil:
		return nil, "", refuse("id_token_malformed", "not a signed token")
	}
	claims, decodeErr := decode(v.payload)
	if decodeErr != nil {
		return nil, "", refuse("claims_malformed", decodeErr.Error())
	}
	if decodeErr := claims.unambiguous(c.Mapping.Email); decodeErr != nil {
		return nil, "", refuse("claims_ambiguous", decodeErr.Error())
	}
	// The same checks as go-oidc's, but with a reason for the operator.
	if err := rp.addressed(c, claims); err != nil {
		return nil, "", err
	}
	if err != nil {
		return nil, "", refuse("id_token_refused", "")
	}
	return claims, v.alg, nil
}

// header looks at a token before any library does (RFC 7515, RFC 8725).
func (v *verification) header(token string, algs []string) error {
	if len(token) > maxToken {
		return refuse("id_token_too_large", "")
	}
	parts := strings.Split(token, ".")
	if len(parts) == 5 {
		return refuse("id_token_encrypted", "JWE is not supported")
	}
	if len(parts) != 3 {
		return refuse("id_token_malformed", "not in compact form")
	}
	raw := make([][]byte, len(parts))
	for i, p := range parts {
		var ok bool
		if raw[i], ok = unbase64(p); !ok {
			return refuse("id_token_malformed", "not canonical base64url")
		}
	}
	h, err := decode(raw[0])
	if err != nil {
		return refuse("id_token_malformed", "header: "+err.Error())
	}
	// jwk, jku, x5u and x5c are not looked at: the keys are the provider's own
	// set, whatever a token says about itself.
	switch typ := h["typ"].(type) {
	case nil:
	case string:
		// at+jwt, logout+jwt and whatever else is signed with the same keys is
		// not an ID token (RFC 8725 3.11).
		if !strings.EqualFold(typ, "JWT") {
			return refuse("id_token_type", "typ")
		}
	default:
		return refuse("id_token_type", "typ")
	}
	if _, ok := h["crit"]; ok {
		return refuse("id_token_malformed", "crit")
	}
	if h.has("enc") || h.has("zip") {
		return refuse("id_token_encrypted", "JWE is not supported")
	}
	v.alg = h.text("alg")
	if !slices.Contains(algs, v.alg) || !slices.Contains(Algorithms(), v.alg) {
		return refuse("alg_forbidden", "not one of the connection's algorithms")
	}
	if kid, ok := h["kid"]; ok {
		if v.kid, ok = kid.(string); !ok {
			return refuse("id_token_malformed", "kid")
		}
	}
	return nil
}

// unbase64 takes the one spelling a value has (RFC 7515 2): no padding, no line
// breaks, no stray bits at the end.
func unbase64(s string) ([]byte, bool) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return b, err == nil
}

// VerifySignature is what go-oidc calls. A key the provider published lately is
// looked for once, as far as the pause between readings allows.
func (v *verification) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(v.alg)})
	if err != nil {
		v.refused = refuse("id_token_malformed", "not a signed token")
		return nil, v.refused
	}
	var seen time.Time
	for range 2 {
		keys, read, err := v.keys.get(ctx, v.url, seen)
		if err != nil {
			v.refused = unavailable("keys_unavailable", "")
			return nil, v.refused
		}
		if !seen.IsZero() && read.Equal(seen) {
			break
		}
		for _, k := range keys {
			if (v.kid != "" && k.id != v.kid) || !k.fits(v.alg) {
				continue
			}
			if payload, ok := k.verify(jws, token, v.alg); ok {
				v.payload = payload
				return payload, nil
			}
		}
		seen = read
	}
	v.refused = refuse("signature_invalid", "no published key of the provider signed this")
	return nil, v.refused
}
