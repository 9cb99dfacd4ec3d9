package attacks

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/idptest"
)

// with is a URL with one parameter changed, or taken away.
func with(u *url.URL, name, value string) string {
	c := *u
	q := c.Query()
	q.Set(name, value)
	if value == "" {
		q.Del(name)
	}
	c.RawQuery = q.Encode()
	return c.String()
}

// breaks makes an OpenID provider wrong until the test ends.
func (w *world) breaks(t testing.TB, connection string, f idptest.OIDCFaults) {
	idp := w.IdPs.OIDC[connection]
	idp.Break(f)
	t.Cleanup(func() { idp.Break(idptest.OIDCFaults{}) })
}

// OID-15: a nonce of another attempt, of this browser or of another.
func TestOID15Nonce(t *testing.T) {
	w := shared(t)
	b, who := w.browser(t), w.IdPs.Person(t, "acme-oidc.example")
	first := b.depart(acme, "acme-oidc")
	nonce := first.To.Query().Get("nonce")
	w.accepted(t, b, acme, b.crossGet(first.authorise(who).String()), who.Address, "/")
	for name, b := range map[string]*browser{"same browser": b, "another": w.browser(t)} {
		t.Run(name, func(t *testing.T) {
			w.breaks(t, "acme-oidc", idptest.OIDCFaults{Claims: func(c map[string]any) { c["nonce"] = nonce }})
			back := b.depart(acme, "acme-oidc").authorise(who)
			w.refused(t, acme, refusal{Status: 403, Code: "nonce_mismatch", Secrets: []string{nonce, who.Address}}, func() *answer { return b.crossGet(back.String()) })
		})
	}
}

// OID-25, OID-28: what a provider says about addresses of other tenants is
// nothing; the identity is connection, issuer and subject.
func TestOID28OtherDomain(t *testing.T) {
	w := shared(t)
	foreignAddresses(t, w, "acme-oidc", "acme.example", func(t *testing.T, b *browser, as string) (*answer, idptest.User) {
		who := w.IdPs.Person(t, "acme-oidc.example")
		w.breaks(t, "acme-oidc", idptest.OIDCFaults{Claims: func(c map[string]any) { c["email"] = as }})
		back := b.depart(acme, "acme-oidc").authorise(who)
		return b.crossGet(back.String()), who
	})
}

// OID-27: the same address with a new subject is somebody else until an
// administrator says otherwise.
func TestOID27NewSubject(t *testing.T) {
	w := shared(t)
	b, who := w.browser(t), w.IdPs.Person(t, "acme-oidc.example")
	w.accepted(t, b, acme, b.crossGet(b.depart(acme, "acme-oidc").authorise(who).String()), who.Address, "/")
	w.breaks(t, "acme-oidc", idptest.OIDCFaults{Claims: func(c map[string]any) { c["sub"] = "registered-again" }})
	again := w.browser(t)
	back := again.depart(acme, "acme-oidc").authorise(who)
	w.refused(t, acme, refusal{Status: 403, Code: "subject_changed", Spends: spends("subject_changed"), Secrets: []string{who.Address, "registered-again"}},
		func() *answer { return again.crossGet(back.String()) })
}

// OID-29: one provider's answer brought to another's address.
func TestOID29MixUp(t *testing.T) {
	w := shared(t)
	second, err := w.connectOIDC(t.Context(), place{"acme", acme, europe}, "acme-second", w.IdPs.OIDC["beta-oidc"])
	if err != nil {
		t.Fatal(err)
	}
	first, _, err := w.store(acme).Connection(t.Context(), "acme", "acme-oidc")
	if err != nil {
		t.Fatal(err)
	}
	if second.OIDC.RedirectURI == first.OIDC.RedirectURI {
		t.Error("both connections have one redirect URI")
	}
	b, who := w.browser(t), w.IdPs.Person(t, "acme-oidc.example")
	ours, other := b.depart(acme, "acme-oidc"), b.depart(acme, "acme-second")
	back := ours.authorise(who)
	for name, row := range map[string]struct{ to, code string }{
		"at the other's callback":         {acme + "/oidc/acme-second/callback?" + back.RawQuery, "attempt_unknown"},
		"with the other's state":          {with(back, "state", other.State), "attempt_unknown"},
		"from the other issuer":           {with(back, "iss", w.IdPs.OIDC["beta-oidc"].Issuer()), "iss_mismatch"},
		"from nobody, though it is asked": {with(back, "iss", ""), "iss_missing"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := w.IdPs.calls.Load()
			w.refused(t, acme, refusal{Status: 403, Code: row.code}, func() *answer { return b.crossGet(row.to) })
			if n := w.IdPs.calls.Load() - asked; n != 0 {
				t.Errorf("a provider was asked %d times: the code may be at the wrong one now", n)
			}
		})
	}
	w.accepted(t, b, acme, b.crossGet(back.String()), who.Address, "/")
}

