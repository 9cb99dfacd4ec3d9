package saml

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // the digests named below
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/domicile-sso/domicile/federation"
)

const (
	algEnveloped = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
	algExcC14N   = "http://www.w3.org/2001/10/xml-exc-c14n#"
	algC14N      = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"

	minRSABits = 2048
)

// digests and signatureMethods are all that is accepted: SHA-256 or better
// (SP 800-131A), no HMAC, no DSA.
var digests = map[string]crypto.Hash{
	"http://www.w3.org/2001/04/xmlenc#sha256":       crypto.SHA256,
	"http://www.w3.org/2001/04/xmldsig-more#sha384": crypto.SHA384,
	"http://www.w3.org/2001/04/xmlenc#sha512":       crypto.SHA512,
}

type signatureMethod struct {
	hash  crypto.Hash
	ecdsa bool
}

var signatureMethods = map[string]signatureMethod{
	"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256":   {crypto.SHA256, false},
	"http://www.w3.org/2001/04/xmldsig-more#rsa-sha384":   {crypto.SHA384, false},
	"http://www.w3.org/2001/04/xmldsig-more#rsa-sha512":   {crypto.SHA512, false},
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256": {crypto.SHA256, true},
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384": {crypto.SHA384, true},
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512": {crypto.SHA512, true},
}

// A verifier knows whose signatures count: those made with a pinned
// certificate. What a message says about its own key is never looked at.
type verifier struct {
	certs     []*x509.Certificate
	inclusive bool // inclusive canonicalisation is let through
	now       time.Time
}

func newVerifier(s *federation.SAMLSettings, now time.Time) (verifier, error) {
	v := verifier{inclusive: s.InclusiveC14N, now: now}
	for _, der := range s.Certificates {
		cert, err := x509.ParseCertificate(der)
		if err != nil || checkKey(cert.PublicKey) != nil {
			return verifier{}, refuse("connection_certificate")
		}
		v.certs = append(v.certs, cert)
	}
	return v, nil
}

// checkKey refuses keys too short to be believed.
func checkKey(key any) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() >= minRSABits {
			return nil
		}
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || k.Curve == elliptic.P384() || k.Curve == elliptic.P521() {
			return nil
		}
	}
	return refuse("certificate_weak")
}

// verify checks the signature of el, which must be its own child, and returns
// the element anew, parsed out of the very bytes whose digest was signed.
// Nothing may be read from any other copy of it.
//
// The signature over SignedInfo comes first and the digest of the element
// after it, so that canonicalising a large message is work done only for those
// who hold a key.
func (v verifier) verify(el *etree.Element) (*etree.Element, error) {
	signature := child(el, "s:Signature")
	if signature == nil {
		return nil, refuse("signature_missing")
	}
	info := child(signature, "s:SignedInfo")
	if info == nil {
		return nil, refuse("signature_malformed")
	}
	r, err := v.reference(el, info)
	if err != nil {
		return nil, err
	}
	if err := v.checkSignature(signature, info); err != nil {
		return nil, err
	}
	unsigned := detach(el)
	unsigned.RemoveChildAt(signature.Index())
	covered, err := r.transform.Canonicalize(unsigned)
	if err != nil || len(covered) == 0 {
		return nil, refuse("canonicalisation")
	}
	if !bytes.Equal(sum(r.hash, covered), r.digest) {
		return nil, refuse("digest")
	}
	if err := checkTokens(covered, messageLimits, map[string]bool{}); err != nil {
		return nil, refuse("canonicalisation")
	}
	trusted, err := parse(covered, name(el))
	if err != nil || attrOr(trusted, "ID") != attrOr(el, "ID") {
		return nil, refuse("canonicalisation")
	}
	return trusted, nil
}

// A reference is what a signature says it covers, and how.
type reference struct {
	transform dsig.Canonicalizer
	hash      crypto.Hash
	digest    []byte
}

// reference reads the one Reference there may be, which must be to el itself.
// SAML Core 5.4.2.
func (v verifier) reference(el, info *etree.Element) (reference, error) {
	ref := child(info, "s:Reference")
	id := attrOr(el, "ID")
	if ref == nil || id == "" || attrOr(ref, "URI") != "#"+id {
		return reference{}, refuse("signature_reference")
	}
	transform, err := v.transform(ref)
	if err != nil {
		return reference{}, err
	}
	hash, ok := digests[algorithm(child(ref, "s:DigestMethod"))]
	if !ok {
		return reference{}, refuse("digest_method")
	}
	digest, err := base64.StdEncoding.Strict().DecodeString(unspaced(text(child(ref, "s:DigestValue"))))
	if err != nil || len(digest) != hash.Size() {
		return reference{}, refuse("signature_malformed")
	}
	return reference{transform, hash, digest}, nil
}

