package attacks

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/web"
)

// gates say by hand who may pass each route of a portal, so that a permission
// that is changed in the code fails here. A route without a gate fails as well.
var gates = map[string]string{
	"everybody": `
		GET /login   POST /login   GET /login/method   GET /login/password   POST /login/password
		GET /login/recovery   POST /login/recovery   GET /login/passkey   POST /login/passkey
		GET /login/factor   POST /login/factor   POST /login/factor/sms   GET /login/enrol   POST /login/enrol
		GET /login/{connection}   GET /logout   POST /logout   POST /language
		GET /password/forgot   POST /password/forgot   GET /password/reset   POST /password/reset
		GET /password/change   POST /password/change   GET /invitation   POST /invitation
		GET /recovery   POST /recovery   GET /recovery/cancel   POST /recovery/cancel
		POST /saml/{connection}/acs   POST /saml/{connection}/confirm   GET /saml/{connection}/metadata
		GET /oidc/{connection}/callback`,

	"owner administrator helpdesk auditor member guest": `
		GET /   GET /account   GET /remember
		GET /account/profile   POST /account/profile   GET /account/activity
		GET /account/licence   POST /account/licence   GET /account/confirm   POST /account/confirm
		GET /account/password   POST /account/password
		GET /account/security   POST /account/security/remove   POST /account/security/distrust
		GET /account/security/totp   POST /account/security/totp   GET /account/security/sms   POST /account/security/sms
		GET /account/security/codes   POST /account/security/codes   GET /account/security/passkeys   POST /account/security/passkeys
		GET /account/addresses   POST /account/addresses   POST /account/addresses/resend   POST /account/addresses/promote
		POST /account/addresses/remove   GET /account/addresses/confirm   POST /account/addresses/confirm
		GET /account/addresses/merge   POST /account/addresses/merge
		GET /account/sessions   POST /account/sessions/end   POST /account/sessions/end-others   POST /account/sessions/end-all
		POST /account/apps/activate   POST /account/apps/remove   POST /account/apps/restore`,

	"owner administrator helpdesk auditor": `
		GET /admin   GET /admin/users   GET /admin/users/{account}   GET /admin/licences`,

	"owner administrator auditor": `
		GET /admin/users/export.csv   GET /admin/audit   GET /admin/audit/export.csv`,

	"owner administrator helpdesk": `
		GET /admin/users/invite   POST /admin/users/invite   POST /admin/users/{account}/invitation
		GET /admin/users/{account}/profile   POST /admin/users/{account}/profile   POST /admin/users/{account}/sessions
		GET /admin/users/{account}/addresses   POST /admin/users/{account}/addresses
		GET /admin/users/{account}/security   POST /admin/users/{account}/security
		GET /admin/recoveries   POST /admin/recoveries`,

	"owner administrator": `
		POST /admin/users/{account}/status   POST /admin/users/{account}/role
		GET /admin/users/{account}/licence   POST /admin/users/{account}/licence
		GET /admin/users/import   POST /admin/users/import   GET /admin/users/import/{import}   POST /admin/users/import/{import}
		GET /admin/users/import/{import}/report.csv
		POST /admin/licences   GET /admin/domains   POST /admin/domains   POST /admin/domains/remove
		GET /admin/notifications   POST /admin/notifications
		GET /admin/mails   GET /admin/mails/{kind}/{language}   POST /admin/mails/{kind}/{language}
		GET /admin/policy   POST /admin/policy
		GET /admin/connections   GET /admin/connections/{domain}/move   POST /admin/connections/{domain}/move   POST /admin/connections/undo`,
}

