package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.Hash.New
	_ "crypto/sha512"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// A key is one public key that its owner published for signing.
type key struct {
	id     string
	alg    string // the only algorithm it is for; empty: any that fits
	public any    // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// parseKeys reads a JWK Set (RFC 7517 5). Keys of no use here are left out, not
// refused: providers publish encryption keys and new kinds of keys beside the
// ones we need. An empty set is a fact (everything was withdrawn), a document
// that is no set is an error.
func parseKeys(data []byte) ([]key, error) {
	doc, err := decode(data)
	if err != nil {
		return nil, err
	}
	list, ok := doc["keys"].([]any)
	if !ok {
		return nil, errors.New("no keys")
	}
	var keys []key
	for _, e := range list {
		if len(keys) == maxKeys {
			break
		}
		if o, ok := e.(object); ok {
			if k, ok := parseKey(o); ok {
				keys = append(keys, k)
			}
		}
	}
	return keys, nil
}

func parseKey(o object) (key, bool) {
	k := key{id: o.text("kid"), alg: o.text("alg")}
	switch {
	case o.has("d") || o.has("k"): // a published secret speaks for nobody
		return k, false
	case o.has("use") && o.text("use") != "sig":
		return k, false
	case o.has("alg") && !slices.Contains(Algorithms(), k.alg):
		return k, false
	}
	if o.has("key_ops") {
		if ops, ok := o.texts("key_ops"); !ok || !slices.Contains(ops, "verify") {
			return k, false
		}
	}
	if k.public = material(o); k.public == nil {
		return k, false
	}
	return k, k.alg == "" || k.fits(k.alg)
}

// material hands go-jose nothing but the numbers: certificates and the like in
// a JWK are not looked at by anybody.
func material(o object) any {
	plain := map[string]string{"kty": o.text("kty")}
	members := map[string][]string{"RSA": {"n", "e"}, "EC": {"crv", "x", "y"}, "OKP": {"crv", "x"}}[o.text("kty")]
	if members == nil {
		return nil
	}
	for _, m := range members {
		plain[m] = o.text(m)
		// The parser skips line breaks inside base64.
		if strings.ContainsAny(plain[m], "\r\n") {
			return nil
		}
	}
	data, err := json.Marshal(plain)
	if err != nil {
		return nil
	}
	var jwk jose.JSONWebKey
	if jwk.UnmarshalJSON(data) != nil || !jwk.Valid() {
		return nil
	}
	if pub, ok := jwk.Key.(*rsa.PublicKey); ok {
		// Below 2048 bits a signature can be forged; beyond 8192, and with
		// large exponents, verifying one is work for free.
		if bits := pub.N.BitLen(); bits < 2048 || bits > 8192 || pub.E < 3 || pub.E%2 == 0 {
			return nil
		}
	}
	return jwk.Key
}

// fits says whether the key is of the kind, and the curve, that alg needs
// (RFC 7518 3.1, RFC 8037 3.1).
func (k key) fits(alg string) bool {
	if k.alg != "" && k.alg != alg {
		return false
	}
	switch pub := k.public.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")
	case *ecdsa.PublicKey:
		curve := map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}[alg]
		return curve != nil && pub.Curve == curve
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}

// verify returns the payload if this key signed the token. jws is token parsed.
func (k key) verify(jws *jose.JSONWebSignature, token, alg string) ([]byte, bool) {
	payload, err := jws.Verify(k.public)
	if err != nil {
		return nil, false
	}
	if strings.HasPrefix(alg, "PS") && !k.salted(jws, token, alg) {
		return nil, false
	}
	return payload, true
}

// salted insists on a PSS salt as long as the hash (RFC 7518 3.5), where
// go-jose takes any length.
func (k key) salted(jws *jose.JSONWebSignature, token, alg string) bool {
	pub, ok := k.public.(*rsa.PublicKey)
	if !ok {
		return false
	}
	h := hashOf(alg)
	d := h.New()
	d.Write([]byte(token[:strings.LastIndexByte(token, '.')]))
	return rsa.VerifyPSS(pub, h, d.Sum(nil), jws.Signatures[0].Signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
}

// hashOf is the hash of a signature algorithm; for EdDSA it is the one that
// Ed25519 uses inside, which is what at_hash is made with.
func hashOf(alg string) crypto.Hash {
	switch {
	case strings.HasSuffix(alg, "256"):
		return crypto.SHA256
	case strings.HasSuffix(alg, "384"):
		return crypto.SHA384
	}
	return crypto.SHA512
}
