package web

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

func connectionsSamples() map[string]any {
	at := moment{"21 November 2026, 14:05", "2026-11-21T14:05:00Z"}
	tabs := []tab{{Name: "Sign-in connections", Path: "/admin/connections", Current: true}}
	p := connectionsPage{Tabs: tabs, Notice: "The domain is moved.",
		Domains: []domainRow{
			{Name: "acme.example", Way: "Acme sign-in (SAML)", End: at, EndBadge: "12 days left", People: "312", Last: at, Move: movePath("acme.example")},
			{Name: "*.acme.example", Way: "A password of this portal", Told: "Under way: 250 of 4000 people", Move: movePath("*.acme.example")},
		},
		Moves: []moveRow{
			{ID: "m2", Domain: "acme.example", Before: "Acme sign-in (SAML)", After: "A password of this portal", Moved: at, Until: at, Undo: true},
			{ID: "m1", Domain: "acme.example", Before: "A password of this portal", After: "Acme sign-in (SAML)", Moved: at, Until: at, Why: "The domain was moved again after that."},
			{ID: "m0", Domain: "acme.example", Before: "A password of this portal", After: "Acme sign-in (SAML)", Moved: at, Until: at, Undone: at},
		}}
	wrong := p
	wrong.Problems = []page.Problem{{Say: "The operator has changed the connection."}}
	return map[string]any{"all": p, "refused": wrong, "none": connectionsPage{Tabs: tabs}}
}

func moveSamples() map[string]any {
	choose := movePage{Domain: "acme.example", Now: "Acme sign-in (SAML)", JIT: true, Choices: []moveChoice{
		{Value: "acme-saml", ID: "to-acme-saml", Name: "Acme sign-in", Detail: "SAML · certificate: 12 days left", Chosen: true},
		{Value: "password", ID: "to-password", Name: "A password of this portal", Detail: "No organisation’s own sign-in is asked any more."},
	}}
	preview := choose
	preview.Then, preview.To, preview.Version, preview.Total, preview.Mailed, preview.UndoDays = "A password of this portal", "password", "acme-saml+jit", 120, 3, 14
	preview.Sure, preview.Warnings, preview.ChooseElse = true, []string{"This concerns you."}, movePath("acme.example")
	preview.Classes = []moveClassRow{{Name: "Without a way in", Says: "They have no password.", Count: 3, Path: "/admin/connections/acme.example/move?to=password&class=mailed", Current: true}}
	preview.Listed = "Without a way in"
	preview.People = []movedRow{{Name: "Ada Lovelace", Address: "ada@acme.example", Class: "Without a way in"}, {Address: "b@acme.example", Primary: "b@elsewhere.example", Class: "Primary address elsewhere"}}
	preview.Pages = []tab{{Name: "1", Path: "/x", Current: true}, {Name: "2", Path: "/y"}}
	unsure := preview
	unsure.SureError = "Tick this box if you want to move the domain all the same."
	unsure.Problems = []page.Problem{{Field: "sure", Say: unsure.SureError}}
	return map[string]any{"choose": choose, "preview": preview, "unsure": unsure}
}

// promote makes somebody an administrator, as an operator would.
func (w *world) promote(portalID, who string, role portal.Role) {
	w.t.Helper()
	if _, err := w.db.Exec(`UPDATE accounts SET role = $1 WHERE id IN (SELECT account FROM addresses WHERE portal = $2 AND address = $3)`, string(role), portalID, who); err != nil {
		w.t.Fatal(err)
	}
}

