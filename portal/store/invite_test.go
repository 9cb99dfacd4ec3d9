package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

// staff is somebody of acme with a role.
func (x *fixture) staff(address string, role portal.Role) portal.Account {
	x.t.Helper()
	a := portal.Account{Portal: "acme", Primary: addr(x.t, address), GivenName: "Staff", Role: role}
	if _, err := x.DangerouslyCreateAccount(x.ctx, a, good); err != nil {
		x.t.Fatal(err)
	}
	return x.found(address)
}

func (x *fixture) found(address string) portal.Account {
	x.t.Helper()
	a, ok, err := x.AccountByAddress(x.ctx, "acme", addr(x.t, address))
	if err != nil || !ok {
		x.t.Fatalf("%s: %t, %v", address, ok, err)
	}
	return a
}

func (x *fixture) inviteBy(by portal.Account, inv portal.Invitation) (portal.InviteOutcome, error) {
	x.t.Helper()
	inv.Portal, inv.By = "acme", by.ID
	return x.InviteOnce(x.ctx, as(by), inv)
}

// PWD-32: what the inviter may give is looked at when it is given.
func TestInviteWithinOnesRights(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		owner, admin := x.staff("olga@cloud.example", portal.Owner), x.staff("adam@cloud.example", portal.Administrator)
		desk, member := x.staff("heidi@cloud.example", portal.HelpDesk), x.staff("mia@cloud.example", portal.Member)
		n := 0
		for _, tc := range []struct {
			by   portal.Account
			role portal.Role
			want string
		}{
			{owner, portal.Owner, "ok"}, {owner, portal.Member, "ok"},
			{admin, portal.Administrator, "ok"}, {admin, portal.Owner, "grant_higher"},
			{desk, portal.Guest, "ok"}, {desk, portal.Member, "ok"}, {desk, portal.HelpDesk, "grant_higher"}, {desk, portal.Auditor, "grant_higher"},
			{member, portal.Guest, "inviter_refused"},
		} {
			n++
			address := addr(t, fmt.Sprintf("new%d@cloud.example", n))
			outcome, err := x.inviteBy(tc.by, portal.Invitation{Address: address, Role: tc.role})
			if code(err) != tc.want {
				t.Errorf("%s invites a %s: %v", tc.by.Role, tc.role, err)
			}
			a, there, err := x.AccountByAddress(x.ctx, "acme", address)
			if err != nil || there != (tc.want == "ok") || there && (a.Role != tc.role || outcome != portal.InvitedNow) {
				t.Errorf("%s invited a %s: %t %q %s %v", tc.by.Role, tc.role, there, a.Role, outcome, err)
			}
		}
		boss := x.found("new1@cloud.example") // an owner who has not come yet
		wantCode(t, x.ResendInvitation(x.ctx, "acme", as(admin), admin.ID, boss.ID), "manage_higher")
		// A help desk that sent an auditor's invitation again would make it its own, and void.
		if _, err := x.inviteBy(owner, portal.Invitation{Address: addr(t, "aud@cloud.example"), Role: portal.Auditor}); err != nil {
			t.Fatal(err)
		}
		wantCode(t, x.ResendInvitation(x.ctx, "acme", as(desk), desk.ID, x.found("aud@cloud.example").ID), "manage_higher")
		_, err := x.inviteBy(desk, portal.Invitation{Address: addr(t, "pro@cloud.example"), Plan: "pro"})
		wantCode(t, err, "plan_refused")
		for _, code := range []string{"grant_higher", "inviter_refused", "manage_higher", "plan_refused"} {
			if !x.audited("access.refused", code) {
				t.Errorf("%s is not on record", code)
			}
		}
	})
}

