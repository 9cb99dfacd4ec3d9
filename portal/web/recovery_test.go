package web

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/passkeytest"
)

func recoverySamples() map[string]map[string]any {
	const handle = "lJq3i0oA6d1Vw5m7y2Zk9QxB4nT8cRfE"
	const who = "ada.lovelace@acme.example"
	at := momentOf(time.Date(2026, 11, 20, 18, 5, 0, 0, time.UTC))
	return map[string]map[string]any{
		"recovery_ask":       {"any": recoveryAskPage{Portal: "Acme", Contact: "it@acme.example", Address: who, Attempt: handle, Other: "/login/factor", Hours: 72}},
		"recovery_asked":     {"any": recoveryAskedPage{Portal: "Acme", Contact: "it@acme.example", Hours: 72}},
		"recovery":           {"any": recoveryPage{Portal: "Acme", Address: who, Token: handle}},
		"recovery_cancel":    {"any": recoveryCancelPage{Portal: "Acme", Address: who, Token: handle}},
		"recovery_cancelled": {"any": recoveryCancelledPage{Portal: "Acme"}},
		"recoveries": {"none": recoveriesPage{Tabs: sampleTabs, Form: withProblem(portal.ErrRecoveryOver)},
			"some": recoveriesPage{Tabs: sampleTabs, Notice: "Refused.", Recoveries: []recoveryLine{
				{ID: "1", Name: "Ada Lovelace", Address: who, Account: "/admin/users/1", Asked: at, Expires: at, From: "Firefox on Linux · 192.0.2.0/24"},
				{ID: "2", Address: "ida@acme.example", Account: "/admin/users/2", Asked: at, Expires: at, Not: "This is your own account."}}}},
	}
}

// answerSAML brings the provider's answer to the request that a browser has open.
func (b *browser) answerSAML(who string) answer {
	b.w.t.Helper()
	leg := b.leg("acme-saml")
	response := b.w.assertion(b.w.target(acme, "acme-saml", leg.RequestID), who)
	return b.crossPost("/saml/acme-saml/acs", url.Values{"SAMLResponse": {response}, "RelayState": {leg.State}})
}

// Whoever signs in at their organisation comes back through it, too, and has to be
// asked there anew.
func TestRecoveryThroughTheOrganisation(t *testing.T) {
	w := newFederatedWorld(t)
	ctx := t.Context()
	const ada = "ada@acme.example"
	b := w.browser(acme)
	b.depart(ada, "/account")
	b.answerSAML(ada)
	b.addPasskey(passkeytest.New(t, "https://"+acme), "Telephone")
	if _, err := w.db.ExecContext(ctx, `UPDATE settings SET second_factor = $1 WHERE portal = 'acme'`, string(portal.FactorForEveryone)); err != nil {
		t.Fatal(err)
	}

	lost := w.browser(acme)
	lost.depart(ada, "/account")
	a := lost.follow(lost.answerSAML(ada))
	a.want(t, http.StatusOK, "Confirm with your passkey")
	a = lost.get(a.page.Attr("#recovery", "href"))
	a.want(t, http.StatusOK, "Lost every second factor?")
	lost.post("/login/recovery", url.Values{"attempt": {a.page.Attr("input[name=attempt]", "value")}}).want(t, http.StatusOK, "Your request was passed on")
	// Whoever has read their mail and not signed in anew gets nothing by it.
	if err := w.store.RecoverByOperator(ctx, "acme", portal.Visitor{}, address(t, ada)); err != nil {
		t.Fatal(err)
	}
	link := w.letters()[portal.RecoveryAllowedLetter].Token.Clear()
	lost.get("/recovery?token="+link).want(t, http.StatusOK, "Back into your account")
	to := lost.follow(lost.post("/recovery", url.Values{"token": {link}})).Header.Get("Location")
	if u, err := url.Parse(to); err != nil || u.Host != "idp.example" {
		t.Fatalf("led to %q", to)
	}
	if leg := lost.leg("acme-saml"); !leg.Fresh {
		t.Error("the organisation is not asked to sign in anew")
	}
	a = lost.follow(lost.answerSAML(ada))
	// The portal demands a factor: a new one is set up on the way in.
	if lost.signedIn() || a.StatusCode != http.StatusOK {
		t.Fatalf("%d %q, signed in: %t", a.StatusCode, a.page.Text("h1"), lost.signedIn())
	}
	handle := a.page.Attr("input[name=attempt]", "value")
	if handle == "" {
		u, err := url.Parse(a.page.Attr("#ways a", "href"))
		if err != nil {
			t.Fatal(err)
		}
		handle = u.Query().Get("attempt")
	}
	k := passkeytest.New(t, "https://"+acme)
	a = lost.follow(lost.post("/login/passkey", url.Values{"attempt": {handle}}))
	a.want(t, http.StatusOK, "Make a passkey")
	lost.give(a, k.Create(a.options())).want(t, http.StatusSeeOther, "")
	if !lost.signedIn() || b.signedIn() {
		t.Errorf("signed in: %t; the old browser: %t", lost.signedIn(), b.signedIn())
	}
}
