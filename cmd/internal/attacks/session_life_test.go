package attacks

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/web"
)

// TestSessionLife attacks the page on which people look through their sessions and
// apps, and what they end there.
func TestSessionLife(t *testing.T) {
	w := newWorld(t)
	for _, row := range []struct {
		name string
		test func(*testing.T, *world)
	}{
		{"SES-11 ended by somebody else's page", endedFromElsewhere},
		{"SES-13 what is kept of a browser", keptOfABrowser},
		{"SES-15 SES-16 ended at one process", endedEverywhere},
		{"SES-15 another role", anotherRole},
		{"SES-17 ADM-01 a session of somebody else", sessionOfSomebodyElse},
		{"SES-18 no more than ten are listed", listedSessions},
		{"SES-20 the page is not kept", sessionsPageNotKept},
		{"ADM-06 what an app holds", appOfADisabled},
	} {
		t.Run(row.name, func(t *testing.T) {
			w.Clock.Pass(2 * time.Minute)
			row.test(t, w)
		})
	}
}

// ownSessions are the public IDs of a browser's list, the one used last first.
func ownSessions(b *browser) []string {
	var ids []string
	for _, n := range b.get(acme + "/account/sessions").page().All(".devices input[name=session]") {
		for _, a := range n.Attr {
			if a.Key == "value" {
				ids = append(ids, a.Val)
			}
		}
	}
	return ids
}

// SES-11: nobody else's page ends a session, and no GET does.
func endedFromElsewhere(t *testing.T, w *world) {
	b := w.named(t, "192.0.2.121")
	b.signInPassword(acme, pat, password)
	id := ownSessions(b)[0]
	for _, path := range []string{"/account/sessions/end", "/account/sessions/end-others", "/account/sessions/end-all", "/account/apps/activate", "/account/apps/remove", "/account/apps/restore"} {
		form := url.Values{}
		if strings.HasSuffix(path, "/end") {
			form.Set("session", id)
		}
		for _, from := range []string{w.IdPs.server.URL, beta, "null"} {
			if a := b.send(request{Method: http.MethodPost, URL: acme + path, Form: form, From: from}); a.Status != http.StatusForbidden && a.Status != http.StatusSeeOther {
				t.Errorf("%s from %s: %d", path, from, a.Status)
			}
		}
		if a := b.get(acme + path + "?" + form.Encode()); a.Status != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: %d", path, a.Status)
		}
	}
	if b.signedIn(acme) == "" {
		t.Error("one of them ended the session")
	}
}

// SES-13: of a session people see a name that opens nothing; of what a browser
// says about itself nothing is kept but words of ours.
func keptOfABrowser(t *testing.T, w *world) {
	b := w.named(t, "192.0.2.122")
	form := b.arrive(b.post(acme+"/login", url.Values{"email": {pat}}))
	b.send(request{Method: http.MethodPost, URL: acme + "/login/password", From: acme, Header: http.Header{"User-Agent": {"Firefox/1 (Windows) canary-of-the-agent <b>"}},
		Form: url.Values{"attempt": {form.page().Attr("input[name=attempt]", "value")}, "password": {password}}})
	a := b.get(acme + "/account/sessions")
	token := b.cookie(acme, web.SessionCookie)
	if !strings.Contains(a.text(), "Firefox on Windows") || strings.Contains(a.Body, "canary") || strings.Contains(a.Body, token) {
		t.Errorf("the page: %s", a.text())
	}
	if w.count(t, acme, "sessions WHERE agent NOT IN ('', 'Firefox on Windows')") != 0 {
		t.Error("what the browser said is in the database")
	}
	if strings.Contains(w.Log.String(), "canary-of-the-agent") {
		t.Error("what the browser said is in the log")
	}
	id := ownSessions(b)[0]
	thief := w.browser(t)
	thief.plant(acme, web.SessionCookie, id)
	if thief.signedIn(acme) != "" || portal.Secret(token).Clear() == id {
		t.Error("the public name of a session signs in")
	}
}