// PWD-32: an invitation is worth as much as its inviter's rights when it is
// taken up, by the link or with the temporary password alone.
func TestInviterWhoLostTheirRights(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		for i, lose := range []func(portal.Account){
			func(a portal.Account) { x.role(a, portal.Member) },
			func(a portal.Account) {
				if _, err := x.Disable(x.ctx, "acme", visitor("operator"), a.Primary); err != nil {
					t.Fatal(err)
				}
			},
		} {
			by := x.staff(fmt.Sprintf("adam%d@cloud.example", i), portal.Administrator)
			guest := addr(t, fmt.Sprintf("gus%d@elsewhere.example", i))
			if _, err := x.inviteBy(by, portal.Invitation{Address: guest, Role: portal.Guest}); err != nil {
				t.Fatal(err)
			}
			var link, temporary portal.Secret
			for _, l := range x.letters() {
				link, temporary = link+l.Token, temporary+l.Temporary
			}
			lose(by)
			v := visitor("guest")
			_, err := x.RedeemInvitation(x.ctx, "acme", v, link, temporary, "nine purple Kettles 77", false)
			if code(err) != "inviter_refused" {
				t.Errorf("%d: by the link: %v", i, err)
			}
			handle := x.attempt(v, guest.Clear())
			if _, err = x.SignInPassword(x.ctx, "acme", v, handle, temporary, false); err == nil {
				_, err = x.ChangeTemporaryPassword(x.ctx, "acme", v, handle, temporary, "nine purple Kettles 77")
			}
			if code(err) != "inviter_refused" {
				t.Errorf("%d: with the password: %v", i, err)
			}
			if a := x.found(guest.Clear()); a.Status != portal.Invited {
				t.Errorf("%d: %s", i, a.Status)
			}
			// Somebody who may invites them again, and they come in.
			if _, err := x.inviteBy(x.staff(fmt.Sprintf("olga%d@cloud.example", i), portal.Owner), portal.Invitation{Address: guest, Again: true}); err != nil {
				t.Fatal(err)
			}
			link, temporary = "", ""
			for _, l := range x.letters() {
				link, temporary = link+l.Token, temporary+l.Temporary
			}
			if in, err := x.RedeemInvitation(x.ctx, "acme", v, link, temporary, "nine purple Kettles 77", false); err != nil || in.Account.Role != portal.Guest {
				t.Errorf("%d: invited again: %s, %v", i, in.Account.Role, err)
			}
		}
	})
}

func TestListIsNotSentTwice(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		admin := x.staff("adam@cloud.example", portal.Administrator)
		inv := portal.Invitation{Address: addr(t, "new@cloud.example"), Language: "fr"}
		for i, want := range []portal.InviteOutcome{portal.InvitedNow, portal.InvitedBefore} {
			if outcome, err := x.inviteBy(admin, inv); outcome != want || err != nil {
				t.Errorf("%d: %s, %v", i, outcome, err)
			}
		}
		if n := len(x.letters()); n != 2 { // the link, and the temporary password
			t.Errorf("%d letters", n)
		}
		if outcome, err := x.inviteBy(admin, portal.Invitation{Address: admin.Primary}); outcome != portal.ActiveAlready || err != nil {
			t.Errorf("oneself: %s, %v", outcome, err)
		}
		if a := x.found("new@cloud.example"); a.Language != "fr" {
			t.Errorf("language %q", a.Language)
		}
		x.clock.add(73 * time.Hour) // it is over
		if outcome, err := x.inviteBy(admin, inv); outcome != portal.InvitedNow || err != nil {
			t.Errorf("after it was over: %s, %v", outcome, err)
		}
	})
}

// PWD-35: a mailbox gets no more than a few, whoever asks; and one person cannot
// write to everybody.
func TestInvitationsAreLimited(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		target := addr(t, "victim@elsewhere.example")
		inviters := []portal.Account{x.staff("adam@cloud.example", portal.Administrator), x.staff("olga@cloud.example", portal.Owner)}
		sent := 0
		for i := range 10 {
			if _, err := x.inviteBy(inviters[i%2], portal.Invitation{Address: target, Role: portal.Guest, Again: true}); err == nil {
				sent++
			} else if code(err) != "mail_throttled" {
				t.Fatal(err)
			}
		}
		if sent != 3 {
			t.Errorf("%d invitations to one mailbox", sent)
		}
	})
}

