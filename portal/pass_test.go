package portal_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// The whole rule, every combination: what a first step leads to.
func TestNeedsFactor(t *testing.T) {
	for _, policy := range []portal.SecondFactorPolicy{portal.FactorOptional, portal.FactorForPassword, portal.FactorForEveryone} {
		for _, method := range []discovery.SignIn{discovery.Password, discovery.SAML, discovery.OIDC} {
			for bits := range 16 {
				has, trusted, double, offered := bits&1 > 0, bits&2 > 0, bits&4 > 0, bits&8 > 0
				set := portal.DefaultSettings("acme")
				if set.SecondFactor = policy; !offered {
					set.TrustDays = 0
				}
				demanded := policy == portal.FactorForEveryone || policy == portal.FactorForPassword && method == discovery.Password
				signIn, proof := portal.In, portal.IsProved
				switch {
				case double: // a passkey that verified its user is two factors
				case has:
					proof = portal.NeedsSecond // trust proves nobody
					if !trusted || !offered {
						signIn = portal.NeedsSecond
					}
				case demanded:
					signIn = portal.NeedsEnrol // and a proof sets up nothing
				}
				name := fmt.Sprintf("policy %s, by %s, has one %t, trusted %t, trust offered %t, two at once %t", policy, method, has, trusted, offered, double)
				first := portal.FirstStep{Method: method, Has: has, Trusted: trusted, Double: double}
				for purpose, want := range map[portal.AttemptPurpose]portal.Next{
					"": signIn, portal.ForSignIn: signIn, portal.ForConfirm: proof, portal.ForMerge: proof,
				} {
					first.Purpose = purpose
					if got := portal.NeedsFactor(set, first); got != want {
						t.Errorf("%s, for %q: %q, want %q", name, purpose, got, want)
					}
				}
			}
		}
	}
}

func TestFresh(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		proved time.Time
		want   bool
	}{
		{time.Time{}, false}, // a step was skipped
		{now, true},
		{now.Add(-10*time.Minute + time.Second), true},
		{now.Add(-10 * time.Minute), false},
		{now.Add(30 * time.Second), true}, // clocks of two processes
		{now.Add(time.Hour), false},
	} {
		if got := (portal.Session{Proved: tc.proved}).Fresh(now, portal.FreshPage); got != tc.want {
			t.Errorf("proved at %s: %t", tc.proved, got)
		}
	}
	for _, tc := range []struct {
		authenticated, asked time.Time
		want                 bool
	}{
		{now, now, true},
		{now.Add(-50 * time.Second), now, true}, // the IdP's clock is behind
		{now.Add(-2 * time.Minute), now, false},
		{time.Time{}, now, false},
		{now, time.Time{}, false},
	} {
		if got := portal.FreshProof(tc.authenticated, tc.asked) == nil; got != tc.want {
			t.Errorf("signed in at %s, asked at %s: %t", tc.authenticated, tc.asked, got)
		}
	}
}

func TestMatchTOTP(t *testing.T) {
	// RFC 6238, appendix B, the last six digits; the secret is "12345678901234567890".
	secret := portal.Secret("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
	for at, code := range map[int64]portal.Secret{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		if step, ok := portal.MatchTOTP(secret, code, time.Unix(at, 0), 0); !ok || step != at/30 {
			t.Errorf("at %d: step %d, %t", at, step, ok)
		}
	}
	// PWD-08: one step before and after counts, two do not, and none that is not
	// later than the last one.
	at := time.Unix(1111111109, 0)
	for steps, want := range map[int]bool{-2: false, -1: true, 0: true, 1: true, 2: false} {
		if _, ok := portal.MatchTOTP(secret, "081804", at.Add(time.Duration(-steps)*30*time.Second), 0); ok != want {
			t.Errorf("%d steps off: %t", steps, ok)
		}
	}
	if _, ok := portal.MatchTOTP(secret, "081804", at, portal.StepAt(at)); ok {
		t.Error("the last step counts again")
	}
	for _, code := range []portal.Secret{"", "08180", "0818045", "081805"} {
		if _, ok := portal.MatchTOTP(secret, code, at, 0); ok {
			t.Errorf("%q counts", code.Clear())
		}
	}
}

func TestTypedCodes(t *testing.T) {
	for typed, want := range map[portal.Secret]portal.Secret{
		"123456": "123456", " 123 456 ": "123456", "123-456": "123456", "123\u00a0456": "123456",
		"12345": "", "1234567": "", "12345a": "", "": "", "١٢٣٤٥٦": "",
	} {
		if got := portal.TypedCode(typed); got != want {
			t.Errorf("%q: %q", typed.Clear(), got.Clear())
		}
	}
	code := portal.Secret("3f7k-9q2m-x4tz-0abc")
	want := string(portal.RecoveryDigest("ada", code))
	for _, typed := range []portal.Secret{"3F7K9Q2MX4TZ0ABC", "3f7k 9q2m x4tz oabc", " 3f7k-9q2m-x4tz-Oabc "} {
		if got := portal.RecoveryDigest("ada", typed); string(got) != want {
			t.Errorf("%q is another code", typed.Clear())
		}
	}
	if string(portal.RecoveryDigest("bob", code)) == want {
		t.Error("a code is good for two accounts")
	}
	for _, typed := range []portal.Secret{"", "3f7k", "3f7k-9q2m-x4tz-0ab!", "3f7k-9q2m-x4tz-0abcd"} {
		if portal.RecoveryDigest("ada", typed) != nil {
			t.Errorf("%q could be a code", typed.Clear())
		}
	}
}

func TestDrawnCodes(t *testing.T) {
	seen := map[portal.Secret]bool{}
	digits := map[rune]int{}
	for range 2000 {
		code := portal.NewRecoveryCode()
		if portal.RecoveryDigest("", code) == nil || seen[code] {
			t.Fatalf("drawn: %q", code.Clear())
		}
		seen[code] = true
		text := portal.NewTextCode()
		if portal.TypedCode(text) != text {
			t.Fatalf("drawn: %q", text.Clear())
		}
		for _, r := range text.Clear() {
			digits[r]++
		}
	}
	for r, n := range digits { // 12,000 digits, each 1,200 times, give or take 33
		if n < 1000 || n > 1400 {
			t.Errorf("digit %c: %d times", r, n)
		}
	}
}

func TestMayRemove(t *testing.T) {
	two := []portal.Factor{{ID: "1"}, {ID: "2"}}
	for _, tc := range []struct {
		ways portal.Ways
		want bool
	}{
		{portal.Ways{Factors: two, Demanded: true}, true},
		{portal.Ways{Factors: two[:1], Demanded: true}, false},
		{portal.Ways{Factors: two[:1]}, true},
	} {
		if got := tc.ways.MayRemove("1") == nil; got != tc.want {
			t.Errorf("%d factors, demanded %t: %t", len(tc.ways.Factors), tc.ways.Demanded, got)
		}
	}
}

// The path a proof leads back to keeps its own query.
func TestProofPath(t *testing.T) {
	if got := portal.ProofPath("/account/addresses/merge?address=1", "h&x"); got != "/account/addresses/merge?address=1&attempt=h%26x" {
		t.Error(got)
	}
	if got := portal.ProofPath("/account", "h"); got != "/account?attempt=h" {
		t.Error(got)
	}
}
