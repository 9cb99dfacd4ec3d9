package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/domicile-sso/domicile/portal"
)

func hasAttr(all []html.Attribute, name string) bool {
	for _, a := range all {
		if a.Key == name {
			return true
		}
	}
	return false
}

func newForm(path, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// S25, S28: licence, its dates, and what was sent and is left.
func TestLicenceFacts(t *testing.T) {
	w := newWorld(t)
	who := w.known("initech", ian)
	for range 3 {
		if err := w.store.RecordMessage(t.Context(), "initech", portal.Visitor{}, who.ID); err != nil {
			t.Fatal(err)
		}
	}
	b := w.browser(initech)
	b.signIn(ian, goodPassword)
	a := b.get("/account/profile")
	for sel, want := range map[string]string{
		"#plan-name": "Professional", "#licensed": ian, "#since time": "", "#ends time": "", "#used": "3 messages", "#left": "9,997 messages", "#cap": "10,000", "#last time": "",
	} {
		if got := a.page.Text(sel); got == "" || !strings.Contains(got, want) {
			t.Errorf("%s says %q, want %q", sel, got, want)
		}
	}
	if rows := a.page.All("#months tbody tr"); len(rows) != 12 {
		t.Errorf("%d months are listed", len(rows))
	}
	w.relicense(who, "guest")
	a = b.get("/account/profile")
	if got := a.page.Text("#left"); !strings.Contains(got, "7 messages") || !strings.Contains(got, "10 messages") {
		t.Errorf("a guest has left %q", got)
	}
	w.relicense(who, "")
	a = b.get("/account/profile")
	if a.page.Has("#plan-name") || a.page.Text("#licence") == "" || a.page.Has("a[href=/account/licence]") {
		t.Errorf("without a licence: %s", a.page.Text("main"))
	}
}

// S31: one's own licence is given back after its effects were seen.
func TestReleaseLicence(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	b.signIn(ian, goodPassword)
	if !b.get("/account/profile").page.Has("a[href=/account/licence]") {
		t.Fatal("it is not offered")
	}
	a := b.get("/account/licence")
	a.want(t, 200, "Release this licence")
	for _, effect := range []string{"seat_freed", "sending_ends", "aliases_frozen", "kept"} {
		if !a.page.Has("li[data-effect=" + effect + "]") {
			t.Errorf("%s is not among the effects: %s", effect, a.page.Text(".effects"))
		}
	}
	if got := b.post("/account/licence", url.Values{"mark": {"0000000000000000"}}); got.StatusCode != 409 {
		t.Errorf("something else was agreed to: got %d", got.StatusCode)
	}
	done := b.follow(b.submit(a, nil))
	if done.page.Text(".notice.good") == "" || done.page.Has("#plan-name") {
		t.Errorf("got %q", done.page.Text("main"))
	}
	if got := b.submit(a, nil); got.StatusCode == 200 {
		t.Errorf("released twice: %d", got.StatusCode)
	}
}

// Where the plan does not say so, an administrator releases it.
func TestReleaseIsTheAdministrators(t *testing.T) {
	w := newWorld(t)
	plans, err := w.store.Plans(t.Context(), "initech")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range plans {
		p.Plan.Features = nil
		if _, err := w.store.PutPlan(t.Context(), p.Plan); err != nil {
			t.Fatal(err)
		}
	}
	b := w.browser(initech)
	b.signIn(ian, goodPassword)
	if got := b.post("/admin/licences", url.Values{"plan": {"professional"}, "may": {"yes"}}); got.StatusCode != 403 {
		t.Errorf("a member lets themselves: got %d", got.StatusCode)
	}
	if b.get("/account/profile").page.Has("a[href=/account/licence]") {
		t.Error("it is offered")
	}
	if got := b.get("/account/licence"); got.StatusCode != 403 {
		t.Errorf("got %d", got.StatusCode)
	}
	if got := b.post("/account/licence", url.Values{"mark": {"0000000000000000"}}); got.StatusCode != 403 {
		t.Errorf("got %d", got.StatusCode)
	}
	if w.known("initech", ian).Status != portal.Active {
		t.Error("the account changed")
	}
	w.owner("initech", ian)
	for _, form := range []url.Values{{"plan": {"professional"}, "may": {"maybe"}}, {"plan": {"gold"}, "may": {"yes"}}, {"plan": {"professional"}}} {
		if got := b.post("/admin/licences", form); got.StatusCode != 400 {
			t.Errorf("%v: got %d", form, got.StatusCode)
		}
	}
	done := b.follow(b.post("/admin/licences", url.Values{"plan": {"professional"}, "may": {"yes"}}))
	if done.page.Text(".notice.good") == "" || !strings.Contains(done.page.Text("#plan-professional .release"), "People themselves") {
		t.Errorf("got %d: %s", done.StatusCode, done.page.Text("main"))
	}
	if !b.get("/account/profile").page.Has("a[href=/account/licence]") {
		t.Error("it is not offered")
	}
}

// S31 in the console: what a choice brings about is shown, then done as shown.
func TestLicencesConsole(t *testing.T) {
	w := newWorld(t)
	if _, err := w.store.DangerouslyCreateAccount(t.Context(), portal.Account{Portal: "initech", Primary: address(t, "dan@initech.example"), GivenName: "Dan"}, ""); err != nil {
		t.Fatal(err)
	}
	dan := w.known("initech", "dan@initech.example")
	w.owner("initech", ian)
	b := w.browser(initech)
	b.signIn(ian, goodPassword)

	a := b.get("/admin/licences")
	a.want(t, 200, "Licences")
	if got := a.page.Text("#plan-professional .used"); got != "2" {
		t.Errorf("%q seats are in use", got)
	}
	list := b.get("/admin/licences?plan=professional")
	path := "/admin/users/" + dan.ID + "/licence"
	if !list.page.Has("a[href=" + path + "]") {
		t.Fatalf("dan is not listed: %s", list.page.Text("main"))
	}
	a = b.get(path + "?plan=guest")
	a.want(t, 200, "Downgrade to the plan Guest")
	if !a.page.Has("li.loss[data-effect=allowance]") {
		t.Errorf("effects: %s", a.page.Text(".effects"))
	}
	w.relicense(dan, "pro") // meanwhile
	stale := b.submit(a, nil)
	if stale.StatusCode != 409 || stale.page.Text(".summary") == "" || !stale.page.Has("li[data-effect=feature_lost]") {
		t.Errorf("got %d: %s", stale.StatusCode, stale.page.Text("main"))
	}
	done := b.follow(b.submit(stale, nil))
	if done.StatusCode != 200 || done.page.Text("#plan-name") == "" || !strings.Contains(done.page.Text("#plan-name"), "Guest") || done.page.Text(".notice.good") == "" {
		t.Errorf("got %d: %s", done.StatusCode, done.page.Text("main"))
	}
	// A form may also ask for the effects.
	if shown := b.post(path, url.Values{"plan": {"professional"}}); shown.StatusCode != 200 || shown.page.Text("h1") != "Upgrade to the plan Professional" {
		t.Errorf("got %d %q", shown.StatusCode, shown.page.Text("h1"))
	}
	full := portal.Plan{Portal: "initech", ID: "pro", Name: "Pro", Kind: portal.Professional, Seats: 1, Cap: 10, Months: 12, Place: 2}
	if _, err := w.store.PutPlan(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	w.relicense(w.known("initech", ian), "pro")
	refused := b.get(path + "?plan=pro")
	if refused.StatusCode != 409 || refused.page.Attr("#plan", "aria-invalid") != "true" {
		t.Errorf("no seat: got %d: %s", refused.StatusCode, refused.page.Text("main"))
	}
	w.relicense(dan, "professional")
	a = b.get(path + "?renew=no")
	a.want(t, 200, "Let the licence end")
	b.submit(a, nil)
	if ending := b.get("/admin/licences"); ending.page.Has("table.holders") {
		t.Error("a licence that ends in a year ends soon")
	}
	w.pass(310 * 24 * 60 * 60 * 1e9)
	b.signIn(ian, goodPassword)
	if ending := b.get("/admin/licences"); !strings.Contains(ending.page.Text("table.holders"), "Dan") {
		t.Errorf("nobody's licence ends soon: %s", ending.page.Text("main"))
	}
}

// ADM-01: another portal's account is nobody's, and a role without the permission
// is refused.
func TestLicencesConsoleRefuses(t *testing.T) {
	w := newWorld(t)
	ians := w.owner("initech", ian)
	umas := w.known("umbrella", "uma@umbrella.example")
	b := w.browser(initech)
	b.signIn(ian, goodPassword)
	for _, id := range []string{umas.ID, strings.Repeat("0", 32)} {
		if got := b.get("/admin/users/" + id + "/licence"); got.StatusCode != 404 {
			t.Errorf("GET: got %d", got.StatusCode)
		}
		if got := b.post("/admin/users/"+id+"/licence", url.Values{"plan": {"pro"}, "mark": {"0000000000000000"}}); got.StatusCode != 404 {
			t.Errorf("POST: got %d", got.StatusCode)
		}
	}
	if got := b.get("/admin/licences?plan=gold"); got.StatusCode != 404 {
		t.Errorf("a plan that is not: got %d", got.StatusCode)
	}
	for _, role := range []portal.Role{portal.Member, portal.Guest, portal.Auditor, portal.HelpDesk} {
		if _, err := w.db.Exec(`UPDATE accounts SET role = $1 WHERE id = $2`, string(role), ians.ID); err != nil {
			t.Fatal(err)
		}
		want := 403
		if role.May(portal.SeeLicences) {
			want = 200
		}
		if got := b.get("/admin/licences"); got.StatusCode != want {
			t.Errorf("%s: got %d, want %d", role, got.StatusCode, want)
		}
		if got := b.post("/admin/users/"+ians.ID+"/licence", url.Values{"plan": {"pro"}}); got.StatusCode != 403 {
			t.Errorf("%s: got %d", role, got.StatusCode)
		}
	}
	var unknown int
	for _, c := range w.codes("initech") {
		if c == "account_unknown" {
			unknown++
		}
	}
	if unknown != 4 {
		t.Errorf("%d refusals are in the log, want 4", unknown)
	}
}
