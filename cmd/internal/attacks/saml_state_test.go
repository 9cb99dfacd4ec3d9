package attacks

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"

	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/idptest"
)

// unsolicited is what an identity provider sends when nobody asked: its person
// chose the portal from a list. The connection must allow it.
func (w *world) unsolicited(t testing.TB, who idptest.User) url.Values {
	t.Helper()
	trip := &trip{Portal: acme, Connection: "acme-saml", b: w.browser(t)}
	return url.Values{"SAMLResponse": {trip.assertion(who)}}
}

func (w *world) allowUnsolicited(t testing.TB) {
	w.Configure(t, acme, "acme-saml", func(c *federation.Connection) { c.SAML.AllowIDPInitiated = true })
}

const (
	acmeACS     = acme + "/saml/acme-saml/acs"
	acmeConfirm = acme + "/saml/acme-saml/confirm"
)

// SAM-52: a session ends when the provider says that its own does.
func TestSAM52SessionEnd(t *testing.T) {
	w := shared(t)
	b, who := w.browser(t), w.IdPs.Person(t, "acme.example")
	trip := b.depart(acme, "acme-saml")
	end := idptest.Stamp(w.Clock.Now().Add(20 * time.Minute))
	response := mint(t, w.IdPs.SAML["acme-saml"], trip.target(), idptest.SAMLMint{User: who, Edit: func(r *etree.Element) {
		r.FindElement("./Assertion/AuthnStatement").CreateAttr("SessionNotOnOrAfter", end)
	}})
	w.accepted(t, b, acme, trip.deliver(response), who.Address, "/")
	w.Clock.Pass(20*time.Minute - time.Second)
	if b.signedIn(acme) != who.Address {
		t.Error("over before its time")
	}
	w.Clock.Pass(time.Second)
	if b.signedIn(acme) != "" {
		t.Error("goes on after its time")
	}
}

// SAM-58: an assertion counts once: not again in the same browser, not in
// another, not at another process, not after a restart, not in another region.
// Unsolicited ones show that it is the assertion that is remembered, and not
// only the request.
func TestSAM58Replay(t *testing.T) {
	w := newWorld(t)
	w.allowUnsolicited(t)
	b, who := w.browser(t), w.IdPs.Person(t, "acme.example")
	trip := b.depart(acme, "acme-saml")
	asked := url.Values{"SAMLResponse": {trip.assertion(who)}, "RelayState": {trip.State}}
	w.accepted(t, b, acme, b.crossPost(acmeACS, asked), who.Address, "/")
	unasked := w.unsolicited(t, who)
	w.accepted(t, b, acme, b.confirm(b.crossPost(acmeACS, unasked)), who.Address, "/")

	node := w.home(acme).Node(t)
	again := func(t *testing.T, b *browser) {
		want := refusal{Status: 403, Code: "in_response_to", Secrets: []string{who.Address, who.Subject}}
		w.refused(t, acme, want, func() *answer { return b.crossPost(acmeACS, asked) })
		want.Code = "assertion_replayed"
		w.refused(t, acme, want, func() *answer { return b.post(acmeConfirm, unasked) })
	}
	t.Run("same browser", func(t *testing.T) { again(t, b) })
	t.Run("another browser", func(t *testing.T) { again(t, w.browser(t)) })
	t.Run("another node", func(t *testing.T) { again(t, w.browser(t).via(node)) })
	t.Run("after a restart", func(t *testing.T) {
		b := w.browser(t)
		trip := b.depart(acme, "acme-saml")
		w.home(acme).Restart(t)
		again(t, w.browser(t))
		// The request that was open meanwhile is still open.
		w.accepted(t, b, acme, trip.deliver(trip.assertion(who)), who.Address, "/")
	})
	t.Run("another region", func(t *testing.T) {
		// There, too, somebody has connected the very same provider.
		at := place{"gamma", gamma, america}
		if _, err := w.connectSAML(t.Context(), at, "gamma-twin", w.IdPs.SAML["acme-saml"]); err != nil {
			t.Fatal(err)
		}
		for _, form := range []url.Values{asked, unasked} {
			b := w.browser(t)
			b.depart(gamma, "gamma-twin")
			w.refused(t, gamma, refusal{Status: 403, Code: "audience", Secrets: []string{who.Address}}, func() *answer {
				return b.crossPost(gamma+"/saml/gamma-twin/acs", form)
			})
		}
	})
	t.Run("as long as it is valid", func(t *testing.T) {
		w.Clock.Pass(6*time.Minute - time.Second) // five minutes and the skew
		w.refused(t, acme, refusal{Status: 403, Code: "assertion_replayed"}, func() *answer { return w.browser(t).post(acmeConfirm, unasked) })
	})
}