// aims are valid forms for what is done to somebody: with them nothing but the
// target stands in the way. "" is the one for a GET.
var aims = map[string]url.Values{
	"POST /admin/users/{account}/status":     {"status": {"disabled"}},
	"POST /admin/users/{account}/profile":    {"given_name": {"Mallory"}, "version": {"1"}},
	"POST /admin/users/{account}/role":       {"role": {"guest"}, "was": {"member"}},
	"POST /admin/users/{account}/sessions":   {},
	"POST /admin/users/{account}/addresses":  {"email": {"mallory@evil.example"}},
	"POST /admin/users/{account}/security":   {"do": {"distrust"}},
	"POST /admin/users/{account}/licence":    {"plan": {"pro"}, "mark": {strings.Repeat("0", 32)}},
	"POST /admin/users/{account}/invitation": {"action": {"resend"}},
}

// gateOf is who may pass a route: words of roles, or "everybody".
func gateOf(t testing.TB) map[string]string {
	t.Helper()
	of := map[string]string{}
	for who, text := range gates {
		words := strings.Fields(text)
		for i := 0; i+1 < len(words); i += 2 {
			line := words[i] + " " + words[i+1]
			if of[line] != "" {
				t.Errorf("%s has two gates", line)
			}
			of[line] = who
		}
	}
	for _, line := range web.Routes() {
		if of[line] == "" {
			t.Errorf("%s has no gate: say who may pass", line)
		}
	}
	for line := range of {
		if !slices.Contains(web.Routes(), line) {
			t.Errorf("%s is no route", line)
		}
	}
	return of
}

// A staff is people of every role in a portal, each in a browser of their own.
type staff struct {
	at       string
	accounts map[portal.Role]portal.Account
	browsers map[portal.Role]*browser
	target   portal.Account // a member, for others to reach for
}

func (w *world) staff(t *testing.T, at string, roles ...portal.Role) *staff {
	t.Helper()
	s := &staff{at: at, accounts: map[portal.Role]portal.Account{}, browsers: map[portal.Role]*browser{}}
	hire := func(name string, r portal.Role, secret portal.Secret) portal.Account {
		address := addressOf(name + "@office." + idOf(at) + ".test")
		_, err := w.store(at).DangerouslyCreateAccount(t.Context(), portal.Account{Portal: idOf(at), Primary: address, GivenName: "Robin", Role: r}, secret)
		if err != nil {
			t.Fatal(err)
		}
		a, ok, err := w.store(at).AccountByAddress(t.Context(), idOf(at), address)
		if err != nil || !ok {
			t.Fatalf("%s: %t, %v", name, ok, err)
		}
		return a
	}
	for _, r := range roles {
		s.accounts[r] = hire(string(r), r, password)
		s.browsers[r] = w.browser(t)
		if a := s.browsers[r].signInPassword(at, s.accounts[r].Primary.Clear(), password); a.session() == nil {
			t.Fatalf("%s cannot sign in: %s", r, a.text())
		}
	}
	s.target = hire("target", portal.Member, "")
	return s
}

// path fills in what a route is about.
func pathOf(route, account string) (method, path string) {
	method, path, _ = strings.Cut(route, " ")
	return method, strings.NewReplacer("{account}", account, "{connection}", "acme-saml", "{import}", strings.Repeat("0", 32),
		"{domain}", "acme.example", "{kind}", "invitation", "{language}", "en").Replace(path)
}

// spared are what a visit may write down though it changes nothing: sessions are
// used, sign-ins begin, and a form is tried.
var spared = []string{"sessions", "attempts", "federations", "challenges"}

