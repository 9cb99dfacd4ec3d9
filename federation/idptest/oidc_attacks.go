package idptest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/federation"
)

// An OIDCAttack is one way a provider, or somebody who poses as one, can be
// wrong, and what a relying party does about it. It is played by breaking the
// provider, signing in through it, and looking at the refusal.
type OIDCAttack struct {
	ID   string // the attack's number, "OID-14"
	Name string
	Code string // of the refusal; empty: this must be accepted

	// Settings changes the connection beforehand; nil leaves it as it is.
	Settings func(*federation.OIDCSettings)
	// Faults are for Break.
	Faults func(p *OIDCProvider) OIDCFaults
}

// OIDCAttacks is the list. It generates keys, so call it once per test.
func OIDCAttacks() []OIDCAttack {
	return concat(signatureAttacks(), vectorAttacks(), rsaVectors(), ecdsaVectors(), edwardsVectors(), claimAttacks(), answerAttacks(), endpointAttacks())
}

func concat(lists ...[]OIDCAttack) []OIDCAttack {
	var all []OIDCAttack
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// token is a fault that makes the whole ID token with the provider's key.
func token(f func(k *rsa.PrivateKey, header, claims map[string]any) string) func(*OIDCProvider) OIDCFaults {
	return func(p *OIDCProvider) OIDCFaults {
		return OIDCFaults{Token: func(header, claims map[string]any) string {
			k, _ := p.Key()
			return f(k, header, claims)
		}}
	}
}

// claims is a fault that changes the claims before they are signed.
func claims(f func(c map[string]any)) func(*OIDCProvider) OIDCFaults {
	return func(*OIDCProvider) OIDCFaults { return OIDCFaults{Claims: f} }
}

func header(f func(h map[string]any)) func(*OIDCProvider) OIDCFaults {
	return func(*OIDCProvider) OIDCFaults { return OIDCFaults{Header: f} }
}

func answer(f func(v url.Values)) func(*OIDCProvider) OIDCFaults {
	return func(*OIDCProvider) OIDCFaults { return OIDCFaults{Answer: f} }
}

// with signs by another key and algorithm, which the header names.
func with(alg string, key any) func(*OIDCProvider) OIDCFaults {
	return token(func(_ *rsa.PrivateKey, h, c map[string]any) string {
		h["alg"] = alg
		return SignJWS(alg, mustJSON(h), mustJSON(c), key)
	})
}

func newRSA(bits int) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	must(err)
	return k
}

func pin(algs ...string) func(*federation.OIDCSettings) {
	return func(s *federation.OIDCSettings) { s.Algs = algs }
}

