package attacks

import (
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"github.com/domicile-sso/domicile/federation/idptest"
	"github.com/domicile-sso/domicile/portal"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// SAM-69, and the ninth law: an identity provider speaks for the domains that
// are proven for its portal and served by its connection, and for no other.
func TestSAM69OtherDomain(t *testing.T) {
	w := shared(t)
	foreignAddresses(t, w, "acme-saml", "acme-oidc.example", func(t *testing.T, b *browser, as string) (*answer, idptest.User) {
		who := w.IdPs.Person(t, "acme.example")
		who.Address = as
		trip := b.depart(acme, "acme-saml")
		return trip.deliver(trip.assertion(who)), who
	})
}

// foreignAddresses has a provider of acme say all the addresses that are none of
// its business, for a stranger and for somebody it has signed in before.
func foreignAddresses(t *testing.T, w *world, connection, sibling string, say func(*testing.T, *browser, string) (*answer, idptest.User)) {
	victim := w.IdPs.Person(t, "beta.example")
	for _, row := range []struct{ name, address, code string }{
		{"a neighbour's domain", victim.Address, "domain_not_proven"},
		{"a domain of another region", "ceo@gamma.example", "domain_not_proven"},
		{"nobody's domain", "ceo@nobody.example", "domain_not_proven"},
		{"below its own domain", "ceo@sub.acme.example", "domain_not_proven"},
		{"above its own domain", "ceo@example", "email_missing"},
		{"a domain that looks like its own", "ceo@xn--cme-7cd.example", "domain_not_proven"},
		{"a sibling connection's domain", "ceo@" + sibling, "domain_other_connection"},
		{"a domain of passwords", pat, "domain_other_connection"},
		{"no address", "ceo", "email_missing"},
		{"two addresses", "ceo@acme.example,ceo@beta.example", "email_missing"},
		{"an address with a name", "Ceo <ceo@acme.example>", "email_missing"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := w.browser(t)
			var subject string
			a := w.refused(t, acme, refusal{Status: http.StatusForbidden, Code: row.code, Secrets: []string{row.address}, Spends: spends(row.code)}, func() *answer {
				a, who := say(t, b, row.address)
				subject = who.Subject
				return a
			})
			w.quiet(t, 0, subject)
			if l := w.audited(t, acme, a, "session.refused", row.code); l.Target != connection {
				t.Errorf("the audit row does not name the connection: %+v", l.Event)
			}
			if row.code != "email_missing" {
				w.audited(t, acme, a, "security.alert", row.code)
			}
		})
	}
}

// A subject that is known and brings a foreign address is refused as well: the
// provider has said something it may not say.
func TestKnownSubjectForeignAddress(t *testing.T) {
	w := shared(t)
	b, who := w.browser(t), w.IdPs.Person(t, "acme.example")
	trip := b.depart(acme, "acme-saml")
	w.accepted(t, b, acme, trip.deliver(trip.assertion(who)), who.Address, "/")
	who.Address = "ceo@beta.example"
	again := w.browser(t).depart(acme, "acme-saml")
	response := again.assertion(who)
	w.refused(t, acme, refusal{Status: 403, Code: "domain_not_proven", Spends: spends("domain_not_proven"), Secrets: []string{who.Address}},
		func() *answer { return again.deliver(response) })
}

// A disabled account is refused by both federations from that moment on: the
// session it had, the trip that is on its way, and every trip after it.
func TestDisabledAtOnce(t *testing.T) {
	w := shared(t)
	for connection, domain := range map[string]string{"acme-saml": "acme.example", "acme-oidc": "acme-oidc.example"} {
		t.Run(connection, func(t *testing.T) {
			b, who := w.browser(t), w.IdPs.Person(t, domain)
			arrive := func(trip *trip) func() *answer {
				if connection == "acme-saml" {
					response := trip.assertion(who)
					return func() *answer { return trip.deliver(response) }
				}
				back := trip.authorise(who).String()
				return func() *answer { return trip.b.crossGet(back) }
			}
			w.accepted(t, b, acme, arrive(b.depart(acme, connection))(), who.Address, "/")
			underway := arrive(w.browser(t).depart(acme, connection))
			if _, err := w.store(acme).Disable(t.Context(), "acme", portal.Visitor{}, addressOf(who.Address)); err != nil {
				t.Fatal(err)
			}
			if b.signedIn(acme) != "" {
				t.Error("the session goes on")
			}
			want := refusal{Status: 403, Code: "account_disabled", Spends: spends("account_disabled"), Secrets: []string{who.Address}}
			w.refused(t, acme, want, underway)
			w.refused(t, acme, want, arrive(b.depart(acme, connection)))
			// Enabled again, the person is who they were.
			if _, err := w.store(acme).Enable(t.Context(), "acme", portal.Visitor{}, addressOf(who.Address)); err != nil {
				t.Fatal(err)
			}
			w.accepted(t, b, acme, arrive(b.depart(acme, connection))(), who.Address, "/")
		})
	}
}

