package oidc

import (
	"context"
	"net/url"

	"github.com/domicile-sso/domicile/federation"
)

// Callback turns the provider's answer, the query of the redirect URI, into the
// Identity it proves. Every error is a *federation.Refusal.
func (rp *RelyingParty) Callback(ctx context.Context, c federation.Connection, a federation.Attempt, q url.Values) (federation.Identity, error) {
	if err := begin(c, a, rp.Now()); err != nil {
		return federation.Identity{}, err
	}
	return federation.Identity{}, refuse("id_token_missing", "")
}