// Every route, for everybody there is.
func TestEveryRouteForEveryRole(t *testing.T) {
	w := newWorld(t)
	gate := gateOf(t)
	here := w.staff(t, acme, portal.Roles()...)
	there := w.staff(t, beta, portal.Administrator)
	abroad := w.staff(t, gamma, portal.Administrator)
	routes := web.Routes()

	for _, role := range portal.Roles() {
		t.Run(string(role), func(t *testing.T) {
			b := here.browsers[role]
			b.t = t
			for _, route := range routes {
				allowed := gate[route] == "everybody" || slices.Contains(strings.Fields(gate[route]), string(role))
				method, path := pathOf(route, here.target.ID)
				if !allowed {
					// Forbidden whatever is in the form: also with one that would do.
					for _, form := range []url.Values{aims[route], {"nosuchfield": {"1"}}} {
						w.refusedRole(t, here, b, role, method, path, form)
					}
					continue
				}
				before := w.rows(t, w.home(acme).DB)
				a := b.send(request{Method: method, URL: acme + path, Form: bodyOf(method, url.Values{"nosuchfield": {"1"}}), From: acme})
				secured(t, a)
				if w.permissionMissing(t, a) || a.Status >= 500 && a.Status != http.StatusServiceUnavailable ||
					a.Status == http.StatusSeeOther && strings.HasPrefix(a.Header.Get("Location"), "/login") && gate[route] != "everybody" {
					t.Errorf("%s %s: %d to %q: %s", method, path, a.Status, a.Header.Get("Location"), a.text())
				}
				w.unchanged(t, w.home(acme).DB, before, spared...)
			}
			if b.signedIn(acme) == "" {
				t.Error("signed out on the way")
			}
		})
	}
	strangers := map[string]func(t *testing.T) *browser{
		"stranger": func(t *testing.T) *browser { return w.browser(t) },
		// SES-17: a session of elsewhere is none here.
		"administrator of another portal": func(t *testing.T) *browser {
			b := w.browser(t)
			b.plant(acme, web.SessionCookie, there.browsers[portal.Administrator].cookie(beta, web.SessionCookie))
			return b
		},
		"administrator of another region": func(t *testing.T) *browser {
			b := w.browser(t)
			b.plant(acme, web.SessionCookie, abroad.browsers[portal.Administrator].cookie(gamma, web.SessionCookie))
			return b
		},
	}
	for who, make := range strangers {
		t.Run(who, func(t *testing.T) {
			for _, route := range routes {
				if gate[route] == "everybody" {
					continue
				}
				b := make(t)
				method, path := pathOf(route, here.target.ID)
				before := w.rows(t, w.home(acme).DB)
				a := b.send(request{Method: method, URL: acme + path, Form: bodyOf(method, aims[route]), From: acme})
				secured(t, a)
				if a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), "/login") || a.session() != nil {
					t.Errorf("%s %s: %d to %q", method, path, a.Status, a.Header.Get("Location"))
				}
				w.unchanged(t, w.home(acme).DB, before, "attempts")
			}
		})
	}
}

func bodyOf(method string, form url.Values) url.Values {
	if method == http.MethodGet {
		return nil
	}
	if form == nil {
		form = url.Values{}
	}
	return form
}

// refusedRole holds a role that may not pass to what every refusal owes.
func (w *world) refusedRole(t *testing.T, s *staff, b *browser, role portal.Role, method, path string, form url.Values) {
	t.Helper()
	before := w.rows(t, w.home(s.at).DB)
	a := b.send(request{Method: method, URL: s.at + path, Form: bodyOf(method, form), From: s.at})
	if a.Status != http.StatusForbidden {
		t.Errorf("%s %s: got %d, want 403: %s", method, path, a.Status, a.text())
	}
	secured(t, a)
	dull(t, a)
	w.unchanged(t, w.home(s.at).DB, before, "sessions")
	if l := w.audited(t, s.at, a, "access.refused", "permission_missing"); l.Account != s.accounts[role].ID {
		t.Errorf("%s %s: the audit row is about %q", method, path, l.Account)
	}
	if strings.Contains(a.Body, s.target.Primary.Clear()) { // the ID is in the path that was asked for
		t.Errorf("%s %s: the refusal shows the target", method, path)
	}
}

// permissionMissing reports whether an answer was a refusal of the role.
func (w *world) permissionMissing(t *testing.T, a *answer) bool {
	t.Helper()
	return slices.ContainsFunc(w.events(t, acme, a), func(l portal.Link) bool { return l.Code == "permission_missing" })
}