// SAM-59: fifty at once, one session.
func TestSAM59Race(t *testing.T) {
	w := shared(t)
	b, who := w.browser(t), w.IdPs.Person(t, "acme.example")
	trip := b.depart(acme, "acme-saml")
	form := url.Values{"SAMLResponse": {trip.assertion(who)}, "RelayState": {trip.State}}
	before, mark := w.count(t, acme, "sessions"), w.Log.Len()
	once(t, b.burst(50, func(int) request {
		return request{Method: "POST", URL: trip.acs(), Form: form, From: w.IdPs.server.URL}
	}), http.StatusForbidden)
	if n := w.count(t, acme, "sessions") - before; n != 1 {
		t.Errorf("%d sessions", n)
	}
	if n := w.count(t, acme, "accounts a JOIN addresses d ON d.account = a.id WHERE d.address = $1", who.Address); n != 1 {
		t.Errorf("%d accounts", n)
	}
	w.quiet(t, mark, form.Get("SAMLResponse"), who.Address)
}

// once insists that exactly one of the answers signed somebody in, and that the
// others are refused.
func once(t testing.TB, answers []*answer, otherwise int) {
	t.Helper()
	in := 0
	for _, a := range answers {
		switch {
		case a.Status == http.StatusSeeOther && a.session() != nil:
			in++
		case a.Status != otherwise || a.session() != nil:
			t.Errorf("got %d: %s", a.Status, a.text())
		}
	}
	if in != 1 {
		t.Errorf("%d signed in, want 1", in)
	}
}

// SAM-60: an answer to somebody else's request.
func TestSAM60InResponseTo(t *testing.T) {
	w := shared(t)
	who := w.IdPs.Person(t, "acme.example")
	answering := func(t *testing.T, trip, theirs *trip) {
		t.Helper()
		to := trip.target()
		to.RequestID = theirs.RequestID
		response := mint(t, w.IdPs.SAML["acme-saml"], to, idptest.SAMLMint{User: who})
		for _, relay := range []string{trip.State, theirs.State, ""} {
			w.refused(t, acme, refusal{Status: 403, Code: "in_response_to", Secrets: []string{who.Address}}, func() *answer {
				return trip.b.crossPost(trip.acs(), url.Values{"SAMLResponse": {response}, "RelayState": {relay}})
			})
		}
	}
	t.Run("another browser", func(t *testing.T) {
		answering(t, w.browser(t).depart(acme, "acme-saml"), w.browser(t).depart(acme, "acme-saml"))
	})
	t.Run("a browser without a request", func(t *testing.T) {
		theirs := w.browser(t).depart(acme, "acme-saml")
		answering(t, &trip{Portal: acme, Connection: "acme-saml", b: w.browser(t)}, theirs)
	})
	t.Run("another tenant, in the same browser", func(t *testing.T) {
		b := w.browser(t)
		answering(t, b.depart(acme, "acme-saml"), b.depart(beta, "beta-saml"))
	})
	t.Run("another tenant, and its cookie", func(t *testing.T) {
		b := w.browser(t)
		theirs := b.depart(beta, "beta-saml")
		b.plant(acme, "__Host-sso", b.cookie(beta, "__Host-sso"))
		answering(t, &trip{Portal: acme, Connection: "acme-saml", b: b}, theirs)
	})
	t.Run("another region", func(t *testing.T) {
		b := w.browser(t)
		answering(t, b.depart(acme, "acme-saml"), b.depart(gamma, "gamma-saml"))
	})
	t.Run("consumed", func(t *testing.T) {
		b := w.browser(t)
		trip := b.depart(acme, "acme-saml")
		w.accepted(t, b, acme, trip.deliver(trip.assertion(who)), who.Address, "/")
		answering(t, b.depart(acme, "acme-saml"), trip)
	})
	t.Run("expired", func(t *testing.T) {
		b := w.browser(t)
		trip := b.depart(acme, "acme-saml")
		w.Clock.Pass(10*time.Minute + time.Second)
		w.refused(t, acme, refusal{Status: 403, Code: "in_response_to"}, func() *answer { return trip.deliver(trip.assertion(who)) })
	})
}

