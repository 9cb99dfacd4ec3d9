package web

import (
	"errors"
	"net/http"
	"strings"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

type recoveriesPage struct {
	page.Form
	Tabs       []tab
	Notice     string
	Recoveries []recoveryLine
}

type recoveryLine struct {
	ID, Name, Address string
	Account           string // local path to the account
	Asked, Expires    moment
	From              string // network, browser, country
	Not               string // why this administrator may not decide; empty: they may
}

var (
	fieldRecovery = field{"recovery", 32}
	fieldDecision = field{"decision", 8}
)

// What a notice on this page is about; see noticeCookie.
const (
	recoveryAllowed = "recovery-allowed"
	recoveryRefused = "recovery-refused"
)

// recoveries are the requests for help that wait for an administrator.
func (s *Site) recoveries(v *visit) error {
	return v.showRecoveries(http.StatusOK, recoveriesPage{Notice: v.noticed(map[string]string{
		recoveryAllowed: v.t("Allowed. The person has got a mail with a link, which is good for %s.", v.t("%d hours", int(portal.RecoveryLink.Hours()))),
		recoveryRefused: v.t("Refused. The person has been told by mail."),
	})}, nil)
}

func (v *visit) showRecoveries(status int, p recoveriesPage, wrong *discovery.Error) error {
	open, err := v.site.Store.OpenRecoveries(v.r.Context(), v.portal.ID)
	if err != nil {
		return err
	}
	for _, r := range open {
		a := r.Account
		line := recoveryLine{ID: r.ID, Name: strings.TrimSpace(a.GivenName + " " + a.FamilyName), Address: a.Primary.Clear(),
			Account: "/admin/users/" + a.ID, Asked: v.when(r.Asked), Expires: v.when(r.Expires), From: wherefrom(r)}
		var e *discovery.Error
		if errors.As(portal.MayAllow(v.member.Account, a), &e) {
			line.Not = v.say(e)
		}
		p.Recoveries = append(p.Recoveries, line)
	}
	p.Tabs, p.Form = v.consoleTabs("recoveries"), withProblem(wrong)
	return v.render(status, "recoveries", p)
}

// wherefrom is what is known of where a request came from.
func wherefrom(r portal.Recovery) string {
	var known []string
	for _, s := range []string{r.Agent, r.Network, r.Country} {
		if s != "" {
			known = append(known, s)
		}
	}
	return strings.Join(known, " · ")
}

// decideRecovery is an administrator's word.
func (s *Site) decideRecovery(v *visit) error {
	f, err := v.form(fieldRecovery, fieldDecision)
	if err != nil {
		return err
	}
	allow := f["decision"] == "allow"
	if !allow && f["decision"] != "refuse" {
		return badField("decision", "decision_unknown", "Choose to allow or to refuse it.")
	}
	if err := s.Store.DecideRecovery(v.r.Context(), v.portal.ID, v.visitor(), f["recovery"], allow); err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return v.showRecoveries(e.Kind.Status(), recoveriesPage{}, e)
	}
	if allow {
		return v.backTo("/admin/recoveries", recoveryAllowed)
	}
	return v.backTo("/admin/recoveries", recoveryRefused)
}
