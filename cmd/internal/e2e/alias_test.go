package e2e

import (
	"slices"
	"strings"
	"testing"
)

// addressesOf opens one's own addresses as the help page says: account, addresses.
func (d *demo) addressesOf(b *tab, portal string) {
	b.t.Helper()
	b.open(d.portal(portal) + "/")
	b.press("Your account")
	b.press("Addresses")
	b.at(d.portal(portal), "/account/addresses")
}

// addAddress adds one and is told so.
func (d *demo) addAddress(b *tab, portal, address string) {
	b.t.Helper()
	d.addressesOf(b, portal)
	b.fill("email", address)
	b.press("Add this address")
	b.sees("A confirmation was sent to " + address)
}

// badges are the words beside an address in the list.
func (b *tab) badges(address string) string {
	b.t.Helper()
	for _, line := range b.texts("#addresses h3") {
		if words := strings.Fields(line); len(words) > 1 && words[0] == address {
			return strings.Join(words[1:], " ")
		}
	}
	return ""
}

func (b *tab) wantBadges(address, want string) {
	b.t.Helper()
	if got := b.badges(address); got != want {
		b.t.Errorf("%s is shown as %q, want %q\n%s", address, got, want, b.where())
	}
}

// confirmAddress opens the link in the mail to a pending address, in a tab where
// the person is signed in.
func (d *demo) confirmAddress(b *tab, address string) {
	b.t.Helper()
	b.open(d.letter(b, address, "Confirm this address").link)
	b.sees("Shall " + address + " belong to your account")
	b.look("addresses-confirm")
	b.press("Confirm")
	b.sees("The address is confirmed.")
}

// findable looks for an address at the front door until it leads to a portal,
// which it does a moment after it was confirmed.
func (d *demo) findable(b *tab, portal, address string) {
	b.t.Helper()
	b.until("finding "+address+" at the front door", func() (bool, error) {
		d.find(b, address)
		u := b.url()
		return u.Scheme+"://"+u.Host == d.portal(portal) && u.Path == "/login/password", nil
	})
}

// TestS17AdministratorAddsAlias: an administrator adds an address to a user; the
// user confirms it from the mail, and nobody else can.
func TestS17AdministratorAddsAlias(t *testing.T) {
	const ian, iris, added = "ian@initech.example", "iris@initech.example", "ian.fleming@added.example"
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		admin := browser(t, scripts)
		d.signIn(admin, "Initech", iris)
		admin.open(d.portal("Initech") + "/admin/users")
		admin.press("Ian Fleming")
		admin.press("Addresses")
		admin.sees("no administrator can do that for them")
		admin.fill("email", added)
		admin.press("Add this address")
		admin.sees("A confirmation was sent to " + added)
		admin.wantBadges(added, "Pending")
		admin.look("addresses-user")
		l := d.letter(admin, added, "Confirm this address")
		if !strings.Contains(l.text, "Iris Murdoch") {
			t.Errorf("the mail does not say who added the address:\n%s", l.text)
		}
		admin.open(l.link)
		admin.sees("This was not accepted")
		admin.look("addresses-confirm-other")

		b := browser(t, scripts)
		b.open(l.link) // not signed in: to the sign-in page, and back
		b.fill("email", ian)
		b.press("Next")
		b.fill("password", d.passwords[ian])
		b.press("Sign in")
		b.sees("Shall " + added + " belong to your account " + ian)
		b.press("Confirm")
		b.sees("The address is confirmed.")
		b.wantBadges(added, "Confirmed")

		d.findable(browser(t, scripts), "Initech", added)
	})
}

// TestS20OwnAliases: people with a professional licence add addresses themselves;
// guests are told why they cannot.
func TestS20OwnAliases(t *testing.T) {
	const ian, max = "ian@initech.example", "max@consult.example"
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		b := browser(t, scripts)
		d.signIn(b, "Initech", ian)
		d.addAddress(b, "Initech", "ian.fleming@private.example")
		b.look("addresses-sent")
		b.sees("Signs in with a portal password.")
		b.fill("email", "ian.fleming@")
		b.press("Add this address")
		b.sees("There is a problem")
		b.look("addresses-wrong")
		b.fill("email", ian)
		b.press("Add this address")
		b.sees("This is one of your addresses already.")

		guest := browser(t, scripts)
		d.signIn(guest, "Initech", max)
		d.addressesOf(guest, "Initech")
		guest.sees("Adding addresses needs a professional licence.")
		guest.look("addresses-guest")
	})
}

// TestS21JoinAccounts: the new address has an account; its password is asked, and
// the two become one.
func TestS21JoinAccounts(t *testing.T) {
	const ian, iris = "ian@initech.example", "iris@initech.example"
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		other := browser(t, scripts)
		d.signIn(other, "Initech", iris)

		b := browser(t, scripts)
		d.signIn(b, "Initech", ian)
		d.addAddress(b, "Initech", iris)
		b.open(d.letter(b, iris, "Confirm this address").link)
		b.sees("This address has an account already")
		b.look("merge")
		b.press("Sign in to the other account")
		b.fill("password", "not the password of iris")
		b.press("Sign in")
		b.sees("There is a problem")
		b.fill("password", d.passwords[iris])
		b.press("Sign in")
		b.sees("Join two accounts")
		b.look("merge-summary")
		if got := b.text("#joined"); !strings.Contains(got, ian) || !strings.Contains(got, iris) {
			t.Errorf("addresses: %q", got)
		}
		if got := b.text("#role"); got != "Owner" {
			t.Errorf("role: %q", got)
		}
		b.press("Join the accounts")
		b.sees("The two accounts are one now.")
		b.wantBadges(iris, "Confirmed")
		b.look("addresses-joined")

		other.open(d.portal("Initech") + "/account")
		other.at(d.portal("Initech"), "/login")
		again := browser(t, scripts)
		d.find(again, iris)
		again.fill("password", d.passwords[ian])
		again.press("Sign in")
		again.arrived(d.portal("Initech"), home{ian, "Initech", "CA", "Your password"})
	})
}

