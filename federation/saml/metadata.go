package saml

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/beevik/etree"
	wire "github.com/crewjam/saml"

	"github.com/domicile-sso/domicile/federation"
)

const (
	maxMetadata     = 1 << 20
	maxCertificates = 10
	maxLocation     = 2048
)

// MetadataOption loosens [ParseMetadata].
type MetadataOption func(*metadataPolicy)

type metadataPolicy struct{ loopback bool }

// DangerouslyAllowLoopback accepts http: locations on localhost, *.localhost
// and loopback addresses. It is for the demo and for tests: an IdP reached
// without TLS can be anybody.
func DangerouslyAllowLoopback() MetadataOption {
	return func(p *metadataPolicy) { p.loopback = true }
}

// ParseMetadata reads an IdP's metadata into the part of the settings that is
// the IdP's to say: IDPEntityID, locations, certificates. entityID picks one of
// an aggregate and may be empty when there is just one IdP.
//
// A signature on the metadata is not checked: what is believed is what an
// administrator uploads, or the TLS of the address they typed, and after that
// the certificates are pinned. Errors are [*federation.Refusal] with Status 400
// or 413.
func ParseMetadata(doc []byte, entityID string, now time.Time, options ...MetadataOption) (settings federation.SAMLSettings, err error) {
	defer func() {
		if recover() != nil {
			settings, err = federation.SAMLSettings{}, malformed("panic")
		}
	}()
	var policy metadataPolicy
	for _, o := range options {
		o(&policy)
	}
	if len(doc) > maxMetadata {
		return federation.SAMLSettings{}, tooLarge("metadata_size")
	}
	doc = bytes.TrimPrefix(doc, []byte("\uFEFF")) // metadata saved by an editor on Windows
	if err := checkTokens(doc, metadataLimits, map[string]bool{}); err != nil {
		return federation.SAMLSettings{}, badMetadata(err)
	}
	tree := etree.NewDocument()
	if err := tree.ReadFromBytes(doc); err != nil || tree.Root() == nil {
		return federation.SAMLSettings{}, malformed("xml_syntax")
	}
	settings, err = policy.read(tree.Root(), entityID, now)
	if err != nil {
		return federation.SAMLSettings{}, badMetadata(err)
	}
	return settings, nil
}

// badMetadata makes a 400 of what would be a 403 in a sign-in: an administrator
// typed it, nobody is being refused.
func badMetadata(err error) error {
	if r, ok := err.(*federation.Refusal); ok && r.Status == 0 {
		return &federation.Refusal{Code: r.Code, Detail: r.Detail, Status: 400}
	}
	return err
}

func (p metadataPolicy) read(root *etree.Element, entityID string, now time.Time) (federation.SAMLSettings, error) {
	found, err := identityProviders(root, now)
	if err != nil {
		return federation.SAMLSettings{}, err
	}
	if entityID != "" {
		found = slices.DeleteFunc(found, func(el *etree.Element) bool { return attrOr(el, "entityID") != entityID })
		if len(found) == 0 {
			return federation.SAMLSettings{}, refuseFor("metadata_entity", "no identity provider of that entity ID")
		}
	}
	switch {
	case len(found) == 0:
		return federation.SAMLSettings{}, refuseFor("metadata_no_idp", "no IDPSSODescriptor for SAML 2.0")
	case len(found) > 1:
		return federation.SAMLSettings{}, refuseFor("metadata_several", "several identity providers: name the entity ID")
	}
	return p.entity(found[0], now)
}

