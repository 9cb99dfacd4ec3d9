package e2e

import (
	"strings"
	"testing"
)

const (
	consoleIan  = "ian@initech.example"
	consoleIris = "iris@initech.example"
)

// administer signs Initech's owner in and opens the administrator's console.
func (d *demo) administer(b *tab) {
	b.t.Helper()
	d.signIn(b, "Initech", consoleIris)
	b.press("Administration")
	b.at(d.portal("Initech"), "/admin")
}

// userWindow opens the window of one person, as the help says: search, then choose.
func (d *demo) userWindow(b *tab, words, name string) {
	b.t.Helper()
	b.open(d.portal("Initech") + "/admin/users")
	b.fill("q", words)
	b.press("Show")
	b.press(name)
	b.sees("Primary address")
}

// TestS11OwnPasswordFromTheConsole: old, new, save.
func TestS11OwnPasswordFromTheConsole(t *testing.T) {
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		b := browser(t, scripts)
		d.administer(b)
		b.look("console")
		b.press("change your password")
		b.fill("old", d.passwords[consoleIris])
		b.fill("new", better)
		b.fill("confirm", better)
		b.press("Save")
		b.sees("Your password is changed")

		again := browser(t, scripts)
		again.open(d.portal("Initech") + "/login")
		again.fill("email", consoleIris)
		again.press("Next")
		again.fill("password", better)
		again.press("Sign in")
		again.press("Administration")
		again.sees("Administration of Initech")
	})
}

// TestS13DisableAndEnable: a person is never deleted. Disabled they cannot sign
// in and are not counted; enabled, all is as it was.
func TestS13DisableAndEnable(t *testing.T) {
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		ian := browser(t, scripts)
		d.signIn(ian, "Initech", consoleIan)

		b := browser(t, scripts)
		d.administer(b)
		d.userWindow(b, "ian", "Ian Fleming")
		b.look("user")
		b.sees("Nothing is deleted")
		b.press("Disable this account")
		b.sees("The account is disabled.")
		b.sees("Not counted")
		b.look("user-disabled")

		ian.open(d.portal("Initech") + "/")
		ian.at(d.portal("Initech"), "/login")
		ian.fill("email", consoleIan)
		ian.press("Next")
		ian.fill("password", d.passwords[consoleIan])
		ian.press("Sign in")
		ian.sees("There is a problem")

		b.press("Enable this account")
		b.sees("The account is enabled again.")
		ian.fill("password", d.passwords[consoleIan])
		ian.press("Sign in")
		ian.arrived(d.portal("Initech"), home{consoleIan, "Initech", "CA", "Your password"})
	})
}

// TestS32AdministratorEditsAUser: the profile and the security of somebody else.
func TestS32AdministratorEditsAUser(t *testing.T) {
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		b := browser(t, scripts)
		d.administer(b)
		d.userWindow(b, "fleming", "Ian Fleming")
		b.press("Profile")
		b.fill("family_name", "Flémington")
		b.look("user-profile")
		b.press("Save")
		b.sees("The profile is saved.")
		b.sees("Ian Flémington")
		b.press("Security")
		b.at(d.portal("Initech"), b.url().Path)
		if !strings.HasSuffix(b.url().Path, "/security") {
			t.Errorf("Security leads to %s", b.url().Path)
		}

		ian := browser(t, scripts)
		d.signIn(ian, "Initech", consoleIan)
		ian.sees("Ian Flémington")
	})
}

// TestS34RolesSayWhatOneMayDo: whoever gets a role sees what it may do, and no
// more; the audit log says who gave it.
func TestS34RolesSayWhatOneMayDo(t *testing.T) {
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		initech := d.portal("Initech")
		ian := browser(t, scripts)
		d.signIn(ian, "Initech", consoleIan)
		ian.mustNotSay("Administration")
		ian.open(initech + "/admin")
		ian.sees("Your role in this portal does not allow that.")

		b := browser(t, scripts)
		d.administer(b)
		b.press("Users")
		b.look("users")
		d.userWindow(b, consoleIan, "Ian Fleming")
		b.pick("role", "Help desk")
		b.press("Save the role")
		b.sees("The role is changed.")

		ian.open(initech + "/")
		ian.at(initech, "/login")
		d.signIn(ian, "Initech", consoleIan)
		ian.press("Administration")
		ian.look("console-helpdesk")
		ian.mustNotSay("Sign-in policy")
		ian.mustNotSay("Audit log")
		d.userWindow(ian, "iris", "Iris Murdoch")
		ian.sees("This person has a role that yours may not change.")
		ian.mustNotSay("Disable this account")
		ian.look("user-higher")

		b.open(initech + "/admin/audit")
		b.pick("group", "Accounts and roles")
		b.press("Show")
		b.sees("Role changed")
		b.sees("Member → Help desk")
		b.look("audit")
		b.open(initech + "/admin/audit?person=i")
		b.sees("Whom do you mean?")
		b.look("audit-choices")
	})
}
