package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/passkeytest"
)

const sampleOptions = `{"publicKey":{"challenge":"AAAA","rpId":"acme.eu.example.com"}}`

func passkeySamples() map[string]map[string]any {
	const handle = "lJq3i0oA6d1Vw5m7y2Zk9QxB4nT8cRfE"
	at := momentOf(time.Date(2026, 11, 20, 18, 5, 0, 0, time.UTC))
	name := page.Field{Name: "name", Label: "Name of the new passkey", Type: "text", Hint: "For example: telephone"}
	list := accountPasskeysPage{Tabs: sampleTabs, Notice: "The passkey was added.", Host: "acme.eu.example.com", Script: passkeyScript, Name: name,
		Passkeys: []passkeyLine{{ID: "1", Name: "Telephone", Created: at, Used: at}, {ID: "2", Name: "Key", Created: at, Host: "acme.dublin.example.com"}}}
	list.Form = withProblem(nil, &list.Name)
	making := accountPasskeysPage{Tabs: sampleTabs, Options: sampleOptions, Making: "Telephone", Script: passkeyScript}
	return map[string]map[string]any{
		"passkey": {
			"begin":  passkeyPage{Portal: "Acme Corporation", Attempt: handle, Script: passkeyScript, Other: "/login", MayKeep: true},
			"asks":   passkeyPage{Portal: "Acme Corporation", Attempt: handle, Then: "/account", Options: sampleOptions, Script: passkeyScript, Other: "/login", Elsewhere: "acme.eu.example.com"},
			"second": passkeyPage{Portal: "Acme Corporation", Attempt: handle, Step: "factor", Options: sampleOptions, Script: passkeyScript, Other: "/login/factor", Lost: "/login/recovery"},
			"enrol":  passkeyPage{Portal: "Acme Corporation", Attempt: handle, Step: "enrol", Options: sampleOptions, Script: passkeyScript, Other: "/login/enrol"},
		},
		"account_passkeys": {"list": list, "making": making, "none": accountPasskeysPage{Host: "acme.eu.example.com", Name: name}},
	}
}

// fresh is a browser that has just signed in.
func (w *world) fresh(host, who string) *browser {
	w.t.Helper()
	b := w.browser(host)
	b.signIn(who, goodPassword)
	if !b.signedIn() {
		w.t.Fatal("not signed in")
	}
	return b
}

// addPasskey makes a passkey in the account of a signed-in browser.
func (b *browser) addPasskey(k *passkeytest.Key, name string) answer {
	b.w.t.Helper()
	a := b.follow(b.post("/account/security/passkeys", url.Values{"name": {name}}))
	return b.follow(b.post("/account/security/passkeys", url.Values{"answer": {k.Create(a.options())}}))
}

// options are the challenge that a page puts to its browser.
func (a answer) options() string { return a.page.Attr("form#passkey", "data-options") }

// askPasskey goes to where a browser is asked for any passkey.
func (b *browser) askPasskey() answer {
	b.w.t.Helper()
	return b.follow(b.post("/login/passkey", url.Values{}))
}

// give answers with a passkey.
func (b *browser) give(a answer, text string) answer {
	b.w.t.Helper()
	return b.post("/login/passkey", url.Values{"attempt": {a.page.Attr("input[name=attempt]", "value")}, "answer": {text}})
}

