package store_test

import (
	"testing"
	"time"

	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/portal"
)

// proof starts an attempt that proves something to a session.
func (x *fixture) proof(browser string, purpose portal.AttemptPurpose, ses portal.Session, address string) string {
	x.t.Helper()
	a := portal.Attempt{Purpose: purpose, Session: ses.ID, ReturnTo: "/account/security/totp"}
	if address != "" {
		a.Address = addr(x.t, address)
	}
	h, err := x.StartAttempt(x.ctx, "acme", visitor(browser), a)
	if err != nil {
		x.t.Fatal(err)
	}
	return h
}

// SES-01: whoever proves who they are goes on with a new token; the old one is
// nobody's. Nothing else of the session changes.
func TestStepUp(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		token, secret := x.withTOTP(ian)
		x.account("bob@cloud.example")
		x.clock.add(20 * time.Minute)
		before := x.session(token)
		if before.Fresh(x.clock.now(), portal.FreshForm) {
			t.Fatal("fresh after twenty minutes")
		}
		h := x.proof("own", portal.ForConfirm, before, ian)
		in, err := x.SignInPassword(x.ctx, "acme", visitor("own"), h, good, true)
		if err != nil || in.Next != portal.NeedsSecond || in.Token != "" {
			t.Fatalf("password: %+v, %v", in, err)
		}
		if ses := x.session(token); !ses.Proved.Equal(before.Proved) {
			t.Error("half a proof counts")
		}
		in, err = x.finish("own", h, "totp", x.code(secret))
		if err != nil || in.Next != portal.IsProved || in.Token == "" || in.Token == token || in.ReturnTo != "/account/security/totp" {
			t.Fatalf("proof: %+v, %v", in, err)
		}
		if x.live(token) {
			t.Error("the old token still opens the session")
		}
		after := x.session(in.Token)
		if after.ID != before.ID || !after.Fresh(x.clock.now(), portal.FreshPage) || !after.Started.Equal(before.Started) || !after.Absolute.Equal(before.Absolute) || after.Kept != before.Kept {
			t.Errorf("after: %+v, before %+v", after, before)
		}
		_, err = x.finish("own", h, "totp", x.code(secret))
		wantCode(t, err, "attempt_unknown")

		// Somebody else's password proves nothing here, and is no sign-in either.
		h = x.proof("own", portal.ForConfirm, after, "bob@cloud.example")
		_, err = x.SignInPassword(x.ctx, "acme", visitor("own"), h, good, false)
		wantCode(t, err, "proof_other_account")
		if !x.live(in.Token) || !x.audited("proof.refused", "proof_other_account") || !x.audited("session.proved", "") {
			t.Error("after another's password")
		}
		// A proof for a session that has ended is for nothing.
		h = x.proof("own", portal.ForConfirm, after, ian)
		if _, err := x.SignOut(x.ctx, "acme", visitor("own"), in.Token); err != nil {
			t.Fatal(err)
		}
		_, err = x.SignInPassword(x.ctx, "acme", visitor("own"), h, good, false)
		wantCode(t, err, "attempt_unknown")
	})
}

// confirmAt is the leg of a proof at an IdP.
func (x *fixture) confirmAt(browser, connection string, ses portal.Session) portal.Federated {
	x.t.Helper()
	h := x.proof(browser, portal.ForConfirm, ses, "")
	fa := federation.Attempt{ID: "sso-" + browser, Connection: connection, RequestID: "id-" + h, State: "state-" + h, Nonce: "nonce-" + h,
		Verifier: "verifier-" + h, Fresh: true, Started: x.clock.now(), Expires: x.clock.now().Add(portal.FederationLife)}
	if err := x.StartFederation(x.ctx, "acme", visitor(browser), h, fa); err != nil {
		x.t.Fatal(err)
	}
	return portal.Federated{Attempt: fa, Handle: h}
}

