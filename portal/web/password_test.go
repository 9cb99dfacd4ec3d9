package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

const betterPassword = "seven quiet lanterns drift"

func (w *world) resetLink(who string) (*browser, string) {
	w.t.Helper()
	b := w.browser(initech)
	b.submit(b.get("/password/forgot"), url.Values{"email": {who}}).want(w.t, 200, "Look into your mailbox")
	l, ok := w.letters()[portal.ResetLetter]
	if !ok {
		w.t.Fatal("no letter")
	}
	return b, "/password/reset?token=" + l.Token.Clear()
}

func TestForgottenPassword(t *testing.T) {
	w := newWorld(t)
	signed := w.browser(initech)
	signed.signIn("ian@initech.example", goodPassword).want(t, 200, "Welcome, Ian")

	b, link := w.resetLink("ian@initech.example")
	// PWD-16: a mail scanner looks at the link.
	b.do(httptest.NewRequest(http.MethodHead, link, nil))
	a := b.get(link)
	a.want(t, 200, "Choose a new password")
	if !a.page.Has("#rules li") || a.page.Attr("#new", "autocomplete") != "new-password" || !strings.Contains(a.page.Attr("#new", "aria-describedby"), "rules") {
		t.Error("the rules are not shown with the field")
	}
	for field, form := range map[string]url.Values{
		"new":     {"new": {"short"}, "confirm": {"short"}},
		"confirm": {"new": {betterPassword}, "confirm": {betterPassword + " "}},
	} {
		wrong := b.submit(a, form)
		wrong.want(t, 400, "Choose a new password")
		if wrong.page.Attr("#"+field, "aria-invalid") != "true" || strings.Contains(wrong.body, betterPassword) {
			t.Errorf("%s: not told at the field", field)
		}
	}
	pasted := b.submit(a, url.Values{"new": {betterPassword + " "}, "confirm": {betterPassword + " "}})
	if got := pasted.page.Text("#new-error"); !strings.Contains(got, "ends with a blank") {
		t.Errorf("the blank is not named: %q", got)
	}
	b.submit(a, url.Values{"new": {betterPassword}, "confirm": {betterPassword}}).want(t, 200, "Your password is changed")

	if signed.signedIn() {
		t.Error("the session from before goes on")
	}
	b.submit(a, url.Values{"new": {goodPassword}, "confirm": {goodPassword}}).want(t, 403, "Choose a new password")
	spent := b.get(link)
	spent.want(t, 403, "Choose a new password")
	if spent.page.Text(".notice p") != portal.ErrLink.Say || spent.page.Attr("main form", "action") != "/password/forgot" {
		t.Error("no way to another link")
	}
	if a := w.browser(initech).signIn("ian@initech.example", goodPassword); a.StatusCode != 403 {
		t.Errorf("the old password still works: %d", a.StatusCode)
	}
	w.browser(initech).signIn("ian@initech.example", betterPassword).want(t, 200, "Welcome, Ian")
}

// PWD-12: a link that is guessed, too old, or of another portal.
func TestResetLinkThatDoesNotCount(t *testing.T) {
	w := newWorld(t)
	_, link := w.resetLink("ian@initech.example")
	w.browser(umbrella).get(link).want(t, 403, "Choose a new password")
	w.browser(initech).get("/password/reset?token="+portal.NewSecret().Clear()).want(t, 403, "Choose a new password")
	w.pass(31 * time.Minute)
	w.browser(initech).get(link).want(t, 403, "Choose a new password")
}

func TestForgottenPasswordKeepsTheAddress(t *testing.T) {
	w := newWorld(t)
	b := w.browser(initech)
	a := b.follow(b.submit(b.get("/login"), url.Values{"email": {"ian@initech.example"}}))
	a = b.get(a.page.Attr(".foot a", "href"))
	a.want(t, 200, "Choose a new password")
	if a.page.Attr("#email", "value") != "ian@initech.example" {
		t.Error("the address has to be typed again")
	}
	bad := b.post("/password/forgot", url.Values{"email": {"ian"}})
	if bad.StatusCode != 400 || bad.page.Attr("#email", "aria-invalid") != "true" {
		t.Errorf("got %d", bad.StatusCode)
	}
}

func (w *world) invite(host, who string) map[portal.LetterKind]portal.Letter {
	w.t.Helper()
	id, _, _ := strings.Cut(host, ".")
	_, err := w.store.Invite(w.t.Context(), portal.Visitor{}, portal.Invitation{Portal: id, Address: address(w.t, who), GivenName: "New"})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.letters()
}

