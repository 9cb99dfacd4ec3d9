package attacks

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/idptest"
)

// oidcStatus is the status that belongs to the code of a refusal: 400 for what
// is no message of the protocol, 503 where the provider could not be asked.
func oidcStatus(code string) int {
	switch code {
	case "duplicate_parameter", "oversized_parameter", "malformed_parameter", "front_channel_token", "code_missing":
		return http.StatusBadRequest
	case "token_unavailable", "keys_unavailable", "userinfo_unavailable":
		return http.StatusServiceUnavailable
	}
	return http.StatusForbidden
}

// TestOIDCMessages breaks the provider in every way there is, signs in through
// it, and brings what it answers to the callback.
func TestOIDCMessages(t *testing.T) {
	w := shared(t)
	idp := w.IdPs.OIDC["acme-oidc"]
	for _, attack := range idptest.OIDCAttacks() {
		t.Run(attack.ID+" "+attack.Name, func(t *testing.T) {
			if attack.Settings != nil {
				w.Configure(t, acme, "acme-oidc", func(c *federation.Connection) { attack.Settings(c.OIDC) })
			}
			// No row sees the keys that another one left in the cache.
			w.Clock.Pass(2 * time.Hour)
			idp.Break(attack.Faults(idp))
			t.Cleanup(func() { idp.Break(idptest.OIDCFaults{}) })
			asked := requests(idp)

			b, who := w.browser(t), w.IdPs.Person(t, "acme-oidc.example")
			trip := b.depart(acme, "acme-oidc")
			back := trip.authorise(who)
			if attack.Code == "" {
				w.accepted(t, b, acme, b.crossGet(back.String()), who.Address, "/")
			} else {
				w.refused(t, acme, refusal{
					Status: oidcStatus(attack.Code), Code: attack.Code, Secrets: []string{who.Address, who.Subject, "victim", "eyJ"},
				}, func() *answer { return b.crossGet(back.String()) })
			}
			for endpoint, most := range map[string]int{"trap": 0, "token": 1, "jwks": 1} {
				if n := idp.Requests(endpoint) - asked[endpoint]; n > most {
					t.Errorf("%s was asked %d times", endpoint, n)
				}
			}
		})
	}
}

func requests(idp *idptest.OIDCProvider) map[string]int {
	n := map[string]int{}
	for _, endpoint := range []string{"trap", "token", "jwks", "userinfo"} {
		n[endpoint] = idp.Requests(endpoint)
	}
	return n
}

// OID-33: a query of a megabyte, and every parameter twice.
func TestOID33Parameters(t *testing.T) {
	w := shared(t)
	b, who := w.browser(t), w.IdPs.Person(t, "acme-oidc.example")
	trip := b.depart(acme, "acme-oidc")
	back := trip.authorise(who)
	for _, row := range []struct{ name, more, code string }{
		{"code", "&code=2", "duplicate_parameter"},
		{"state", "&state=2", "duplicate_parameter"},
		{"iss", "&iss=2", "duplicate_parameter"},
		{"unknown", "&x=1&x=2", "duplicate_parameter"},
		{"encoding", "&code=%zz", ""},
		{"NUL", "&x=%00", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			to := back.String() + row.more
			w.refused(t, acme, refusal{Status: 400, Code: row.code}, func() *answer { return b.crossGet(to) })
		})
	}
	t.Run("a megabyte", func(t *testing.T) {
		q := make([]byte, 1<<20)
		for i := range q {
			q[i] = 'x'
		}
		// What net/http itself refuses has no page.
		if a := b.crossGet(back.String() + "&x=" + string(q)); a.Status != http.StatusRequestHeaderFieldsTooLarge && a.Status != http.StatusBadRequest || a.session() != nil {
			t.Errorf("got %d", a.Status)
		}
	})
	w.accepted(t, b, acme, b.crossGet(back.String()), who.Address, "/")
}

// OID-32: what a provider writes into an error is not repeated, with or without
// a state that is ours.
func TestOID32Errors(t *testing.T) {
	w := shared(t)
	b := w.browser(t)
	trip := b.depart(acme, "acme-oidc")
	for _, row := range []struct {
		name, code string
		q          url.Values
	}{
		{"with state", "idp_error", url.Values{"state": {trip.State}, "iss": {w.IdPs.OIDC["acme-oidc"].Issuer()}}},
		{"without state", "attempt_unknown", url.Values{}},
		{"with another state", "attempt_unknown", url.Values{"state": {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.q.Set("error", "<script>alert(1)</script>")
			row.q.Set("error_description", "<img src=x onerror=alert(2)> call +41 00 000 00 00")
			row.q.Set("error_uri", "https://evil.example/help")
			a := w.refused(t, acme, refusal{Status: 403, Code: row.code, Secrets: []string{"alert(", "evil.example"}}, func() *answer {
				return b.crossGet(acme + "/oidc/acme-oidc/callback?" + row.q.Encode())
			})
			for _, never := range []string{"alert(", "onerror", "evil.example", "+41"} {
				if contains(a.Body, never) {
					t.Errorf("the page repeats %q", never)
				}
			}
		})
	}
}
