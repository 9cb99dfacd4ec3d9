package store_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

func (x *fixture) plan(p portal.Plan) {
	x.t.Helper()
	p.Portal = "acme"
	if _, err := x.PutPlan(x.ctx, p); err != nil {
		x.t.Fatal(err)
	}
}

func (x *fixture) licence(id string) portal.Licence {
	x.t.Helper()
	l, err := x.Licence(x.ctx, "acme", id)
	if err != nil {
		x.t.Fatal(err)
	}
	return l
}

// relicense changes a licence as somebody does who looks at the effects first.
func (x *fixture) relicense(id string, c portal.LicenceChange) error {
	x.t.Helper()
	p, err := x.PreviewLicence(x.ctx, "acme", id, c)
	if err != nil {
		return err
	}
	return x.ChangeLicence(x.ctx, "acme", portal.Visitor{}, id, c, p.Mark)
}

func (x *fixture) seats(plan string) int64 {
	x.t.Helper()
	plans, err := x.Plans(x.ctx, "acme")
	if err != nil {
		x.t.Fatal(err)
	}
	for _, p := range plans {
		if p.ID == plan {
			return p.Used
		}
	}
	x.t.Fatalf("no plan %s", plan)
	return 0
}

var (
	professional = portal.Plan{ID: "professional", Name: "Professional", Kind: portal.Professional,
		Features: []portal.Feature{portal.SelfRelease}, Cap: 10_000, Months: 12, Place: 1}
	pro = portal.Plan{ID: "pro", Name: "Professional Pro", Kind: portal.Professional,
		Features: []portal.Feature{portal.Pro, portal.SelfRelease}, Cap: 20_000, Months: 12, Place: 2}
)

func withSeats(p portal.Plan, n int64) portal.Plan {
	p.Seats = n
	return p
}

// S25: whoever comes gets the licence of their role.
func TestNewAccountsHaveLicences(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ada := x.account("ada@cloud.example")
		l := x.licence(ada.ID)
		if l.Plan.ID != "professional" || l.Address != ada.Primary || !l.Since.Equal(x.clock.now()) ||
			!l.Ends.Equal(x.clock.now().AddDate(1, 0, 0)) || !l.Renews {
			t.Errorf("a member's licence is %+v", l)
		}
		if _, err := x.DangerouslyCreateAccount(x.ctx, portal.Account{Portal: "acme", Primary: addr(t, "gil@cloud.example"), Role: portal.Guest}, ""); err != nil {
			t.Fatal(err)
		}
		gil, _, err := x.AccountByAddress(x.ctx, "acme", addr(t, "gil@cloud.example"))
		if err != nil || x.licence(gil.ID).Plan.Kind != portal.GuestLicence || !x.licence(gil.ID).Ends.IsZero() {
			t.Errorf("a guest's licence is %+v, %v", x.licence(gil.ID), err)
		}
		if other, err := x.Licence(x.ctx, "other", ada.ID); err != nil || !other.None() {
			t.Errorf("another portal sees %+v, %v", other, err)
		}
	})
}

func TestInvitationNeedsASeat(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		x.account("ada@cloud.example")
		x.plan(withSeats(professional, 1))
		_, err := x.Invite(x.ctx, visitor("a"), portal.Invitation{Portal: "acme", Address: addr(t, "bob@cloud.example")})
		wantCode(t, err, "seats_used")
		if _, found, _ := x.AccountByAddress(x.ctx, "acme", addr(t, "bob@cloud.example")); found {
			t.Error("there is an account without a seat")
		}
		x.plan(withSeats(professional, 2))
		if _, err := x.Invite(x.ctx, visitor("a"), portal.Invitation{Portal: "acme", Address: addr(t, "bob@cloud.example")}); err != nil {
			t.Error(err)
		}
		if n := x.seats("professional"); n != 2 {
			t.Errorf("%d seats are taken, want 2", n)
		}
		// Whom nobody invited gets in without a licence, when there is none.
		eve := x.account("eve@cloud.example")
		if l := x.licence(eve.ID); !l.None() {
			t.Errorf("there was no seat, but a licence: %+v", l)
		}
	})
}

// The last seat goes to one of fifty who ask for it at once.
func TestLastSeatIsAssignedOnce(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ids := make([]string, 50)
		for i := range ids {
			ids[i] = x.account(fmt.Sprintf("p%d@cloud.example", i)).ID
		}
		x.plan(withSeats(pro, 1))
		got := parallel(func(i int) error { return x.relicense(ids[i], portal.LicenceChange{Plan: "pro"}) })
		wantOne(t, got, "seats_used")
		if n := x.seats("pro"); n != 1 {
			t.Errorf("%d seats of one are taken", n)
		}
		if n := x.seats("professional"); n != 49 {
			t.Errorf("%d seats are taken, want 49", n)
		}
	})
}

