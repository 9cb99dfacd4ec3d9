package web

import (
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

// lead puts what whoever is signed in may always want at the top of every page:
// their account, the console if they have one, and the way out.
func (v *visit) lead(a portal.Account) {
	links := []page.Link{{Name: v.t("Your account"), Path: "/account"}}
	if a.Role.May(portal.SeeConsole) {
		links = append(links, page.Link{Name: v.t("Administration"), Path: "/admin"})
	}
	links = append(links, page.Link{Name: v.t("Sign out"), Path: "/logout", Post: true})
	v.r = v.r.WithContext(page.WithLinks(v.r.Context(), links))
}

// A tab leads to one page of several that belong together.
type tab struct {
	Name    string
	Path    string
	Current bool
}

// tabs are the pages that a person with the role of this visit may see.
func (v *visit) tabs(current string, all []tabRule) []tab {
	var out []tab
	for _, t := range all {
		if v.member.Account.Role.May(t.may) {
			out = append(out, tab{Name: v.t(t.text), Path: t.path, Current: t.name == current})
		}
	}
	return out
}

type tabRule struct {
	name, path, text string
	may              portal.Permission
}

// accountTabs are what people look after themselves.
func (v *visit) accountTabs(current string) []tab {
	return v.tabs(current, []tabRule{
		{"profile", "/account/profile", "Licence and profile", ""},
		{"addresses", "/account/addresses", "Addresses", ""},
		{"security", "/account/security", "Security", ""},
		{"sessions", "/account/sessions", "Sessions and apps", ""},
		{"activity", "/account/activity", "Activity", ""},
	})
}

// consoleTabs are what administrators look after.
func (v *visit) consoleTabs(current string) []tab {
	return v.tabs(current, []tabRule{
		{"dashboard", "/admin", "Dashboard", portal.SeeConsole},
		{"users", "/admin/users", "Users", portal.SeeUsers},
		{"licences", "/admin/licences", "Licences", portal.SeeLicences},
		{"domains", "/admin/domains", "Approved domains", portal.ApproveDomains},
		{"notifications", "/admin/notifications", "Notifications", portal.ChangeSettings},
		{"mails", "/admin/mails", "Mail texts", portal.ChangeSettings},
		{"policy", "/admin/policy", "Sign-in policy", portal.ChangeSettings},
		{"connections", "/admin/connections", "Sign-in connections", portal.MoveConnections},
		{"recoveries", "/admin/recoveries", "Recoveries", portal.AllowRecoveries},
		{"audit", "/admin/audit", "Audit log", portal.SeeAudit},
	})
}