// ADM-01: the ID of somebody of another portal, of another region, or of nobody,
// in every path that takes one, with a form that would do: a dull 404, a row in the
// log of the portal that was asked, and nothing changed anywhere.
func TestIDsOfOthers(t *testing.T) {
	w := newWorld(t)
	here := w.staff(t, acme, portal.Owner)
	foreign := map[string]string{
		"another portal": w.staff(t, beta).target.ID, "another region": w.staff(t, gamma).target.ID, "nobody": strings.Repeat("0", 32),
	}
	b := here.browsers[portal.Owner]
	for _, route := range web.Routes() {
		if !strings.Contains(route, "{account}") {
			continue
		}
		if _, known := aims[route]; !known && strings.HasPrefix(route, "POST ") {
			t.Errorf("%s: say what form would do", route)
		}
		for whose, id := range foreign {
			method, path := pathOf(route, id)
			before, elsewhere := w.rows(t, w.home(acme).DB), w.rows(t, w.home(gamma).DB)
			a := b.send(request{Method: method, URL: acme + path, Form: bodyOf(method, aims[route]), From: acme})
			if a.Status != http.StatusNotFound {
				t.Errorf("%s of %s: got %d: %s", route, whose, a.Status, a.text())
			}
			secured(t, a)
			dull(t, a)
			if l := w.audited(t, acme, a, "access.refused", "account_unknown"); l.Account != here.accounts[portal.Owner].ID && l.Actor != here.accounts[portal.Owner].ID {
				t.Errorf("%s of %s: the log does not say who: %+v", route, whose, l)
			}
			w.unchanged(t, w.home(acme).DB, before, "sessions")
			w.unchanged(t, w.home(gamma).DB, elsewhere, "sessions")
		}
	}
	// ADM-02, ADM-03: what a request says of its tenant changes nothing.
	for name, r := range map[string]request{
		"query":  {URL: acme + "/admin/users?portal=beta&tenant_id=beta"},
		"header": {URL: acme + "/admin/users", Header: http.Header{"X-Tenant-Id": {"beta"}, "X-Forwarded-Host": {hostOf(beta)}, "X-Original-Url": {"/"}}},
	} {
		if a := b.send(r); a.Status != http.StatusOK || strings.Contains(a.Body, "office.beta") || !strings.Contains(a.Body, "office.acme") {
			t.Errorf("%s: %d: %s", name, a.Status, a.text())
		}
	}
	for _, field := range []string{"portal", "tenant_id", "is_platform_admin", "verified", "jurisdiction", "generation", "status"} {
		_, path := pathOf("POST /admin/users/{account}/role", here.target.ID)
		a := b.post(acme+path, url.Values{"role": {"auditor"}, "was": {"member"}, field: {"beta"}})
		if a.Status != http.StatusBadRequest {
			t.Errorf("a form with %s: %d", field, a.Status)
		}
	}
}

