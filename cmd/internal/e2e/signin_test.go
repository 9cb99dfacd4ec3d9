package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// find types an address into the front door.
func (d *demo) find(b *tab, address string) {
	b.t.Helper()
	b.open(d.url + "/")
	b.look("front")
	b.fill("email", address)
	b.press("Next")
}

// atIDP signs in at one of the demo's identity providers.
func (d *demo) atIDP(b *tab, path, address string) {
	b.t.Helper()
	b.at(d.idp, path)
	if got := b.value("email"); got != address {
		b.t.Errorf("the identity provider was told %q, want the address that was typed, %q", got, address)
	}
	b.fill("password", d.passwords[address])
	b.press("Sign in")
}

// samlBack goes back from a SAML identity provider: by script, or by the button
// where there are none.
func (d *demo) samlBack(b *tab) {
	b.t.Helper()
	if !b.scripts {
		b.press("Continue")
	}
}

// home is what the signed-in home must say.
type home struct {
	Address, Portal, Jurisdiction, Method string
}

// arrived checks that the tab shows the home of a portal.
func (b *tab) arrived(site string, want home) {
	b.t.Helper()
	b.at(site, "/")
	b.sees("You are signed in to")
	first := func(css string) string { return b.text(css) }
	got := home{first("#address"), want.Portal, first("#jurisdiction"), first("#method")}
	if !strings.HasPrefix(first("#portal"), want.Portal+" "+strings.TrimPrefix(site, "http://")) {
		got.Portal = first("#portal")
	}
	if strings.HasPrefix(got.Jurisdiction, want.Jurisdiction) {
		got.Jurisdiction = want.Jurisdiction
	}
	if strings.Contains(got.Method, want.Method) {
		got.Method = want.Method
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Errorf("home of %s (-want +got)\n%s", site, diff)
	}
	if !b.has("#ends time") {
		b.t.Error("home does not say when the session ends")
	}
}

// TestSAML: ada → SAML → EU portal (S03, S06).
func TestSAML(t *testing.T) {
	d := startDemo(t)
	both(t, func(t *testing.T, scripts bool) {
		b := browser(t, scripts)
		d.find(b, "ada@acme.example")
		b.look("idp-saml")
		d.atIDP(b, "/acme", "ada@acme.example")
		d.samlBack(b)
		b.arrived(d.portal("Acme Corporation"), home{"ada@acme.example", "Acme Corporation", "EU", "SAML"})
		b.look("home-saml")
		b.press("Your account")
		b.press("Sessions and apps")
		b.sees("This session")
		b.look("account-saml")
	})
}

// TestOIDC: gus → OIDC → US portal.
func TestOIDC(t *testing.T) {
	d := startDemo(t)
	both(t, func(t *testing.T, scripts bool) {
		b := browser(t, scripts)
		d.find(b, "gus@globex.example")
		b.look("idp-oidc")
		d.atIDP(b, "/globex", "gus@globex.example")
		b.arrived(d.portal("Globex"), home{"gus@globex.example", "Globex", "US", "OpenID Connect"})
		b.look("home-oidc")
		b.press("Sign out")
		b.sees("may still know you here")
		b.look("signedout-oidc")
		b.press("Sign out of my organisation")
		b.at(d.idp, "/globex")
		b.open(d.portal("Globex") + "/")
		b.at(d.portal("Globex"), "/login")
	})
}

// TestPassword: ian → password → CA portal.
func TestPassword(t *testing.T) {
	d := startDemo(t)
	both(t, func(t *testing.T, scripts bool) {
		b := browser(t, scripts)
		d.find(b, "ian@initech.example")
		b.at(d.portal("Initech"), "/login/password")
		b.look("password")
		if u := b.url().String(); strings.Contains(u, "ian") || strings.Contains(u, "ticket") {
			t.Errorf("the URL says more than it should: %s", u)
		}
		b.fill("password", "not the password")
		b.press("Sign in")
		b.sees("There is a problem")
		b.look("password-wrong")
		b.fill("password", d.passwords["ian@initech.example"])
		b.enter("password")
		b.arrived(d.portal("Initech"), home{"ian@initech.example", "Initech", "CA", "Your password"})
		b.look("home-password")
	})
}

// TestCloudOrDomain: uma has the choice (S09).
func TestCloudOrDomain(t *testing.T) {
	d := startDemo(t)
	const uma = "uma@umbrella.example"
	both(t, func(t *testing.T, scripts bool) {
		cloud := browser(t, scripts)
		d.find(cloud, uma)
		cloud.sees("How would you like to sign in?")
		cloud.look("method")
		cloud.press("Cloud")
		cloud.fill("password", d.passwords[uma])
		cloud.press("Sign in")
		cloud.arrived(d.portal("Umbrella"), home{uma, "Umbrella", "EU", "Your password"})

		domain := browser(t, scripts)
		d.find(domain, uma)
		domain.press("Domain")
		d.atIDP(domain, "/umbrella", uma)
		d.samlBack(domain)
		domain.arrived(d.portal("Umbrella"), home{uma, "Umbrella", "EU", "SAML"})
	})
}

