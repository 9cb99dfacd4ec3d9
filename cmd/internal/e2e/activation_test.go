package e2e

import (
	"strings"
	"testing"
)

// TestS24SessionsAndApps: somebody looks through their sessions, ends one and then
// all others, activates an add-in, removes it and activates it again.
func TestS24SessionsAndApps(t *testing.T) {
	const ian = "ian@initech.example"
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		initech := d.portal("Initech")
		here, there, third := browser(t, scripts), browser(t, scripts), browser(t, scripts)
		d.signIn(there, "Initech", ian)
		d.signIn(here, "Initech", ian)
		here.open(initech + "/account/sessions")
		here.look("sessions")
		if got := here.texts(".devices h3"); len(got) != 2 || !strings.Contains(got[0], "Chrome on Linux") || !strings.Contains(got[0], "This session") {
			t.Errorf("sessions: %q", got)
		}
		here.sees("From the machine that this portal runs on")
		here.press("End")
		here.sees("That session is over")
		there.open(initech + "/account")
		there.at(initech, "/login")

		d.signIn(there, "Initech", ian)
		d.signIn(third, "Initech", ian)
		here.open(initech + "/account/sessions")
		here.press("End all other sessions")
		here.sees("You are signed in here alone")
		for _, b := range []*tab{there, third} {
			b.open(initech + "/account")
			b.at(initech, "/login")
		}

		// An add-in: activate, remove, activate again.
		here.open(initech + "/account/sessions")
		here.pick("app", "Secure mail for Outlook (add-in)")
		here.fill("device", "Laptop at the office")
		here.press("Activate")
		here.sees("The app is activated")
		here.sees("On the device “Laptop at the office”")
		here.look("sessions-apps")
		here.press("Remove")
		here.sees("Nothing that it was given is valid any more")
		here.press("Activate again")
		here.sees("The app is activated again")
		if got := here.texts("#apps .devices h3"); len(got) != 1 || !strings.Contains(got[0], "Secure mail for Outlook") {
			t.Errorf("apps: %q", got)
		}
		if l := d.letter(here, ian, "Secure mail for Outlook was activated"); !strings.Contains(l.text, "Laptop at the office") {
			t.Errorf("the mail says: %s", l.text)
		}
	})
}
