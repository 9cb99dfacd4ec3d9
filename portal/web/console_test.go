package web

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/discovery/page/pagetest"
	"github.com/domicile-sso/domicile/portal"
)

// office makes people of every role in a portal with passwords, by role.
func (w *world) office(portalID string) map[portal.Role]portal.Account {
	w.t.Helper()
	people := map[portal.Role]portal.Account{}
	for _, r := range portal.Roles() {
		people[r] = w.hire(portalID, string(r)+"@"+portalID+".example", r)
	}
	return people
}

func (w *world) hire(portalID, who string, r portal.Role) portal.Account {
	w.t.Helper()
	name := strings.ToUpper(who[:1]) + who[1:strings.Index(who, "@")]
	if _, err := w.store.DangerouslyCreateAccount(w.t.Context(), portal.Account{Portal: portalID, Primary: address(w.t, who),
		GivenName: name, FamilyName: "Example", Role: r}, goodPassword); err != nil {
		w.t.Fatal(err)
	}
	return w.known(portalID, who)
}

// at is a browser in which somebody of the office has just signed in.
func (w *world) at(host string, a portal.Account) *browser {
	w.t.Helper()
	return w.fresh(host, a.Primary.Clear())
}

// last is the newest row of the audit log with an action.
func (w *world) last(portalID, action string) portal.Event {
	w.t.Helper()
	links, err := w.store.Events(w.t.Context(), portalID, portal.EventFilter{Action: action, Newest: true, Limit: 1})
	if err != nil {
		w.t.Fatal(err)
	}
	if len(links) == 0 {
		return portal.Event{}
	}
	return links[0].Event
}

func TestConsoleShowsWhatARoleMaySee(t *testing.T) {
	w := newWorld(t)
	people := w.office("initech")
	for role, want := range map[portal.Role]string{
		portal.Owner:    "/admin /admin/users /admin/licences /admin/domains /admin/notifications /admin/mails /admin/policy /admin/connections /admin/recoveries /admin/audit",
		portal.HelpDesk: "/admin /admin/users /admin/licences /admin/recoveries",
		portal.Auditor:  "/admin /admin/users /admin/licences /admin/audit",
	} {
		b := w.at(initech, people[role])
		if !b.get("/").page.Has("a#console") {
			t.Errorf("%s: home does not lead to the console", role)
		}
		a := b.get("/admin")
		a.want(t, 200, "Administration of Initech")
		var tabs []string
		for _, n := range a.page.All("nav.tabs a") {
			tabs = append(tabs, pagetest.Attr(n, "href"))
		}
		if got := strings.Join(tabs, " "); got != want {
			t.Errorf("%s: tabs %s", role, got)
		}
		if a.page.Has("#events") != role.May(portal.SeeAudit) {
			t.Errorf("%s: newest sign-ins", role)
		}
	}
	for _, role := range []portal.Role{portal.Member, portal.Guest} {
		b := w.at(initech, people[role])
		if b.get("/").page.Has("a#console") {
			t.Errorf("%s: home leads to the console", role)
		}
		b.get("/admin").want(t, 403, "")
		if e := w.last("initech", "access.refused"); e.Account != people[role].ID || e.Code != "permission_missing" || e.Target != "console" {
			t.Errorf("%s: audit %+v", role, e)
		}
	}
}

