package e2e

import (
	"strings"
	"testing"
)

// TestS16MoveToAnotherProvider: Acme gets another identity provider. Its owner
// moves the domain, everybody keeps their account, and undoing brings the old way
// back. Then to passwords, and back.
func TestS16MoveToAnotherProvider(t *testing.T) {
	const ada = "ada@acme.example"
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		acme := d.portal("Acme Corporation")
		enter := func(b *tab, provider string) {
			b.open(acme + "/login")
			b.fill("email", ada)
			b.press("Next")
			d.atIDP(b, provider, ada)
			if provider == "/acme" {
				d.samlBack(b)
			}
			b.at(acme, "/")
			b.sees("You are signed in to")
		}
		owner := browser(t, scripts)
		enter(owner, "/acme")
		owner.open(acme + "/admin/connections")
		owner.look("connections")
		owner.sees("Acme sign-in (SAML)")
		owner.press("Move")
		owner.at(acme, "/admin/connections/acme.example/move")
		owner.look("move")
		owner.click("Acme’s new sign-in")
		owner.press("See what this means")
		owner.look("move-preview")
		owner.sees("Recognised by their address")
		owner.sees("Nobody has ever signed in through this connection")
		owner.press("Move acme.example")
		owner.sees("Tick this box if you want to move the domain all the same")
		owner.click("I know that this may lock me out")
		owner.press("Move acme.example")
		owner.sees("The domain is moved")
		owner.look("connections-moved")

		// Through the new provider, the same account: its list has both sessions.
		b := browser(t, scripts)
		enter(b, "/acme-new")
		b.arrived(acme, home{ada, "Acme Corporation", "EU", "Acme’s new sign-in"})
		b.open(acme + "/account/sessions")
		if got := b.texts(".devices h3"); len(got) != 2 {
			t.Errorf("sessions of the account: %q", got)
		}
		b.sees("Acme sign-in (SAML)")
		b.sees("Acme’s new sign-in (OpenID Connect)")

		owner.press("Undo")
		owner.sees("The move is undone")
		enter(browser(t, scripts), "/acme")

		// To a password of the portal: who has none gets a mail that leads to one.
		owner.press("Move")
		owner.click("A password of this portal")
		owner.press("See what this means")
		owner.sees("Without a way in")
		owner.click("I know that this may lock me out")
		owner.press("Move acme.example")
		owner.sees("The domain is moved")
		if l := d.letter(browser(t, scripts), ada, "You now sign in to Acme Corporation"); !strings.Contains(l.text, "You have no such password yet") {
			t.Errorf("the mail says: %s", l.text)
		}
		owner.press("Undo")
		owner.sees("The move is undone")
		enter(browser(t, scripts), "/acme")
	})
}