// SAM-61: nobody asked, and the connection does not allow that.
func TestSAM61Unsolicited(t *testing.T) {
	w := shared(t)
	who := w.IdPs.Person(t, "acme.example")
	form := w.unsolicited(t, who)
	busy := w.browser(t)
	busy.depart(acme, "acme-saml")
	for name, b := range map[string]*browser{"fresh browser": w.browser(t), "with a request open": busy} {
		t.Run(name, func(t *testing.T) {
			for _, to := range []string{acmeACS, acmeConfirm} {
				w.refused(t, acme, refusal{Status: 403, Code: "unsolicited", Secrets: []string{who.Address}}, func() *answer {
					if to == acmeConfirm {
						return b.post(to, form)
					}
					return b.crossPost(to, form)
				})
			}
		})
	}
	t.Run("InResponseTo is empty", func(t *testing.T) {
		trip := &trip{Portal: acme, Connection: "acme-saml", b: w.browser(t)}
		empty := mint(t, w.IdPs.SAML["acme-saml"], trip.target(), idptest.SAMLMint{User: who, Edit: answersNothing})
		w.refused(t, acme, refusal{Status: 403, Code: "in_response_to"}, func() *answer { return trip.deliver(empty) })
	})
}

// SAM-62: unsolicited answers are allowed; an answer to a request nobody made is
// none of them.
func TestSAM62Answer(t *testing.T) {
	w := shared(t)
	w.allowUnsolicited(t)
	who := w.IdPs.Person(t, "acme.example")
	theirs := w.browser(t).depart(acme, "acme-saml")
	form := url.Values{"SAMLResponse": {theirs.assertion(who)}}
	b := w.browser(t)
	w.refused(t, acme, refusal{Status: 403, Code: "in_response_to"}, func() *answer { return b.crossPost(acmeACS, form) })
	w.refused(t, acme, refusal{Status: 403, Code: "in_response_to"}, func() *answer { return b.post(acmeConfirm, form) })
}

// SAM-63: somebody makes a browser post an assertion of their own. The browser's
// person is asked, and until they have said yes nothing is different.
func TestSAM63LoginForgery(t *testing.T) {
	w := shared(t)
	w.allowUnsolicited(t)
	victim, attacker := w.IdPs.Person(t, "acme.example"), w.IdPs.Person(t, "acme.example")
	form := w.unsolicited(t, attacker)
	b := w.browser(t)
	trip := b.depart(acme, "acme-saml")
	w.accepted(t, b, acme, trip.deliver(trip.assertion(victim)), victim.Address, "/")
	for name, b := range map[string]*browser{"somebody is signed in": b, "nobody is": w.browser(t)} {
		t.Run(name, func(t *testing.T) {
			was := b.signedIn(acme)
			before, mark := w.rows(t, w.home(acme).DB), w.Log.Len()
			a := b.crossPost(acmeACS, form)
			if a.Status != http.StatusOK || a.session() != nil || !contains(a.text(), "Is this you?") || !contains(a.text(), attacker.Address) {
				t.Errorf("got %d: %s", a.Status, a.text())
			}
			secured(t, a)
			w.unchanged(t, w.home(acme).DB, before)
			// The other site cannot say yes instead.
			w.refused(t, acme, refusal{Status: 403}, func() *answer { return b.crossPost(acmeConfirm, form) })
			if now := b.signedIn(acme); now != was {
				t.Errorf("signed in as %q, was %q", now, was)
			}
			w.quiet(t, mark, attacker.Address, form.Get("SAMLResponse"))
		})
	}
	w.accepted(t, b, acme, b.confirm(b.crossPost(acmeACS, form)), attacker.Address, "/")
}

