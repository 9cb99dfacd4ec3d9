package e2e

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
)

const ivan = "ivan@initech.example"

// invited invites ivan to Initech, in the EU, and returns his temporary password.
func (c *company) invited() string {
	c.t.Helper()
	c.eu.do("account", "invite", ivan, "--portal", "initech", "--given-name", "Ivan")
	secret := planttest.TemporaryPassword(c.smtp.Letter(c.t, ivan, "Your temporary password"))
	if secret == "" {
		c.t.Fatal("no temporary password in the mail")
	}
	return secret
}

// TestFrontDoorDown: each portal signs people in without the front door (N04).
func TestFrontDoorDown(t *testing.T) {
	both(t, frontDoorDown)
}

func frontDoorDown(t *testing.T, scripts bool) {
	c := found(t)
	temporary := c.invited()
	c.front.Kill()

	direct := func(site, address string) *tab {
		b := browser(t, scripts)
		b.open(site + "/")
		b.at(site, "/login")
		b.fill("email", address)
		b.press("Next")
		return b
	}
	b := direct(c.acme, grace.Email)
	atPHP(b, c.saml, grace)
	b.arrived(c.acme, home{grace.Email, "Acme Corporation", "EU", "SAML"})

	b = direct(c.globex, linus.Email)
	atNode(b, c.issuer, linus)
	b.arrived(c.globex, home{linus.Email, "Globex", "US", "OpenID Connect"})

	b = direct(c.initech, ivan)
	b.fill("password", temporary)
	b.press("Sign in")
	b.fill("temporary", temporary)
	b.fill("new", better)
	b.fill("confirm", better)
	b.press("Save and sign in")
	b.arrived(c.initech, home{ivan, "Initech", "EU", "Your password"})

	c.startFront() // from what it kept
	c.knows(grace.Email, "acme")
	c.knows(ivan, "initech")
}

// TestRegionRestarts in the middle of attempts: whoever was half-way in goes on,
// and whoever was in stays in.
func TestRegionRestarts(t *testing.T) {
	c := found(t)
	temporary := c.invited()

	in := browser(t, true)
	in.open(c.acme + "/")
	in.fill("email", grace.Email)
	in.press("Next")
	atPHP(in, c.saml, grace)
	in.at(c.acme, "/")

	saml, password := browser(t, true), browser(t, true)
	saml.open(c.acme + "/account")
	saml.fill("email", grace.Email)
	saml.press("Next")
	password.open(c.initech + "/")
	password.fill("email", ivan)
	password.press("Next")

	c.eu.Kill()

	// Elsewhere nobody notices.
	b := browser(t, true)
	b.open(c.globex + "/")
	b.fill("email", linus.Email)
	b.press("Next")
	atNode(b, c.issuer, linus)
	b.arrived(c.globex, home{linus.Email, "Globex", "US", "OpenID Connect"})

	c.eu.start()
	atPHP(saml, c.saml, grace)
	saml.at(c.acme, "/account")
	saml.sees(grace.Email)
	password.fill("password", temporary)
	password.press("Sign in")
	password.at(c.initech, "/password/change")
	in.open(c.acme + "/")
	in.sees("You are signed in to")
}

// TestPublishing: what a region did while the front door was away is found
// afterwards, and an empty directory is filled again.
func TestPublishing(t *testing.T) {
	c := found(t)
	c.front.Kill()
	const many = 100
	address := func(i int) string { return fmt.Sprintf("guest%d@elsewhere.example", i) }
	var wg sync.WaitGroup
	for start := range 4 {
		wg.Go(func() {
			for i := start; i < many; i += 4 {
				c.us.do("account", "invite", address(i), "--portal", "globex")
			}
		})
	}
	wg.Wait()
	c.startFront()
	for i := range many {
		c.knows(address(i), "globex")
	}

	c.front.Stop()
	for _, f := range []string{"directory.db", "directory.db-wal", "directory.db-shm"} {
		if err := os.Remove(c.path("front", f)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	planttest.Run(t, "migrate", "up", c.path("front.yaml"))
	c.startFront()
	c.eu.do("publish", "--all")
	c.us.do("publish", "--all")
	c.knows(grace.Email, "acme")
	for i := range many {
		c.knows(address(i), "globex")
	}

	// A disabled account is found no more.
	c.us.do("account", "disable", address(0), "--portal", "globex")
	planttest.Until(t, "the front door forgetting", func() bool {
		ids, err := c.discover(address(0))
		return err == nil && !slices.Contains(ids, "globex")
	})
}
