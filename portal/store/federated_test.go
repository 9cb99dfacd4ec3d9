package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/portal"
)

// leg starts a federated leg of a new attempt of a browser.
func (x *fixture) leg(browser, connection string) portal.Federated {
	x.t.Helper()
	return x.legOf(visitor(browser), connection, portal.Attempt{ReturnTo: "/inbox?m=1"})
}

func (x *fixture) legOf(v portal.Visitor, connection string, att portal.Attempt) portal.Federated {
	x.t.Helper()
	h, err := x.StartAttempt(x.ctx, "acme", v, att)
	if err != nil {
		x.t.Fatal(err)
	}
	fa := federation.Attempt{ID: "sso-" + string(v.Browser), Connection: connection, RequestID: "id-" + h, State: "state-" + h,
		Nonce: "nonce-" + h, Verifier: "verifier-" + h, Started: x.clock.now(), Expires: x.clock.now().Add(portal.FederationLife)}
	if err := x.StartFederation(x.ctx, "acme", v, h, fa); err != nil {
		x.t.Fatal(err)
	}
	f, err := x.FederationByState(x.ctx, "acme", portal.Secret(fa.ID), connection, fa.State)
	if err != nil {
		x.t.Fatal(err)
	}
	return f
}

var once int

// person is what an IdP proves about somebody.
func (x *fixture) person(connection, subject, email string) federation.Identity {
	once++
	return federation.Identity{Connection: connection, Issuer: "https://idp.example", Subject: subject, Email: email, EmailVerified: true,
		GivenName: "Ada", FamilyName: "Lovelace", OnceID: fmt.Sprint("once-", once), OnceUntil: x.clock.now().Add(time.Minute)}
}

func (x *fixture) arrive(browser string, id federation.Identity) (portal.SignedIn, error) {
	x.t.Helper()
	return x.SignInFederated(x.ctx, "acme", portal.Visitor{Reference: "REF"}, x.leg(browser, id.Connection), id)
}

func (x *fixture) mustArrive(browser string, id federation.Identity) portal.SignedIn {
	x.t.Helper()
	in, err := x.arrive(browser, id)
	if err != nil {
		x.t.Fatalf("arrive: %v", err)
	}
	return in
}

func TestJustInTimeAndAgain(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		in := x.mustArrive("one", x.person("acme-saml", "subject-1", "Ada@ACME.example"))
		if in.ReturnTo != "/inbox?m=1" || in.Account.Primary != addr(t, "ada@acme.example") {
			t.Errorf("signed in: %+v", in)
		}
		ses, err := x.SessionByToken(x.ctx, "acme", in.Token)
		if err != nil || ses.Method != "saml" || ses.Connection != "acme-saml" || ses.Account.FamilyName != "Lovelace" {
			t.Errorf("session: %+v, %v", ses, err)
		}
		again := x.mustArrive("one", x.person("acme-saml", "subject-1", "ada@acme.example"))
		if again.Account.ID != in.Account.ID || again.Token == in.Token || x.live(in.Token) {
			t.Error("the second sign-in is another account, or the first session lives on")
		}
	})
}

