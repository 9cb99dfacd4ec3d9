package e2e

import "testing"

// TestF07Recovery: ian has lost his only second factor. He asks for help, Iris
// allows it, a link in his mailbox leads him back in, and what he had counts no
// more.
func TestF07Recovery(t *testing.T) {
	const ian, iris = "ian@initech.example", "iris@initech.example"
	d := startDemo(t)
	site := d.portal("Initech")
	old := browser(t, true)
	old.authenticator()
	d.signIn(old, "Initech", ian)
	d.addPasskey(old, "Telephone")

	both := func(b *tab) {
		b.t.Helper()
		b.open(site + "/login")
		b.fill("email", ian)
		b.press("Next")
		b.fill("password", d.passwords[ian])
		b.press("Sign in")
	}
	// The telephone is gone: this browser has never seen it, and runs no scripts.
	b := browser(t, false)
	both(b)
	b.sees("Confirm with your passkey")
	b.press("Lost every second factor?")
	b.sees("Lost every second factor?")
	b.press("Ask for help")
	b.sees("Your request was passed on")

	admin := browser(t, true)
	d.signIn(admin, "Initech", iris)
	admin.open(site + "/admin")
	admin.press("Recoveries")
	admin.sees(ian)
	admin.look("recoveries")
	admin.press("Allow")
	admin.sees("Allowed. The person has got a mail with a link")
	admin.sees("Nobody is waiting.")

	mine := d.letter(b, ian, "Back into your account")
	b.open(mine.link)
	b.sees("Back into your account")
	b.press("Sign in and start anew")
	b.fill("password", d.passwords[ian])
	b.press("Sign in")
	b.at(site, "/account/security")
	b.sees("You have none yet.")

	// The old browser is signed out, and the link is spent.
	old.open(site + "/")
	old.at(site, "/login")
	b.open(mine.link)
	b.sees("This link has been used")

	// The pages of the way, as people with scripts see them.
	c := browser(t, true)
	c.authenticator()
	d.signIn(c, "Initech", ian)
	d.addPasskey(c, "New telephone")
	c.signOut(d, "Initech")
	both(c)
	c.press("Lost every second factor?")
	c.look("recovery-ask")
	c.press("Ask for help")
	c.look("recovery-asked")
	withdraw := d.letter(c, ian, "Somebody says they lost every second factor")
	c.open(withdraw.link)
	c.look("recovery-cancel")
	c.press("It was not me")
	c.sees("The request is withdrawn")
	c.look("recovery-cancelled")
	admin.open(site + "/admin/recoveries")
	admin.sees("Nobody is waiting.")
}
