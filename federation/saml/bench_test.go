package saml_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"

	"github.com/domicile-sso/domicile/federation/idptest"
	"github.com/domicile-sso/domicile/federation/saml"
)

func BenchmarkVerify(b *testing.B) {
	scene, want := stage(b)
	many := ada
	many.Groups = make([]string, idptest.SAMLGroups)
	for i := range many.Groups {
		many.Groups[i] = "group"
	}
	for name, m := range map[string]idptest.SAMLMint{
		"assertion":    {},
		"both":         {Sign: idptest.SignBoth},
		"encrypted":    {Encrypt: &idptest.SAMLEncryption{}},
		"1,500 groups": {User: many},
	} {
		response := mint(b, scene, m)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := saml.Verify(response, want); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBareSignature is the least that any verification costs.
func BenchmarkBareSignature(b *testing.B) {
	_, pair := keys()
	digest := sha256.Sum256([]byte("message"))
	signature, err := rsa.SignPKCS1v15(rand.Reader, pair.Key, crypto.SHA256, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := rsa.VerifyPKCS1v15(&pair.Key.PublicKey, crypto.SHA256, digest[:], signature); err != nil {
			b.Fatal(err)
		}
	}
}