// PWD-26: somebody has an account that never proved its address, with a password
// of theirs. The owner of the address comes through the organisation's sign-in:
// the account is the owner's, and what was there before opens nothing.
func TestPWD26UnprovenAccount(t *testing.T) {
	w := shared(t)
	who := w.IdPs.Person(t, "acme-both.example")
	token, temporary := w.invite(t, acme, who.Address)
	b := w.browser(t)
	trip := b.depart(acme, "acme-saml")
	w.accepted(t, b, acme, trip.deliver(trip.assertion(who)), who.Address, "/")
	if n := w.count(t, acme, "accounts a JOIN addresses d ON d.account = a.id WHERE d.address = $1", who.Address); n != 1 {
		t.Errorf("%d accounts", n)
	}
	if n := w.count(t, acme, "credentials c JOIN addresses d ON d.account = c.account WHERE d.address = $1", who.Address); n != 0 {
		t.Error("the temporary password is still there")
	}
	w.refused(t, acme, refusal{Status: 403}, func() *answer {
		return w.browser(t).post(acme+"/invitation", url.Values{"token": {token}, "temporary": {temporary}, "new": {password + " 2"}, "confirm": {password + " 2"}})
	})
	stranger := w.browser(t)
	handle := attemptOf(stranger, who.Address)
	w.refused(t, acme, refusal{Status: 403, Code: "no_password"}, func() *answer {
		return stranger.post(acme+"/login/password", url.Values{"attempt": {handle}, "password": {temporary}})
	})
}

// S01, PWD-27: whoever was invited where the organisation signs people in comes as
// the mail says, by typing the address. Their first proof ends what was begun with
// the address before, and not the sign-in that it is part of.
func TestTheInvitedTypeTheirAddress(t *testing.T) {
	w := shared(t)
	who := w.IdPs.Person(t, "acme.example")
	if _, err := w.store(acme).Invite(t.Context(), portal.Visitor{}, portal.Invitation{Portal: "acme", Address: addressOf(who.Address)}); err != nil {
		t.Fatal(err)
	}
	attacker := w.browser(t)
	begun := attacker.departWith(acme, "acme-saml", who.Address, "/")
	b := w.browser(t)
	trip := b.departWith(acme, "acme-saml", who.Address, "/account/security")
	a := trip.deliver(trip.assertion(who))
	w.accepted(t, b, acme, a, who.Address, "/account/security")
	w.audited(t, acme, a, "account.secrets_wiped", "")
	if a := begun.deliver(begun.assertion(who)); a.Status != http.StatusForbidden || a.session() != nil {
		t.Errorf("what was begun before: %d", a.Status)
	} else {
		w.audited(t, acme, a, "session.refused", "attempt_unknown")
	}
	if attacker.signedIn(acme) != "" {
		t.Error("what was begun before the first proof signs in")
	}
}

// attemptOf types an address at acme and returns the handle of the attempt.
func attemptOf(b *browser, address string) string {
	b.t.Helper()
	return b.follow(b.post(acme+"/login", url.Values{"email": {address}})).URL.Query().Get("attempt")
}

// PWD-27: a session and a reset link from before the owner first came are over.
func TestPWD27OldSession(t *testing.T) {
	w := shared(t)
	who := w.IdPs.Person(t, "acme-both.example")
	w.guest(t, acme, who.Address, password)
	attacker := w.browser(t)
	w.accepted(t, attacker, acme, attacker.post(acme+"/login/password", url.Values{"attempt": {attemptOf(attacker, who.Address)}, "password": {password}}), who.Address, "/")
	link := w.resetToken(t, acme, who.Address)
	// Nobody has ever shown that the address is theirs.
	if _, err := w.home(acme).DB.ExecContext(t.Context(), `UPDATE addresses SET proof = '' WHERE address = $1`, who.Address); err != nil {
		t.Fatal(err)
	}
	b := w.browser(t)
	trip := b.depart(acme, "acme-saml")
	a := trip.deliver(trip.assertion(who))
	w.accepted(t, b, acme, a, who.Address, "/")
	w.audited(t, acme, a, "account.secrets_wiped", "")
	if attacker.signedIn(acme) != "" {
		t.Error("the session from before goes on")
	}
	w.refused(t, acme, refusal{Status: 403}, func() *answer {
		return w.browser(t).post(acme+"/password/reset", url.Values{"token": {link}, "new": {password + " 3"}, "confirm": {password + " 3"}})
	})
	handle := attemptOf(attacker, who.Address)
	w.refused(t, acme, refusal{Status: 403, Code: "no_password"}, func() *answer {
		return attacker.post(acme+"/login/password", url.Values{"attempt": {handle}, "password": {password}})
	})
}