// Law 9 and its rows: whom an IdP may speak for.
func TestArrivalsThatAreRefused(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.account("held@acme.example")
		x.mustArrive("first", x.person("acme-saml", "subject-held", "held@acme.example"))
		x.domain(portal.Domain{Name: "closed.example", Portal: "acme", Connection: "acme-saml"})
		gone := x.account("gone@acme.example")
		if _, err := x.Disable(x.ctx, "acme", visitor("admin"), gone.Primary); err != nil {
			t.Fatal(err)
		}
		unverified := x.person("acme-saml", "s", "new@acme.example")
		unverified.EmailVerified = false
		incomplete := x.person("acme-saml", "s", "new@acme.example")
		incomplete.OnceID = ""
		tests := map[string]struct {
			id   federation.Identity
			want string
		}{
			"SAM-69 a domain of nobody":               {x.person("acme-saml", "s", "eve@elsewhere.example"), "domain_not_proven"},
			"SAM-69 known subject, foreign domain":    {x.person("acme-saml", "subject-held", "eve@elsewhere.example"), "domain_not_proven"},
			"OID-28 a domain of another connection":   {x.person("acme-oidc", "s", "ada@acme.example"), "domain_other_connection"},
			"OID-25 the victim by another IdP":        {x.person("acme-oidc", "s", "held@acme.example"), "domain_other_connection"},
			"a domain without federation":             {x.person("acme-saml", "s", "ian@cloud.example"), "domain_other_connection"},
			"a subdomain is another domain":           {x.person("acme-saml", "s", "ada@sub.acme.example"), "domain_not_proven"},
			"OID-27 same address, new subject":        {x.person("acme-saml", "subject-new", "held@acme.example"), "subject_changed"},
			"OID-24 address not verified":             {unverified, "email_unverified"},
			"no address":                              {x.person("acme-saml", "s", ""), "email_missing"},
			"an address only a lax parser takes":      {x.person("acme-saml", "s", `"x"@acme.example`), "email_missing"},
			"no just-in-time accounts here":           {x.person("acme-saml", "s", "new@closed.example"), "not_invited"},
			"S13 a disabled account":                  {x.person("acme-saml", "s", "gone@acme.example"), "account_disabled"},
			"no subject":                              {x.person("acme-saml", "", "new@acme.example"), "identity_incomplete"},
			"no one-time fact":                        {incomplete, "identity_incomplete"},
			"a connection of another or of no portal": {x.person("acme-saml", "s", "new@acme.example"), "connection_unknown"},
		}
		for name, test := range tests {
			f := x.leg("browser", test.id.Connection)
			if test.want == "connection_unknown" {
				test.id.Connection = "nowhere"
			}
			_, err := x.SignInFederated(x.ctx, "acme", portal.Visitor{Reference: name}, f, test.id)
			if got := code(err); got != test.want {
				t.Errorf("%s: %s, want %s", name, got, test.want)
				continue
			}
			if test.want == "connection_unknown" {
				continue
			}
			events, err := x.Events(x.ctx, "acme", portal.EventFilter{Reference: name})
			want := []string{"session.refused"}
			if test.want == "domain_not_proven" || test.want == "domain_other_connection" {
				want = []string{"security.alert", "session.refused"}
			}
			var got []string
			for _, e := range events {
				if e.Code == test.want {
					got = append(got, e.Action)
				}
			}
			if err != nil || len(events) != len(want) || !slices.Equal(got, want) {
				t.Errorf("%s: audit has %+v, %v", name, events, err)
			}
		}
	})
}

// SAM-60, OID-31: a leg counts once, in its browser, at its connection, in time.
func TestLegs(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		f := x.leg("one", "acme-saml")
		if f.RequestID == "" || f.Verifier == "" || f.Handle == "" {
			t.Errorf("leg read back: %+v", f.Attempt)
		}
		read := func(sso, connection, state string) string {
			_, err := x.FederationByState(x.ctx, "acme", portal.Secret(sso), connection, state)
			return code(err)
		}
		for name, got := range map[string]string{
			"another browser":    read("sso-two", "acme-saml", f.State),
			"no cookie":          read("", "acme-saml", f.State),
			"another connection": read("sso-one", "acme-oidc", f.State),
			"guessed state":      read("sso-one", "acme-saml", "guess"),
			"empty state":        read("sso-one", "acme-saml", ""),
		} {
			if got != "attempt_unknown" {
				t.Errorf("%s: %s", name, got)
			}
		}
		legs, err := x.FederationsForBrowser(x.ctx, "acme", "sso-one", "acme-saml")
		if err != nil || len(legs) != 1 || legs[0].RequestID != f.RequestID {
			t.Errorf("legs of the browser: %d, %v", len(legs), err)
		}
		if legs, _ := x.FederationsForBrowser(x.ctx, "acme", "", "acme-saml"); len(legs) != 0 {
			t.Error("a browser without a cookie has legs")
		}
		x.mustArrive("two", x.person("acme-saml", "s1", "ada@acme.example")) // another leg does not matter
		if _, err := x.SignInFederated(x.ctx, "acme", portal.Visitor{}, f, x.person("acme-saml", "s1", "ada@acme.example")); err != nil {
			t.Fatal(err)
		}
		_, err = x.SignInFederated(x.ctx, "acme", portal.Visitor{}, f, x.person("acme-saml", "s1", "ada@acme.example"))
		wantCode(t, err, "attempt_unknown")
		late := x.leg("one", "acme-saml")
		x.clock.add(portal.FederationLife)
		_, err = x.SignInFederated(x.ctx, "acme", portal.Visitor{}, late, x.person("acme-saml", "s1", "ada@acme.example"))
		wantCode(t, err, "attempt_unknown")
	})
}

// SAM-61: nobody asked for it.
func TestUnsolicited(t *testing.T) {
	x := onSQLite(t)
	id := x.person("acme-saml", "s1", "ada@acme.example")
	_, err := x.SignInFederated(x.ctx, "acme", visitor("one"), portal.Federated{}, id)
	wantCode(t, err, "unsolicited")
	c := x.saml
	settings := *c.SAML
	settings.AllowIDPInitiated = true
	c.SAML = &settings
	x.connection(c)
	_, err = x.SignInFederated(x.ctx, "acme", visitor("one"), portal.Federated{}, id)
	wantCode(t, err, "assertion_replayed") // the refusal spent it
	in, err := x.SignInFederated(x.ctx, "acme", visitor("one"), portal.Federated{}, x.person("acme-saml", "s1", "ada@acme.example"))
	if err != nil || in.ReturnTo != "/" {
		t.Errorf("allowed: %+v, %v", in, err)
	}
}

