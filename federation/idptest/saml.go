package idptest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	wire "github.com/crewjam/saml"

	"github.com/domicile-sso/domicile/federation"
)

// SAMLOptions describe a small SAML identity provider.
type SAMLOptions struct {
	URL    string // where it is reached, "http://idp.localhost:8080/acme"; see SetURL
	Name   string // shown on the pages: "Acme"
	Users  []User
	Silent bool // no login page: whoever the hint names, or the first user, is signed in
	Now    func() time.Time

	Key         crypto.Signer // signs; nil: a new RSA key
	Certificate []byte        // DER, of Key; nil: a new self-signed one
}

// A SAMLIdP is a small, correct identity provider for tests and the demo. Its
// Mint makes messages that no correct one would send.
type SAMLIdP struct {
	mu  sync.Mutex
	o   SAMLOptions
	sps map[string]serviceProvider // by entity ID
}

type serviceProvider struct {
	acs     []string
	signing *x509.Certificate
	sealing *x509.Certificate // assertions are encrypted when EncryptFor was called
}

// NewSAML returns an identity provider: an http.Handler for /saml/metadata and
// /saml/sso under the path of its URL.
func NewSAML(o SAMLOptions) (*SAMLIdP, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Name == "" {
		o.Name = "Test identity provider"
	}
	if o.Key == nil {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, fmt.Errorf("identity provider key: %w", err)
		}
		o.Key, o.Certificate = key, nil
	}
	if o.Certificate == nil {
		var err error
		now := o.Now()
		if o.Certificate, err = SelfSigned(o.Key, o.Name, now.Add(-time.Hour), now.AddDate(10, 0, 0)); err != nil {
			return nil, err
		}
	}
	return &SAMLIdP{o: o, sps: map[string]serviceProvider{}}, nil
}

// SelfSigned makes the certificate of key for a given stretch of time.
func SelfSigned(key crypto.Signer, name string, from, until time.Time) ([]byte, error) {
	template := &x509.Certificate{SerialNumber: big.NewInt(from.UnixMicro()), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("identity provider certificate: %w", err)
	}
	return der, nil
}

// SetURL is for listeners whose address is known only once they listen.
func (p *SAMLIdP) SetURL(at string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.o.URL = at
}

func (p *SAMLIdP) options() SAMLOptions {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.o
}

// EntityID is the identity provider's entity ID: the address of its metadata.
func (p *SAMLIdP) EntityID() string { return p.options().URL + "/saml/metadata" }

// SSO is the single sign-on location, for both bindings.
func (p *SAMLIdP) SSO() string { return p.options().URL + "/saml/sso" }

// Certificate is the DER certificate that answers are signed with.
func (p *SAMLIdP) Certificate() []byte { return p.options().Certificate }

// Key is what answers are signed with.
func (p *SAMLIdP) Key() crypto.Signer { return p.options().Key }

// User finds a person by address.
func (p *SAMLIdP) User(address string) (User, bool) {
	for _, u := range p.options().Users {
		if strings.EqualFold(u.Address, address) {
			return u, true
		}
	}
	return User{}, false
}

// Settings is what a connection needs to know of this identity provider; the
// service provider's own part is left empty.
func (p *SAMLIdP) Settings() federation.SAMLSettings {
	return federation.SAMLSettings{IDPEntityID: p.EntityID(), SSORedirect: p.SSO(), SSOPost: p.SSO(), Certificates: [][]byte{p.Certificate()}}
}

// Metadata is the identity provider's metadata document.
func (p *SAMLIdP) Metadata() []byte {
	return fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?>
<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" entityID="%[1]s">
  <md:IDPSSODescriptor WantAuthnRequestsSigned="true" protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
    <md:KeyDescriptor use="signing"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>%[2]s</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>
    <md:NameIDFormat>urn:oasis:names:tc:SAML:2.0:nameid-format:persistent</md:NameIDFormat>
    <md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="%[3]s"/>
    <md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="%[3]s"/>
  </md:IDPSSODescriptor>
</md:EntityDescriptor>
`, escapeXML(p.EntityID()), base64.StdEncoding.EncodeToString(p.Certificate()), escapeXML(p.SSO()))
}

func escapeXML(s string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		return ""
	}
	return b.String()
}

// AddSP makes a service provider known by its metadata. From then on its
// requests must be signed and answers go to its registered addresses only;
// requests of service providers that are not known are answered as they ask.
func (p *SAMLIdP) AddSP(metadata []byte) error {
	var d wire.EntityDescriptor
	if err := xml.Unmarshal(metadata, &d); err != nil {
		return fmt.Errorf("service provider metadata: %w", err)
	}
	if len(d.SPSSODescriptors) != 1 {
		return errors.New("service provider metadata: no SPSSODescriptor")
	}
	var sp serviceProvider
	for _, acs := range d.SPSSODescriptors[0].AssertionConsumerServices {
		sp.acs = append(sp.acs, acs.Location)
	}
	for _, k := range d.SPSSODescriptors[0].KeyDescriptors {
		if len(k.KeyInfo.X509Data.X509Certificates) == 0 {
			continue
		}
		der, err := base64.StdEncoding.DecodeString(k.KeyInfo.X509Data.X509Certificates[0].Data)
		if err != nil {
			return fmt.Errorf("service provider metadata: %w", err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("service provider metadata: %w", err)
		}
		if k.Use != "encryption" {
			sp.signing = cert
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sps[d.EntityID] = sp
	return nil
}

// EncryptFor makes answers to a known service provider carry encrypted
// assertions.
func (p *SAMLIdP) EncryptFor(entityID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sp := p.sps[entityID]
	sp.sealing = sp.signing
	p.sps[entityID] = sp
}

func (p *SAMLIdP) sp(entityID string) (serviceProvider, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sp, ok := p.sps[entityID]
	return sp, ok
}

// ServeHTTP answers everything under the URL's path.
func (p *SAMLIdP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	base := ""
	if u, err := url.Parse(p.options().URL); err == nil {
		base = strings.TrimSuffix(u.Path, "/")
	}
	w.Header().Set("Cache-Control", "no-store")
	switch strings.TrimPrefix(r.URL.Path, base) {
	case "/saml/metadata":
		w.Header().Set("Content-Type", "application/samlmetadata+xml")
		w.Write(p.Metadata())
	case "/saml/sso":
		p.signOn(w, r)
	case "/saml/post.js":
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		w.Write([]byte("document.forms[0].submit();\n"))
	default:
		http.NotFound(w, r)
	}
}
