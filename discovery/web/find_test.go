package web_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/discovery/page/pagetest"
)

func TestOnePortalIsARedirectWithATicket(t *testing.T) {
	d := newDoor(t)
	d.populate()
	res := d.status(d.do(ask("Ada.Canary@acme.example")), http.StatusSeeOther)
	opened := d.open("eu", "acme", res.Header.Get("Location"))
	if opened.Address != "ada.canary@acme.example" || opened.Connection != "acme-saml" || opened.Expires.Sub(d.now) > time.Minute {
		t.Errorf("the ticket says %s, %s, until %v", opened.Address, opened.Connection, opened.Expires)
	}
	if cc := res.Header.Get("Cache-Control"); cc != "no-store" {
		t.Errorf("DIS-29: Cache-Control is %q", cc)
	}
	d.quiet(res, "canary")
	again := d.status(d.do(ask("ada.canary@acme.example")), http.StatusSeeOther)
	if d.open("eu", "acme", again.Header.Get("Location")).ID == opened.ID {
		t.Error("two tickets are one")
	}
}

func TestS04Chooser(t *testing.T) {
	d := newDoor(t)
	d.populate()
	res := d.status(d.do(ask("max@consult.example")), http.StatusOK)
	d.quiet(res, "max")
	if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https:") {
		t.Errorf("the forms cannot lead on: %s", csp)
	}
	p := d.page(res)
	var got []string
	for _, n := range p.All(".choices button") {
		got = append(got, pagetest.Text(n))
	}
	want := []string{"Acme Corporation acme.eu.example.com data kept in EU", "Globex globex.us.example.com data kept in US"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("choices (-want +got):\n%s", diff)
	}
	for _, n := range p.All("input[type=hidden]") {
		if strings.Contains(pagetest.Attr(n, "value"), "@") {
			t.Error("REG-04: the address is in a hidden field")
		}
	}
	choice := pagetest.Attr(p.All("input[name=choice]")[1], "value")
	d.now = d.now.Add(10 * time.Minute) // longer than a ticket lives
	res = d.status(d.do(post("/choose", url.Values{"choice": {choice}})), http.StatusSeeOther)
	if opened := d.open("us", "globex", res.Header.Get("Location")); opened.Address != "max@consult.example" || opened.Connection != "" {
		t.Errorf("the ticket says %s, %q", opened.Address, opened.Connection)
	}
	d.now = d.now.Add(10 * time.Minute)
	for _, bad := range []string{choice, "", "nonsense", choice[:len(choice)-2] + "AA", strings.Repeat("A", 3000)} {
		p := d.page(d.status(d.do(post("/choose", url.Values{"choice": {bad}})), http.StatusBadRequest))
		if !strings.Contains(p.Text(".summary"), "no longer up to date") {
			t.Errorf("%.20q: %s", bad, p.Text("main"))
		}
	}
}

// A program is told which field is at fault.
func TestSpoiltFieldsAreNamed(t *testing.T) {
	d := newDoor(t)
	d.populate()
	for _, c := range []struct {
		path, field, value string
		status             int
	}{
		{"/choose", "choice", "nonsense", 400},
		{"/choose/anyway", "choice", "nonsense", 400},
		{"/choose", "choice", strings.Repeat("A", 20000), 413},
		{"/remember", "proof", "nonsense", 403},
		{"/remember", "proof", d.proof("eu", "nowhere"), 403},
		{"/remember", "proof", strings.Repeat("A", 20000), 413},
	} {
		r := post(c.path, url.Values{c.field: {c.value}})
		r.Header.Set("Accept", "application/json")
		var problem struct {
			Errors []struct{ Field string }
		}
		res := d.status(d.do(r), c.status)
		check(t, json.NewDecoder(res.Body).Decode(&problem))
		if len(problem.Errors) != 1 || problem.Errors[0].Field != c.field {
			t.Errorf("%s %.10q: names %v", c.path, c.value, problem.Errors)
		}
	}
}

func TestChoiceOfAPortalThatHasGone(t *testing.T) {
	d := newDoor(t)
	d.populate()
	p := d.page(d.do(ask("max@consult.example")))
	choice := pagetest.Attr(p.All("input[name=choice]")[1], "value")
	claim := portal("us", "globex", "Globex", "listed")
	claim.Gone = true
	d.publish("us", claim)
	d.status(d.do(post("/choose", url.Values{"choice": {choice}})), http.StatusConflict)
	d.status(d.do(ask("max@consult.example")), http.StatusSeeOther) // one is left
}

func TestS01S05NeutralPage(t *testing.T) {
	d := newDoor(t)
	d.populate()
	res := d.status(d.do(ask("nobody@consult.example")), http.StatusOK)
	p := d.page(res)
	text := p.Text("main")
	for _, want := range []string{"administrator", "invitation", "own sign-in page", "offers no new password"} {
		if !strings.Contains(text, want) {
			t.Errorf("the neutral page does not say %q: %s", want, text)
		}
	}
	for _, a := range p.All("a[href]") {
		if strings.Contains(pagetest.Attr(a, "href"), "password") {
			t.Error("S05: the neutral page leads to a password reset")
		}
	}
}

// shape is all an onlooker sees of an answer, less the address they typed and
// what is random in every answer.
func shape(t *testing.T, res *http.Response, typed string) string {
	t.Helper()
	var b strings.Builder
	_ = res.Header.Write(&b)
	return res.Status + "\n" + b.String() + strings.ReplaceAll(body(t, res), typed, "TYPED-ADDRESS")
}

