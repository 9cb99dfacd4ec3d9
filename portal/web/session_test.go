package web

import (
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/discovery/page/pagetest"
	"github.com/domicile-sso/domicile/portal"
)

func sessionsSamples() map[string]any {
	at := moment{"21 November 2026, 14:05", "2026-11-21T14:05:00Z"}
	row := activationRow{ID: "a1", App: "Secure mail for Outlook", Kind: "add-in", Device: "Laptop at the office", Created: at, Used: at, UsedAgo: "3 minutes ago", Removed: at}
	p := sessionsPage{Tabs: []tab{{Name: "Sessions and apps", Path: "/account/sessions", Current: true}}, Notice: "The app is activated.", Others: true, Offered: true,
		Sessions: []sessionRow{
			{ID: "s1", Agent: "Firefox on Windows", Place: "Switzerland", Method: "Your password for this portal", Current: true, Seen: at, Started: at, Ends: at, Used: "Just now"},
			{ID: "s2", Agent: "Safari on iOS", Place: "From the network 203.0.113.0/24", Method: "Your password for this portal", Kept: true, Seen: at, Started: at, Ends: at, Used: "3 hours ago"},
		},
		Apps: []activationRow{row, {ID: "a2", App: "Desktop", Kind: "app", Device: "Home", Created: at}}, Gone: []activationRow{row},
		App:    page.Field{Name: "app", Label: "App or add-in", Options: []page.Option{{Value: "outlook", Text: "Outlook (add-in)"}}},
		Device: page.Field{Name: "device", Label: "Name of the device", Type: "text", Hint: "By which you will know it again."}}
	wrong := p
	wrong.Device.Error = "Give the device a name by which you will know it again."
	wrong.Form = page.Check(&wrong.App, &wrong.Device)
	return map[string]any{"all": p, "wrong": wrong, "alone": sessionsPage{Sessions: p.Sessions[:1]}}
}

// browse asks as a browser that calls itself so, from a country.
func (b *browser) browse(agent, country, path string, form url.Values) answer {
	b.w.t.Helper()
	method := "GET"
	if form != nil {
		method = "POST"
	}
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("User-Agent", agent)
	return b.do(r.WithContext(page.WithCountry(r.Context(), country)))
}

// rows are the texts of a list's entries.
func (a answer) rows(selector string) []string {
	var out []string
	for _, n := range a.page.All(selector) {
		out = append(out, pagetest.Text(n))
	}
	return out
}

const (
	firefox = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
	hostile = "Firefox/1 (Windows) <script>alert(1)</script>\x7f victim@example.com"
)

