package attacks

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/web"
)

// TestUnattended is somebody at a browser that its owner has left: signed in, and
// not asked for a while who is there.
func TestUnattended(t *testing.T) {
	w := newWorld(t)
	for _, row := range []struct {
		name string
		test func(*testing.T, *world)
	}{
		{"SES-19 an address of one's own", addressUnattended},
		{"SES-19 ADM-03 an owner of one's own", ownerUnattended},
		{"SES-19 every route", routesUnattended},
		{"SES-19 a lock taken off", protectionUnattended},
	} {
		t.Run(row.name, func(t *testing.T) {
			w.Clock.Pass(2 * time.Hour)
			row.test(t, w)
		})
	}
}

// Saving a profile asks nobody anew, but taking return protection off does.
func protectionUnattended(t *testing.T, w *world) {
	const who, theirs = "locked@acme-cloud.example", "locked-too@acme-cloud.example"
	b := w.administrator(t, acme, who, portal.Owner)
	w.guest(t, acme, theirs, password)
	if _, err := w.home(acme).DB.ExecContext(t.Context(), `UPDATE accounts SET return_protection = 'sms' WHERE id IN ($1, $2)`,
		w.person(t, acme, who).ID, w.person(t, acme, theirs).ID); err != nil {
		t.Fatal(err)
	}
	w.Clock.Pass(21 * time.Minute)
	for page, whose := range map[string]string{acme + "/account/profile": who, acme + "/admin/users/" + w.person(t, acme, theirs).ID + "/profile": theirs} {
		asked(t, b.post(page, url.Values{"version": {"1"}, "given_name": {"Mallory"}, "return_protection": {string(portal.NoProtection)}}))
		if a := w.person(t, acme, whose); a.Protection != portal.SMSProtection || a.GivenName == "Mallory" {
			t.Errorf("%s: %+v", page, a)
		}
		if to := b.post(page, url.Values{"version": {"1"}, "given_name": {"Robin"}}).leads(); to.Path == "/account/confirm" || w.person(t, acme, whose).GivenName != "Robin" {
			t.Errorf("a name leads to %s", to)
		}
	}
}

// asksAnew are the routes that ask who is there, by hand: what says how somebody
// comes in, who may do what, whom it costs or gives access, and what leaves the
// portal as a file. What can be taken back by its person at once is not among them,
// nor is what is urgent: ending sessions.
var asksAnew = strings.Fields(`
	GET/account/licence   POST/account/licence   GET/account/password   POST/account/password
	POST/account/security/remove   GET/account/security/totp   POST/account/security/totp
	GET/account/security/sms   POST/account/security/sms   GET/account/security/passkeys   POST/account/security/passkeys
	GET/account/security/codes   POST/account/security/codes
	POST/account/addresses/promote   POST/account/addresses/remove   GET/account/addresses/confirm   POST/account/addresses/confirm
	GET/account/addresses/merge   POST/account/addresses/merge
	GET/admin/users/export.csv   GET/admin/audit/export.csv
	GET/admin/users/import   POST/admin/users/import   POST/admin/users/import/{import}
	POST/admin/users/{account}/status   POST/admin/users/{account}/role   POST/admin/users/{account}/licence
	POST/admin/users/{account}/security   POST/admin/licences   POST/admin/domains   POST/admin/domains/remove
	GET/admin/policy   POST/admin/policy   GET/admin/connections/{domain}/move   POST/admin/connections/{domain}/move
	POST/admin/connections/undo   GET/admin/recoveries   POST/admin/recoveries`)

// The owner's own browser, an hour after they left: every route, with a form that
// would do.
func routesUnattended(t *testing.T, w *world) {
	here := w.staff(t, acme, portal.Owner)
	b := here.browsers[portal.Owner]
	w.Clock.Pass(21 * time.Minute)
	seen := 0
	for _, route := range web.Routes() {
		method, path := pathOf(route, here.target.ID)
		if !strings.HasPrefix(path, "/account") && !strings.HasPrefix(path, "/admin") {
			continue
		}
		form := aims[route]
		if form == nil {
			form = url.Values{"nosuchfield": {"1"}}
		}
		anew := slices.Contains(asksAnew, strings.ReplaceAll(route, " ", ""))
		if !anew && method == http.MethodPost {
			form = url.Values{"nosuchfield": {"1"}}
		}
		before := w.rows(t, w.home(acme).DB)
		a := b.send(request{Method: method, URL: acme + path, Form: bodyOf(method, form), From: acme})
		to, _ := url.Parse(a.Header.Get("Location"))
		if got := a.Status == http.StatusSeeOther && to != nil && to.Path == "/account/confirm"; got != anew {
			t.Errorf("%s: asks who is there: %t (%d to %q)", route, got, a.Status, to)
		}
		w.unchanged(t, w.home(acme).DB, before, spared...)
		if anew {
			seen++
		}
	}
	if seen != len(asksAnew) {
		t.Errorf("%d of %d routes are there", seen, len(asksAnew))
	}
}

// asked reports that a request is answered with the question who one is.
func asked(t testing.TB, a *answer) {
	t.Helper()
	if to := a.leads(); to.Path != "/account/confirm" {
		t.Errorf("led to %s", to)
	}
}

// A confirmed address is one that a new password is mailed to: whoever could add
// their own would need no old password.
func addressUnattended(t *testing.T, w *world) {
	const who, thief = "left@acme-cloud.example", "thief@evil.example"
	b := w.resident(t, who)
	w.Clock.Pass(21 * time.Minute)
	token := w.adds(t, b, thief)
	asked(t, b.get(confirmAddress+"?token="+token))
	asked(t, b.post(confirmAddress, url.Values{"token": {token}}))
	if n := w.holders(t, thief); n != 0 {
		t.Error("the thief's address is confirmed")
	}
	// The link is as good as before for who can answer.
	b.signInPassword(acme, who, password)
	if to := b.post(confirmAddress, url.Values{"token": {token}}).leads(); to.Path != "/account/addresses" || w.holders(t, thief) != 1 {
		t.Errorf("led to %s", to)
	}
	// A form that came too late leads to its page without the link, and on.
	if to := b.get(confirmAddress).leads(); to.Path != "/account/addresses" {
		t.Errorf("without a link: %s", to)
	}
}

// Inviting somebody to a role is giving it.
func ownerUnattended(t *testing.T, w *world) {
	b := w.administrator(t, acme, "left-owner@acme-cloud.example", portal.Owner)
	w.Clock.Pass(21 * time.Minute)
	const accomplice = "accomplice@acme-cloud.example"
	for _, form := range []url.Values{
		{"email": {accomplice}, "role": {"owner"}}, {"email": {accomplice}, "role": {"auditor"}},
		{"many": {"yes"}, "people": {accomplice}, "role": {"administrator"}},
	} {
		asked(t, b.post(invitePage, form))
	}
	if n := w.holders(t, accomplice); n != 0 {
		t.Error("invited")
	}
	b.post(invitePage, url.Values{"email": {"usual@away.example"}, "role": {"guest"}}).want(http.StatusOK)
}
