package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/discovery/page/pagetest"
	"github.com/domicile-sso/domicile/portal"
)

// S13: disabled and enabled again, and nothing is lost.
func TestDisableAndEnable(t *testing.T) {
	w := newWorld(t)
	people := w.office("initech")
	owner := w.at(initech, people[portal.Owner])
	member := w.at(initech, people[portal.Member])
	window := userPath(people[portal.Member].ID)

	a := owner.get(window)
	a.want(t, 200, "Member Example")
	if a.page.Text("#status") != "Active" || a.page.Text("#billed") != "Counted" || !strings.Contains(a.page.Text("#switch"), "Nothing is deleted") {
		t.Errorf("window: %s", a.page.Text("main"))
	}
	a = owner.follow(owner.post(window+"/status", url.Values{"status": {"disabled"}}))
	if a.page.Text("#status") != "Disabled" || !strings.HasPrefix(a.page.Text("#billed"), "Not counted") || !a.page.Has(".notice.good") {
		t.Errorf("disabled: %s", a.page.Text("main"))
	}
	if member.signedIn() { // ADM-06
		t.Error("a disabled person is signed in")
	}
	if e := w.last("initech", "account.disabled"); e.Account != people[portal.Member].ID || e.Actor != people[portal.Owner].ID {
		t.Errorf("audit: %+v", e)
	}
	if member.signIn("member@initech.example", goodPassword); member.signedIn() {
		t.Error("a disabled person signs in")
	}
	if a = owner.follow(owner.post(window+"/status", url.Values{"status": {"disabled"}})); !strings.Contains(a.page.Text(".notice"), "Nothing was changed") {
		t.Errorf("twice: %s", a.page.Text(".notice"))
	}
	a = owner.follow(owner.post(window+"/status", url.Values{"status": {"active"}}))
	if a.page.Text("#status") != "Active" {
		t.Errorf("enabled: %s", a.page.Text("#status"))
	}
	if member.signIn("member@initech.example", goodPassword); !member.signedIn() {
		t.Error("an enabled person cannot sign in")
	}
}

