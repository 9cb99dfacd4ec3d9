package attacks

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/web"
)

// belongings are the IDs of one of everything that somebody may name in a path or a
// form, all of it somebody's.
type belongings struct {
	account, address, session, factor, recovery, imported, move, activation, app, plan, domain, connection string
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// belongs gives somebody of a portal one of everything.
func (w *world) belongs(t *testing.T, at string, a portal.Account, domain, connection string) belongings {
	t.Helper()
	id, now, later := idOf(at), w.Clock.Now().UnixMicro(), w.Clock.Now().AddDate(1, 0, 0).UnixMicro()
	f := belongings{account: a.ID, address: "alias-of-" + a.ID + "@office.example", session: newID(), factor: newID(), recovery: newID(), imported: newID(),
		move: newID(), activation: newID(), app: "app-of-" + id, plan: "plan-of-" + id, domain: domain, connection: connection}
	for _, q := range []struct {
		text string
		args []any
	}{
		{`INSERT INTO addresses (account, portal, address, domain, is_primary, confirmed, proof) VALUES ($1, $2, $3, 'office.example', FALSE, 1, 'mail')`, []any{a.ID, id, f.address}},
		{`INSERT INTO sessions (digest, portal, account, generation, method, connection, browser, kept, started, seen, idle, absolute, id_token, id, proved, network, agent, country)
			VALUES ($1, $2, $3, 1, 'password', '', $1, FALSE, $4, $4, $5, $5, $1, $6, 0, '', '', '')`, []any{[]byte(f.session), id, a.ID, now, later, f.session}},
		{`INSERT INTO factors (id, portal, account, kind, name, sealed, handle, step, created, confirmed, used) VALUES ($1, $2, $3, 'totp', '', $4, $4, 0, $5, $5, 0)`,
			[]any{f.factor, id, a.ID, []byte{}, now}},
		{`INSERT INTO recoveries (id, portal, account, asked, expires, decided, decider, allowed, finished, network, agent, country)
			VALUES ($1, $2, $3, $4, $5, 0, '', FALSE, 0, '', '', '')`, []any{f.recovery, id, a.ID, now, later}},
		{`INSERT INTO imports (id, portal, account, dry, state, sealed, lines, done, added, updated, skipped, failed, invite, code, created, finished, lease)
			VALUES ($1, $2, $3, TRUE, 'waiting', $4, 1, 0, 1, 0, 0, 0, FALSE, '', $5, 0, 0)`, []any{f.imported, id, a.ID, []byte{}, now}},
		{`INSERT INTO apps (portal, id, name, kind) VALUES ($1, $2, 'Mine', 'app') ON CONFLICT DO NOTHING`, []any{id, f.app}},
		{`INSERT INTO activations (id, portal, account, app, device, generation, created, used, removed) VALUES ($1, $2, $3, $4, 'desk', 1, $5, 0, 0)`,
			[]any{f.activation, id, a.ID, f.app, now}},
		{`INSERT INTO plans (portal, id, name, kind, features, seats, messages, cap, months, place) VALUES ($1, $2, 'Mine', 'professional', '', 0, 0, 100, 0, 9) ON CONFLICT DO NOTHING`,
			[]any{id, f.plan}},
		{`INSERT INTO moves (id, portal, domain, before_connection, before_password, before_jit, settings, after_connection,
			after_password, after_jit, account, moved, undo_until, undone)
			VALUES ($1, $2, $3, $4, FALSE, FALSE, $7, '', TRUE, FALSE, $6, $5, $8, 0)`, []any{f.move, id, domain, connection, now, a.ID, []byte{}, later}},
	} {
		if _, err := w.home(at).DB.ExecContext(t.Context(), q.text, q.args...); err != nil {
			t.Fatalf("%s: %v", q.text, err)
		}
	}
	return f
}

// A swap is a request that names something of somebody else's.
type swap struct {
	what   string
	form   func(f belongings) url.Values // of a GET: the query
	status int
	code   string // of the row of the log; empty: a choice that the form does not have, which is bad input
}

// action is that of the row of the log.
func (s swap) action() string {
	if strings.HasPrefix(s.code, "alias_") {
		return "alias.refused"
	}
	return "access.refused"
}

// paths are the variables of paths: what of somebody else's is put there.
var paths = map[string]func(f belongings) string{
	"{account}": func(f belongings) string { return f.account }, "{import}": func(f belongings) string { return f.imported },
	"{domain}": func(f belongings) string { return f.domain }, "{connection}": func(f belongings) string { return f.connection },
	// No portal has kinds of mail or languages of its own: what no portal has.
	"{kind}": func(f belongings) string { return "kind-of-" + strings.Trim(f.account, "0123456789") }, "{language}": func(belongings) string { return "xx" },
}

// swaps are what each route takes in its form or query that names something. The
// routes without a line here take no such thing.
var swaps = map[string][]swap{
	"POST /account/security/remove": {
		{"factor", func(f belongings) url.Values { return url.Values{"factor": {f.factor}, "sure": {"yes"}} }, 404, "factor_unknown"},
		{"factor", func(f belongings) url.Values { return url.Values{"factor": {f.factor}} }, 404, "factor_unknown"},
	},
	"POST /account/sessions/end":            {{"session", func(f belongings) url.Values { return url.Values{"session": {f.session}} }, 404, "session_unknown"}},
	"POST /account/apps/remove":             {{"activation", func(f belongings) url.Values { return url.Values{"activation": {f.activation}} }, 404, "activation_unknown"}},
	"POST /account/apps/restore":            {{"activation", func(f belongings) url.Values { return url.Values{"activation": {f.activation}} }, 404, "activation_unknown"}},
	"POST /account/apps/activate":           {{"app", func(f belongings) url.Values { return url.Values{"app": {f.app}, "device": {"desk"}} }, 400, ""}},
	"POST /account/addresses/promote":       {{"address", func(f belongings) url.Values { return url.Values{"address": {f.address}} }, 404, "alias_unknown"}},
	"POST /account/addresses/remove":        {{"address", func(f belongings) url.Values { return url.Values{"address": {f.address}} }, 404, "alias_unknown"}},
	"POST /account/addresses/resend":        {{"address", func(f belongings) url.Values { return url.Values{"address": {f.address}} }, 404, "alias_unknown"}},
	"POST /admin/recoveries":                {{"recovery", func(f belongings) url.Values { return url.Values{"recovery": {f.recovery}, "decision": {"allow"}} }, 404, "account_unknown"}},
	"POST /admin/connections/undo":          {{"move", func(f belongings) url.Values { return url.Values{"move": {f.move}} }, 404, "move_unknown"}},
	"POST /admin/connections/{domain}/move": {{"connection", func(f belongings) url.Values { return url.Values{"to": {f.connection}, "version": {"x"}} }, 400, ""}},
	"POST /admin/users/{account}/licence":   {{"plan", func(f belongings) url.Values { return url.Values{"plan": {f.plan}} }, 400, ""}},
	"POST /admin/users/{account}/addresses": {{"address", func(f belongings) url.Values { return url.Values{"do": {"remove"}, "address": {f.address}} }, 404, "alias_unknown"}},
	"POST /admin/users/{account}/security":  {{"factor", func(f belongings) url.Values { return url.Values{"do": {"remove"}, "factor": {f.factor}} }, 404, "factor_unknown"}},
	"POST /admin/licences":                  {{"plan", func(f belongings) url.Values { return url.Values{"plan": {f.plan}, "may": {"yes"}} }, 400, ""}},
	"POST /admin/users/invite": {{"plan", func(f belongings) url.Values {
		return url.Values{"email": {"new@away.example"}, "role": {"member"}, "plan": {f.plan}}
	}, 400, ""}},
	"POST /admin/notifications": {{"sender", func(f belongings) url.Values {
		return url.Values{"version": {"1"}, "zone": {"UTC"}, "language": {"en"}, "sender": {f.address}}
	}, 400, ""}},
	"GET /admin/audit":            {{"account", func(f belongings) url.Values { return url.Values{"account": {f.account}} }, 404, "account_unknown"}},
	"GET /admin/audit/export.csv": {{"account", func(f belongings) url.Values { return url.Values{"account": {f.account}} }, 404, "account_unknown"}},
}

// ADM-01: what belongs to another portal, to another region or to nobody, put into
// every variable of every path, and into every field that names something: refused
// dully, on record in the portal that was asked, and nothing changed anywhere. What
// is one's neighbour's in the same portal is swapped where a page is about oneself.
func TestEverythingOfOthers(t *testing.T) {
	w := newWorld(t)
	here, there, abroad := w.staff(t, acme, portal.Owner), w.staff(t, beta), w.staff(t, gamma)
	owner := here.accounts[portal.Owner]
	foreign := map[string]belongings{
		"another portal": w.belongs(t, beta, there.target, "beta.example", "beta-saml"),
		"another region": w.belongs(t, gamma, abroad.target, "gamma.example", "gamma-oidc"),
		"nobody": {account: newID(), address: "nobody@office.example", session: newID(), factor: newID(), recovery: newID(), imported: newID(), move: newID(),
			activation: newID(), app: "no-app", plan: "no-plan", domain: "nobody.example", connection: "nobody-saml"},
	}
	mine := w.belongs(t, acme, here.target, "acme.example", "acme-saml")
	b := here.browsers[portal.Owner]
	b.signInPassword(acme, owner.Primary.Clear(), password)

	tries := 0
	try := func(t *testing.T, whose, route, path string, form url.Values, want swap) {
		t.Helper()
		tries++
		method, _, _ := strings.Cut(route, " ")
		if method == http.MethodGet && len(form) > 0 {
			path += "?" + form.Encode()
		}
		before, elsewhere, mark := w.rows(t, w.home(acme).DB), w.rows(t, w.home(gamma).DB), w.Log.Len()
		a := b.send(request{Method: method, URL: acme + path, Form: bodyOf(method, form), From: acme})
		if a.Status != want.status {
			t.Errorf("%s, %s of %s: got %d, want %d: %s", route, want.what, whose, a.Status, want.status, a.text())
			return
		}
		secured(t, a)
		if want.code != "" {
			if want.action() == "access.refused" && want.what != "factor" && want.what != "recovery" && want.what != "move" {
				dull(t, a) // the others are shown on the page of the form
			}
			if l := w.audited(t, acme, a, want.action(), want.code); l.Account != owner.ID && l.Actor != owner.ID {
				t.Errorf("%s, %s of %s: the log does not say who: %+v", route, want.what, whose, l)
			}
		}
		if a.session() != nil {
			t.Errorf("%s, %s of %s: a session", route, want.what, whose)
		}
		w.unchanged(t, w.home(acme).DB, before, spared...)
		w.unchanged(t, w.home(gamma).DB, elsewhere, spared...)
		w.quiet(t, mark, there.target.Primary.Clear(), abroad.target.Primary.Clear())
	}
	for _, route := range web.Routes() {
		t.Run(route, func(t *testing.T) {
			b.t = t
			for whose, f := range foreign {
				for variable, of := range paths {
					if !strings.Contains(route, variable) {
						continue
					}
					want := swap{what: variable, status: http.StatusNotFound}
					switch variable {
					case "{account}":
						want.code = "account_unknown"
					case "{import}":
						want.code = "import_unknown"
					case "{domain}":
						want.code = "domain_unknown"
					}
					_, path := pathOf(strings.ReplaceAll(route, variable, of(f)), mine.account)
					form := aims[route]
					if strings.Contains(route, "/import/{import}") {
						form = url.Values{"action": {"start"}, "invite": {"later"}}
					}
					if strings.HasSuffix(route, "/move") {
						form = url.Values{"to": {"password"}, "version": {"x"}}
					}
					if strings.HasPrefix(route, "GET ") {
						form = nil
					}
					try(t, whose, route, path, form, want)
				}
				for _, s := range swaps[route] {
					_, path := pathOf(route, mine.account)
					try(t, whose, route, path, s.form(f), s)
				}
			}
			if strings.HasPrefix(route, "POST /account/") {
				for _, s := range swaps[route] {
					if s.what != "app" {
						try(t, "a neighbour", route, strings.TrimPrefix(route, "POST "), s.form(mine), s)
					}
				}
			}
		})
	}
	for route := range swaps {
		if !slices.Contains(web.Routes(), route) {
			t.Errorf("%s is no route", route)
		}
	}
	if tries < 140 {
		t.Errorf("%d tries only", tries)
	}
}
