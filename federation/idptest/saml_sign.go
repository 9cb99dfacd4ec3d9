package idptest

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/hmac"
	_ "crypto/md5" // for the signatures that must be refused
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1"
	"crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

const (
	algRSASHA256   = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
	algECDSASHA256 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
	algSHA256      = "http://www.w3.org/2001/04/xmlenc#sha256"
	algEnveloped   = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
	algExcC14N     = "http://www.w3.org/2001/10/xml-exc-c14n#"
	algC14N        = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
	nsDsig         = "http://www.w3.org/2000/09/xmldsig#"
)

// SAMLSignature is how a message is signed. The zero value is how it should
// be: RSA or ECDSA with SHA-256 over exclusive canonical XML.
type SAMLSignature struct {
	Key         crypto.Signer // the identity provider's where nil
	Certificate []byte        // put into KeyInfo; the identity provider's where nil
	Method      string
	Digest      string
	C14N        string // CanonicalizationMethod
	Transform   string // the one behind enveloped-signature
	Prefixes    string // InclusiveNamespaces PrefixList of Transform, where it is the exclusive one
	DER         bool   // ECDSA as ASN.1 rather than r and s end to end
	HMAC        []byte // signs with this secret instead of Key
	NoKeyInfo   bool
	Unprefixed  bool                      // by default namespace, as Entra ID and AD FS write it
	EditInfo    func(info *etree.Element) // SignedInfo, before it is signed
	EditKeyInfo func(info *etree.Element)
}

func (s SAMLSignature) withDefaults() SAMLSignature {
	if s.Method == "" {
		s.Method = algRSASHA256
		if _, ok := s.Key.(*ecdsa.PrivateKey); ok {
			s.Method = algECDSASHA256
		}
	}
	for field, usual := range map[*string]string{&s.Digest: algSHA256, &s.C14N: algExcC14N, &s.Transform: algExcC14N} {
		if *field == "" {
			*field = usual
		}
	}
	return s
}

// sign puts an enveloped signature into el, behind its Issuer.
func (s SAMLSignature) sign(el *etree.Element) error {
	s = s.withDefaults()
	canonical, err := canonicalise(el, s.Transform, s.Prefixes)
	if err != nil {
		return err
	}
	digest, err := hashed(s.Digest, canonical)
	if err != nil {
		return err
	}
	signature := etree.NewElement("ds:Signature")
	signature.CreateAttr("xmlns:ds", nsDsig)
	info := add(signature, "ds:SignedInfo", "")
	add(info, "ds:CanonicalizationMethod", "", "Algorithm", s.C14N)
	add(info, "ds:SignatureMethod", "", "Algorithm", s.Method)
	reference := add(info, "ds:Reference", "", "URI", "#"+el.SelectAttrValue("ID", ""))
	transforms := add(reference, "ds:Transforms", "")
	add(transforms, "ds:Transform", "", "Algorithm", algEnveloped)
	transform := add(transforms, "ds:Transform", "", "Algorithm", s.Transform)
	if s.Prefixes != "" {
		add(transform, "ec:InclusiveNamespaces", "", "xmlns:ec", algExcC14N, "PrefixList", s.Prefixes)
	}
	add(reference, "ds:DigestMethod", "", "Algorithm", s.Digest)
	add(reference, "ds:DigestValue", base64.StdEncoding.EncodeToString(digest))
	if s.EditInfo != nil {
		s.EditInfo(info)
	}
	value := add(signature, "ds:SignatureValue", "")
	if !s.NoKeyInfo {
		keyInfo := add(signature, "ds:KeyInfo", "")
		add(add(keyInfo, "ds:X509Data", ""), "ds:X509Certificate", base64.StdEncoding.EncodeToString(s.Certificate))
		if s.EditKeyInfo != nil {
			s.EditKeyInfo(keyInfo)
		}
	}
	if s.Unprefixed {
		unprefix(signature, "ds", nsDsig)
	}
	el.InsertChildAt(1, signature)
	if canonical, err = canonicalise(info, s.C14N, ""); err != nil {
		return err
	}
	signed, err := s.value(canonical)
	if err != nil {
		return err
	}
	value.SetText(base64.StdEncoding.EncodeToString(signed))
	return nil
}

// unprefix writes el and what is below it by default namespace.
func unprefix(el *etree.Element, prefix, namespace string) {
	el.RemoveAttr("xmlns:" + prefix)
	el.CreateAttr("xmlns", namespace)
	for _, below := range append(el.FindElements(".//*"), el) {
		if below.Space == prefix {
			below.Space = ""
		}
	}
}

// canonicalise leaves el as it is. For algorithms that are no canonicalisation
// it does the exclusive one: the message is to be refused for its name.
func canonicalise(el *etree.Element, algorithm, prefixes string) ([]byte, error) {
	if strings.HasPrefix(algorithm, algC14N) {
		return dsig.MakeC14N10RecCanonicalizer().Canonicalize(el)
	}
	alone := el.Copy()
	for at := el.Parent(); at != nil; at = at.Parent() {
		for _, a := range at.Attr {
			if (a.Space == "xmlns" || a.FullKey() == "xmlns") && alone.SelectAttr(a.FullKey()) == nil {
				alone.CreateAttr(a.FullKey(), a.Value)
			}
		}
	}
	return dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList(prefixes).Canonicalize(alone)
}