func TestDashboardCountsAndWarns(t *testing.T) {
	w := newWorld(t)
	owner := w.hire("initech", "owner@initech.example", portal.Owner)
	dan := w.hire("initech", "dan@initech.example", portal.Member)
	if _, err := w.store.SwitchAccount(t.Context(), "initech", portal.Visitor{}, dan.ID, false); err != nil {
		t.Fatal(err)
	}
	w.invite(initech, "ivy@initech.example")
	b := w.at(initech, owner)
	a := b.get("/admin")
	if got := a.page.Text("#people"); !strings.Contains(got, "Active 2") || !strings.Contains(got, "Invited 1") || !strings.Contains(got, "Disabled 1") {
		t.Errorf("people: %s", got)
	}
	if got := a.page.Text("#plans"); !strings.Contains(got, "Professional 3") {
		t.Errorf("plans: %s", got)
	}
	if got := a.page.Text("#signins"); !strings.HasPrefix(got, "1 sign-in ") || len(a.page.All("#days tbody tr")) != 30 {
		t.Errorf("sign-ins: %s", got)
	}
	if got := a.page.Text(".attention"); !strings.Contains(got, "Fewer than two") || strings.Contains(got, "invitation") {
		t.Errorf("attention: %s", got)
	}
	w.hire("initech", "second@initech.example", portal.Owner)
	for _, step := range []struct {
		after time.Duration
		want  string
	}{{54 * time.Hour, "1 invitation lapses within a day."}, {24 * time.Hour, "1 invitation has lapsed in the last 30 days."}} {
		w.pass(step.after)
		if got := w.at(initech, owner).get("/admin").page.Text(".attention"); !strings.Contains(got, step.want) || strings.Contains(got, "Fewer") {
			t.Errorf("after %s: %s", step.after, got)
		}
	}
}

func TestUsersAreFound(t *testing.T) {
	w := newWorld(t)
	owner := w.hire("initech", "owner@initech.example", portal.Owner)
	for _, p := range [][3]string{{"Jürgen", "Müller", "jm"}, {"Zoë", "Muller-Smith", "zoe"}, {"Anna", "Smith", "anna"}, {"Bea", "Zorn", "bea"}} {
		if _, err := w.store.DangerouslyCreateAccount(t.Context(), portal.Account{Portal: "initech", Primary: address(t, p[2]+"@initech.example"),
			GivenName: p[0], FamilyName: p[1]}, ""); err != nil {
			t.Fatal(err)
		}
	}
	b := w.at(initech, owner)
	find := func(query string) string {
		t.Helper()
		a := b.get("/admin/users?" + query)
		a.want(t, 200, "Users")
		var names []string
		for _, n := range a.page.All("#users tbody th a") {
			names = append(names, n.FirstChild.Data)
		}
		return strings.Join(names, ", ")
	}
	for query, want := range map[string]string{
		"q=muller":                 "Jürgen Müller, Zoë Muller-Smith",
		"q=MÜLLER+j":               "Jürgen Müller",
		"q=smi":                    "Anna Smith",
		"q=zo":                     "Zoë Muller-Smith, Bea Zorn",
		"q=zo+be":                  "Bea Zorn",
		"q=zo+smi":                 "",
		"q=anna%40initech.example": "Anna Smith",
		"q=nobody":                 "",
		"role=owner":               "Owner Example",
		"role=guest":               "",
		"status=disabled":          "",
		"q=zo&status=active":       "Zoë Muller-Smith, Bea Zorn",
		"plan=guest":               "",
		"domain=initech.example&q=anna&plan=professional&role=member": "Anna Smith",
		"domain=other.example": "",
		"":                     "Owner Example, Ian, Jürgen Müller, Zoë Muller-Smith, Anna Smith, Bea Zorn",
	} {
		if got := find(query); got != want {
			t.Errorf("%q: found %q, want %q", query, got, want)
		}
	}
	for _, bad := range []string{"status=gone", "role=root", "invitation=x", "domain=%40", "q=!!"} {
		b.get("/admin/users?"+bad).want(t, 400, "")
	}
}

// ADM-12: what is typed is data, whatever it looks like.
func TestSearchIsNoSQL(t *testing.T) {
	w := newWorld(t)
	b := w.at(initech, w.hire("initech", "owner@initech.example", portal.Owner))
	for _, attack := range []string{"' OR 1=1 --", "x'; DROP TABLE accounts; --", "%", "_", "$$; SELECT 1; $$", "\\", "a' UNION SELECT hash FROM credentials --", "$1"} {
		for _, field := range []string{"q", "plan", "after", "before"} {
			a := b.get("/admin/users?" + url.Values{field: {attack}}.Encode())
			if a.StatusCode >= 500 || strings.Contains(a.body, "argon2") || field == "q" && a.page.Has("#users") {
				t.Errorf("%s=%s: %d", field, attack, a.StatusCode)
			}
		}
		for _, field := range []string{"code", "reference", "person", "account", "newer", "older", "from"} {
			if a := b.get("/admin/audit?" + url.Values{field: {attack}}.Encode()); a.StatusCode >= 500 {
				t.Errorf("audit %s=%s: %d", field, attack, a.StatusCode)
			}
		}
	}
	if n := len(b.get("/admin/users").page.All("#users tbody tr")); n != 2 {
		t.Errorf("%d people are left", n)
	}
}