// SES-19 at an IdP: it must have asked anew, and it must be the same person.
func TestStepUpFederated(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		token := x.mustArrive("one", x.person("acme-saml", "s1", "ada@acme.example")).Token
		x.clock.add(30 * time.Minute)
		ses := x.session(token)
		try := func(subject, email string, signedIn time.Time) (portal.SignedIn, error) {
			id := x.person("acme-saml", subject, email)
			id.AuthTime = signedIn
			return x.SignInFederated(x.ctx, "acme", portal.Visitor{Reference: "REF"}, x.confirmAt("one", "acme-saml", ses), id)
		}
		_, err := try("s1", "ada@acme.example", time.Time{})
		wantCode(t, err, "proof_stale")
		_, err = try("s1", "ada@acme.example", x.clock.now().Add(-5*time.Minute))
		wantCode(t, err, "proof_stale")
		_, err = try("s2", "eve@acme.example", x.clock.now())
		wantCode(t, err, "proof_other_account")
		if _, ok, err := x.AccountByAddress(x.ctx, "acme", addr(t, "eve@acme.example")); ok || err != nil {
			t.Error("a proof has made an account")
		}
		if !x.live(token) || x.session(token).Fresh(x.clock.now(), portal.FreshForm) {
			t.Error("a refused proof did something")
		}
		in, err := try("s1", "ada@acme.example", x.clock.now())
		if err != nil || in.Next != portal.IsProved || x.live(token) || !x.session(in.Token).Fresh(x.clock.now(), portal.FreshPage) {
			t.Fatalf("proof: %+v, %v", in, err)
		}
		if !x.audited("session.refused", "proof_stale") {
			t.Error("not audited")
		}
	})
}

// A proof of another account opens nothing; it is read and spent by the session
// that asked for it, once.
func TestProofOfAnotherAccount(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		_, secret := x.withTOTP(ian)
		x.account("bob@cloud.example")
		bob := x.session(x.mustSignIn("one", "bob@cloud.example", good).Token)
		h := x.proof("one", portal.ForMerge, bob, ian)
		in, err := x.SignInPassword(x.ctx, "acme", visitor("one"), h, good, false)
		if err != nil || in.Next != portal.NeedsSecond {
			t.Fatalf("password: %+v, %v", in, err)
		}
		read := func(browser string, purpose portal.AttemptPurpose, session string) string {
			_, err := x.Proof(x.ctx, "acme", visitor(browser), h, purpose, session)
			return code(err)
		}
		if got := read("one", portal.ForMerge, bob.ID); got != "attempt_unknown" {
			t.Errorf("half a proof: %s", got)
		}
		in, err = x.finish("one", h, "totp", x.code(secret))
		if err != nil || in.Next != portal.IsProved || in.Token != "" || in.ReturnTo != "/account/security/totp?attempt="+h {
			t.Fatalf("proof: %+v, %v", in, err)
		}
		for name, got := range map[string]string{
			"in another browser":  read("two", portal.ForMerge, bob.ID),
			"for another purpose": read("one", portal.ForConfirm, bob.ID),
			"by another session":  read("one", portal.ForMerge, "0"),
			"by no session":       read("one", portal.ForMerge, ""),
		} {
			if got != "attempt_unknown" {
				t.Errorf("%s: %s", name, got)
			}
		}
		a, err := x.Proof(x.ctx, "acme", visitor("one"), h, portal.ForMerge, bob.ID)
		if err != nil || a.Primary != addr(t, ian) {
			t.Errorf("proof: %+v, %v", a, err)
		}
		// It is no half sign-in either.
		_, err = x.finish("one", h, "totp", x.code(secret))
		wantCode(t, err, "attempt_unknown")
		x.clock.add(portal.ProofLife)
		if got := read("one", portal.ForMerge, bob.ID); got != "attempt_unknown" {
			t.Errorf("after ten minutes: %s", got)
		}
	})
}

// PWD-09: an invitation's link and a temporary password lead to the second step
// like everything else.
func TestFirstSignInPassesToo(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.policy(portal.FactorForEveryone)
		if _, err := x.Invite(x.ctx, portal.Visitor{}, portal.Invitation{Portal: "acme", Address: addr(t, "new@cloud.example")}); err != nil {
			t.Fatal(err)
		}
		var token, temporary portal.Secret
		for _, l := range x.letters() {
			if l.Kind == portal.InvitationLetter {
				token = l.Token
			}
			if l.Kind == portal.TemporaryLetter {
				temporary = l.Temporary
			}
		}
		in, err := x.RedeemInvitation(x.ctx, "acme", visitor("one"), token, temporary, good, false)
		if err != nil || in.Next != portal.NeedsEnrol || in.Token != "" || in.Attempt == "" {
			t.Fatalf("redeemed: %+v, %v", in, err)
		}
		if half, err := x.Half(x.ctx, "acme", visitor("one"), in.Attempt); err != nil || half.Next != portal.NeedsEnrol {
			t.Errorf("half: %+v, %v", half, err)
		}
		// Whoever breaks off goes on with the new password.
		if in := x.mustSignIn("two", "new@cloud.example", good); in.Next != portal.NeedsEnrol {
			t.Errorf("again: %+v", in)
		}
	})
}