func TestWithdrawnInvitation(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		admin, desk := x.staff("adam@cloud.example", portal.Administrator), x.staff("heidi@cloud.example", portal.HelpDesk)
		for _, who := range []portal.Account{admin, desk} {
			if _, err := x.inviteBy(admin, portal.Invitation{Address: addr(t, string(who.Role)+"-new@cloud.example")}); err != nil {
				t.Fatal(err)
			}
		}
		a := x.found("administrator-new@cloud.example")
		l := x.letter(portal.InvitationLetter)
		list, err := x.Invitations(x.ctx, "acme", 10)
		if err != nil || len(list) != 2 || list[0].Ends.Sub(x.clock.now()) != portal.ForInvitation.Life() || list[0].Inviter != admin.ID {
			t.Fatalf("%+v, %v", list, err)
		}
		if err := x.WithdrawInvitation(x.ctx, "acme", as(desk), desk.ID, a.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := x.InvitationByToken(x.ctx, "acme", l.Token); err == nil {
			t.Error("the link still counts")
		}
		if got := x.found("administrator-new@cloud.example"); got.Status != portal.Disabled {
			t.Errorf("%s", got.Status)
		}
		if err := x.WithdrawInvitation(x.ctx, "acme", as(desk), desk.ID, a.ID); code(err) != "not_invited_now" {
			t.Errorf("twice: %v", err)
		}
		if i, ok, err := x.InvitationOf(x.ctx, "acme", a.ID); !ok || !i.Withdrawn || err != nil {
			t.Errorf("%+v, %t, %v", i, ok, err)
		}
		x.clock.add(time.Hour)
		if err := x.ResendInvitation(x.ctx, "acme", as(desk), desk.ID, a.ID); err != nil {
			t.Errorf("again: %v", err)
		}
		// One that an administrator disabled is not brought back by an invitation.
		for range 2 {
			if _, err := x.Disable(x.ctx, "acme", as(admin), a.Primary); err != nil {
				t.Fatal(err)
			}
			if err := x.ResendInvitation(x.ctx, "acme", as(desk), desk.ID, a.ID); code(err) != "account_disabled" {
				t.Errorf("disabled: %v", err)
			}
		}
		// Those of another portal and those above one's own rank are out of reach.
		if err := x.ResendInvitation(x.ctx, "other", visitor("x"), "", a.ID); code(err) != "account_unknown" {
			t.Errorf("of another portal: %v", err)
		}
		owner := x.staff("olga@cloud.example", portal.Owner)
		if _, err := x.inviteBy(owner, portal.Invitation{Address: addr(t, "boss@cloud.example"), Role: portal.Owner}); err != nil {
			t.Fatal(err)
		}
		if err := x.WithdrawInvitation(x.ctx, "acme", as(admin), admin.ID, x.found("boss@cloud.example").ID); code(err) != "manage_higher" {
			t.Errorf("an owner's: %v", err)
		}
		if _, err := x.inviteBy(admin, portal.Invitation{Address: addr(t, "boss@cloud.example"), Again: true}); code(err) != "manage_higher" {
			t.Errorf("an owner's again: %v", err)
		}
	})
}

