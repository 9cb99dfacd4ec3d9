package web

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/discovery/page/locale"
	"github.com/domicile-sso/domicile/portal"
)

// licenceFacts are what a licence is, in words (S25).
type licenceFacts struct {
	Plan, Kind string // no plan: no licence
	Address    string
	Since      moment
	EndsLabel  string
	Ends       moment
	EndsNote   string
	Release    string // local path; empty: not offered
	Note       string // how to get another one
}

// usageFacts are what was sent this month and what is left (S28).
type usageFacts struct {
	Used, Left string
	Cap        string
	Last       moment
}

type usageMonth struct {
	Month string
	Sent  string
	Last  moment
}

// licenceFactsOf are the facts of a licence for the person who has it.
func (v *visit) licenceFactsOf(l portal.Licence) licenceFacts {
	f := licenceFacts{Note: v.t("For another plan, ask your administrator.")}
	if l.None() {
		f.Note = v.t("For a licence, ask your administrator.")
		return f
	}
	f.Plan, f.Kind, f.Address, f.Since = l.Plan.Name, v.licenceKind(l.Plan.Kind), l.Address.Clear(), v.day(l.Since)
	now := v.site.Now()
	end := l.Term(now, v.settings().Location())
	switch {
	case end.IsZero():
		f.EndsLabel, f.Ends = v.t("Expiry"), moment{Human: v.t("Without an end")}
	case l.Renews:
		f.EndsLabel, f.Ends, f.EndsNote = v.t("Renewal"), v.day(end), v.t("Renewed by itself")
	case l.InForce(now):
		f.EndsLabel, f.Ends, f.EndsNote = v.t("Expiry"), v.day(end), v.t("Not renewed")
	default:
		f.EndsLabel, f.Ends, f.EndsNote = v.t("Expired"), v.day(end), v.t("Messages can be read, but none can be sent.")
	}
	if portal.MayRelease(l) == nil {
		f.Release = "/account/licence"
	}
	return f
}

func (v *visit) licenceKind(k portal.LicenceKind) string {
	if k == portal.Professional {
		return v.t("Professional licence")
	}
	return v.t("Guest licence")
}

// usageOf is what an account has sent, this month and in the twelve up to it.
func (v *visit) usageOf(l portal.Licence, accountID string) (facts usageFacts, months []usageMonth, err error) {
	now := v.site.Now()
	set := v.settings()
	first := time.Date(now.In(set.Location()).Year(), now.In(set.Location()).Month(), 1, 12, 0, 0, 0, set.Location())
	all, err := v.site.Store.Usages(v.r.Context(), v.portal.ID, accountID, set.Month(first.AddDate(0, -11, 0)))
	if err != nil {
		return facts, nil, err
	}
	sent := map[string]portal.Usage{}
	for _, u := range all {
		sent[u.Month] = u
	}
	for i := range 12 {
		month := first.AddDate(0, -i, 0)
		u := sent[set.Month(month)]
		months = append(months, usageMonth{Month: v.monthName(month), Sent: v.number(u.Messages), Last: v.when(u.Last)})
	}
	last, err := v.site.Store.LastMessage(v.r.Context(), v.portal.ID, accountID)
	a := portal.AllowanceOf(l, sent[set.Month(now)].Messages, now)
	return v.usageFactsOf(a, last.Last), months, err
}

// usageFactsOf says an allowance in words. The limit against abuse is said for
// every plan: it also holds where there is no other.
func (v *visit) usageFactsOf(a portal.Allowance, last time.Time) usageFacts {
	f := usageFacts{Used: v.t("%d messages", a.Used), Left: v.t("%d messages", a.Left()), Last: v.when(last)}
	switch {
	case a.Included < 0:
		f.Left = v.t("None without a licence")
	case a.Unlimited():
		f.Cap = v.t("The plan has no limit of its own. As a protection against abuse, no more than %d messages go out in a month.", a.Cap)
	default:
		f.Cap = v.t("The plan includes %d messages a month.", a.Included) + " " +
			v.t("As a protection against abuse, no more than %d messages go out in a month.", a.Cap)
	}
	return f
}

// monthName is a month and its year: "November 2026".
func (v *visit) monthName(t time.Time) string {
	_, month, _ := strings.Cut(locale.CultureOf(v.lang()).Date(t), " ") // the day comes first in all our languages
	return month
}

// number is a number as the language writes it.
func (v *visit) number(n int64) string { return v.t("%d", n) }

