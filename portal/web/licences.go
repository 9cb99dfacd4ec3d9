package web

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/store"
)

// licencesPage shows an administrator what the portal has licences of, and
// which of them end soon (S31).
type licencesPage struct {
	Tabs   []tab
	Notice string
	Plans  []planRow
	Ending []holderRow
	Days   int // how far ahead Ending looks
}

type planRow struct {
	Name, Kind        string
	ID                string
	Used, Seats, Free string
	Full              bool
	Messages, Term    string
	Holders           string // local path
	Release           string // whether people may give it back by themselves, in words
	May               string // "yes" or "no": what the button changes that to; empty: not this role's
}

type holderRow struct {
	Name, Address string
	Path          string // of the page that changes the licence; empty: this role may not
	Plan          string
	Since, Ends   moment
	EndsLabel     string
	Over, Off     bool // the licence has expired; the account is disabled
}

// holdersPage lists who has a plan.
type holdersPage struct {
	Tabs    []tab
	Plan    string
	Holders []holderRow
	Next    string // local path; empty: that was all
}

// userLicencePage is where an administrator chooses another licence for
// somebody, and agrees to what that brings about.
type userLicencePage struct {
	page.Form
	Tabs          []tab
	Name, Address string
	Path, Back    string
	Licence       licenceFacts
	Usage         usageFacts
	Notice        string
	Plan          page.Field
	Renewal       string // "yes" or "no": what the button changes it to; empty: there is nothing to renew

	// Chosen is what was chosen, with its effects; nil: nothing yet.
	Chosen *chosenLicence
}

type chosenLicence struct {
	Title, Plan, Renew string // hidden fields
	Mark               string
	Effects            []effectLine
}

const (
	endingDays    = 60
	holdersOnPage = 50
	licenceSaved  = "licence-saved"
)

var (
	fieldPlan  = field{"plan", 40}
	fieldRenew = field{"renew", 3}
	fieldAfter = field{"after", 32}
	fieldMay   = field{"may", 3}
)

// letRelease decides whether people may give back licences of a plan.
func (s *Site) letRelease(v *visit) error {
	f, err := v.form(fieldPlan, fieldMay)
	if err != nil {
		return err
	}
	if f["may"] != "yes" && f["may"] != "no" {
		return badField("may", "may_unknown", "The form is not complete. Open the page again.")
	}
	if err := s.Store.LetRelease(v.r.Context(), v.portal.ID, v.visitor(), f["plan"], f["may"] == "yes"); err != nil {
		return err
	}
	return v.backTo("/admin/licences", licenceSaved)
}

func (s *Site) licences(v *visit) error {
	q, err := v.query(fieldPlan, fieldAfter)
	if err != nil {
		return err
	}
	plans, err := s.Store.Plans(v.r.Context(), v.portal.ID)
	if err != nil {
		return err
	}
	if q["plan"] != "" {
		return s.showHolders(v, plans, q["plan"], q["after"])
	}
	p := licencesPage{Tabs: v.consoleTabs("licences"), Days: endingDays}
	p.Notice = v.noticed(map[string]string{licenceSaved: v.t("The plan is changed.")})
	for _, one := range plans {
		p.Plans = append(p.Plans, v.planRowOf(one))
	}
	ending, err := s.Store.LicencesEnding(v.r.Context(), v.portal.ID, s.Now().Add(endingDays*24*time.Hour), 100)
	if err != nil {
		return err
	}
	p.Ending = v.holderRows(ending)
	return v.render(http.StatusOK, "licences", p)
}

func (v *visit) planRowOf(one store.PlanSeats) planRow {
	row := planRow{Name: one.Name, Kind: v.licenceKind(one.Kind), ID: one.ID, Used: v.number(one.Used), Seats: v.t("Without a limit"), Free: "–",
		Messages: v.t("Without a limit"), Term: v.t("Without an end"), Holders: "/admin/licences?plan=" + one.ID}
	if free, limited := one.Free(one.Used); limited {
		row.Seats, row.Free, row.Full = v.number(one.Seats), v.number(free), free == 0
	}
	if one.Messages > 0 {
		row.Messages = v.number(one.Messages)
	}
	if one.Months > 0 {
		row.Term = v.t("%d months", one.Months)
	}
	row.Release, row.May = v.t("Administrators only"), "yes"
	if one.Has(portal.SelfRelease) {
		row.Release, row.May = v.t("People themselves"), "no"
	}
	if !v.member.Account.Role.May(portal.AssignLicences) {
		row.May = ""
	}
	return row
}

func (v *visit) holderRows(all []store.LicenceHolder) []holderRow {
	var rows []holderRow
	for _, h := range all {
		f := v.licenceFactsOf(h.Licence)
		row := holderRow{Name: strings.TrimSpace(h.GivenName + " " + h.FamilyName), Address: h.Primary.Clear(), Plan: f.Plan,
			Since: f.Since, Ends: f.Ends, EndsLabel: f.EndsLabel, Over: !h.Licence.InForce(v.site.Now()), Off: h.Status == portal.Disabled}
		row.Name = cmp.Or(row.Name, row.Address)
		if v.member.Account.Role.May(portal.AssignLicences) {
			row.Path = "/admin/users/" + h.ID + "/licence"
		}
		rows = append(rows, row)
	}
	return rows
}

