package attacks

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

const invitePage = acme + "/admin/users/invite"

// TestInvitations attacks how people are let in, and what an administrator
// decides for them.
func TestInvitations(t *testing.T) {
	w := newWorld(t)
	for _, row := range []struct {
		name string
		test func(*testing.T, *world)
	}{
		{"PWD-32 taken up by whom it was not meant for", invitationTheft},
		{"PWD-32 inviters without their rights", invitersRights},
		{"PWD-35 mail bombs", mailBombs},
		{"ADM-02 ADM-03 fields that nobody asked for", invitedBeyond},
		{"ADM-13 words that do something", wordsThatAct},
		{"ADM-15 two administrators", twoAdministrators},
	} {
		t.Run(row.name, func(t *testing.T) {
			w.Clock.Pass(2 * time.Hour)
			row.test(t, w)
		})
	}
}

// invitedBy invites somebody as a guest and returns the token of the link and the
// temporary password.
func (w *world) invitedBy(t testing.TB, b *browser, address string) (token, temporary string) {
	t.Helper()
	if a := b.post(invitePage, url.Values{"email": {address}, "role": {"guest"}}); a.Status != http.StatusOK || !strings.Contains(a.text(), "1 person was invited.") {
		t.Fatalf("%d %s", a.Status, a.text())
	}
	letters := w.mailed(t, acme, address)
	return tokenIn(letters, "/invitation"), temporaryIn(letters)
}

func takingUp(token, temporary string) url.Values {
	return url.Values{"token": {token}, "temporary": {temporary}, "new": {"nine purple Kettles 77"}, "confirm": {"nine purple Kettles 77"}}
}

// PWD-32: the stored invitation says who comes in and as what.
func invitationTheft(t *testing.T, w *world) {
	admin := w.administrator(t, acme, "theft-admin@away.example", portal.Owner)
	const who = "invited@away.example"
	token, temporary := w.invitedBy(t, admin, who)
	other, otherTemporary := w.invitedBy(t, admin, "other@away.example")
	forbidden := refusal{Status: http.StatusForbidden, Secrets: []string{token, temporary, other, otherTemporary}}
	for _, extra := range []string{"role", "email", "account", "portal", "plan", "status"} {
		form := takingUp(token, temporary)
		form.Set(extra, "owner")
		w.refused(t, acme, refusal{Status: http.StatusBadRequest}, func() *answer { return w.browser(t).post(acme+"/invitation", form) })
	}
	// The password of one invitation with the link of another.
	w.refused(t, acme, forbidden, func() *answer { return w.browser(t).post(acme+"/invitation", takingUp(token, otherTemporary)) })
	// At another portal.
	w.refused(t, beta, forbidden, func() *answer { return w.browser(t).post(beta+"/invitation", takingUp(token, temporary)) })
	// By somebody who says who they are in the form: it is not looked at.
	form := takingUp(token, temporary)
	form.Set("username", "theft-admin@away.example")
	if a := w.browser(t).post(acme+"/invitation", form); a.session() == nil {
		t.Fatalf("%d %s", a.Status, a.text())
	}
	if a := w.person(t, acme, who); a.Status != portal.Active || a.Role != portal.Guest {
		t.Errorf("%s %s", a.Status, a.Role)
	}
	w.refused(t, acme, forbidden, func() *answer { return w.browser(t).post(acme+"/invitation", takingUp(token, temporary)) })
	w.Clock.Pass(73 * time.Hour)
	w.refused(t, acme, forbidden, func() *answer { return w.browser(t).post(acme+"/invitation", takingUp(other, otherTemporary)) })
}

