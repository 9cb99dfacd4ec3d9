package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/discovery/page/pagetest"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/passkeytest"
)

// someone makes an account with a role and a password.
func (w *world) someone(portalID, who string, role portal.Role) portal.Account {
	w.t.Helper()
	if _, err := w.store.DangerouslyCreateAccount(w.t.Context(), portal.Account{Portal: portalID, Primary: address(w.t, who), Role: role}, goodPassword); err != nil {
		w.t.Fatal(err)
	}
	a, _, err := w.store.AccountByAddress(w.t.Context(), portalID, address(w.t, who))
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// link is the path that the newest mail to a pending address leads to.
func (w *world) link(who string) string {
	w.t.Helper()
	l, ok := w.letters()[portal.AliasLetter]
	if !ok || l.To != address(w.t, who) {
		w.t.Fatalf("no link went to %s", who)
	}
	return "/account/addresses/confirm?token=" + l.Token.Clear()
}

// listed are the addresses on a page, each with its badges.
func (a answer) listed() map[string]string {
	out := map[string]string{}
	for _, li := range a.page.All("#addresses h3") {
		text := strings.Fields(pagetest.Text(li))
		out[text[0]] = strings.Join(text[1:], " ")
	}
	return out
}

// S20, S22, S23 on the pages.
func TestAddresses(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	b.signIn("ian@initech.example", goodPassword)
	b.get("/account/addresses").want(t, 200, "Addresses")
	a := b.post("/account/addresses", url.Values{"email": {"Ian@New.example"}})
	a.want(t, 200, "Addresses")
	if got := a.page.Text(".notice"); !strings.HasPrefix(got, "A confirmation was sent to ian@new.example.") {
		t.Errorf("says %q", got)
	}
	if got := a.listed(); got["ian@new.example"] != "Pending" || !strings.HasPrefix(got["ian@initech.example"], "Primary") {
		t.Errorf("listed: %v", got)
	}
	a = b.post("/account/addresses/promote", url.Values{"address": {"ian@new.example"}})
	a.want(t, 403, "Addresses")
	link := w.link("ian@new.example")
	a = b.get(link)
	a.want(t, 200, "Confirm an address")
	a = b.follow(b.submit(a, nil))
	a.want(t, 200, "Addresses")
	if got := a.listed(); got["ian@new.example"] != "Confirmed" || a.page.Text(".notice") == "" {
		t.Errorf("listed: %v", got)
	}
	b.get(link).want(t, 403, "This was not accepted")
	a = b.follow(b.post("/account/addresses/promote", url.Values{"address": {"ian@new.example"}}))
	a.want(t, 200, "Addresses")
	if got := a.listed(); got["ian@new.example"] != "Primary Licensed" || got["ian@initech.example"] != "Confirmed" {
		t.Errorf("listed: %v", got)
	}
	b.post("/account/addresses/remove", url.Values{"address": {"ian@new.example"}}).want(t, 403, "Addresses")
	a = b.follow(b.post("/account/addresses/remove", url.Values{"address": {"ian@initech.example"}}))
	if got := a.listed(); len(got) != 1 {
		t.Errorf("listed: %v", got)
	}
	// What is wrong with the form.
	for typed, status := range map[string]int{"": 400, "ian": 400, "ian@new.example": 400} {
		a := b.post("/account/addresses", url.Values{"email": {typed}})
		a.want(t, status, "Addresses")
		if a.page.Attr("#email", "value") != typed || a.page.Text("#email-error") == "" {
			t.Errorf("%q: %q, %q", typed, a.page.Attr("#email", "value"), a.page.Text("#email-error"))
		}
	}
	for _, form := range []url.Values{{"email": {"x@new.example"}, "confirmed": {"1"}}, {"email": {"x@new.example", "y@new.example"}}} {
		b.post("/account/addresses", form).want(t, 400, "That does not look right")
	}
	b.post("/account/addresses/resend", url.Values{"address": {"nobody@new.example"}}).want(t, 404, "There is no such page")
	b.post("/account/addresses/resend", url.Values{}).want(t, 400, "Addresses")
}

// The answer is the same for an address that nobody has, one of another account,
// one of another portal, and one in a domain that is proven for another.
func TestAddingTellsNothing(t *testing.T) {
	w := newFederatedWorld(t)
	w.someone("initech", "iva@initech.example", portal.Member)
	b := w.browser(initech)
	b.signIn("ian@initech.example", goodPassword)
	var first string
	for _, typed := range []string{"nobody@new.example", "iva@initech.example", "uma@umbrella.example", "ada@acme.example"} {
		a := b.post("/account/addresses", url.Values{"email": {typed}})
		got := strings.ReplaceAll(a.page.Text(".notice"), typed, "X")
		if first == "" {
			first = got
		}
		if a.StatusCode != 200 || got != first {
			t.Errorf("%s: %d %q", typed, a.StatusCode, got)
		}
		if w.letters()[portal.AliasLetter].To != address(t, typed) {
			t.Errorf("%s: no mail", typed)
		}
	}
}

// PWD-21: whoever is not signed in comes back to the link; somebody else sees
// nothing.
func TestConfirmationLink(t *testing.T) {
	w := newWorld(t)
	w.someone("initech", "eve@initech.example", portal.Administrator)
	b := w.browser(initech)
	b.signIn("ian@initech.example", goodPassword)
	b.post("/account/addresses", url.Values{"email": {"ian@new.example"}})
	link := w.link("ian@new.example")

	eve := w.browser(initech)
	a := eve.get(link)
	if a.StatusCode != http.StatusSeeOther || strings.Contains(a.Header.Get("Location"), "token") {
		t.Fatalf("a stranger: %d to %q", a.StatusCode, a.Header.Get("Location"))
	}
	a = eve.follow(eve.submit(eve.follow(a), url.Values{"email": {"eve@initech.example"}}))
	a = eve.follow(eve.submit(a, url.Values{"password": {goodPassword}}))
	a.want(t, 403, "This was not accepted")
	if strings.Contains(a.body, "ian@") {
		t.Errorf("tells whose link it is: %s", a.body)
	}
	_, token, _ := strings.Cut(link, "token=")
	eve.post("/account/addresses/confirm", url.Values{"token": {token}}).want(t, 403, "This was not accepted")

	again := w.browser(initech)
	a = again.follow(again.submit(again.follow(again.get(link)), url.Values{"email": {"ian@initech.example"}}))
	a = again.follow(again.submit(a, url.Values{"password": {goodPassword}}))
	a.want(t, 200, "Confirm an address")
	again.follow(again.submit(a, nil)).want(t, 200, "Addresses")
	for _, forged := range []string{"?token=short", "?token=" + strings.Repeat("a", 43), "?token=a&token=b"} {
		if a := b.get("/account/addresses/confirm" + forged); a.StatusCode != 403 && a.StatusCode != 400 {
			t.Errorf("%q: %d", forged, a.StatusCode)
		}
	}
	for _, none := range []string{"", "?token="} {
		if a := b.get("/account/addresses/confirm" + none); a.Header.Get("Location") != "/account/addresses" {
			t.Errorf("%q: %d", none, a.StatusCode)
		}
	}
}

// S17: administrators add, nobody but the person confirms.
func TestAdministratorAddsAddress(t *testing.T) {
	w := newFederatedWorld(t)
	w.someone("initech", "iris@initech.example", portal.Owner)
	gus := w.someone("initech", "gus@guest.example", portal.Guest)
	b := w.browser(initech)
	b.signIn("iris@initech.example", goodPassword)
	path := "/admin/users/" + gus.ID + "/addresses"
	b.get(path).want(t, 200, "Addresses of gus@guest.example")
	a := b.post(path, url.Values{"email": {"gus@new.example"}})
	a.want(t, 200, "Addresses of gus@guest.example")
	if got := a.listed(); got["gus@new.example"] != "Pending" {
		t.Errorf("listed: %v", got)
	}
	link := w.link("gus@new.example")
	b.get(link).want(t, 403, "This was not accepted")
	for _, form := range []url.Values{
		{"address": {"gus@new.example"}, "do": {"confirm"}},
		{"address": {"gus@new.example"}, "confirmed": {"1"}},
		{"email": {"gus@new.example"}, "state": {"confirmed"}},
	} {
		if a := b.post(path, form); a.StatusCode != 400 {
			t.Errorf("%v: %d", form, a.StatusCode)
		}
	}
	b.post(path, url.Values{"address": {"gus@new.example"}, "do": {"resend"}}).want(t, 200, "")
	newer := w.link("gus@new.example")
	g := w.browser(initech)
	g.signIn("gus@guest.example", goodPassword)
	g.get(link).want(t, 403, "")
	g.follow(g.submit(g.get(newer), nil)).want(t, 200, "Addresses")
	if g.post("/account/addresses", url.Values{"email": {"more@new.example"}}).StatusCode != 403 {
		t.Error("a guest adds addresses alone")
	}
	a = b.get(path)
	if got := a.listed(); got["gus@new.example"] != "Confirmed" || a.page.Has("button[name=do]") {
		t.Errorf("listed: %v", got)
	}
	b.post(path, url.Values{"address": {"gus@new.example"}, "do": {"remove"}}).want(t, 403, "")
	// ADM-01: another portal's account, and one that does not exist.
	uma, _, err := w.store.AccountByAddress(t.Context(), "umbrella", address(t, "uma@umbrella.example"))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{uma.ID, strings.Repeat("0", 32)} {
		b.get("/admin/users/"+id+"/addresses").want(t, 404, "There is no such page")
		b.post("/admin/users/"+id+"/addresses", url.Values{"email": {"x@new.example"}}).want(t, 404, "There is no such page")
	}
	g.get(path).want(t, 403, "This was not accepted")
	g.post(path, url.Values{"email": {"x@new.example"}}).want(t, 403, "This was not accepted")
}

// toMerge has ian add iva's address and opens its link.
func (w *world) toMerge(b *browser) answer {
	w.t.Helper()
	b.signIn("ian@initech.example", goodPassword)
	b.post("/account/addresses", url.Values{"email": {"iva@initech.example"}})
	return b.follow(b.get(w.link("iva@initech.example")))
}

// S21 on the pages.
func TestMerge(t *testing.T) {
	w := newWorld(t)
	iva := w.someone("initech", "iva@initech.example", portal.Auditor)
	hers := w.browser(initech)
	hers.signIn("iva@initech.example", goodPassword)
	b := w.browser(initech)
	a := w.toMerge(b)
	a.want(t, 200, "This address has an account already")
	a = b.follow(b.submit(a, nil))
	a.want(t, 200, "Enter your password")
	b.submit(a, url.Values{"password": {"not her password at all"}}).want(t, 403, "Enter your password")
	a = b.follow(b.submit(a, url.Values{"password": {goodPassword}}))
	a.want(t, 200, "Join two accounts")
	if got := a.page.Text("#role"); got != "Auditor" {
		t.Errorf("role: %q", got)
	}
	if got := a.page.Text("#joined"); !strings.Contains(got, "ian@initech.example") || !strings.Contains(got, "iva@initech.example") {
		t.Errorf("addresses: %q", got)
	}
	if !hers.signedIn() || !b.signedIn() {
		t.Error("somebody is signed out before anything was agreed to")
	}
	// Somebody changes her role while the summary is read.
	if _, err := w.store.SetRole(t.Context(), "initech", portal.Visitor{}, roleOf(iva, portal.HelpDesk)); err != nil {
		t.Fatal(err)
	}
	form := url.Values{}
	for _, in := range a.page.All("main form input") {
		form.Set(pagetest.Attr(in, "name"), pagetest.Attr(in, "value"))
	}
	forged := url.Values{"token": form["token"], "mark": form["mark"], "attempt": {strings.Repeat("b", 43)}}
	if a := b.post("/account/addresses/merge", forged); a.StatusCode == 303 {
		t.Error("merged without a proof")
	}
	// The role that changed ended her generation, so the proof is over as well.
	b.post("/account/addresses/merge", form).want(t, 403, "This address has an account already")
	a = w.proveIva(b, form.Get("token"))
	if got := a.page.Text("#role"); got != "Help desk" {
		t.Errorf("role: %q", got)
	}
	a = b.follow(b.submit(a, nil))
	a.want(t, 200, "Addresses")
	if got := a.listed(); got["iva@initech.example"] != "Confirmed" || !strings.HasPrefix(got["ian@initech.example"], "Primary") {
		t.Errorf("listed: %v", got)
	}
	if hers.signedIn() || !b.signedIn() {
		t.Error("her session lives on, or his ended")
	}
	c := w.browser(initech)
	c.signIn("iva@initech.example", goodPassword).want(t, 200, "Welcome, Ian")
	if sess := c.get("/account/addresses").listed(); len(sess) != 2 {
		t.Errorf("her address leads elsewhere: %v", sess)
	}
}

func (w *world) proveIva(b *browser, token string) answer {
	w.t.Helper()
	a := b.follow(b.submit(b.get("/account/addresses/merge?token="+token), nil))
	if a.page.Has("[name=keep]") || !a.page.Has("[name=password]") {
		w.t.Error("a proof opens no session: there is nothing to stay signed in to")
	}
	a = b.follow(b.submit(a, url.Values{"password": {goodPassword}}))
	a.want(w.t, 200, "Join two accounts")
	return a
}

// Proofs that are none: another account's, another session's, too old, none.
func TestMergeProofs(t *testing.T) {
	w := newWorld(t)
	w.someone("initech", "iva@initech.example", portal.Member)
	w.someone("initech", "eve@initech.example", portal.Member)
	b := w.browser(initech)
	a := w.toMerge(b)
	token := a.page.Attr("input[name=token]", "value")
	mine := b.follow(b.submit(a, nil))
	// As somebody else, in the same attempt.
	handle := mine.page.Attr("input[name=attempt]", "value")
	other := b.follow(b.post("/login", url.Values{"email": {"eve@initech.example"}, "attempt": {handle}}))
	other = b.follow(b.submit(other, url.Values{"password": {goodPassword}}))
	other.want(t, 403, "This address has an account already")
	// A proof of hers that is too old.
	a = w.proveIva(b, token)
	w.pass(portal.ProofLife + time.Minute)
	b.submit(a, nil).want(t, 403, "This address has an account already")
	// In another session of the same person.
	elsewhere := w.browser(initech)
	elsewhere.signIn("ian@initech.example", goodPassword)
	stolen := "/account/addresses/merge?token=" + token + "&attempt=" + a.page.Attr("input[name=attempt]", "value")
	elsewhere.get(stolen).want(t, 403, "This address has an account already")
	if a, ok, err := w.store.AccountByAddress(t.Context(), "initech", address(t, "iva@initech.example")); err != nil || !ok || a.Status != portal.Active {
		t.Errorf("her account: %+v, %v", a, err)
	}
}

func roleOf(a portal.Account, r portal.Role) portal.RoleChange {
	return portal.RoleChange{Account: a.ID, To: r}
}

// S21 by federation: the other account signs in at its organisation, and is found
// there from then on as part of the one that stays.
func TestMergeByFederation(t *testing.T) {
	w := newFederatedWorld(t)
	ada := w.browser(acme)
	arrive := func(b *browser) answer {
		leg := b.leg("acme-saml")
		response := w.assertion(w.target(acme, "acme-saml", leg.RequestID), "ada@acme.example")
		return b.crossPost("/saml/acme-saml/acs", url.Values{"SAMLResponse": {response}, "RelayState": {leg.State}})
	}
	ada.depart("ada@acme.example", "/account/profile")
	ada.follow(arrive(ada)).want(t, 200, "")
	w.someone("acme", "max@consult.example", portal.Member)
	b := w.browser(acme)
	b.signIn("max@consult.example", goodPassword)
	b.post("/account/addresses", url.Values{"email": {"ada@acme.example"}})
	a := b.follow(b.get(w.link("ada@acme.example")))
	a.want(t, 200, "This address has an account already")
	a = b.follow(b.submit(a, nil))
	if to := a.Header.Get("Location"); !strings.HasPrefix(to, "https://idp.example/") {
		t.Fatalf("led to %q", to)
	}
	a = b.follow(arrive(b))
	a.want(t, 200, "Join two accounts")
	if !a.page.Has("#domain") || !b.signedIn() {
		t.Errorf("the summary: %s", a.page.Text("main"))
	}
	b.follow(b.submit(a, nil)).want(t, 200, "Addresses")
	if ada.signedIn() {
		t.Error("her session lives on")
	}
	ada.depart("ada@acme.example", "/account/addresses")
	a = ada.follow(arrive(ada))
	if got := a.listed(); !strings.HasPrefix(got["max@consult.example"], "Primary") || got["ada@acme.example"] != "Confirmed" {
		t.Errorf("by federation: %d %v", a.StatusCode, got)
	}
}

// The other account's second factor is asked for, and is the one account's
// afterwards.
func TestMergeAsksForTheSecondFactor(t *testing.T) {
	w := newWorld(t)
	w.someone("initech", "iva@initech.example", portal.Member)
	hers := w.browser(initech)
	hers.signIn("iva@initech.example", goodPassword)
	key := hers.addApp()
	b := w.browser(initech)
	a := w.toMerge(b)
	a = b.follow(b.submit(b.follow(b.submit(a, nil)), url.Values{"password": {goodPassword}}))
	if a.page.Has("input[name=mark]") || !a.page.Has("input[name=code]") {
		t.Fatalf("the second factor is not asked for: %q", a.page.Text("h1"))
	}
	handle := a.page.Attr("input[name=attempt]", "value")
	w.pass(time.Minute)
	a = b.follow(b.second(a, url.Values{"code": {w.shown(key)}}))
	a.want(t, 200, "Join two accounts")
	if !a.page.Has("input[name=token]") || a.page.Attr("input[name=attempt]", "value") != handle || a.page.Text("#factors") != "1 stays" {
		t.Errorf("the summary: %s", a.page.Text("main"))
	}
	b.follow(b.submit(a, nil)).want(t, 200, "Addresses")
	w.pass(time.Minute)
	c := w.browser(initech)
	a = c.signIn("ian@initech.example", goodPassword)
	if !a.page.Has("input[name=code]") {
		t.Fatalf("the joined account has no second factor: %q", a.page.Text("h1"))
	}
	c.follow(c.second(a, url.Values{"code": {w.shown(key)}})).want(t, 200, "Welcome, Ian")
}

// A passkey goes along: its device still names the account it was made for, and
// it signs in to the one that this has become part of, alone and after a password.
func TestMergeTakesPasskeysAlong(t *testing.T) {
	w := newWorld(t)
	w.someone("initech", "iva@initech.example", portal.Member)
	k := passkeytest.New(t, "https://"+initech)
	w.fresh(initech, "iva@initech.example").addPasskey(k, "Telephone")
	b := w.browser(initech)
	a := w.toMerge(b)
	a = b.follow(b.submit(b.follow(b.submit(a, nil)), url.Values{"password": {goodPassword}}))
	a.want(t, 200, "Confirm with your passkey")
	a = b.follow(b.submit(a, nil))
	a = b.follow(b.give(a, k.Get(a.options())))
	a.want(t, 200, "Join two accounts")
	b.follow(b.submit(a, nil)).want(t, 200, "Addresses")

	alone := w.browser(initech)
	a = alone.askPasskey()
	alone.follow(alone.give(a, k.Get(a.options()))).want(t, 200, "Welcome, Ian")
	second := w.browser(initech)
	a = second.signIn("ian@initech.example", goodPassword)
	a = second.follow(second.submit(a, nil))
	second.follow(second.give(a, k.Get(a.options()))).want(t, 200, "Welcome, Ian")
}
