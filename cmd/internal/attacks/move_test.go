package attacks

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

// TestMoves attacks the console's page that moves a domain from one way of signing
// in to another.
func TestMoves(t *testing.T) {
	w := newWorld(t)
	grant(t, w, pat, portal.Administrator)
	b := w.named(t, "192.0.2.131")
	b.signInPassword(acme, pat, password)
	const path = "/admin/connections/acme.example/move"
	version := b.get(acme+path+"?to=password").page().Attr("input[name=version]", "value")
	if version == "" {
		t.Fatal("an administrator does not see the page")
	}
	db := w.home(acme).DB

	// ADM-05, ADM-01, ADM-02: nobody sets how a domain signs in that is not their
	// portal's, nor through a connection that is not.
	before := w.rows(t, db)
	for name, tt := range map[string]struct {
		path   string
		form   url.Values
		status int
		action string
		code   string
	}{
		"ADM-05 another portal's domain":     {"/admin/connections/beta.example/move", url.Values{"to": {"acme-saml"}, "version": {version}}, 404, "access.refused", "domain_unknown"},
		"ADM-05 a domain of nobody":          {"/admin/connections/victim.example/move", url.Values{"to": {"acme-saml"}, "version": {version}}, 404, "access.refused", "domain_unknown"},
		"ADM-05 everybody's domain":          {"/admin/connections/*.example/move", url.Values{"to": {"acme-saml"}, "version": {version}}, 404, "", ""},
		"ADM-01 another portal's connection": {path, url.Values{"to": {"beta-saml"}, "version": {version}}, 400, "", ""},
		"ADM-02 a portal in the form":        {path, url.Values{"to": {"password"}, "version": {version}, "portal": {"beta"}}, 400, "", ""},
		"ADM-03 proven in the form":          {path, url.Values{"to": {"password"}, "version": {version}, "proven": {"1"}}, 400, "", ""},
		"a move of nobody":                   {"/admin/connections/undo", url.Values{"move": {"00000000000000000000000000000000"}}, 404, "access.refused", "move_unknown"},
	} {
		a := b.post(acme+tt.path, tt.form)
		if a.Status != tt.status {
			t.Errorf("%s: %d %s", name, a.Status, a.text())
		}
		if tt.action != "" {
			w.audited(t, acme, a, tt.action, tt.code)
		}
	}
	// SES-06, SES-08: nor by a page of another site, nor by looking.
	for _, from := range []string{w.IdPs.server.URL, beta} {
		if a := b.send(request{Method: http.MethodPost, URL: acme + path, Form: url.Values{"to": {"password"}, "version": {version}}, From: from}); a.Status == http.StatusOK || a.Header.Get("Location") == "/admin/connections" {
			t.Errorf("from %s: %d", from, a.Status)
		}
	}
	b.get(acme + path + "?to=acme-oidc&beside=yes&version=" + url.QueryEscape(version))
	w.unchanged(t, db, before, "audit", "audit_heads", "sessions")

	// SES-19: not long after the person proved who they are, or again.
	w.Clock.Pass(25 * time.Minute)
	if to := b.post(acme+path, url.Values{"to": {"password"}, "version": {version}}).leads(); to.Path != "/account/confirm" {
		t.Errorf("twenty-five minutes later it leads to %s", to)
	}
	b.signInPassword(acme, pat, password)

	// Of many at once, one moves.
	moved := 0
	for _, a := range b.burst(12, func(int) request {
		return request{Method: http.MethodPost, URL: acme + path, From: acme, Form: url.Values{"to": {"acme-oidc"}, "jit": {"yes"}, "version": {version}}}
	}) {
		if a.Status == http.StatusSeeOther && a.Header.Get("Location") == "/admin/connections" {
			moved++
		}
	}
	if moved != 1 || w.count(t, acme, "moves") != 1 {
		t.Errorf("%d of twelve moved it", moved)
	}

	// SES-15: the old provider speaks for nobody any more; who is signed in stays.
	eve, who := w.browser(t), w.IdPs.Person(t, "acme.example")
	trip := eve.depart(acme, "acme-saml")
	if a := trip.deliver(trip.assertion(who)); a.Status != http.StatusForbidden || eve.signedIn(acme) != "" {
		t.Errorf("by the old provider: %d", a.Status)
	}
	id := b.get(acme+"/admin/connections").page().Attr("input[name=move]", "value")
	if to := b.post(acme+"/admin/connections/undo", url.Values{"move": {id}}).leads(); to.Path != "/admin/connections" {
		t.Errorf("undo leads to %s", to)
	}
	trip = eve.depart(acme, "acme-saml")
	if a := trip.deliver(trip.assertion(who)); a.Status != http.StatusSeeOther || eve.signedIn(acme) == "" {
		t.Errorf("by the old provider, after undoing: %d %s", a.Status, a.text())
	}
}