// SES-15, SES-16: what is ended here is refused there with the next request, one,
// all others and all.
func endedEverywhere(t *testing.T, w *world) {
	node := w.Regions[europe].Node(t)
	here := w.named(t, "192.0.2.123")
	there := w.named(t, "192.0.2.124").via(node)
	enter := func() {
		there.signInPassword(acme, pat, password)
		w.Clock.Pass(time.Second)
		here.signInPassword(acme, pat, password)
		if there.signedIn(acme) == "" {
			t.Fatal("not signed in at the other process")
		}
	}
	for _, end := range []struct {
		path string
		form func() url.Values
		stay bool
	}{
		{"/account/sessions/end", func() url.Values { return url.Values{"session": {strange(here)}} }, true},
		{"/account/sessions/end-others", func() url.Values { return url.Values{} }, true},
		{"/account/sessions/end-all", func() url.Values { return url.Values{} }, false},
	} {
		enter()
		here.post(acme+end.path, end.form())
		if there.signedIn(acme) != "" {
			t.Errorf("%s: the other process does not know", end.path)
		}
		if stays := here.signedIn(acme) != ""; stays != end.stay {
			t.Errorf("%s: signed in here: %t", end.path, stays)
		}
	}
}

// strange is a session of the account that is not this browser's.
func strange(b *browser) string {
	own := b.get(acme+"/account/sessions").page().Attr(".devices .current input[name=session]", "value")
	for _, id := range ownSessions(b) {
		if id != own {
			return id
		}
	}
	return ""
}

// SES-15: a role that was taken away counts no more with the next request, at
// every process, without anybody being signed out.
func anotherRole(t *testing.T, w *world) {
	node := w.Regions[europe].Node(t)
	b := w.named(t, "192.0.2.125").via(node)
	b.signInPassword(acme, pat, password)
	grant(t, w, pat, portal.Administrator)
	if got := b.get(acme + "/admin/connections").Status; got != http.StatusOK {
		t.Fatalf("as administrator: %d", got)
	}
	grant(t, w, pat, portal.Member)
	if got := b.get(acme + "/admin/connections").Status; got != http.StatusForbidden || b.signedIn(acme) == "" {
		t.Errorf("as member: %d", got)
	}
}

// grant writes a role as an operator's command does.
func grant(t testing.TB, w *world, address string, role portal.Role) {
	t.Helper()
	_, err := w.home(acme).DB.Exec(`UPDATE accounts SET role = $1 WHERE id IN (SELECT account FROM addresses WHERE portal = 'acme' AND address = $2)`, string(role), address)
	if err != nil {
		t.Fatal(err)
	}
}

func accountOf(t testing.TB, w *world, at, portalID, address string) portal.Account {
	t.Helper()
	a, err := discovery.ParseAddress(address)
	if err != nil {
		t.Fatal(err)
	}
	found, ok, err := w.store(at).AccountByAddress(t.Context(), portalID, a)
	if err != nil || !ok {
		t.Fatalf("%s: %t, %v", address, ok, err)
	}
	return found
}

// SES-17, ADM-01: another account's session, of this portal or another, is not
// found, and stays.
func sessionOfSomebodyElse(t *testing.T, w *world) {
	victim, thief := w.browser(t), w.named(t, "192.0.2.126")
	w.member(t, victim, "")
	thief.signInPassword(acme, pat, password)
	id := ownSessions(victim)[0]
	a := thief.post(acme+"/account/sessions/end", url.Values{"session": {id}})
	if a.Status != http.StatusNotFound || victim.signedIn(acme) == "" {
		t.Errorf("got %d; is the victim signed in: %t", a.Status, victim.signedIn(acme) != "")
	}
	w.audited(t, acme, a, "access.refused", "session_unknown")
	for _, id := range []string{"'; DELETE FROM sessions; --", "%", strings.Repeat("f", 64), victim.cookie(acme, web.SessionCookie)} {
		if got := thief.post(acme+"/account/sessions/end", url.Values{"session": {id}}).Status; got != http.StatusNotFound {
			t.Errorf("%q: %d", id, got)
		}
	}
}