func signatureAttacks() []OIDCAttack {
	none := func(alg string) func(*OIDCProvider) OIDCFaults {
		return token(func(_ *rsa.PrivateKey, h, c map[string]any) string {
			h["alg"] = alg
			return SignJWS("none", mustJSON(h), mustJSON(c), nil)
		})
	}
	hmac := func(secret func(*rsa.PublicKey) []byte) func(*OIDCProvider) OIDCFaults {
		return token(func(k *rsa.PrivateKey, h, c map[string]any) string {
			h["alg"] = "HS256"
			return SignJWS("HS256", mustJSON(h), mustJSON(c), secret(&k.PublicKey))
		})
	}
	stranger := newRSA(2048)
	return []OIDCAttack{
		{ID: "OID-01", Name: "alg none", Code: "alg_forbidden", Faults: none("none")},
		{ID: "OID-01", Name: "alg nOnE", Code: "alg_forbidden", Faults: none("nOnE")},
		{ID: "OID-01", Name: "signature removed", Code: "signature_invalid", Faults: none("RS256")},
		{ID: "OID-02", Name: "HS256 with the public key in PEM", Code: "alg_forbidden", Faults: hmac(func(k *rsa.PublicKey) []byte {
			der, err := x509.MarshalPKIXPublicKey(k)
			must(err)
			return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		})},
		{ID: "OID-02", Name: "HS256 with the modulus", Code: "alg_forbidden", Faults: hmac(func(k *rsa.PublicKey) []byte { return k.N.Bytes() })},
		{ID: "OID-03", Name: "PS512 where RS256 is pinned", Code: "alg_forbidden", Faults: token(func(k *rsa.PrivateKey, h, c map[string]any) string {
			h["alg"] = "PS512"
			return SignJWS("PS512", mustJSON(h), mustJSON(c), k)
		})},
		{ID: "OID-04", Name: "JSON serialisation", Code: "id_token_malformed", Faults: token(func(k *rsa.PrivateKey, h, c map[string]any) string {
			parts := strings.Split(SignJWS("RS256", mustJSON(h), mustJSON(c), k), ".")
			return string(mustJSON(map[string]string{"protected": parts[0], "payload": parts[1], "signature": parts[2]}))
		})},
		{ID: "OID-05", Name: "a stranger's key in jwk", Code: "signature_invalid", Faults: token(func(_ *rsa.PrivateKey, h, c map[string]any) string {
			h["jwk"] = JWK(&stranger.PublicKey, "own", "RS256")
			return SignJWS("RS256", mustJSON(h), mustJSON(c), stranger)
		})},
		{ID: "OID-05", Name: "a stranger's key at jku and x5u", Code: "signature_invalid", Faults: func(p *OIDCProvider) OIDCFaults {
			return OIDCFaults{Token: func(h, c map[string]any) string {
				h["jku"], h["x5u"] = p.Issuer()+"/trap/jku", p.Issuer()+"/trap/x5u"
				return SignJWS("RS256", mustJSON(h), mustJSON(c), stranger)
			}}
		}},
		{ID: "OID-06", Name: "kid absent, one key", Faults: header(func(h map[string]any) { delete(h, "kid") })},
		{ID: "OID-06", Name: "kid absent, several keys", Faults: func(*OIDCProvider) OIDCFaults {
			return OIDCFaults{
				Header: func(h map[string]any) { delete(h, "kid") },
				Keys: func(set map[string]any) {
					set["keys"] = append([]any{JWK(&stranger.PublicKey, "other", "RS256")}, set["keys"].([]any)...)
				},
			}
		}},
		{ID: "OID-06", Name: "kid is a path", Code: "signature_invalid", Faults: header(func(h map[string]any) { h["kid"] = "../../../../dev/null" })},
		{ID: "OID-06", Name: "kid is SQL", Code: "signature_invalid", Faults: header(func(h map[string]any) { h["kid"] = "x' UNION SELECT 'k" })},
		{ID: "OID-06", Name: "kid of 600 KB", Code: "id_token_too_large", Faults: header(func(h map[string]any) { h["kid"] = strings.Repeat("k", 600<<10) })},
		{ID: "OID-06", Name: "kid is a number", Code: "id_token_malformed", Faults: header(func(h map[string]any) { h["kid"] = 1 })},
		{ID: "OID-07", Name: "key for encryption", Code: "signature_invalid", Faults: keyed(func(k map[string]any) { k["use"] = "enc" })},
		{ID: "OID-07", Name: "key_ops without verify", Code: "signature_invalid", Faults: keyed(func(k map[string]any) { k["key_ops"] = []string{"encrypt", "wrapKey"} })},
		{ID: "OID-07", Name: "key for another algorithm", Code: "signature_invalid", Faults: keyed(func(k map[string]any) { k["alg"] = "RS512" })},
		{ID: "OID-07", Name: "key for a key exchange", Code: "signature_invalid", Faults: keyed(func(k map[string]any) { k["alg"] = "RSA-OAEP" })},
		{ID: "OID-09", Name: "header nested 300,000 deep", Code: "id_token_too_large", Faults: deep(300_000)},
		{ID: "OID-09", Name: "header nested 4,000 deep", Code: "id_token_malformed", Faults: deep(4_000)},
		{ID: "OID-10", Name: "JWE with PBES2 and 2^31 rounds", Code: "id_token_encrypted", Faults: token(func(_ *rsa.PrivateKey, _, _ map[string]any) string {
			h := mustJSON(map[string]any{"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": int64(1) << 31, "p2s": "c2FsdHNhbHQ"})
			return b64(h) + ".AAAA.AAAA.AAAA.AAAA"
		})},
		{ID: "OID-10", Name: "zip in the header", Code: "id_token_encrypted", Faults: header(func(h map[string]any) { h["zip"] = "DEF" })},
		{ID: "OID-20", Name: "typ at+jwt", Code: "id_token_type", Faults: header(func(h map[string]any) { h["typ"] = "at+jwt" })},
		{ID: "OID-44", Name: "an access token for another API", Code: "id_token_type", Faults: func(*OIDCProvider) OIDCFaults {
			return OIDCFaults{
				Header: func(h map[string]any) { h["typ"] = "application/at+jwt" },
				Claims: func(c map[string]any) { c["aud"] = "https://api.other.example" },
			}
		}},
		{ID: "OID-20", Name: "typ logout+jwt", Code: "id_token_type", Faults: header(func(h map[string]any) { h["typ"] = "logout+jwt" })},
		{ID: "OID-20", Name: "a logout event", Code: "id_token_type", Faults: claims(func(c map[string]any) {
			c["events"] = map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}
		})},
		{ID: "OID-20", Name: "typ absent", Faults: header(func(h map[string]any) { delete(h, "typ") })},
		{ID: "OID-08", Name: "crit", Code: "id_token_malformed", Faults: header(func(h map[string]any) { h["crit"] = []string{"exp"}; h["exp"] = 1 })},
		{ID: "OID-08", Name: "a stranger's key under the right kid", Code: "signature_invalid", Faults: with("RS256", stranger)},
	}
}

