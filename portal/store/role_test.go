package store_test

import (
	"cmp"
	"fmt"
	"testing"

	"github.com/domicile-sso/domicile/portal"
)

// appoint makes an active account with a role and a password.
func (x *fixture) appoint(address string, r portal.Role) portal.Account {
	x.t.Helper()
	a := portal.Account{Portal: "acme", Primary: addr(x.t, address), GivenName: "Ada", Role: r}
	if created, err := x.DangerouslyCreateAccount(x.ctx, a, good); err != nil || !created {
		x.t.Fatalf("create account: %t, %v", created, err)
	}
	return x.now(address)
}

func (x *fixture) now(address string) portal.Account {
	x.t.Helper()
	a, ok, err := x.AccountByAddress(x.ctx, "acme", addr(x.t, address))
	if err != nil || !ok {
		x.t.Fatalf("read account: %t, %v", ok, err)
	}
	return a
}

func by(a portal.Account) portal.Visitor {
	v := visitor("console")
	v.Actor = a.ID
	return v
}

// ADM-08: of two owners who take each other's role away, one remains; so it is
// with disabling, and with both at once.
func TestOneOwnerRemains(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		for round := range 4 {
			one, two := x.appoint(fmt.Sprintf("one%d@cloud.example", round), portal.Owner), x.appoint(fmt.Sprintf("two%d@cloud.example", round), portal.Owner)
			demote := func(actor, target portal.Account) error {
				_, err := x.SetRole(x.ctx, "acme", by(actor), portal.RoleChange{Account: target.ID, To: portal.Member})
				return err
			}
			disable := func(actor, target portal.Account) error {
				_, err := x.SwitchAccount(x.ctx, "acme", by(actor), target.ID, false)
				return err
			}
			first, second := demote, demote
			if round%2 == 1 {
				second = disable
			}
			if round == 3 {
				first = disable
			}
			parallel(func(i int) error {
				if i%2 == 0 {
					return first(one, two)
				}
				return second(two, one)
			})
			owners := 0
			for _, a := range []portal.Account{x.now(one.Primary.Clear()), x.now(two.Primary.Clear())} {
				if a.Owns() {
					owners++
				}
			}
			if owners != 1 {
				t.Errorf("round %d: %d owners remain", round, owners)
			}
			for _, a := range []portal.Account{one, two} { // the next round has its own
				if _, err := x.db.Exec(`UPDATE accounts SET role = 'member' WHERE id = $1`, a.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func TestLastOwnerStays(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		owner, admin := x.appoint("owner@cloud.example", portal.Owner), x.appoint("admin@cloud.example", portal.Administrator)
		// Not even the operator takes the last one away.
		_, err := x.SetRole(x.ctx, "acme", portal.Visitor{}, portal.RoleChange{Account: owner.ID, To: portal.Member})
		wantCode(t, err, "last_owner")
		_, err = x.Disable(x.ctx, "acme", portal.Visitor{}, owner.Primary)
		wantCode(t, err, "last_owner")
		if !x.audited("access.refused", "last_owner") {
			t.Error("the refusal is not on record")
		}
		if _, err := x.SetRole(x.ctx, "acme", portal.Visitor{}, portal.RoleChange{Account: admin.ID, To: portal.Owner}); err != nil {
			t.Fatal(err)
		}
		if _, err := x.SetRole(x.ctx, "acme", by(x.now("admin@cloud.example")), portal.RoleChange{Account: owner.ID, Was: portal.Owner, To: portal.Guest}); err != nil {
			t.Error(err)
		}
		if got := x.now("owner@cloud.example").Role; got != portal.Guest {
			t.Errorf("role %s", got)
		}
	})
}

// Whoever was demoted, disabled or is of another portal is refused, whatever
// page is open: the store looks at who they are now.
func TestActorIsLookedAtWhenItHappens(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.appoint("owner@cloud.example", portal.Owner)
		admin, target := x.appoint("admin@cloud.example", portal.Administrator), x.appoint("target@cloud.example", portal.Member)
		tries := map[string]func(v portal.Visitor) error{
			"role": func(v portal.Visitor) error {
				_, err := x.SetRole(x.ctx, "acme", v, portal.RoleChange{Account: target.ID, To: portal.Auditor})
				return err
			},
			"status": func(v portal.Visitor) error {
				_, err := x.SwitchAccount(x.ctx, "acme", v, target.ID, false)
				return err
			},
			"sessions": func(v portal.Visitor) error { return x.SignOutAccount(x.ctx, "acme", v, target.ID) },
			"export": func(v portal.Visitor) error {
				_, err := x.StartExport(x.ctx, "acme", v, portal.AccountFilter{})
				return err
			},
			"audit": func(v portal.Visitor) error {
				_, err := x.StartAuditExport(x.ctx, "acme", v, "everything")
				return err
			},
			"settings": func(v portal.Visitor) error {
				set, err := x.Settings(x.ctx, "acme")
				if err != nil {
					return err
				}
				set.PasswordMin = 20
				return x.PutPolicy(x.ctx, "acme", v, set)
			},
			"notifications": func(v portal.Visitor) error {
				set, err := x.Settings(x.ctx, "acme")
				if err != nil {
					return err
				}
				set.Contact = "Call me"
				return x.PutNotifications(x.ctx, "acme", v, set)
			},
			"mail text": func(v portal.Visitor) error {
				return x.PutMailText(x.ctx, v, portal.MailText{Portal: "acme", Kind: portal.ResetLetter, Language: "en", Subject: "Call me"})
			},
			"our words": func(v portal.Visitor) error {
				return x.ResetMailText(x.ctx, v, portal.MailText{Portal: "acme", Kind: portal.ResetLetter, Language: "en"})
			},
			"approve": func(v portal.Visitor) error {
				_, _, err := x.ApproveDomain(x.ctx, "acme", v, "evil.example")
				return err
			},
			"disapprove": func(v portal.Visitor) error { return x.DisapproveDomain(x.ctx, "acme", v, "evil.example") },
			"move": func(v portal.Visitor) error {
				_, err := x.MoveDomain(x.ctx, "acme", v, "acme.example", "acme-saml+jit", portal.Way{})
				return err
			},
			"undo": func(v portal.Visitor) error {
				_, err := x.UndoMove(x.ctx, "acme", v, "00000000000000000000000000000000")
				return err
			},
			"plan": func(v portal.Visitor) error { return x.LetRelease(x.ctx, "acme", v, "pro", false) },
			"licence": func(v portal.Visitor) error {
				return x.ChangeLicence(x.ctx, "acme", v, target.ID, portal.LicenceChange{}, "")
			},
		}
		stranger := portal.Account{Portal: "other", Primary: addr(t, "boss@other.example"), Role: portal.Owner}
		if _, err := x.DangerouslyCreateAccount(x.ctx, stranger, good); err != nil {
			t.Fatal(err)
		}
		boss, _, err := x.AccountByAddress(x.ctx, "other", stranger.Primary)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.SetRole(x.ctx, "acme", portal.Visitor{}, portal.RoleChange{Account: admin.ID, To: portal.Member}); err != nil {
			t.Fatal(err)
		}
		for name, try := range tries {
			for who, a := range map[string]portal.Account{"demoted": admin, "of another portal": boss} {
				if got := code(try(by(a))); got != "permission_missing" {
					t.Errorf("%s, %s: %s", who, name, got)
				}
			}
		}
		if got := x.now("target@cloud.example"); got.Role != portal.Member || got.Status != portal.Active {
			t.Errorf("changed: %+v", got)
		}
		_, err = x.SetRole(x.ctx, "acme", portal.Visitor{Actor: boss.ID}, portal.RoleChange{Account: boss.ID, To: portal.Member})
		wantCode(t, err, "permission_missing")
		_, err = x.SwitchAccount(x.ctx, "acme", portal.Visitor{}, boss.ID, false) // ADM-01
		wantCode(t, err, "account_unknown")
		if !x.audited("access.refused", "account_unknown") || !x.audited("access.refused", "permission_missing") {
			t.Error("refusals are not on record")
		}
	})
}

