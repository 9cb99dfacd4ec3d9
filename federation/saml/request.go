package saml

import (
	"time"

	"github.com/domicile-sso/domicile/federation"
)

// A Request is one signed AuthnRequest on its way to the IdP. Either URL is set
// (HTTP-Redirect: answer 303 to it), or Post is (the IdP has no redirect
// location: answer a form that posts itself).
type Request struct {
	URL  string
	Post *Post
}

// Post is an AuthnRequest for the HTTP-POST binding: a form with two hidden
// fields.
type Post struct {
	Action      string
	SAMLRequest string // base64
	RelayState  string
}

// NewRequest builds the AuthnRequest with the ID a.RequestID for c.
func NewRequest(c federation.Connection, a federation.Attempt, key KeyPair, now time.Time) (Request, error) {
	return Request{}, nil
}