// OID-30: somebody else's code in one's own session.
func TestOID30CodeInjection(t *testing.T) {
	w := shared(t)
	victim, attacker := w.browser(t), w.browser(t)
	who := w.IdPs.Person(t, "acme-oidc.example")
	stolen := victim.depart(acme, "acme-oidc").authorise(who)
	own := attacker.depart(acme, "acme-oidc").authorise(w.IdPs.Person(t, "acme-oidc.example"))
	w.refused(t, acme, refusal{Status: 403, Code: "token_refused", Secrets: []string{stolen.Query().Get("code"), who.Address}}, func() *answer {
		return attacker.crossGet(with(own, "code", stolen.Query().Get("code")))
	})
	if victim.signedIn(acme) != "" || attacker.signedIn(acme) != "" {
		t.Error("somebody is signed in")
	}
}

// OID-31: the state is one attempt of one browser at one connection, once, for
// ten minutes.
func TestOID31State(t *testing.T) {
	w := shared(t)
	b, who := w.browser(t), w.IdPs.Person(t, "acme-oidc.example")
	trip := b.depart(acme, "acme-oidc")
	back := trip.authorise(who)
	stranger := w.browser(t)
	stranger.depart(acme, "acme-oidc")
	elsewhere := w.browser(t)
	beyond := elsewhere.depart(beta, "beta-oidc")
	elsewhere.plant(acme, "__Host-sso", elsewhere.cookie(beta, "__Host-sso"))
	for _, row := range []struct {
		name string
		b    *browser
		to   string
	}{
		{"missing", b, with(back, "state", "")},
		{"guessed", b, with(back, "state", strings.Repeat("A", 43))},
		{"not of our making", b, with(back, "state", "../../etc/passwd")},
		{"another browser, with a trip of its own", stranger, back.String()},
		{"another browser, with none", w.browser(t), back.String()},
		{"another portal's", elsewhere, with(back, "state", beyond.State)},
		{"another connection", b, acme + "/oidc/acme-saml/callback?" + back.RawQuery},
	} {
		t.Run(row.name, func(t *testing.T) {
			want := refusal{Status: 403, Code: "attempt_unknown", Secrets: []string{who.Address}}
			if row.name == "another connection" {
				want = refusal{Status: 404} // it speaks SAML
			}
			w.refused(t, acme, want, func() *answer { return row.b.crossGet(row.to) })
		})
	}
	w.accepted(t, b, acme, b.crossGet(back.String()), who.Address, "/")
	t.Run("replayed", func(t *testing.T) {
		// Signed in already: nothing happens, and nobody is bothered.
		before := w.rows(t, w.home(acme).DB)
		if a := b.crossGet(back.String()); a.session() != nil || a.leads().Path != "/" {
			t.Errorf("%d", a.Status)
		}
		w.unchanged(t, w.home(acme).DB, before)
		// The profile was copied, but the session was not.
		delete(b.cookies[hostOf(acme)], "__Host-session")
		w.refused(t, acme, refusal{Status: 403, Code: "attempt_unknown"}, func() *answer { return b.crossGet(back.String()) })
	})
	t.Run("after ten minutes", func(t *testing.T) {
		b := w.browser(t)
		trip := b.depart(acme, "acme-oidc")
		cookie := b.cookie(acme, "__Host-sso")
		w.Clock.Pass(10*time.Minute + time.Second)
		back := trip.authorise(who)
		w.refused(t, acme, refusal{Status: 403, Code: "attempt_unknown"}, func() *answer { return b.crossGet(back.String()) })
		b.plant(acme, "__Host-sso", cookie) // a browser that keeps it longer than it was told
		w.refused(t, acme, refusal{Status: 403, Code: "attempt_unknown"}, func() *answer { return b.crossGet(back.String()) })
	})
}

// OID-46: an address goes, as a hint, to the provider that serves its domain and
// to no other.
func TestOID46LoginHint(t *testing.T) {
	w := shared(t)
	b, who := w.browser(t), w.IdPs.Person(t, "acme-oidc.example")
	if hint := b.departWith(acme, "acme-oidc", who.Address, "/").To.Query().Get("login_hint"); hint != who.Address {
		t.Errorf("hint %q to the provider of the domain", hint)
	}
	for _, other := range []string{"somebody@acme-both.example", "somebody@beta-oidc.example", "somebody@nobody.example"} {
		// The person types the address, and then goes to that provider all the same.
		a := b.follow(b.post(acme+"/login", url.Values{"email": {other}}))
		handle := a.URL.Query().Get("attempt")
		to := b.get(acme + "/login/acme-oidc?attempt=" + handle).leads()
		if strings.Contains(to.String(), "somebody") || to.Query().Has("login_hint") {
			t.Errorf("%s is told to %s", other, to)
		}
	}
}

// One code, fifty times at once: one session.
func TestOIDCRace(t *testing.T) {
	w := shared(t)
	b, who := w.browser(t), w.IdPs.Person(t, "acme-oidc.example")
	back := b.depart(acme, "acme-oidc").authorise(who)
	before, mark := w.count(t, acme, "sessions"), w.Log.Len()
	once(t, b.burst(50, func(int) request { return request{URL: back.String(), From: w.IdPs.server.URL} }), http.StatusForbidden)
	if n := w.count(t, acme, "sessions") - before; n != 1 {
		t.Errorf("%d sessions", n)
	}
	w.quiet(t, mark, back.Query().Get("code"), back.Query().Get("state"), who.Address)
}

