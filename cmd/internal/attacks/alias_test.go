package attacks

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/web"
)

// TestAliases attacks the addresses of accounts: adding, confirming, promoting
// and removing them, and joining two accounts that have one mailbox.
func TestAliases(t *testing.T) {
	w := newWorld(t)
	for _, row := range []struct {
		name string
		test func(*testing.T, *world)
	}{
		{"PWD-16 PWD-19 looking at links", lookingAtAliasLinks},
		{"PWD-20 two pending addresses", twoPending},
		{"PWD-21 somebody else's session", aliasOfOthers},
		{"PWD-22 PWD-24 nothing is reserved", nothingReserved},
		{"PWD-22 PWD-18 fifty at once", aliasRace},
		{"PWD-23 another organisation's domain", foreignAlias},
		{"PWD-24 the next day", lateAlias},
		{"PWD-25 what came by a removed address", removedAlias},
		{"PWD-26 PWD-30 first sign-in by an IdP", aliasAndFirstSignIn},
		{"PWD-26 PWD-28 somebody read the mail", mailboxOfTheVouched},
		{"PWD-28 PWD-29 recovery", aliasAndRecovery},
		{"PWD-31 the last way in", lastWayIn},
		{"PWD-35 full mailboxes", aliasBombing},
		{"ADM-01 ADM-02 ADM-03 through the console", aliasConsole},
		{"S21 proofs of the other account", mergeProofs},
		{"SES-01 joined to an owner", mergeRaises},
		{"PWD-32 the mailbox of somebody invited", mailboxOfTheInvited},
	} {
		t.Run(row.name, func(t *testing.T) {
			w.Clock.Pass(2 * time.Hour) // the throttle is empty
			row.test(t, w)
		})
	}
}

const (
	addresses      = acme + "/account/addresses"
	confirmAddress = addresses + "/confirm"
	mergeAddresses = addresses + "/merge"
)

// resident is the browser of somebody with an account of their own at acme.
func (w *world) resident(t testing.TB, address string) *browser {
	t.Helper()
	w.guest(t, acme, address, password)
	b := w.browser(t)
	if a := b.signInPassword(acme, address, password); a.session() == nil {
		t.Fatalf("%s: %d %s", address, a.Status, a.text())
	}
	return b
}

// adds has somebody add an address, and returns the token of the mail to it.
func (w *world) adds(t testing.TB, b *browser, address string) string {
	t.Helper()
	b.post(addresses, url.Values{"email": {address}}).want(http.StatusOK)
	token := tokenIn(w.mailed(t, acme, address), "/account/addresses/confirm")
	if token == "" {
		t.Fatalf("no link in a mail to %s", address)
	}
	return token
}

func (w *world) confirms(t testing.TB, b *browser, address string) {
	t.Helper()
	if to := b.post(confirmAddress, url.Values{"token": {w.adds(t, b, address)}}).leads(); to.Path != "/account/addresses" {
		t.Fatalf("confirmed, and led to %s", to)
	}
}

// holders are how many accounts of acme have an address for their own.
func (w *world) holders(t testing.TB, address string) int {
	t.Helper()
	return w.count(t, acme, `addresses WHERE portal = 'acme' AND address = $1 AND confirmed > 0`, address)
}

// denied posts what must be refused by the use case behind an address page.
func (w *world) denied(t testing.TB, b *browser, status int, action, code, to string, form url.Values, secrets ...string) *answer {
	t.Helper()
	return w.refused(t, acme, refusal{Status: status, Action: action, Code: code, Secrets: secrets}, func() *answer { return b.post(to, form) })
}