// PWD-27, PWD-28, PWD-29: whatever an account holds that its owner has not put there
// is gone with the first proof of its address, or counts no more: sessions, halves of
// sign-ins, links, pending addresses, requests for help, apps and trust. A reset leaves
// a confirmed factor, since a mailbox alone is no way round it; the organisation's
// word about an account that nobody had proven leaves nothing.
func TestPWD27Everything(t *testing.T) {
	w := newWorld(t)
	for name, end := range map[string]func(who idptest.User) *answer{
		"a reset": func(who idptest.User) *answer {
			return w.resetTo(t, w.browser(t), acme, who.Address, betterPassword).want(http.StatusOK)
		},
		"the organisation's word": func(who idptest.User) *answer {
			if _, err := w.home(acme).DB.ExecContext(t.Context(), `UPDATE addresses SET proof = '' WHERE address = $1`, who.Address); err != nil {
				t.Fatal(err)
			}
			b := w.browser(t)
			trip := b.depart(acme, "acme-saml")
			a := trip.deliver(trip.assertion(who))
			w.accepted(t, b, acme, a, who.Address, "/")
			return a
		},
	} {
		t.Run(name, func(t *testing.T) {
			who := w.IdPs.Person(t, "acme-both.example")
			w.guest(t, acme, who.Address, password)
			a, attacker, begun := w.person(t, acme, who.Address), w.browser(t), w.browser(t)
			attacker.post(acme+"/login/password", url.Values{"attempt": {attemptOf(attacker, who.Address)}, "password": {password}})
			if attacker.signedIn(acme) != who.Address {
				t.Fatal("the attacker is not signed in")
			}
			link := w.adds(t, attacker, "trojan-"+a.ID+"@evil.example")
			w.belongs(t, acme, a, "acme.example", "acme-saml")
			half := begun.post(acme+"/login/password", url.Values{"attempt": {attemptOf(begun, who.Address)}, "password": {password}})
			if half.leads().Path != "/login/factor" {
				t.Fatalf("half a sign-in leads to %s", half.leads())
			}
			reset := w.resetToken(t, acme, who.Address)
			if _, err := w.home(acme).DB.ExecContext(t.Context(), `UPDATE devices SET trusted = $1 WHERE account = $2`, w.Clock.Now().AddDate(0, 0, 9).UnixMicro(), a.ID); err != nil {
				t.Fatal(err)
			}
			now, before := w.Clock.Now().UnixMicro(), w.person(t, acme, who.Address).Generation
			done := end(who)
			if w.person(t, acme, who.Address).Generation <= before {
				t.Error("the generation has not risen")
			}
			left := map[string]int{
				"old sessions":      w.count(t, acme, `sessions s JOIN accounts a ON a.id = s.account WHERE a.id = $1 AND s.generation < a.generation`, a.ID),
				"halves":            w.count(t, acme, `passed WHERE account = $1`, a.ID),
				"links":             w.count(t, acme, `tokens WHERE account = $1 AND used = 0`, a.ID),
				"pending addresses": w.count(t, acme, `addresses WHERE account = $1 AND confirmed = 0`, a.ID),
				"requests for help": w.count(t, acme, `recoveries WHERE account = $1 AND finished = 0 AND expires > $2`, a.ID, now),
				"apps":              w.count(t, acme, `activations WHERE account = $1 AND removed = 0`, a.ID),
				"trust":             w.count(t, acme, `devices WHERE account = $1 AND trusted > 0`, a.ID),
			}
			if name != "a reset" {
				left["factors"] = w.count(t, acme, `factors WHERE account = $1`, a.ID)
				left["passwords"] = w.count(t, acme, `credentials WHERE account = $1`, a.ID)
				w.audited(t, acme, done, "account.secrets_wiped", "")
			}
			for what, n := range left {
				if n != 0 {
					t.Errorf("%d %s are left", n, what)
				}
			}
			if attacker.signedIn(acme) != "" {
				t.Error("the attacker's session goes on")
			}
			if a := begun.get(acme + half.leads().RequestURI()); a.page().Has("#factor") {
				t.Errorf("half a sign-in goes on: %d", a.Status)
			}
			w.refused(t, acme, refusal{Status: http.StatusForbidden}, func() *answer {
				return w.browser(t).post(acme+"/password/reset", url.Values{"token": {reset}, "new": {password + " 3"}, "confirm": {password + " 3"}})
			})
			if to := attacker.post(confirmAddress, url.Values{"token": {link}}).leads(); to.Path != "/login" || w.holders(t, "trojan-"+a.ID+"@evil.example") != 0 {
				t.Errorf("the trojan's link leads to %s", to)
			}
		})
	}
}

