package federation

import (
	"fmt"
	"time"
)

// Kind is the protocol a connection speaks.
type Kind string

const (
	SAML Kind = "saml"
	OIDC Kind = "oidc"
)

// A Connection is an enterprise's IdP as configured in one portal. What its IdP
// was told about us (EntityID, ACS, RedirectURI) is fixed when the connection
// is created and never computed again: a portal must be able to move without
// its customer touching the IdP.
type Connection struct {
	ID      string // "acme-saml": unique within its region, part of public addresses
	Portal  string
	Name    string // "Acme Entra ID": shown to administrators
	Kind    Kind
	Created time.Time

	Mapping Mapping
	SAML    *SAMLSettings // set when Kind is SAML
	OIDC    *OIDCSettings // set when Kind is OIDC
}

// SAMLSettings is one SAML 2.0 identity provider and how we talk to it.
type SAMLSettings struct {
	// What the IdP knows of us.
	EntityID string // ours, for this connection only: https://<portal host>/saml/<id>/metadata
	ACS      string // https://<portal host>/saml/<id>/acs

	// What we know of the IdP.
	IDPEntityID  string
	SSORedirect  string   // HTTP-Redirect single sign-on location, preferred
	SSOPost      string   // HTTP-POST location, when there is no redirect one
	Certificates [][]byte // DER; any of them may have signed (roll-over)
	MetadataURL  string   // where the metadata came from, if from a URL

	// Policy. The zero value is the strict default.
	SkewSeconds       int      // 0 means 60, the most there is
	AllowIDPInitiated bool     // off: an unsolicited response is refused
	InclusiveC14N     bool     // accept inclusive canonicalisation (no comments)
	ForceAuthn        bool     // ask for, and insist on, a fresh sign-in
	RequiredACR       []string // AuthnContextClassRef must be one of these; empty: any
}

// OIDCSettings is one OpenID provider and how we talk to it.
type OIDCSettings struct {
	RedirectURI string // https://<portal host>/oidc/<id>/callback

	Issuer        string
	ClientID      string
	ClientSecret  string // never logged, never shown
	AuthMethod    string // client_secret_basic | client_secret_post | none
	AuthURL       string
	TokenURL      string
	UserInfoURL   string
	JWKSURL       string
	EndSessionURL string
	Algs          []string // pinned signing algorithms; never none, never HS*
	IssParameter  bool     // RFC 9207: authorization_response_iss_parameter_supported
	Scopes        []string // besides openid

	// Policy.
	RequiredTenant      string   // Entra: tid must equal this
	EmailVerifiedString bool     // accept "true" as a string
	TrustEmail          bool     // the IdP omits email_verified but owns its domain (Entra)
	RequiredACR         []string // acr must be one of these; empty: any
	MaxAgeSeconds       int      // ask for, and insist on, a sign-in no older than this; 0: any
}

// Mapping says which attribute or claim fills which part of an [Identity].
// Empty members mean the usual names of the protocol.
type Mapping struct {
	Email      string
	Name       string
	GivenName  string
	FamilyName string
	Groups     string
}

// An Identity is what an IdP proved, read only out of what its signature
// covered. Connection, Issuer and Subject together are the key; Email is a
// statement to be checked against the portal's proven domains.
type Identity struct {
	Connection string
	Issuer     string
	Subject    string

	Email         string // as the IdP sent it; normalise before use
	EmailVerified bool   // SAML: always true, the assertion is the enterprise's word
	Name          string
	GivenName     string
	FamilyName    string
	Groups        []string

	ACR           string
	AuthTime      time.Time
	SessionIndex  string    // SAML SessionIndex or OIDC sid
	SessionExpiry time.Time // SAML SessionNotOnOrAfter; zero: none given

	// The one-time fact: (Issuer, OnceID) may be inserted once, and must be
	// kept until OnceUntil. SAML: the assertion ID. OIDC: the nonce.
	OnceID    string
	OnceUntil time.Time

	Issued       time.Time // SAML only: when the IdP says it made the assertion
	InResponseTo string    // SAML only; empty for IdP-initiated
	IDToken      string    // OIDC only, for id_token_hint at sign-out; never logged
}

// An Attempt is one federated sign-in in progress, bound to one browser. The
// portal stores it; the protocol packages only read it.
type Attempt struct {
	ID         string // random, also the cookie's value (its hash is stored)
	Connection string
	RequestID  string // SAML AuthnRequest ID ("id-" and 160 random bits)
	State      string // OIDC state, SAML RelayState: random, ≤ 80 bytes
	Nonce      string // OIDC
	Verifier   string // OIDC PKCE
	LoginHint  string // only for an address in a domain this connection serves
	Fresh      bool   // ask the person to sign in anew; whether they did is for the portal to judge
	Started    time.Time
	Expires    time.Time // Started + 10 minutes
}

// A Refusal is why an answer of an IdP was not believed. Code is a short
// constant for the audit log and for tests; Detail helps an operator and never
// holds a token, an assertion or an address.
type Refusal struct {
	Code   string
	Detail string
	// Status is 403 where it is zero; 400 for what is not a message at all,
	// 413 for what is too large, 503 where the IdP could not be asked.
	Status int
}

// Cancelled reports whether the IdP says no more than that nobody was signed in:
// the person turned back, or was not let in there.
func (r *Refusal) Cancelled() bool {
	switch r.Code {
	case "idp_error":
		return r.Detail == "access_denied"
	case "status":
		return r.Detail == "AuthnFailed" || r.Detail == "RequestDenied"
	}
	return false
}

func (r *Refusal) Error() string {
	if r.Detail == "" {
		return r.Code
	}
	return fmt.Sprintf("%s: %s", r.Code, r.Detail)
}