func hashed(algorithm string, data []byte) ([]byte, error) {
	hash, ok := hashes[algorithm]
	if !ok {
		return nil, fmt.Errorf("mint: no hash for %s", algorithm)
	}
	h := hash.New()
	h.Write(data)
	return h.Sum(nil), nil
}

func (s SAMLSignature) value(data []byte) ([]byte, error) {
	if s.HMAC != nil {
		mac := hmac.New(sha256.New, s.HMAC)
		mac.Write(data)
		return mac.Sum(nil), nil
	}
	digest, err := hashed(s.Method, data)
	if err != nil {
		return nil, err
	}
	value, err := s.Key.Sign(rand.Reader, digest, hashes[s.Method])
	if key, ok := s.Key.(*ecdsa.PrivateKey); ok && err == nil && !s.DER {
		return endToEnd(key, value)
	}
	return value, err
}

// endToEnd turns the DER form of an ECDSA signature into XML-DSig's.
func endToEnd(key *ecdsa.PrivateKey, der []byte) ([]byte, error) {
	var v struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &v); err != nil {
		return nil, err
	}
	size := (key.Curve.Params().BitSize + 7) / 8
	return append(v.R.FillBytes(make([]byte, size)), v.S.FillBytes(make([]byte, size))...), nil
}

// SAMLEncryption is how an assertion is encrypted. The zero value is AES-256
// in GCM with the key wrapped by RSA-OAEP (SHA-1, as everybody does).
type SAMLEncryption struct {
	Method    string // named in the message; what is done is always GCM
	Wrap      string // named in the message; what is done is always OAEP
	Digest    string // of OAEP, named and done; SHA-1 where empty
	Plaintext string // instead of the assertion
	Beside    bool   // EncryptedKey beside the data rather than inside
	Edit      func(encrypted *etree.Element)
	Value     func(ciphertext []byte) []byte
}

const (
	algAES256GCM = "http://www.w3.org/2009/xmlenc11#aes256-gcm"
	algOAEPMGF1P = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"
	nsXenc       = "http://www.w3.org/2001/04/xmlenc#"
)

func (e SAMLEncryption) seal(assertion *etree.Element, certificate []byte) (*etree.Element, error) {
	cert, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, fmt.Errorf("mint: %w", err)
	}
	public, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("mint: not an RSA certificate")
	}
	plain := e.Plaintext
	if plain == "" {
		if plain, err = write(assertion.Copy()); err != nil {
			return nil, err
		}
	}
	key := make([]byte, 32)
	rand.Read(key)
	ciphertext, err := gcm(key, []byte(plain))
	if err != nil {
		return nil, err
	}
	if e.Value != nil {
		ciphertext = e.Value(ciphertext)
	}
	options := &rsa.OAEPOptions{Hash: crypto.SHA1, MGFHash: crypto.SHA1}
	if e.Digest != "" {
		options.Hash = hashes[e.Digest]
	}
	wrapped, err := rsa.EncryptOAEPWithOptions(rand.Reader, public, key, options)
	if err != nil {
		return nil, fmt.Errorf("mint: %w", err)
	}
	return e.element(ciphertext, wrapped), nil
}

func gcm(key, plain []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, plain, nil), nil
}

func (e SAMLEncryption) element(ciphertext, wrapped []byte) *etree.Element {
	method, wrap := e.Method, e.Wrap
	if method == "" {
		method = algAES256GCM
	}
	if wrap == "" {
		wrap = algOAEPMGF1P
	}
	encrypted := etree.NewElement("saml:EncryptedAssertion")
	encrypted.CreateAttr("xmlns:saml", "urn:oasis:names:tc:SAML:2.0:assertion")
	data := add(encrypted, "xenc:EncryptedData", "", "xmlns:xenc", nsXenc, "Type", nsXenc+"Element")
	add(data, "xenc:EncryptionMethod", "", "Algorithm", method)
	info := add(data, "ds:KeyInfo", "", "xmlns:ds", nsDsig)
	parent := info
	if e.Beside {
		add(info, "ds:RetrievalMethod", "", "Type", nsXenc+"EncryptedKey", "URI", "#_key")
		parent = encrypted
	}
	add(add(data, "xenc:CipherData", ""), "xenc:CipherValue", base64.StdEncoding.EncodeToString(ciphertext))
	key := add(parent, "xenc:EncryptedKey", "", "xmlns:xenc", nsXenc, "Id", "_key")
	wrapMethod := add(key, "xenc:EncryptionMethod", "", "Algorithm", wrap)
	if e.Digest != "" {
		add(wrapMethod, "ds:DigestMethod", "", "xmlns:ds", nsDsig, "Algorithm", e.Digest)
	}
	add(add(key, "xenc:CipherData", ""), "xenc:CipherValue", base64.StdEncoding.EncodeToString(wrapped))
	if e.Edit != nil {
		e.Edit(encrypted)
	}
	return encrypted
}