func TestOneAssertionOneSession(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		id := x.person("acme-saml", "s1", "ada@acme.example")
		legs := make([]portal.Federated, 50)
		for i := range legs {
			legs[i] = x.leg(fmt.Sprint(i), "acme-saml")
		}
		got := parallel(func(i int) error {
			_, err := x.SignInFederated(x.ctx, "acme", portal.Visitor{}, legs[i], id)
			return err
		})
		wantOne(t, got, "assertion_replayed")
		// CON-08: not even long after it ended, if that was soon.
		x.clock.add(5 * time.Minute)
		if _, err := x.Cleanup(x.ctx, 100); err != nil {
			t.Fatal(err)
		}
		_, err := x.arrive("late", id)
		wantCode(t, err, "assertion_replayed")
	})
}

// Fifty first sign-ins of one person make one account; one leg makes one session.
func TestFirstSignInsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		var ids []federation.Identity
		var legs []portal.Federated
		for i := range 50 {
			ids = append(ids, x.person("acme-saml", "s1", "ada@acme.example"))
			legs = append(legs, x.leg(fmt.Sprint(i), "acme-saml"))
		}
		got := parallel(func(i int) error {
			_, err := x.SignInFederated(x.ctx, "acme", portal.Visitor{}, legs[i], ids[i])
			return err
		})
		if got["ok"] != 50 {
			t.Errorf("got %v", got)
		}
		var accounts, sessions int
		if err := x.db.QueryRow(`SELECT COUNT(*) FROM accounts`).Scan(&accounts); err != nil {
			t.Fatal(err)
		}
		if err := x.db.QueryRow(`SELECT COUNT(*) FROM sessions`).Scan(&sessions); err != nil {
			t.Fatal(err)
		}
		if accounts != 1 || sessions != portal.MaxSessions {
			t.Errorf("%d accounts, %d sessions", accounts, sessions)
		}
	})
}

// PWD-26 to PWD-28: what was prepared for an address before its owner ever
// proved it is gone when the owner comes by single sign-on.
func TestPreHijack(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.domain(portal.Domain{Name: "both.example", Portal: "acme", Connection: "acme-oidc", Password: true})
		victim := addr(t, "vic@both.example")
		if _, err := x.Invite(x.ctx, visitor("admin"), portal.Invitation{Portal: "acme", Address: victim}); err != nil {
			t.Fatal(err)
		}
		letters := x.letters()
		var temporary portal.Secret
		for _, l := range letters {
			temporary += l.Temporary
		}
		if in, err := x.signIn("attacker", "vic@both.example", temporary); err != nil || !in.MustChange {
			t.Fatalf("the temporary password before: %+v, %v", in, err)
		}
		in := x.mustArrive("victim", x.person("acme-oidc", "s1", "vic@both.example"))
		if in.Account.Status != portal.Active {
			t.Errorf("account is %s", in.Account.Status)
		}
		_, err := x.signIn("attacker", "vic@both.example", temporary)
		wantCode(t, err, "password_wrong")
		for _, l := range letters {
			if l.Token != "" {
				_, err := x.InvitationByToken(x.ctx, "acme", l.Token)
				wantCode(t, err, "link_refused")
			}
		}
		if !x.audited("account.secrets_wiped", "") || !x.live(in.Token) {
			t.Error("not audited, or the victim's own session ended")
		}
		// Who proved the address keeps the password.
		x.account("kept@both.example")
		x.mustSignIn("kept", "kept@both.example", good)
		x.mustArrive("kept", x.person("acme-oidc", "s2", "kept@both.example"))
		x.mustSignIn("kept", "kept@both.example", good)
	})
}

// Whoever was invited types their address, as the mail tells them to: what is
// dropped because it was there before their first proof is not their own sign-in.
func TestTheInvitedComeByTheirAddress(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		who := addr(t, "newcomer@acme.example")
		if _, err := x.Invite(x.ctx, visitor("admin"), portal.Invitation{Portal: "acme", Address: who}); err != nil {
			t.Fatal(err)
		}
		other := x.legOf(visitor("attacker"), "acme-saml", portal.Attempt{Address: who})
		f := x.legOf(visitor("one"), "acme-saml", portal.Attempt{Address: who, ReturnTo: "/inbox?m=1"})
		in, err := x.SignInFederated(x.ctx, "acme", visitor("one"), f, x.person("acme-saml", "s1", who.Clear()))
		if err != nil || !x.live(in.Token) || in.ReturnTo != "/inbox?m=1" || in.Account.Primary != who {
			t.Fatalf("%+v, %v", in, err)
		}
		_, err = x.SignInFederated(x.ctx, "acme", visitor("attacker"), other, x.person("acme-saml", "s1", who.Clear()))
		wantCode(t, err, "attempt_unknown")
	})
}