// SES-18: the list never has more than the rule allows.
func listedSessions(t *testing.T, w *world) {
	who := w.IdPs.Person(t, "acme.example")
	var last *browser
	for range portal.MaxSessions + 2 {
		w.Clock.Pass(time.Second)
		last = w.browser(t)
		trip := last.departWith(acme, "acme-saml", who.Address, "/")
		trip.deliver(trip.assertion(who))
	}
	if got := len(ownSessions(last)); got != portal.MaxSessions {
		t.Errorf("%d sessions are listed", got)
	}
}

// SES-20: the list is not kept by anything on the way, and signing out everywhere
// empties what the browser kept.
func sessionsPageNotKept(t *testing.T, w *world) {
	b := w.named(t, "192.0.2.127")
	b.signInPassword(acme, pat, password)
	a := b.get(acme + "/account/sessions")
	if a.Status != http.StatusOK || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Etag")+a.Header.Get("Last-Modified") != "" {
		t.Errorf("%d, %v", a.Status, a.Header)
	}
	if out := b.post(acme+"/account/sessions/end-all", url.Values{}); out.Header.Get("Clear-Site-Data") != `"cache", "storage"` {
		t.Errorf("Clear-Site-Data: %v", out.Header)
	}
	if to := b.get(acme + "/account/sessions").leads(); to.Path != "/login" {
		t.Errorf("Back leads to %s", to)
	}
}

// ADM-06: what an app was given is worth nothing once its account is disabled, its
// activation is removed or moved to another account, or its portal is another.
func appOfADisabled(t *testing.T, w *world) {
	ctx, s := t.Context(), w.store(acme)
	if _, err := s.PutApp(ctx, portal.App{Portal: "acme", ID: "outlook", Name: "Outlook", Kind: portal.AddIn}); err != nil {
		t.Fatal(err)
	}
	b := w.browser(t)
	who := w.IdPs.Person(t, "acme.example")
	trip := b.departWith(acme, "acme-saml", who.Address, "/")
	trip.deliver(trip.assertion(who))
	if a := b.post(acme+"/account/apps/activate", url.Values{"app": {"outlook"}, "device": {"Laptop"}}); a.Status != http.StatusSeeOther {
		t.Fatalf("activate: %d %s", a.Status, a.text())
	}
	owner := accountOf(t, w, acme, "acme", who.Address)
	all, err := s.Activations(ctx, "acme", owner.ID)
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	made := all[0]
	live := func(portalID, account string, generation int64) bool {
		_, _, err := s.LiveActivation(ctx, portalID, made.ID, generation, account)
		return err == nil
	}
	other := accountOf(t, w, acme, "acme", pat)
	if !live("acme", owner.ID, made.Generation) || live("acme", other.ID, made.Generation) || live("beta", owner.ID, made.Generation) {
		t.Error("it counts for somebody else, or not for its owner")
	}
	thief := w.named(t, "192.0.2.128")
	thief.signInPassword(acme, pat, password)
	for _, path := range []string{"/account/apps/remove", "/account/apps/restore"} {
		a := thief.post(acme+path, url.Values{"activation": {made.ID}})
		if a.Status != http.StatusNotFound || !live("acme", owner.ID, made.Generation) {
			t.Errorf("somebody else's %s: %d", path, a.Status)
		}
		w.audited(t, acme, a, "access.refused", "activation_unknown")
	}
	if _, err := s.Disable(ctx, "acme", portal.Visitor{}, owner.Primary); err != nil {
		t.Fatal(err)
	}
	if live("acme", owner.ID, made.Generation) {
		t.Error("it counts for a disabled account")
	}
	if _, err := s.Enable(ctx, "acme", portal.Visitor{}, owner.Primary); err != nil {
		t.Fatal(err)
	}
	if live("acme", owner.ID, made.Generation) {
		t.Error("what was given before the disabling counts again")
	}
}