// ADM-04, PWD-34: nobody gives more than they have, nor does anything to whoever may
// do more, nor to themselves, by any form of the console; and no form of it takes a
// password.
func TestADM04Above(t *testing.T) {
	w := newWorld(t)
	gate := gateOf(t)
	here := w.staff(t, acme, portal.Owner, portal.Administrator, portal.HelpDesk, portal.Auditor)
	second := w.staff(t, beta, portal.HelpDesk).accounts[portal.HelpDesk] // of another portal: not found
	for _, tt := range []struct {
		actor   portal.Role
		targets map[string]string // account ID → code
	}{
		{portal.Administrator, map[string]string{here.accounts[portal.Owner].ID: "manage_higher", here.accounts[portal.Administrator].ID: "manage_self"}},
		{portal.Owner, map[string]string{here.accounts[portal.Owner].ID: "manage_self", second.ID: "account_unknown"}},
		{portal.HelpDesk, map[string]string{here.accounts[portal.Owner].ID: "manage_higher", here.accounts[portal.Administrator].ID: "manage_higher",
			here.accounts[portal.Auditor].ID: "manage_higher", here.accounts[portal.HelpDesk].ID: "manage_self"}},
	} {
		for target, code := range tt.targets {
			for route, form := range aims {
				method, path := pathOf(route, target)
				want := refusal{Status: http.StatusForbidden, Action: "access.refused", Code: code}
				if code == "account_unknown" {
					want.Status = http.StatusNotFound
				}
				switch {
				case route == "POST /admin/users/{account}/invitation" && code != "account_unknown":
					continue // whoever has come has no invitation: a conflict
				case (strings.HasSuffix(route, "/addresses") || strings.HasSuffix(route, "/licence")) && code == "manage_self":
					continue // one's own addresses are one's own, and whoever gives licences may give themselves one
				case route == "POST /admin/users/{account}/addresses" && code != "account_unknown":
					want.Action = "alias.refused"
				case !slices.Contains(strings.Fields(gate[route]), string(tt.actor)):
					want.Code = "permission_missing"
				}
				before := w.rows(t, w.home(acme).DB)
				a := here.browsers[tt.actor].send(request{Method: method, URL: acme + path, Form: bodyOf(method, form), From: acme})
				if a.Status != want.Status {
					t.Errorf("%s, %s of %s: got %d, want %d: %s", tt.actor, route, code, a.Status, want.Status, a.text())
				}
				secured(t, a)
				w.audited(t, acme, a, want.Action, want.Code)
				w.unchanged(t, w.home(acme).DB, before, "sessions")
			}
		}
	}
	admin := here.browsers[portal.Administrator]
	for name, do := range map[string]func() *answer{
		"a member an owner": func() *answer {
			return admin.post(acme+"/admin/users/"+here.target.ID+"/role", url.Values{"role": {"owner"}, "was": {"member"}})
		},
		"a stranger an owner": func() *answer {
			return admin.post(invitePage, url.Values{"email": {"accomplice@away.example"}, "role": {"owner"}})
		},
	} {
		before := w.rows(t, w.home(acme).DB)
		a := do()
		if a.Status != http.StatusForbidden {
			t.Errorf("%s: %d", name, a.Status)
		}
		w.audited(t, acme, a, "access.refused", "grant_higher")
		w.unchanged(t, w.home(acme).DB, before, "sessions")
	}
	for route, form := range aims {
		for _, field := range []string{"password", "new", "temporary", "hash", "token"} {
			method, path := pathOf(route, here.target.ID)
			bad := url.Values{field: {"a password of mine"}}
			for name, v := range form {
				bad[name] = v
			}
			w.refused(t, acme, refusal{Status: http.StatusBadRequest}, func() *answer {
				return here.browsers[portal.Owner].send(request{Method: method, URL: acme + path, Form: bad, From: acme})
			})
		}
	}
}

// ADM-10, ADM-11: other verbs and other spellings of a path of the console find
// the same gate, or nothing.
func TestConsoleByOtherWays(t *testing.T) {
	w := newWorld(t)
	here := w.staff(t, acme, portal.Owner, portal.Member)
	id := here.target.ID
	for role, b := range here.browsers {
		before := w.rows(t, w.home(acme).DB)
		for _, path := range []string{"/admin/", "//admin", "/admin//users", "/%61dmin", "/admin%2fusers", "/admin/users/" + id + "/", "/admin/users/" + id + ";x",
			"/admin/users/" + id + "%2frole", "/admin/users/" + strings.ToUpper(id[:31]) + "A", "/admin/./users", "/admin/x/../users", "/ADMIN", "/admin/users/" + id + "/role/",
			"/admin/users/%2e%2e/audit", "/admin/users/..%2faudit", "/admin/users/" + id[:31], "/admin/users/" + id + "0"} {
			a := b.get(acme + path)
			secured(t, a)
			if a.Status != http.StatusNotFound && a.Status != http.StatusBadRequest {
				t.Errorf("%s: GET %s: %d", role, path, a.Status)
			}
		}
		for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodHead, "TRACE", "FOO"} {
			a := b.send(request{Method: method, URL: acme + "/admin/users/" + id + "/role", Form: aims["POST /admin/users/{account}/role"], From: acme})
			secured(t, a)
			if a.Status < 400 || a.Status >= 500 && a.Status != http.StatusNotImplemented {
				t.Errorf("%s: %s: %d", role, method, a.Status)
			}
		}
		for _, header := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
			a := b.send(request{URL: acme + "/admin/users/" + id + "/role?_method=POST&role=guest&was=member", Header: http.Header{header: {"POST"}}})
			if a.Status != http.StatusMethodNotAllowed {
				t.Errorf("%s: %s: %d", role, header, a.Status)
			}
		}
		w.unchanged(t, w.home(acme).DB, before, "sessions")
	}
}