// ADM-04: nobody changes themselves, somebody above them, or gives more than
// they have.
func TestNobodyReachesAboveThemselves(t *testing.T) {
	w := newWorld(t)
	people := w.office("initech")
	second := w.hire("initech", "second@initech.example", portal.HelpDesk)
	for _, tc := range []struct {
		actor, target portal.Account
		path          string
		form          url.Values
		code          string
	}{
		{people[portal.Administrator], people[portal.Owner], "/status", url.Values{"status": {"disabled"}}, "manage_higher"},
		{people[portal.Administrator], people[portal.Owner], "/role", url.Values{"role": {"member"}, "was": {"owner"}}, "manage_higher"},
		{people[portal.Administrator], people[portal.Owner], "/sessions", nil, "manage_higher"},
		{people[portal.Administrator], people[portal.Member], "/role", url.Values{"role": {"owner"}, "was": {"member"}}, "grant_higher"},
		{people[portal.Administrator], people[portal.Administrator], "/role", url.Values{"role": {"owner"}, "was": {"administrator"}}, "manage_self"},
		{people[portal.Administrator], people[portal.Administrator], "/status", url.Values{"status": {"disabled"}}, "manage_self"},
		{people[portal.Owner], people[portal.Owner], "/role", url.Values{"role": {"member"}, "was": {"owner"}}, "manage_self"},
		{people[portal.HelpDesk], people[portal.Administrator], "/sessions", nil, "manage_higher"},
		{people[portal.HelpDesk], second, "/sessions", nil, "manage_higher"},
		{people[portal.HelpDesk], people[portal.Auditor], "/sessions", nil, "manage_higher"},
		{people[portal.HelpDesk], people[portal.Auditor], "/security", url.Values{"do": {"distrust"}}, "manage_higher"},
		{people[portal.HelpDesk], people[portal.Member], "/status", url.Values{"status": {"disabled"}}, "permission_missing"},
		{people[portal.HelpDesk], people[portal.Member], "/role", url.Values{"role": {"helpdesk"}, "was": {"member"}}, "permission_missing"},
		{people[portal.Auditor], people[portal.Member], "/sessions", nil, "permission_missing"},
		{people[portal.Member], people[portal.Guest], "/status", url.Values{"status": {"disabled"}}, "permission_missing"},
	} {
		before := w.known("initech", tc.target.Primary.Clear())
		b := w.at(initech, tc.actor)
		a := b.post(userPath(tc.target.ID)+tc.path, tc.form)
		after := w.known("initech", tc.target.Primary.Clear())
		if a.StatusCode != http.StatusForbidden || before.Role != after.Role || before.Status != after.Status || before.Generation != after.Generation {
			t.Errorf("%s %s of %s: %d, %+v", tc.actor.Role, tc.path, tc.target.Role, a.StatusCode, after)
		}
		if e := w.last("initech", "access.refused"); e.Account != tc.actor.ID || e.Code != tc.code || e.Reference == "" {
			t.Errorf("%s %s of %s: audit %+v, want %s", tc.actor.Role, tc.path, tc.target.Role, e, tc.code)
		}
	}
	// What may not be done is not offered.
	a := w.at(initech, people[portal.Administrator]).get(userPath(people[portal.Owner].ID))
	if a.page.Has("#switch") || a.page.Has("#roles") || a.page.Has("#sections") || !strings.Contains(a.page.Text(".notice"), "An owner can do that") {
		t.Errorf("an administrator is offered: %s", a.page.Text("main"))
	}
	a = w.at(initech, people[portal.Administrator]).get(userPath(people[portal.Member].ID))
	if a.page.Has("option[value=owner]") || !a.page.Has("option[value=administrator]") {
		t.Error("roles that are offered")
	}
}

// S34, SES-15, ADM-15
func TestRoleIsChanged(t *testing.T) {
	w := newWorld(t)
	people := w.office("initech")
	owner, admin := w.at(initech, people[portal.Owner]), w.at(initech, people[portal.Administrator])
	target := people[portal.Member]
	member := w.at(initech, target)
	window := userPath(target.ID)

	stale := admin.get(window)
	a := owner.post(window+"/role", owner.get(window).form("#roles form", url.Values{"role": {"auditor"}}))
	if a = owner.follow(a); a.page.Text("#has-role") != "Auditor" {
		t.Fatalf("role: %s, %s", a.page.Text("#has-role"), a.page.Text(".summary"))
	}
	if member.signedIn() {
		t.Error("a session outlives its rights")
	}
	if e := w.last("initech", "role.changed"); e.Account != target.ID || e.Actor != people[portal.Owner].ID || e.Target != "member → auditor" {
		t.Errorf("audit: %+v", e)
	}
	a = admin.post(window+"/role", stale.form("#roles form", url.Values{"role": {"helpdesk"}}))
	if a.StatusCode != http.StatusConflict || a.page.Text(".compare tbody tr") != "Role Auditor Help desk" || w.known("initech", target.Primary.Clear()).Role != portal.Auditor {
		t.Errorf("stale: %d %s", a.StatusCode, a.page.Text(".compare"))
	}
	// Having seen both, one saves again.
	if a = admin.follow(admin.post(window+"/role", a.form("#roles form", nil))); a.page.Text("#has-role") != "Help desk" {
		t.Errorf("saved again: %s", a.page.Text("#has-role"))
	}
	for _, form := range []url.Values{{"role": {"root"}, "was": {"helpdesk"}}, {"role": {"member"}}, {"role": {"member"}, "was": {"helpdesk"}, "portal": {"acme"}}} { // ADM-03
		if a := owner.post(window+"/role", form); a.StatusCode != http.StatusBadRequest {
			t.Errorf("%v: %d", form, a.StatusCode)
		}
	}
}

