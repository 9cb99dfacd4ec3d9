package attacks

import (
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/discovery/page/pagetest"
	"github.com/domicile-sso/domicile/portal"
)

// TestProfiles attacks what people say about themselves, and the licences they
// have.
func TestProfiles(t *testing.T) {
	w := newWorld(t)
	for _, row := range []struct {
		name string
		test func(*testing.T, *world)
	}{
		{"ADM-03 more than a profile", massAssignment},
		{"ADM-15 lost updates", lostUpdate},
		{"ADM-15 fifty at once", savedAtOnce},
		{"ADM-01 ADM-02 licences through the console", licenceConsole},
		{"ADM-15 what was agreed to", agreedTo},
	} {
		t.Run(row.name, func(t *testing.T) {
			w.Clock.Pass(2 * time.Hour)
			row.test(t, w)
		})
	}
}

const profile = acme + "/account/profile"

func (w *world) person(t testing.TB, at, address string) portal.Account {
	t.Helper()
	a, ok, err := w.store(at).AccountByAddress(t.Context(), idOf(at), addressOf(address))
	if err != nil || !ok {
		t.Fatalf("%s: %t, %v", address, ok, err)
	}
	return a
}

// profileForm is what a browser sends of the form as it is.
func profileForm(b *browser) url.Values {
	p := b.get(profile).page()
	form := url.Values{}
	for _, in := range p.All("main form input") {
		form.Set(pagetest.Attr(in, "name"), pagetest.Attr(in, "value"))
	}
	for _, name := range []string{"culture", "language", "sms_country"} {
		form.Set(name, p.Attr("#"+name+" option[selected]", "value"))
	}
	return form
}

func changed(form url.Values, name, value string) url.Values {
	form = maps.Clone(form)
	form.Set(name, value)
	return form
}

// ADM-03: nothing but the profile is changed by its form.
func massAssignment(t *testing.T, w *world) {
	const who = "mass@acme-cloud.example"
	b := w.resident(t, who)
	form, before := profileForm(b), w.person(t, acme, who)
	for _, name := range []string{"role", "is_platform_admin", "tenant_id", "verified", "jurisdiction", "status", "account", "portal", "plan",
		"generation", "merged_into", "primary", "email", "must_change", "created", "Role", "given_name[]", "version "} {
		w.refused(t, acme, refusal{Status: http.StatusBadRequest}, func() *answer { return b.post(profile, changed(form, name, "owner")) })
	}
	for name, values := range map[string][]string{
		"version":           {"", "0", "-1", "1.0", "0x1", " 1", "9223372036854775808", "1;2"},
		"culture":           {"xx-XX", "de_CH", "../de-CH"},
		"language":          {"xx", "EN", "de\x00"},
		"return_protection": {"sms", "microsoft", "everything"},
		"sms_country":       {"XX", "ch", "CHE"},
		"zone":              {"Local", "../../etc/passwd", "/etc/localtime", "Europe/../UTC"},
		"cell":              {"tel:+41781234567", "+41781234567;ext=1", "<b>1</b>", strings.Repeat("1", 99)},
		"given_name":        {strings.Repeat("a", 101), strings.Repeat("\u202e", 801)},
	} {
		for _, value := range values {
			if a := b.post(profile, changed(form, name, value)); a.Status/100 != 4 || strings.Contains(a.Body, "<b>1</b>") {
				t.Errorf("%s=%q: got %d", name, value, a.Status)
			}
		}
	}
	if after := w.person(t, acme, who); after != before {
		t.Errorf("it became %+v", after)
	}
	if a := b.crossPost(profile, changed(form, "family_name", "Mallory")); a.Status != http.StatusForbidden {
		t.Errorf("a post from another site: %d", a.Status)
	}
	// What is shown is text, whatever it says.
	const xss = `"><img src=x onerror=alert(1)>{{.}}`
	b.post(profile, changed(form, "family_name", xss)).leads()
	if a := b.get(profile); strings.Contains(a.Body, "<img src=x") || a.page().Attr("#family_name", "value") != xss {
		t.Error("a name is not shown as it is")
	}
}

