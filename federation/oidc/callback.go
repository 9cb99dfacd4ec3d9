package oidc

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/oauth2"

	"github.com/domicile-sso/domicile/federation"
)

const (
	maxQuery     = 8 << 10 // all parameters of an answer together
	maxParameter = 4 << 10 // one of them; some providers' codes are long
)

// Callback turns the provider's answer, the query of the redirect URI, into the
// Identity it proves. Every error is a *federation.Refusal. The caller has found
// the attempt by the state and by the cookie of the browser it was started in,
// and uses it up in the transaction that records the identity.
func (rp *RelyingParty) Callback(ctx context.Context, c federation.Connection, a federation.Attempt, q url.Values) (federation.Identity, error) {
	var none federation.Identity
	if err := parameters(q); err != nil {
		return none, err
	}
	if err := begin(c, a, rp.Now()); err != nil {
		return none, err
	}
	if err := rp.Check(*c.OIDC); err != nil {
		return none, err
	}
	if err := expected(c, a, q); err != nil {
		return none, err
	}
	tokens, err := rp.exchange(ctx, c, a, q.Get("code"))
	if err != nil {
		return none, err
	}
	return rp.Verify(ctx, c, a, tokens)
}

// Tokens are what a code was redeemed for, and the code itself.
type Tokens struct {
	ID     string
	Access string
	Code   string
}

// Verify is the part of Callback that comes after the token endpoint: it trusts
// nothing in t. It asks the network only for keys it does not have and, where
// the token names no address, for UserInfo.
func (rp *RelyingParty) Verify(ctx context.Context, c federation.Connection, a federation.Attempt, t Tokens) (federation.Identity, error) {
	var none federation.Identity
	claims, alg, err := rp.verified(ctx, c, t.ID)
	if err != nil {
		return none, err
	}
	if err := rp.bound(c, a, claims, alg, t); err != nil {
		return none, err
	}
	id, err := rp.identity(ctx, c, a, claims, t.Access)
	if err != nil {
		return none, err
	}
	id.IDToken = t.ID
	return id, nil
}

// parameters refuses what no provider sends. Which of two values of one name
// counts would be up to the reader (RFC 6749 3.1: none may be repeated).
func parameters(q url.Values) error {
	total := 0
	for name, values := range q {
		if len(values) > 1 {
			return malformed("duplicate_parameter", "")
		}
		for _, v := range values {
			total += len(name) + len(v)
			if len(v) > maxParameter || total > maxQuery {
				return malformed("oversized_parameter", "")
			}
			if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				return malformed("malformed_parameter", "")
			}
		}
	}
	return nil
}

// expected says whether this is the answer to the attempt, and a yes.
func expected(c federation.Connection, a federation.Attempt, q url.Values) error {
	switch {
	case q.Get("state") == "":
		return refuse("state_missing", "")
	case !same(q.Get("state"), a.State):
		return refuse("state_mismatch", "")
	}
	// RFC 9207 2.4: the issuer tells apart whose answer this is, when one
	// provider can make a browser bring its answer to another's address.
	if !q.Has("iss") && c.OIDC.IssParameter {
		return refuse("iss_missing", "the provider announced the parameter")
	}
	if q.Has("iss") && q.Get("iss") != c.OIDC.Issuer {
		return refuse("iss_mismatch", "")
	}
	switch {
	case q.Has("error"):
		return refuse("idp_error", known(q.Get("error")))
	case q.Has("id_token") || q.Has("access_token"):
		// RFC 9700 2.1.2: a token that came through the browser is nobody's.
		return malformed("front_channel_token", "")
	case q.Get("code") == "":
		return malformed("code_missing", "")
	}
	return nil
}

// known passes on the error codes of the standards and no other text: whatever
// a provider, or anybody else, wrote into that parameter must not be repeated.
func known(code string) string {
	codes := []string{
		"access_denied", "account_selection_required", "consent_required", "interaction_required", "invalid_client",
		"invalid_grant", "invalid_request", "invalid_request_object", "invalid_request_uri", "invalid_scope",
		"login_required", "registration_not_supported", "request_not_supported", "request_uri_not_supported",
		"server_error", "temporarily_unavailable", "unauthorized_client", "unmet_authentication_requirements",
		"unsupported_grant_type", "unsupported_response_type",
	}
	if slices.Contains(codes, code) {
		return code
	}
	return "unknown error code"
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// exchange redeems the code at the token endpoint. The verifier proves that the
// browser that brings the code is the one that asked for it (RFC 7636).
func (rp *RelyingParty) exchange(ctx context.Context, c federation.Connection, a federation.Attempt, code string) (Tokens, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, rp.HTTP)
	token, err := config(c).Exchange(ctx, code, oauth2.VerifierOption(a.Verifier))
	if err != nil {
		if said, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
			// What else it said stays unread: bodies of errors hold anything.
			detail := known(said.ErrorCode)
			if said.Response != nil {
				detail = "status " + strconv.Itoa(said.Response.StatusCode) + ", " + detail
				if said.Response.StatusCode >= 500 {
					return Tokens{}, unavailable("token_unavailable", detail)
				}
			}
			return Tokens{}, refuse("token_refused", detail)
		}
		return Tokens{}, unavailable("token_unavailable", "")
	}
	if !strings.EqualFold(token.TokenType, "Bearer") {
		return Tokens{}, refuse("token_type", "")
	}
	idToken, _ := token.Extra("id_token").(string)
	if idToken == "" {
		return Tokens{}, refuse("id_token_missing", "")
	}
	return Tokens{ID: idToken, Access: token.AccessToken, Code: code}, nil
}
