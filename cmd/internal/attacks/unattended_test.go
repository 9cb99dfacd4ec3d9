package attacks

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
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
	} {
		t.Run(row.name, func(t *testing.T) {
			w.Clock.Pass(2 * time.Hour)
			row.test(t, w)
		})
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
