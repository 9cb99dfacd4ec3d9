package portal_test

import (
	"testing"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

func TestJoin(t *testing.T) {
	plan := func(id string, place int64, ends time.Time) portal.Licence {
		return portal.Licence{Account: id, Plan: portal.Plan{ID: id, Place: place}, Ends: ends}
	}
	one := portal.LinkedIdentity{Connection: "saml", Issuer: "https://idp.example"}
	for name, tc := range map[string]struct {
		change func(keep, gone *portal.Joining)
		code   string
		check  func(portal.Joint) bool
	}{
		"two members": {func(_, _ *portal.Joining) {}, "", func(j portal.Joint) bool {
			return j.Role == portal.Member && j.Licence.None() && j.Released.None() && !j.PasswordMoves
		}},
		"itself":                 {func(_, g *portal.Joining) { g.ID = "keep" }, "link_refused", nil},
		"of two portals":         {func(_, g *portal.Joining) { g.Portal = "other" }, "link_refused", nil},
		"into somebody disabled": {func(k, _ *portal.Joining) { k.Status = portal.Disabled }, "merge_over", nil},
		"into somebody merged":   {func(k, _ *portal.Joining) { k.MergedInto = "x" }, "merge_over", nil},
		"of somebody disabled":   {func(_, g *portal.Joining) { g.Status = portal.Disabled }, "merge_disabled", nil},
		"of somebody merged":     {func(_, g *portal.Joining) { g.MergedInto = "x" }, "merge_disabled", nil},
		"of an open invitation":  {func(_, g *portal.Joining) { g.Status = portal.Invited }, "", func(j portal.Joint) bool { return true }},
		"two subjects of one IdP": {func(k, g *portal.Joining) {
			k.Identities, g.Identities = []portal.LinkedIdentity{one}, []portal.LinkedIdentity{one}
		}, "merge_two_people", nil},
		"one of them at an IdP":      {func(_, g *portal.Joining) { g.Identities = []portal.LinkedIdentity{one} }, "", func(j portal.Joint) bool { return true }},
		"the other is an owner":      {func(_, g *portal.Joining) { g.Role = portal.Owner }, "", func(j portal.Joint) bool { return j.Role == portal.Owner }},
		"the kept one may do more":   {func(k, g *portal.Joining) { k.Role, g.Role = portal.HelpDesk, portal.Guest }, "", func(j portal.Joint) bool { return j.Role == portal.HelpDesk }},
		"auditor before member":      {func(_, g *portal.Joining) { g.Role = portal.Auditor }, "", func(j portal.Joint) bool { return j.Role == portal.Auditor }},
		"only the other is licensed": {func(_, g *portal.Joining) { g.Licence = plan("p", 1, time.Time{}) }, "", func(j portal.Joint) bool { return j.LicenceMoves && j.Licence.Plan.ID == "p" && j.Released.None() }},
		"the other has a better plan": {func(k, g *portal.Joining) {
			k.Licence, g.Licence = plan("p", 1, time.Time{}), plan("q", 2, noon.Add(time.Hour))
		}, "", func(j portal.Joint) bool { return j.LicenceMoves && j.Released.Plan.ID == "p" }},
		"a better plan that is over": {func(k, g *portal.Joining) { k.Licence, g.Licence = plan("p", 1, time.Time{}), plan("q", 2, noon) }, "", func(j portal.Joint) bool { return !j.LicenceMoves && j.Released.Plan.ID == "q" }},
		"equal plans, longer": {func(k, g *portal.Joining) {
			k.Licence, g.Licence = plan("p", 1, noon.Add(1)), plan("q", 1, noon.Add(2))
		}, "", func(j portal.Joint) bool { return j.LicenceMoves }},
		"equal plans, endless stays": {func(k, g *portal.Joining) {
			k.Licence, g.Licence = plan("p", 1, time.Time{}), plan("q", 1, noon.Add(2))
		}, "", func(j portal.Joint) bool { return !j.LicenceMoves }},
		"equal plans, both endless": {func(k, g *portal.Joining) {
			k.Licence, g.Licence = plan("p", 1, time.Time{}), plan("q", 1, time.Time{})
		}, "", func(j portal.Joint) bool { return !j.LicenceMoves }},
		"a password comes along":   {func(_, g *portal.Joining) { g.HasPassword = true }, "", func(j portal.Joint) bool { return j.PasswordMoves }},
		"the kept password counts": {func(k, g *portal.Joining) { k.HasPassword, g.HasPassword = true, true }, "", func(j portal.Joint) bool { return !j.PasswordMoves }},
	} {
		keep := portal.Joining{Account: portal.Account{ID: "keep", Portal: "acme", Status: portal.Active, Role: portal.Member}}
		gone := portal.Joining{Account: portal.Account{ID: "gone", Portal: "acme", Status: portal.Active, Role: portal.Member}}
		tc.change(&keep, &gone)
		j, err := portal.Join(keep, gone, noon)
		if got := code(err); got != tc.code || err == nil && !tc.check(j) {
			t.Errorf("%s: %q, %+v", name, got, j)
		}
	}
}

// Whoever agrees to a summary agrees to what it says.
func TestMark(t *testing.T) {
	join := func(change func(keep, gone *portal.Joining)) string {
		keep := portal.Joining{Account: portal.Account{ID: "keep", Status: portal.Active}, Confirmed: nil}
		gone := portal.Joining{Account: portal.Account{ID: "gone", Status: portal.Active}}
		change(&keep, &gone)
		j, err := portal.Join(keep, gone, noon)
		if err != nil {
			t.Fatal(err)
		}
		return j.Mark()
	}
	same := join(func(_, _ *portal.Joining) {})
	if same != join(func(_, g *portal.Joining) { g.Messages, g.Events = 7, 9 }) {
		t.Error("a message more is another merge")
	}
	for name, change := range map[string]func(_, _ *portal.Joining){
		"a role":     func(_, g *portal.Joining) { g.Role = portal.Owner },
		"an address": func(k, _ *portal.Joining) { k.Confirmed = append(k.Confirmed, addr(t, "new@cloud.example")) },
		"a factor":   func(_, g *portal.Joining) { g.Factors = 1 },
		"a licence":  func(_, g *portal.Joining) { g.Licence.Plan.ID = "pro" },
		"a password": func(_, g *portal.Joining) { g.HasPassword = true },
	} {
		if join(change) == same {
			t.Errorf("%s more is the same merge", name)
		}
	}
}

func TestMergedStaysMerged(t *testing.T) {
	if got := code(portal.MayEnable(portal.Account{Status: portal.Disabled, MergedInto: "x"})); got != "account_merged" {
		t.Errorf("enabled again: %q", got)
	}
	if err := portal.MayEnable(portal.Account{Status: portal.Disabled}); err != nil {
		t.Error(err)
	}
	for status, want := range map[portal.Status]bool{portal.Active: true, portal.Invited: false, portal.Disabled: true} {
		if (portal.Account{Status: status}).NeedsProof(true) != want {
			t.Errorf("%s: proof needed is not %t", status, want)
		}
		if !(portal.Account{Status: status}).NeedsProof(false) {
			t.Errorf("%s: without passwords a mailbox is enough", status)
		}
	}
}
