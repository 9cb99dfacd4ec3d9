package idptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"strings"
	"time"

	"github.com/beevik/etree"

	"github.com/domicile-sso/domicile/federation"
)

const atInfo = "./Assertion/Signature/SignedInfo"

// samlSignatures is what is wrong with a Signature itself.
func samlSignatures() []SAMLAttack {
	method := func(id, name, code string, s SAMLSignature) SAMLAttack {
		return SAMLAttack{ID: id, Name: name, Code: code, Build: minted(SAMLMint{Signature: s})}
	}
	transforms := func(algorithm, child string) func(*etree.Element) {
		return func(info *etree.Element) {
			el := add(info.FindElement("./Reference/Transforms"), "ds:Transform", "", "Algorithm", algorithm)
			if child != "" {
				add(el, child, "count(//. | //@* | //namespace::*)")
			}
		}
	}
	drop := func(path string) func(*etree.Element) { return remove(path) }
	return []SAMLAttack{
		{ID: "SAM-01", Name: "no signature", Code: "signature_missing", Build: minted(SAMLMint{Sign: SignNothing})},
		{ID: "SAM-01", Name: "signature stripped", Code: "signature_missing", Build: tampered(remove("./Assertion/Signature"))},
		{ID: "SAM-02", Name: "two SignedInfo", Code: "element", Build: tampered(func(r *etree.Element) {
			info := r.FindElement(atInfo)
			info.Parent().InsertChildAt(0, info.Copy())
		})},
		{ID: "SAM-02", Name: "empty Signature", Code: "signature_malformed", Build: tampered(func(r *etree.Element) {
			for _, c := range r.FindElement("./Assertion/Signature").ChildElements() {
				c.Parent().RemoveChild(c)
			}
		})},
		{ID: "SAM-02", Name: "empty SignatureValue", Code: "signature_malformed", Build: tampered(func(r *etree.Element) { r.FindElement("./Assertion/Signature/SignatureValue").SetText("") })},
		{ID: "SAM-02", Name: "no SignatureValue", Code: "signature_malformed", Build: tampered(drop("./Assertion/Signature/SignatureValue"))},
		{ID: "SAM-02", Name: "no Reference", Code: "signature_reference", Build: tampered(drop(atInfo + "/Reference"))},
		{ID: "SAM-02", Name: "no Transforms", Code: "signature_transform", Build: tampered(drop(atInfo + "/Reference/Transforms"))},
		{ID: "SAM-02", Name: "no DigestMethod", Code: "digest_method", Build: tampered(drop(atInfo + "/Reference/DigestMethod"))},
		{ID: "SAM-02", Name: "no DigestValue", Code: "signature_malformed", Build: tampered(drop(atInfo + "/Reference/DigestValue"))},
		{ID: "SAM-02", Name: "no CanonicalizationMethod", Code: "signature_c14n", Build: tampered(drop(atInfo + "/CanonicalizationMethod"))},
		{ID: "SAM-02", Name: "no SignatureMethod", Code: "signature_method", Build: tampered(drop(atInfo + "/SignatureMethod"))},

		method("SAM-18", "XPath transform", "element", SAMLSignature{EditInfo: transforms("http://www.w3.org/TR/1999/REC-xpath-19991116", "ds:XPath")}),
		method("SAM-18", "XSLT transform", "signature_transform", SAMLSignature{EditInfo: transforms("http://www.w3.org/TR/1999/REC-xslt-19991116", "")}),
		method("SAM-18", "base64 transform", "signature_transform", SAMLSignature{Transform: "http://www.w3.org/2000/09/xmldsig#base64"}),
		method("SAM-18", "enveloped twice", "signature_transform", SAMLSignature{Transform: algEnveloped}),
		method("SAM-19", "inclusive transform", "signature_transform", SAMLSignature{Transform: algC14N}),
		method("SAM-19", "inclusive C14N", "signature_c14n", SAMLSignature{C14N: algC14N}),
		method("SAM-19", "exclusive transform with comments", "signature_transform", SAMLSignature{Transform: algExcC14N + "WithComments"}),
		method("SAM-19", "exclusive C14N with comments", "signature_c14n", SAMLSignature{C14N: algExcC14N + "WithComments"}),
		{ID: "SAM-19", Name: "inclusive with comments, inclusive allowed", Code: "signature_transform", Policy: inclusive, Build: minted(SAMLMint{Signature: SAMLSignature{Transform: algC14N + "#WithComments"}})},
		{ID: "SAM-19", Name: "inclusive, allowed", Accept: true, Policy: inclusive, Build: minted(SAMLMint{Signature: SAMLSignature{Transform: algC14N, C14N: algC14N}})},
		{ID: "SAM-19", Name: "inclusive Response, allowed", Accept: true, Policy: inclusive, Build: minted(SAMLMint{Sign: SignResponse, Signature: SAMLSignature{Transform: algC14N, C14N: algC14N}})},

		method("SAM-64", "rsa-sha1", "signature_method", SAMLSignature{Method: "http://www.w3.org/2000/09/xmldsig#rsa-sha1"}),
		method("SAM-64", "rsa-md5", "signature_method", SAMLSignature{Method: "http://www.w3.org/2001/04/xmldsig-more#rsa-md5"}),
		method("SAM-64", "SHA-1 digest", "digest_method", SAMLSignature{Digest: "http://www.w3.org/2000/09/xmldsig#sha1"}),
		method("SAM-64", "MD5 digest", "digest_method", SAMLSignature{Digest: "http://www.w3.org/2001/04/xmldsig-more#md5"}),
		{ID: "SAM-64", Name: "ecdsa-sha1", Code: "signature_method", Build: withECDSA(SAMLSignature{Method: "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1"})},
		method("SAM-65", "an RSA signature called ecdsa-sha256", "signature", SAMLSignature{Method: algECDSASHA256}),
		{ID: "SAM-65", Name: "hmac-sha256 keyed with the certificate", Code: "signature_method", Build: withHMAC("http://www.w3.org/2001/04/xmldsig-more#hmac-sha256")},
		{ID: "SAM-65", Name: "hmac-sha1 keyed with the certificate", Code: "signature_method", Build: withHMAC("http://www.w3.org/2000/09/xmldsig#hmac-sha1")},
		{ID: "SAM-65", Name: "an HMAC called rsa-sha256", Code: "signature", Build: withHMAC(algRSASHA256)},

		{Name: "prefix list", Accept: true, Build: minted(SAMLMint{Sign: SignBoth, Signature: SAMLSignature{Prefixes: "xs xsi"}})},
		{Name: "RSA with SHA-512", Accept: true, Build: minted(SAMLMint{Signature: SAMLSignature{Method: "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512", Digest: "http://www.w3.org/2001/04/xmlenc#sha512"}})},
	}
}