func TestDisabledAccountsTakeNoSeat(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ada := x.account("ada@cloud.example")
		x.plan(withSeats(professional, 1))
		change := func(do string) error {
			switch do {
			case "disable":
				_, err := x.Disable(x.ctx, "acme", visitor("a"), ada.Primary)
				return err
			}
			_, err := x.Enable(x.ctx, "acme", visitor("a"), ada.Primary)
			return err
		}
		wantCode(t, change("disable"), "ok")
		if n := x.seats("professional"); n != 0 {
			t.Errorf("a disabled account takes %d seats", n)
		}
		bob := x.account("bob@cloud.example")
		wantCode(t, change("enable"), "seats_used")
		if now, _, _ := x.AccountByAddress(x.ctx, "acme", ada.Primary); now.Status != portal.Disabled {
			t.Errorf("enabled without a seat: %s", now.Status)
		}
		wantCode(t, x.relicense(bob.ID, portal.LicenceChange{}), "ok")
		wantCode(t, change("enable"), "ok")
		if n := x.seats("professional"); n != 1 {
			t.Errorf("%d seats are taken, want 1", n)
		}
	})
}

// What was shown is what happens: whoever agreed to something else is asked
// again (ADM-15).
func TestLicenceChangesAsShown(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ada := x.account("ada@cloud.example")
		up := portal.LicenceChange{Plan: "pro"}
		seen, err := x.PreviewLicence(x.ctx, "acme", ada.ID, up)
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, x.relicense(ada.ID, portal.LicenceChange{Plan: "guest"}), "ok")
		wantCode(t, x.ChangeLicence(x.ctx, "acme", portal.Visitor{}, ada.ID, up, seen.Mark), "stale_version")
		wantCode(t, x.ChangeLicence(x.ctx, "acme", portal.Visitor{}, ada.ID, up, ""), "stale_version")
		wantCode(t, x.ChangeLicence(x.ctx, "other", portal.Visitor{}, ada.ID, up, seen.Mark), "account_unknown")
		wantCode(t, x.relicense(ada.ID, portal.LicenceChange{Plan: "guest"}), "licence_same")
		wantCode(t, x.relicense(ada.ID, portal.LicenceChange{Plan: "gold"}), "plan_unknown")
		wantCode(t, x.relicense(ada.ID, up), "ok")
		wantCode(t, x.relicense(ada.ID, portal.LicenceChange{Keep: true}), "ok")
		if l := x.licence(ada.ID); l.Renews || !l.InForce(x.clock.now()) {
			t.Errorf("after its renewal was stopped: %+v", l)
		}
		x.clock.add(366 * 24 * time.Hour)
		if l := x.licence(ada.ID); l.InForce(x.clock.now()) {
			t.Errorf("a year later: %+v", l)
		}
		wantCode(t, x.relicense(ada.ID, portal.LicenceChange{}), "ok")
		for action, code := range map[string]string{"licence.changed": "", "licence.released": ""} {
			if !x.audited(action, code) {
				t.Errorf("no %s in the log", action)
			}
		}
	})
}

// Only administrators assign licences, and not to who is above them.
func TestWhoMayAssignLicences(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		people := map[portal.Role]portal.Account{}
		for _, r := range portal.Roles() {
			a := portal.Account{Portal: "acme", Primary: addr(t, string(r)+"@cloud.example"), Role: r}
			if _, err := x.DangerouslyCreateAccount(x.ctx, a, ""); err != nil {
				t.Fatal(err)
			}
			people[r], _, _ = x.AccountByAddress(x.ctx, "acme", a.Primary)
		}
		up := portal.LicenceChange{Plan: "pro"}
		for _, tc := range []struct {
			actor, target portal.Role
			want          string
		}{
			{portal.Administrator, portal.Member, "ok"},
			{portal.Administrator, portal.Administrator, "ok"},
			{portal.Administrator, portal.Owner, "manage_higher"},
			{portal.Owner, portal.Guest, "ok"},
			{portal.HelpDesk, portal.Guest, "permission_missing"},
			{portal.Auditor, portal.Member, "permission_missing"},
			{portal.Member, portal.Member, "permission_missing"},
		} {
			target := people[tc.target].ID
			p, err := x.PreviewLicence(x.ctx, "acme", target, up)
			if tc.want == "ok" && err != nil {
				t.Fatal(err)
			}
			v := visitor("a")
			v.Actor = people[tc.actor].ID
			wantCode(t, x.ChangeLicence(x.ctx, "acme", v, target, up, p.Mark), tc.want)
		}
		if !x.audited("access.refused", "manage_higher") || !x.audited("access.refused", "permission_missing") {
			t.Error("refusals are not in the log")
		}
	})
}