// S33: members come from approved domains, guests from anywhere.
func TestApprovedDomains(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		admin := x.staff("adam@cloud.example", portal.Administrator)
		try := func(address string, role portal.Role) string {
			_, err := x.inviteBy(admin, portal.Invitation{Address: addr(t, address), Role: role})
			return code(err)
		}
		for _, step := range []struct {
			do      func() error
			address string
			role    portal.Role
			want    string
		}{
			{nil, "a@new.example", portal.Member, "domain_not_approved"},
			{nil, "b@new.example", portal.Guest, "ok"},
			{nil, "c@acme.example", portal.Member, "ok"}, // they sign in with it
			{func() error { _, _, err := x.ApproveDomain(x.ctx, "acme", as(admin), "New.Example"); return err }, "a@new.example", portal.Member, "ok"},
			{nil, "a@sub.new.example", portal.Member, "domain_not_approved"},
			{func() error { _, _, err := x.ApproveDomain(x.ctx, "acme", as(admin), "*.new.example"); return err }, "a@sub.new.example", portal.Member, "ok"},
			{func() error { return x.DisapproveDomain(x.ctx, "acme", as(admin), "new.example") }, "d@new.example", portal.Member, "domain_not_approved"},
		} {
			if step.do != nil {
				if err := step.do(); err != nil {
					t.Fatal(err)
				}
			}
			if got := try(step.address, step.role); got != step.want {
				t.Errorf("%s as %s: %s, want %s", step.address, step.role, got, step.want)
			}
		}
		if a := x.found("a@new.example"); a.Status != portal.Invited {
			t.Error("removing a domain did something to its accounts")
		}
		list, err := x.ApprovedDomains(x.ctx, "acme")
		if err != nil {
			t.Fatal(err)
		}
		counts := map[string]int64{}
		for _, d := range list {
			counts[d.Name] = d.Accounts
		}
		if counts["*.new.example"] != 1 || counts["cloud.example"] != 1 || counts["acme.example"] != 1 {
			t.Errorf("%v", counts)
		}
		if _, changed, err := x.ApproveDomain(x.ctx, "acme", as(admin), "acme.example"); changed || err != nil {
			t.Errorf("a domain of the sign-in: %t, %v", changed, err)
		}
		if err := x.DisapproveDomain(x.ctx, "other", visitor("x"), "*.new.example"); code(err) != "domain_unknown" {
			t.Errorf("of another portal: %v", err)
		}
		if _, err := x.Invite(x.ctx, portal.Visitor{}, portal.Invitation{Portal: "acme", Address: addr(t, "z@anywhere.example")}); err != nil {
			t.Errorf("the operator: %v", err)
		}
		events, err := x.Events(x.ctx, "acme", portal.EventFilter{Action: "domain.approved"})
		if err != nil || len(events) != 2 || events[0].Actor != admin.ID {
			t.Errorf("%+v, %v", events, err)
		}
	})
}

func TestInvitationWithAPlan(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		admin, desk := x.staff("adam@cloud.example", portal.Administrator), x.staff("heidi@cloud.example", portal.HelpDesk)
		for _, tc := range []struct {
			by   portal.Account
			inv  portal.Invitation
			want string
		}{
			{admin, portal.Invitation{Address: addr(t, "p1@cloud.example"), Plan: "pro"}, "ok"},
			{admin, portal.Invitation{Address: addr(t, "p2@cloud.example")}, "ok"},
			{admin, portal.Invitation{Address: addr(t, "p3@cloud.example"), Plan: "none-such"}, "plan_unknown"},
			{admin, portal.Invitation{Address: addr(t, "p4@cloud.example"), Plan: "guest"}, "plan_unknown"},
			{desk, portal.Invitation{Address: addr(t, "p5@cloud.example"), Plan: "pro"}, "plan_refused"},
		} {
			if _, err := x.inviteBy(tc.by, tc.inv); code(err) != tc.want {
				t.Errorf("%s with %q: %v", tc.inv.Address.Clear(), tc.inv.Plan, err)
			}
		}
		if l := x.licence(x.found("p1@cloud.example").ID); l.Plan.ID != "pro" {
			t.Errorf("plan %q", l.Plan.ID)
		}
		if l := x.licence(x.found("p2@cloud.example").ID); l.Plan.ID != "professional" {
			t.Errorf("plan %q", l.Plan.ID)
		}
	})
}
