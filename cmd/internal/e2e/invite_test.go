package e2e

import (
	"strings"
	"testing"
)

const iris = "iris@initech.example"

// console opens a page of the administrator's console of Initech.
func (d *demo) console(b *tab, path string) {
	b.t.Helper()
	b.open(d.portal("Initech") + path)
}

// TestS12Invite: an administrator invites one person, then a list; who is invited
// comes in with the two mails. A file is looked at, imported, and its people are
// there.
func TestS12Invite(t *testing.T) {
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		admin := browser(t, scripts)
		d.signIn(admin, "Initech", iris)
		d.console(admin, "/admin/users/invite")
		admin.sees("Invite somebody")
		admin.look("invite")
		admin.fill("email", "nora@initech.example")
		admin.fill("given_name", "Nora")
		admin.press("Invite")
		admin.sees("1 person was invited.")

		admin.press("Invite many people at once")
		admin.fill("people", "Otto Berg <otto@initech.example>\nno address\npia@initech.example, Pia, Lund")
		admin.press("Invite")
		admin.sees("2 people were invited.")
		admin.sees("1 line could not be done.")
		admin.look("invite-many")
		if left := admin.value("people"); left != "no address" {
			t.Errorf("left to be put right: %q", left)
		}

		invited := d.letter(admin, "nora@initech.example", "You are invited to Initech")
		temporary := d.letter(admin, "nora@initech.example", "Your temporary password for Initech")
		nora := browser(t, scripts)
		nora.open(invited.link)
		nora.sees("Welcome to Initech")
		nora.fill("temporary", temporary.temporary())
		nora.fill("new", "nine purple Kettles 77")
		nora.fill("confirm", "nine purple Kettles 77")
		nora.press("Save and sign in")
		nora.sees("You are signed in to Initech")

		d.console(admin, "/admin/users")
		admin.sees("Nora")
		d.importPeople(admin)
	})
}

// importPeople imports a pasted list, after looking at what it would do.
func (d *demo) importPeople(b *tab) {
	b.t.Helper()
	d.console(b, "/admin/users/import")
	b.look("import-file")
	b.fill("list", "Vorname;Nachname;E-Mail;Rolle\nRosa;Keller;rosa@initech.example;\nSven;;sven@elsewhere.example;\nTea;;tea@elsewhere.example;Gast")
	b.press("Check the list")
	b.sees("What the import would do")
	if added, failed := b.text("#added"), b.text("#failed"); added != "2" || failed != "1" {
		b.t.Errorf("%s would be added, %s are wrong", added, failed)
	}
	b.sees("The domain is not approved for this portal.")
	b.look("import-look")
	b.click("Only add them; invite later")
	b.press("Start the import")
	b.until("the import being done", func() (bool, error) { return b.says("The import is done.") })
	b.look("import-done")
	d.console(b, "/admin/users?q=rosa")
	b.sees("Rosa Keller")
	b.press("Rosa Keller")
	b.sees("It was not sent yet.")
	b.look("user-invited")
	b.press("Send the invitation")
	b.sees("It is valid until")
	b.press("Withdraw the invitation")
	b.sees("The invitation is withdrawn.")
}

// TestS14Sender: invitations come from a registered professional user's address,
// with words of the portal's own.
func TestS14Sender(t *testing.T) {
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		b := browser(t, scripts)
		d.signIn(b, "Initech", iris)
		d.console(b, "/admin/notifications")
		b.fill("sender", "nobody@initech.example")
		b.press("Save")
		b.sees("There is no account with this address in this portal.")
		b.look("notifications-wrong")
		b.fill("sender", "ian@initech.example")
		b.fill("contact", "the Initech help desk, extension 117")
		b.press("Save")
		b.sees("The settings are saved.")

		b.press("Mail texts")
		b.look("mails")
		d.console(b, "/admin/mails/invitation/en")
		b.fill("subject", "Welcome to secure mail at Initech")
		b.fill("opening", "We use <b>one</b> portal for everything confidential.")
		b.press("Preview")
		if got := b.text("#shown-subject"); got != "Welcome to secure mail at Initech" {
			t.Errorf("the preview’s subject is %q", got)
		}
		b.sees("We use <b>one</b> portal")
		b.look("mail-text")
		b.press("Save")
		b.sees("The text is saved.")

		d.console(b, "/admin/users/invite")
		b.fill("email", "nora@initech.example")
		b.press("Invite")
		b.sees("1 person was invited.")
		l := d.letter(b, "nora@initech.example", "Welcome to secure mail at Initech")
		if !strings.Contains(l.text, "We use <b>one</b> portal for everything confidential.") {
			t.Errorf("the letter says %q", l.text)
		}
		b.sees("ian@initech.example")

		stranger := browser(t, scripts)
		stranger.open(d.portal("Initech") + "/login")
		stranger.sees("the Initech help desk, extension 117")
	})
}

// TestS15KeepMeSignedInSwitchedOff: an administrator switches it off, and the
// sign-in page does not offer it any more.
func TestS15KeepMeSignedInSwitchedOff(t *testing.T) {
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		offered := func() bool {
			b := browser(t, scripts)
			b.open(d.portal("Initech") + "/login")
			b.fill("email", "ian@initech.example")
			b.press("Next")
			b.sees("Password")
			return b.has("#keep")
		}
		admin := browser(t, scripts)
		d.signIn(admin, "Initech", iris)
		d.console(admin, "/admin/policy")
		admin.look("policy")
		was := offered()
		admin.click("Offer “Keep me signed in”")
		admin.fill("password_min", "16")
		admin.press("Save")
		admin.sees("The settings are saved.")
		if now := offered(); now == was {
			t.Errorf("offered before: %t, and now: %t", was, now)
		}
	})
}

// TestS33ApprovedDomains: nobody becomes a member from a domain that is not
// approved; guests may come from anywhere.
func TestS33ApprovedDomains(t *testing.T) {
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		b := browser(t, scripts)
		d.signIn(b, "Initech", iris)
		invite := func(role string) {
			d.console(b, "/admin/users/invite")
			b.fill("email", "nora@partner.example")
			b.pick("role", role)
			b.press("Invite")
		}
		invite("Member")
		b.sees("The domain of this address is not approved for this portal.")
		d.console(b, "/admin/domains")
		b.sees("initech.example")
		b.fill("domain", "Partner.Example")
		b.press("Approve the domain")
		b.sees("The domain is approved.")
		invite("Member")
		b.sees("1 person was invited.")
		d.console(b, "/admin/domains")
		b.press("Remove partner.example")
		b.sees("1 account has its primary address there. It stays as it is, but nobody new can be added.")
		b.look("domains-remove")
		b.press("Remove")
		b.sees("The domain is not approved any more.")
		d.console(b, "/admin/users?q=nora")
		b.sees("nora@partner.example")
	})
}
