package attacks

import (
	"net/url"
	"strings"
	"testing"
)

// TestWorld walks one person through each door, so that a refusal elsewhere is
// never that of a door which does not open at all.
func TestWorld(t *testing.T) {
	w := shared(t)
	t.Run("SAML", func(t *testing.T) {
		b, who := w.browser(t), w.IdPs.Person(t, "acme.example")
		trip := b.departWith(acme, "acme-saml", who.Address, "/account")
		w.accepted(t, b, acme, trip.deliver(trip.assertion(who)), who.Address, "/account")
	})
	t.Run("OIDC", func(t *testing.T) {
		b, who := w.browser(t), w.IdPs.Person(t, "acme-oidc.example")
		trip := b.departWith(acme, "acme-oidc", who.Address, "/account")
		w.accepted(t, b, acme, b.crossGet(trip.authorise(who).String()), who.Address, "/account")
	})
	t.Run("password", func(t *testing.T) {
		b := w.browser(t)
		a := b.signInPassword(acme, pat, password)
		w.accepted(t, b, acme, a, pat, "/")
	})
	t.Run("front door", func(t *testing.T) {
		w.published(t)
		b := w.browser(t)
		a := b.post(frontDoor+"/", url.Values{"email": {"anybody@gamma.example"}})
		if to := a.leads(); originOf(to.String()) != gamma || !to.Query().Has("ticket") {
			t.Errorf("led to %s", to)
		}
		if a = b.arrive(a); !strings.HasPrefix(a.URL.Path, "/gamma-saml/") {
			t.Errorf("arrived at %s", a.URL)
		}
	})
}
