package saml

import (
	"crypto/rsa"
	"encoding/base64"
	"time"

	"github.com/beevik/etree"

	"github.com/domicile-sso/domicile/federation"
)

const (
	maxForm    = 512 << 10 // bytes of the form value
	maxMessage = 256 << 10 // bytes of the message in it
)

// Expect is what an answer is measured against.
type Expect struct {
	Connection federation.Connection
	Key        KeyPair // opens encrypted assertions; zero: none can be opened

	// RequestIDs are the requests this browser has open with this connection.
	// The empty string never matches, whoever put it there.
	RequestIDs []string
	Now        time.Time
}

// Verify turns the SAMLResponse form value into the identity it proves, or says
// why not with a [*federation.Refusal]. It keeps no state: whoever calls it
// must insert (Identity.Issuer, Identity.OnceID) once before believing it, and
// must check Identity.Email against the domains proven for the portal.
func Verify(response string, want Expect) (identity federation.Identity, err error) {
	// The steps below are written not to panic, and so were the libraries that
	// did. Nobody who is not signed in may stop the server.
	defer func() {
		if recover() != nil {
			identity, err = federation.Identity{}, malformed("panic")
		}
	}()
	settings := want.Connection.SAML
	if settings == nil || settings.IDPEntityID == "" || settings.EntityID == "" || settings.ACS == "" {
		return federation.Identity{}, refuse("connection")
	}
	doc, err := decode(response)
	if err != nil {
		return federation.Identity{}, err
	}
	ids := map[string]bool{}
	if err := checkTokens(doc, messageLimits, ids); err != nil {
		return federation.Identity{}, err
	}
	root, err := parse(doc, "p:Response")
	if err != nil {
		return federation.Identity{}, err
	}
	if err := checkStatus(root); err != nil {
		return federation.Identity{}, err
	}
	envelope, assertion, err := trusted(root, ids, want)
	if err != nil {
		return federation.Identity{}, err
	}
	return judge(envelope, assertion, want)
}

// decode takes base64 as RFC 2045 has it: line breaks are let through, nothing
// else that is not of the alphabet is.
func decode(response string) ([]byte, error) {
	switch {
	case response == "":
		return nil, malformed("response_missing")
	case len(response) > maxForm:
		return nil, tooLarge("response_size")
	}
	doc, err := base64.StdEncoding.Strict().DecodeString(response)
	switch {
	case err != nil:
		return nil, malformed("response_base64")
	case len(doc) > maxMessage:
		return nil, tooLarge("response_size")
	}
	return doc, nil
}

// checkStatus comes before the signature because IdPs do not sign what they
// have nothing to say in. It can only refuse.
func checkStatus(root *etree.Element) error {
	code := child(child(root, "p:Status"), "p:StatusCode")
	if code == nil {
		return refuse("status")
	}
	if attrOr(code, "Value") == statusPrefix+"Success" {
		return nil
	}
	return refuseFor("status", statusName(code))
}

const statusPrefix = "urn:oasis:names:tc:SAML:2.0:status:"

// statusName is the innermost status, if SAML knows it: an IdP may write what
// it likes there, and it ends in our log.
func statusName(code *etree.Element) string {
	if inner := child(code, "p:StatusCode"); inner != nil {
		code = inner
	}
	for _, known := range words(`Requester Responder VersionMismatch AuthnFailed InvalidAttrNameOrValue
		InvalidNameIDPolicy NoAuthnContext NoAvailableIDP NoPassive NoSupportedIDP PartialLogout
		ProxyCountExceeded RequestDenied RequestUnsupported RequestVersionDeprecated
		RequestVersionTooHigh RequestVersionTooLow ResourceNotRecognized TooManyResponses
		UnknownAttrProfile UnknownPrincipal UnsupportedBinding`) {
		if attrOr(code, "Value") == statusPrefix+known {
			return known
		}
	}
	return "other"
}

// trusted returns the Response, as far as it can be trusted, and the one
// assertion, which is trusted in full. Every signature there is must be good;
// one there must be, on the Response or on the Assertion.
func trusted(root *etree.Element, ids map[string]bool, want Expect) (envelope, assertion *etree.Element, err error) {
	plain, sealed := children(root, "a:Assertion"), children(root, "a:EncryptedAssertion")
	if len(plain)+len(sealed) != 1 {
		return nil, nil, refuse("assertion_count")
	}
	v, err := newVerifier(want.Connection.SAML, want.Now)
	if err != nil {
		return nil, nil, err
	}
	envelope, signed := root, child(root, "s:Signature") != nil
	if signed {
		if envelope, err = v.verify(root); err != nil {
			return nil, nil, err
		}
	}
	if len(sealed) == 1 {
		assertion, err = unseal(child(envelope, "a:EncryptedAssertion"), want.Key.Key, ids)
		if err != nil {
			return nil, nil, err
		}
	} else {
		assertion = plain[0]
	}
	switch {
	case child(assertion, "s:Signature") != nil:
		// Checked in the document as it came: inclusive canonicalisation sees
		// the namespaces around the Assertion.
		assertion, err = v.verify(assertion)
	case !signed:
		err = refuse("signature_missing")
	case len(plain) == 1:
		assertion = child(envelope, "a:Assertion")
	}
	if err == nil && assertion == nil {
		err = refuse("assertion_count")
	}
	return envelope, assertion, err
}

// unseal decrypts an assertion and takes what is inside through the same
// passes as what came from outside: anyone can encrypt to us.
func unseal(el *etree.Element, key *rsa.PrivateKey, ids map[string]bool) (*etree.Element, error) {
	plain, err := decrypt(el, key)
	if err != nil {
		return nil, err
	}
	if err := checkTokens(plain, messageLimits, ids); err != nil {
		return nil, err
	}
	return parse(plain, "a:Assertion")
}