// PWD-32: rights count when they are used, not when the form was shown.
func invitersRights(t *testing.T, w *world) {
	const inviter, who = "once-admin@away.example", "late@away.example"
	b := w.administrator(t, acme, inviter, portal.Administrator)
	if a := b.post(invitePage, url.Values{"email": {"boss@away.example"}, "role": {"owner"}}); a.Status != http.StatusForbidden {
		t.Errorf("an administrator invites an owner: %d", a.Status)
	}
	token, temporary := w.invitedBy(t, b, who)
	if _, err := w.home(acme).DB.ExecContext(t.Context(), `UPDATE accounts SET role = 'member' WHERE id = $1`, w.person(t, acme, inviter).ID); err != nil {
		t.Fatal(err)
	}
	w.refused(t, acme, refusal{Status: http.StatusForbidden, Code: "inviter_refused", Secrets: []string{token, temporary}}, func() *answer {
		return w.browser(t).post(acme+"/invitation", takingUp(token, temporary))
	})
	w.refused(t, acme, refusal{Status: http.StatusForbidden, Code: "permission_missing", Action: "access.refused"}, func() *answer {
		return b.post(invitePage, url.Values{"email": {"more@away.example"}, "role": {"guest"}})
	})
	// Nor through the organisation's sign-in, which needs no link; and an inviter who
	// was disabled has no rights at all.
	gone := w.administrator(t, acme, "gone-admin@away.example", portal.Administrator)
	invited := w.IdPs.Person(t, "acme.example")
	gone.post(invitePage, url.Values{"email": {invited.Address}, "role": {"helpdesk"}}).want(http.StatusOK)
	if _, err := w.store(acme).Disable(t.Context(), "acme", portal.Visitor{}, addressOf("gone-admin@away.example")); err != nil {
		t.Fatal(err)
	}
	stranger := w.browser(t)
	trip := stranger.departWith(acme, "acme-saml", invited.Address, "/")
	a := trip.deliver(trip.assertion(invited))
	if a.Status != http.StatusForbidden || a.session() != nil || stranger.signedIn(acme) != "" {
		t.Errorf("by the organisation's sign-in: %d", a.Status)
	}
	w.audited(t, acme, a, "session.refused", "inviter_refused")
	if p := w.person(t, acme, invited.Address); p.Status != portal.Invited {
		t.Errorf("the person is %s", p.Status)
	}
}

// PWD-35: a mailbox gets three, however many ask, and by whichever door.
func mailBombs(t *testing.T, w *world) {
	const victim = "victim@bombed.example"
	one, two := w.administrator(t, acme, "bomb-one@away.example", portal.Owner), w.administrator(t, acme, "bomb-two@away.example", portal.Administrator)
	one.post(invitePage, url.Values{"email": {victim}, "role": {"guest"}})
	path := acme + "/admin/users/" + w.person(t, acme, victim).ID + "/invitation"
	sent := 1
	for i := range 10 {
		b := []*browser{one, two}[i%2]
		if a := b.post(path, url.Values{"action": {"resend"}}); a.Status == http.StatusSeeOther {
			sent++
		} else if a.Status != http.StatusTooManyRequests {
			t.Errorf("%d %s", a.Status, a.text())
		}
		b.post(invitePage, url.Values{"many": {"yes"}, "people": {victim + "\n" + victim}, "role": {"guest"}})
	}
	if sent != 3 {
		t.Errorf("%d invitations to one mailbox", sent)
	}
}

// ADM-02, ADM-03: the session's portal, and the fields of the page.
func invitedBeyond(t *testing.T, w *world) {
	admin := w.administrator(t, acme, "beyond@away.example", portal.Owner)
	for to, form := range map[string]url.Values{
		invitePage:                                              {"email": {"x@away.example"}, "role": {"guest"}},
		acme + "/admin/domains":                                 {"domain": {"evil.example"}},
		acme + "/admin/domains/remove":                          {"domain": {"evil.example"}},
		acme + "/admin/notifications":                           {"version": {"1"}, "zone": {"UTC"}, "language": {"en"}},
		acme + "/admin/policy":                                  {"version": {"1"}, "second_factor": {"optional"}},
		acme + "/admin/mails/reset/en":                          {"version": {"0"}, "action": {"save"}, "subject": {"x"}},
		acme + "/admin/users/import/" + strings.Repeat("0", 32): {"action": {"stop"}},
	} {
		for _, extra := range []string{"portal", "tenant_id", "is_platform_admin", "verified", "jurisdiction", "by", "Role"} {
			bad := url.Values{extra: {"beta"}}
			for name, v := range form {
				bad[name] = v
			}
			w.refused(t, acme, refusal{Status: http.StatusBadRequest}, func() *answer { return admin.post(to, bad) })
		}
		w.refused(t, acme, refusal{Status: http.StatusForbidden}, func() *answer { return admin.crossPost(to, form) })
	}
	// A session of one portal opens nothing at another.
	before := w.rows(t, w.home(beta).DB)
	admin.post(beta+"/admin/domains", url.Values{"domain": {"evil.example"}})
	w.unchanged(t, w.home(beta).DB, before, spared...)
}