// PWD-16: nobody who only looks confirms. PWD-19: blanks match nothing.
func lookingAtAliasLinks(t *testing.T, w *world) {
	b := w.resident(t, "look@acme-cloud.example")
	token := w.adds(t, b, "look@new.example")
	for _, r := range []request{
		{URL: confirmAddress + "?token=" + token}, {Method: http.MethodHead, URL: confirmAddress + "?token=" + token},
		{URL: confirmAddress + "?token=" + token, Header: http.Header{"Sec-Purpose": {"prefetch"}}},
	} {
		if a := b.send(r); a.Status != http.StatusOK {
			t.Errorf("%s: %d", r.Method, a.Status)
		}
	}
	if n := w.holders(t, "look@new.example"); n != 0 {
		t.Fatal("looking has confirmed it")
	}
	for _, blank := range []string{"", " ", "null", "0", strings.Repeat("A", 43)} {
		w.denied(t, b, http.StatusForbidden, "", "", confirmAddress, url.Values{"token": {blank}})
	}
	w.denied(t, b, http.StatusForbidden, "alias.refused", "link_refused", confirmAddress, url.Values{"token": {strings.Repeat("A", 43)}})
	// A link for a password confirms nothing, and the other way round.
	reset := w.resetToken(t, acme, "look@acme-cloud.example")
	w.denied(t, b, http.StatusForbidden, "alias.refused", "link_refused", confirmAddress, url.Values{"token": {reset}})
	w.denied(t, b, http.StatusForbidden, "", "", acme+"/password/reset", url.Values{"token": {token}, "new": {betterPassword}, "confirm": {betterPassword}})
	if a := b.crossPost(confirmAddress, url.Values{"token": {token}}); a.Status != http.StatusForbidden {
		t.Errorf("a post from another site: %d", a.Status)
	}
	b.post(confirmAddress, url.Values{"token": {token}}).leads()
}

// PWD-20: a link confirms the address it names, whatever was added since.
func twoPending(t *testing.T, w *world) {
	b := w.resident(t, "two@acme-cloud.example")
	first := w.adds(t, b, "mine@two.example")
	second := w.adds(t, b, "victim@two.example")
	b.post(confirmAddress, url.Values{"token": {first}, "address": {"victim@two.example"}}).want(http.StatusBadRequest)
	b.post(confirmAddress, url.Values{"token": {first}}).leads()
	if w.holders(t, "mine@two.example") != 1 || w.holders(t, "victim@two.example") != 0 {
		t.Error("the first link confirmed the second address")
	}
	w.denied(t, b, http.StatusForbidden, "alias.refused", "link_refused", confirmAddress, url.Values{"token": {first}})
	b.post(addresses+"/remove", url.Values{"address": {"victim@two.example"}}).leads()
	w.denied(t, b, http.StatusForbidden, "alias.refused", "link_refused", confirmAddress, url.Values{"token": {second}})
}

// PWD-21: the link is forwarded, stolen, or opened by who is signed in there.
func aliasOfOthers(t *testing.T, w *world) {
	b, eve := w.resident(t, "own@acme-cloud.example"), w.resident(t, "eve@acme-cloud.example")
	token := w.adds(t, b, "own@forwarded.example")
	a := w.denied(t, eve, http.StatusForbidden, "alias.refused", "alias_other_account", confirmAddress, url.Values{"token": {token}}, "own@forwarded.example", "own@acme-cloud.example")
	if strings.Contains(a.Body, "own@") {
		t.Error("tells whose link it is")
	}
	w.refused(t, acme, refusal{Status: http.StatusForbidden}, func() *answer { return eve.get(confirmAddress + "?token=" + token) })
	w.refused(t, acme, refusal{Status: http.StatusForbidden}, func() *answer { return eve.get(mergeAddresses + "?token=" + token) })
	w.denied(t, eve, http.StatusForbidden, "", "", mergeAddresses, url.Values{"token": {token}})
	w.denied(t, eve, http.StatusForbidden, "account.merge_refused", "alias_other_account", mergeAddresses, url.Values{"token": {token}, "mark": {"x"}})
	// A stranger is led to the sign-in page, and the URL of that holds no token.
	stranger := w.browser(t)
	if to := stranger.get(confirmAddress + "?token=" + token).leads(); strings.Contains(to.String(), token) || to.Path != "/login" {
		t.Errorf("led to %s", to)
	}
	if a := stranger.post(confirmAddress, url.Values{"token": {token}}); a.Status != http.StatusSeeOther || a.session() != nil {
		t.Errorf("a stranger: %d", a.Status)
	}
	if n := w.holders(t, "own@forwarded.example"); n != 0 {
		t.Fatal("somebody else has confirmed it")
	}
	b.post(confirmAddress, url.Values{"token": {token}}).leads()
}

