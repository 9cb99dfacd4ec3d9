package e2e

import (
	"strings"
	"testing"
)

// TestS25Licence: the kind of licence, when it is renewed, and the address it is
// for.
func TestS25Licence(t *testing.T) {
	const ian = "ian@initech.example"
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		b := browser(t, scripts)
		d.signIn(b, "Initech", ian)
		b.press("Your account")
		b.at(d.portal("Initech"), "/account/profile")
		if got := b.text("#plan-name"); !strings.Contains(got, "Professional") {
			t.Errorf("the plan is %q", got)
		}
		if got := b.text("#licensed"); got != ian {
			t.Errorf("the licensed address is %q", got)
		}
		b.sees("Renewal")
		if got := b.text("#ends time"); got == "" {
			t.Error("no date of renewal")
		}
	})
}

// TestS28Usage: what was sent this month, what is left, when the last was sent,
// and the limit against abuse.
func TestS28Usage(t *testing.T) {
	const ian = "ian@initech.example"
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		b := browser(t, scripts)
		d.signIn(b, "Initech", ian)
		b.press("Your account")
		b.sees("Usage this month")
		if got := b.text("#used"); got != "0 messages" {
			t.Errorf("sent: %q", got)
		}
		if got := b.text("#left"); !strings.HasPrefix(got, "10,000 messages") || !strings.Contains(got, "As a protection against abuse") {
			t.Errorf("left: %q", got)
		}
		if got := b.text("#last"); got != "Never" {
			t.Errorf("last sent: %q", got)
		}
		if months := b.texts("#months tbody tr"); len(months) != 12 {
			t.Errorf("%d months are listed", len(months))
		}
	})
}

// TestS30Activity: everybody finds what happened to their account.
func TestS30Activity(t *testing.T) {
	const ian = "ian@initech.example"
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		b := browser(t, scripts)
		d.signIn(b, "Initech", ian)
		b.press("Your account")
		b.press("Activity")
		b.at(d.portal("Initech"), "/account/activity")
		b.sees("Sign-in succeeded")
		b.look("activity")
	})
}

// TestS31Licences: a person gives their licence back after seeing what
// that means; an administrator assigns one again, a larger one.
func TestS31Licences(t *testing.T) {
	const ian, iris = "ian@initech.example", "iris@initech.example"
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		b := browser(t, scripts)
		d.signIn(b, "Initech", ian)
		b.press("Your account")
		b.press("Release this licence")
		b.sees("What happens then")
		b.sees("No more secure messages can be sent.")
		b.look("licence-release")
		b.press("Keep it")
		b.at(d.portal("Initech"), "/account/profile")
		b.press("Release this licence")
		b.press("Release the licence")
		b.sees("Your licence is released.")
		b.sees("No licence. Messages can be read, but none can be sent.")
		b.look("profile-unlicensed")

		admin := browser(t, scripts)
		d.signIn(admin, "Initech", iris)
		d.upgrade(admin, "Iris", "Guest")
		d.licence(admin, ian, "Professional Pro")
		b.open(d.portal("Initech") + "/account/profile")
		if got := b.text("#plan-name"); !strings.Contains(got, "Professional Pro") {
			t.Errorf("the plan is %q", got)
		}
	})
}

// licence assigns a plan to somebody, from the list of users.
func (d *demo) licence(b *tab, address, plan string) {
	b.t.Helper()
	b.open(d.portal("Initech") + "/admin/users")
	name, _, _ := strings.Cut(address, "@")
	b.press(strings.ToUpper(name[:1]) + name[1:])
	b.sees("Look after this person")
	b.open(b.url().String() + "/licence") // the link "Licence": the tab "Licences" begins alike
	b.pick("plan", plan)
	b.press("Show what changes")
	b.press("Confirm the change")
	b.sees("The licence is changed.")
}