func TestDIS01HiddenIsUnknown(t *testing.T) {
	d := newDoor(t)
	d.populate()
	for _, c := range []struct {
		name string
		ask  func(string) *http.Request
	}{
		{"page", func(a string) *http.Request { return ask(a) }},
		{"json", func(a string) *http.Request { return discover(`{"email":"` + a + `"}`) }},
		{"webfinger", func(a string) *http.Request { return get("/.well-known/webfinger?resource=acct:" + a) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 { // from the database, then from the cache
				hidden := shape(t, d.do(c.ask("hid@consult.example")), "hid@consult.example")
				unknown := shape(t, d.do(c.ask("who@consult.example")), "who@consult.example")
				if c.name == "webfinger" {
					hidden, unknown = withoutReference(hidden), withoutReference(unknown)
				}
				if diff := cmp.Diff(unknown, hidden); diff != "" {
					t.Errorf("a proven portal shows (-unknown +hidden):\n%s", diff)
				}
				if strings.Contains(hidden, "Set-Cookie") {
					t.Error("a cookie is set")
				}
			}
		})
	}
}

// withoutReference cuts the lines that differ in any two error pages.
func withoutReference(s string) string {
	var kept []string
	for line := range strings.Lines(s) {
		if !strings.Contains(line, "eference") && !strings.HasPrefix(line, "Content-Length") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

func TestBadAddressKeepsWhatWasTyped(t *testing.T) {
	d := newDoor(t)
	for _, c := range []struct{ typed, kept string }{
		{"", ""}, {"canary", "canary"}, {"canary@", "canary@"}, {"a b@acme.example", "a b@acme.example"}, {"<b>@acme.example", "<b>@acme.example"},
		{"\xff@acme.example", ""}, {"canary\r\nSet-Cookie: a=b@acme.example", "canarySet-Cookie: a=b@acme.example"}, {strings.Repeat("a", 5000) + "@acme.example", ""},
	} {
		res := d.status(d.do(ask(c.typed)), http.StatusBadRequest)
		d.quiet(res, "canary")
		p := d.page(res)
		if got := p.Attr("input[name=email]", "value"); got != c.kept {
			t.Errorf("%.20q: the form keeps %q, want %q", c.typed, got, c.kept)
		}
		if p.Text("#email-error") == "" || p.Attr("input[name=email]", "aria-invalid") != "true" || !strings.HasPrefix(p.Text("title"), "Error:") {
			t.Errorf("%.20q: the page does not say what is wrong", c.typed)
		}
	}
}

func TestBadForms(t *testing.T) {
	d := newDoor(t)
	for _, c := range []struct {
		name, kind, body string
		status           int
	}{
		{"no type", "", "email=a@b.example", 415}, {"JSON", "application/json", `{"email":"a@b.example"}`, 415},
		{"multipart", "multipart/form-data; boundary=x", "--x--", 415}, {"charset", "application/x-www-form-urlencoded; charset=utf-16", "email=a", 415},
		{"PWD-13 twice", "application/x-www-form-urlencoded", "email=a%40b.example&email=c%40d.example", 400},
		{"PWD-13 array", "application/x-www-form-urlencoded", "email[]=a%40b.example", 400},
		{"PWD-13 case", "application/x-www-form-urlencoded", "EMAIL=a%40b.example", 400},
		{"escape", "application/x-www-form-urlencoded", "email=%zz", 400}, {"semicolon", "application/x-www-form-urlencoded", "a=b;email=c", 400},
		{"huge", "application/x-www-form-urlencoded", "email=" + strings.Repeat("a", 1<<20), 413},
		{"in the query", "application/x-www-form-urlencoded", "", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, frontDoor+"/?email=ada@acme.example", strings.NewReader(c.body))
			if c.kind != "" {
				r.Header.Set("Content-Type", c.kind)
			}
			d.status(d.do(r), c.status)
		})
	}
}

func TestN04WithoutTheDatabase(t *testing.T) {
	d := newDoor(t)
	d.populate()
	check(t, d.db.Close())
	p := d.page(d.status(d.do(ask("ada@acme.example")), http.StatusOK))
	if len(p.All(".choices button")) != 1 || !strings.Contains(p.Text(".notice"), "may be missing") {
		t.Errorf("the domain's portal is not offered: %s", p.Text("main"))
	}
	res := d.status(d.do(ask("max@consult.example")), http.StatusServiceUnavailable)
	if res.Header.Get("Retry-After") == "" || d.page(res).Has("main form") {
		t.Error("an outage reads as an answer")
	}
	// A program is told what is known, and that it may not be all of it.
	var known struct {
		Portals []struct{ ID string }
		Partial bool
	}
	whole := d.status(d.do(discover(`{"email":"ada@acme.example"}`)), http.StatusOK)
	if err := json.NewDecoder(whole.Body).Decode(&known); err != nil || len(known.Portals) != 1 || known.Portals[0].ID != "acme" || !known.Partial {
		t.Errorf("without the database a program is told %+v, %v", known, err)
	}
	for _, a := range []string{"max@consult.example", "nobody@consult.example"} {
		res := d.status(d.do(discover(`{"email":"`+a+`"}`)), http.StatusServiceUnavailable)
		if res.Header.Get("Retry-After") == "" {
			t.Error("503 without Retry-After")
		}
	}
	d.quiet(res, "max@")
}

func TestDIS32ClaimEndsANegativeAnswer(t *testing.T) {
	d := newDoor(t)
	d.populate()
	d.status(d.do(ask("new@consult.example")), http.StatusOK)
	d.publish("us", d.entry("new@consult.example", "globex"))
	d.status(d.do(ask("new@consult.example")), http.StatusSeeOther)
	d.status(d.do(ask("new@later.example")), http.StatusOK)
	d.publish("us", route("later.example", "globex", "", "oidc"))
	d.status(d.do(ask("new@later.example")), http.StatusSeeOther)
}