// S10, by the link of the invitation.
func TestInvitation(t *testing.T) {
	w := newWorld(t)
	letters := w.invite(initech, "guest@consult.example")
	link := "/invitation?token=" + letters[portal.InvitationLetter].Token.Clear()
	temporary := letters[portal.TemporaryLetter].Temporary.Clear()

	b := w.browser(initech)
	b.do(httptest.NewRequest(http.MethodHead, link, nil))
	a := b.get(link)
	a.want(t, 200, "Welcome to Initech")
	if a.page.Attr("#username", "value") != "guest@consult.example" {
		t.Error("the page does not say who is invited")
	}
	wrong := b.submit(a, url.Values{"temporary": {temporary + " "}, "new": {betterPassword}, "confirm": {betterPassword}})
	if got := wrong.page.Text("#temporary-error"); !strings.Contains(got, "ends with a blank") {
		t.Errorf("the pasted blank is not named: %q", got)
	}
	b.submit(a, url.Values{"temporary": {""}, "new": {betterPassword}, "confirm": {betterPassword}}).want(t, 400, "Welcome to Initech")
	b.follow(b.submit(a, url.Values{"temporary": {temporary}, "new": {betterPassword}, "confirm": {betterPassword}})).want(t, 200, "Welcome, New")
	w.browser(initech).get(link).want(t, 403, "Sign in to Initech")
	w.browser(initech).signIn("guest@consult.example", betterPassword).want(t, 200, "Welcome, New")
}

// S10, by the sign-in page: the temporary password leads to its replacement and
// nowhere else.
func TestTemporaryPassword(t *testing.T) {
	w := newWorld(t)
	temporary := w.invite(initech, "guest@consult.example")[portal.TemporaryLetter].Temporary.Clear()

	b := w.browser(initech)
	a := b.follow(b.submit(b.follow(b.get("/account")), url.Values{"email": {"guest@consult.example"}}))
	blank := b.submit(a, url.Values{"password": {temporary + " "}})
	if got := blank.page.Text("#password-error"); !strings.Contains(got, "ends with a blank") {
		t.Errorf("the pasted blank is not named: %q", got)
	}
	a = b.follow(b.submit(a, url.Values{"password": {temporary}}))
	a.want(t, 200, "Choose your own password")
	if b.cookies[SessionCookie] != nil || b.signedIn() {
		t.Fatal("a temporary password makes a session")
	}
	for field, form := range map[string]url.Values{
		"temporary": {"temporary": {"wrong"}, "new": {betterPassword}, "confirm": {betterPassword}},
		"new":       {"temporary": {temporary}, "new": {"password"}, "confirm": {"password"}},
		"confirm":   {"temporary": {temporary}, "new": {betterPassword}, "confirm": {"other"}},
	} {
		wrong := b.submit(a, form)
		if wrong.StatusCode >= 500 || wrong.page.Attr("#"+field, "aria-invalid") != "true" || strings.Contains(wrong.body, temporary) {
			t.Errorf("%s: got %d, %q", field, wrong.StatusCode, wrong.page.Text(".summary"))
		}
	}
	b.follow(b.submit(a, url.Values{"temporary": {temporary}, "new": {betterPassword}, "confirm": {betterPassword}})).want(t, 200, "Licence and profile")

	again := w.browser(initech).signIn("guest@consult.example", temporary)
	again.want(t, 403, "Enter your password")
}

// S11: old, new, save.
func TestChangePassword(t *testing.T) {
	w := newWorld(t)
	b, other := w.browser(initech), w.browser(initech)
	b.signIn("ian@initech.example", goodPassword)
	other.signIn("ian@initech.example", goodPassword)
	a := b.get("/account/password")
	a.want(t, 200, "Change your password")
	for field, form := range map[string]url.Values{
		"old":     {"old": {"wrong"}, "new": {betterPassword}, "confirm": {betterPassword}},
		"new":     {"old": {goodPassword}, "new": {"initech"}, "confirm": {"initech"}},
		"confirm": {"old": {goodPassword}, "new": {betterPassword}, "confirm": {""}},
	} {
		wrong := b.submit(a, form)
		if wrong.StatusCode >= 500 || wrong.page.Attr("#"+field, "aria-invalid") != "true" {
			t.Errorf("%s: got %d, %q", field, wrong.StatusCode, wrong.page.Text(".summary"))
		}
	}
	before := b.cookies[SessionCookie].Value
	if told := b.get("/account/profile?changed=1").page.Text(".notice"); told != "" {
		t.Errorf("told %q before", told)
	}
	done := b.follow(b.submit(a, url.Values{"old": {goodPassword}, "new": {betterPassword}, "confirm": {betterPassword}}))
	done.want(t, 200, "Licence and profile")
	if told := done.page.Text(".notice"); !strings.Contains(told, "Your password is changed.") {
		t.Errorf("told %q", told)
	}
	if told := b.get("/account/profile").page.Text(".notice"); told != "" {
		t.Errorf("told %q again", told)
	}
	if b.cookies[SessionCookie].Value == before || other.signedIn() {
		t.Error("the session is the old one, or another goes on")
	}
}

func TestTwice(t *testing.T) {
	for _, tc := range []struct{ new, confirm, field string }{
		{"", "", "new"}, {"a", "", "confirm"}, {"a", "b", "confirm"}, {"a ", "a", "confirm"}, {"a", "a", ""},
	} {
		got := twice(tc.new, tc.confirm)
		if (got == nil) != (tc.field == "") || got != nil && (got.Field != tc.field || got.Kind != discovery.Invalid) {
			t.Errorf("%q %q: got %v", tc.new, tc.confirm, got)
		}
	}
}