// ADM-06, SES-15: whoever is disabled or demoted is so with the next request, with
// all that was open: the session, the half of a sign-in, the page of the console.
func TestDisabledWhileSignedIn(t *testing.T) {
	w := newWorld(t)
	here := w.staff(t, acme, portal.Owner, portal.Administrator, portal.HelpDesk)
	owner := here.browsers[portal.Owner]
	window := func(r portal.Role) string { return acme + "/admin/users/" + here.accounts[r].ID }
	half := w.browser(t)
	form := half.arrive(half.post(acme+"/login", url.Values{"email": {here.accounts[portal.Administrator].Primary.Clear()}}))

	owner.post(window(portal.Administrator)+"/status", url.Values{"status": {"disabled"}}).leads()
	owner.post(window(portal.HelpDesk)+"/role", url.Values{"role": {"member"}, "was": {"helpdesk"}}).leads()
	for _, r := range []portal.Role{portal.Administrator, portal.HelpDesk} {
		b := here.browsers[r]
		before := w.rows(t, w.home(acme).DB)
		a := b.post(acme+"/admin/users/"+here.target.ID+"/sessions", nil)
		if a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/login" || b.signedIn(acme) != "" {
			t.Errorf("%s goes on: %d to %q", r, a.Status, a.Header.Get("Location"))
		}
		w.unchanged(t, w.home(acme).DB, before, "attempts")
	}
	a := half.post(acme+"/login/password", url.Values{"attempt": {form.page().Attr("input[name=attempt]", "value")}, "password": {password}})
	if a.session() != nil || a.Status != http.StatusForbidden {
		t.Errorf("half a sign-in goes on: %d", a.Status)
	}
}

// ADM-08: over the console, too, one owner remains.
func TestOwnersDemoteEachOther(t *testing.T) {
	w := newWorld(t)
	here := w.staff(t, acme, portal.Owner, portal.Administrator)
	one, two := here.accounts[portal.Owner], here.accounts[portal.Administrator]
	if _, err := w.store(acme).SetRole(t.Context(), "acme", portal.Visitor{}, portal.RoleChange{Account: two.ID, To: portal.Owner}); err != nil {
		t.Fatal(err)
	}
	browsers := []*browser{here.browsers[portal.Owner], w.browser(t)}
	browsers[1].signInPassword(acme, two.Primary.Clear(), password)
	targets := []portal.Account{two, one}
	done := make(chan string, 2)
	for i, b := range browsers {
		go func() {
			a, _, err := b.exchange(request{Method: http.MethodPost, URL: acme + "/admin/users/" + targets[i].ID + "/role",
				Form: url.Values{"role": {"member"}, "was": {"owner"}}, From: acme})
			if err != nil {
				done <- err.Error()
				return
			}
			done <- fmt.Sprint(a.Status)
		}()
	}
	first, second := <-done, <-done
	if n := w.count(t, acme, "accounts WHERE portal = 'acme' AND role = 'owner' AND status = 'active'"); n != 1 {
		t.Errorf("%d owners remain after %s and %s", n, first, second)
	}
}