func inclusive(s *federation.SAMLSettings) { s.InclusiveC14N = true }

// withECDSA signs with a key of its own, which the connection does not know.
func withECDSA(sig SAMLSignature) func(SAMLScene) (string, error) {
	return func(s SAMLScene) (string, error) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return "", err
		}
		sig.Key = key
		return s.IdP.Mint(s.To, SAMLMint{User: s.User, Signature: sig})
	}
}

func withHMAC(method string) func(SAMLScene) (string, error) {
	return func(s SAMLScene) (string, error) {
		return s.IdP.Mint(s.To, SAMLMint{User: s.User, Signature: SAMLSignature{Method: method, HMAC: s.IdP.Certificate()}})
	}
}

// samlReferences is what a Reference may point at.
func samlReferences() []SAMLAttack {
	refers := func(id, name string, uri func(old string) string) SAMLAttack {
		return SAMLAttack{ID: id, Name: name, Code: "signature_reference", Build: minted(SAMLMint{Signature: SAMLSignature{EditInfo: func(info *etree.Element) {
			el := info.SelectElement("Reference")
			el.CreateAttr("URI", uri(el.SelectAttrValue("URI", "")))
		}}})}
	}
	fixed := func(uri string) func(string) string { return func(string) string { return uri } }
	return []SAMLAttack{
		{ID: "SAM-16", Name: "two References", Code: "signature_reference", Build: minted(SAMLMint{Signature: SAMLSignature{EditInfo: func(info *etree.Element) {
			info.AddChild(info.SelectElement("Reference").Copy())
		}}})},
		{ID: "SAM-16", Name: "the two Signatures swapped", Code: "signature_reference", Build: minted(SAMLMint{Sign: SignBoth, Tamper: func(r *etree.Element) {
			a := r.SelectElement("Assertion")
			outer, inner := r.SelectElement("Signature"), a.SelectElement("Signature")
			r.RemoveChild(outer)
			a.RemoveChild(inner)
			r.InsertChildAt(1, inner)
			a.InsertChildAt(1, outer)
		}})},
		refers("SAM-17", "empty URI", fixed("")),
		refers("SAM-17", "another element", fixed("#_another")),
		refers("SAM-17", "escaped", func(old string) string { return "#%5F" + strings.TrimPrefix(old, "#_") }),
		refers("SAM-17", "without the hash", func(old string) string { return strings.TrimPrefix(old, "#") }),
		refers("SAM-17", "xpointer", func(old string) string { return "#xpointer(id('" + old[1:] + "'))" }),
		refers("SAM-17", "the root by xpointer", fixed("#xpointer(/)")),
		refers("SAM-17", "an address", fixed("http://127.0.0.1:9/")),
		{ID: "SAM-17", Name: "no URI", Code: "signature_reference", Build: minted(SAMLMint{Signature: SAMLSignature{EditInfo: func(info *etree.Element) {
			info.SelectElement("Reference").RemoveAttr("URI")
		}}})},
	}
}