// SAM-67: another tenant's provider signs in the name of ours.
func TestSAM67OtherKey(t *testing.T) {
	w := shared(t)
	who := w.IdPs.Person(t, "acme.example")
	evil := w.IdPs.SAML["beta-saml"]
	for name, signature := range map[string]idptest.SAMLSignature{
		"its certificate shown": {Key: evil.Key(), Certificate: evil.Certificate()},
		"ours shown":            {Key: evil.Key()},
		"none shown":            {Key: evil.Key(), NoKeyInfo: true},
	} {
		t.Run(name, func(t *testing.T) {
			trip := w.browser(t).depart(acme, "acme-saml")
			response := mint(t, w.IdPs.SAML["acme-saml"], trip.target(), idptest.SAMLMint{User: who, Sign: idptest.SignBoth, Signature: signature})
			w.refused(t, acme, refusal{Status: 403, Code: "signature", Secrets: []string{who.Address}}, func() *answer { return trip.deliver(response) })
		})
	}
	t.Run("in its own name", func(t *testing.T) {
		trip := w.browser(t).depart(acme, "acme-saml")
		response := mint(t, evil, trip.target(), idptest.SAMLMint{User: who})
		w.refused(t, acme, refusal{Status: 403, Code: "signature", Secrets: []string{who.Address}}, func() *answer { return trip.deliver(response) })
	})
}

// SAM-68: two tenants have the same provider. What it says to one is nothing to
// the other.
func TestSAM68SharedProvider(t *testing.T) {
	w := shared(t)
	shared := w.IdPs.SAML["acme-saml"]
	if _, err := w.connectSAML(t.Context(), place{"beta", beta, europe}, "beta-twin", shared); err != nil {
		t.Fatal(err)
	}
	who := w.IdPs.Person(t, "acme.example")
	b := w.browser(t)
	ours, theirs := b.depart(acme, "acme-saml"), b.depart(beta, "beta-twin")
	if ours.target().EntityID == theirs.target().EntityID {
		t.Fatal("both connections have one entity ID")
	}
	for _, row := range []struct {
		name, code string
		change     func(to *idptest.SAMLTarget)
	}{
		{"as it was", "audience", func(*idptest.SAMLTarget) {}},
		{"answering their request", "audience", func(to *idptest.SAMLTarget) { to.RequestID = theirs.RequestID }},
		{"in their name", "destination", func(to *idptest.SAMLTarget) { to.RequestID, to.EntityID = theirs.RequestID, theirs.target().EntityID }},
		{"addressed to them", "audience", func(to *idptest.SAMLTarget) { to.RequestID, to.ACS = theirs.RequestID, theirs.acs() }},
		// All is right but the domain, which is not theirs.
		{"meant for them", "domain_not_proven", func(to *idptest.SAMLTarget) { *to = theirs.target() }},
	} {
		t.Run(row.name, func(t *testing.T) {
			to := ours.target()
			row.change(&to)
			response := mint(t, shared, to, idptest.SAMLMint{User: who})
			w.refused(t, beta, refusal{Status: 403, Code: row.code, Secrets: []string{who.Address}, Spends: spends(row.code)},
				func() *answer { return theirs.deliver(response) })
		})
	}
	w.accepted(t, b, acme, ours.deliver(ours.assertion(who)), who.Address, "/")
}

// spends are the marks of refusals that come from a rule, after the message was
// believed: the one-time facts are used up.
func spends(code string) []string {
	switch code {
	case "domain_not_proven", "domain_other_connection", "email_unverified", "subject_changed", "account_disabled", "email_missing":
		return []string{"assertions", "federations", "attempts"}
	}
	return nil
}

