// Package oidc is a relying party of OpenID Connect (Core 1.0): it sends a
// browser to an enterprise's provider and turns what comes back into an
// Identity or a typed refusal.
//
// Only the authorisation code flow exists, always with PKCE (S256), state and a
// nonce. The code is exchanged by golang.org/x/oauth2 over the client of
// federation/fetch. The ID token is verified by github.com/coreos/go-oidc with
// the key set of this package, and looked at again by this package, before and
// after: what go-oidc leaves to its caller, and the few things it lets pass, are
// decided here. Claims are read by their exact names, from a document without
// duplicates, out of the bytes the signature covered.
//
// The package keeps no state but public keys, reads no cookie and has no clock
// of its own.
package oidc

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	goidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/domicile-sso/domicile/federation"
)

// A RelyingParty speaks OpenID Connect for all connections of a process. All
// three members are required; New fills them.
type RelyingParty struct {
	HTTP *http.Client // made by fetch.New
	Now  func() time.Time
	Keys *KeySets
}

// New returns a relying party with a key set cache of its own.
func New(client *http.Client, now func() time.Time) *RelyingParty {
	return &RelyingParty{HTTP: client, Now: now, Keys: NewKeySets(client, now)}
}

// Secret returns 256 random bits as 43 URL-safe characters: long enough for a
// state, a nonce and a PKCE verifier (RFC 7636 4.1 wants 43 at least).
func Secret() string {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// AuthURL is where the browser goes to sign in. The attempt must be one of this
// connection, with state, nonce and verifier (see Secret); its LoginHint is sent
// on, so it may only be set when the connection serves the domain of the address.
func (rp *RelyingParty) AuthURL(c federation.Connection, a federation.Attempt) (string, error) {
	if err := begin(c, a, rp.Now()); err != nil {
		return "", err
	}
	if err := rp.Check(*c.OIDC); err != nil {
		return "", err
	}
	opts := []oauth2.AuthCodeOption{goidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)}
	if a.LoginHint != "" {
		opts = append(opts, oauth2.SetAuthURLParam("login_hint", a.LoginHint))
	}
	switch {
	case a.Fresh:
		// prompt alone says nothing of when in the answer: max_age makes auth_time a
		// required claim (Core 3.1.2.1).
		opts = append(opts, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"))
	case c.OIDC.MaxAgeSeconds > 0:
		opts = append(opts, oauth2.SetAuthURLParam("max_age", strconv.Itoa(c.OIDC.MaxAgeSeconds)))
	}
	if len(c.OIDC.RequiredACR) > 0 {
		opts = append(opts, oauth2.SetAuthURLParam("acr_values", strings.Join(c.OIDC.RequiredACR, " ")))
	}
	return config(c).AuthCodeURL(a.State, opts...), nil
}

// begin says whether the attempt can be used with the connection at all.
func begin(c federation.Connection, a federation.Attempt, now time.Time) error {
	switch {
	case c.Kind != federation.OIDC || c.OIDC == nil:
		return refuse("connection_kind", "not an OpenID Connect connection")
	case c.OIDC.ClientID == "" || c.OIDC.RedirectURI == "":
		return refuse("connection_incomplete", "client ID or redirect URI is missing")
	case a.Connection != c.ID:
		return refuse("wrong_connection", "the attempt belongs to another connection")
	case a.State == "" || a.Nonce == "" || len(a.Verifier) < 43 || len(a.Verifier) > 128:
		return refuse("attempt_incomplete", "state, nonce or verifier is missing")
	case !now.Before(a.Expires):
		return refuse("attempt_expired", "")
	}
	return nil
}

// config is the connection in the words of x/oauth2. AuthStyle is always said:
// left to find out by itself, x/oauth2 sends code and secret twice.
func config(c federation.Connection) *oauth2.Config {
	s := c.OIDC
	conf := &oauth2.Config{
		ClientID:    s.ClientID,
		RedirectURL: s.RedirectURI,
		Scopes:      scopes(s.Scopes),
		Endpoint:    oauth2.Endpoint{AuthURL: s.AuthURL, TokenURL: s.TokenURL, AuthStyle: oauth2.AuthStyleInParams},
	}
	switch s.AuthMethod {
	case "none": // a public client: the ID alone, as a parameter
	case "client_secret_post":
		conf.ClientSecret = s.ClientSecret
	default:
		conf.ClientSecret = s.ClientSecret
		conf.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	}
	return conf
}

// scopes are openid and what the connection asks for. offline_access is left
// out: a refresh token would be a standing power nobody here has a use for.
func scopes(more []string) []string {
	out := []string{goidc.ScopeOpenID}
	for _, s := range more {
		if s != "" && s != goidc.ScopeOfflineAccess && !slices.Contains(out, s) && !strings.ContainsAny(s, " \t\r\n\"\\") {
			out = append(out, s)
		}
	}
	return out
}

// EndSessionURL is where the browser goes to end its session at the provider
// (RP-Initiated Logout 1.0), or "" when the provider has no such place. Each of
// idToken, returnTo and state may be empty. The ID token travels in the URL: it
// goes only to the provider that issued it, but it names a person, so leave it
// out where the provider does without.
func (rp *RelyingParty) EndSessionURL(c federation.Connection, idToken, returnTo, state string) (string, error) {
	if c.OIDC == nil || c.OIDC.EndSessionURL == "" {
		return "", nil
	}
	if err := rp.endpoint("end_session_endpoint", c.OIDC.EndSessionURL); err != nil {
		return "", err
	}
	u, err := url.Parse(c.OIDC.EndSessionURL)
	if err != nil {
		return "", refuse("endpoint_refused", "end_session_endpoint")
	}
	q := u.Query()
	q.Set("client_id", c.OIDC.ClientID)
	for name, value := range map[string]string{
		"id_token_hint":            idToken,
		"post_logout_redirect_uri": returnTo,
		"state":                    state,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

func refuse(code, detail string) *federation.Refusal {
	return &federation.Refusal{Code: code, Detail: detail}
}

// malformed is for what is not a message of the protocol at all.
func malformed(code, detail string) *federation.Refusal {
	return &federation.Refusal{Code: code, Detail: detail, Status: http.StatusBadRequest}
}

// unavailable means that the provider could not be asked: a fact about now, not
// about the person.
func unavailable(code, detail string) *federation.Refusal {
	return &federation.Refusal{Code: code, Detail: detail, Status: http.StatusServiceUnavailable}
}
