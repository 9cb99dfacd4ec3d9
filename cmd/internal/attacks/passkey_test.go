package attacks

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/passkeytest"
)

// options are the challenge that a page puts to its browser.
func (a *answer) options() string { return a.page().Attr("form#passkey", "data-options") }

// makePasskey makes a passkey in the account that the browser is signed in to.
func (b *browser) makePasskey(at string, k *passkeytest.Key) *answer {
	b.t.Helper()
	a := b.arrive(b.post(at+"/account/security/passkeys", url.Values{"name": {"Telephone"}}))
	return b.arrive(b.post(at+"/account/security/passkeys", url.Values{"answer": {k.Create(a.options())}}))
}

// owner is somebody with a passkey, and the browser they are signed in with.
func (w *world) owner(t testing.TB, at, address string) (*browser, *passkeytest.Key) {
	t.Helper()
	w.guest(t, at, address, password)
	b, k := w.browser(t), passkeytest.New(t, at)
	if a := b.signInPassword(at, address, password); a.session() == nil {
		t.Fatalf("sign in: %d %s", a.Status, a.text())
	}
	if a := b.makePasskey(at, k); a.Status != http.StatusOK || a.page().Text("#passkeys th[scope=row]") != "Telephone" {
		t.Fatalf("make a passkey: %d %s", a.Status, a.text())
	}
	return b, k
}

// asked is a page that puts a challenge to a browser without a session.
func (b *browser) asked(at string) *answer {
	b.t.Helper()
	return b.arrive(b.post(at+"/login/passkey", url.Values{}))
}

// give answers the challenge of a page.
func (b *browser) give(page *answer, text string) *answer {
	b.t.Helper()
	return b.post(originOf(page.URL.String())+"/login/passkey",
		url.Values{"attempt": {page.page().Attr("input[name=attempt]", "value")}, "answer": {text}})
}