// effectLine is one line of what a change of a licence brings about.
type effectLine struct {
	Kind string // for tests and readers of the page's source: what it is about
	Text string
	Loss bool
}

// effectLines says effects in words.
func (v *visit) effectLines(all []portal.Effect) []effectLine {
	lines := make([]effectLine, len(all))
	for i, e := range all {
		lines[i] = effectLine{Kind: string(e.Kind), Text: v.effectText(e), Loss: e.Loss()}
	}
	return lines
}

func (v *visit) effectText(e portal.Effect) string {
	switch e.Kind {
	case portal.SeatFreed:
		return v.t("One licence of the plan %s becomes free.", e.Plan)
	case portal.SeatTaken:
		return v.t("One licence of the plan %s is taken.", e.Plan)
	case portal.SeatLater:
		return v.t("The account is disabled: a licence of the plan %s is taken when it is enabled again.", e.Plan)
	case portal.SendingEnds:
		return v.t("No more secure messages can be sent. Those received can be read.")
	case portal.AllowanceChanges:
		return v.allowanceText(e)
	case portal.CapChanges:
		return v.t("The limit against abuse becomes %s a month instead of %s.", v.t("%d messages", e.To), v.t("%d messages", e.From))
	case portal.FeatureGained:
		return v.t("Return protection can be switched on.")
	case portal.FeatureLost:
		return v.t("Return protection is no longer available.")
	case portal.ProtectionEnds:
		return v.t("Return protection, which is on, is switched off: everybody can reply to messages already sent.")
	case portal.AliasesGained:
		return v.t("Addresses can be added without an administrator.")
	case portal.AliasesFrozen:
		return v.t("The addresses there are stay, but only an administrator can add others.")
	case portal.SenderEnds:
		return v.t("Invitations to this portal no longer come from this person’s address.")
	case portal.TermStarts:
		return v.t("A new term begins today. It is renewed on %s.", v.day(e.Day).Human)
	case portal.TermNever:
		return v.t("The licence has no end.")
	case portal.RenewalEnds:
		return v.t("The licence ends on %s and is not renewed.", v.day(e.Day).Human)
	case portal.RenewalGoesOn:
		return v.t("The licence is renewed by itself, next on %s.", v.day(e.Day).Human)
	}
	return v.t("Messages, addresses and ways to sign in stay as they are.")
}

func (v *visit) allowanceText(e portal.Effect) string {
	amount := func(n int64) string {
		switch {
		case n < 0:
			return v.t("none")
		case n == 0:
			return v.t("without a limit")
		}
		return v.t("%d messages", n)
	}
	text := v.t("Messages in a month: %s instead of %s.", amount(e.To), amount(e.From))
	if e.Used > 0 {
		text += " " + v.t("%d messages sent this month count.", e.Used)
	}
	return text
}

const licenceReleased = "licence-released"

// releasePage asks whether one's own licence is to be given back (S31).
type releasePage struct {
	page.Form
	Tabs    []tab
	Plan    string
	Mark    string
	Effects []effectLine
}

var fieldMark = field{"mark", 32}

func (s *Site) releaseForm(v *visit) error { return s.showRelease(v, http.StatusOK, nil) }

func (s *Site) release(v *visit) error {
	f, err := v.form(fieldMark)
	if err != nil {
		return err
	}
	err = s.Store.ReleaseOwnLicence(v.r.Context(), v.portal.ID, v.visitor(), v.member.Account.ID, f["mark"])
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return s.showRelease(v, e.Kind.Status(), e)
	}
	return v.backTo("/account/profile", licenceReleased)
}

func (s *Site) showRelease(v *visit, status int, wrong *discovery.Error) error {
	p, err := s.Store.PreviewLicence(v.r.Context(), v.portal.ID, v.member.Account.ID, portal.LicenceChange{})
	var same *discovery.Error
	if errors.As(err, &same) && same.Code == "licence_same" {
		return v.redirect("/account/profile") // there is none
	}
	if err != nil {
		return fmt.Errorf("look at licence: %w", err)
	}
	if err := portal.MayRelease(p.Licence); err != nil {
		return err
	}
	q := releasePage{Tabs: v.accountTabs("profile"), Plan: p.Licence.Plan.Name, Mark: p.Mark, Effects: v.effectLines(p.Effects)}
	if wrong != nil {
		q.Problems = []page.Problem{{Say: wrong.Say}}
	}
	return v.render(status, "licence_release", q)
}
