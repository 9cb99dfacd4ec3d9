package web

import (
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

// roleTexts say what a role is called and what it may do.
//
//locale:texts
var roleTexts = map[portal.Role]struct{ name, may string }{
	portal.Owner:         {"Owner", "May do everything, and make others owners."},
	portal.Administrator: {"Administrator", "May do everything but change owners."},
	portal.HelpDesk:      {"Help desk", "Helps members: invites them, looks after their profiles, addresses and security."},
	portal.Auditor:       {"Auditor", "Reads users, licences and the audit log, and changes nothing."},
	portal.Member:        {"Member", "Uses the portal and looks after their own account."},
	portal.Guest:         {"Guest", "Was invited from outside, and looks after their own account."},
}

// roleName is what a role is called.
func (v *visit) roleName(r portal.Role) string {
	if text, ok := roleTexts[r]; ok {
		return v.t(text.name)
	}
	return string(r)
}

const roleChanged = "role-changed"

var (
	fieldRole = field{"role", 20}
	fieldWas  = field{"was", 20}
)

// roleOptions are the roles that the visitor may give an account, and the one it
// has.
func (v *visit) roleOptions(target portal.Account) []page.Option {
	var all []page.Option
	for _, r := range portal.Roles() {
		if r == target.Role || portal.MayGrant(v.member.Account, target, r) == nil {
			all = append(all, page.Option{Value: string(r), Text: v.roleName(r) + " – " + v.t(roleTexts[r].may)})
		}
	}
	return all
}

// setRole gives somebody a role (S34). The form says which role it was looking
// at: if somebody else has given another one since, that is shown first.
func (s *Site) setRole(v *visit) error {
	f, err := v.form(fieldRole, fieldWas)
	if err != nil {
		return err
	}
	a, err := s.accountOf(v)
	if err != nil {
		return err
	}
	to, err := portal.ParseRole(f["role"])
	if err == nil {
		_, err = portal.ParseRole(f["was"])
	}
	if err != nil {
		return err
	}
	_, err = s.Store.SetRole(v.r.Context(), v.portal.ID, v.visitor(), portal.RoleChange{Account: a.ID, Was: portal.Role(f["was"]), To: to})
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return s.showUser(v, e.Kind.Status(), a.ID, userWrong{role: to, problem: e})
	}
	return v.backTo(userPath(a.ID), roleChanged)
}