// ADM-15: whoever saves what is no more is told, and nothing is lost.
func lostUpdate(t *testing.T, w *world) {
	const who = "lost@acme-cloud.example"
	b := w.resident(t, who)
	form := profileForm(b)
	b.post(profile, changed(form, "family_name", "First")).leads()
	before := w.rows(t, w.home(acme).DB)
	stale := b.post(profile, changed(form, "family_name", "Second")).want(http.StatusConflict)
	w.unchanged(t, w.home(acme).DB, before)
	if got := stale.page().Text(".compare"); !strings.Contains(got, "First") || !strings.Contains(got, "Second") {
		t.Errorf("both are not shown: %q", got)
	}
	for _, version := range []string{"3", "99", "9223372036854775807"} {
		if a := b.post(profile, changed(changed(form, "family_name", "Third"), "version", version)); a.Status != http.StatusConflict {
			t.Errorf("version %s: %d", version, a.Status)
		}
	}
	if got := w.person(t, acme, who); got.FamilyName != "First" || got.Version != 2 {
		t.Errorf("saved: %+v", got.Profile())
	}
}

// ADM-15: of fifty who save the same version one is first.
func savedAtOnce(t *testing.T, w *world) {
	const who = "atonce@acme-cloud.example"
	b := w.resident(t, who)
	form := profileForm(b)
	statuses := map[int]int{}
	for _, a := range b.burst(50, func(i int) request {
		return request{Method: http.MethodPost, URL: profile, Form: changed(form, "family_name", "N"+strconv.Itoa(i)), From: acme}
	}) {
		statuses[a.Status]++
	}
	if statuses[http.StatusSeeOther] != 1 || statuses[http.StatusConflict] != 49 {
		t.Errorf("got %v", statuses)
	}
}

// ADM-01, ADM-02: another portal's people have no licence here.
func licenceConsole(t *testing.T, w *world) {
	const owner, user = "chief@acme-cloud.example", "user3@acme-cloud.example"
	admin := w.resident(t, owner)
	member := w.resident(t, user)
	w.guest(t, beta, "user3@guest.example", "")
	c := portal.RoleChange{Account: w.person(t, acme, owner).ID, To: portal.Owner}
	if _, err := w.store(acme).SetRole(t.Context(), "acme", portal.Visitor{}, c); err != nil {
		t.Fatal(err)
	}
	admin.signInPassword(acme, owner, password)
	for _, id := range []string{w.person(t, beta, "user3@guest.example").ID, strings.Repeat("f", 32)} {
		to := acme + "/admin/users/" + id + "/licence"
		w.refused(t, acme, refusal{Status: 404, Action: "access.refused", Code: "account_unknown"}, func() *answer { return admin.get(to) })
		w.denied(t, admin, 404, "access.refused", "account_unknown", to, url.Values{"plan": {"pro"}, "mark": {"0123456789abcdef"}})
	}
	to := acme + "/admin/users/" + w.person(t, acme, user).ID + "/licence"
	for _, extra := range []string{"portal", "account", "seats", "ends", "renews", "actor"} {
		w.refused(t, acme, refusal{Status: http.StatusBadRequest}, func() *answer { return admin.post(to, url.Values{"plan": {"pro"}, extra: {"1"}}) })
	}
	for _, r := range []request{{URL: to}, {URL: acme + "/admin/licences"}, {Method: http.MethodPost, URL: to, Form: url.Values{"plan": {"pro"}}, From: acme}} {
		w.refused(t, acme, refusal{Status: http.StatusForbidden, Action: "access.refused", Code: "permission_missing"}, func() *answer { return member.send(r) })
	}
}

// ADM-15: a licence changes as it was shown, or not at all.
func agreedTo(t *testing.T, w *world) {
	const who = "agreed@acme-cloud.example"
	b := w.resident(t, who)
	const release = acme + "/account/licence"
	mark := b.get(release).page().Attr("input[name=mark]", "value")
	if mark == "" {
		t.Fatal("nothing to agree to")
	}
	before := w.rows(t, w.home(acme).DB)
	for _, wrong := range []string{"", "0", strings.Repeat("0", 16), strings.ToUpper(mark) + "x"} {
		if a := b.post(release, url.Values{"mark": {wrong}}); a.Status != http.StatusConflict {
			t.Errorf("mark %q: %d", wrong, a.Status)
		}
	}
	w.unchanged(t, w.home(acme).DB, before)
	statuses := map[int]int{}
	for _, a := range b.burst(50, func(int) request {
		return request{Method: http.MethodPost, URL: release, Form: url.Values{"mark": {mark}}, From: acme}
	}) {
		statuses[a.Status]++
	}
	if n := w.count(t, acme, `audit WHERE portal = 'acme' AND action = 'licence.released' AND account = $1`, w.person(t, acme, who).ID); n != 1 {
		t.Errorf("it was released %d times: %v", n, statuses)
	}
}
