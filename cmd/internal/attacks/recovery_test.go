package attacks

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/mail"
	"github.com/domicile-sso/domicile/portal/passkeytest"
)

// letterTo is the newest mail to an address with a subject.
func (w *world) letterTo(t testing.TB, address, subject string) mail.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	m, err := w.Mailbox.Await(ctx, addressOf(address), subject)
	if err != nil {
		t.Fatalf("no mail to %s: %s: %v", address, subject, err)
	}
	return m
}

// lost signs somebody in who has lost their passkey, as far as the second step.
func (w *world) lost(t testing.TB, at, address string) (b *browser, handle string) {
	t.Helper()
	b = w.browser(t)
	a := b.arrive(b.signInPassword(at, address, password))
	if handle = a.page().Attr("input[name=attempt]", "value"); handle == "" || b.signedIn(at) != "" {
		t.Fatalf("no second step: %d %s", a.Status, a.text())
	}
	return b, handle
}

// administrator is somebody with a role, signed in.
func (w *world) administrator(t testing.TB, at, address string, role portal.Role) *browser {
	t.Helper()
	w.guest(t, at, address, password)
	if _, err := w.home(at).DB.ExecContext(t.Context(), `UPDATE accounts SET role = $1 WHERE id IN (SELECT account FROM addresses WHERE address = $2)`, string(role), address); err != nil {
		t.Fatal(err)
	}
	b := w.browser(t)
	if a := b.signInPassword(at, address, password); a.session() == nil {
		t.Fatalf("%d %s", a.Status, a.text())
	}
	return b
}

// The word of a help desk about a member is none about the administrator whom they
// have become: somebody who may manage that one decides again, and the link from
// before opens nothing.
func TestRecoveryOfTheRisen(t *testing.T) {
	w := newWorld(t)
	const lost, helper, boss = "lost@away.example", "hanna@away.example", "olga@away.example"
	w.owner(t, acme, lost)
	hanna, olga := w.administrator(t, acme, helper, portal.HelpDesk), w.administrator(t, acme, boss, portal.Owner)
	b, handle := w.lost(t, acme, lost)
	b.post(acme+"/login/recovery", url.Values{"attempt": {handle}}).want(http.StatusOK)
	allow := func(b *browser) *answer {
		id := olga.get(acme+"/admin/recoveries").page().Attr("input[name=recovery]", "value")
		if id == "" {
			t.Fatal("nothing waits")
		}
		return b.post(acme+"/admin/recoveries", url.Values{"recovery": {id}, "decision": {"allow"}})
	}
	link := func() string { return tokenIn(w.mailed(t, acme, lost), "/recovery") }
	allow(hanna).want(http.StatusSeeOther)
	first := link()
	olga.post(acme+"/admin/users/"+w.person(t, acme, lost).ID+"/role", url.Values{"role": {"administrator"}, "was": {"member"}}).leads()
	w.refused(t, acme, refusal{Status: http.StatusForbidden}, func() *answer {
		return w.browser(t).post(acme+"/recovery", url.Values{"token": {first}})
	})
	a := allow(hanna)
	if a.Status != http.StatusForbidden || link() != first {
		t.Errorf("a help desk about an administrator: %d", a.Status)
	}
	w.audited(t, acme, a, "access.refused", "manage_higher")
	// The person does not have to ask again, and whoever may has allowed it.
	w.Clock.Pass(time.Second)
	allow(olga).want(http.StatusSeeOther)
	second := link()
	if second == first {
		t.Fatal("no new link")
	}
	back := w.browser(t)
	step := back.arrive(back.post(acme+"/recovery", url.Values{"token": {second}}))
	back.post(acme+"/login/password", url.Values{"attempt": {step.page().Attr("input[name=attempt]", "value")}, "password": {password}})
	if back.signedIn(acme) != lost {
		t.Error("the way back does not lead back")
	}
}