func (s *Site) showHolders(v *visit, plans []store.PlanSeats, plan, after string) error {
	for _, one := range plans {
		if one.ID != plan {
			continue
		}
		all, err := s.Store.LicenceHolders(v.r.Context(), v.portal.ID, plan, after, holdersOnPage+1)
		if err != nil {
			return err
		}
		p := holdersPage{Tabs: v.consoleTabs("licences"), Plan: one.Name}
		if len(all) > holdersOnPage {
			all = all[:holdersOnPage]
			p.Next = "/admin/licences?plan=" + plan + "&after=" + all[holdersOnPage-1].ID
		}
		p.Holders = v.holderRows(all)
		return v.render(http.StatusOK, "licence_holders", p)
	}
	return &discovery.Error{Kind: discovery.NotFound, Code: "plan_unknown"}
}

// userLicence shows somebody's licence, and what the choice in the query would
// bring about.
func (s *Site) userLicence(v *visit) error {
	q, err := v.query(fieldPlan, fieldRenew)
	if err != nil {
		return err
	}
	return s.showUserLicence(v, http.StatusOK, q, nil)
}

// changeLicence does what was agreed to. A choice without the mark of the page
// that showed its effects is shown them first.
func (s *Site) changeLicence(v *visit) error {
	f, err := v.form(fieldPlan, fieldRenew, fieldMark)
	if err != nil {
		return err
	}
	if f["mark"] == "" {
		return s.showUserLicence(v, http.StatusOK, f, nil)
	}
	if err := s.Store.ChangeLicence(v.r.Context(), v.portal.ID, v.visitor(), v.account, licenceChange(f), f["mark"]); err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return s.showUserLicence(v, e.Kind.Status(), f, e)
	}
	return v.backTo("/admin/users/"+v.account+"/licence", licenceSaved)
}

// licenceChange is the change that a form or a link asks for.
func licenceChange(f values) portal.LicenceChange {
	c := portal.LicenceChange{Plan: f["plan"], Keep: f["renew"] != "", Renew: f["renew"] == "yes"}
	if c.Plan == portal.NoPlan {
		c.Plan = ""
	}
	return c
}

func (s *Site) showUserLicence(v *visit, status int, f values, wrong *discovery.Error) error {
	target, l, err := s.Store.Licensee(v.r.Context(), v.portal.ID, v.visitor(), v.account)
	if err != nil {
		return err
	}
	p := userLicencePage{Tabs: v.consoleTabs("users"), Name: strings.TrimSpace(target.GivenName + " " + target.FamilyName), Address: target.Primary.Clear(),
		Back: "/admin/users/" + target.ID, Licence: v.licenceFactsOf(l)}
	p.Path, p.Licence.Release, p.Licence.Note = p.Back+"/licence", "", ""
	if p.Usage, _, err = v.usageOf(l, target.ID); err != nil {
		return fmt.Errorf("read usage: %w", err)
	}
	p.Notice = v.noticed(map[string]string{licenceSaved: v.t("The licence is changed.")})
	if p.Plan, err = s.planChoice(v, l, f["plan"]); err != nil {
		return err
	}
	switch {
	case l.None() || l.Ends.IsZero():
	case l.Renews:
		p.Renewal = "no"
	default:
		p.Renewal = "yes"
	}
	if f["plan"] != "" || f["renew"] != "" {
		if p.Chosen, err = s.chosenOf(v, target.ID, f); err != nil {
			e, err := v.shown(err)
			if err != nil {
				return err
			}
			if wrong == nil {
				wrong, status = e, e.Kind.Status()
			}
		}
	}
	if wrong != nil && wrong.Field == "plan" {
		p.Plan.Error = wrong.Say
		p.Form = page.Check(&p.Plan)
	} else if wrong != nil {
		p.Problems = []page.Problem{{Say: wrong.Say}}
	}
	return v.render(status, "user_licence", p)
}

// planChoice is the choice of a plan. Those without a free seat are named, and
// refused when they are chosen: they may be free by then.
func (s *Site) planChoice(v *visit, l portal.Licence, typed string) (page.Field, error) {
	f := page.Field{Name: "plan", Label: v.t("Plan"), Value: cmp.Or(typed, l.Plan.ID, portal.NoPlan), Options: []page.Option{{Value: portal.NoPlan, Text: v.t("No licence")}}}
	plans, err := s.Store.Plans(v.r.Context(), v.portal.ID)
	for _, one := range plans {
		text := one.Name
		if free, limited := one.Free(one.Used); limited {
			text += " – " + v.t("%d free", free)
		}
		f.Options = append(f.Options, page.Option{Value: one.ID, Text: text})
	}
	return f, err
}

func (s *Site) chosenOf(v *visit, accountID string, f values) (*chosenLicence, error) {
	preview, err := s.Store.PreviewLicence(v.r.Context(), v.portal.ID, accountID, licenceChange(f))
	if err != nil {
		return nil, err
	}
	c := &chosenLicence{Plan: f["plan"], Renew: f["renew"], Mark: preview.Mark, Effects: v.effectLines(preview.Effects)}
	switch {
	case f["renew"] == "yes":
		c.Title = v.t("Renew the licence by itself")
	case f["renew"] != "":
		c.Title = v.t("Let the licence end")
	case preview.To.None():
		c.Title = v.t("Release the licence")
	case preview.Licence.None():
		c.Title = v.t("Assign the plan %s", preview.To.Plan.Name)
	case preview.To.Plan.Place > preview.Licence.Plan.Place:
		c.Title = v.t("Upgrade to the plan %s", preview.To.Plan.Name)
	case preview.To.Plan.Place < preview.Licence.Plan.Place:
		c.Title = v.t("Downgrade to the plan %s", preview.To.Plan.Name)
	default:
		c.Title = v.t("Change to the plan %s", preview.To.Plan.Name)
	}
	return c, nil
}