// PWD-22, PWD-24: what eve adds keeps nobody from being invited, from signing in
// or from confirming; case and scripts make no difference.
func nothingReserved(t *testing.T, w *world) {
	eve, b := w.resident(t, "squat@acme-cloud.example"), w.resident(t, "real@acme-cloud.example")
	hers := w.adds(t, eve, "Real@BÜCHER.example")
	mine := w.adds(t, b, "real@xn--bcher-kva.example")
	b.post(confirmAddress, url.Values{"token": {mine}}).leads()
	if to := eve.post(confirmAddress, url.Values{"token": {hers}}).leads(); to.Path != "/account/addresses/merge" {
		t.Errorf("led to %s", to)
	}
	if n := w.holders(t, "real@xn--bcher-kva.example"); n != 1 {
		t.Errorf("%d accounts have it", n)
	}
	w.adds(t, eve, "soon@guest.example")
	if _, err := w.store(acme).Invite(t.Context(), portal.Visitor{}, portal.Invitation{Portal: "acme", Address: addressOf("soon@guest.example")}); err != nil {
		t.Errorf("an invitation is kept out: %v", err)
	}
	w.adds(t, eve, "jit@acme.example")
	w.member(t, w.browser(t), "jit@acme.example")
	if a := w.browser(t).signInPassword(acme, "soon@guest.example", password); a.session() != nil {
		t.Error("a pending address signs its account in")
	}
}

func aliasRace(t *testing.T, w *world) {
	b, eve := w.resident(t, "race@acme-cloud.example"), w.resident(t, "race2@acme-cloud.example")
	tokens := []string{w.adds(t, b, "both@race.example"), w.adds(t, eve, "both@race.example")}
	counts := map[int]int{}
	for i, who := range []*browser{b, eve} {
		for _, a := range who.burst(25, func(int) request {
			return request{Method: http.MethodPost, URL: confirmAddress, From: acme, Form: url.Values{"token": {tokens[i]}}}
		}) {
			counts[a.Status]++
		}
	}
	if counts[403] != 24 || counts[303] != 26 || w.holders(t, "both@race.example") != 1 {
		t.Errorf("%v, %d holders", counts, w.holders(t, "both@race.example"))
	}
}

// PWD-23.
func foreignAlias(t *testing.T, w *world) {
	b := w.resident(t, "spy@acme-cloud.example")
	for _, address := range []string{"spy@beta.example", "spy@beta-oidc.example"} {
		token := w.adds(t, b, address)
		w.refused(t, acme, refusal{Status: http.StatusForbidden}, func() *answer { return b.get(confirmAddress + "?token=" + token) })
		w.denied(t, b, http.StatusForbidden, "alias.refused", "alias_foreign", confirmAddress, url.Values{"token": {token}}, address)
	}
}

// PWD-24.
func lateAlias(t *testing.T, w *world) {
	b := w.resident(t, "late@acme-cloud.example")
	token := w.adds(t, b, "late@new.example")
	w.Clock.Pass(24 * time.Hour)
	b.signInPassword(acme, "late@acme-cloud.example", password)
	w.denied(t, b, http.StatusForbidden, "alias.refused", "link_refused", confirmAddress, url.Values{"token": {token}})
}

// PWD-25.
func removedAlias(t *testing.T, w *world) {
	b := w.resident(t, "gone@acme-cloud.example")
	w.confirms(t, b, "gone@old.example")
	thief := w.browser(t)
	if a := thief.signInPassword(acme, "gone@old.example", password); a.session() == nil {
		t.Fatalf("not signed in by the alias: %d", a.Status)
	}
	reset := w.resetToken(t, acme, "gone@old.example")
	b.signInPassword(acme, "gone@acme-cloud.example", password) // lately
	b.post(addresses+"/remove", url.Values{"address": {"gone@old.example"}}).leads()
	if thief.signedIn(acme) != "" || b.signedIn(acme) != "gone@acme-cloud.example" {
		t.Error("a session that came by the removed address lives on, or the owner's ended")
	}
	w.denied(t, w.browser(t), http.StatusForbidden, "", "", acme+"/password/reset", url.Values{"token": {reset}, "new": {betterPassword}, "confirm": {betterPassword}})
	if a := w.browser(t).signInPassword(acme, "gone@old.example", password); a.session() != nil {
		t.Error("the removed address signs in")
	}
}

