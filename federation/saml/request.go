package saml

import (
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/beevik/etree"
	wire "github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"

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

const (
	algRSASHA256  = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
	maxRelayState = 80 // bytes, SAML Bindings 3.4.3
)

// NewRequest builds the AuthnRequest with the ID a.RequestID for c, signed by
// key. What comes back with the answer as RelayState is a.State.
func NewRequest(c federation.Connection, a federation.Attempt, key KeyPair, now time.Time) (Request, error) {
	switch {
	case c.SAML == nil:
		return Request{}, errors.New("saml request: not a SAML connection")
	case key.Key == nil:
		return Request{}, errors.New("saml request: no signing key")
	case a.RequestID == "":
		return Request{}, errors.New("saml request: no request ID")
	case len(a.State) > maxRelayState:
		return Request{}, errors.New("saml request: relay state is longer than 80 bytes")
	}
	location := c.SAML.SSORedirect
	if location == "" {
		location = c.SAML.SSOPost
	}
	if location == "" {
		return Request{}, errors.New("saml request: the IdP has no single sign-on location")
	}
	request := authnRequest(c.SAML, a, location, now)
	if c.SAML.SSORedirect == "" {
		return postRequest(request, location, a, key)
	}
	return redirectRequest(request, location, a, key)
}

func authnRequest(s *federation.SAMLSettings, a federation.Attempt, destination string, now time.Time) *etree.Element {
	unspecified, create := "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified", true
	request := wire.AuthnRequest{
		ID:                          a.RequestID,
		Version:                     "2.0",
		IssueInstant:                now.UTC().Truncate(time.Millisecond),
		Destination:                 destination,
		Issuer:                      &wire.Issuer{Value: s.EntityID},
		AssertionConsumerServiceURL: s.ACS,
		ProtocolBinding:             wire.HTTPPostBinding,
		// Which identifier people have is for the IdP's administrator to
		// configure; asking for one the IdP does not have is an error there.
		NameIDPolicy: &wire.NameIDPolicy{Format: &unspecified, AllowCreate: &create},
	}
	if force := s.ForceAuthn || a.Fresh; force {
		request.ForceAuthn = &force
	}
	if len(s.RequiredACR) > 0 {
		request.RequestedAuthnContext = &wire.RequestedAuthnContext{Comparison: "exact", AuthnContextClassRef: s.RequiredACR[0]}
	}
	el := request.Element()
	if len(s.RequiredACR) > 1 { // the library's type has room for one
		context := el.SelectElement("RequestedAuthnContext")
		for _, acr := range s.RequiredACR[1:] {
			context.CreateElement("saml:AuthnContextClassRef").SetText(acr)
		}
	}
	return el
}

// redirectRequest: SAML Bindings 3.4.4.1. The signature is over exactly the
// three parameters, each escaped, in this order; whatever else the location
// carries stays outside it.
func redirectRequest(request *etree.Element, location string, a federation.Attempt, key KeyPair) (Request, error) {
	text, err := serialise(request)
	if err != nil {
		return Request{}, err
	}
	var deflated bytes.Buffer
	w, err := flate.NewWriter(&deflated, flate.BestCompression)
	if err != nil {
		return Request{}, fmt.Errorf("deflate saml request: %w", err)
	}
	if _, err := w.Write(text); err != nil {
		return Request{}, fmt.Errorf("deflate saml request: %w", err)
	}
	if err := w.Close(); err != nil {
		return Request{}, fmt.Errorf("deflate saml request: %w", err)
	}
	query := "SAMLRequest=" + url.QueryEscape(base64.StdEncoding.EncodeToString(deflated.Bytes()))
	if a.State != "" {
		query += "&RelayState=" + url.QueryEscape(a.State)
	}
	query += "&SigAlg=" + url.QueryEscape(algRSASHA256)
	signature, err := rsa.SignPKCS1v15(rand.Reader, key.Key, crypto.SHA256, sum(crypto.SHA256, []byte(query)))
	if err != nil {
		return Request{}, fmt.Errorf("sign saml request: %w", err)
	}
	query += "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(signature))
	return withQuery(location, query+hint(location, a.LoginHint))
}

func withQuery(location, query string) (Request, error) {
	u, err := url.Parse(location)
	if err != nil {
		return Request{}, fmt.Errorf("saml request: bad single sign-on location: %w", err)
	}
	if u.RawQuery != "" {
		query = u.RawQuery + "&" + query
	}
	u.RawQuery, u.Fragment = query, ""
	return Request{URL: u.String()}, nil
}

// hint tells the IdP whom to expect. It travels as a query parameter and not as
// a Subject in the request: Entra ID fails on a Subject and reads login_hint,
// as Okta, Keycloak and OneLogin do; AD FS reads username; who knows neither
// ignores them, while an unexpected Subject would be an error.
func hint(location, address string) string {
	if address == "" {
		return ""
	}
	name := "login_hint"
	if u, err := url.Parse(location); err == nil && strings.HasPrefix(strings.ToLower(u.Path), "/adfs/ls") {
		name = "username"
	}
	return "&" + name + "=" + url.QueryEscape(address)
}

// postRequest carries its signature inside: HTTP-POST has no query to sign.
func postRequest(request *etree.Element, location string, a federation.Attempt, key KeyPair) (Request, error) {
	signer, err := dsig.NewSigningContext(key.Key, [][]byte{key.Certificate})
	if err != nil {
		return Request{}, fmt.Errorf("sign saml request: %w", err)
	}
	signer.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	if err := signer.SetSignatureMethod(algRSASHA256); err != nil {
		return Request{}, fmt.Errorf("sign saml request: %w", err)
	}
	signature, err := signer.ConstructSignature(request, true)
	if err != nil {
		return Request{}, fmt.Errorf("sign saml request: %w", err)
	}
	request.InsertChildAt(1, signature) // the schema wants it right behind the Issuer
	text, err := serialise(request)
	if err != nil {
		return Request{}, err
	}
	action := location
	if h := hint(location, a.LoginHint); h != "" {
		r, err := withQuery(location, h[1:])
		if err != nil {
			return Request{}, err
		}
		action = r.URL
	}
	return Request{Post: &Post{Action: action, SAMLRequest: base64.StdEncoding.EncodeToString(text), RelayState: a.State}}, nil
}

func serialise(el *etree.Element) ([]byte, error) {
	doc := etree.NewDocument()
	doc.SetRoot(el)
	text, err := doc.WriteToBytes()
	if err != nil {
		return nil, fmt.Errorf("write saml request: %w", err)
	}
	return text, nil
}
