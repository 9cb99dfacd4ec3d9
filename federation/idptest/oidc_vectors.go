package idptest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"maps"
	"math/big"
	"slices"
	"strings"
)

// signedBy publishes one more key and signs with it, then spoils the result.
func signedBy(alg string, public, key any, published map[string]any, spoil func(token string) string) func(*OIDCProvider) OIDCFaults {
	return func(*OIDCProvider) OIDCFaults {
		return OIDCFaults{
			Keys: func(set map[string]any) {
				k := JWK(public, "other", "")
				maps.Copy(k, published)
				set["keys"] = append(set["keys"].([]any), k)
			},
			Token: func(h, c map[string]any) string {
				h["alg"], h["kid"] = alg, "other"
				return spoil(SignJWS(alg, mustJSON(h), mustJSON(c), key))
			},
		}
	}
}

// ownKey signs with the provider's key, then spoils the result.
func ownKey(spoil func(token string) string) func(*OIDCProvider) OIDCFaults {
	return token(func(k *rsa.PrivateKey, h, c map[string]any) string {
		return spoil(SignJWS("RS256", mustJSON(h), mustJSON(c), k))
	})
}

// again signs what a token says a second time, by another algorithm than its header
// names.
func again(alg string, key any) func(string) string {
	return func(t string) string {
		input := t[:strings.LastIndexByte(t, '.')]
		return input + "." + b64(sign(alg, input, key))
	}
}

// rsaVectors are signatures that are numbers, or paddings, of another kind.
func rsaVectors() []OIDCAttack {
	own := newRSA(2048)
	size := own.Size()
	number := func(f func(s, n *big.Int) *big.Int) func(string) string {
		return spoilt(func(sig []byte) []byte {
			v := f(new(big.Int).SetBytes(sig), own.N)
			return v.FillBytes(make([]byte, max(size, (v.BitLen()+7)/8)))
		})
	}
	rs := func(name string, spoil func(string) string) OIDCAttack {
		return OIDCAttack{ID: "OID-08", Name: "RS256, " + name, Code: "signature_invalid", Faults: signedBy("RS256", &own.PublicKey, own, nil, spoil)}
	}
	ps := func(name string, spoil func(string) string) OIDCAttack {
		return OIDCAttack{ID: "OID-08", Name: "PS256, " + name, Code: "signature_invalid", Settings: pin("PS256"), Faults: signedBy("PS256", &own.PublicKey, own, nil, spoil)}
	}
	return []OIDCAttack{
		rs("zero", number(func(_, _ *big.Int) *big.Int { return new(big.Int) })),
		rs("one", number(func(_, _ *big.Int) *big.Int { return big.NewInt(1) })),
		rs("one below the modulus", number(func(_, n *big.Int) *big.Int { return new(big.Int).Sub(n, big.NewInt(1)) })),
		rs("the modulus", number(func(_, n *big.Int) *big.Int { return new(big.Int).Set(n) })),
		rs("the modulus added", number(func(s, n *big.Int) *big.Int { return new(big.Int).Add(s, n) })),
		rs("the modulus less it", number(func(s, n *big.Int) *big.Int { return new(big.Int).Sub(n, s) })),
		rs("backwards", spoilt(func(s []byte) []byte { reverse(s); return s })),
		rs("a byte more", spoilt(func(s []byte) []byte { return append(s, 0) })),
		rs("hashed by SHA-384", again("RS384", own)),
		rs("hashed by SHA-512", again("RS512", own)),
		rs("padded as PS256", again("PS256", own)),
		ps("padded as RS256", again("RS256", own)),
		ps("hashed by SHA-384", again("PS384", own)),
		ps("hashed by SHA-512", again("PS512", own)),
		ps("one bit flipped", spoilt(func(s []byte) []byte { s[len(s)-1] ^= 1; return s })),
	}
}

// ecdsaVectors are pairs of numbers that no signature has, or in another form.
func ecdsaVectors() []OIDCAttack {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	n := elliptic.P256().Params().N
	one := big.NewInt(1)
	bytes := func(v *big.Int) []byte { return v.FillBytes(make([]byte, max(32, (v.BitLen()+7)/8))) }
	pair := func(r, s *big.Int) func(string) string {
		return spoilt(func(sig []byte) []byte {
			out := slices.Clone(sig)
			if r != nil {
				out = append(bytes(r), sig[32:]...)
			}
			if s != nil {
				out = append(out[:len(out)-32:len(out)-32], bytes(s)...)
			}
			return out
		})
	}
	es := func(name string, spoil func(string) string) OIDCAttack {
		return OIDCAttack{ID: "OID-08", Name: "ES256, " + name, Code: "signature_invalid", Settings: pin("ES256"), Faults: signedBy("ES256", &key.PublicKey, key, nil, spoil)}
	}
	all := []OIDCAttack{
		es("as ASN.1", spoilt(func(s []byte) []byte {
			der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(s[:32]), new(big.Int).SetBytes(s[32:])})
			must(err)
			return der
		})),
		es("swapped", spoilt(func(s []byte) []byte { return append(slices.Clone(s[32:]), s[:32]...) })),
		es("half of it", spoilt(func(s []byte) []byte { return s[:32] })),
		es("a byte less", spoilt(func(s []byte) []byte { return s[:63] })),
		es("a byte more", spoilt(func(s []byte) []byte { return append(s, 0) })),
		es("hashed by SHA-512", again("ES512", key)),
	}
	special := map[string]*big.Int{"zero": new(big.Int), "one": one, "the order": n, "below the order": new(big.Int).Sub(n, one),
		"above the order": new(big.Int).Add(n, one), "the field": elliptic.P256().Params().P, "all ones": new(big.Int).Sub(new(big.Int).Lsh(one, 256), one)}
	for _, a := range slices.Sorted(maps.Keys(special)) {
		for _, b := range slices.Sorted(maps.Keys(special)) {
			all = append(all, es("r "+a+", s "+b, pair(special[a], special[b])))
		}
		all = append(all, es("r "+a, pair(special[a], nil)), es("s "+a, pair(nil, special[a])))
	}
	return all
}

// edwardsVectors are signatures of another length, and points that check anything.
func edwardsVectors() []OIDCAttack {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	ed := func(name string, spoil func(string) string) OIDCAttack {
		return OIDCAttack{ID: "OID-08", Name: "EdDSA, " + name, Code: "signature_invalid", Settings: pin("EdDSA"), Faults: signedBy("EdDSA", public, key, nil, spoil)}
	}
	neutral := make([]byte, 64)
	neutral[0] = 1
	return []OIDCAttack{
		ed("zero", spoilt(func([]byte) []byte { return make([]byte, 64) })),
		ed("the neutral point", spoilt(func([]byte) []byte { return neutral })),
		ed("R changed", spoilt(func(s []byte) []byte { s[3] ^= 4; return s })),
		ed("S changed", spoilt(func(s []byte) []byte { s[40] ^= 4; return s })),
		ed("a byte more", spoilt(func(s []byte) []byte { return append(s, 0) })),
		ed("twice", spoilt(func(s []byte) []byte { return append(s, s...) })),
		ed("R alone", spoilt(func(s []byte) []byte { return s[:32] })),
	}
}