// transform is the canonicalisation of a Reference: the enveloped-signature
// transform first and one canonicalisation behind it. Leaving the latter out
// means inclusive canonicalisation (XMLDSig 4.3.3.2).
func (v verifier) transform(reference *etree.Element) (dsig.Canonicalizer, error) {
	var list []*etree.Element
	if transforms := child(reference, "s:Transforms"); transforms != nil {
		list = children(transforms, "s:Transform")
	}
	if len(list) < 1 || len(list) > 2 || algorithm(list[0]) != algEnveloped || len(list[0].ChildElements()) > 0 {
		return nil, refuse("signature_transform")
	}
	if len(list) == 1 {
		return v.inclusiveC14N("signature_transform")
	}
	return v.canonicalizer(list[1], "signature_transform")
}

func (v verifier) canonicalizer(method *etree.Element, code string) (dsig.Canonicalizer, error) {
	switch algorithm(method) {
	case algExcC14N:
		prefixes := ""
		if list := child(method, "c:InclusiveNamespaces"); list != nil {
			prefixes = attrOr(list, "PrefixList")
		}
		return dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList(prefixes), nil
	case algC14N:
		if len(method.ChildElements()) == 0 {
			return v.inclusiveC14N(code)
		}
	}
	return nil, refuse(code)
}

func (v verifier) inclusiveC14N(code string) (dsig.Canonicalizer, error) {
	if !v.inclusive {
		return nil, refuse(code)
	}
	return dsig.MakeC14N10RecCanonicalizer(), nil
}

// checkSignature tries the value against every pinned certificate: IdPs roll
// their keys over without saying which one they used.
//
// Policy for dates: a certificate outside its validity signs nothing, although
// SAML would let metadata alone decide. An IdP that lets its certificate lapse
// is one whose administrator is not looking.
func (v verifier) checkSignature(signature, info *etree.Element) error {
	method, ok := signatureMethods[algorithm(child(info, "s:SignatureMethod"))]
	if !ok {
		return refuse("signature_method")
	}
	canonicalizer, err := v.canonicalizer(child(info, "s:CanonicalizationMethod"), "signature_c14n")
	if err != nil {
		return err
	}
	value, err := base64.StdEncoding.Strict().DecodeString(unspaced(text(child(signature, "s:SignatureValue"))))
	if err != nil || len(value) == 0 {
		return refuse("signature_malformed")
	}
	signed, err := canonicalizer.Canonicalize(detach(info))
	if err != nil {
		return refuse("canonicalisation")
	}
	digest := sum(method.hash, signed)
	for _, cert := range v.certs {
		if !method.verifies(cert.PublicKey, digest, value) {
			continue
		}
		if v.now.Before(cert.NotBefore) || v.now.After(cert.NotAfter) {
			return refuse("certificate_dates")
		}
		return nil
	}
	return refuse("signature")
}

func (m signatureMethod) verifies(key any, digest, value []byte) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return !m.ecdsa && rsa.VerifyPKCS1v15(k, m.hash, digest, value) == nil
	case *ecdsa.PublicKey:
		// XMLDSig 1.1 6.4.3: r and s, each as long as the curve, end to end.
		// The DER form that other protocols use is not one of XML's.
		size := (k.Curve.Params().BitSize + 7) / 8
		if !m.ecdsa || len(value) != 2*size {
			return false
		}
		r, s := new(big.Int).SetBytes(value[:size]), new(big.Int).SetBytes(value[size:])
		return ecdsa.Verify(k, digest, r, s)
	}
	return false
}

func algorithm(el *etree.Element) string {
	if el == nil {
		return ""
	}
	return attrOr(el, "Algorithm")
}

func sum(hash crypto.Hash, data []byte) []byte {
	h := hash.New()
	h.Write(data)
	return h.Sum(nil)
}

// detach copies el with all namespaces in scope declared on it. Canonicalising
// the copy as a root is the same as canonicalising el in its place, and keeps
// clear of how the library inherits declarations: it lets an ancestor's win
// over the element's own, and its own way of detaching stops at 1,000 elements.
func detach(el *etree.Element) *etree.Element {
	alone := el.Copy()
	declared := map[string]bool{}
	for at := el; at != nil; at = at.Parent() {
		for _, a := range at.Attr {
			if a.Space != "xmlns" && (a.Space != "" || a.Key != "xmlns") || declared[a.FullKey()] {
				continue
			}
			declared[a.FullKey()] = true
			if at != el {
				alone.CreateAttr(a.FullKey(), a.Value)
			}
		}
	}
	return alone
}
