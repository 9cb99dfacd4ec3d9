package e2e

import (
	"net/http"
	"testing"
)

// TestSignOut: afterwards neither Back nor the address shows anything.
func TestSignOut(t *testing.T) {
	const ian = "ian@initech.example"
	d := startDemo(t)
	initech := d.portal("Initech")
	both(t, func(t *testing.T, scripts bool) {
		b := browser(t, scripts)
		d.signIn(b, "Initech", ian)
		b.open(initech + "/logout") // a GET asks
		b.look("signout")
		b.press("Stay signed in")
		b.press("Sign out")
		b.sees("You are signed out")
		b.look("signedout")
		b.back()
		b.at(initech, "/login")
		b.mustNotSay("You are signed in to")
		b.mustNotSay(ian)
		b.open(initech + "/account")
		b.at(initech, "/login")
	})
}

// TestSignOutElsewhere: "everywhere" ends the sessions of other browsers too.
func TestSignOutElsewhere(t *testing.T) {
	const ian = "ian@initech.example"
	d := startDemo(t)
	initech := d.portal("Initech")
	both(t, func(t *testing.T, scripts bool) {
		here, there := browser(t, scripts), browser(t, scripts)
		d.signIn(here, "Initech", ian)
		d.signIn(there, "Initech", ian)
		here.open(initech + "/account/sessions")
		here.press("Sign out everywhere")
		here.sees("You are signed out")
		here.look("signedout-everywhere")
		there.open(initech + "/account")
		there.at(initech, "/login")
	})
}

// TestPageFirstAskedFor: one lands where one wanted to go, by each way in.
func TestPageFirstAskedFor(t *testing.T) {
	d := startDemo(t)
	acme, initech := d.portal("Acme Corporation"), d.portal("Initech")
	both(t, func(t *testing.T, scripts bool) {
		b := browser(t, scripts)
		b.open(initech + "/account")
		b.at(initech, "/login")
		b.fill("email", "ian@initech.example")
		b.press("Next")
		b.fill("password", "wrong")
		b.press("Sign in") // a mistake on the way loses nothing
		b.fill("password", d.passwords["ian@initech.example"])
		b.press("Sign in")
		b.at(initech, "/account")
		b.sees("Licence and profile")

		b = browser(t, scripts)
		b.open(acme + "/account")
		b.fill("email", "ada@acme.example")
		b.press("Next")
		d.atIDP(b, "/acme", "ada@acme.example")
		d.samlBack(b)
		b.at(acme, "/account")
		b.sees("Licence and profile")
	})
}

// TestTwoTabs: two sign-ins at once in one browser do not disturb each other,
// neither at two portals nor at one.
func TestTwoTabs(t *testing.T) {
	d := startDemo(t)
	acme, initech := d.portal("Acme Corporation"), d.portal("Initech")
	both(t, func(t *testing.T, scripts bool) {
		one := browser(t, scripts)
		two := one.another()
		d.find(one, "ada@acme.example")
		d.find(two, "ian@initech.example")
		one.at(d.idp, "/acme")
		two.at(initech, "/login/password")
		d.atIDP(one, "/acme", "ada@acme.example")
		two.fill("password", d.passwords["ian@initech.example"])
		two.press("Sign in")
		d.samlBack(one)
		one.arrived(acme, home{"ada@acme.example", "Acme Corporation", "EU", "SAML"})
		two.arrived(initech, home{"ian@initech.example", "Initech", "CA", "Your password"})

		// The same portal twice: the first answer counts, the second finds the
		// person signed in.
		one = browser(t, scripts)
		two = one.another()
		for _, b := range []*tab{one, two} {
			b.open(acme + "/account")
			b.fill("email", "ada@acme.example")
			b.press("Next")
			b.at(d.idp, "/acme")
		}
		for _, b := range []*tab{one, two} {
			d.atIDP(b, "/acme", "ada@acme.example")
			d.samlBack(b)
			b.at(acme, "/account")
			b.sees("ada@acme.example")
		}
	})
}

// TestKeepMeSignedIn: the session outlives the browser only when asked to (S15).
func TestKeepMeSignedIn(t *testing.T) {
	d := startDemo(t)
	initech := d.portal("Initech")
	both(t, func(t *testing.T, scripts bool) {
		for _, keep := range []bool{false, true} {
			b := browser(t, scripts)
			b.open(initech + "/login")
			b.fill("email", "ian@initech.example")
			b.press("Next")
			if keep {
				b.click("Keep me signed in")
			}
			b.fill("password", d.passwords["ian@initech.example"])
			b.press("Sign in")
			b.sees("You are signed in to")
			c, ok := b.cookie("__Host-session")
			if !ok {
				t.Fatal("no session cookie")
			}
			if c.Session == keep {
				t.Errorf("with keep %v the cookie lasts for the browser's session only: %v", keep, c.Session)
			}
			if !c.Secure || !c.HTTPOnly || c.SameSite != "Lax" || c.Path != "/" {
				t.Errorf("session cookie %+v", c)
			}
		}
	})
}

// TestRemember: the front door offers the portal of the last sign-in, after the
// person said so, and forgets it again.
func TestRemember(t *testing.T) {
	d := startDemo(t)
	both(t, func(t *testing.T, scripts bool) {
		b := browser(t, scripts)
		d.signIn(b, "Initech", "ian@initech.example")
		b.press("Remember this portal")
		b.at(d.url, "/remember")
		b.look("remember")
		b.press("Yes, remember it")
		b.at(d.url, "/")
		b.sees("Continue to Initech")
		b.look("front-remembered")
		b.mustNotSay("ian@initech.example")
		b.press("Continue to Initech")
		b.at(d.portal("Initech"), "/")
		b.open(d.url + "/")
		b.press("Forget this on this device")
		b.mustNotSay("Continue to Initech")
	})
}

// TestDeadEnds: pages that are not there say so in the same house style.
func TestDeadEnds(t *testing.T) {
	d := startDemo(t)
	acme := d.portal("Acme Corporation")
	for _, c := range []struct {
		name, url string
		status    int
	}{
		{"front-404", d.url + "/nothing", http.StatusNotFound},
		{"portal-404", acme + "/nothing", http.StatusNotFound},
		{"ticket-refused", acme + "/login?ticket=stale", http.StatusForbidden},
		{"nobody", "http://nobody.eu" + acme[len("http://acme.eu"):] + "/", http.StatusMisdirectedRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := browser(t, true)
			b.open(c.url)
			if b.answer() != c.status {
				t.Errorf("status %d, want %d", b.answer(), c.status)
			}
			b.sees("Reference")
			b.look(c.name)
		})
	}
}

// TestIDPRefuses: whoever turns back at the identity provider is told so, and
// can try again.
func TestIDPRefuses(t *testing.T) {
	d := startDemo(t)
	both(t, func(t *testing.T, scripts bool) {
		b := browser(t, scripts)
		d.find(b, "ada@acme.example")
		b.at(d.idp, "/acme")
		b.press("Cancel")
		d.samlBack(b)
		b.at(d.portal("Acme Corporation"), "/saml/")
		b.sees("Reference")
		b.look("saml-refused")

		b = browser(t, scripts)
		d.find(b, "gus@globex.example")
		b.at(d.idp, "/globex")
		b.press("Cancel")
		b.at(d.portal("Globex"), "/oidc/")
		b.sees("Reference")
		b.look("oidc-refused")
	})
}