func TestSessionsPage(t *testing.T) {
	w := newWorld(t)
	here, there := w.browser(initech), w.browser(initech)
	a := there.follow(there.submit(there.get("/login"), url.Values{"email": {"ian@initech.example"}}))
	form := url.Values{"attempt": {a.page.Attr("input[name=attempt]", "value")}, "password": {goodPassword}, "keep": {"yes"}}
	if a = there.browse(hostile, "CH", "/login/password", form); a.StatusCode != 303 {
		t.Fatalf("sign in: %d", a.StatusCode)
	}
	w.pass(3 * time.Hour)
	here.signIn("ian@initech.example", goodPassword)

	a = here.get("/account/sessions")
	a.want(t, 200, "Sessions and apps")
	list := a.rows(".devices li")
	if len(list) != 2 || !strings.Contains(list[0], "This session") || strings.Contains(list[1], "This session") {
		t.Fatalf("sessions: %q", list)
	}
	for _, words := range []string{"Firefox on Windows", "Switzerland", "stays signed in", "3 hours ago", "Your password for this portal"} {
		if !strings.Contains(list[1], words) {
			t.Errorf("%q is missing: %s", words, list[1])
		}
	}
	if !strings.Contains(list[0], "A browser we do not know") || !strings.Contains(list[0], "203.0.113") && !strings.Contains(list[0], "network") {
		t.Errorf("the first: %s", list[0])
	}
	if strings.Contains(a.body, "script") || strings.Contains(a.body, "victim") || a.page.Attr("time.exact", "datetime") == "" {
		t.Error("something of the header is on the page, or no exact time")
	}
	var raw int
	if err := w.db.QueryRow(`SELECT COUNT(*) FROM sessions WHERE agent NOT IN ('', 'Firefox on Windows')`).Scan(&raw); err != nil || raw != 0 {
		t.Errorf("%d sessions keep something else of the header, %v", raw, err)
	}

	// In the language of the page.
	r := httptest.NewRequest("GET", "/account/sessions", nil)
	r.Header.Set("Accept-Language", "de")
	if de := here.do(r).rows(".devices li"); !strings.Contains(de[1], "Firefox unter Windows") || !strings.Contains(de[1], "Schweiz") || !strings.Contains(de[1], "vor 3 Stunden") {
		t.Errorf("in German: %s", de[1])
	}

	// One is ended, by its public ID; a token is none.
	second := pagetest.Attr(a.page.All(".devices input[name=session]")[1], "value")
	for _, id := range []string{"", "nonsense", here.cookies[SessionCookie].Value, there.cookies[SessionCookie].Value} {
		if got := here.post("/account/sessions/end", url.Values{"session": {id}}).StatusCode; got != 404 && got != 400 {
			t.Errorf("%q: %d", id, got)
		}
	}
	if strings.Contains(a.body, here.cookies[SessionCookie].Value) {
		t.Error("the session's secret is on the page")
	}
	a = here.follow(here.post("/account/sessions/end", url.Values{"session": {second}}))
	if !strings.Contains(a.page.Text(".notice"), "That session is over") || len(a.rows(".devices li")) != 1 || there.signedIn() {
		t.Errorf("after ending: %q", a.page.Text(".notice"))
	}
	if here.get("/account/sessions").page.Has(".notice") {
		t.Error("it is said twice")
	}

	// All others, and then everywhere.
	there.signIn("ian@initech.example", goodPassword)
	third := w.browser(initech)
	third.signIn("ian@initech.example", goodPassword)
	here.follow(here.post("/account/sessions/end-others", nil))
	if there.signedIn() || third.signedIn() || !here.signedIn() {
		t.Error("the others are signed in, or this one is not")
	}
	there.signIn("ian@initech.example", goodPassword)
	a = here.post("/account/sessions/end-all", nil)
	a.want(t, 200, "You are signed out")
	if there.signedIn() || here.signedIn() || a.Header.Get("Clear-Site-Data") == "" {
		t.Error("somebody is signed in")
	}
	// Ending one's own is signing out.
	here.signIn("ian@initech.example", goodPassword)
	own := here.get("/account/sessions").page.Attr(".devices .current input[name=session]", "value")
	here.post("/account/sessions/end", url.Values{"session": {own}}).want(t, 200, "You are signed out")
	if here.signedIn() {
		t.Error("still here")
	}
}

// ADM-01: another account's session and activation are not found, in this portal
// or another.
func TestSomebodyElsesSession(t *testing.T) {
	w := newFederatedWorld(t)
	ian := w.browser(initech)
	ian.signIn("ian@initech.example", goodPassword)
	all, err := w.store.Accounts(t.Context(), "initech")
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := w.store.Sessions(t.Context(), "initech", all[0].ID)
	if err != nil || len(sessions) != 1 {
		t.Fatalf("%v, %v", sessions, err)
	}
	if _, err := w.store.DangerouslyCreateAccount(t.Context(), portal.Account{Portal: "initech", Primary: address(t, "eve@initech.example")}, goodPassword); err != nil {
		t.Fatal(err)
	}
	eve := w.browser(initech)
	eve.signIn("eve@initech.example", goodPassword)
	if got := eve.post("/account/sessions/end", url.Values{"session": {sessions[0].ID}}).StatusCode; got != 404 || !ian.signedIn() {
		t.Errorf("got %d; is Ian in: %t", got, ian.signedIn())
	}
	if !slices.Contains(w.codes("initech"), "session_unknown") {
		t.Error("the try is not in the audit log")
	}
}