// ADM-13: what people and administrators write is text.
func wordsThatAct(t *testing.T, w *world) {
	const xss = `"><img src=x onerror=alert(1)>{{.Secret}}`
	admin := w.administrator(t, acme, "words@away.example", portal.Owner)
	if a := admin.post(invitePage, url.Values{"email": {"marked@away.example"}, "given_name": {xss}, "role": {"guest"}}); strings.Contains(a.Body, "<img src=x") {
		t.Error("a name acts on the page of invitations")
	}
	a := admin.post(acme+"/admin/mails/invitation/en", url.Values{"version": {"0"}, "action": {"html"}, "subject": {xss}, "opening": {xss}})
	if policy := a.Header.Get("Content-Security-Policy"); strings.Contains(a.Body, "<img src=x") || !strings.HasPrefix(policy, "sandbox;") {
		t.Errorf("a mail acts: %q", policy)
	}
	if a := admin.post(acme+"/admin/notifications", url.Values{"version": {"1"}, "zone": {"UTC"}, "language": {"en"}, "contact": {xss}}); a.Status != http.StatusSeeOther {
		t.Fatalf("%d %s", a.Status, a.text())
	}
	for _, page := range []string{"/login", "/admin/notifications", "/admin/users/invite"} {
		if a := admin.get(acme + page); strings.Contains(a.Body, "<img src=x") {
			t.Errorf("%s: it acts", page)
		}
	}
	if list := admin.get(acme + "/admin/users/export.csv"); strings.Contains(list.Body, "\n=") || strings.Contains(list.Body, `"=`) {
		t.Error("a formula is exported")
	}
}

// ADM-15: of two who edit at once, one is told.
func twoAdministrators(t *testing.T, w *world) {
	one, two := w.administrator(t, beta, "one@away.example", portal.Owner), w.administrator(t, beta, "two@away.example", portal.Owner)
	notifications := two.get(beta+"/admin/notifications").page().Attr("main input[name=version]", "value")
	version := one.get(beta+"/admin/policy").page().Attr("main input[name=version]", "value")
	form := func(days string) url.Values {
		return url.Values{"version": {version}, "second_factor": {"optional"}, "trust_days": {days}, "password_min": {"10"}}
	}
	if a := one.post(beta+"/admin/policy", form("7")); a.Status != http.StatusSeeOther {
		t.Fatalf("%d %s", a.Status, a.text())
	}
	if a := two.post(beta+"/admin/policy", form("9")); a.Status != http.StatusConflict || a.page().Text(".compare") == "" {
		t.Errorf("the other: %d %s", a.Status, a.text())
	}
	if set, err := w.store(beta).Settings(t.Context(), idOf(beta)); err != nil || set.TrustDays != 7 {
		t.Errorf("%+v, %v", set, err)
	}
	// What was open on another page is none of that, and changes nothing of it.
	contact := url.Values{"version": {notifications}, "zone": {"UTC"}, "language": {"en"}, "contact": {"Call 117"}}
	two.post(beta+"/admin/notifications", contact).want(http.StatusSeeOther)
	one.post(beta+"/admin/notifications", contact).want(http.StatusConflict)
	if set, err := w.store(beta).Settings(t.Context(), idOf(beta)); err != nil || set.TrustDays != 7 || set.Contact != "Call 117" {
		t.Errorf("%+v, %v", set, err)
	}
	for _, bad := range []string{"", "-1", "9223372036854775808", "1;2"} {
		version = bad
		w.refused(t, beta, refusal{Status: http.StatusBadRequest}, func() *answer { return two.post(beta+"/admin/policy", form("9")) })
	}
}