// S16: Umbrella moves from its own sign-in beside passwords to passwords alone, and
// back by undoing.
func TestMoveADomain(t *testing.T) {
	w := newFederatedWorld(t)
	w.promote("umbrella", "uma@umbrella.example", portal.Administrator)
	b := w.browser(umbrella)
	a := b.follow(b.submit(b.get("/login"), url.Values{"email": {"uma@umbrella.example"}}))
	handle := a.page.Attr("input[name=attempt]", "value")
	if handle == "" {
		u, err := url.Parse(a.page.Attr("a.choice", "href"))
		if err != nil {
			t.Fatal(err)
		}
		handle = u.Query().Get("attempt")
	}
	b.follow(b.post("/login/password", url.Values{"attempt": {handle}, "password": {goodPassword}}))
	if !b.signedIn() {
		t.Fatal("not signed in")
	}

	a = b.get("/admin/connections")
	a.want(t, 200, "Sign-in connections")
	if row := a.rows("table.list tbody tr"); len(row) != 1 || !strings.Contains(row[0], "The umbrella provider (SAML), or a password of this portal") {
		t.Errorf("domains: %q", row)
	}
	path := a.page.Attr("table.list a", "href")
	a = b.get(path)
	a.want(t, 200, "Move umbrella.example")
	if a.page.Attr("input[name=to][checked]", "value") != "umbrella-saml" || !a.page.Has("#beside[checked]") {
		t.Error("what holds now is not chosen")
	}

	// Looking changes nothing, and hides nothing.
	a = b.get(path + "?to=password")
	if got := a.page.Text("#then"); got != "A password of this portal" || !strings.Contains(a.page.Text("table.list tbody"), "With their password 1") {
		t.Errorf("preview: %s, %s", got, a.page.Text("table.list tbody"))
	}
	if people := a.rows("#people tbody tr"); len(people) != 1 || !strings.Contains(people[0], "uma@umbrella.example") {
		t.Errorf("people: %q", people)
	}
	// Away from what one can sign in by, only knowingly: nobody came by this one.
	lone := b.get(path + "?to=umbrella-saml")
	if !lone.page.Has("#sure") || !strings.Contains(lone.page.Text(".notice.bad"), "Nobody has ever signed in") {
		t.Errorf("no warning: %s", lone.page.Text("main"))
	}
	version := lone.page.Attr("input[name=version]", "value")
	unsure := b.post(path, url.Values{"to": {"umbrella-saml"}, "version": {version}})
	unsure.want(t, 400, "Move umbrella.example")
	if !unsure.page.Has("#sure[aria-invalid]") {
		t.Error("the box is not named")
	}

	for name, tt := range map[string]struct {
		form   url.Values
		status int
	}{
		"nothing chosen":       {url.Values{"version": {version}}, 400},
		"no version":           {url.Values{"to": {"password"}}, 400},
		"of another portal":    {url.Values{"to": {"acme-saml"}, "version": {version}}, 400},
		"where it is":          {url.Values{"to": {"umbrella-saml"}, "beside": {"yes"}, "jit": {"yes"}, "version": {version}}, 400},
		"a field nobody knows": {url.Values{"to": {"password"}, "version": {version}, "portal": {"acme"}}, 400},
		"seen by nobody":       {url.Values{"to": {"password"}, "version": {"password"}}, 409},
	} {
		a := b.post(path, tt.form)
		if a.StatusCode != tt.status {
			t.Errorf("%s: %d", name, a.StatusCode)
		}
		if tt.status == 409 && !a.page.Has("table.compare") {
			t.Errorf("%s: what holds now is not beside what was chosen", name)
		}
	}
	for _, bad := range []string{"/admin/connections/acme.example/move", "/admin/connections/nowhere.example/move"} {
		if got := b.get(bad).StatusCode; got != 404 {
			t.Errorf("%s: %d", bad, got)
		}
	}
	for _, bad := range []string{"/admin/connections/UMBRELLA.example/move", "/admin/connections/umbrella%2eexample/move", "/admin/connections/umbrella/move", "/admin/connections/../move", "/admin/connections/%2A.umbrella.example/move"} {
		if got := b.get(bad).StatusCode; got != 404 {
			t.Errorf("%s: %d", bad, got)
		}
	}
	if got := b.get(path + "?to=password&class=nonsense").StatusCode; got != 400 {
		t.Errorf("class: %d", got)
	}
	if got := b.get(path + "?to=password&page=0").StatusCode; got != 400 {
		t.Errorf("page: %d", got)
	}

	a = b.follow(b.post(path, url.Values{"to": {"password"}, "version": {version}}))
	a.want(t, 200, "Sign-in connections")
	if !strings.Contains(a.page.Text(".notice"), "The domain is moved") || !strings.Contains(a.page.Text("table.list tbody"), "A password of this portal") || !b.signedIn() {
		t.Errorf("after the move: %s", a.page.Text("main"))
	}
	id := a.page.Attr("input[name=move]", "value")
	a = b.follow(b.post("/admin/connections/undo", url.Values{"move": {id}}))
	if !strings.Contains(a.page.Text(".notice"), "undone") || !strings.Contains(a.page.Text("table.list tbody"), "The umbrella provider") {
		t.Errorf("after undoing: %s", a.page.Text("main"))
	}
	b.post("/admin/connections/undo", url.Values{"move": {id}}).want(t, 409, "Sign-in connections")
	if got := b.post("/admin/connections/undo", url.Values{"move": {strings.Repeat("0", 32)}}).StatusCode; got != 404 {
		t.Errorf("a move of nobody: %d", got)
	}
	for _, code := range []string{"domain_unknown", "stale_version", "move_undone", "move_unknown"} {
		if !slices.Contains(w.codes("umbrella"), code) {
			t.Errorf("%s is not in the audit log: %v", code, w.codes("umbrella"))
		}
	}
	// S34: who may not.
	for _, role := range []portal.Role{portal.Member, portal.HelpDesk, portal.Auditor} {
		w.promote("umbrella", "uma@umbrella.example", role)
		if got := b.get("/admin/connections").StatusCode; got != 403 {
			t.Errorf("%s: %d", role, got)
		}
		if got := b.post(path, url.Values{"to": {"password"}, "version": {version}}).StatusCode; got != 403 {
			t.Errorf("%s moves: %d", role, got)
		}
	}
}
