package web

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

// securityPage is where people see how their account is protected.
type securityPage struct {
	page.Form
	Tabs      []tab
	Notice    string
	Ways      []string
	Password  bool // it can be changed here
	Factors   []factorLine
	Demanded  bool
	Codes     int
	Trusted   int
	TrustDays int
	Texts     bool
}

type factorLine struct {
	ID, Kind, Name string
	Added, Used    moment
}

type removePage struct {
	Tabs   []tab
	Factor string // its ID
	What   string
	Last   bool // it is the only one
}

type codesPage struct {
	page.Form
	Tabs   []tab
	Portal string
	Left   int
	Early  bool     // there is no factor yet that they could stand in for
	Codes  []string // just drawn; shown this once
	Date   string   // when they were made, as it stands on the sheet they are kept on
}

// What a notice on this page is about; see noticeCookie.
const (
	passwordChanged = "password-changed"
	factorAdded     = "factor-added"
	factorRemoved   = "factor-removed"
	trustEnded      = "trust-ended"
)

func (s *Site) security(v *visit) error { return v.showSecurity(http.StatusOK, nil) }

func (v *visit) showSecurity(status int, wrong *discovery.Error) error {
	ways, err := v.site.Store.Ways(v.r.Context(), v.portal.ID, v.member.Account.ID)
	if err != nil {
		return fmt.Errorf("read ways to sign in: %w", err)
	}
	p := securityPage{Form: withProblem(wrong), Tabs: v.accountTabs("security"), Password: ways.Password, Demanded: ways.Demanded,
		Codes: ways.Codes, Trusted: ways.Trusted, TrustDays: v.settings().TrustDays, Texts: v.site.Store.Texts, Factors: v.factorLines(ways.Factors)}
	p.Notice = v.noticed(map[string]string{
		factorAdded:     v.t("Your account has a new second factor. Your other sessions are over, and every browser is asked for it."),
		factorRemoved:   v.t("The second factor is removed. Your other sessions are over."),
		trustEnded:      v.t("No browser is trusted any more: each is asked for the second factor with the next sign-in."),
		passwordChanged: v.t("Your password is changed. You stay signed in here and are signed out everywhere else."),
	})
	if ways.Connection != "" {
		p.Ways = append(p.Ways, v.t("Domain: your organisation’s own sign-in (%s)", ways.ConnectionName))
	}
	if ways.Password {
		p.Ways = append(p.Ways, v.t("Cloud: your password for this portal"))
	}
	return v.render(status, "security", p)
}

func (v *visit) factorLines(factors []portal.Factor) []factorLine {
	var lines []factorLine
	for _, f := range factors {
		lines = append(lines, factorLine{ID: f.ID, Kind: v.kindName(f.Kind), Name: f.Name, Added: v.when(f.Created), Used: v.when(f.Used)})
	}
	return lines
}

// kindName is a sort of factor in words.
func (v *visit) kindName(k portal.FactorKind) string {
	switch k {
	case portal.TOTPFactor:
		return v.t("Authenticator app")
	case portal.SMSFactor:
		return v.t("Codes by SMS")
	}
	return v.t("Passkey")
}

// removeFactor first shows what it does, and does it when that was said yes to.
func (s *Site) removeFactor(v *visit) error {
	f, err := v.form(fieldFactor, field{"sure", 3})
	if err != nil {
		return err
	}
	if f["sure"] != "yes" {
		return v.askRemoval(f["factor"])
	}
	err = s.Store.RemoveFactor(v.r.Context(), v.portal.ID, v.visitor(), *v.member, f["factor"])
	if errors.Is(err, portal.ErrNoSession) {
		return v.redirect("/login")
	}
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return v.showSecurity(e.Kind.Status(), e)
	}
	return v.backTo("/account/security", factorRemoved)
}

func (v *visit) askRemoval(id string) error {
	ways, err := v.site.Store.Ways(v.r.Context(), v.portal.ID, v.member.Account.ID)
	if err != nil {
		return fmt.Errorf("read ways to sign in: %w", err)
	}
	if err := ways.MayRemove(id); err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return v.showSecurity(e.Kind.Status(), e)
	}
	for _, l := range v.factorLines(ways.Factors) {
		if l.ID != id {
			continue
		}
		p := removePage{Tabs: v.accountTabs("security"), Factor: id, What: l.Kind, Last: len(ways.Factors) == 1}
		if l.Name != "" {
			p.What += ": " + l.Name
		}
		return v.render(http.StatusOK, "factor_remove", p)
	}
	return v.site.refuseTarget(v, id, &discovery.Error{Kind: discovery.NotFound, Code: "factor_unknown"})
}

// distrust ends trust in every browser.
func (s *Site) distrust(v *visit) error {
	if _, err := v.form(); err != nil {
		return err
	}
	err := s.Store.StopTrusting(v.r.Context(), v.portal.ID, v.visitor(), *v.member)
	if errors.Is(err, portal.ErrNoSession) {
		return v.redirect("/login")
	}
	if err != nil {
		return fmt.Errorf("stop trusting browsers: %w", err)
	}
	return v.backTo("/account/security", trustEnded)
}

func (s *Site) codes(v *visit) error { return v.showCodes(http.StatusOK, nil, nil) }

// drawCodes shows new codes, this once.
func (s *Site) drawCodes(v *visit) error {
	if _, err := v.form(); err != nil {
		return err
	}
	codes, err := s.Store.DrawCodes(v.r.Context(), v.portal.ID, v.visitor(), *v.member)
	if errors.Is(err, portal.ErrNoSession) {
		return v.redirect("/login")
	}
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return v.showCodes(e.Kind.Status(), nil, e)
	}
	return v.showCodes(http.StatusOK, codes, nil)
}

func (v *visit) showCodes(status int, drawn []portal.Secret, wrong *discovery.Error) error {
	ways, err := v.site.Store.Ways(v.r.Context(), v.portal.ID, v.member.Account.ID)
	if err != nil {
		return fmt.Errorf("read ways to sign in: %w", err)
	}
	p := codesPage{Form: withProblem(wrong), Tabs: v.accountTabs("security"), Portal: v.portal.Name, Left: ways.Codes, Early: len(ways.Factors) == 0, Date: v.day(ways.CodesMade).Human}
	for _, c := range drawn {
		p.Codes = append(p.Codes, c.Clear())
	}
	return v.render(status, "codes", p)
}