// TestRecoveries attacks the way back: neither the person, nor an administrator,
// nor a mailbox is enough alone.
func TestRecoveries(t *testing.T) {
	w := newWorld(t)
	const lost, admin, helper, neighbour = "lost@away.example", "adam@away.example", "hanna@away.example", "nils@away.example"
	old, k := w.owner(t, acme, lost)
	adam := w.administrator(t, acme, admin, portal.Administrator)
	w.administrator(t, acme, helper, portal.HelpDesk)
	nils := w.administrator(t, beta, neighbour, portal.Owner)
	const forged = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

	// The person alone.
	b, handle := w.lost(t, acme, lost)
	w.refused(t, acme, refusal{Status: http.StatusForbidden}, func() *answer {
		return w.browser(t).post(acme+"/login/recovery", url.Values{"attempt": {handle}})
	})
	w.refused(t, acme, refusal{Status: http.StatusForbidden}, func() *answer {
		return b.post(acme+"/recovery", url.Values{"token": {forged}})
	})
	// PWD-16: looking asks for nothing.
	if a := b.get(acme + "/login/recovery?attempt=" + handle); a.Status != http.StatusOK || w.count(t, acme, "recoveries") != 0 {
		t.Errorf("a GET: %d, %d requests", a.Status, w.count(t, acme, "recoveries"))
	}
	// An administrator alone: nothing waits, and nothing can be made to.
	w.refused(t, acme, refusal{Status: http.StatusNotFound, Code: "account_unknown", Action: "access.refused"}, func() *answer {
		return adam.post(acme+"/admin/recoveries", url.Values{"recovery": {strings.Repeat("0", 32)}, "decision": {"allow"}})
	})

	// PWD-35: fifty requests at once are one, and one mail.
	form := url.Values{"attempt": {handle}}
	for _, a := range b.burst(20, func(int) request {
		return request{Method: http.MethodPost, URL: acme + "/login/recovery", Form: form, From: acme}
	}) {
		a.want(http.StatusOK)
	}
	asked := w.letterTo(t, lost, "Somebody says they lost")
	if n := w.count(t, acme, "recoveries"); n != 1 {
		t.Errorf("%d requests", n)
	}
	page := adam.get(acme + "/admin/recoveries")
	id := page.page().Attr("input[name=recovery]", "value")
	if page.Status != http.StatusOK || id == "" || !strings.Contains(page.text(), lost) {
		t.Fatalf("%d %s", page.Status, page.text())
	}
	// The request's own link withdraws and does nothing else.
	w.refused(t, acme, refusal{Status: http.StatusForbidden}, func() *answer {
		return b.post(acme+"/recovery", url.Values{"token": {tokenIn([]mail.Message{asked}, "/recovery/cancel")}})
	})
	// Another portal's owner, a member, the person, nobody.
	if a := nils.post(beta+"/admin/recoveries", url.Values{"recovery": {id}, "decision": {"allow"}}); a.Status != http.StatusNotFound {
		t.Errorf("another portal's owner: %d", a.Status)
	}
	if a := old.post(acme+"/admin/recoveries", url.Values{"recovery": {id}, "decision": {"allow"}}); a.Status != http.StatusForbidden {
		t.Errorf("the person's own session: %d", a.Status)
	}
	if a := b.post(acme+"/admin/recoveries", url.Values{"recovery": {id}, "decision": {"allow"}}); a.leads().Path != "/login" {
		t.Errorf("half a sign-in: %d", a.Status)
	}
	if a := adam.crossPost(acme+"/admin/recoveries", url.Values{"recovery": {id}, "decision": {"allow"}}); a.Status != http.StatusForbidden {
		t.Errorf("SES-06, from another site: %d", a.Status)
	}

	adam.post(acme+"/admin/recoveries", url.Values{"recovery": {id}, "decision": {"allow"}}).want(http.StatusSeeOther)
	allowed := w.letterTo(t, lost, "Back into your account")
	token := tokenIn([]mail.Message{allowed}, "/recovery")
	if a := adam.arrive(adam.get(acme + "/admin/recoveries")); strings.Contains(a.Body, token) {
		t.Error("the administrator sees the link")
	}
	// The administrator with the link, who does not know the password.
	eve := w.browser(t)
	if a := eve.get(allowed.Links[0]); a.Status != http.StatusOK || a.session() != nil {
		t.Errorf("PWD-16, the link: %d", a.Status)
	}
	if a := eve.post(beta+"/recovery", url.Values{"token": {token}}); a.Status != http.StatusForbidden {
		t.Errorf("the link at another portal: %d", a.Status)
	}
	step := eve.arrive(eve.post(acme+"/recovery", url.Values{"token": {token}}))
	eves := step.page().Attr("input[name=attempt]", "value")
	if a := eve.post(acme+"/login/password", url.Values{"attempt": {eves}, "password": {"not the password"}}); a.session() != nil || a.Status != http.StatusForbidden {
		t.Errorf("without the password: %d", a.Status)
	}
	// With a password of their own they are somebody else.
	eve.post(acme+"/login", url.Values{"email": {admin}, "attempt": {eves}})
	if a := eve.post(acme+"/login/password", url.Values{"attempt": {eves}, "password": {password}}); a.session() != nil {
		t.Error("somebody else's first step ends the recovery")
	}
	if old.signedIn(acme) != lost {
		t.Error("what was tried ended the person's session")
	}

	// PWD-28: what whoever had the account before has left goes with it.
	if _, err := w.home(acme).DB.ExecContext(t.Context(), `INSERT INTO addresses (account, portal, address, domain, is_primary, confirmed, proof, expires)
		SELECT account, portal, 'trojan@evil.example', 'evil.example', FALSE, 0, '', $1 FROM addresses WHERE address = $2`,
		w.Clock.Now().Add(time.Hour).UnixMicro(), lost); err != nil {
		t.Fatal(err)
	}
	back := w.browser(t)
	step = back.arrive(back.post(acme+"/recovery", url.Values{"token": {token}}))
	attempt := step.page().Attr("input[name=attempt]", "value")
	done := back.post(acme+"/login/password", url.Values{"attempt": {attempt}, "password": {password}})
	if done.session() == nil {
		t.Fatalf("%d %s", done.Status, done.text())
	}
	if back.signedIn(acme) != lost || old.signedIn(acme) != "" {
		t.Errorf("signed in %q; the old session: %q", back.signedIn(acme), old.signedIn(acme))
	}
	for _, table := range []string{"factors", "recovery_codes"} {
		if n := w.count(t, acme, table); n != 0 {
			t.Errorf("%d %s left", n, table)
		}
	}
	if n := w.count(t, acme, "addresses WHERE confirmed = 0"); n != 0 {
		t.Errorf("%d pending addresses left", n)
	}
	thief := w.browser(t)
	asks := thief.asked(acme)
	if a := thief.give(asks, k.Get(asks.options())); a.session() != nil {
		t.Error("the lost passkey still signs in")
	}
	// The link, and the sign-in begun by it, are spent.
	w.refused(t, acme, refusal{Status: http.StatusForbidden}, func() *answer {
		return w.browser(t).post(acme+"/recovery", url.Values{"token": {token}})
	})
	if a := eve.post(acme+"/login/password", url.Values{"attempt": {eves}, "password": {password}}); a.session() != nil {
		t.Error("a sign-in begun by the link before goes on")
	}
	w.letterTo(t, lost, "Your account at")

	// PWD-35: whoever has the password cannot fill the mailbox either.
	again := passkeytest.New(t, acme)
	back.makePasskey(acme, again)
	for range 4 {
		c, handle := w.lost(t, acme, lost)
		c.post(acme+"/login/recovery", url.Values{"attempt": {handle}}).want(http.StatusOK)
		if _, err := w.home(acme).DB.ExecContext(t.Context(), `UPDATE recoveries SET expires = 1 WHERE finished = 0`); err != nil {
			t.Fatal(err)
		}
		w.Clock.Pass(time.Hour)
	}
	mails := 0
	for _, m := range w.mailed(t, acme, lost) {
		if strings.HasPrefix(m.Subject, "Somebody says they lost") {
			mails++
		}
	}
	if mails > 3 {
		t.Errorf("%d mails", mails)
	}
}
