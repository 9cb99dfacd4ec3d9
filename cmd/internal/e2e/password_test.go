package e2e

import (
	"testing"
)

const better = "correct horse battery 7 staple"

// TestForgottenPassword: only the portal resets a password, by a mail whose link
// works once (S05).
func TestForgottenPassword(t *testing.T) {
	const ian = "ian@initech.example"
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		initech := d.portal("Initech")

		elsewhere := browser(t, scripts) // signed in before, and out afterwards
		d.signIn(elsewhere, "Initech", ian)

		b := browser(t, scripts)
		b.open(initech + "/login")
		b.fill("email", ian)
		b.press("Next")
		b.press("I forgot my password")
		b.look("forgot")
		b.fill("email", ian)
		b.press("Send the link")
		b.sees("Look into your mailbox")
		b.look("forgot-sent")

		l := d.letter(b, ian, "Choose a new password")
		b.open(l.link)
		b.look("reset")
		b.open(l.link) // looking uses nothing up
		b.fill("new", "short")
		b.fill("confirm", "short")
		b.press("Save the new password")
		b.sees("There is a problem")
		b.look("reset-wrong")
		b.fill("new", better)
		b.fill("confirm", better)
		b.press("Save the new password")
		b.sees("Your password is changed")
		b.look("reset-done")

		elsewhere.open(initech + "/account")
		elsewhere.at(initech, "/login")

		b.open(l.link)
		b.mustNotSay("Save the new password")
		b.look("reset-spent")

		b.open(initech + "/login")
		b.fill("email", ian)
		b.press("Next")
		b.fill("password", d.passwords[ian])
		b.press("Sign in")
		b.sees("There is a problem")
		b.fill("password", better)
		b.press("Sign in")
		b.arrived(initech, home{ian, "Initech", "CA", "Your password"})
	})
}

// TestForgottenPasswordTellsNothing: the page says the same for everybody. Who
// signs in elsewhere, or was never here, is told by mail or not at all.
func TestForgottenPasswordTellsNothing(t *testing.T) {
	d := startDemo(t)
	for _, who := range []string{"dan@initech.example", "nobody@nowhere.example"} {
		b := browser(t, true)
		b.open(d.portal("Initech") + "/password/forgot")
		b.fill("email", who)
		b.press("Send the link")
		b.sees("Look into your mailbox")
		b.sees("If " + who + " has a password")
	}
}

// signIn signs a person in at a portal directly, with a password.
func (d *demo) signIn(b *tab, portal, address string) {
	b.t.Helper()
	b.open(d.portal(portal) + "/login")
	b.fill("email", address)
	b.press("Next")
	b.fill("password", d.passwords[address])
	b.press("Sign in")
	b.at(d.portal(portal), "/")
	b.sees("You are signed in to")
}

// TestFirstSignIn: ivy was invited. She has a temporary password, pastes it with
// a trailing blank, is told so, and must choose her own on the way in (S10, S12).
func TestFirstSignIn(t *testing.T) {
	const ivy = "ivy@initech.example"
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		b := browser(t, scripts)
		temporary := d.letter(b, ivy, "Your temporary password").temporary()
		if temporary == "" {
			t.Fatal("no temporary password in the mail")
		}
		d.find(b, ivy) // an invited person is found from the first moment
		b.at(d.portal("Initech"), "/login/password")
		b.fill("password", temporary+" ")
		b.press("Sign in")
		b.sees("ends with a blank")
		b.look("password-blank")
		b.fill("password", temporary)
		b.press("Sign in")
		b.at(d.portal("Initech"), "/password/change")
		b.look("change")

		b.fill("temporary", temporary+" ")
		b.fill("new", better)
		b.fill("confirm", better)
		b.press("Save and sign in")
		b.sees("ends with a blank")
		b.look("change-blank")

		b.fill("temporary", temporary)
		b.fill("new", better+" ")
		b.fill("confirm", better)
		b.press("Save and sign in")
		b.sees("differ by a blank")

		b.fill("temporary", temporary)
		b.fill("new", temporary)
		b.fill("confirm", temporary)
		b.press("Save and sign in")
		b.sees("There is a problem")

		b.fill("temporary", temporary)
		b.fill("new", better)
		b.fill("confirm", better)
		b.press("Save and sign in")
		b.arrived(d.portal("Initech"), home{ivy, "Initech", "CA", "Your password"})

		again := browser(t, scripts)
		d.find(again, ivy)
		again.fill("password", temporary)
		again.press("Sign in")
		again.sees("There is a problem")
		again.fill("password", better)
		again.press("Sign in")
		again.arrived(d.portal("Initech"), home{ivy, "Initech", "CA", "Your password"})
	})
}

// TestInvitation: the link in the invitation leads to one page with all of it.
func TestInvitation(t *testing.T) {
	const ivy = "ivy@initech.example"
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		b := browser(t, scripts)
		temporary := d.letter(b, ivy, "Your temporary password").temporary()
		invitation := d.letter(b, ivy, "You are invited")
		b.open(invitation.link)
		if got := b.value("username"); got != ivy {
			t.Errorf("the invitation is for %q", got)
		}
		b.sees("CA")
		b.look("invitation")
		b.fill("temporary", temporary+" ")
		b.fill("new", better)
		b.fill("confirm", better)
		b.press("Save and sign in")
		b.sees("ends with a blank")
		b.look("invitation-wrong")
		b.fill("temporary", temporary)
		b.fill("new", better)
		b.fill("confirm", better)
		b.press("Save and sign in")
		b.arrived(d.portal("Initech"), home{ivy, "Initech", "CA", "Your password"})

		other := browser(t, scripts)
		other.open(invitation.link)
		other.mustNotSay("Welcome to")
		other.look("invitation-spent")
	})
}

// TestChangePassword: one's own, from the account page (S11).
func TestChangePassword(t *testing.T) {
	const ian = "ian@initech.example"
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		b := browser(t, scripts)
		d.signIn(b, "Initech", ian)
		b.press("Your account")
		b.press("Security")
		b.look("account-password")
		b.press("Change your password")
		b.look("account-password-change")
		b.fill("old", d.passwords[ian])
		b.fill("new", better)
		b.fill("confirm", better)
		b.press("Save")
		b.at(d.portal("Initech"), "/account")

		again := browser(t, scripts)
		d.find(again, ian)
		again.fill("password", better)
		again.press("Sign in")
		again.arrived(d.portal("Initech"), home{ian, "Initech", "CA", "Your password"})
	})
}