// S24: activate, remove, activate again.
func TestAppsPage(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	b.signIn("ian@initech.example", goodPassword)
	if a := b.get("/account/sessions"); !strings.Contains(a.page.Text("#apps"), "offers no apps") || a.page.Has("#device") {
		t.Error("apps are offered where there are none")
	}
	if _, err := w.store.PutApp(t.Context(), portal.App{Portal: "initech", ID: "outlook", Name: "Secure mail for Outlook", Kind: portal.AddIn}); err != nil {
		t.Fatal(err)
	}
	if got := b.rowsOf("#app option"); !slices.Equal(got, []string{"Secure mail for Outlook (add-in)"}) {
		t.Errorf("offered: %q", got)
	}
	a := b.post("/account/apps/activate", url.Values{"app": {"outlook"}, "device": {" "}})
	a.want(t, 400, "Sessions and apps")
	if !a.page.Has("#device[aria-invalid]") {
		t.Error("the field is not named")
	}
	b.post("/account/apps/activate", url.Values{"app": {"nothing"}, "device": {"x"}}).want(t, 400, "Sessions and apps")
	b.post("/account/apps/activate", url.Values{"app": {"outlook"}, "device": {"x"}, "account": {"0"}}).want(t, 400, "")

	a = b.follow(b.post("/account/apps/activate", url.Values{"app": {"outlook"}, "device": {"My laptop"}}))
	if !strings.Contains(a.page.Text(".notice"), "is activated") || !strings.Contains(a.page.Text("#apps .devices"), "My laptop") {
		t.Errorf("after activating: %s", a.page.Text("#apps"))
	}
	again := b.post("/account/apps/activate", url.Values{"app": {"outlook"}, "device": {"my LAPTOP"}})
	again.want(t, 409, "Sessions and apps")
	if again.page.Attr("#device", "value") != "my LAPTOP" {
		t.Error("what was typed is gone")
	}
	id := a.page.Attr("#apps input[name=activation]", "value")
	a = b.follow(b.post("/account/apps/remove", url.Values{"activation": {id}}))
	if !a.page.Has("#removed") || a.page.Has("form[action=/account/apps/remove]") {
		t.Error("it is not removed")
	}
	a = b.follow(b.post("/account/apps/restore", url.Values{"activation": {id}}))
	if a.page.Has("#removed") || a.page.Attr("form[action=/account/apps/remove] input[name=activation]", "value") != id {
		t.Error("it is not activated again")
	}
	for _, path := range []string{"/account/apps/remove", "/account/apps/restore"} {
		if got := b.post(path, url.Values{"activation": {"nonsense"}}).StatusCode; got != 404 {
			t.Errorf("%s: %d", path, got)
		}
	}
	kinds := w.letters()
	if l := kinds[portal.ActivationLetter]; l.App != "Secure mail for Outlook" || l.Device != "My laptop" {
		t.Errorf("the owner was told %+v", l)
	}
}

func (b *browser) rowsOf(selector string) []string {
	b.w.t.Helper()
	return b.get("/account/sessions").rows(selector)
}

func TestPlaces(t *testing.T) {
	w := newWorld(t)
	v := &visit{site: w.site, r: httptest.NewRequest("GET", "/", nil)}
	for _, tt := range []struct{ country, client, want string }{
		{"CH", "203.0.113.9", "Switzerland"},
		{"", "203.0.113.9", "From the network 203.0.113.0/24"},
		{"", "2001:db8:1:2::9", "From the network 2001:db8:1::/48"},
		{"", "127.0.0.1", "From the machine that this portal runs on"},
		{"", "::1", "From the machine that this portal runs on"},
		{"", "10.1.2.3", "From a private network, 10.1.2.0/24"},
		{"", "fd00::1", "From a private network, fd00::/48"},
		{"", "", "From somewhere we do not know"},
		{"<b", "203.0.113.9", "From the network 203.0.113.0/24"},
		{"ZZ", "203.0.113.9", "From the network 203.0.113.0/24"},
	} {
		var client netip.Addr
		if tt.client != "" {
			client = netip.MustParseAddr(tt.client)
		}
		if got := v.place(tt.country, portal.Network(client)); got != tt.want {
			t.Errorf("%s %s: %q", tt.country, tt.client, got)
		}
	}
}
