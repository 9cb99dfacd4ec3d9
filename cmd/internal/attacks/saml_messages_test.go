package attacks

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/idptest"
)

// TestSAMLMessages posts every message there is to the assertion consumer, each
// in answer to a genuine request of the browser that posts it.
func TestSAMLMessages(t *testing.T) {
	w := shared(t)
	victim := w.IdPs.Person(t, "acme.example")
	seen := map[string]bool{}
	for _, attack := range idptest.SAMLAttacks() {
		t.Run(strings.TrimSpace(attack.ID+" "+attack.Name), func(t *testing.T) {
			if attack.Policy != nil {
				w.Configure(t, acme, "acme-saml", func(c *federation.Connection) { attack.Policy(c.SAML) })
			}
			w.Clock.Pass(2 * time.Hour) // what earlier rows left behind is over
			b, who := w.browser(t), w.IdPs.Person(t, "acme.example")
			var trip *trip
			if attack.Accept {
				trip = b.departWith(acme, "acme-saml", who.Address, "/account")
			} else {
				trip = b.depart(acme, "acme-saml")
			}
			response, err := attack.Build(idptest.SAMLScene{IdP: w.IdPs.SAML["acme-saml"], To: trip.target(), User: who, Victim: victim})
			if err != nil {
				t.Fatal(err)
			}
			if attack.Accept {
				a, page := trip.deliver(response), "/account"
				if a.page().Has("form[action=/saml/acme-saml/confirm]") {
					// Nobody asked for it, so the person is asked first.
					a, page = b.confirm(a), "/"
				}
				w.accepted(t, b, acme, a, who.Address, page)
				return
			}
			want := refusal{
				Status: idptest.SAMLStatus(attack.Code), Code: attack.Code,
				Secrets: []string{who.Address, who.Subject, victim.Address, victim.Subject, response},
			}
			switch {
			case response == "":
				want.Code = "field_missing"
			case len(response) > 512<<10:
				want.Code = "" // cut off before anybody looked whose it is
			}
			w.refused(t, acme, want, func() *answer { return trip.deliver(response) })
			// The refusal has used nothing up: the true answer still counts.
			if attack.Policy == nil && !seen[attack.Code] {
				seen[attack.Code] = true
				w.accepted(t, b, acme, trip.deliver(trip.assertion(who)), who.Address, "/")
			}
		})
	}
}

// confirm answers the question whether one meant to sign in.
func (b *browser) confirm(a *answer) *answer {
	b.t.Helper()
	form := map[string][]string{"SAMLResponse": {a.page().Attr("input[name=SAMLResponse]", "value")}}
	return b.post(originOf(a.URL.String())+a.page().Attr("form", "action"), form)
}

// SAM-33: groups by the thousand are let in, or refused with a plain answer.
func TestSAM33Groups(t *testing.T) {
	w := shared(t)
	for n, status := range map[int]int{975: 303, 1100: 303, 1500: 303, 20000: http.StatusRequestEntityTooLarge} {
		b, who := w.browser(t), w.IdPs.Person(t, "acme.example")
		for range n {
			who.Groups = append(who.Groups, "g")
		}
		trip := b.depart(acme, "acme-saml")
		a := trip.deliver(trip.assertion(who))
		if a.Status != status {
			t.Errorf("%d groups: %d, want %d: %s", n, a.Status, status, a.text())
		}
		secured(t, a)
	}
}