// PWD-32.
func invitations(t *testing.T, w *world) {
	const who = "ivy@guest.example"
	first, old := w.invite(t, acme, who)
	w.Clock.Pass(time.Second)
	token, temporary := w.invite(t, acme, who)
	good := func(token, temporary string) url.Values {
		return url.Values{"token": {token}, "temporary": {temporary}, "new": {betterPassword}, "confirm": {betterPassword}}
	}
	with := func(v url.Values, name, value string) url.Values {
		v.Set(name, value)
		return v
	}
	no := func(name string, status int, at string, form url.Values) {
		t.Helper()
		b := w.named(t, "192.0.2.232")
		a := w.refused(t, at, refusal{Status: status, Secrets: []string{temporary, old, betterPassword}}, func() *answer { return b.post(at+"/invitation", form) })
		if a.Status != status {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	no("replaced", 403, acme, good(first, old))
	no("the older temporary password", 403, acme, good(token, old))
	no("another portal", 403, beta, good(token, temporary))
	no("another region", 403, gamma, good(token, temporary))
	no("another address", 400, acme, with(good(token, temporary), "email", "mallory@evil.example"))
	no("a role", 400, acme, with(good(token, temporary), "role", "administrator"))
	no("blank", 403, acme, good("", temporary))
	b := w.named(t, "192.0.2.233")
	// The name shown in the form is for password managers; it decides nothing.
	b.post(acme+"/invitation", with(good(token, temporary), "username", pat)).want(http.StatusSeeOther)
	if got := b.signedIn(acme); got != who {
		t.Errorf("signed in as %q", got)
	}
	no("used", 403, acme, good(token, temporary))
	late, lateTemporary := w.invite(t, acme, "late@guest.example")
	w.Clock.Pass(72 * time.Hour)
	no("too old", 403, acme, good(late, lateTemporary))
	out, outTemporary := w.invite(t, acme, "out@guest.example")
	if _, err := w.store(acme).Disable(t.Context(), "acme", portal.Visitor{}, addressOf("out@guest.example")); err != nil {
		t.Fatal(err)
	}
	no("disabled since", 403, acme, good(out, outTemporary))
}

// PWD-33: a temporary password opens one form, once, for three days, and cannot
// be kept.
func temporaryPasswords(t *testing.T, w *world) {
	const who = "tim@guest.example"
	_, temporary := w.invite(t, acme, who)
	if letters := strings.Count(fmt.Sprint(w.mailed(t, acme, who)), temporary); len(strings.ReplaceAll(temporary, "-", "")) < 20 || letters > 2 {
		t.Errorf("%d letters of it, in %d places", len(temporary), letters)
	}
	b := w.named(t, "192.0.2.240")
	a := b.signInPassword(acme, who, temporary)
	if to := a.leads(); to.Path != "/password/change" || a.session() != nil || b.signedIn(acme) != "" {
		t.Fatalf("leads to %s", to)
	}
	form := b.follow(a)
	handle := form.page().Attr("input[name=attempt]", "value")
	change := func(b *browser, secret string) *answer {
		return b.post(acme+"/password/change", url.Values{"attempt": {handle}, "temporary": {temporary}, "new": {secret}, "confirm": {secret}})
	}
	if a := change(b, temporary); a.Status != http.StatusBadRequest || !namesField(a, "new") || a.session() != nil {
		t.Errorf("kept: %d", a.Status)
	}
	if a := change(b, betterPassword); a.session() == nil || b.signedIn(acme) != who {
		t.Errorf("replaced: %d", a.Status)
	}
	if a := change(b, thirdPassword); a.session() != nil {
		t.Errorf("twice: %d", a.Status)
	}
	if a := w.named(t, "192.0.2.241").signInPassword(acme, who, temporary); a.Status != http.StatusForbidden {
		t.Errorf("afterwards: %d", a.Status)
	}
	_, stale := w.invite(t, acme, "stale@guest.example")
	w.Clock.Pass(72*time.Hour + time.Second)
	if a := w.named(t, "192.0.2.242").signInPassword(acme, "stale@guest.example", stale); a.Status != http.StatusForbidden || a.session() != nil {
		t.Errorf("after 72 hours: %d", a.Status)
	}
}
