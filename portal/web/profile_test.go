package web

import (
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/discovery/page/pagetest"
	"github.com/domicile-sso/domicile/portal"
)

// owner makes somebody an owner of their portal.
func (w *world) owner(portalID, who string) portal.Account {
	w.t.Helper()
	a := w.known(portalID, who)
	if _, err := w.db.Exec(`UPDATE accounts SET role = 'owner' WHERE id = $1`, a.ID); err != nil {
		w.t.Fatal(err)
	}
	return w.known(portalID, who)
}

func (w *world) known(portalID, who string) portal.Account {
	w.t.Helper()
	a, ok, err := w.store.AccountByAddress(w.t.Context(), portalID, address(w.t, who))
	if err != nil || !ok {
		w.t.Fatalf("%s: %t, %v", who, ok, err)
	}
	return a
}

// relicense gives somebody another plan, as the operator.
func (w *world) relicense(a portal.Account, plan string) {
	w.t.Helper()
	c := portal.LicenceChange{Plan: plan}
	p, err := w.store.PreviewLicence(w.t.Context(), a.Portal, a.ID, c)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.ChangeLicence(w.t.Context(), a.Portal, portal.Visitor{}, a.ID, c, p.Mark); err != nil {
		w.t.Fatal(err)
	}
}

// filled is what a browser would send of the profile's form, with changes.
func (a answer) filled(set url.Values) url.Values {
	form := url.Values{}
	for _, in := range a.page.All("main form input") {
		if !hasAttr(in.Attr, "disabled") {
			form.Set(pagetest.Attr(in, "name"), pagetest.Attr(in, "value"))
		}
	}
	for _, sel := range a.page.All("main form select") {
		if hasAttr(sel.Attr, "disabled") {
			continue
		}
		name := pagetest.Attr(sel, "name")
		form.Set(name, a.page.Attr("#"+name+" option[selected]", "value"))
	}
	for name, v := range set {
		form[name] = v
	}
	return form
}

const ian = "ian@initech.example"

// S26, S27: everything is saved by one button.
func TestProfile(t *testing.T) {
	w := newWorld(t)
	w.relicense(w.known("initech", ian), "pro")
	b := w.browser(initech)
	b.signIn(ian, goodPassword)
	a := b.follow(b.get("/account"))
	a.want(t, 200, "Licence and profile")
	if n := len(a.page.All("#zone-list option")); n < 400 {
		t.Errorf("%d time zones are suggested", n)
	}
	done := b.follow(b.post("/account/profile", a.filled(url.Values{"given_name": {"Ian"}, "family_name": {"Malcolm"}, "zone": {"zurich"}, "culture": {"de-CH"},
		"language": {"de"}, "cell": {"078 123 45 67"}, "sms_country": {"CH"}, "return_protection": {"sms"}})))
	done.want(t, 200, "")
	if done.page.Text(".notice.good") == "" {
		t.Errorf("nothing says that it is saved: %s", done.page.Text("main"))
	}
	for id, want := range map[string]string{"given_name": "Ian", "family_name": "Malcolm", "zone": "Europe/Zurich", "cell": "+41 78 123 45 67"} {
		if got := done.page.Attr("#"+id, "value"); got != want {
			t.Errorf("%s is %q, want %q", id, got, want)
		}
	}
	for id, want := range map[string]string{"culture": "de-CH", "language": "de", "sms_country": "CH", "return_protection": "sms"} {
		if got := done.page.Attr("#"+id+" option[selected]", "value"); got != want {
			t.Errorf("%s is %q, want %q", id, got, want)
		}
	}
	if got := done.page.Attr("html", "lang"); got != "de" {
		t.Errorf("the page speaks %q", got)
	}
	if !strings.Contains(done.page.Text("#sms_country"), "Schweiz (+41)") {
		t.Error("countries are not named in the language of the page")
	}
	// What is stored is sent back as it is shown, and is the same.
	again := b.follow(b.post("/account/profile", done.filled(nil)))
	if got := w.known("initech", ian); got.Cell != "+41781234567" || got.Version != 2 || again.StatusCode != 200 {
		t.Errorf("saved again: %+v", got.Profile())
	}
}

// What was typed is never lost, and each field says what is wrong with it.
func TestProfileMistakes(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	b.signIn(ian, goodPassword)
	a := b.get("/account/profile")
	wrong := b.post("/account/profile", a.filled(url.Values{"family_name": {"Malcolm"}, "zone": {"Mars/Olympus"}, "cell": {"12"}, "sms_country": {"CH"}, "language": {"fr"}}))
	if wrong.StatusCode != 400 {
		t.Fatalf("got %d", wrong.StatusCode)
	}
	for _, id := range []string{"zone", "cell"} {
		if wrong.page.Attr("#"+id, "aria-invalid") != "true" || !wrong.page.Has(".summary a[href=#"+id+"]") {
			t.Errorf("%s is not named: %s", id, wrong.page.Text(".summary"))
		}
	}
	for id, want := range map[string]string{"family_name": "Malcolm", "zone": "Mars/Olympus", "cell": "12"} {
		if got := wrong.page.Attr("#"+id, "value"); got != want {
			t.Errorf("%s was lost: %q", id, got)
		}
	}
	if wrong.page.Attr("#sms_country option[selected]", "value") != "CH" || wrong.page.Attr("#language option[selected]", "value") != "fr" {
		t.Error("a choice was lost")
	}
	if got := w.known("initech", ian); got.Version != 1 || got.FamilyName != "" {
		t.Errorf("something was saved: %+v", got.Profile())
	}
}

