package store_test

import (
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

// Whoever signs somebody out from the console, because a device was lost or their
// role has changed, means that device as well: it is asked for the second factor.
func TestTrustEndsWithTheConsole(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		_, secret := x.withTOTP(ian)
		owner := x.staff("olga@cloud.example", portal.Owner)
		who := x.found(ian)
		for name, end := range map[string]func() error{
			"signed out": func() error { return x.SignOutAccount(x.ctx, "acme", as(owner), who.ID) },
			"another role": func() error {
				_, err := x.SetRole(x.ctx, "acme", as(owner), portal.RoleChange{Account: who.ID, To: portal.Administrator})
				return err
			},
		} {
			x.clock.add(time.Minute)
			if _, err := x.FinishFactor(x.ctx, "acme", visitor("lost"), x.half("lost", ian), portal.FactorTry{Way: "totp", Code: x.code(secret), Trust: true}); err != nil {
				t.Fatal(err)
			}
			if in := x.mustSignIn("lost", ian, good); in.Next != portal.In {
				t.Fatalf("%s: not trusted before: %+v", name, in)
			}
			if err := end(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if in := x.mustSignIn("lost", ian, good); in.Next != portal.NeedsSecond {
				t.Errorf("%s: the browser is still trusted: %q", name, in.Next)
			}
		}
	})
}

// SES-19: an organisation's sign-in that let somebody through without asking, as
// it does in a browser that it remembers, proves nothing now. Signing out and in
// again is no way round the question.
func TestOldSignInAtTheIdPIsNoProof(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		now := x.clock.now()
		for name, tc := range map[string]struct {
			at    time.Time
			fresh bool
		}{
			"just now":      {now, true},
			"by its clock":  {now.Add(30 * time.Second), true},
			"this morning":  {now.Add(-3 * time.Hour), false},
			"it says not":   {time.Time{}, false},
			"a little past": {now.Add(-portal.FreshPage + time.Minute), true},
		} {
			id := x.person("acme-saml", "s1", "ada@acme.example")
			id.AuthTime = tc.at
			ses := x.session(x.mustArrive("one", id).Token)
			if got := ses.Fresh(now, portal.FreshPage); got != tc.fresh || ses.Proved.After(now) {
				t.Errorf("%s: fresh is %t, proved at %s", name, got, ses.Proved)
			}
		}
	})
}

// A recovery is worth as much as the rights of who allowed it are when it is
// finished, over whom the person is by then.
func TestRecoveryAllowedBySomebodyWhoMayNotAnyMore(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.withTOTP(ian)
		x.staff("olga@cloud.example", portal.Owner)
		lost := x.found(ian)
		for name, tc := range map[string]struct {
			role        portal.Role
			lose, again func(decider portal.Account)
			want        string
		}{
			"demoted": {portal.HelpDesk, func(a portal.Account) { x.role(a, portal.Member) }, nil, "decider_refused"},
			"disabled": {portal.Administrator, func(a portal.Account) {
				if _, err := x.Disable(x.ctx, "acme", visitor("operator"), a.Primary); err != nil {
					t.Fatal(err)
				}
			}, nil, "decider_refused"},
			// Whoever has risen waits for another word (TestRecoveryIsDecidedAgain).
			"below the person by now": {portal.HelpDesk, func(portal.Account) { x.role(lost, portal.Owner) }, func(portal.Account) { x.role(lost, portal.Member) }, "link_refused"},
		} {
			x.clock.add(25 * time.Hour)
			decider, v := x.actor(string(tc.role)+name[:2]+"@cloud.example", tc.role)
			if err := x.AskRecovery(x.ctx, "acme", visitor("one"), x.half("one", ian)); err != nil {
				t.Fatal(err)
			}
			open := x.open()
			if len(open) != 1 {
				t.Fatalf("%s: %d open", name, len(open))
			}
			if err := x.DecideRecovery(x.ctx, "acme", v, open[0].ID, true); err != nil {
				t.Fatal(err)
			}
			link := x.letter(portal.RecoveryAllowedLetter).Token
			tc.lose(decider)
			handle, _, err := x.StartRecovery(x.ctx, "acme", visitor("back"), link)
			if err == nil {
				_, err = x.SignInPassword(x.ctx, "acme", visitor("back"), handle, good, false)
			}
			if code(err) != tc.want {
				t.Errorf("%s: %v", name, err)
			}
			if ways, err := x.Ways(x.ctx, "acme", lost.ID); err != nil || len(ways.Factors) != 1 {
				t.Fatalf("%s: the factor is gone: %v", name, err)
			}
			if tc.again != nil {
				tc.again(decider)
			}
			x.exec(`UPDATE recoveries SET expires = $1 WHERE account = $2`, x.clock.now().UnixMicro(), lost.ID)
		}
	})
}

// SES-15: what an account can do and how one comes in change with a merge; other
// browsers come in anew, and trust in them is over.
func TestMergeEndsOtherSessions(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		m := x.meet(x.account("ian@cloud.example"), x.account("iva@cloud.example"))
		_, _, elsewhere := x.enter("elsewhere", m.ian)
		if err := m.merge(); err != nil {
			t.Fatal(err)
		}
		if x.live(elsewhere) {
			t.Error("a session from before has both accounts")
		}
		if n := len(x.sessions(m.ian.ID)); n != 1 {
			t.Errorf("%d sessions", n)
		}
	})
}

// ADM-07: an address that its account gave up and that is invited anew is a new
// person: another ID, and nothing of the one who had it.
func TestAddressOfAnotherIsANewPerson(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		token, _ := x.withTOTP(ian)
		who := x.found(ian)
		x.exec(`UPDATE accounts SET role = 'owner' WHERE id = $1`, who.ID)
		x.confirm(who, "shared@elsewhere.example")
		if err := x.RemoveAlias(x.ctx, "acme", as(who), x.session(token).ID, addr(t, "shared@elsewhere.example")); err != nil {
			t.Fatal(err)
		}
		if changed, err := x.Invite(x.ctx, portal.Visitor{}, portal.Invitation{Portal: "acme", Address: addr(t, "shared@elsewhere.example")}); err != nil || !changed {
			t.Fatalf("invite: %t, %v", changed, err)
		}
		after := x.found("shared@elsewhere.example")
		if after.ID == who.ID || after.Role != portal.Member || after.Status != portal.Invited || after.GivenName != "" {
			t.Errorf("%+v inherits from %+v", after, who)
		}
		ways, err := x.Ways(x.ctx, "acme", after.ID)
		if err != nil || len(ways.Factors) > 0 || ways.Codes > 0 {
			t.Errorf("%+v, %v", ways, err)
		}
		if n := x.count(`activations WHERE account = $1`, after.ID) + x.count(`usages WHERE account = $1`, after.ID) + x.count(`identities WHERE account = $1`, after.ID); n > 0 {
			t.Errorf("%d rows were inherited", n)
		}
	})
}