func TestRoleEndsSessionsAndKeepsInvitations(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		target := x.appoint("target@cloud.example", portal.Member)
		in := x.mustSignIn("b", "target@cloud.example", good)
		if changed, err := x.SetRole(x.ctx, "acme", portal.Visitor{}, portal.RoleChange{Account: target.ID, To: portal.HelpDesk}); err != nil || !changed {
			t.Fatalf("%t, %v", changed, err)
		}
		if x.live(in.Token) {
			t.Error("a session outlives its rights")
		}
		if changed, err := x.SetRole(x.ctx, "acme", portal.Visitor{}, portal.RoleChange{Account: target.ID, To: portal.HelpDesk}); err != nil || changed {
			t.Errorf("again: %t, %v", changed, err)
		}
		_, err := x.SetRole(x.ctx, "acme", portal.Visitor{}, portal.RoleChange{Account: target.ID, Was: portal.Member, To: portal.Auditor})
		wantCode(t, err, "stale_version")
		if _, err := x.Invite(x.ctx, portal.Visitor{}, portal.Invitation{Portal: "acme", Address: addr(t, "ivy@cloud.example")}); err != nil {
			t.Fatal(err)
		}
		link := x.letter(portal.InvitationLetter).Token
		if _, err := x.SetRole(x.ctx, "acme", portal.Visitor{}, portal.RoleChange{Account: x.now("ivy@cloud.example").ID, To: portal.Owner}); err != nil {
			t.Fatal(err)
		}
		if _, err := x.InvitationByToken(x.ctx, "acme", link); err != nil {
			t.Errorf("the invitation is void: %v", err)
		}
	})
}