// SAM-70: certificates that no longer, or not yet, count.
func TestSAM70Certificates(t *testing.T) {
	w := shared(t)
	idp, now := w.IdPs.SAML["acme-saml"], w.Clock.Now()
	certificate := func(from, until time.Duration) []byte {
		der, err := idptest.SelfSigned(idp.Key(), "acme", now.Add(from), now.Add(until))
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	other := w.IdPs.SAML["beta-saml"].Certificate()
	for _, row := range []struct {
		name, code string
		has        [][]byte
	}{
		{"removed", "signature", [][]byte{other}},
		{"expired", "certificate_dates", [][]byte{certificate(-48*time.Hour, -time.Hour)}},
		{"not yet valid", "certificate_dates", [][]byte{certificate(time.Hour, 48*time.Hour)}},
		{"being replaced", "", [][]byte{other, idp.Certificate()}},
	} {
		t.Run(row.name, func(t *testing.T) {
			w.Configure(t, acme, "acme-saml", func(c *federation.Connection) { c.SAML.Certificates = row.has })
			b, who := w.browser(t), w.IdPs.Person(t, "acme.example")
			trip := b.depart(acme, "acme-saml")
			signed := idptest.SAMLSignature{}
			if row.name == "expired" || row.name == "not yet valid" {
				signed.Certificate = row.has[0]
				if _, err := x509.ParseCertificate(row.has[0]); err != nil {
					t.Fatal(err)
				}
			}
			response := mint(t, idp, trip.target(), idptest.SAMLMint{User: who, Signature: signed})
			if row.code == "" {
				w.accepted(t, b, acme, trip.deliver(response), who.Address, "/")
				return
			}
			w.refused(t, acme, refusal{Status: 403, Code: row.code, Secrets: []string{who.Address}}, func() *answer { return trip.deliver(response) })
		})
	}
}

// SAM-72, SAM-73: two certificates at once and no KeyInfo to tell which; and
// ECDSA as XML signatures have it, r and s end to end, and not as ASN.1.
func TestSAM73Keys(t *testing.T) {
	w := shared(t)
	idp := w.IdPs.SAML["acme-saml"]
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	next, err := idptest.SelfSigned(key, "next", w.Clock.Now().Add(-time.Hour), w.Clock.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	w.Configure(t, acme, "acme-saml", func(c *federation.Connection) { c.SAML.Certificates = [][]byte{idp.Certificate(), next} })
	for _, row := range []struct {
		name, code string
		signature  idptest.SAMLSignature
	}{
		{"the old key, no KeyInfo", "", idptest.SAMLSignature{NoKeyInfo: true}},
		{"the new key, no KeyInfo", "", idptest.SAMLSignature{Key: key, NoKeyInfo: true}},
		{"the new key", "", idptest.SAMLSignature{Key: key, Certificate: next}},
		{"the new key, as ASN.1", "signature", idptest.SAMLSignature{Key: key, Certificate: next, DER: true}},
	} {
		t.Run(row.name, func(t *testing.T) {
			b, who := w.browser(t), w.IdPs.Person(t, "acme.example")
			trip := b.depart(acme, "acme-saml")
			response := mint(t, idp, trip.target(), idptest.SAMLMint{User: who, Signature: row.signature})
			if row.code == "" {
				w.accepted(t, b, acme, trip.deliver(response), who.Address, "/")
				return
			}
			w.refused(t, acme, refusal{Status: 403, Code: row.code, Secrets: []string{who.Address}}, func() *answer { return trip.deliver(response) })
		})
	}
}

// SAM-79: RelayState is a key into our own memory and never an address.
func TestSAM79RelayState(t *testing.T) {
	w := shared(t)
	b, who := w.browser(t), w.IdPs.Person(t, "acme.example")
	trip := b.departWith(acme, "acme-saml", who.Address, "/account")
	if len(trip.State) > 80 || strings.Contains(trip.To.String(), "account") {
		t.Errorf("RelayState %q tells something", trip.State)
	}
	response := trip.assertion(who)
	for relay, want := range map[string]refusal{
		"https://evil.example/":          {Status: 403, Code: "relay_state"},
		"//evil.example":                 {Status: 403, Code: "relay_state"},
		`/\evil.example`:                 {Status: 403, Code: "relay_state"},
		"/account\r\nSet-Cookie: a=b":    {Status: 403, Code: "relay_state"},
		strings.Repeat("r", 10<<10):      {Status: 400, Code: "field_long"},
		"\xff\xfe":                       {Status: 400, Code: "field_encoding"},
		trip.State + "x":                 {Status: 403, Code: "relay_state"},
		"javascript:alert(document.URL)": {Status: 403, Code: "relay_state"},
	} {
		t.Run(head(relay), func(t *testing.T) {
			want.Secrets = []string{"evil.example"}
			a := w.refused(t, acme, want, func() *answer {
				return b.crossPost(acmeACS, url.Values{"SAMLResponse": {response}, "RelayState": {relay}})
			})
			if contains(a.Body, "evil.example") || a.Header.Get("Location") != "" {
				t.Errorf("led to %q: %s", a.Header.Get("Location"), a.text())
			}
		})
	}
	w.accepted(t, b, acme, trip.deliver(response), who.Address, "/account")

	t.Run("unsolicited", func(t *testing.T) {
		w.allowUnsolicited(t)
		b := w.browser(t)
		form := w.unsolicited(t, who)
		form.Set("RelayState", "https://evil.example/")
		w.accepted(t, b, acme, b.confirm(b.crossPost(acmeACS, form)), who.Address, "/")
	})
}

// SAM-80: nothing that comes in gets into the parameters that go out.
func TestSAM80Outgoing(t *testing.T) {
	w := shared(t)
	for _, more := range []string{
		"?RelayState=x%26SigAlg%3Dnone", "?SigAlg=none&Signature=AAAA", "?attempt=" + strings.Repeat("A", 43) + "%26SigAlg%3Dnone",
	} {
		b := w.browser(t)
		a := b.get(acme + "/login/acme-saml" + more)
		if a.Status != http.StatusSeeOther {
			secured(t, a)
			continue
		}
		to := a.leads()
		for name, values := range to.Query() {
			if len(values) != 1 || strings.Contains(values[0], "&") || values[0] == "none" || values[0] == "AAAA" {
				t.Errorf("%s: %s is %q", more, name, values)
			}
		}
		if n := len(to.Query()); n != 4 {
			t.Errorf("%d parameters: %v", n, to.Query())
		}
	}
}

// SAM-81: artifacts are not resolved, wherever they come.
func TestSAM81Artifact(t *testing.T) {
	w := shared(t)
	b, who := w.browser(t), w.IdPs.Person(t, "acme.example")
	trip := b.depart(acme, "acme-saml")
	response := trip.assertion(who)
	const artifact = "AAQAAMFbLinlXaCM+FIxiDwGOLAy2T71gbpO7ZhNzAgEANlB90ECfpNEVLg="
	calls := w.IdPs.calls.Load()
	q := "?SAMLart=" + url.QueryEscape(artifact)
	w.refused(t, acme, refusal{Status: 403, Code: "artifact"}, func() *answer {
		return b.crossPost(acmeACS, url.Values{"SAMLart": {artifact}, "RelayState": {trip.State}})
	})
	w.refused(t, acme, refusal{Status: 403, Code: "artifact"}, func() *answer {
		return b.crossPost(acmeACS, url.Values{"SAMLart": {artifact}, "SAMLResponse": {response}})
	})
	w.refused(t, acme, refusal{Status: 400, Code: "binding"}, func() *answer {
		return b.crossPost(acmeACS+q, url.Values{"SAMLResponse": {response}})
	})
	w.refused(t, acme, refusal{Status: 405}, func() *answer { return b.crossGet(acmeACS + q) })
	if n := w.IdPs.calls.Load() - calls; n != 0 {
		t.Errorf("the provider was called %d times", n)
	}
	w.accepted(t, b, acme, trip.deliver(response), who.Address, "/")
}

// SAM-82: the right message in the wrong wrapping.
func TestSAM82Wrapping(t *testing.T) {
	w := shared(t)
	b, who := w.browser(t), w.IdPs.Person(t, "acme.example")
	trip := b.depart(acme, "acme-saml")
	response := trip.assertion(who)
	form := url.Values{"SAMLResponse": {response}, "RelayState": {trip.State}}
	idp := w.IdPs.server.URL
	for _, row := range []struct {
		name string
		want refusal
		r    request
	}{
		{"GET", refusal{Status: 405}, request{URL: acmeACS + "?SAMLResponse=AAAA", From: idp}},
		{"PUT", refusal{Status: 403}, request{Method: "PUT", URL: acmeACS, Form: form, From: idp}},
		{"in the query", refusal{Status: 400, Code: "binding"}, request{Method: "POST", URL: acmeACS + "?SAMLResponse=AAAA", Form: form, From: idp}},
		{"twice", refusal{Status: 400, Code: "field_repeated"}, request{Method: "POST", URL: acmeACS, Body: form.Encode() + "&" + form.Encode(), Type: "application/x-www-form-urlencoded", From: idp}},
		{"not at all", refusal{Status: 400, Code: "field_missing"}, request{Method: "POST", URL: acmeACS, Form: url.Values{"RelayState": {trip.State}}, From: idp}},
		{"empty body", refusal{Status: 400, Code: "field_missing"}, request{Method: "POST", URL: acmeACS, Type: "application/x-www-form-urlencoded", From: idp}},
		{"multipart", refusal{Status: 415}, request{Method: "POST", URL: acmeACS, Type: "multipart/form-data; boundary=b", From: idp,
			Body: "--b\r\nContent-Disposition: form-data; name=\"SAMLResponse\"\r\n\r\n" + response + "\r\n--b--\r\n"}},
		{"text", refusal{Status: 415, Code: "body_type"}, request{Method: "POST", URL: acmeACS, Body: form.Encode(), Type: "text/plain", From: idp}},
		{"XML", refusal{Status: 415, Code: "body_type"}, request{Method: "POST", URL: acmeACS, Body: "<Response/>", Type: "text/xml", From: idp}},
		{"another character set", refusal{Status: 415, Code: "body_charset"}, request{Method: "POST", URL: acmeACS, Body: form.Encode(), Type: "application/x-www-form-urlencoded; charset=utf-16", From: idp}},
		{"compressed", refusal{Status: 415}, request{Method: "POST", URL: acmeACS, Form: form, From: idp, Header: http.Header{"Content-Encoding": {"gzip"}}}},
		{"junk in base64", refusal{Status: 400, Code: "response_base64"}, request{Method: "POST", URL: acmeACS, Form: url.Values{"SAMLResponse": {response[:80] + "*" + response[80:]}}, From: idp}},
		{"base64 of the other alphabet", refusal{Status: 400, Code: "response_base64"}, request{Method: "POST", URL: acmeACS, Form: url.Values{"SAMLResponse": {"-_-_"}}, From: idp}},
		{"a slash more", refusal{Status: 403}, request{Method: "POST", URL: acmeACS + "/", Form: form, From: idp}},
		{"a connection nobody has", refusal{Status: 404}, request{Method: "POST", URL: acme + "/saml/nobody/acs", Form: form, From: idp}},
		{"a neighbour's connection", refusal{Status: 404}, request{Method: "POST", URL: acme + "/saml/beta-saml/acs", Form: form, From: idp}},
		{"a connection of another kind", refusal{Status: 404}, request{Method: "POST", URL: acme + "/saml/acme-oidc/acs", Form: form, From: idp}},
		{"5 MB", refusal{Status: 413}, request{Method: "POST", URL: acmeACS, Form: url.Values{"SAMLResponse": {strings.Repeat("A", 5<<20)}}, From: idp}},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := w.refused(t, acme, row.want, func() *answer { return b.send(row.r) })
			if a.Status == http.StatusMethodNotAllowed && a.Header.Get("Allow") != "POST" {
				t.Errorf("Allow: %q", a.Header.Get("Allow"))
			}
		})
	}
	w.accepted(t, b, acme, trip.deliver(response), who.Address, "/")
}

