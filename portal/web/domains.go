package web

import (
	"net/http"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

// domainsPage lists the domains in which members may be added (S33).
type domainsPage struct {
	page.Form
	Tabs    []tab
	Notice  string
	Domain  page.Field
	Domains []approvedRow
}

type approvedRow struct {
	Name, Covers string
	Accounts     string
	Added        moment
	SignIn       bool // of the portal's sign-in: only the operator changes it
	Ask          bool // whether to remove it is being asked
}

const (
	domainApproved = "domain-approved"
	domainThere    = "domain-there"
	domainRemoved  = "domain-removed"
)

func (s *Site) approvedDomains(v *visit) error {
	return s.showDomains(v, http.StatusOK, "", "", nil)
}

// approveDomain adds a domain to the list.
func (s *Site) approveDomain(v *visit) error {
	f, err := v.form(field{"domain", 300})
	if err != nil {
		return err
	}
	var changed bool
	if f["domain"] == "" {
		err = badField("domain", "domain_empty", "Enter a domain, such as acme.example.")
	} else {
		_, changed, err = s.Store.ApproveDomain(v.r.Context(), v.portal.ID, v.visitor(), f["domain"])
	}
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return s.showDomains(v, e.Kind.Status(), f["domain"], "", e)
	}
	if !changed {
		return v.backTo("/admin/domains", domainThere)
	}
	return v.backTo("/admin/domains", domainApproved)
}

// removeDomain first says what removing a domain does, and what it does not.
func (s *Site) removeDomain(v *visit) error {
	f, err := v.form(field{"domain", 300}, field{"sure", 3})
	if err != nil {
		return err
	}
	if f["sure"] != "yes" {
		return s.showDomains(v, http.StatusOK, "", f["domain"], nil)
	}
	if err := s.Store.DisapproveDomain(v.r.Context(), v.portal.ID, v.visitor(), f["domain"]); err != nil {
		return err
	}
	return v.backTo("/admin/domains", domainRemoved)
}

func (s *Site) showDomains(v *visit, status int, typed, ask string, wrong *discovery.Error) error {
	all, err := s.Store.ApprovedDomains(v.r.Context(), v.portal.ID)
	if err != nil {
		return err
	}
	p := domainsPage{Tabs: v.consoleTabs("domains"), Domain: page.Field{Name: "domain", Label: v.t("Domain"), Type: "text", Value: typed,
		Hint: v.t("Such as acme.example; *.acme.example stands for every domain below it, but not for acme.example itself.")}}
	for _, d := range all {
		p.Domains = append(p.Domains, v.approvedRowOf(d, ask))
	}
	p.Notice = v.noticed(map[string]string{
		domainApproved: v.t("The domain is approved. Members can be added in it from now on."),
		domainThere:    v.t("Nothing was changed: it was so already."),
		domainRemoved:  v.t("The domain is not approved any more. Who has an account keeps it."),
	})
	p.Form = withProblem(wrong, &p.Domain)
	p.Domain.Focus = p.Domain.Focus && ask == ""
	return v.render(status, "domains", p)
}

func (v *visit) approvedRowOf(d portal.ApprovedDomain, ask string) approvedRow {
	row := approvedRow{Name: d.Name, Accounts: v.number(d.Accounts), Added: v.day(d.Added), SignIn: d.SignIn, Ask: d.Name == ask && !d.SignIn}
	if row.Ask {
		row.Covers = v.t("No account has its primary address there. From then on nobody new can be added.")
		if d.Accounts > 0 {
			row.Covers = v.t("%d accounts have their primary address there. They stay as they are, but nobody new can be added.", d.Accounts)
		}
	}
	return row
}