// PWD-26, PWD-30: an address that waits catches nobody who comes by an IdP, and
// one that an IdP only claims is not confirmed by that.
func aliasAndFirstSignIn(t *testing.T, w *world) {
	eve := w.resident(t, "hijack@acme-cloud.example")
	token := w.adds(t, eve, "hijacked@acme.example")
	victim := w.browser(t)
	w.member(t, victim, "hijacked@acme.example")
	if got := victim.signedIn(acme); got != "hijacked@acme.example" {
		t.Errorf("the victim is signed in as %q", got)
	}
	if to := eve.post(confirmAddress, url.Values{"token": {token}}).leads(); to.Path != "/account/addresses/merge" {
		t.Errorf("led to %s", to)
	}
	if n := w.holders(t, "hijacked@acme.example"); n != 1 {
		t.Errorf("%d accounts have it", n)
	}
}

// PWD-26, PWD-28: somebody has read the victim's mail once. Where the organisation
// signs its people in, that puts no address of theirs on the reader's account, and so
// the victim's first sign-in does not lead there.
func mailboxOfTheVouched(t *testing.T, w *world) {
	victim := w.IdPs.Person(t, "acme.example")
	eve := w.resident(t, "reader@acme-cloud.example")
	token := w.adds(t, eve, victim.Address)
	if a := eve.get(confirmAddress + "?token=" + token); a.Status != http.StatusForbidden {
		t.Errorf("the page of the link: %d", a.Status)
	}
	w.denied(t, eve, http.StatusForbidden, "alias.refused", "alias_vouched", confirmAddress, url.Values{"token": {token}})
	b := w.browser(t)
	trip := b.departWith(acme, "acme-saml", victim.Address, "/")
	w.accepted(t, b, acme, trip.deliver(trip.assertion(victim)), victim.Address, "/")
	if a := w.person(t, acme, victim.Address); a.ID == w.person(t, acme, "reader@acme-cloud.example").ID {
		t.Error("the victim is in the reader's account")
	}
}

// PWD-28, PWD-29.
func aliasAndRecovery(t *testing.T, w *world) {
	eve := w.resident(t, "back@acme-cloud.example")
	trojan := w.adds(t, eve, "trojan@evil.example")
	if a := w.resetTo(t, w.browser(t), acme, "back@acme-cloud.example", betterPassword); a.Status != http.StatusOK {
		t.Fatalf("reset: %d %s", a.Status, a.text())
	}
	if a := eve.post(confirmAddress, url.Values{"token": {trojan}}); a.leads().Path != "/login" {
		t.Error("the session lives on")
	}
	owner := w.browser(t)
	owner.signInPassword(acme, "back@acme-cloud.example", betterPassword)
	w.denied(t, owner, http.StatusForbidden, "alias.refused", "link_refused", confirmAddress, url.Values{"token": {trojan}})
	if n := w.count(t, acme, `addresses WHERE address = 'trojan@evil.example'`); n != 0 {
		t.Error("the address still waits")
	}
}

// PWD-31: who signs in by an IdP alone cannot take the address away by which it
// does, and who has only one keeps it.
func lastWayIn(t *testing.T, w *world) {
	b := w.resident(t, "last@acme-cloud.example")
	w.denied(t, b, http.StatusForbidden, "alias.refused", "alias_primary", addresses+"/remove", url.Values{"address": {"last@acme-cloud.example"}})
	federated := w.browser(t)
	who := w.IdPs.Person(t, "acme.example")
	enter := func() {
		trip := federated.departWith(acme, "acme-saml", who.Address, "/account")
		trip.deliver(trip.assertion(who))
	}
	enter()
	w.confirms(t, federated, "last@private.example")
	federated.post(addresses+"/promote", url.Values{"address": {"last@private.example"}}).leads()
	w.denied(t, federated, http.StatusForbidden, "alias.refused", "alias_federated", addresses+"/remove", url.Values{"address": {who.Address}})
	enter()
	if got := federated.signedIn(acme); got != "last@private.example" {
		t.Errorf("signed in as %q", got)
	}
}