// samlKeys is about who signed.
func samlKeys() []SAMLAttack {
	return []SAMLAttack{
		{ID: "SAM-66", Name: "attacker's key and certificate in KeyInfo", Code: "signature", Build: byStranger(nil)},
		{ID: "SAM-66", Name: "attacker's key, the pinned certificate in KeyInfo", Code: "signature", Build: func(s SAMLScene) (string, error) {
			return byStranger(func(sig *SAMLSignature) { sig.Certificate = s.IdP.Certificate() })(s)
		}},
		{ID: "SAM-66", Name: "RSAKeyValue", Code: "signature", Build: byStranger(func(sig *SAMLSignature) {
			key := sig.Key.Public().(*rsa.PublicKey)
			sig.EditKeyInfo = func(info *etree.Element) {
				info.RemoveChild(info.SelectElement("X509Data"))
				value := add(add(info, "ds:KeyValue", ""), "ds:RSAKeyValue", "")
				add(value, "ds:Modulus", base64.StdEncoding.EncodeToString(key.N.Bytes()))
				add(value, "ds:Exponent", "AQAB")
			}
		})},
		{ID: "SAM-66", Name: "RetrievalMethod", Code: "element", Build: minted(SAMLMint{Signature: SAMLSignature{EditKeyInfo: func(info *etree.Element) {
			add(info, "ds:RetrievalMethod", "", "URI", "http://127.0.0.1:9/cert.xml")
		}}})},
		{ID: "SAM-66", Name: "KeyInfo is nobody's, the signature is good", Accept: true, Build: minted(SAMLMint{Signature: SAMLSignature{Certificate: []byte("not a certificate")}})},
		{ID: "SAM-67", Name: "signed by another tenant's IdP", Code: "signature", Build: func(s SAMLScene) (string, error) {
			other, err := NewSAML(SAMLOptions{URL: s.IdP.options().URL, Users: []User{s.Victim}, Now: s.IdP.options().Now})
			if err != nil {
				return "", err
			}
			return other.Mint(s.To, SAMLMint{User: s.Victim})
		}},
		{ID: "SAM-68", Name: "for another connection with the same IdP", Code: "audience", Build: func(s SAMLScene) (string, error) {
			s.To.EntityID += "-other"
			return s.IdP.Mint(s.To, SAMLMint{User: s.User})
		}},
		{ID: "SAM-70", Name: "certificate removed", Code: "signature", Policy: func(set *federation.SAMLSettings) { set.Certificates = nil }, Build: minted(SAMLMint{})},
		{ID: "SAM-72", Name: "no KeyInfo", Accept: true, Build: minted(SAMLMint{Signature: SAMLSignature{NoKeyInfo: true}})},
	}
}

func byStranger(f func(*SAMLSignature)) func(SAMLScene) (string, error) {
	return func(s SAMLScene) (string, error) {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return "", err
		}
		now := s.IdP.options().Now()
		cert, err := SelfSigned(key, "attacker", now.Add(-time.Hour), now.Add(time.Hour))
		if err != nil {
			return "", err
		}
		sig := SAMLSignature{Key: key, Certificate: cert}
		if f != nil {
			f(&sig)
		}
		return s.IdP.Mint(s.To, SAMLMint{User: s.Victim, Signature: sig})
	}
}