// The subject is the key: its address may change within the proven domain, and
// the account comes along. An address somebody else has stays theirs.
func TestAddressChangesAtTheIdP(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		in := x.mustArrive("one", x.person("acme-saml", "s1", "ada@acme.example"))
		moved := x.mustArrive("one", x.person("acme-saml", "s1", "ada.king@acme.example"))
		if moved.Account.ID != in.Account.ID || moved.Account.Primary != addr(t, "ada.king@acme.example") {
			t.Errorf("moved: %+v", moved.Account)
		}
		old, ok, err := x.AccountByAddress(x.ctx, "acme", addr(t, "ada@acme.example"))
		if err != nil || !ok || old.ID != in.Account.ID {
			t.Errorf("the old address leads to %+v, %t, %v", old, ok, err)
		}
		x.mustArrive("two", x.person("acme-saml", "s2", "bob@acme.example"))
		same := x.mustArrive("one", x.person("acme-saml", "s1", "bob@acme.example"))
		if same.Account.ID != in.Account.ID || same.Account.Primary != addr(t, "ada.king@acme.example") {
			t.Errorf("took another's address: %+v", same.Account)
		}
		back := x.mustArrive("one", x.person("acme-saml", "s1", "ada@acme.example"))
		if back.Account.ID != in.Account.ID {
			t.Errorf("back at the old address: %+v", back.Account)
		}
	})
}

// The IdP's own end of the session is the latest one of ours.
func TestSessionEndsWithTheIdPs(t *testing.T) {
	x := onSQLite(t)
	id := x.person("acme-saml", "s1", "ada@acme.example")
	id.SessionExpiry = x.clock.now().Add(20 * time.Minute)
	in := x.mustArrive("one", id)
	x.clock.add(19 * time.Minute)
	if !x.live(in.Token) {
		t.Error("ended early")
	}
	x.clock.add(time.Minute)
	if x.live(in.Token) {
		t.Error("outlives the IdP's session")
	}
}

// The ID token comes back for the IdP's own sign-out, and is sealed meanwhile.
func TestIDTokenIsKeptSealed(t *testing.T) {
	x := onSQLite(t)
	x.domain(portal.Domain{Name: "oidc.example", Portal: "acme", Connection: "acme-oidc", JIT: true})
	id := x.person("acme-oidc", "s1", "gus@oidc.example")
	id.IDToken = "canary.id.token"
	in := x.mustArrive("one", id)
	var stored string
	if err := x.db.QueryRow(`SELECT id_token FROM sessions`).Scan(&stored); err != nil || len(stored) == 0 {
		t.Fatalf("stored %d bytes, %v", len(stored), err)
	}
	if contains(stored, "canary") {
		t.Error("stored in clear")
	}
	ended, err := x.SignOut(x.ctx, "acme", visitor("one"), in.Token)
	if err != nil || ended.IDToken.Clear() != id.IDToken || ended.Connection != "acme-oidc" {
		t.Errorf("ended: %+v, %v", ended, err)
	}
}

// Whatever has become of the ID token, who wants to sign out is signed out.
func TestSignOutWithoutTheIDToken(t *testing.T) {
	x := onSQLite(t)
	x.domain(portal.Domain{Name: "oidc.example", Portal: "acme", Connection: "acme-oidc", JIT: true})
	id := x.person("acme-oidc", "s1", "gus@oidc.example")
	id.IDToken = "id.token"
	in := x.mustArrive("one", id)
	if _, err := x.db.Exec(`UPDATE sessions SET id_token = $1`, []byte("sealed under a key that has gone")); err != nil {
		t.Fatal(err)
	}
	ended, err := x.SignOut(x.ctx, "acme", visitor("one"), in.Token)
	if err != nil || ended.IDToken != "" || ended.Connection != "acme-oidc" {
		t.Errorf("ended: %+v, %v", ended, err)
	}
	if x.live(in.Token) {
		t.Error("still signed in")
	}
}

// S16: an organisation changes its IdP behind the same connection; its people
// come back as new subjects of a new issuer, and are who they were.
func TestIdPIsReplaced(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		in := x.mustArrive("one", x.person("acme-saml", "s1", "ada@acme.example"))
		id := x.person("acme-saml", "another-subject", "ada@acme.example")
		id.Issuer = "https://new-idp.example"
		if moved := x.mustArrive("one", id); moved.Account.ID != in.Account.ID {
			t.Error("somebody else came")
		}
	})
}
