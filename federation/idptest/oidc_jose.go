package idptest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.Hash.New
	_ "crypto/sha512"
	"encoding/base64"
	"math/big"
	"net/http"
	"net/url"
	"strings"
)

// OIDCFaults are the ways a provider can be wrong. Each hook may be nil.
type OIDCFaults struct {
	Discovery   func(doc map[string]any)
	Keys        func(set map[string]any)
	Answer      func(parameters url.Values) // the redirect back to the relying party
	Header      func(header map[string]any)
	Claims      func(claims map[string]any)
	Token       func(header, claims map[string]any) string // makes the whole ID token
	TokenAnswer func(doc map[string]any)
	UserInfo    func(doc map[string]any)

	// Serve replaces an endpoint, by the names of Requests.
	Serve map[string]http.HandlerFunc
}

// Break makes the provider wrong from now on; the zero value repairs it.
func (p *OIDCProvider) Break(f OIDCFaults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = f
}

// PSSKey signs PS256 and the like with a salt of another length.
type PSSKey struct {
	*rsa.PrivateKey
	Salt int
}

// SignJWS makes a compact JWS of exactly these bytes, however wrong they are.
// alg says how it is signed; the header may say otherwise. The key is an
// *rsa.PrivateKey, PSSKey, *ecdsa.PrivateKey, ed25519.PrivateKey, or []byte for
// HMAC. With alg "none" the signature is empty.
func SignJWS(alg string, header, payload []byte, key any) string {
	input := b64(header) + "." + b64(payload)
	return input + "." + b64(sign(alg, input, key))
}

func sign(alg, input string, key any) []byte {
	if alg == "none" {
		return nil
	}
	h := crypto.SHA256
	switch {
	case strings.HasSuffix(alg, "384"):
		h = crypto.SHA384
	case strings.HasSuffix(alg, "512"):
		h = crypto.SHA512
	}
	d := h.New()
	d.Write([]byte(input))
	sum := d.Sum(nil)
	switch k := key.(type) {
	case []byte:
		m := hmac.New(h.New, k)
		m.Write([]byte(input))
		return m.Sum(nil)
	case ed25519.PrivateKey:
		return ed25519.Sign(k, []byte(input))
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, k, sum)
		must(err)
		size := (k.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	case PSSKey:
		sig, err := rsa.SignPSS(rand.Reader, k.PrivateKey, h, sum, &rsa.PSSOptions{SaltLength: k.Salt})
		must(err)
		return sig
	case *rsa.PrivateKey:
		if strings.HasPrefix(alg, "PS") {
			return sign(alg, input, PSSKey{k, rsa.PSSSaltLengthEqualsHash})
		}
		sig, err := rsa.SignPKCS1v15(rand.Reader, k, h, sum)
		must(err)
		return sig
	}
	panic("idptest: no such key")
}

// JWK describes a public key (RFC 7517). alg may be empty.
func JWK(public any, id, alg string) map[string]any {
	m := map[string]any{"kid": id, "use": "sig"}
	if alg != "" {
		m["alg"] = alg
	}
	switch k := public.(type) {
	case *rsa.PublicKey:
		m["kty"], m["n"], m["e"] = "RSA", b64(k.N.Bytes()), b64(big.NewInt(int64(k.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		must(err)
		half := (len(point) - 1) / 2
		m["kty"], m["crv"], m["x"], m["y"] = "EC", k.Params().Name, b64(point[1:1+half]), b64(point[1+half:])
	case ed25519.PublicKey:
		m["kty"], m["crv"], m["x"] = "OKP", "Ed25519", b64(k)
	default:
		panic("idptest: no such key")
	}
	return m
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func unb64(s string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(s)
	must(err)
	return b
}

func must(err error) {
	if err != nil {
		panic(err) // only what tests put there can be at fault
	}
}