// TestChooser: max is registered with three portals (S04).
func TestChooser(t *testing.T) {
	d := startDemo(t)
	const max = "max@consult.example"
	want := []home{
		{max, "Acme Corporation", "EU", "Your password"},
		{max, "Globex", "US", "Your password"},
		{max, "Initech", "CA", "Your password"},
	}
	both(t, func(t *testing.T, scripts bool) {
		for _, w := range want {
			b := browser(t, scripts)
			d.find(b, max)
			b.sees("Choose an organisation")
			b.look("chooser")
			for i, choice := range b.texts("button.choice") {
				if c := want[i]; !strings.HasPrefix(choice, c.Portal) || !strings.HasSuffix(choice, c.Jurisdiction) ||
					!strings.Contains(choice, strings.TrimPrefix(d.portal(c.Portal), "http://")) {
					t.Errorf("choice %d is %q, want name, host and jurisdiction of %s", i, choice, c.Portal)
				}
			}
			b.press(w.Portal)
			b.fill("password", d.passwords[max])
			b.press("Sign in")
			b.arrived(d.portal(w.Portal), w)
		}
	})
}

// TestUnknown: nobody's address leads to the neutral page, which helps on
// without telling and offers no password reset (S01, S05).
func TestUnknown(t *testing.T) {
	d := startDemo(t)
	both(t, func(t *testing.T, scripts bool) {
		b := browser(t, scripts)
		d.find(b, "nobody@nowhere.example")
		b.at(d.url, "/")
		if b.answer() != http.StatusOK {
			t.Errorf("status %d, want 200", b.answer())
		}
		b.sees("waiting for an invitation")
		b.sees("Only your organisation’s own sign-in page can help")
		b.look("neutral")
		if slices.ContainsFunc(b.texts("a, button"), func(s string) bool { return strings.Contains(s, "password") }) {
			t.Error("the global page offers a password reset")
		}
		b.fill("email", "not an address")
		b.press("Try this address")
		b.sees("There is a problem")
		b.look("front-wrong")
		if b.answer() != http.StatusBadRequest {
			t.Errorf("status %d, want 400", b.answer())
		}
	})
}

// TestDirect: each portal has a sign-in page of its own (S02, S06, S09).
func TestDirect(t *testing.T) {
	d := startDemo(t)
	both(t, func(t *testing.T, scripts bool) {
		direct := func(portal, address string) *tab {
			b := browser(t, scripts)
			b.open(d.portal(portal) + "/")
			b.at(d.portal(portal), "/login")
			b.look("login")
			b.fill("email", address)
			b.press("Next")
			return b
		}
		b := direct("Acme Corporation", "ada@acme.example")
		d.atIDP(b, "/acme", "ada@acme.example")
		d.samlBack(b)
		b.arrived(d.portal("Acme Corporation"), home{"ada@acme.example", "Acme Corporation", "EU", "SAML"})

		b = direct("Globex", "gus@globex.example")
		d.atIDP(b, "/globex", "gus@globex.example")
		b.arrived(d.portal("Globex"), home{"gus@globex.example", "Globex", "US", "OpenID Connect"})

		b = direct("Initech", "ian@initech.example")
		b.fill("password", d.passwords["ian@initech.example"])
		b.press("Sign in")
		b.arrived(d.portal("Initech"), home{"ian@initech.example", "Initech", "CA", "Your password"})

		b = direct("Umbrella", "uma@umbrella.example")
		b.press("Domain")
		d.atIDP(b, "/umbrella", "uma@umbrella.example")
		d.samlBack(b)
		b.arrived(d.portal("Umbrella"), home{"uma@umbrella.example", "Umbrella", "EU", "SAML"})

		b = direct("Initech", "dan@initech.example") // disabled (S13)
		b.fill("password", d.passwords["dan@initech.example"])
		b.press("Sign in")
		b.at(d.portal("Initech"), "/login")
		b.mustNotSay("You are signed in to")
	})
}

// TestJustInTime: alan's first sign-in makes his account, and the front door
// then finds him.
func TestJustInTime(t *testing.T) {
	d := startDemo(t)
	b := browser(t, true)
	d.find(b, "alan@acme.example")
	d.atIDP(b, "/acme", "alan@acme.example")
	b.arrived(d.portal("Acme Corporation"), home{"alan@acme.example", "Acme Corporation", "EU", "SAML"})
	b.sees("Welcome, Alan")
}
