package e2e

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

// An app is an authenticator app, as somebody has it on the telephone. No code of
// it counts twice, so it tells the next one when the last was shown just now.
type app struct {
	key  string
	last int64
}

func (a *app) code(b *tab) string {
	b.t.Helper()
	at := time.Now()
	if step := at.Unix() / 30; step <= a.last {
		at = time.Unix((a.last+1)*30, 0) // what it will show in a moment: one step ahead counts
	}
	a.last = at.Unix() / 30
	code, err := totp.GenerateCode(a.key, at)
	if err != nil {
		b.t.Fatal(err)
	}
	return code
}

// addApp does what the help page says: account, security, add an app, scan or type
// the key, confirm.
func (d *demo) addApp(b *tab) *app {
	b.t.Helper()
	b.press("Your account")
	b.press("Security")
	b.press("Add an authenticator app")
	b.press("Show the key")
	a := b.app()
	b.look("totp-key")
	b.fill("code", a.code(b))
	b.fill("name", "Telephone")
	b.press("Confirm")
	b.sees("Your account has a new second factor.")
	return a
}

// app takes the key that a page shows.
func (b *tab) app() *app {
	b.t.Helper()
	return &app{key: strings.ReplaceAll(b.text("#key"), " ", "")}
}

// firstStep enters address and password, and stops there.
func (d *demo) firstStep(b *tab, portal, address string) {
	b.t.Helper()
	b.open(d.portal(portal) + "/login")
	b.fill("email", address)
	b.press("Next")
	b.fill("password", d.passwords[address])
	b.press("Sign in")
}

// TestS26SecondFactor: a person turns the second step on, is asked for it from
// then on, and turns it off again.
func TestS26SecondFactor(t *testing.T) {
	const ian = "ian@initech.example"
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		b := browser(t, scripts)
		d.signIn(b, "Initech", ian)
		b.press("Your account")
		b.press("Security")
		b.look("security-none")
		b.press("Add an authenticator app")
		b.look("totp-begin")
		b.press("Back")
		b.open(d.portal("Initech") + "/")
		a := d.addApp(b)
		b.look("security")
		d.letter(b, ian, "has a new second factor")
		b.signOut(d, "Initech")

		d.firstStep(b, "Initech", ian)
		b.at(d.portal("Initech"), "/login/factor")
		b.look("factor")
		b.fill("code", "000000")
		b.press("Sign in")
		b.sees("This code is not right")
		b.look("factor-wrong")
		b.fill("code", a.code(b))
		b.press("Sign in")
		b.arrived(d.portal("Initech"), home{ian, "Initech", "CA", "Your password"})

		b.press("Your account")
		b.press("Security")
		b.press("Remove")
		b.sees("Remove this second factor?")
		b.look("factor-remove")
		b.press("Remove")
		b.sees("The second factor is removed.")
		d.letter(b, ian, "A second factor of your account")
		b.signOut(d, "Initech")
		d.signIn(b, "Initech", ian)
	})
}

// TestF07TOTP: no code counts twice, also not in another browser.
func TestF07TOTP(t *testing.T) {
	const ian = "ian@initech.example"
	d := startDemo(t)
	b := browser(t, true)
	d.signIn(b, "Initech", ian)
	a := d.addApp(b)
	code := a.code(b)
	first, second := browser(t, true), browser(t, true)
	d.firstStep(first, "Initech", ian)
	d.firstStep(second, "Initech", ian)
	first.fill("code", code)
	first.press("Sign in")
	first.at(d.portal("Initech"), "/")
	second.fill("code", code)
	second.press("Sign in")
	second.sees("has been used already")
	second.open(d.portal("Initech") + "/account/security")
	second.at(d.portal("Initech"), "/login")
}

// TestF07RecoveryCodes: ten codes are drawn, kept, and one of them stands in for the
// lost telephone, once.
func TestF07RecoveryCodes(t *testing.T) {
	const ian = "ian@initech.example"
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		b := browser(t, scripts)
		d.signIn(b, "Initech", ian)
		d.addApp(b)
		b.press("Make recovery codes")
		b.look("codes-none")
		b.press("Make ten new codes")
		b.look("codes")
		codes := b.texts("#codes code")
		if len(codes) != 10 {
			t.Fatalf("%d codes", len(codes))
		}
		b.press("I have kept them")
		b.sees("10 are left")
		b.signOut(d, "Initech")

		d.firstStep(b, "Initech", ian)
		b.press("Use a recovery code")
		b.look("factor-code")
		b.fill("code", strings.ToUpper(codes[3]))
		b.press("Sign in")
		b.sees("9 are left")
		b.look("code-used")
		b.press("Go on")
		b.at(d.portal("Initech"), "/")
		b.signOut(d, "Initech")

		d.firstStep(b, "Initech", ian)
		b.press("Use a recovery code")
		b.fill("code", codes[3])
		b.press("Sign in")
		b.sees("has been used already")
	})
}

// TestF07TrustThisBrowser: a browser that is trusted is spared the second step,
// until nobody is trusted any more.
func TestF07TrustThisBrowser(t *testing.T) {
	const ian = "ian@initech.example"
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		b := browser(t, scripts)
		d.signIn(b, "Initech", ian)
		a := d.addApp(b)
		b.signOut(d, "Initech")
		d.firstStep(b, "Initech", ian)
		b.click("Trust this browser for 30 days")
		b.fill("code", a.code(b))
		b.press("Sign in")
		b.at(d.portal("Initech"), "/")
		b.signOut(d, "Initech")
		d.signIn(b, "Initech", ian) // no second step
		b.press("Your account")
		b.press("Security")
		if n := b.text("#trusted"); !strings.HasPrefix(n, "1") {
			t.Errorf("trusted browsers: %q", n)
		}
		b.press("Stop trusting all browsers")
		b.sees("No browser is trusted any more")
		b.signOut(d, "Initech")
		d.firstStep(b, "Initech", ian)
		b.at(d.portal("Initech"), "/login/factor")
	})
}