// PWD-30: an address that the provider has not verified is a claim: it neither
// finds an account nor makes one.
func TestPWD30UnverifiedAddress(t *testing.T) {
	w := shared(t)
	known := w.IdPs.Person(t, "acme-oidc.example")
	if _, err := w.store(acme).DangerouslyCreateAccount(t.Context(), portal.Account{Portal: "acme", Primary: addressOf(known.Address)}, ""); err != nil {
		t.Fatal(err)
	}
	for name, who := range map[string]idptest.User{"of an account": known, "of nobody": w.IdPs.Person(t, "acme-oidc.example")} {
		for _, verified := range []any{false, nil, "true", 1} {
			t.Run(name, func(t *testing.T) {
				w.breaks(t, "acme-oidc", idptest.OIDCFaults{Claims: func(c map[string]any) {
					c["email_verified"] = verified
					if verified == nil {
						delete(c, "email_verified")
					}
				}})
				b := w.browser(t)
				back := b.depart(acme, "acme-oidc").authorise(who)
				w.refused(t, acme, refusal{Status: 403, Code: "email_unverified", Spends: spends("email_unverified"), Secrets: []string{who.Address}},
					func() *answer { return b.crossGet(back.String()) })
			})
		}
	}
}

// Two tabs at the provider at once: both come back to the page they were for, in
// either order, and the browser has one session at the end.
func TestTwoTabs(t *testing.T) {
	w := shared(t)
	for _, order := range [][2]int{{0, 1}, {1, 0}} {
		t.Run("SAML", func(t *testing.T) {
			b, who := w.browser(t), w.IdPs.Person(t, "acme.example")
			pages := [2]string{"/account", "/account/password"}
			tabs := [2]*trip{b.departWith(acme, "acme-saml", who.Address, pages[0]), b.departWith(acme, "acme-saml", who.Address, pages[1])}
			for _, i := range order {
				w.accepted(t, b, acme, tabs[i].deliver(tabs[i].assertion(who)), who.Address, pages[i])
			}
			w.alone(t, who)
		})
		t.Run("OIDC", func(t *testing.T) {
			b, who := w.browser(t), w.IdPs.Person(t, "acme-oidc.example")
			pages := [2]string{"/account", "/account/password"}
			tabs := [2]*trip{b.departWith(acme, "acme-oidc", who.Address, pages[0]), b.departWith(acme, "acme-oidc", who.Address, pages[1])}
			back := [2]*url.URL{tabs[0].authorise(who), tabs[1].authorise(who)}
			for _, i := range order {
				w.accepted(t, b, acme, b.crossGet(back[i].String()), who.Address, pages[i])
			}
			w.alone(t, who)
		})
	}
	t.Run("one of each", func(t *testing.T) {
		b, ann, bob := w.browser(t), w.IdPs.Person(t, "acme.example"), w.IdPs.Person(t, "acme-oidc.example")
		saml, oidc := b.departWith(acme, "acme-saml", ann.Address, "/account"), b.departWith(acme, "acme-oidc", bob.Address, "/account")
		back := oidc.authorise(bob)
		w.accepted(t, b, acme, saml.deliver(saml.assertion(ann)), ann.Address, "/account")
		w.accepted(t, b, acme, b.crossGet(back.String()), bob.Address, "/account")
	})
}

// alone checks that an account has one session. The form of a provider comes
// without the session cookie, so that the older session is found by browser.
func (w *world) alone(t testing.TB, who idptest.User) {
	t.Helper()
	if n := w.count(t, acme, "sessions s JOIN addresses d ON d.account = s.account WHERE d.address = $1", who.Address); n != 1 {
		t.Errorf("%d sessions", n)
	}
}
