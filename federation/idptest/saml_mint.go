package idptest

import (
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"time"

	"github.com/beevik/etree"
)

// A SAMLTarget is whom a message is for.
type SAMLTarget struct {
	EntityID    string
	ACS         string
	RequestID   string // InResponseTo; empty: an unsolicited response
	Certificate []byte // DER, of the key to encrypt for
}

// SAMLSign says what is signed.
type SAMLSign int

const (
	SignAssertion SAMLSign = iota
	SignResponse
	SignBoth
	SignNothing
)

// SAMLMint is one message as an identity provider, or somebody who would like
// to be one, makes it. The zero value with a User is a correct one.
type SAMLMint struct {
	User         User
	NameIDFormat string // persistent where empty
	ACR          string // PasswordProtectedTransport where empty
	Sign         SAMLSign
	Signature    SAMLSignature
	Encrypt      *SAMLEncryption // encrypts the assertion after it was signed

	Edit     func(response *etree.Element) // before anything is signed
	Tamper   func(response *etree.Element) // after everything was
	TamperBy func(text string) string      // the serialised message
}

// Mint makes the SAMLResponse form value.
func (p *SAMLIdP) Mint(to SAMLTarget, m SAMLMint) (string, error) {
	response, err := p.Response(to, m)
	if err != nil {
		return "", err
	}
	if m.Tamper != nil {
		m.Tamper(response)
	}
	text, err := write(response)
	if err != nil {
		return "", err
	}
	if m.TamperBy != nil {
		text = m.TamperBy(text)
	}
	return base64.StdEncoding.EncodeToString([]byte(text)), nil
}

func write(el *etree.Element) (string, error) {
	doc := etree.NewDocument()
	doc.SetRoot(el)
	return doc.WriteToString()
}

// Response is Mint up to the point where the message would be serialised.
func (p *SAMLIdP) Response(to SAMLTarget, m SAMLMint) (*etree.Element, error) {
	response := p.message(to, m)
	if m.Edit != nil {
		m.Edit(response)
	}
	assertion := response.SelectElement("Assertion")
	s := m.Signature
	if s.Unprefixed && assertion != nil {
		unprefix(assertion, "saml", "urn:oasis:names:tc:SAML:2.0:assertion")
	}
	if s.Key == nil {
		s.Key = p.options().Key
	}
	if s.Certificate == nil {
		s.Certificate = p.options().Certificate
	}
	if assertion != nil && (m.Sign == SignAssertion || m.Sign == SignBoth) {
		if err := s.sign(assertion); err != nil {
			return nil, err
		}
	}
	if m.Encrypt != nil {
		if assertion == nil {
			return nil, errors.New("mint: no assertion to encrypt")
		}
		sealed, err := m.Encrypt.seal(assertion, to.Certificate)
		if err != nil {
			return nil, err
		}
		at := assertion.Index()
		response.RemoveChildAt(at)
		response.InsertChildAt(at, sealed)
	}
	if m.Sign == SignResponse || m.Sign == SignBoth {
		if err := s.sign(response); err != nil {
			return nil, err
		}
	}
	return response, nil
}

// NewID is an ID that nobody guesses and XML allows.
func NewID() string { return "_" + rand.Text() }

const stamp = "2006-01-02T15:04:05.000Z"

// Stamp writes a time as SAML has it.
func Stamp(t time.Time) string { return t.UTC().Format(stamp) }

func add(parent *etree.Element, tag, text string, attrs ...string) *etree.Element {
	el := parent.CreateElement(tag)
	for i := 0; i+1 < len(attrs); i += 2 {
		if attrs[i+1] != "" {
			el.CreateAttr(attrs[i], attrs[i+1])
		}
	}
	if text != "" {
		el.SetText(text)
	}
	return el
}

func (p *SAMLIdP) message(to SAMLTarget, m SAMLMint) *etree.Element {
	now := p.options().Now()
	response := etree.NewElement("samlp:Response")
	for _, a := range [][2]string{
		{"xmlns:samlp", "urn:oasis:names:tc:SAML:2.0:protocol"}, {"xmlns:saml", "urn:oasis:names:tc:SAML:2.0:assertion"},
		{"ID", NewID()}, {"Version", "2.0"}, {"IssueInstant", Stamp(now)}, {"Destination", to.ACS}, {"InResponseTo", to.RequestID},
	} {
		if a[1] != "" {
			response.CreateAttr(a[0], a[1])
		}
	}
	add(response, "saml:Issuer", p.EntityID())
	add(add(response, "samlp:Status", ""), "samlp:StatusCode", "", "Value", "urn:oasis:names:tc:SAML:2.0:status:Success")
	response.AddChild(p.assertion(to, m, now))
	return response
}