// S31: one's own licence can be released where the plan says so.
func TestReleaseOwnLicence(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		ada := x.account("ada@cloud.example")
		v := visitor("a")
		v.Actor = ada.ID
		p, err := x.PreviewLicence(x.ctx, "acme", ada.ID, portal.LicenceChange{})
		if err != nil {
			t.Fatal(err)
		}
		kept := professional
		kept.Features = nil
		x.plan(kept)
		wantCode(t, x.ReleaseOwnLicence(x.ctx, "acme", v, ada.ID, p.Mark), "release_refused")
		x.plan(professional)
		wantCode(t, x.ReleaseOwnLicence(x.ctx, "acme", v, ada.ID, "0000"), "stale_version")
		wantCode(t, x.ReleaseOwnLicence(x.ctx, "acme", v, ada.ID, p.Mark), "ok")
		wantCode(t, x.ReleaseOwnLicence(x.ctx, "acme", v, ada.ID, p.Mark), "licence_none")
		if !x.licence(ada.ID).None() || x.seats("professional") != 0 {
			t.Error("the licence is still there")
		}
		if !x.audited("licence.released", "") || !x.audited("licence.refused", "release_refused") {
			t.Error("it is not in the log")
		}
	})
}

func TestHoldersAndEnding(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		for _, who := range []string{"c@cloud.example", "a@cloud.example", "b@cloud.example"} {
			x.account(who)
		}
		var seen []string
		after := ""
		for range 4 {
			page, err := x.LicenceHolders(x.ctx, "acme", "professional", after, 1)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			seen, after = append(seen, page[0].Primary.Clear()), page[0].ID
		}
		if fmt.Sprint(seen) != "[a@cloud.example b@cloud.example c@cloud.example]" {
			t.Errorf("holders: %v", seen)
		}
		a, _, _ := x.AccountByAddress(x.ctx, "acme", addr(t, "a@cloud.example"))
		soon := x.clock.now().AddDate(1, 1, 0)
		if ending, err := x.LicencesEnding(x.ctx, "acme", soon, 10); err != nil || len(ending) != 0 {
			t.Errorf("those that are renewed end: %v, %v", ending, err)
		}
		wantCode(t, x.relicense(a.ID, portal.LicenceChange{Keep: true}), "ok")
		if ending, err := x.LicencesEnding(x.ctx, "acme", soon, 10); err != nil || len(ending) != 1 || ending[0].ID != a.ID {
			t.Errorf("ending: %v, %v", ending, err)
		}
		if other, err := x.LicenceHolders(x.ctx, "other", "professional", "", 10); err != nil || len(other) != 0 {
			t.Errorf("another portal's: %v, %v", other, err)
		}
	})
}

// Counters are what they count, whatever was done.
func TestTalliesCountWhatIsThere(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		r := rand.New(rand.NewPCG(7, 11))
		var people []portal.Account
		x.plan(withSeats(professional, 6))
		x.plan(withSeats(pro, 3))
		for i := range 220 {
			switch n := r.IntN(6); {
			case n == 0 && len(people) < 20 || len(people) == 0:
				a := addr(t, fmt.Sprintf("r%d@cloud.example", i))
				role := portal.Member
				if r.IntN(3) == 0 {
					role = portal.Guest
				}
				if _, err := x.DangerouslyCreateAccount(x.ctx, portal.Account{Portal: "acme", Primary: a, Role: role}, ""); err != nil {
					t.Fatal(err)
				}
				found, _, err := x.AccountByAddress(x.ctx, "acme", a)
				if err != nil {
					t.Fatal(err)
				}
				people = append(people, found)
			case n == 1:
				_, _ = x.Disable(x.ctx, "acme", visitor("a"), people[r.IntN(len(people))].Primary)
			case n == 2:
				_, _ = x.Enable(x.ctx, "acme", visitor("a"), people[r.IntN(len(people))].Primary)
			default:
				plan := []string{"", "guest", "professional", "pro"}[r.IntN(4)]
				_ = x.relicense(people[r.IntN(len(people))].ID, portal.LicenceChange{Plan: plan})
			}
			if i%20 == 19 {
				x.checkTallies()
			}
		}
	})
}

func (x *fixture) checkTallies() {
	x.t.Helper()
	for _, q := range []struct{ prefix, query string }{
		{"status:", `SELECT status, COUNT(*) FROM accounts WHERE portal = 'acme' GROUP BY status`},
		{"plan:", `SELECT l.plan, COUNT(*) FROM licences l JOIN accounts a ON a.id = l.account WHERE l.portal = 'acme' AND a.status <> 'disabled' GROUP BY l.plan`},
	} {
		want := map[string]int64{}
		rows, err := x.db.Query(q.query)
		if err != nil {
			x.t.Fatal(err)
		}
		for rows.Next() {
			var name string
			var n int64
			if err := rows.Scan(&name, &n); err != nil {
				x.t.Fatal(err)
			}
			want[name] = n
		}
		if err := rows.Err(); err != nil {
			x.t.Fatal(err)
		}
		got, err := x.Tallies(x.ctx, "acme", q.prefix)
		if err != nil {
			x.t.Fatal(err)
		}
		for name, n := range got {
			if n != want[name] {
				x.t.Fatalf("%s%s is %d, but there are %d", q.prefix, name, n, want[name])
			}
			delete(want, name)
		}
		if len(want) > 0 {
			x.t.Fatalf("not counted: %v", want)
		}
	}
}