// TestS22Pending: an address is pending until it is confirmed, and of no use.
func TestS22Pending(t *testing.T) {
	const ian, next = "ian@initech.example", "ian.fleming@next.example"
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		b := browser(t, scripts)
		d.signIn(b, "Initech", ian)
		d.addAddress(b, "Initech", next)
		b.wantBadges(next, "Pending")
		b.sees("Can be confirmed until")
		first := d.letter(b, next, "Confirm this address")

		stranger := browser(t, scripts)
		stranger.open(d.url)
		stranger.fill("email", next)
		stranger.press("Next")
		if u := stranger.url(); strings.Contains(u.Host, "initech") {
			t.Errorf("a pending address is found: %s", u)
		}

		d.addressesOf(b, "Initech")
		b.press("Send again: " + next)
		b.sees("A confirmation was sent to " + next)
		b.until("a second mail", func() (bool, error) { return d.letter(b, next, "Confirm this address").link != first.link, nil })
		b.open(first.link)
		b.sees("This was not accepted")
		d.confirmAddress(b, next)
		b.wantBadges(next, "Confirmed")

		d.addAddress(b, "Initech", "typo@next.example")
		b.press("Remove: typo@next.example")
		b.sees("The address is removed")
		if got := b.badges("typo@next.example"); got != "" {
			t.Errorf("a removed address is shown as %q", got)
		}
	})
}

// TestS23Promote: notifications go to the new primary address from then on.
func TestS23Promote(t *testing.T) {
	const ian, next = "ian@initech.example", "ian.fleming@promoted.example"
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		b := browser(t, scripts)
		d.signIn(b, "Initech", ian)
		d.addAddress(b, "Initech", next)
		d.confirmAddress(b, next)
		b.press("Make primary: " + next)
		b.sees("Your primary address is changed.")
		b.wantBadges(next, "Primary Licensed")
		b.wantBadges(ian, "Confirmed")
		b.look("addresses-promoted")
		for _, to := range []string{ian, next} {
			d.letter(b, to, "Your primary address")
		}
		// The next notification goes there.
		d.addAddress(b, "Initech", "ian.fleming@third.example")
		d.letter(b, next, "An address was added")
		b.open(d.portal("Initech") + "/")
		if got := b.text("#address"); got != next {
			t.Errorf("home shows %q", got)
		}
	})
}

// TestAddressMigration: a company changes its name. Its people add their new
// address, make it the primary one, activate their apps again, are found by it,
// and let the old one go.
func TestAddressMigration(t *testing.T) {
	const old, next = "ian@initech.example", "ian.fleming@initrode.example"
	both(t, func(t *testing.T, scripts bool) {
		d := startDemo(t)
		initech := d.portal("Initech")
		elsewhere := browser(t, scripts)
		d.signIn(elsewhere, "Initech", old)

		b := browser(t, scripts)
		d.signIn(b, "Initech", old)
		d.addAddress(b, "Initech", next)
		d.confirmAddress(b, next)
		b.press("Make primary: " + next)
		b.sees("Your primary address is changed.")

		// Sessions from before, and the apps.
		b.press("Sessions and apps")
		b.press("End all other sessions")
		b.sees("All other sessions are over.")
		elsewhere.open(initech + "/account/sessions")
		elsewhere.at(initech, "/login")
		if b.has("select[name=app]") {
			b.fill("device", "Desk")
			b.press("Activate")
			b.sees("The app is activated.")
			b.press("Remove: ")
			b.sees("activation is removed")
			b.press("Activate again")
			b.sees("The app is activated again.")
		}

		// Found by the new address, and by the old one as long as it is there.
		for _, address := range []string{next, old} {
			found := browser(t, scripts)
			d.findable(found, "Initech", address)
			found.fill("password", d.passwords[old])
			found.press("Sign in")
			found.arrived(initech, home{next, "Initech", "CA", "Your password"})
		}

		d.addressesOf(b, "Initech")
		b.press("Remove: " + old)
		b.sees("The address is removed")
		if got := b.texts("#addresses h3"); len(got) != 1 || !slices.Contains(strings.Fields(got[0]), next) {
			t.Errorf("left: %q", got)
		}
		b.look("addresses-moved")
		late := browser(t, scripts)
		late.open(initech + "/login")
		late.fill("email", old)
		late.press("Next")
		late.fill("password", d.passwords[old])
		late.press("Sign in")
		late.sees("There is a problem")
		if got := late.url().Path; !strings.HasPrefix(got, "/login") {
			t.Errorf("the old address signs in: %s", got)
		}
	})
}