// ADM-15: who saves an older version sees both, and can save again.
func TestProfileConcurrently(t *testing.T) {
	w := newWorld(t)
	one, two := w.browser(initech), w.browser(initech)
	one.signIn(ian, goodPassword)
	two.signIn(ian, goodPassword)
	early, late := one.get("/account/profile"), two.get("/account/profile")
	one.post("/account/profile", early.filled(url.Values{"family_name": {"Malcolm"}}))
	stale := two.post("/account/profile", late.filled(url.Values{"family_name": {"Grant"}, "zone": {"Europe/Paris"}}))
	if stale.StatusCode != 409 {
		t.Fatalf("got %d", stale.StatusCode)
	}
	if got := stale.page.Text(".compare"); !strings.Contains(got, "Malcolm") || !strings.Contains(got, "Grant") || !strings.Contains(got, "Europe/Paris") {
		t.Errorf("both are not shown: %q", got)
	}
	if got := stale.page.Attr("#family_name", "value"); got != "Grant" {
		t.Errorf("what was typed is lost: %q", got)
	}
	two.post("/account/profile", stale.filled(nil))
	if got := w.known("initech", ian); got.FamilyName != "Grant" || got.Zone != "Europe/Paris" || got.Version != 3 {
		t.Errorf("saved: %+v", got.Profile())
	}
}

// ADM-03: nothing but the profile is changed by its form, whatever else is sent.
func TestProfileMassAssignment(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	b.signIn(ian, goodPassword)
	a := b.get("/account/profile")
	before := w.known("initech", ian)
	for _, tc := range []struct {
		name, value string
		status      int
	}{
		{"role", "owner", 400}, {"status", "disabled", 400}, {"account", "0", 400}, {"portal", "acme", 400}, {"plan", "pro", 400},
		{"generation", "9", 400}, {"verified", "1", 400}, {"primary", "eve@evil.example", 400}, {"merged_into", "0", 400},
		{"version", "", 400}, {"version", "-1", 400}, {"version", "9223372036854775808", 400}, {"version", "1e3", 400},
		{"version", "99", 409}, {"return_protection", "sms", 403}, {"return_protection", "all", 400}, {"culture", "en-US; DROP", 400},
		{"language", "xx", 400}, {"language", "../de", 400}, {"sms_country", "XX", 400}, {"zone", "../../etc/passwd", 400}, {"zone", "Local", 400},
		{"given_name", strings.Repeat("a", 101), 400}, {"given_name", strings.Repeat("a", 801), 400},
	} {
		set := url.Values{tc.name: {tc.value}}
		if tc.name == "version" {
			set.Set("family_name", "Changed")
		}
		if got := b.post("/account/profile", a.filled(set)); got.StatusCode != tc.status {
			t.Errorf("%s=%s: got %d, want %d", tc.name, tc.value, got.StatusCode, tc.status)
		}
	}
	if after := w.known("initech", ian); after != before {
		t.Errorf("changed to %+v", after)
	}
	// The role is that of the row, and a second "version" is no way around it.
	body := a.filled(nil).Encode() + "&version=" + strconv.FormatInt(before.Version, 10)
	r := newForm("/account/profile", body)
	if got := b.do(r); got.StatusCode != 400 {
		t.Errorf("two versions: got %d", got.StatusCode)
	}
}

// Return protection is a matter of the licence.
func TestReturnProtectionNeedsPro(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	b.signIn(ian, goodPassword)
	a := b.get("/account/profile")
	if !hasAttr(a.page.All("#return_protection")[0].Attr, "disabled") || !strings.Contains(a.page.Text("#return_protection-hint"), "Pro licence") {
		t.Error("it is not shown as unavailable, with the reason")
	}
	w.relicense(w.known("initech", ian), "pro")
	a = b.get("/account/profile")
	if hasAttr(a.page.All("#return_protection")[0].Attr, "disabled") {
		t.Error("it cannot be chosen")
	}
	b.post("/account/profile", a.filled(url.Values{"return_protection": {"microsoft"}}))
	w.relicense(w.known("initech", ian), "guest")
	if got := w.known("initech", ian); got.Protection != portal.NoProtection {
		t.Errorf("after the downgrade it is %q", got.Protection)
	}
}