// TestPasskeys attacks what signs in on its own.
func TestPasskeys(t *testing.T) {
	w := shared(t)
	n := 0
	fresh := func(t *testing.T, at string) (*browser, *passkeytest.Key, string) {
		t.Helper()
		w.Clock.Pass(2 * time.Hour) // the throttle is empty
		n++
		address := fmt.Sprintf("key-%d@keys.example", n)
		b, k := w.owner(t, at, address)
		return b, k, address
	}

	t.Run("must be accepted", func(t *testing.T) {
		_, k, address := fresh(t, acme)
		b := w.browser(t)
		page := b.asked(acme)
		if a := b.give(page, k.Get(page.options())); a.session() == nil {
			t.Fatalf("%d %s", a.Status, a.text())
		}
		if got := b.signedIn(acme); got != address {
			t.Errorf("signed in as %q", got)
		}
	})

	// One key, answering wrongly in one way each.
	for name, wrong := range map[string]struct {
		code   string
		change func(*passkeytest.Key)
	}{
		"another origin":                 {"passkey_origin", func(k *passkeytest.Key) { k.Origin = "https://acme.eu.domicile.example.evil.example" }},
		"a sibling portal's origin":      {"passkey_origin", func(k *passkeytest.Key) { k.Origin = beta }},
		"another port of the host":       {"passkey_origin", func(k *passkeytest.Key) { k.Origin = acme + ":8443" }},
		"plain http":                     {"passkey_origin", func(k *passkeytest.Key) { k.Origin = "http://" + hostOf(acme) }},
		"another relying party":          {"passkey_rp", func(k *passkeytest.Key) { k.RPID = "eu.domicile.example" }},
		"nobody was verified":            {"passkey_unverified", func(k *passkeytest.Key) { k.Unverified = true }},
		"a challenge of its own":         {"passkey_challenge", func(k *passkeytest.Key) { k.Challenge = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" }},
		"no challenge":                   {"passkey_challenge", func(k *passkeytest.Key) { k.Challenge = "=" }},
		"the answer to another ceremony": {"passkey_signature", func(k *passkeytest.Key) { k.Type = "webauthn.create" }},
		"another person's handle":        {"passkey_signature", func(k *passkeytest.Key) { k.Owner = []byte("somebody else") }},
		"no handle":                      {"passkey_signature", func(k *passkeytest.Key) { k.Owner = nil }},
		"a key that nobody has":          {"passkey_unknown", func(k *passkeytest.Key) { k.ID = []byte("no such key") }},
	} {
		t.Run(name, func(t *testing.T) {
			_, k, address := fresh(t, acme)
			b := w.browser(t)
			page := b.asked(acme)
			wrong.change(k)
			text := k.Get(page.options())
			w.refused(t, acme, refusal{Status: http.StatusForbidden, Code: wrong.code, Action: "factor.refused", Spends: []string{"challenges"}, Secrets: []string{address}},
				func() *answer { return b.give(page, text) })
		})
	}

	t.Run("a signature of another key", func(t *testing.T) {
		_, k, _ := fresh(t, acme)
		thief := passkeytest.New(t, acme)
		thief.ID, thief.Owner, thief.RPID, thief.Counter = k.ID, k.Owner, k.RPID, 99
		b := w.browser(t)
		page := b.asked(acme)
		text := thief.Get(page.options())
		w.refused(t, acme, refusal{Status: http.StatusForbidden, Code: "passkey_signature", Action: "factor.refused", Spends: []string{"challenges"}},
			func() *answer { return b.give(page, text) })
	})

	t.Run("counter goes back", func(t *testing.T) {
		_, k, _ := fresh(t, acme)
		b := w.browser(t)
		k.Counter = 10
		page := b.asked(acme)
		if a := b.give(page, k.Get(page.options())); a.session() == nil {
			t.Fatalf("%d %s", a.Status, a.text())
		}
		copied := w.browser(t)
		k.Counter = 9 // 10 is told once more
		page = copied.asked(acme)
		text := k.Get(page.options())
		w.refused(t, acme, refusal{Status: http.StatusForbidden, Code: "passkey_cloned", Action: "factor.cloned", Spends: []string{"challenges"}},
			func() *answer { return copied.give(page, text) })
	})

	t.Run("an answer twice, and fifty at once", func(t *testing.T) {
		_, k, _ := fresh(t, acme)
		b := w.browser(t)
		page := b.asked(acme)
		text := k.Get(page.options())
		form := url.Values{"attempt": {page.page().Attr("input[name=attempt]", "value")}, "answer": {text}}
		sessions := 0
		for _, a := range b.burst(50, func(int) request {
			return request{Method: http.MethodPost, URL: acme + "/login/passkey", Form: form, From: acme}
		}) {
			if a.session() != nil {
				sessions++
			}
		}
		if sessions != 1 {
			t.Errorf("%d sessions by one answer", sessions)
		}
		// In another sign-in of the same browser, with the challenge there.
		w.Clock.Pass(time.Hour)
		again := b.asked(acme)
		w.refused(t, acme, refusal{Status: http.StatusForbidden, Code: "passkey_challenge", Action: "factor.refused", Spends: []string{"challenges"}},
			func() *answer { return b.give(again, text) })
	})

	t.Run("a challenge of another browser", func(t *testing.T) {
		_, k, _ := fresh(t, acme)
		victim, attacker := w.browser(t), w.browser(t)
		page := attacker.asked(acme)
		text := k.Get(page.options())
		// SES-10: the attacker's page and the victim's browser, either way round.
		if a := victim.give(page, text); a.session() != nil || victim.signedIn(acme) != "" {
			t.Error("an answer counts in a browser that was not asked")
		}
		own := victim.asked(acme)
		if a := victim.give(own, text); a.session() != nil {
			t.Error("an answer to another browser's challenge counts")
		}
	})

	t.Run("too late", func(t *testing.T) {
		_, k, _ := fresh(t, acme)
		b := w.browser(t)
		page := b.asked(acme)
		text := k.Get(page.options())
		w.Clock.Pass(portal.CeremonyLife)
		w.refused(t, acme, refusal{Status: http.StatusForbidden, Code: "passkey_challenge", Action: "factor.refused"},
			func() *answer { return b.give(page, text) })
	})

	t.Run("another portal's passkey", func(t *testing.T) {
		_, k, _ := fresh(t, beta)
		b := w.browser(t)
		page := b.asked(acme)
		for name, change := range map[string]func(){
			"as it is":           func() {},
			"with our origin":    func() { k.Origin = acme },
			"and our host in it": func() { k.Origin, k.RPID = acme, hostOf(acme) },
		} {
			change()
			page = b.asked(acme)
			text := k.Get(page.options())
			t.Run(name, func(t *testing.T) {
				w.refused(t, acme, refusal{Status: http.StatusForbidden, Code: "passkey_unknown", Action: "factor.refused", Spends: []string{"challenges"}},
					func() *answer { return b.give(page, text) })
			})
		}
		// A challenge of the other portal is nothing here.
		other := b.asked(beta)
		form := url.Values{"attempt": {other.page().Attr("input[name=attempt]", "value")}, "answer": {k.Get(other.options())}}
		if a := b.post(acme+"/login/passkey", form); a.session() != nil {
			t.Error("another portal's attempt counts")
		}
	})

	t.Run("a removed passkey", func(t *testing.T) {
		b, k, address := fresh(t, acme)
		id := b.get(acme+"/account/security/passkeys").page().Attr("input[name=factor]", "value")
		a, ok, err := w.store(acme).AccountByAddress(t.Context(), "acme", addressOf(address))
		if err != nil || !ok || id == "" {
			t.Fatal(id, ok, err)
		}
		if _, err := w.home(acme).DB.ExecContext(t.Context(), `DELETE FROM factors WHERE id = $1 AND account = $2`, id, a.ID); err != nil {
			t.Fatal(err)
		}
		c := w.browser(t)
		page := c.asked(acme)
		text := k.Get(page.options())
		w.refused(t, acme, refusal{Status: http.StatusForbidden, Code: "passkey_unknown", Action: "factor.refused", Spends: []string{"challenges"}},
			func() *answer { return c.give(page, text) })
	})

	t.Run("ADM-06 a disabled account", func(t *testing.T) {
		_, k, address := fresh(t, acme)
		b := w.browser(t)
		page := b.asked(acme)
		if _, err := w.store(acme).Disable(t.Context(), "acme", portal.Visitor{}, addressOf(address)); err != nil {
			t.Fatal(err)
		}
		text := k.Get(page.options())
		w.refused(t, acme, refusal{Status: http.StatusForbidden, Code: "account_disabled", Spends: []string{"challenges"}},
			func() *answer { return b.give(page, text) })
	})

	t.Run("OID-09 oversize and malformed", func(t *testing.T) {
		_, k, _ := fresh(t, acme)
		b := w.browser(t)
		for name, spoil := range map[string]func(string) string{
			"nothing of it":       func(string) string { return "{}" },
			"no JSON":             func(string) string { return "null" },
			"deep":                func(string) string { return strings.Repeat("[", 5000) },
			"CBOR of 4 GiB":       func(s string) string { return spoilt(t, s, "authenticatorData", []byte{0xbb, 0xff, 0xff, 0xff, 0xff}) },
			"authenticator data":  func(s string) string { return spoilt(t, s, "authenticatorData", make([]byte, 37)) },
			"no signature":        func(s string) string { return spoilt(t, s, "signature", nil) },
			"client data changed": func(s string) string { return spoilt(t, s, "clientDataJSON", []byte(`{"type":"webauthn.get"}`)) },
		} {
			t.Run(name, func(t *testing.T) {
				page := b.asked(acme)
				text := spoil(k.Get(page.options()))
				a := b.give(page, text)
				if a.Status/100 != 4 || a.session() != nil {
					t.Errorf("%d %s", a.Status, a.text())
				}
				dull(t, a)
			})
		}
		page := b.asked(acme)
		if a := b.give(page, k.Get(page.options())+strings.Repeat(" ", 13<<10)); a.Status/100 != 4 || a.session() != nil {
			t.Errorf("oversize: %d", a.Status)
		}
	})

	t.Run("PWD-10 making one", func(t *testing.T) { making(t, w) })
	t.Run("PWD-09 as a second factor", func(t *testing.T) { secondFactor(t, w) })
}

// spoilt is an answer with one part of it changed.
func spoilt(t testing.TB, text, part string, with []byte) string {
	t.Helper()
	var a map[string]any
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		t.Fatal(err)
	}
	a["response"].(map[string]any)[part] = base64.RawURLEncoding.EncodeToString(with)
	out, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// making: a passkey is made by somebody who has just proved who they are, of the
// sorts that are wanted, at this portal, and by one account alone.
func making(t *testing.T, w *world) {
	w.Clock.Pass(2 * time.Hour)
	w.guest(t, acme, "maker@keys.example", password)
	b := w.browser(t)
	if a := b.signInPassword(acme, "maker@keys.example", password); a.session() == nil {
		t.Fatalf("%d %s", a.Status, a.text())
	}
	ask := func() *answer {
		t.Helper()
		return b.arrive(b.post(acme+"/account/security/passkeys", url.Values{"name": {"Telephone"}}))
	}
	for name, wrong := range map[string]struct {
		code   string
		change func(*passkeytest.Key)
	}{
		"another origin":          {"passkey_origin", func(k *passkeytest.Key) { k.Origin = beta }},
		"another relying party":   {"passkey_rp", func(k *passkeytest.Key) { k.RPID = "domicile.example" }},
		"nobody was verified":     {"passkey_unverified", func(k *passkeytest.Key) { k.Unverified = true }},
		"another challenge":       {"passkey_challenge", func(k *passkeytest.Key) { k.Challenge = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" }},
		"algorithm: none":         {"passkey_signature", func(k *passkeytest.Key) { k.Alg = -65535 }},
		"algorithm: RS256 for EC": {"passkey_algorithm", func(k *passkeytest.Key) { k.Alg = -257 }},
		"algorithm: ES512":        {"passkey_signature", func(k *passkeytest.Key) { k.Alg = -36 }},
		"attestation: android":    {"passkey_attestation", func(k *passkeytest.Key) { k.Format = "android-safetynet" }},
		"attestation: TPM":        {"passkey_attestation", func(k *passkeytest.Key) { k.Format = "tpm" }},
		"the other ceremony":      {"passkey_signature", func(k *passkeytest.Key) { k.Type = "webauthn.get" }},
	} {
		t.Run(name, func(t *testing.T) {
			page := ask()
			k := passkeytest.New(t, acme)
			wrong.change(k)
			text := k.Create(page.options())
			// What cannot be read at all is a refusal by another name.
			a := b.post(acme+"/account/security/passkeys", url.Values{"answer": {text}})
			if a.Status != http.StatusForbidden {
				t.Fatalf("%d %s", a.Status, a.text())
			}
			if !w.hasCode(t, acme, a, wrong.code, "passkey_malformed") {
				t.Errorf("not audited as %s", wrong.code)
			}
		})
	}
	k := passkeytest.New(t, acme)
	page := ask()
	text := k.Create(page.options())
	if a := b.arrive(b.post(acme+"/account/security/passkeys", url.Values{"answer": {text}})); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.text())
	}
	if a := b.post(acme+"/account/security/passkeys", url.Values{"answer": {text}}); a.Status != http.StatusForbidden {
		t.Errorf("an answer twice: %d", a.Status)
	}
	// The same key for somebody else: whoever has it would be two people.
	other, _ := w.owner(t, acme, "other@keys.example")
	page = other.arrive(other.post(acme+"/account/security/passkeys", url.Values{"name": {"Mine too"}}))
	if a := other.post(acme+"/account/security/passkeys", url.Values{"answer": {k.Create(page.options())}}); a.Status != http.StatusForbidden {
		t.Errorf("one key for two people: %d", a.Status)
	}
	// PWD-10: the session alone is not enough.
	w.Clock.Pass(30 * time.Minute)
	late := b.post(acme+"/account/security/passkeys", url.Values{"name": {"Late"}})
	if to := late.leads(); late.Status != http.StatusSeeOther || to.Path != "/account/confirm" {
		t.Errorf("half an hour later: %d to %s", late.Status, to)
	}
}

// hasCode reports whether an answer was audited with one of the codes.
func (w *world) hasCode(t testing.TB, at string, a *answer, codes ...string) bool {
	t.Helper()
	events, err := w.store(at).Events(t.Context(), idOf(at), portal.EventFilter{Reference: a.reference()})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		for _, c := range codes {
			if e.Code == c {
				return true
			}
		}
	}
	return false
}

// secondFactor: half a sign-in opens nothing, and only the account's own passkey
// completes it.
func secondFactor(t *testing.T, w *world) {
	w.Clock.Pass(2 * time.Hour)
	_, k := w.owner(t, acme, "second@keys.example")
	_, thief := w.owner(t, acme, "thief@keys.example")
	b := w.browser(t)
	a := b.arrive(b.signInPassword(acme, "second@keys.example", password))
	if b.signedIn(acme) != "" {
		t.Fatal("a password alone signs in")
	}
	handle := a.page().Attr("input[name=attempt]", "value")
	for _, path := range []string{"/account", "/account/security", "/account/security/passkeys", "/admin/users"} {
		if got := b.get(acme + path); got.Status == http.StatusOK {
			t.Errorf("half a sign-in opens %s", path)
		}
	}
	page := b.arrive(b.post(acme+"/login/passkey", url.Values{"attempt": {handle}}))
	if n := k.Allowed(page.options()); n != 1 {
		t.Errorf("asked for %d passkeys", n)
	}
	text := thief.Get(page.options())
	w.refused(t, acme, refusal{Status: http.StatusForbidden, Code: "passkey_unknown", Action: "factor.refused", Spends: []string{"challenges"}},
		func() *answer { return b.give(page, text) })
	page = b.arrive(b.post(acme+"/login/passkey", url.Values{"attempt": {handle}}))
	if a := b.give(page, k.Get(page.options())); a.session() == nil {
		t.Errorf("%d %s", a.Status, a.text())
	}
	if got := b.signedIn(acme); got != "second@keys.example" {
		t.Errorf("signed in as %q", got)
	}
}
