package oidc_test

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/federation/fetch"
	"github.com/domicile-sso/domicile/federation/idptest"
	"github.com/domicile-sso/domicile/federation/oidc"
)

func newKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// OID-39: whoever can make us look at tokens cannot make us fetch.
func TestOID39RandomKeyIDs(t *testing.T) {
	b := newBed(t)
	b.idp.Break(idptest.OIDCFaults{Header: func(h map[string]any) { h["kid"] = rand.Text() }})
	for range 50 {
		_, err := b.signIn(t)
		wantCode(t, err, "signature_invalid")
	}
	if n := b.idp.Requests("jwks"); n != 1 {
		t.Errorf("%d fetches for 50 tokens at one moment, want 1", n)
	}
	b.pass(29 * time.Second)
	_, err := b.signIn(t)
	wantCode(t, err, "signature_invalid")
	if n := b.idp.Requests("jwks"); n != 1 {
		t.Errorf("%d fetches within 30 s, want 1", n)
	}
	b.pass(time.Second)
	for range 5 {
		_, err = b.signIn(t)
		wantCode(t, err, "signature_invalid")
	}
	if n := b.idp.Requests("jwks"); n != 2 {
		t.Errorf("%d fetches after 30 s, want 2", n)
	}
}

// A new key is found when the first token it signed arrives, and the old one is
// gone with that.
func TestOID40Rotation(t *testing.T) {
	b := newBed(t)
	_, err := b.signIn(t)
	wantCode(t, err, "")

	old, oldID := b.idp.Key()
	b.idp.RotateTo(newKey(t), "key-2")
	b.pass(31 * time.Second)
	_, err = b.signIn(t)
	wantCode(t, err, "")
	if n := b.idp.Requests("jwks"); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
	b.idp.Break(signedBy(old, oldID))
	_, err = b.signIn(t)
	wantCode(t, err, "signature_invalid")
}

// signedBy signs ID tokens with a key that is no longer published.
func signedBy(k *rsa.PrivateKey, id string) idptest.OIDCFaults {
	return idptest.OIDCFaults{Token: func(_, claims map[string]any) string {
		return idptest.SignJWS("RS256", []byte(`{"alg":"RS256","kid":"`+id+`"}`), jsonOf(claims), k)
	}}
}

// OID-40: a withdrawn key is refused within the hour, even if nothing but that
// key is ever presented, and even if the provider then hides its key set.
func TestOID40Withdrawal(t *testing.T) {
	for _, hidden := range []bool{false, true} {
		t.Run("hidden "+strconv.FormatBool(hidden), func(t *testing.T) {
			b := newBed(t)
			_, err := b.signIn(t)
			wantCode(t, err, "")

			old, oldID := b.idp.Key()
			b.idp.RotateTo(newKey(t), "key-2")
			faults := signedBy(old, oldID)
			code := "signature_invalid"
			if hidden {
				code = "keys_unavailable"
				faults.Serve = map[string]http.HandlerFunc{"jwks": http.NotFound}
			}
			b.idp.Break(faults)
			b.pass(time.Hour)
			_, err = b.signIn(t)
			wantCode(t, err, code)
		})
	}
}

// A provider whose key set fails for a while signs its people in from what is
// known, for as long as that may be believed.
func TestKeysOutage(t *testing.T) {
	b := newBed(t)
	_, err := b.signIn(t)
	wantCode(t, err, "")
	b.idp.Break(idptest.OIDCFaults{Serve: map[string]http.HandlerFunc{"jwks": http.NotFound}})
	for range 11 {
		b.pass(5 * time.Minute)
		_, err := b.signIn(t)
		wantCode(t, err, "")
	}
	b.pass(5 * time.Minute)
	_, err = b.signIn(t)
	wantCode(t, err, "keys_unavailable")
	b.idp.Break(idptest.OIDCFaults{})
	b.pass(30 * time.Second)
	_, err = b.signIn(t)
	wantCode(t, err, "")
}

// OID-38: one provider that never answers delays nobody else, and many who wait
// for it cost one request.
func TestOID38SlowKeySet(t *testing.T) {
	slow, quick := newBed(t), newBed(t)
	quick.rp.Keys = slow.rp.Keys

	asked, release := make(chan struct{}, 20), make(chan struct{})
	slow.idp.Break(idptest.OIDCFaults{Serve: map[string]http.HandlerFunc{"jwks": func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
		http.Error(w, "", http.StatusServiceUnavailable)
	}}})
	var waiting sync.WaitGroup
	for range 10 {
		a := slow.attempt()
		q := slow.visit(t, a)
		waiting.Go(func() {
			_, err := slow.rp.Callback(t.Context(), slow.conn, a, q)
			wantCode(t, err, "keys_unavailable")
		})
	}
	<-asked
	_, err := quick.signIn(t)
	wantCode(t, err, "")
	close(release)
	waiting.Wait()
	if n := slow.idp.Requests("jwks"); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

// OID-41: a thousand keys are not kept, and do no harm.
func TestOID41ManyKeys(t *testing.T) {
	b := newBed(t)
	filler := func(set map[string]any, first bool) {
		own := set["keys"].([]any)
		var keys []any
		if first {
			keys = append(keys, own...)
		}
		for i := range 1000 {
			keys = append(keys, idptest.JWK(&signingKey().PublicKey, "filler-"+strconv.Itoa(i), "RS256"))
		}
		if !first {
			keys = append(keys, own...)
		}
		set["keys"] = keys
	}
	b.idp.Break(idptest.OIDCFaults{Keys: func(set map[string]any) { filler(set, true) }})
	_, err := b.signIn(t)
	wantCode(t, err, "")

	b = newBed(t)
	b.idp.Break(idptest.OIDCFaults{Keys: func(set map[string]any) { filler(set, false) }})
	_, err = b.signIn(t)
	wantCode(t, err, "signature_invalid")
}

// Key sets of addresses nobody should reach are not reached (OID-37).
func TestOID37KeySetInside(t *testing.T) {
	b := newBed(t)
	strict := oidc.New(fetch.New(fetch.Options{}), b.clock)
	for _, inside := range []string{
		"https://169.254.169.254/jwks", "https://127.0.0.1/jwks", "https://[::ffff:7f00:1]/jwks", "https://[64:ff9b::7f00:1]/jwks",
		b.conn.OIDC.JWKSURL,
	} {
		c := b.conn
		s := *c.OIDC
		s.Issuer, s.AuthURL, s.TokenURL = "https://op.example", "https://op.example/a", "https://op.example/t"
		s.UserInfoURL, s.EndSessionURL, s.JWKSURL = "", "", inside
		c.OIDC = &s
		a := b.attempt()
		_, err := strict.Callback(t.Context(), c, a, map[string][]string{"state": {a.State}, "code": {"c"}, "iss": {s.Issuer}})
		wantCode(t, err, "endpoint_refused")
	}
}
