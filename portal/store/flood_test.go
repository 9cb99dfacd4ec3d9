package store_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/store"
)

// PWD-35: somebody in the console fills nobody's mailbox with links, whoever they
// are, and an earlier link is not made void all day long.
func TestResetsFromTheConsoleAreLimited(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		target := x.account(ian)
		staff := []portal.Account{x.staff("adam@cloud.example", portal.Administrator), x.staff("heidi@cloud.example", portal.HelpDesk)}
		sent := 0
		for i := range 10 {
			err := x.SendReset(x.ctx, "acme", as(staff[i%2]), target.ID)
			if err == nil {
				sent++
			} else if code(err) != "mail_throttled" {
				t.Fatal(err)
			}
		}
		if n := len(x.letters()); sent != 3 || n != 3 {
			t.Errorf("%d sent, %d letters", sent, n)
		}
		// Whoever may not do it takes nothing from those who may.
		mia := x.staff("mia@cloud.example", portal.Member)
		victim := x.account("ivo@cloud.example")
		for range 5 {
			wantCode(t, x.SendReset(x.ctx, "acme", as(mia), victim.ID), "permission_missing")
		}
		if err := x.SendReset(x.ctx, "acme", as(staff[0]), victim.ID); err != nil {
			t.Error(err)
		}
	})
}

// Text messages cost, and the numbers are whatever somebody types: one account
// sends no more than a few, from however many places it asks.
func TestTextsOfOneAccountAreLimited(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.Texts = true
		x.account(ian)
		at := store.InSession(x.session(x.mustSignIn("one", ian, good).Token))
		sent := 0
		for i := range 30 {
			v := visitor("one")
			v.Client = netip.AddrFrom4([4]byte{198, 51, byte(i), 1})
			err := x.BeginSMS(x.ctx, "acme", v, at, "", portal.E164(fmt.Sprintf("+4179123%04d", i)))
			if err == nil {
				sent++
			} else if code(err) != "text_throttled" {
				t.Fatal(err)
			}
		}
		if sent != 10 {
			t.Errorf("%d messages", sent)
		}
	})
}