// PWD-32: who gives somebody who was invited another role answers for the invitation
// from then on, and not who could not have given it.
func TestRoleOfSomebodyInvited(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		owner, desk := x.staff("olga@cloud.example", portal.Owner), x.staff("heidi@cloud.example", portal.HelpDesk)
		second := x.staff("otto@cloud.example", portal.Owner)
		for address, counts := range map[string]bool{"ivy@cloud.example": true, "eve@cloud.example": false} {
			if _, err := x.inviteBy(desk, portal.Invitation{Address: addr(t, address), Role: portal.Member}); err != nil {
				t.Fatal(err)
			}
			var link, temporary portal.Secret
			for _, l := range x.letters() {
				link, temporary = cmp.Or(l.Token, link), cmp.Or(l.Temporary, temporary)
			}
			by := as(owner)
			if !counts {
				by = as(second)
			}
			if _, err := x.SetRole(x.ctx, "acme", by, portal.RoleChange{Account: x.found(address).ID, To: portal.Administrator}); err != nil {
				t.Fatal(err)
			}
			if !counts {
				x.role(second, portal.Member)
			}
			in, err := x.RedeemInvitation(x.ctx, "acme", visitor(address), link, temporary, other, false)
			if counts && (err != nil || in.Account.Role != portal.Administrator || !x.live(in.Token)) {
				t.Errorf("given by an owner: %+v, %v", in.Account, err)
			}
			if !counts {
				wantCode(t, err, "inviter_refused")
			}
		}
	})
}

// The list is the same whichever way the database goes about it.
func TestFindAccounts(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		for i := range 30 {
			a := portal.Account{Portal: "acme", Primary: addr(t, fmt.Sprintf("p%02d@cloud.example", i)), GivenName: []string{"Zoë", "Jürgen", "Ann"}[i%3],
				FamilyName: fmt.Sprintf("Müller%02d", i), Role: []portal.Role{portal.Member, portal.Guest}[i%2]}
			if _, err := x.DangerouslyCreateAccount(x.ctx, a, ""); err != nil {
				t.Fatal(err)
			}
		}
		other := portal.Account{Portal: "other", Primary: addr(t, "p00@cloud.example"), GivenName: "Zoë"}
		if _, err := x.DangerouslyCreateAccount(x.ctx, other, ""); err != nil {
			t.Fatal(err)
		}
		for _, tc := range []struct {
			f    portal.AccountFilter
			want int
		}{
			{portal.AccountFilter{}, 30},
			{portal.AccountFilter{Query: "zoe"}, 10},
			{portal.AccountFilter{Query: "zo mul"}, 10},
			{portal.AccountFilter{Query: "muller07"}, 1},
			{portal.AccountFilter{Query: "cloud.ex"}, 30},
			{portal.AccountFilter{Query: "p00@cloud.example"}, 1},
			{portal.AccountFilter{Query: "p00@cloud.example", Role: portal.Guest}, 0},
			{portal.AccountFilter{Role: portal.Guest}, 15},
			{portal.AccountFilter{Role: portal.Guest, Query: "ann", Status: portal.Active, Domain: "cloud.example", Plan: "guest"}, 5},
			{portal.AccountFilter{Status: portal.Invited}, 0},
			{portal.AccountFilter{Domain: "other.example"}, 0},
			{portal.AccountFilter{Invitation: portal.InvitationWaiting}, 0},
		} {
			tc.f.Limit = 4
			seen, last := map[string]bool{}, portal.AccountFilter{}
			for pages := 0; ; pages++ {
				page, err := x.Store.FindAccounts(x.ctx, "acme", tc.f)
				if err != nil || pages > 20 {
					t.Fatalf("%+v: %v", tc.f, err)
				}
				for _, a := range page.Accounts {
					if seen[a.ID] || a.Portal != "acme" {
						t.Fatalf("%+v: somebody is listed twice, or is another portal's", tc.f)
					}
					seen[a.ID] = true
				}
				if !page.Later {
					break
				}
				tc.f.After = page.Accounts[len(page.Accounts)-1].ID
				last = tc.f
			}
			if len(seen) != tc.want {
				t.Errorf("%+v: %d found, want %d", tc.f, len(seen), tc.want)
			}
			n := 0
			if err := x.EachAccount(x.ctx, "acme", tc.f, func(portal.ListedAccount) error { n++; return nil }); err != nil || n != tc.want {
				t.Errorf("%+v: %d exported, %v", last, n, err)
			}
			if n, err := x.StartExport(x.ctx, "acme", portal.Visitor{}, tc.f); err != nil || n != int64(tc.want) {
				t.Errorf("%+v: %d counted, %v", last, n, err)
			}
		}
	})
}