// SAM-90: of a message that was refused the log has the code and the reference,
// and the audit log the connection, and neither has any of the message.
func TestSAM90Logs(t *testing.T) {
	w := shared(t)
	b := w.browser(t)
	marked := idptest.User{Subject: "canary-subject-4711", Address: "canary-4711@acme.example", GivenName: "Canarygiven", FamilyName: "Canaryfamily", Groups: []string{"canary-group"}}
	trip := b.depart(acme, "acme-saml")
	secrets := []string{"canary", "Canary", marked.Subject, marked.Address, trip.RequestID, trip.State}
	mark := w.Log.Len()
	for _, row := range []struct {
		want refusal
		idp  string
		m    idptest.SAMLMint
	}{
		{refusal{Status: 403, Code: "signature_missing"}, "acme-saml", idptest.SAMLMint{Sign: idptest.SignNothing}},
		{refusal{Status: 400, Code: "xml_syntax"}, "acme-saml", idptest.SAMLMint{TamperBy: func(text string) string { return text[:len(text)-10] }}},
		{refusal{Status: 403, Code: "signature"}, "beta-saml", idptest.SAMLMint{}},
	} {
		row.m.User, row.want.Secrets = marked, secrets
		response := mint(t, w.IdPs.SAML[row.idp], trip.target(), row.m)
		a := w.refused(t, acme, row.want, func() *answer { return trip.deliver(response) })
		if !strings.Contains(w.Log.Since(mark), a.reference()) {
			t.Errorf("the log does not have the reference %s", a.reference())
		}
		for _, l := range w.events(t, acme, a) {
			if l.Target != "acme-saml" || l.Account != "" {
				t.Errorf("audit row: %+v", l.Event)
			}
		}
	}
	w.quiet(t, mark, secrets...)
}

// answersNothing leaves InResponseTo there, and empty.
func answersNothing(response *etree.Element) {
	response.CreateAttr("InResponseTo", "")
	response.FindElement("./Assertion/Subject/SubjectConfirmation/SubjectConfirmationData").CreateAttr("InResponseTo", "")
}