func TestUsersArePagedBothWays(t *testing.T) {
	w := newWorld(t)
	owner := w.hire("initech", "owner@initech.example", portal.Owner)
	for i := range 118 {
		if _, err := w.store.DangerouslyCreateAccount(t.Context(), portal.Account{Portal: "initech", FamilyName: fmt.Sprintf("Person %03d", i),
			Primary: address(t, fmt.Sprintf("p%03d@initech.example", i))}, ""); err != nil {
			t.Fatal(err)
		}
	}
	b := w.at(initech, owner)
	var there, back []string
	names := func(a answer) (names []string) {
		for _, n := range a.page.All("#users tbody th a") {
			names = append(names, pagetest.Attr(n, "href"))
		}
		return names
	}
	a := b.get("/admin/users")
	if a.page.Has("a[rel=prev]") {
		t.Error("something is before the first page")
	}
	for {
		there = append(there, names(a)...)
		if !a.page.Has("a[rel=next]") {
			break
		}
		a = b.get(a.page.Attr("a[rel=next]", "href"))
	}
	for {
		back = append(names(a), back...)
		if !a.page.Has("a[rel=prev]") {
			break
		}
		a = b.get(a.page.Attr("a[rel=prev]", "href"))
	}
	if len(there) != 120 || strings.Join(there, " ") != strings.Join(back, " ") {
		t.Errorf("%d people forth, %d back", len(there), len(back))
	}
}

// ADM-13: what people call themselves is no formula in the list of an
// administrator, and no markup on the pages.
func TestExportIsEscapedAndOnRecord(t *testing.T) {
	w := newWorld(t)
	owner := w.hire("initech", "owner@initech.example", portal.Owner)
	evil := []string{"=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "＝1", `<script>alert(1)</script>`, `a;=1"b`}
	for i, name := range evil {
		if _, err := w.store.DangerouslyCreateAccount(t.Context(), portal.Account{Portal: "initech", GivenName: name, FamilyName: "X",
			Primary: address(t, fmt.Sprintf("x%d@initech.example", i))}, ""); err != nil {
			t.Fatal(err)
		}
	}
	b := w.at(initech, owner)
	if a := b.get("/admin/users?q=x"); strings.Contains(a.body, "<script>alert") {
		t.Error("a name is markup")
	}
	a := b.get("/admin/users/export.csv?q=x")
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/csv; charset=utf-8" || !strings.Contains(a.Header.Get("Content-Disposition"), "attachment; filename=\"users-initech-") ||
		a.Header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(a.body, "\ufeff\"id\"") {
		t.Fatalf("%d %v %.40q", a.StatusCode, a.Header, a.body)
	}
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(a.body, "\ufeff"))).ReadAll()
	if err != nil || len(rows) != len(evil)+1+1 { // "Example" begins with no x, "X" and the header do
		if err != nil || len(rows) != len(evil)+1 {
			t.Fatalf("%d rows: %v", len(rows), err)
		}
	}
	for _, row := range rows {
		for _, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t\r＝＋－＠", []rune(cell)[0]) {
				t.Errorf("a cell is a formula: %q", cell)
			}
		}
	}
	if e := w.last("initech", "users.exported"); e.Account != owner.ID || e.Target != fmt.Sprint(len(rows)-1) {
		t.Errorf("audit: %+v", e)
	}
	before := w.rows()
	if a := b.do(headOf("/admin/users/export.csv")); a.StatusCode != 200 || w.rows() != before {
		t.Error("HEAD exports")
	}
	// Somebody who has not said for long who they are is asked first.
	w.pass(30 * time.Minute)
	if to := b.get("/admin/users/export.csv").Header.Get("Location"); !strings.HasPrefix(to, "/account/confirm") {
		t.Errorf("led to %q", to)
	}
}

func headOf(path string) *http.Request { return httptest.NewRequest(http.MethodHead, path, nil) }