// form is what a browser would send of one form of a page, with changes.
func (a answer) form(selector string, set url.Values) url.Values {
	form := url.Values{}
	for _, in := range a.page.All(selector + " input") {
		form.Set(pagetest.Attr(in, "name"), pagetest.Attr(in, "value"))
	}
	for _, sel := range a.page.All(selector + " select") {
		name := pagetest.Attr(sel, "name")
		form.Set(name, a.page.Attr("#"+name+" option[selected]", "value"))
	}
	for name, v := range set {
		form[name] = v
	}
	return form
}

// S32, ADM-15
func TestAdministratorEditsAProfile(t *testing.T) {
	w := newWorld(t)
	people := w.office("initech")
	owner, desk := w.at(initech, people[portal.Owner]), w.at(initech, people[portal.HelpDesk])
	path := userPath(people[portal.Member].ID) + "/profile"
	stale := desk.get(path)
	a := owner.follow(owner.post(path, owner.get(path).form("main form", url.Values{"family_name": {"Müller"}, "zone": {"Europe/Zurich"}})))
	if a.page.Text("h1") != "Member Müller" || !a.page.Has(".notice.good") {
		t.Errorf("saved: %s %s", a.page.Text("h1"), a.page.Text(".summary"))
	}
	if e := w.last("initech", "profile.changed"); e.Account != people[portal.Member].ID || e.Actor != people[portal.Owner].ID {
		t.Errorf("audit: %+v", e)
	}
	a = desk.post(path, stale.form("main form", url.Values{"family_name": {"Meier"}}))
	if a.StatusCode != http.StatusConflict || !strings.Contains(a.page.Text(".compare"), "Müller") || !strings.Contains(a.page.Text(".compare"), "Meier") {
		t.Errorf("stale: %d %s", a.StatusCode, a.page.Text(".compare"))
	}
	if a = desk.follow(desk.post(path, a.form("main form", nil))); a.page.Text("h1") != "Member Meier" {
		t.Errorf("saved again: %s", a.page.Text("h1"))
	}
	for _, target := range []portal.Role{portal.Owner, portal.Administrator, portal.HelpDesk} {
		desk.get(userPath(people[target].ID)+"/profile").want(t, 403, "")
		if a := desk.post(userPath(people[target].ID)+"/profile", stale.form("main form", nil)); a.StatusCode != 403 {
			t.Errorf("help desk edits %s: %d", target, a.StatusCode)
		}
	}
}

func TestSessionsOfSomebodyAreEnded(t *testing.T) {
	w := newWorld(t)
	people := w.office("initech")
	desk, member := w.at(initech, people[portal.HelpDesk]), w.at(initech, people[portal.Member])
	window := userPath(people[portal.Member].ID)
	if n := len(desk.get(window).page.All("#sessions tbody tr")); n != 1 {
		t.Errorf("%d sessions", n)
	}
	a := desk.follow(desk.post(window+"/sessions", nil))
	if member.signedIn() || a.page.Has("#sessions table") || !a.page.Has(".notice.good") {
		t.Errorf("sessions: %s", a.page.Text("#sessions"))
	}
}