// identityProviders are the entities with a SAML 2.0 IdP role. An expired date
// anywhere above one condemns it.
func identityProviders(el *etree.Element, now time.Time) ([]*etree.Element, error) {
	if err := stillValid(el, now); err != nil {
		return nil, err
	}
	switch name(el) {
	case "m:EntityDescriptor":
		if len(idpRoles(el)) > 0 {
			return []*etree.Element{el}, nil
		}
		return nil, nil
	case "m:EntitiesDescriptor":
		var all []*etree.Element
		for _, c := range el.ChildElements() {
			if n := name(c); n != "m:EntityDescriptor" && n != "m:EntitiesDescriptor" {
				continue
			}
			found, err := identityProviders(c, now)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
		return all, nil
	}
	return nil, refuseFor("metadata_root", "not an EntityDescriptor or EntitiesDescriptor")
}

func stillValid(el *etree.Element, now time.Time) error {
	until, ok := attr(el, "validUntil")
	if !ok {
		return nil
	}
	at, err := parseTime(until)
	if err != nil {
		return err
	}
	if !now.Before(at) {
		return refuseFor("metadata_expired", "validUntil has passed")
	}
	return nil
}

func idpRoles(entity *etree.Element) []*etree.Element {
	return slices.DeleteFunc(children(entity, "m:IDPSSODescriptor"), func(el *etree.Element) bool {
		return !slices.Contains(strings.Fields(attrOr(el, "protocolSupportEnumeration")), nsProtocol)
	})
}

func (p metadataPolicy) entity(entity *etree.Element, now time.Time) (federation.SAMLSettings, error) {
	s := federation.SAMLSettings{IDPEntityID: strings.Trim(attrOr(entity, "entityID"), xmlSpace)}
	if s.IDPEntityID == "" || len(s.IDPEntityID) > maxIssuer {
		return federation.SAMLSettings{}, refuseFor("metadata_entity", "no entity ID")
	}
	roles := idpRoles(entity)
	if len(roles) != 1 {
		return federation.SAMLSettings{}, refuseFor("metadata_several", "several IDPSSODescriptors in one entity")
	}
	role := roles[0]
	if err := stillValid(role, now); err != nil {
		return federation.SAMLSettings{}, err
	}
	for _, sso := range children(role, "m:SingleSignOnService") {
		location := attrOr(sso, "Location")
		if !p.allowed(location) {
			return federation.SAMLSettings{}, refuseFor("metadata_location", "single sign-on must be at an https address")
		}
		switch binding := attrOr(sso, "Binding"); {
		case binding == wire.HTTPRedirectBinding && s.SSORedirect == "":
			s.SSORedirect = location
		case binding == wire.HTTPPostBinding && s.SSOPost == "":
			s.SSOPost = location
		}
	}
	if s.SSORedirect == "" && s.SSOPost == "" {
		return federation.SAMLSettings{}, refuseFor("metadata_location", "no redirect or POST single sign-on service")
	}
	certificates, err := signingCertificates(role, now)
	s.Certificates = certificates
	return s, err
}

// allowed says whether a browser may be sent there.
func (p metadataPolicy) allowed(location string) bool {
	u, err := url.Parse(location)
	if err != nil || len(location) > maxLocation || u.Host == "" || u.Hostname() == "" || u.User != nil || u.Opaque != "" || u.Fragment != "" ||
		strings.ContainsFunc(location, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && p.loopback && loopback(u)
}

func loopback(u *url.URL) bool {
	host := strings.ToLower(u.Hostname())
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() && net.ParseIP(host) != nil
}

// signingCertificates are the keys the IdP may sign with. One that is over is
// left out, one that is not valid yet is kept for the roll-over it announces,
// and one too weak refuses the lot: it is still in use.
func signingCertificates(role *etree.Element, now time.Time) ([][]byte, error) {
	var kept [][]byte
	over := false
	for _, key := range children(role, "m:KeyDescriptor") {
		if use := attrOr(key, "use"); use != "" && use != "signing" {
			continue
		}
		info := child(key, "s:KeyInfo")
		if info == nil {
			return nil, refuseFor("metadata_certificate", "a key without KeyInfo")
		}
		for _, data := range children(info, "s:X509Data") {
			for _, el := range children(data, "s:X509Certificate") {
				der, err := base64.StdEncoding.DecodeString(unspaced(text(el)))
				if err != nil {
					return nil, refuseFor("metadata_certificate", "a certificate is not base64")
				}
				cert, err := x509.ParseCertificate(der)
				if err != nil {
					return nil, refuseFor("metadata_certificate", "a certificate cannot be read, or is for a curve below P-256")
				}
				if checkKey(cert.PublicKey) != nil {
					return nil, refuseFor("certificate_weak", "signing keys must be RSA of 2048 bits or more, or ECDSA on P-256 or better")
				}
				if now.After(cert.NotAfter) {
					over = true
					continue
				}
				if !slices.ContainsFunc(kept, func(k []byte) bool { return bytes.Equal(k, der) }) {
					kept = append(kept, der)
				}
			}
		}
	}
	switch {
	case len(kept) == 0 && over:
		return nil, refuseFor("certificate_dates", "every signing certificate has expired")
	case len(kept) == 0:
		return nil, refuseFor("metadata_certificate", "no signing certificate")
	case len(kept) > maxCertificates:
		return nil, refuseFor("metadata_certificate", "more than ten signing certificates")
	}
	return kept, nil
}

// Metadata is our own metadata for c: what the IdP's administrator uploads.
// standbys are the further addresses that answers may be asked to come to; which
// one is meant is in each request, and none but that one takes the answer. It
// asks for signed assertions, says that requests are signed, and offers only
// the encryption that will be opened again.
func Metadata(c federation.Connection, key KeyPair, standbys ...string) ([]byte, error) {
	if c.SAML == nil {
		return nil, refuse("connection")
	}
	yes := true
	info := wire.KeyInfo{X509Data: wire.X509Data{X509Certificates: []wire.X509Certificate{{Data: base64.StdEncoding.EncodeToString(key.Certificate)}}}}
	role := wire.SPSSODescriptor{
		SSODescriptor: wire.SSODescriptor{
			RoleDescriptor: wire.RoleDescriptor{
				ProtocolSupportEnumeration: nsProtocol,
				KeyDescriptors: []wire.KeyDescriptor{
					{Use: "signing", KeyInfo: info},
					{Use: "encryption", KeyInfo: info, EncryptionMethods: []wire.EncryptionMethod{
						{Algorithm: algAES256GCM}, {Algorithm: algAES128GCM}, {Algorithm: algOAEPMGF1P}, {Algorithm: algOAEP},
					}},
				},
			},
			NameIDFormats: []wire.NameIDFormat{wire.PersistentNameIDFormat, wire.EmailAddressNameIDFormat},
		},
		AuthnRequestsSigned:       &yes,
		WantAssertionsSigned:      &yes,
		AssertionConsumerServices: []wire.IndexedEndpoint{{Binding: wire.HTTPPostBinding, Location: c.SAML.ACS, Index: 0, IsDefault: &yes}},
	}
	for i, acs := range standbys {
		role.AssertionConsumerServices = append(role.AssertionConsumerServices,
			wire.IndexedEndpoint{Binding: wire.HTTPPostBinding, Location: acs, Index: i + 1})
	}
	// The library's own EntityDescriptor always writes a validUntil, which is
	// the year 1 where there is none.
	text, err := xml.MarshalIndent(struct {
		XMLName  xml.Name `xml:"urn:oasis:names:tc:SAML:2.0:metadata EntityDescriptor"`
		EntityID string   `xml:"entityID,attr"`
		Role     wire.SPSSODescriptor
	}{EntityID: c.SAML.EntityID, Role: role}, "", "  ")
	if err != nil {
		return nil, err
	}
	return append([]byte(xml.Header), append(text, '\n')...), nil
}
