package discovery_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/regions"
)

var now = time.Unix(1_800_000_000, 0)

func newRegion(name string) (regions.Record, ed25519.PrivateKey) {
	public, private, _ := ed25519.GenerateKey(nil)
	return regions.Record{Region: name, PublishingKeys: []regions.PublishingKey{{ID: regions.KeyID(public), Public: public}}}, private
}

func wantError(t *testing.T, err error, kind discovery.Kind, code string) {
	t.Helper()
	var e *discovery.Error
	if !errors.As(err, &e) || e.Kind != kind || e.Code != code {
		t.Errorf("failed with %v, want %s", err, code)
	}
}

func TestBatchRoundTrip(t *testing.T) {
	eu, key := newRegion("eu")
	us, _ := newRegion("us")
	want := discovery.Batch{Region: "eu", After: 3, Issued: now.Unix(), Claims: []discovery.Claim{
		{Seq: 4, Entry: &discovery.Entry{Blind: discovery.BlindID{1, 2}, Portal: "acme", SignIn: []discovery.SignIn{discovery.SAML}}},
		{Seq: 5, Gone: true, Route: &discovery.Route{Domain: "acme.example", Portal: "acme"}},
		{Seq: 6, Sweep: 4},
	}}
	jws, err := discovery.SignBatch(want, key, "")
	if err != nil {
		t.Fatal(err)
	}
	got, by, err := discovery.OpenBatch(jws, []regions.Record{us, eu}, now)
	if diff := cmp.Diff(want, got); err != nil || diff != "" || by.Region != "eu" {
		t.Errorf("from %q, %v (-want +got):\n%s", by.Region, err, diff)
	}
}

func TestOpenBatchRefuses(t *testing.T) {
	eu, key := newRegion("eu")
	us, usKey := newRegion("us")
	_, stranger := newRegion("eu")
	sign := func(b discovery.Batch, key ed25519.PrivateKey, id string) string {
		if b.Issued == 0 {
			b.Issued = now.Unix()
		}
		jws, err := discovery.SignBatch(b, key, id)
		if err != nil {
			t.Fatal(err)
		}
		return jws
	}
	good := sign(discovery.Batch{Region: "eu"}, key, "")
	proof, err := discovery.SignProof(discovery.Proof{Region: "eu", Issued: now.Unix()}, key, "")
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(good, ".")
	body, sig, _ := strings.Cut(rest, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	none := b64([]byte(`{"alg":"none","typ":"domicile-claims+jwt","kid":"`+eu.PublishingKeys[0].ID+`"}`)) + "." + body + "."
	many := make([]discovery.Claim, discovery.MaxClaims+1)
	for i := range many {
		many[i].Seq = int64(i) + 1
	}
	for _, c := range []struct {
		name, jws string
		kind      discovery.Kind
		code      string
	}{
		{"nothing", "", discovery.Forbidden, "claims_refused"},
		{"nonsense", "a.b.c", discovery.Forbidden, "claims_refused"},
		{"no algorithm", none, discovery.Forbidden, "claims_refused"},
		{"no signature", head + "." + body + ".", discovery.Forbidden, "claims_refused"},
		{"another body", head + "." + b64([]byte(`{"region":"eu","claims":[]}`)) + "." + sig, discovery.Forbidden, "claims_refused"},
		{"a proof", proof, discovery.Forbidden, "claims_refused"},
		{"a stranger's key", sign(discovery.Batch{Region: "eu"}, stranger, ""), discovery.Forbidden, "claims_refused"},
		{"a stranger's key under our name", sign(discovery.Batch{Region: "eu"}, stranger, eu.PublishingKeys[0].ID), discovery.Forbidden, "claims_refused"},
		{"another region's key", sign(discovery.Batch{Region: "eu"}, usKey, ""), discovery.Forbidden, "claims_refused"},
		{"an unknown region", sign(discovery.Batch{Region: "ca"}, key, ""), discovery.Forbidden, "claims_refused"},
		{"old", sign(discovery.Batch{Region: "eu", Issued: now.Unix() - 301}, key, ""), discovery.Forbidden, "claims_stale"},
		{"of the future", sign(discovery.Batch{Region: "eu", Issued: now.Unix() + 301}, key, ""), discovery.Forbidden, "claims_stale"},
		{"out of order", sign(discovery.Batch{Region: "eu", Claims: []discovery.Claim{{Seq: 2}, {Seq: 2}}}, key, ""), discovery.Invalid, "claims_invalid"},
		{"no sequence", sign(discovery.Batch{Region: "eu", Claims: []discovery.Claim{{}}}, key, ""), discovery.Invalid, "claims_invalid"},
		{"too many", sign(discovery.Batch{Region: "eu", Claims: many}, key, ""), discovery.Invalid, "claims_invalid"},
		{"too long", strings.Repeat("a", discovery.MaxBatch+1), discovery.TooLarge, "claims_too_large"},
		{"deep header", b64([]byte(strings.Repeat("[", 100_000))) + "." + body + "." + sig, discovery.Forbidden, "claims_refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := discovery.OpenBatch(c.jws, []regions.Record{eu, us}, now)
			wantError(t, err, c.kind, c.code)
		})
	}
	if _, _, err := discovery.OpenBatch(good, []regions.Record{eu, us}, now); err != nil {
		t.Errorf("the good one is refused: %v", err)
	}
}

func TestOpenProof(t *testing.T) {
	eu, key := newRegion("eu")
	const door = "https://sign-in.example.com"
	sign := func(p discovery.Proof) string {
		jws, err := discovery.SignProof(p, key, "")
		if err != nil {
			t.Fatal(err)
		}
		return jws
	}
	known := []regions.Record{eu}
	p, err := discovery.OpenProof(sign(discovery.Proof{Region: "eu", Portal: "acme", FrontDoor: door + "/", Issued: now.Unix()}), known, door, now)
	if err != nil || p.Portal != "acme" {
		t.Fatalf("%v, %v", p, err)
	}
	for code, bad := range map[string]discovery.Proof{
		"proof_refused": {Region: "eu", Portal: "acme", FrontDoor: "https://other.example.com", Issued: now.Unix()},
		"proof_expired": {Region: "eu", Portal: "acme", FrontDoor: door, Issued: now.Add(-discovery.ProofLife - time.Second).Unix()},
	} {
		_, err := discovery.OpenProof(sign(bad), known, door, now)
		wantError(t, err, discovery.Forbidden, code)
	}
	_, err = discovery.OpenProof(sign(discovery.Proof{Region: "us", Portal: "acme", FrontDoor: door, Issued: now.Unix()}), known, door, now)
	wantError(t, err, discovery.Forbidden, "proof_refused")
	_, err = discovery.OpenProof(strings.Repeat("a", 5000), known, door, now)
	wantError(t, err, discovery.Forbidden, "proof_refused")
	batch, _ := discovery.SignBatch(discovery.Batch{Region: "eu", Issued: now.Unix()}, key, "")
	_, err = discovery.OpenProof(batch, known, door, now)
	wantError(t, err, discovery.Forbidden, "proof_refused")
}