// Assertion makes a second, unsigned assertion for those who need one.
func (p *SAMLIdP) Assertion(to SAMLTarget, u User) *etree.Element {
	return p.assertion(to, SAMLMint{User: u}, p.options().Now())
}

func (p *SAMLIdP) assertion(to SAMLTarget, m SAMLMint, now time.Time) *etree.Element {
	subject, format, acr := m.User.Subject, m.NameIDFormat, m.ACR
	if subject == "" {
		subject = m.User.Address
	}
	if format == "" {
		format = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
	}
	if acr == "" {
		acr = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
	}
	end := Stamp(now.Add(5 * time.Minute))
	a := etree.NewElement("saml:Assertion")
	a.CreateAttr("xmlns:saml", "urn:oasis:names:tc:SAML:2.0:assertion")
	a.CreateAttr("xmlns:xs", "http://www.w3.org/2001/XMLSchema")
	a.CreateAttr("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance")
	a.CreateAttr("ID", NewID())
	a.CreateAttr("Version", "2.0")
	a.CreateAttr("IssueInstant", Stamp(now))
	add(a, "saml:Issuer", p.EntityID())
	s := add(a, "saml:Subject", "")
	add(s, "saml:NameID", subject, "Format", format)
	add(add(s, "saml:SubjectConfirmation", "", "Method", "urn:oasis:names:tc:SAML:2.0:cm:bearer"),
		"saml:SubjectConfirmationData", "", "NotOnOrAfter", end, "Recipient", to.ACS, "InResponseTo", to.RequestID)
	add(add(add(a, "saml:Conditions", "", "NotBefore", Stamp(now.Add(-5*time.Second)), "NotOnOrAfter", end),
		"saml:AudienceRestriction", ""), "saml:Audience", to.EntityID)
	add(add(add(a, "saml:AuthnStatement", "", "AuthnInstant", Stamp(now), "SessionIndex", NewID()),
		"saml:AuthnContext", ""), "saml:AuthnContextClassRef", acr)
	statement := add(a, "saml:AttributeStatement", "")
	const claims = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
	for _, attribute := range []struct {
		name   string
		values []string
	}{
		{claims + "emailaddress", []string{m.User.Address}},
		{claims + "givenname", []string{m.User.GivenName}},
		{claims + "surname", []string{m.User.FamilyName}},
		{"http://schemas.microsoft.com/ws/2008/06/identity/claims/groups", m.User.Groups},
	} {
		AddAttribute(statement, attribute.name, attribute.values...)
	}
	return a
}

// AddAttribute adds an attribute with the values that are not empty, if any.
func AddAttribute(statement *etree.Element, name string, values ...string) {
	var el *etree.Element
	for _, v := range values {
		if v == "" {
			continue
		}
		if el == nil {
			el = add(statement, "saml:Attribute", "", "Name", name, "NameFormat", "urn:oasis:names:tc:SAML:2.0:attrname-format:uri")
		}
		add(el, "saml:AttributeValue", v, "xsi:type", "xs:string")
	}
}

// failed makes the message one that says why nobody was signed in.
func failed(codes ...string) func(*etree.Element) {
	return func(response *etree.Element) {
		response.RemoveChild(response.SelectElement("Assertion"))
		code := response.FindElement("./Status/StatusCode")
		for i, c := range codes {
			if i > 0 {
				code = add(code, "samlp:StatusCode", "")
			}
			code.CreateAttr("Value", "urn:oasis:names:tc:SAML:2.0:status:"+c)
		}
	}
}

// hashes by the algorithms that name them.
var hashes = map[string]crypto.Hash{
	"http://www.w3.org/2000/09/xmldsig#rsa-sha1":        crypto.SHA1,
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1": crypto.SHA1,
	"http://www.w3.org/2000/09/xmldsig#sha1":            crypto.SHA1,
	"http://www.w3.org/2001/04/xmldsig-more#md5":        crypto.MD5,
	"http://www.w3.org/2001/04/xmldsig-more#rsa-md5":    crypto.MD5,
	algRSASHA256: crypto.SHA256,
	"http://www.w3.org/2001/04/xmldsig-more#rsa-sha384": crypto.SHA384,
	"http://www.w3.org/2001/04/xmldsig-more#rsa-sha512": crypto.SHA512,
	algECDSASHA256: crypto.SHA256,
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384": crypto.SHA384,
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512": crypto.SHA512,
	algSHA256: crypto.SHA256,
	"http://www.w3.org/2001/04/xmldsig-more#sha384": crypto.SHA384,
	"http://www.w3.org/2001/04/xmlenc#sha512":       crypto.SHA512,
}