// PWD-35.
func aliasBombing(t *testing.T, w *world) {
	b := w.resident(t, "bomb@acme-cloud.example")
	before := len(w.mailed(t, acme, "victim@bombed.example"))
	counts := map[int]int{}
	for range 30 {
		a := b.post(addresses, url.Values{"email": {"victim@bombed.example"}})
		counts[a.Status]++
		if a.Status == http.StatusTooManyRequests && a.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if n := len(w.mailed(t, acme, "victim@bombed.example")) - before; n != 3 || counts[200] != 20 || counts[429] != 10 {
		t.Errorf("%d mails; %v", n, counts)
	}
}

// ADM-01, ADM-02, ADM-03: an administrator reaches nobody else's portal, confirms
// nothing, and cannot say more in a form than the page has.
func aliasConsole(t *testing.T, w *world) {
	admin, ctx := w.resident(t, "admin@acme-cloud.example"), t.Context()
	id := func(at, address string) string {
		a, ok, err := w.store(at).AccountByAddress(ctx, idOf(at), addressOf(address))
		if err != nil || !ok {
			t.Fatalf("%s: %t, %v", address, ok, err)
		}
		return a.ID
	}
	if _, err := w.store(acme).SetRole(ctx, "acme", portal.Visitor{}, portal.RoleChange{Account: id(acme, "admin@acme-cloud.example"), To: portal.Administrator}); err != nil {
		t.Fatal(err)
	}
	admin.signInPassword(acme, "admin@acme-cloud.example", password)
	w.resident(t, "user@acme-cloud.example")
	w.guest(t, beta, "user@guest.example", "")
	page := acme + "/admin/users/" + id(acme, "user@acme-cloud.example") + "/addresses"
	for _, other := range []string{id(beta, "user@guest.example"), strings.Repeat("f", 32)} {
		to := acme + "/admin/users/" + other + "/addresses"
		w.refused(t, acme, refusal{Status: 404, Action: "access.refused", Code: "account_unknown"}, func() *answer { return admin.get(to) })
		w.denied(t, admin, 404, "access.refused", "account_unknown", to, url.Values{"email": {"x@new.example"}}, "x@new.example")
		w.denied(t, admin, 404, "access.refused", "account_unknown", to, url.Values{"address": {"user@guest.example"}, "do": {"remove"}})
	}
	admin.post(page, url.Values{"email": {"user@added.example"}}).want(http.StatusOK)
	token := tokenIn(w.mailed(t, acme, "user@added.example"), "/account/addresses/confirm")
	w.denied(t, admin, http.StatusForbidden, "alias.refused", "alias_other_account", confirmAddress, url.Values{"token": {token}})
	for i, extra := range []string{"confirmed", "is_primary", "portal", "account", "proof", "role", "by"} {
		w.denied(t, admin, http.StatusBadRequest, "", "", page, url.Values{"email": {fmt.Sprintf("x%d@new.example", i)}, extra: {"1"}})
	}
	w.denied(t, admin, http.StatusBadRequest, "", "", page, url.Values{"address": {"user@added.example"}, "do": {"confirm"}})
	if n := w.holders(t, "user@added.example"); n != 0 {
		t.Fatal("an administrator has confirmed it")
	}
	// A member has no console.
	member := w.resident(t, "member@acme-cloud.example")
	w.denied(t, member, http.StatusForbidden, "access.refused", "permission_missing", page, url.Values{"email": {"x@new.example"}})
}

// The other account is proven in this session, in this browser, lately, once, and
// it is the one that has the address.
func mergeProofs(t *testing.T, w *world) {
	b, _ := w.resident(t, "keep@acme-cloud.example"), w.resident(t, "gone2@acme-cloud.example")
	eve := w.resident(t, "eve2@acme-cloud.example")
	token := w.adds(t, b, "gone2@acme-cloud.example")
	prove := func(as, secret string) *answer {
		form := b.arrive(b.post(mergeAddresses, url.Values{"token": {token}}))
		handle := form.page().Attr("input[name=attempt]", "value")
		if as != "" {
			b.post(acme+"/login", url.Values{"email": {as}, "attempt": {handle}})
		}
		return b.post(acme+"/login/password", url.Values{"attempt": {handle}, "password": {secret}})
	}
	if a := prove("", "not the password at all"); a.Status != http.StatusForbidden {
		t.Errorf("a wrong password: %d", a.Status)
	}
	a := b.arrive(prove("eve2@acme-cloud.example", password))
	if a.Status != http.StatusForbidden || a.page().Has("input[name=mark]") {
		t.Errorf("eve's account for the other one: %d %s", a.Status, a.text())
	}
	a = prove("", password)
	if a.session() != nil {
		t.Error("the proof signs in")
	}
	if got := b.signedIn(acme); got != "keep@acme-cloud.example" {
		t.Errorf("signed in as %q", got)
	}
	a = b.arrive(a)
	form := url.Values{}
	for _, name := range []string{"token", "attempt", "mark"} {
		form.Set(name, a.page().Attr("main input[name="+name+"]", "value"))
	}
	if form.Get("mark") == "" {
		t.Fatalf("no summary: %d %s", a.Status, a.text())
	}
	w.denied(t, eve, http.StatusForbidden, "account.merge_refused", "alias_other_account", mergeAddresses, form)
	bare := url.Values{"token": form["token"], "mark": form["mark"]}
	w.denied(t, b, http.StatusForbidden, "account.merge_refused", "attempt_unknown", mergeAddresses, bare)
	elsewhere := w.browser(t)
	elsewhere.signInPassword(acme, "keep@acme-cloud.example", password)
	w.denied(t, elsewhere, http.StatusForbidden, "account.merge_refused", "attempt_unknown", mergeAddresses, form)
	if a := b.post(acme+"/login/password", url.Values{"attempt": {form.Get("attempt")}, "password": {password}}); a.session() != nil {
		t.Error("the attempt of a proof signs in")
	}
}

// SES-01: whoever joins an owner's account to their own may do what an owner may, by
// a new token: the one from before, known to somebody or planted by them, is none.
func mergeRaises(t *testing.T, w *world) {
	const keep, gone = "rises@acme-cloud.example", "boss@acme-cloud.example"
	b := w.resident(t, keep)
	w.administrator(t, acme, gone, portal.Owner)
	token := w.adds(t, b, gone)
	form := b.arrive(b.post(mergeAddresses, url.Values{"token": {token}}))
	proof := b.post(acme+"/login/password", url.Values{"attempt": {form.page().Attr("input[name=attempt]", "value")}, "password": {password}})
	summary, mark := b.arrive(proof), url.Values{}
	for _, name := range []string{"token", "attempt", "mark"} {
		mark.Set(name, summary.page().Attr("main input[name="+name+"]", "value"))
	}
	thief := w.browser(t)
	thief.plant(acme, web.SessionCookie, b.cookie(acme, web.SessionCookie))
	if thief.signedIn(acme) != keep {
		t.Fatal("the token does not open the session")
	}
	if a := b.post(mergeAddresses, mark); a.session() == nil || a.leads().Path != "/account/addresses" {
		t.Fatalf("joined: %d %s", a.Status, a.text())
	}
	if thief.signedIn(acme) != "" || b.signedIn(acme) != keep {
		t.Error("the token from before has an owner's rights, or the new one is none")
	}
	if a := b.get(acme + "/admin/audit"); a.Status != http.StatusOK {
		t.Errorf("the role has not risen: %d", a.Status)
	}
}

// PWD-32: where the organisation signs its people in, the mailbox of somebody who
// was invited does not join their account, with the role that waits for them.
func mailboxOfTheInvited(t *testing.T, w *world) {
	const victim = "chief@acme.example"
	if _, err := w.store(acme).Invite(t.Context(), portal.Visitor{}, portal.Invitation{Portal: "acme", Address: addressOf(victim), Role: portal.Owner}); err != nil {
		t.Fatal(err)
	}
	eve := w.resident(t, "mailreader@acme-cloud.example")
	token := w.adds(t, eve, victim)
	if a := eve.get(mergeAddresses + "?token=" + token); a.Status != http.StatusOK || a.page().Has("input[name=mark]") {
		t.Errorf("without the organisation: %d %s", a.Status, a.text())
	}
	if a := eve.post(mergeAddresses, url.Values{"token": {token}, "mark": {"x"}}); a.Status != http.StatusConflict || a.page().Has("input[name=mark]") {
		t.Errorf("without the organisation, at once: %d %s", a.Status, a.text())
	}
	if to := eve.follow(eve.post(mergeAddresses, url.Values{"token": {token}})).leads(); to.Host == hostOf(acme) {
		t.Errorf("led to %s, and not to the organisation", to)
	}
	if a := eve.get(acme + "/admin"); a.Status != http.StatusForbidden {
		t.Errorf("the console: %d", a.Status)
	}
}
