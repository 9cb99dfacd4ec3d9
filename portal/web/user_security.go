package web

import (
	"net/http"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

// userSecurityPage is what an administrator may see of how somebody's account is
// protected: sorts and dates. Names people gave, numbers and keys are theirs.
type userSecurityPage struct {
	page.Form
	Tabs     []tab
	Notice   string
	Name     string
	Path     string // of this page
	Back     string
	Ways     []string
	Factors  []factorLine
	Demanded bool
	Codes    int
	Trusted  int
	Password bool // it can be reset by mail
	May      bool // this person may be managed by the visitor
	Why      string
}

const (
	theirFactorRemoved = "their-factor-removed"
	theirTrustEnded    = "their-trust-ended"
	theirResetSent     = "their-reset-sent"
)

func (s *Site) userSecurity(v *visit) error {
	a, err := s.accountOf(v)
	if err != nil {
		return err
	}
	return v.showUserSecurity(http.StatusOK, a, nil)
}

func (v *visit) showUserSecurity(status int, a portal.Account, wrong *discovery.Error) error {
	ways, err := v.site.Store.Ways(v.r.Context(), v.portal.ID, a.ID)
	if err != nil {
		return err
	}
	p := userSecurityPage{Form: withProblem(wrong), Tabs: v.consoleTabs("users"), Name: nameOf(a), Path: "/admin/users/" + a.ID + "/security",
		Back: "/admin/users/" + a.ID, Demanded: ways.Demanded, Codes: ways.Codes, Trusted: ways.Trusted, Factors: v.factorLines(ways.Factors)}
	p.Notice = v.noticed(map[string]string{
		theirFactorRemoved: v.t("The second factor is removed, the person is signed out everywhere, and a mail tells them."),
		theirTrustEnded:    v.t("No browser of this person is trusted any more."),
		theirResetSent:     v.t("A link for a new password is on its way to this person’s primary address."),
	})
	for i := range p.Factors {
		p.Factors[i].Name = ""
	}
	if ways.Connection != "" {
		p.Ways = append(p.Ways, v.t("Domain: the organisation’s own sign-in (%s)", ways.ConnectionName))
	}
	if ways.Password {
		p.Ways = append(p.Ways, v.t("Cloud: a password for this portal"))
	}
	if err := portal.MayManage(v.member.Account, a); err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		p.Why = e.Say
	}
	p.May = p.Why == ""
	p.Password = ways.Password && a.Status == portal.Active
	return v.render(status, "user_security", p)
}

// changeUserSecurity does one thing: remove a factor, end trust, or mail a link
// for a new password. Nobody sets or reads one here.
func (s *Site) changeUserSecurity(v *visit) error {
	f, err := v.form(field{"do", 8}, fieldFactor)
	if err != nil {
		return err
	}
	a, err := s.accountOf(v)
	if err != nil {
		return err
	}
	ctx, who := v.r.Context(), v.visitor()
	done := ""
	switch f["do"] {
	case "remove":
		done, err = theirFactorRemoved, s.Store.RemoveFactorOf(ctx, v.portal.ID, who, a.ID, f["factor"])
	case "distrust":
		done, err = theirTrustEnded, s.Store.StopTrustingOf(ctx, v.portal.ID, who, a.ID)
	case "reset":
		done, err = theirResetSent, s.Store.SendReset(ctx, v.portal.ID, who, a.ID)
	default:
		err = badField("do", "do_unknown", "Choose what to do.")
	}
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return v.showUserSecurity(e.Kind.Status(), a, e)
	}
	return v.backTo("/admin/users/"+a.ID+"/security", done)
}