func TestAuditLogIsRead(t *testing.T) {
	w := newWorld(t)
	people := w.office("initech")
	owner := w.at(initech, people[portal.Owner])
	target := people[portal.Member]
	owner.post(userPath(target.ID)+"/role", url.Values{"role": {"auditor"}, "was": {"member"}})
	auditor := w.at(initech, people[portal.Auditor])
	refused := w.at(initech, people[portal.Guest]).get("/admin")
	refused.want(t, 403, "This was not accepted")
	if said := refused.page.Text("main"); !strings.Contains(said, "ask an administrator") || !refused.page.Has("header form[action=/logout]") {
		t.Errorf("a guest is told %q, or finds no way out", said)
	}
	reference := strings.ToLower(strings.ReplaceAll(refused.page.Text(".reference code"), "-", " "))

	count := func(query string) int {
		t.Helper()
		a := auditor.get("/admin/audit?" + query)
		a.want(t, 200, "Audit log")
		return len(a.page.All("#events tbody tr"))
	}
	row := auditor.get("/admin/audit?group=accounts&person=" + url.QueryEscape("member ex")).page.Text("#events tbody tr")
	for _, want := range []string{"Role changed", "Member Example", "Owner Example", "Member → Auditor"} {
		if !strings.Contains(row, want) {
			t.Errorf("%q is not in %s", want, row)
		}
	}
	for query, want := range map[string]int{
		"group=accounts&account=" + target.ID:                  2, // made, and changed
		"account=" + people[portal.Owner].ID:                   3, // made, signed in, changed somebody's role
		"code=permission_missing":                              1,
		"reference=" + url.QueryEscape(reference):              1,
		"from=" + w.clock().UTC().Format("2006-01-02"):         50,
		"until=2020-01-01":                                     0,
		"group=data":                                           0,
		"person=owner%40initech.example&code=permission_x":     0,
		"group=access&code=permission_missing&person=guest":    1,
		"group=access&code=permission_missing&person=auditor+": 0,
	} {
		got := count(query)
		if want == 50 && got > 5 {
			continue
		}
		if got != want {
			t.Errorf("%s: %d rows, want %d", query, got, want)
		}
	}
	a := auditor.get("/admin/audit?person=example")
	if n := len(a.page.All("#choices a")); n != 6 || a.page.Has("#events") {
		t.Errorf("%d people to choose from", n)
	}
	if one := auditor.get(a.page.Attr("#choices a", "href")); !one.page.Has("#who") || !one.page.Has("#events") {
		t.Error("the choice leads nowhere")
	}
	for _, bad := range []string{"person=nobody", "group=x", "from=yesterday", "from=2026-02-02&until=2026-02-01"} {
		if a := auditor.get("/admin/audit?" + bad); a.StatusCode != 400 || !a.page.Has(".summary") {
			t.Errorf("%s: %d", bad, a.StatusCode)
		}
	}
	auditor.get("/admin/audit?account="+strings.Repeat("0", 32)).want(t, 404, "")
	export := auditor.get("/admin/audit/export.csv?group=accounts&account=" + target.ID)
	if n := strings.Count(export.body, "\r\n"); export.StatusCode != 200 || n != 3 || !strings.Contains(export.body, `"role.changed","Role changed"`) {
		t.Errorf("export: %d, %d lines", export.StatusCode, n)
	}
	if e := w.last("initech", "audit.exported"); e.Account != people[portal.Auditor].ID || e.Target != "account group" {
		t.Errorf("audit: %+v", e)
	}
}

func TestAuditLogIsPagedBothWays(t *testing.T) {
	w := newWorld(t)
	owner := w.at(initech, w.hire("initech", "owner@initech.example", portal.Owner))
	for range 120 {
		if err := w.store.Audit(t.Context(), portal.Event{Portal: "initech", Action: "settings.changed"}); err != nil {
			t.Fatal(err)
		}
	}
	a := owner.get("/admin/audit?group=settings")
	pages := []string{}
	for {
		pages = append(pages, a.page.Text("#events"))
		if !a.page.Has("a[rel=next]") {
			break
		}
		a = owner.get(a.page.Attr("a[rel=next]", "href"))
	}
	if len(pages) != 3 || len(a.page.All("#events tbody tr")) != 21 {
		t.Fatalf("%d pages, %d rows on the last", len(pages), len(a.page.All("#events tbody tr")))
	}
	for i := len(pages) - 2; i >= 0; i-- {
		a = owner.get(a.page.Attr("a[rel=prev]", "href"))
		if a.page.Text("#events") != pages[i] {
			t.Errorf("page %d is another one on the way back", i)
		}
	}
	if a.page.Has("a[rel=prev]") {
		t.Error("something is newer than the newest")
	}
}