// keyed publishes the signing key with other properties.
func keyed(change func(k map[string]any)) func(*OIDCProvider) OIDCFaults {
	return func(*OIDCProvider) OIDCFaults {
		return OIDCFaults{Keys: func(set map[string]any) { change(set["keys"].([]any)[0].(map[string]any)) }}
	}
}

func deep(n int) func(*OIDCProvider) OIDCFaults {
	return token(func(k *rsa.PrivateKey, _, c map[string]any) string {
		h := `{"alg":"RS256","x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`
		return SignJWS("RS256", []byte(h), mustJSON(c), k)
	})
}

// vectorAttacks are the classes of the public JWS test vectors, each made anew.
func vectorAttacks() []OIDCAttack {
	signed, own := signedBy, ownKey
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(err)
	pub, ed, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	weak := newRSA(1024)
	pss := func(salt int) func(*OIDCProvider) OIDCFaults {
		return token(func(k *rsa.PrivateKey, h, c map[string]any) string {
			h["alg"] = "PS256"
			delete(h, "kid")
			return SignJWS("PS256", mustJSON(h), mustJSON(c), PSSKey{k, salt})
		})
	}
	anyAlg := keyed(func(k map[string]any) { delete(k, "alg") })
	withKeys := func(f func(*OIDCProvider) OIDCFaults) func(*OIDCProvider) OIDCFaults {
		return func(p *OIDCProvider) OIDCFaults {
			faults := f(p)
			faults.Keys = anyAlg(p).Keys
			return faults
		}
	}
	same := func(t string) string { return t }
	n := elliptic.P256().Params().N
	return []OIDCAttack{
		{ID: "OID-08", Name: "RSA, one bit flipped", Code: "signature_invalid", Faults: own(spoilt(func(s []byte) []byte { s[20] ^= 1; return s }))},
		{ID: "OID-08", Name: "RSA, truncated", Code: "signature_invalid", Faults: own(spoilt(func(s []byte) []byte { return s[:len(s)-1] }))},
		{ID: "OID-08", Name: "RSA, a zero in front", Code: "signature_invalid", Faults: own(spoilt(func(s []byte) []byte { return append([]byte{0}, s...) }))},
		{ID: "OID-08", Name: "payload changed after signing", Code: "signature_invalid", Faults: own(func(t string) string {
			parts := strings.Split(t, ".")
			return parts[0] + "." + b64([]byte(`{"sub":"somebody else"}`)) + "." + parts[2]
		})},
		{ID: "OID-08", Name: "base64 with padding", Code: "id_token_malformed", Faults: own(func(t string) string { return t + "==" })},
		{ID: "OID-08", Name: "base64 with unused bits", Code: "id_token_malformed", Faults: own(func(t string) string {
			// 256 bytes leave four unused bits in the last character.
			last := strings.IndexByte(alphabet, t[len(t)-1])
			return t[:len(t)-1] + string(alphabet[last|1])
		})},
		{ID: "OID-08", Name: "base64 with a line break", Code: "id_token_malformed", Faults: own(func(t string) string { return t[:len(t)-9] + "\n" + t[len(t)-9:] })},
		{ID: "OID-08", Name: "base64 of the other alphabet", Code: "id_token_malformed", Faults: own(func(t string) string { return t[:len(t)-9] + "+/" + t[len(t)-7:] })},
		{ID: "OID-08", Name: "PS256, right salt", Settings: pin("PS256"), Faults: withKeys(pss(rsa.PSSSaltLengthEqualsHash))},
		{ID: "OID-08", Name: "PS256, no salt", Code: "signature_invalid", Settings: pin("PS256"), Faults: withKeys(pss(0))},
		{ID: "OID-08", Name: "PS256, salt of 20 bytes", Code: "signature_invalid", Settings: pin("PS256"), Faults: withKeys(pss(20))},
		{ID: "OID-08", Name: "PS256, longest salt", Code: "signature_invalid", Settings: pin("PS256"), Faults: withKeys(pss(256 - 32 - 2))},
		{ID: "OID-08", Name: "ES256", Settings: pin("ES256"), Faults: signed("ES256", &p256.PublicKey, p256, nil, same)},
		{ID: "OID-08", Name: "ES256, r and s zero", Code: "signature_invalid", Settings: pin("ES256"), Faults: signed("ES256", &p256.PublicKey, p256, nil,
			spoilt(func([]byte) []byte { return make([]byte, 64) }))},
		{ID: "OID-08", Name: "ES256, r zero", Code: "signature_invalid", Settings: pin("ES256"), Faults: signed("ES256", &p256.PublicKey, p256, nil,
			spoilt(func(s []byte) []byte { return append(make([]byte, 32), s[32:]...) }))},
		{ID: "OID-08", Name: "ES256, s is the order", Code: "signature_invalid", Settings: pin("ES256"), Faults: signed("ES256", &p256.PublicKey, p256, nil,
			spoilt(func(s []byte) []byte { return append(s[:32], n.Bytes()...) }))},
		{ID: "OID-08", Name: "ES256, r beyond the order", Code: "signature_invalid", Settings: pin("ES256"), Faults: signed("ES256", &p256.PublicKey, p256, nil,
			spoilt(func(s []byte) []byte {
				r := new(big.Int).Add(new(big.Int).SetBytes(s[:32]), n)
				return append(r.FillBytes(make([]byte, 33)), s[32:]...)
			}))},
		{ID: "OID-08", Name: "ES256, long form with zeros", Code: "signature_invalid", Settings: pin("ES256"), Faults: signed("ES256", &p256.PublicKey, p256, nil,
			spoilt(func(s []byte) []byte {
				return append(append([]byte{0}, s[:32]...), append([]byte{0}, s[32:]...)...)
			}))},
		{ID: "OID-08", Name: "ES256 by a P-384 key", Code: "signature_invalid", Settings: pin("ES256"), Faults: signed("ES256", &p384.PublicKey, p384, nil, same)},
		{ID: "OID-08", Name: "ES384", Settings: pin("ES384"), Faults: withoutHash(signed("ES384", &p384.PublicKey, p384, nil, same))},
		{ID: "OID-08", Name: "EdDSA", Settings: pin("EdDSA"), Faults: withoutHash(signed("EdDSA", pub, ed, nil, same))},
		{ID: "OID-08", Name: "EdDSA, S beyond the order", Code: "signature_invalid", Settings: pin("EdDSA"), Faults: signed("EdDSA", pub, ed, nil, spoilt(beyond))},
		{ID: "OID-08", Name: "EdDSA, truncated", Code: "signature_invalid", Settings: pin("EdDSA"), Faults: signed("EdDSA", pub, ed, nil,
			spoilt(func(s []byte) []byte { return s[:63] }))},
		{ID: "OID-07", Name: "RS256 by a key whose alg is RS384", Code: "signature_invalid", Faults: keyed(func(k map[string]any) { k["alg"] = "RS384" })},
		{ID: "OID-07", Name: "ES256 by a key for ECDH", Code: "signature_invalid", Settings: pin("ES256"), Faults: signed("ES256", &p256.PublicKey, p256, map[string]any{"alg": "ECDH-ES"}, same)},
		{ID: "OID-41", Name: "RSA of 1024 bits", Code: "signature_invalid", Faults: signed("RS256", &weak.PublicKey, weak, nil, same)},
	}
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// spoilt changes the signature of a token.
func spoilt(f func(sig []byte) []byte) func(string) string {
	return func(t string) string {
		i := strings.LastIndexByte(t, '.') + 1
		return t[:i] + b64(f(unb64(t[i:])))
	}
}

// beyond adds the order of the group to S, which an implementation that does
// not reduce would take for the same signature.
func beyond(sig []byte) []byte {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := sig[32:]
	reverse(s)
	sum := new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(make([]byte, 32))
	reverse(sum)
	return append(sig[:32], sum...)
}

func reverse(b []byte) {
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
}

// withoutHash leaves at_hash out: its hash goes by the algorithm, and the
// provider makes that of RS256.
func withoutHash(f func(*OIDCProvider) OIDCFaults) func(*OIDCProvider) OIDCFaults {
	return func(p *OIDCProvider) OIDCFaults {
		faults := f(p)
		faults.Claims = func(c map[string]any) { delete(c, "at_hash") }
		return faults
	}
}

func claimAttacks() []OIDCAttack {
	set := func(name string, v any) func(*OIDCProvider) OIDCFaults {
		return claims(func(c map[string]any) { c[name] = v })
	}
	drop := func(name string) func(*OIDCProvider) OIDCFaults {
		return claims(func(c map[string]any) { delete(c, name) })
	}
	shift := func(name string, d time.Duration) func(*OIDCProvider) OIDCFaults {
		return claims(func(c map[string]any) { c[name] = c["iat"].(int64) + int64(d/time.Second) })
	}
	// doubled writes one more member in front, so that the true one is last.
	doubled := func(member string) func(*OIDCProvider) OIDCFaults {
		return token(func(k *rsa.PrivateKey, h, c map[string]any) string {
			return SignJWS("RS256", mustJSON(h), append([]byte("{"+member+","), mustJSON(c)[1:]...), k)
		})
	}
	entra := func(s *federation.OIDCSettings) { s.RequiredTenant, s.TrustEmail = "tenant-1", true }
	tenanted := func(more map[string]any) func(*OIDCProvider) OIDCFaults {
		return claims(func(c map[string]any) { c["tid"] = "tenant-1"; maps.Copy(c, more) })
	}
	fresh := func(s *federation.OIDCSettings) { s.MaxAgeSeconds = 60 }
	strong := func(s *federation.OIDCSettings) { s.RequiredACR = []string{"phr"} }
	return []OIDCAttack{
		{ID: "OID-11", Name: "another issuer", Code: "issuer_mismatch", Faults: set("iss", "https://other.example")},
		{ID: "OID-11", Name: "a slash more", Code: "issuer_mismatch", Faults: claims(func(c map[string]any) { c["iss"] = c["iss"].(string) + "/" })},
		{ID: "OID-11", Name: "a template", Code: "issuer_mismatch", Faults: set("iss", "https://login.microsoftonline.com/{tenantid}/v2.0")},
		{ID: "OID-11", Name: "no issuer", Code: "issuer_mismatch", Faults: drop("iss")},
		{ID: "OID-13", Name: "aud of another client", Code: "audience_mismatch", Faults: set("aud", "other")},
		{ID: "OID-13", Name: "aud missing", Code: "audience_missing", Faults: drop("aud")},
		{ID: "OID-13", Name: "aud empty", Code: "audience_missing", Faults: set("aud", []string{})},
		{ID: "OID-14", Name: "issued to another client", Code: "azp_mismatch", Faults: claims(func(c map[string]any) {
			c["aud"], c["azp"] = []any{"other", c["aud"]}, "other"
		})},
		{ID: "OID-14", Name: "two audiences, issued to us", Faults: claims(func(c map[string]any) {
			c["azp"] = c["aud"]
			c["aud"] = []any{c["aud"], "other"}
		})},
		{ID: "OID-15", Name: "nonce missing", Code: "nonce_missing", Faults: drop("nonce")},
		{ID: "OID-15", Name: "another nonce", Code: "nonce_mismatch", Faults: set("nonce", "of-another-attempt")},
		{ID: "OID-15", Name: "nonce is a list", Code: "id_token_refused", Faults: claims(func(c map[string]any) { c["nonce"] = []any{c["nonce"]} })},
		{ID: "OID-16", Name: "expired two seconds ago", Code: "expired", Faults: shift("exp", -2*time.Second)},
		{ID: "OID-16", Name: "exp missing", Code: "exp_missing", Faults: drop("exp")},
		{ID: "OID-16", Name: "exp is text", Code: "exp_missing", Faults: set("exp", "4102444800")},
		{ID: "OID-16", Name: "not yet valid", Code: "not_yet_valid", Faults: shift("nbf", 6*time.Minute)},
		{ID: "OID-17", Name: "exp in 9999", Code: "lifetime_too_long", Faults: set("exp", int64(253402300799))},
		{ID: "OID-17", Name: "iat in 2001", Code: "iat_out_of_window", Faults: set("iat", int64(1_000_000_000))},
		{ID: "OID-17", Name: "iat tomorrow", Code: "iat_out_of_window", Faults: claims(func(c map[string]any) {
			c["iat"], c["exp"] = c["iat"].(int64)+86400, c["exp"].(int64)+86400
		})},
		{ID: "OID-17", Name: "iat missing", Code: "iat_missing", Faults: drop("iat")},
		{ID: "OID-17", Name: "iat is 1e300", Code: "iat_missing", Faults: set("iat", json.Number("1e300"))},
		{ID: "OID-18", Name: "sub missing", Code: "sub_invalid", Faults: drop("sub")},
		{ID: "OID-18", Name: "sub empty", Code: "sub_invalid", Faults: set("sub", "")},
		{ID: "OID-18", Name: "sub of 256 characters", Code: "sub_invalid", Faults: set("sub", strings.Repeat("s", 256))},
		{ID: "OID-18", Name: "sub with a control character", Code: "sub_invalid", Faults: set("sub", "a\x00b")},
		{ID: "OID-18", Name: "sub with a line break", Code: "sub_invalid", Faults: set("sub", "a\nb")},
		{ID: "OID-18", Name: "sub is a number", Code: "id_token_refused", Faults: set("sub", 1)},
		{ID: "OID-18", Name: "sub of 255 characters", Faults: set("sub", strings.Repeat("s", 255))},
		{ID: "OID-19", Name: "sub twice", Code: "claims_malformed", Faults: doubled(`"sub":"victim"`)},
		{ID: "OID-19", Name: "SUB", Code: "claims_ambiguous", Faults: set("SUB", "victim")},
		{ID: "OID-19", Name: "ſub", Code: "claims_ambiguous", Faults: set("ſub", "victim")},
		{ID: "OID-19", Name: "EMAIL", Code: "claims_ambiguous", Faults: set("EMAIL", "victim@acme.example")},
		{ID: "OID-19", Name: "Email_Verified", Code: "claims_ambiguous", Faults: set("Email_Verified", true)},
		{ID: "OID-19", Name: "a duplicate inside another claim", Code: "claims_malformed", Faults: doubled(`"address":{"a":1,"a":2}`)},
		{ID: "OID-19", Name: "two claims that differ in case", Code: "claims_ambiguous", Faults: claims(func(c map[string]any) { c["dept"], c["Dept"] = "a", "b" })},
		{ID: "OID-19", Name: "not UTF-8", Code: "claims_malformed", Faults: doubled("\"x\":\"\xff\"")},
		{ID: "OID-22", Name: "at_hash of another token", Code: "at_hash_mismatch", Faults: set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA")},
		{ID: "OID-22", Name: "at_hash absent", Faults: drop("at_hash")},
		{ID: "OID-22", Name: "c_hash of another code", Code: "c_hash_mismatch", Faults: set("c_hash", "AAAAAAAAAAAAAAAAAAAAAA")},
		{ID: "OID-26", Name: "our tenant", Settings: entra, Faults: tenanted(nil)},
		{ID: "OID-26", Name: "another tenant", Code: "tenant_mismatch", Settings: entra, Faults: tenanted(map[string]any{"tid": "tenant-2"})},
		{ID: "OID-26", Name: "no tenant", Code: "tenant_mismatch", Settings: entra, Faults: drop("tid")},
		{ID: "OID-26", Name: "a guest", Code: "guest_user", Settings: entra, Faults: tenanted(map[string]any{"acct": 1})},
		{ID: "OID-26", Name: "signed in elsewhere", Code: "guest_user", Settings: entra, Faults: tenanted(map[string]any{"idp": "https://sts.windows.net/tenant-2/"})},
		{ID: "OID-26", Name: "signed in at home, old spelling", Settings: entra, Faults: tenanted(map[string]any{"idp": "https://sts.windows.net/tenant-1/"})},
		{ID: "OID-26", Name: "domain not verified", Code: "email_domain_unverified", Settings: entra, Faults: tenanted(map[string]any{"xms_edov": false})},
		{ID: "OID-26", Name: "domain not verified, as 0", Code: "email_domain_unverified", Settings: entra, Faults: tenanted(map[string]any{"xms_edov": "0"})},
		{ID: "OID-26", Name: "domain verified, as 1", Settings: entra, Faults: tenanted(map[string]any{"xms_edov": "1"})},
		{ID: "OID-42", Name: "auth_time missing", Code: "auth_time_missing", Settings: fresh, Faults: drop("auth_time")},
		{ID: "OID-42", Name: "signed in an hour ago", Code: "auth_too_old", Settings: fresh, Faults: shift("auth_time", -time.Hour)},
		{ID: "OID-42", Name: "signed in tomorrow", Code: "auth_too_old", Settings: fresh, Faults: shift("auth_time", 24*time.Hour)},
		{ID: "OID-42", Name: "fresh enough", Settings: fresh, Faults: shift("auth_time", -30*time.Second)},
		{ID: "OID-42", Name: "acr absent", Code: "acr_insufficient", Settings: strong, Faults: drop("acr")},
		{ID: "OID-42", Name: "acr weaker", Code: "acr_insufficient", Settings: strong, Faults: set("acr", "0")},
		{ID: "OID-42", Name: "acr as asked", Settings: strong, Faults: set("acr", "phr")},
		{ID: "OID-45", Name: "a claim source inside", Faults: func(p *OIDCProvider) OIDCFaults {
			return OIDCFaults{Claims: func(c map[string]any) {
				c["_claim_names"] = map[string]any{"groups": "src1"}
				c["_claim_sources"] = map[string]any{"src1": map[string]any{"endpoint": p.Issuer() + "/trap/claims"}}
			}}
		}},
	}
}

func answerAttacks() []OIDCAttack {
	set := func(name, value string) func(*OIDCProvider) OIDCFaults {
		return answer(func(v url.Values) { v.Set(name, value) })
	}
	return []OIDCAttack{
		{ID: "OID-21", Name: "token instead of a code", Code: "front_channel_token", Faults: answer(func(v url.Values) { v.Del("code"); v.Set("id_token", "a.b.c") })},
		{ID: "OID-21", Name: "token beside a code", Code: "front_channel_token", Faults: set("id_token", "a.b.c")},
		{ID: "OID-29", Name: "answer of another provider", Code: "iss_mismatch", Faults: set("iss", "https://other.example")},
		{ID: "OID-29", Name: "iss missing though announced", Code: "iss_missing", Faults: answer(func(v url.Values) { v.Del("iss") })},
		{ID: "OID-29", Name: "iss missing, never announced", Settings: func(s *federation.OIDCSettings) { s.IssParameter = false }, Faults: answer(func(v url.Values) { v.Del("iss") })},
		{ID: "OID-29", Name: "another iss, never announced", Code: "iss_mismatch", Settings: func(s *federation.OIDCSettings) { s.IssParameter = false }, Faults: set("iss", "https://other.example")},
		{ID: "OID-30", Name: "a code out of the blue", Code: "token_refused", Faults: set("code", "guessed")},
		{ID: "OID-32", Name: "error with a script", Code: "idp_error", Faults: answer(func(v url.Values) {
			v.Del("code")
			v.Set("error", "<script>alert(1)</script>")
			v.Set("error_description", "<script>alert(1)</script>")
		})},
		{ID: "OID-32", Name: "access denied", Code: "idp_error", Faults: answer(func(v url.Values) { v.Del("code"); v.Set("error", "access_denied") })},
		{ID: "OID-33", Name: "code twice", Code: "duplicate_parameter", Faults: answer(func(v url.Values) { v.Add("code", "another") })},
		{ID: "OID-33", Name: "state twice", Code: "duplicate_parameter", Faults: answer(func(v url.Values) { v.Add("state", "another") })},
		{ID: "OID-33", Name: "a code of 5 KB", Code: "oversized_parameter", Faults: set("code", strings.Repeat("c", 5<<10))},
		{ID: "OID-33", Name: "no code", Code: "code_missing", Faults: answer(func(v url.Values) { v.Del("code") })},
	}
}

func endpointAttacks() []OIDCAttack {
	serve := func(endpoint string, h http.HandlerFunc) func(*OIDCProvider) OIDCFaults {
		return func(*OIDCProvider) OIDCFaults {
			return OIDCFaults{Serve: map[string]http.HandlerFunc{endpoint: h}}
		}
	}
	redirect := func(endpoint string) func(*OIDCProvider) OIDCFaults {
		return func(p *OIDCProvider) OIDCFaults {
			return OIDCFaults{Serve: map[string]http.HandlerFunc{endpoint: func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, p.Issuer()+"/trap/"+endpoint, http.StatusTemporaryRedirect)
			}}}
		}
	}
	huge := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"keys":[],"access_token":"`))
		chunk := []byte(strings.Repeat("x", 64<<10))
		for range 100 << 20 / len(chunk) {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	said := func(f func(doc map[string]any)) func(*OIDCProvider) OIDCFaults {
		return func(*OIDCProvider) OIDCFaults { return OIDCFaults{TokenAnswer: f} }
	}
	noEmail := func(info func(doc map[string]any)) func(*OIDCProvider) OIDCFaults {
		return func(*OIDCProvider) OIDCFaults {
			return OIDCFaults{UserInfo: info, Claims: func(c map[string]any) { delete(c, "email"); delete(c, "email_verified") }}
		}
	}
	return []OIDCAttack{
		{ID: "OID-23", Name: "address from UserInfo", Faults: noEmail(nil)},
		{ID: "OID-23", Name: "UserInfo about somebody else", Code: "userinfo_subject_mismatch", Faults: noEmail(func(d map[string]any) { d["sub"] = "victim" })},
		{ID: "OID-23", Name: "UserInfo about nobody", Code: "userinfo_subject_mismatch", Faults: noEmail(func(d map[string]any) { delete(d, "sub") })},
		{ID: "OID-23", Name: "UserInfo as an unsigned token", Code: "userinfo_malformed", Faults: func(p *OIDCProvider) OIDCFaults {
			f := noEmail(nil)(p)
			f.Serve = map[string]http.HandlerFunc{"userinfo": func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/jwt")
				w.Write([]byte(SignJWS("none", []byte(`{"alg":"none"}`), []byte(`{"sub":"victim"}`), nil)))
			}}
			return f
		}},
		{ID: "OID-34", Name: "token endpoint redirects", Code: "token_unavailable", Faults: redirect("token")},
		{ID: "OID-34", Name: "token endpoint sends 100 MB", Code: "token_unavailable", Faults: serve("token", huge)},
		{ID: "OID-34", Name: "token endpoint fails", Code: "token_unavailable", Faults: serve("token", func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "stack trace", http.StatusInternalServerError)
		})},
		{ID: "OID-34", Name: "no ID token", Code: "id_token_missing", Faults: said(func(d map[string]any) { delete(d, "id_token") })},
		{ID: "OID-34", Name: "another type of token", Code: "token_type", Faults: said(func(d map[string]any) { d["token_type"] = "mac" })},
		{ID: "OID-35", Name: "client refused", Code: "token_refused", Settings: func(s *federation.OIDCSettings) { s.ClientSecret = "wrong" },
			Faults: func(*OIDCProvider) OIDCFaults { return OIDCFaults{} }},
		{ID: "OID-38", Name: "key set of 100 MB", Code: "keys_unavailable", Faults: serve("jwks", huge)},
		{ID: "OID-38", Name: "key set redirects", Code: "keys_unavailable", Faults: redirect("jwks")},
		{ID: "OID-38", Name: "key set is a page", Code: "keys_unavailable", Faults: serve("jwks", func(w http.ResponseWriter, r *http.Request) {
			w.Write([]byte("<html>"))
		})},
		{ID: "OID-40", Name: "all keys withdrawn", Code: "signature_invalid", Faults: func(*OIDCProvider) OIDCFaults {
			return OIDCFaults{Keys: func(set map[string]any) { set["keys"] = []any{} }}
		}},
		{ID: "OID-41", Name: "a symmetric key", Code: "alg_forbidden", Faults: func(*OIDCProvider) OIDCFaults {
			secret := []byte("0123456789abcdef0123456789abcdef")
			return OIDCFaults{
				Keys: func(set map[string]any) {
					set["keys"] = append(set["keys"].([]any), map[string]any{"kty": "oct", "kid": "oct", "k": b64(secret)})
				},
				Token: func(h, c map[string]any) string {
					h["alg"], h["kid"] = "HS256", "oct"
					return SignJWS("HS256", mustJSON(h), mustJSON(c), secret)
				},
			}
		}},
		{ID: "OID-41", Name: "other kinds of keys beside ours", Faults: func(*OIDCProvider) OIDCFaults {
			return OIDCFaults{Keys: func(set map[string]any) {
				set["keys"] = append([]any{map[string]any{"kty": "oct", "k": "AAAA"}, map[string]any{"kty": "AKP"}, map[string]any{"kty": "RSA"}, 7}, set["keys"].([]any)...)
			}}
		}},
		{ID: "OID-41", Name: "a duplicate kid", Faults: func(p *OIDCProvider) OIDCFaults {
			other := newRSA(2048)
			return OIDCFaults{Keys: func(set map[string]any) {
				_, id := p.Key()
				set["keys"] = append([]any{JWK(&other.PublicKey, id, "RS256")}, set["keys"].([]any)...)
			}}
		}},
	}
}