func TestPasskeySignsInAlone(t *testing.T) {
	w := newWorld(t)
	b := w.fresh(initech, "ian@initech.example")
	k := passkeytest.New(t, "https://"+initech)
	a := b.addPasskey(k, "Telephone")
	a.want(t, http.StatusOK, "Passkeys")
	if a.page.Text("#passkeys th[scope=row]") != "Telephone" {
		t.Errorf("list: %s", a.page.Text("#passkeys"))
	}
	other := b.follow(b.post("/account/security/passkeys", url.Values{"name": {"Again"}}))
	if !k.Excluded(other.options()) {
		t.Error("the page does not say that it knows the key")
	}

	fresh := w.browser(initech)
	a = fresh.askPasskey()
	a.want(t, http.StatusOK, "Sign in with a passkey")
	if k.Allowed(a.options()) != 0 {
		t.Error("a stranger learns of passkeys")
	}
	policy := a.Header.Get("Content-Security-Policy")
	if !strings.HasSuffix(policy, "; script-src 'self'") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy: %s", policy)
	}
	if p := fresh.get("/login").Header.Get("Content-Security-Policy"); strings.Contains(p, "script-src") {
		t.Errorf("the page with the address may run scripts: %s", p)
	}
	fresh.follow(fresh.give(a, k.Get(a.options()))).want(t, http.StatusOK, "Welcome, Ian")
	if got := fresh.get("/").page.Text("#method"); got != "Your passkey" {
		t.Errorf("method: %q", got)
	}
	// It was two factors: sensitive pages open.
	fresh.get("/account/security/passkeys").want(t, http.StatusOK, "Passkeys")
}

func TestPasskeyAsSecondFactor(t *testing.T) {
	w := newWorld(t)
	b := w.fresh(initech, "ian@initech.example")
	k := passkeytest.New(t, "https://"+initech)
	b.addPasskey(k, "Telephone")

	fresh := w.browser(initech)
	a := fresh.signIn("ian@initech.example", goodPassword)
	a.want(t, http.StatusOK, "Confirm with your passkey") // the challenge has not been asked for yet
	if fresh.signedIn() || a.options() != "" {
		t.Fatal("a password alone signs in, or a GET puts a challenge")
	}
	if to := a.page.Attr("#recovery", "href"); !strings.HasPrefix(to, "/login/recovery?attempt=") {
		t.Errorf("who has lost the passkey is led to %q", to)
	}
	a = fresh.follow(fresh.submit(a, nil))
	if k.Allowed(a.options()) != 1 {
		t.Errorf("asked for %d passkeys", k.Allowed(a.options()))
	}
	fresh.follow(fresh.give(a, k.Get(a.options()))).want(t, http.StatusOK, "Welcome, Ian")
}

// Without scripts the page says what to do, and its links lead there.
func TestPasskeyPageWithoutScripts(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	a := b.askPasskey()
	if !strings.Contains(a.body, "<noscript>") {
		t.Error("nothing is said to browsers without scripts")
	}
	b.get(a.page.Attr("#other", "href")).want(t, http.StatusOK, "Sign in to Initech")
	// The form without its script asks for another challenge and breaks nothing.
	again := b.follow(b.give(a, ""))
	again.want(t, http.StatusOK, "Sign in with a passkey")
	if again.options() == a.options() {
		t.Error("the challenge is the same")
	}
}

func TestOrganisationsOwnSignInComesFirst(t *testing.T) {
	w := newFederatedWorld(t)
	ctx := t.Context()
	b := w.browser(umbrella)
	a := b.follow(b.submit(b.get("/login"), url.Values{"email": {"uma@umbrella.example"}}))
	a = b.get(strings.Replace(a.page.Attr("a.choice", "href"), "&amp;", "&", 1))
	b.follow(b.submit(a, url.Values{"password": {goodPassword}}))
	k := passkeytest.New(t, "https://"+umbrella)
	b.addPasskey(k, "Telephone")
	d := portal.Domain{Name: "umbrella.example", Portal: "umbrella", Connection: "umbrella-saml", Proof: "operator", Proven: w.clock()}
	if _, err := w.store.PutDomain(ctx, d); err != nil {
		t.Fatal(err)
	}
	fresh := w.browser(umbrella)
	a = fresh.askPasskey()
	fresh.give(a, k.Get(a.options())).want(t, http.StatusForbidden, "Sign in with a passkey")
	if fresh.signedIn() || !slices.Contains(w.codes("umbrella"), "passkey_domain") {
		t.Errorf("signed in: %t, codes %v", fresh.signedIn(), w.codes("umbrella"))
	}
}