// The same with a provider that lets a code be used as often as one likes.
func TestOIDCRaceCarelessProvider(t *testing.T) {
	w := shared(t)
	b, who := w.browser(t), w.IdPs.Person(t, "acme-oidc.example")
	trip := b.depart(acme, "acme-oidc")
	back := trip.authorise(who)
	idp := w.IdPs.OIDC["acme-oidc"]
	key, id := idp.Key()
	now := w.Clock.Now().Unix()
	claims := `{"iss":"` + idp.Issuer() + `","aud":"acme-oidc","sub":"` + who.Subject + `","nonce":"` + trip.To.Query().Get("nonce") +
		`","email":"` + who.Address + `","email_verified":true,"iat":` + itoa(now) + `,"exp":` + itoa(now+300) + `}`
	token := idptest.SignJWS("RS256", []byte(`{"alg":"RS256","typ":"JWT","kid":"`+id+`"}`), []byte(claims), key)
	w.breaks(t, "acme-oidc", idptest.OIDCFaults{Serve: map[string]http.HandlerFunc{"token": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"access_token":"a","token_type":"Bearer","id_token":"` + token + `"}`))
	}}})
	before := w.count(t, acme, "sessions")
	once(t, b.burst(50, func(int) request { return request{URL: back.String(), From: w.IdPs.server.URL} }), http.StatusForbidden)
	if n := w.count(t, acme, "sessions") - before; n != 1 {
		t.Errorf("%d sessions", n)
	}
}

// The trip's own settings are those of the connection when the answer comes: one
// that was turned to another provider meanwhile takes no answer of the old one.
func TestConnectionChangedOnTheWay(t *testing.T) {
	w := shared(t)
	b, who := w.browser(t), w.IdPs.Person(t, "acme-oidc.example")
	back := b.depart(acme, "acme-oidc").authorise(who)
	w.Configure(t, acme, "acme-oidc", func(c *federation.Connection) {
		other := w.IdPs.OIDC["beta-oidc"].Issuer()
		c.OIDC.Issuer, c.OIDC.TokenURL, c.OIDC.JWKSURL = other, other+"/token", other+"/jwks"
	})
	w.refused(t, acme, refusal{Status: 403, Code: "iss_mismatch"}, func() *answer { return b.crossGet(back.String()) })
}

// OID-39: tokens with keys nobody has heard of do not make us ask the provider
// again and again.
func TestOID39UnknownKeys(t *testing.T) {
	w := shared(t)
	w.Clock.Pass(2 * time.Hour)
	idp := w.IdPs.OIDC["acme-oidc"]
	w.breaks(t, "acme-oidc", idptest.OIDCFaults{Header: func(h map[string]any) { h["kid"] = idptest.NewID() }})
	asked := idp.Requests("jwks")
	who := w.IdPs.Person(t, "acme-oidc.example")
	for range 10 {
		b := w.browser(t)
		back := b.depart(acme, "acme-oidc").authorise(who)
		w.refused(t, acme, refusal{Status: 403, Code: "signature_invalid"}, func() *answer { return b.crossGet(back.String()) })
	}
	if n := idp.Requests("jwks") - asked; n != 1 {
		t.Errorf("the key set was fetched %d times", n)
	}
}

// OID-40: a key that the provider has withdrawn counts for an hour at most.
func TestOID40WithdrawnKey(t *testing.T) {
	w := shared(t)
	w.Clock.Pass(2 * time.Hour)
	idp := w.IdPs.OIDC["acme-oidc"]
	key, id := idp.Key()
	b, who := w.browser(t), w.IdPs.Person(t, "acme-oidc.example")
	w.accepted(t, b, acme, b.crossGet(b.depart(acme, "acme-oidc").authorise(who).String()), who.Address, "/")

	other, _ := w.IdPs.OIDC["beta-oidc"].Key()
	idp.RotateTo(other, "next")
	t.Cleanup(func() { idp.RotateTo(key, id) })
	w.Clock.Pass(time.Minute)
	fresh := w.browser(t)
	w.accepted(t, fresh, acme, fresh.crossGet(fresh.depart(acme, "acme-oidc").authorise(who).String()), who.Address, "/")

	// Somebody found the old key and signs with it.
	w.breaks(t, "acme-oidc", idptest.OIDCFaults{Token: func(header, claims map[string]any) string {
		header["kid"] = id
		h, err := json.Marshal(header)
		if err != nil {
			t.Error(err)
		}
		c, err := json.Marshal(claims)
		if err != nil {
			t.Error(err)
		}
		return idptest.SignJWS("RS256", h, c, key)
	}})
	w.Clock.Pass(time.Hour)
	back := b.depart(acme, "acme-oidc").authorise(who)
	w.refused(t, acme, refusal{Status: 403, Code: "signature_invalid"}, func() *answer { return b.crossGet(back.String()) })
}