// TestF07StepUp: a sensitive page asks again who one is: for the password, or at
// the organisation's own provider, which is told to ask anew.
func TestF07StepUp(t *testing.T) {
	t.Run("password", func(t *testing.T) {
		const ian = "ian@initech.example"
		d := startDemo(t)
		b := browser(t, true)
		d.signIn(b, "Initech", ian)
		b.open(d.portal("Initech") + "/account/confirm")
		b.look("confirm-password")
		before, _ := b.cookie("__Host-session")
		b.fill("password", "not this one")
		b.press("Confirm")
		b.sees("There is a problem")
		b.fill("password", d.passwords[ian])
		b.press("Confirm")
		b.at(d.portal("Initech"), "/")
		after, ok := b.cookie("__Host-session")
		if !ok || before == nil || after.Value == before.Value {
			t.Error("the session goes on under the old name")
		}
	})
	for _, idp := range []struct{ name, portal, who, path string }{
		{"SAML", "Acme Corporation", "ada@acme.example", "/acme/saml/sso"},
		{"OpenID Connect", "Globex", "gus@globex.example", "/globex/authorize"},
	} {
		t.Run(idp.name, func(t *testing.T) {
			d := startDemo(t)
			b := browser(t, true)
			there := func() {
				t.Helper()
				d.atIDP(b, idp.path, idp.who)
				if idp.name == "SAML" {
					d.samlBack(b)
				}
			}
			b.open(d.portal(idp.portal) + "/login")
			b.fill("email", idp.who)
			b.press("Next")
			there()
			b.at(d.portal(idp.portal), "/")
			before, _ := b.cookie("__Host-session")
			b.open(d.portal(idp.portal) + "/account/confirm")
			b.look("confirm-domain")
			b.press("Sign in again at")
			there()
			b.at(d.portal(idp.portal), "/")
			after, ok := b.cookie("__Host-session")
			if !ok || before == nil || after.Value == before.Value {
				t.Error("the session goes on under the old name")
			}
		})
	}
}

// TestF07PolicyDemandsFactor: an owner decides that everybody needs a second factor;
// the next person who signs in sets one up on the way.
func TestF07PolicyDemandsFactor(t *testing.T) {
	const iris, ian = "iris@initech.example", "ian@initech.example"
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		owner := browser(t, scripts)
		d.signIn(owner, "Initech", iris)
		owner.open(d.portal("Initech") + "/admin/policy")
		owner.pick("second_factor", "Everybody")
		owner.press("Save")

		b := browser(t, scripts)
		d.firstStep(b, "Initech", ian)
		b.at(d.portal("Initech"), "/login/enrol")
		b.sees("Set up a second step")
		b.look("enrol")
		b.press("An authenticator app")
		b.press("Show the key")
		b.look("enrol-totp")
		a := b.app()
		b.fill("code", a.code(b))
		b.press("Confirm")
		b.arrived(d.portal("Initech"), home{ian, "Initech", "CA", "Your password"})
		b.press("Your account")
		b.press("Security")
		b.press("Remove")
		b.sees("This portal demands a second factor")
	})
}

// textCode waits for a text message that was not seen yet, and reads its code.
func (d *demo) textCode(b *tab, seen *string) string {
	b.t.Helper()
	b.open(d.mail + "/")
	var code string
	b.until("a text message", func() (bool, error) {
		href, err := eval[string](b, `([...document.querySelectorAll("#messages a")].find(a => a.innerText.includes("Text message")) || {href: ""}).href`)
		if err != nil {
			return false, err
		}
		if href == "" || href == *seen {
			b.press("Look again")
			return false, nil
		}
		*seen = href
		b.open(href)
		code = sixDigits.FindString(b.text("#text"))
		return code != "", nil
	})
	return code
}

var sixDigits = regexp.MustCompile(`\b\d{3} ?\d{3}\b`)

// TestS26SMS: codes by SMS are set up, and asked for from then on.
func TestS26SMS(t *testing.T) {
	const ian = "ian@initech.example"
	d := startDemo(t)
	b := browser(t, true)
	d.signIn(b, "Initech", ian)
	b.press("Your account")
	b.press("Security")
	b.press("Add codes by SMS")
	b.look("sms-begin")
	b.fill("cell", "123")
	b.press("Send a code")
	b.sees("There is a problem")
	b.fill("cell", "+41 79 123 45 67")
	b.fill("name", "Telephone")
	b.press("Send a code")
	b.look("sms-code")
	there, seen := browser(t, true), ""
	b.fill("code", d.textCode(there, &seen))
	b.press("Confirm")
	b.sees("Your account has a new second factor.")
	b.signOut(d, "Initech")

	d.firstStep(b, "Initech", ian)
	b.sees("We send a code to your telephone.")
	b.look("factor-sms")
	b.press("Send a code to •••• 67")
	b.look("factor-sms-sent")
	b.fill("code", d.textCode(there, &seen))
	b.press("Sign in")
	b.arrived(d.portal("Initech"), home{ian, "Initech", "CA", "Your password"})
}
