package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/idptest"
	"github.com/domicile-sso/domicile/federation/oidc"
	"github.com/domicile-sso/domicile/federation/saml"
)

// repeat says how often one processor does something in a second of its time.
func (b *bench) repeat(do func() error) (float64, error) {
	for range 10 {
		if err := do(); err != nil {
			return 0, err
		}
	}
	begin, busy := time.Now(), processor()
	for n := 1; ; n++ {
		if err := do(); err != nil {
			return 0, err
		}
		if time.Since(begin) >= b.round {
			return float64(n) / (processor() - busy).Seconds(), nil
		}
	}
}

func (b *bench) federation(ctx context.Context) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	verifySAML, err := samlWork(key)
	if err != nil {
		return err
	}
	callback, err := oidcWork(ctx, key)
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte("a message"))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		return err
	}
	check := func() error { return rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], signature) }

	fmt.Print("\nSign-ins verified on one processor, beside the bare RSA-2048 signature check\n\n")
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "what\tper second\tbare\tratio\t")
	for _, work := range []struct {
		name string
		do   func() error
	}{
		{"SAML response", verifySAML},
		{"OIDC callback", callback},
	} {
		side := func(do func() error) side {
			return func(context.Context) (result, error) {
				rate, err := b.repeat(do)
				return result{persecond: rate}, err
			}
		}
		us, bare, err := b.turns(ctx, side(work.do), side(check))
		if err != nil {
			return fmt.Errorf("%s: %w", work.name, err)
		}
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.3f\t\n", work.name, us.persecond, bare.persecond, us.persecond/bare.persecond)
	}
	return w.Flush()
}

// samlWork verifies a response like those of the large providers: one signed
// assertion with a handful of attributes.
func samlWork(key *rsa.PrivateKey) (func() error, error) {
	idp, err := idptest.NewSAML(idptest.SAMLOptions{URL: "https://idp.example", Key: key})
	if err != nil {
		return nil, err
	}
	settings := idp.Settings()
	settings.EntityID = "https://acme.eu.example.com/saml/acme-saml/metadata"
	settings.ACS = "https://acme.eu.example.com/saml/acme-saml/acs"
	c := federation.Connection{ID: "acme-saml", Portal: "acme", Kind: federation.SAML, SAML: &settings}
	const id = "id-0123456789abcdef0123456789abcdef01234567"
	response, err := idp.Mint(idptest.SAMLTarget{EntityID: settings.EntityID, ACS: settings.ACS, RequestID: id}, idptest.SAMLMint{
		User: idptest.User{Subject: "ada", Address: "ada@acme.example", GivenName: "Ada", FamilyName: "Lovelace", Groups: []string{"staff", "mathematicians"}},
	})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return func() error {
		_, err := saml.Verify(response, saml.Expect{Connection: c, RequestIDs: []string{id}, Now: now})
		return err
	}, nil
}

// oidcWork redeems a code and verifies the ID token. The provider answers from
// memory, so no network is measured.
func oidcWork(ctx context.Context, key *rsa.PrivateKey) (func() error, error) {
	const issuer, client, nonce, state = "https://idp.example", "domicile", "nonce-0123456789abcdef0123456789abcdef01234", "state-0123456789abcdef0123456789abcdef01234"
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": issuer, "aud": client, "sub": "gus", "nonce": nonce, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"email": "gus@globex.example", "email_verified": true, "name": "Gus Grissom",
	})
	if err != nil {
		return nil, err
	}
	tokens, err := json.Marshal(map[string]any{
		"access_token": "opaque", "token_type": "Bearer", "expires_in": 3600,
		"id_token": idptest.SignJWS("RS256", []byte(`{"alg":"RS256","kid":"k"}`), claims, key),
	})
	if err != nil {
		return nil, err
	}
	keys, err := json.Marshal(map[string]any{"keys": []any{idptest.JWK(&key.PublicKey, "k", "RS256")}})
	if err != nil {
		return nil, err
	}
	http := &http.Client{Transport: memory{"/token": tokens, "/jwks": keys}}
	rp := oidc.New(http, func() time.Time { return now })
	c := federation.Connection{ID: "globex-oidc", Portal: "globex", Kind: federation.OIDC, OIDC: &federation.OIDCSettings{
		RedirectURI: "https://globex.us.example.com/oidc/globex-oidc/callback", Issuer: issuer, ClientID: client, ClientSecret: "s",
		AuthMethod: "client_secret_basic", AuthURL: issuer + "/authorize", TokenURL: issuer + "/token", JWKSURL: issuer + "/jwks", Algs: []string{"RS256"},
	}}
	a := federation.Attempt{
		ID: "attempt", Connection: c.ID, State: state, Nonce: nonce, Verifier: strings.Repeat("v", 43),
		Started: now.Add(-time.Second), Expires: now.Add(10 * time.Minute),
	}
	q := url.Values{"code": {"code"}, "state": {state}}
	return func() error {
		_, err := rp.Callback(ctx, c, a, q)
		return err
	}, nil
}

// memory is a provider that answers without a network.
type memory map[string][]byte

func (m memory) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   io.NopCloser(strings.NewReader(string(m[r.URL.Path]))),
	}, nil
}
