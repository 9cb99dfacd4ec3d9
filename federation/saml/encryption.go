package saml

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // the digest inside OAEP, where its collisions do no harm
	"encoding/base64"

	"github.com/beevik/etree"
)

const (
	algOAEPMGF1P = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"
	algOAEP      = "http://www.w3.org/2009/xmlenc11#rsa-oaep"
	algAES128GCM = "http://www.w3.org/2009/xmlenc11#aes128-gcm"
	algAES192GCM = "http://www.w3.org/2009/xmlenc11#aes192-gcm"
	algAES256GCM = "http://www.w3.org/2009/xmlenc11#aes256-gcm"
	algSHA1      = "http://www.w3.org/2000/09/xmldsig#sha1"
	typeElement  = "http://www.w3.org/2001/04/xmlenc#Element"
)

// contentKeys are the ciphers accepted and the length of their keys. CBC is
// left out: what it decrypts can be probed (CVE-2011-1096 and its children).
var contentKeys = map[string]int{algAES128GCM: 16, algAES192GCM: 24, algAES256GCM: 32}

var oaepDigests = map[string]crypto.Hash{
	algSHA1: crypto.SHA1,
	"http://www.w3.org/2001/04/xmlenc#sha256":       crypto.SHA256,
	"http://www.w3.org/2001/04/xmldsig-more#sha384": crypto.SHA384,
	"http://www.w3.org/2001/04/xmlenc#sha512":       crypto.SHA512,
}

var oaepMasks = map[string]crypto.Hash{
	"http://www.w3.org/2009/xmlenc11#mgf1sha1":   crypto.SHA1,
	"http://www.w3.org/2009/xmlenc11#mgf1sha256": crypto.SHA256,
	"http://www.w3.org/2009/xmlenc11#mgf1sha384": crypto.SHA384,
	"http://www.w3.org/2009/xmlenc11#mgf1sha512": crypto.SHA512,
}

// decrypt opens an EncryptedAssertion. Whatever goes wrong once the algorithms
// are known to be good is one refusal: nobody learns how far a ciphertext got.
func decrypt(el *etree.Element, key *rsa.PrivateKey) ([]byte, error) {
	data := child(el, "e:EncryptedData")
	wrapped := encryptedKey(el, data)
	if data == nil || wrapped == nil || attrOr(data, "Type") != "" && attrOr(data, "Type") != typeElement {
		return nil, refuse("encryption_malformed")
	}
	size, ok := contentKeys[algorithm(child(data, "e:EncryptionMethod"))]
	if !ok {
		return nil, refuse("encryption_method")
	}
	oaep, ok := oaepOptions(child(wrapped, "e:EncryptionMethod"))
	if !ok {
		return nil, refuse("encryption_method")
	}
	if key == nil {
		return nil, refuse("encryption_key")
	}
	content, err := unwrap(key, oaep, cipherValue(wrapped), size)
	if err != nil {
		return nil, err
	}
	return open(content, cipherValue(data))
}

// encryptedKey finds the one EncryptedKey, inside the data's KeyInfo or beside
// the data. A RetrievalMethod is not followed: there is only one key to find.
func encryptedKey(el, data *etree.Element) *etree.Element {
	found := children(el, "e:EncryptedKey")
	if info := child(data, "s:KeyInfo"); info != nil {
		found = append(found, children(info, "e:EncryptedKey")...)
	}
	if len(found) != 1 {
		return nil
	}
	return found[0]
}

// oaepOptions reads how the key was wrapped. PKCS #1 v1.5 is not OAEP.
func oaepOptions(method *etree.Element) (*rsa.OAEPOptions, bool) {
	if method == nil || child(method, "e:OAEPparams") != nil {
		return nil, false
	}
	o := &rsa.OAEPOptions{Hash: crypto.SHA1, MGFHash: crypto.SHA1}
	if digest := child(method, "s:DigestMethod"); digest != nil {
		o.Hash = oaepDigests[algorithm(digest)]
	}
	mask := child(method, "e11:MGF")
	switch algorithm(method) {
	case algOAEPMGF1P: // the mask is SHA-1, whatever the digest (XMLEnc 1.1 5.5.2)
		return o, o.Hash != 0 && mask == nil
	case algOAEP:
		if mask != nil {
			o.MGFHash = oaepMasks[algorithm(mask)]
		}
		return o, o.Hash != 0 && o.MGFHash != 0
	}
	return nil, false
}

// unwrap gives the content key, or a random one when the wrapping is bad, so
// that a bad wrapping and a bad ciphertext take the same way and time.
func unwrap(key *rsa.PrivateKey, o *rsa.OAEPOptions, value []byte, size int) ([]byte, error) {
	content := make([]byte, size)
	if _, err := rand.Read(content); err != nil {
		return nil, refuse("decryption")
	}
	if got, err := key.Decrypt(rand.Reader, value, o); err == nil && len(got) == size {
		content = got
	}
	return content, nil
}

func open(key, value []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, refuse("decryption")
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil || len(value) < gcm.NonceSize()+gcm.Overhead() {
		return nil, refuse("decryption")
	}
	plain, err := gcm.Open(nil, value[:gcm.NonceSize()], value[gcm.NonceSize():], nil)
	if err != nil {
		return nil, refuse("decryption")
	}
	return plain, nil
}

// cipherValue is empty for what is not base64, which no cipher opens.
func cipherValue(el *etree.Element) []byte {
	value, err := base64.StdEncoding.Strict().DecodeString(unspaced(text(child(child(el, "e:CipherData"), "e:CipherValue"))))
	if err != nil {
		return nil
	}
	return value
}
