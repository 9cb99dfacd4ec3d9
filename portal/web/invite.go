package web

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/discovery/page/locale"
	"github.com/domicile-sso/domicile/portal"
)

// invitePage invites one person or a list of them, and shows who has not come
// yet (S12).
type invitePage struct {
	page.Form
	Tabs                 []tab
	Many                 bool
	Email, Given, Family page.Field // of one person
	People               page.Field // of many
	Role, Plan, Language page.Field
	MayPlan, MayImport   bool
	Sent, Left           string // what the list came to; empty: nothing was sent
	Results              []invitedRow
	Waiting              []waitingRow
	More                 string // how many more wait than are shown; empty: none
}

// An invitedRow is what became of one line.
type invitedRow struct {
	Line, Outcome, Class string
}

// A waitingRow is somebody who has been invited and has not come.
type waitingRow struct {
	Name, Address, Path, Role string
	Made, Ends                moment
	State, Class              string
}

const (
	waitingShown   = 50
	maxInviteForm  = 256 << 10
	invitationGone = "invitation-withdrawn"
	invitationSent = "invitation-sent"
)

var inviteFields = []field{
	{"many", 3}, {"people", 64 << 10}, {"email", 1024}, {"given_name", 800}, {"family_name", 800}, {"role", 20}, {"plan", 100}, {"language", 20},
}

func (s *Site) inviteForm(v *visit) error {
	q, err := v.query(field{"many", 3})
	if err != nil {
		return err
	}
	return s.showInvite(v, http.StatusOK, values{"many": q["many"]}, nil, nil)
}

// invite takes the form for one person, or the one for a list: see inviteMany.
func (s *Site) invite(v *visit) error {
	f, err := v.formUpTo(maxInviteForm, inviteFields...)
	if err != nil {
		return err
	}
	inv, err := v.invitationTyped(f)
	if err != nil {
		return err
	}
	if inv.Role != portal.Member && inv.Role != portal.Guest && !v.isFresh() {
		return s.askConfirm(v) // it is giving a role
	}
	if f["many"] == "yes" {
		return s.inviteMany(v, f, inv)
	}
	outcome := portal.InviteOutcome("")
	if strings.TrimSpace(f["email"]) == "" {
		err = badField("email", "address_empty", "Enter the address to invite.")
	} else {
		inv.Address, err = discovery.ParseAddress(f["email"])
	}
	if err == nil {
		inv.GivenName, inv.FamilyName = portal.PersonName(f["given_name"]), portal.PersonName(f["family_name"])
		outcome, err = s.Store.InviteOnce(v.r.Context(), v.visitor(), inv)
	}
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return s.showInvite(v, e.Kind.Status(), f, e, nil)
	}
	rows := []invitedRow{v.outcomeRow(inv.Address.Clear(), outcome)}
	return s.showInvite(v, http.StatusOK, values{"role": f["role"], "plan": f["plan"], "language": f["language"]}, nil, rows)
}

// invitationTyped is what holds for everybody in the form.
func (v *visit) invitationTyped(f values) (portal.Invitation, error) {
	inv := portal.Invitation{Portal: v.portal.ID, By: v.member.Account.ID, Role: portal.Member, Plan: f["plan"], Language: f["language"]}
	if f["role"] != "" {
		role, err := portal.ParseRole(f["role"])
		if err != nil {
			return inv, err
		}
		inv.Role = role
	}
	if inv.Language != "" && !locale.Known(inv.Language) {
		return inv, badField("language", "language_unknown", "Choose one of the languages.")
	}
	return inv, nil
}

// inviteMany goes through a list line by line. What worked is left out of the
// list that is shown again; what did not is still there, to be put right.
func (s *Site) inviteMany(v *visit, f values, inv portal.Invitation) error {
	lines, err := portal.InvitedLines(f["people"])
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return s.showInvite(v, e.Kind.Status(), f, e, nil)
	}
	var rows []invitedRow
	var left []string
	for _, l := range lines {
		outcome, err := portal.InviteOutcome(""), l.Err
		if err == nil {
			one := inv
			one.Address, one.GivenName, one.FamilyName = l.Email, l.Given, l.Family
			outcome, err = s.Store.InviteOnce(v.r.Context(), v.visitor(), one)
		}
		row := v.outcomeRow(l.Text, outcome)
		if err != nil {
			row.Outcome, row.Class = v.whyNot(err), "off"
			left = append(left, l.Text)
		}
		rows = append(rows, row)
	}
	again := values{"many": "yes", "people": strings.Join(left, "\n"), "role": f["role"], "plan": f["plan"], "language": f["language"]}
	return s.showInvite(v, http.StatusOK, again, nil, rows)
}

func (v *visit) outcomeRow(line string, outcome portal.InviteOutcome) invitedRow {
	row := invitedRow{Line: line, Outcome: v.t("Invitation sent"), Class: "good"}
	switch outcome {
	case portal.ActiveAlready:
		row.Outcome, row.Class = v.t("Active already: no mail was sent"), ""
	case portal.InvitedBefore:
		row.Outcome, row.Class = v.t("Invited before, and the invitation is still valid: no mail was sent"), ""
	}
	return row
}

// whyNot says what a line was refused for. A line that the store could not look
// at is not lost: it stays in the list.
func (v *visit) whyNot(err error) string {
	var e *discovery.Error
	if errors.As(err, &e) && e.Say != "" && e.Kind != discovery.Internal && e.Kind != discovery.Unavailable {
		return v.say(e)
	}
	v.site.pages.Record(v.r, err)
	return v.t("That did not work just now. Please try this line again.")
}

func (s *Site) showInvite(v *visit, status int, f values, wrong *discovery.Error, rows []invitedRow) error {
	actor := v.member.Account
	p := invitePage{
		Tabs: v.consoleTabs("users"), Many: f["many"] == "yes", Results: rows,
		MayPlan: actor.Role.May(portal.AssignLicences), MayImport: actor.Role.May(portal.ImportUsers),
		Email:  page.Field{Name: "email", Label: v.t("E-mail address"), Type: "email", Value: f["email"]},
		Given:  page.Field{Name: "given_name", Label: v.t("First name"), Type: "text", Value: f["given_name"], Optional: true},
		Family: page.Field{Name: "family_name", Label: v.t("Last name"), Type: "text", Value: f["family_name"], Optional: true},
		People: page.Field{Name: "people", Label: v.t("People"), Value: f["people"], Rows: 10,
			Hint: v.t("One person on each line, up to 200: an address, or a name and an address as in Ada Lovelace <ada@acme.example>, or address, first name and last name with commas between.")},
		Language: page.Field{Name: "language", Label: v.t("Language of the mails"), Value: f["language"], Options: v.mailLanguages()},
		Role:     page.Field{Name: "role", Label: v.t("Role"), Value: f["role"], Options: v.invitableRoles()},
	}
	var err error
	if p.Plan, err = s.planField(v, f["plan"]); err != nil {
		return err
	}
	fields := []*page.Field{&p.Email, &p.Given, &p.Family, &p.Role, &p.Language}
	if p.Many {
		fields = []*page.Field{&p.People, &p.Role, &p.Language}
	}
	if p.MayPlan {
		fields = append(fields, &p.Plan)
	}
	p.Form = withProblem(wrong, fields...)
	sent := 0
	for _, r := range rows {
		if r.Class == "good" {
			sent++
		}
	}
	if len(rows) > 0 {
		p.Sent = v.t("%d people were invited.", sent)
		if left := strings.Count(f["people"], "\n") + 1; f["people"] != "" {
			p.Left = v.t("%d lines could not be done. They are below, to be put right.", left)
		}
	}
	if err := s.waiting(v, &p); err != nil {
		return err
	}
	return v.render(status, "invite", p)
}

// waiting lists who has not come yet.
func (s *Site) waiting(v *visit, p *invitePage) error {
	all, err := s.Store.Invitations(v.r.Context(), v.portal.ID, waitingShown)
	if err != nil {
		return err
	}
	counts, err := s.Store.Tallies(v.r.Context(), v.portal.ID, "status:")
	if err != nil {
		return fmt.Errorf("read tallies: %w", err)
	}
	if more := counts[string(portal.Invited)] - int64(len(all)); more > 0 {
		p.More = v.t("And %d more.", more)
	}
	for _, i := range all {
		row := waitingRow{Name: nameOf(i.Account), Address: i.Primary.Clear(), Path: userPath(i.ID), Role: v.roleName(i.Role),
			Made: v.when(i.Made), Ends: v.when(i.Ends), State: v.t("Waiting"), Class: ""}
		switch {
		case i.Made.IsZero():
			row.State, row.Class = v.t("Not sent yet"), "off"
		case i.Over(s.Now()):
			row.State, row.Class = v.t("Lapsed"), "warn"
		}
		p.Waiting = append(p.Waiting, row)
	}
	return nil
}

func (v *visit) mailLanguages() []page.Option {
	all := []page.Option{{Text: v.t("As the portal has it")}}
	for _, l := range locale.Languages() {
		all = append(all, page.Option{Value: l.Tag, Text: l.Name})
	}
	return all
}

// invitableRoles are those that the visitor may invite people to, members first.
func (v *visit) invitableRoles() []page.Option {
	var all []page.Option
	for _, r := range portal.InvitableRoles(v.member.Account.Role) {
		all = append(all, page.Option{Value: string(r), Text: v.roleName(r)})
	}
	return all
}

func (s *Site) planField(v *visit, chosen string) (page.Field, error) {
	p := page.Field{Name: "plan", Label: v.t("Licence"), Value: chosen, Options: []page.Option{{Text: v.t("The usual one of the role")}}}
	plans, err := s.Store.Plans(v.r.Context(), v.portal.ID)
	if err != nil {
		return p, err
	}
	for _, one := range plans {
		p.Options = append(p.Options, page.Option{Value: one.ID, Text: one.Name})
	}
	if !slices.ContainsFunc(p.Options, func(o page.Option) bool { return o.Value == chosen }) {
		p.Value = ""
	}
	return p, nil
}

// changeInvitation sends an invitation again, or takes it back, from the window
// of the person.
func (s *Site) changeInvitation(v *visit) error {
	f, err := v.form(field{"action", 10})
	if err != nil {
		return err
	}
	a, err := s.accountOf(v)
	if err != nil {
		return err
	}
	by, notice := v.member.Account.ID, invitationSent
	switch f["action"] {
	case "resend":
		err = s.Store.ResendInvitation(v.r.Context(), v.portal.ID, v.visitor(), by, a.ID)
	case "withdraw":
		err, notice = s.Store.WithdrawInvitation(v.r.Context(), v.portal.ID, v.visitor(), by, a.ID), invitationGone
	default:
		return badField("action", "action_unknown", "Choose to send the invitation again or to withdraw it.")
	}
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		return s.showUser(v, e.Kind.Status(), a.ID, userWrong{problem: e})
	}
	return v.backTo(userPath(a.ID), notice)
}

// userInvitation is what can be done about the invitation of a person who has
// not come.
type userInvitation struct {
	State, Send, Path string
	MayWithdraw       bool
}

// userInvitationOf is nil when there is nothing to be done, or not by this
// visitor.
func (s *Site) userInvitationOf(v *visit, a portal.Account) (*userInvitation, error) {
	actor := v.member.Account
	if !actor.Role.May(portal.InviteUsers) || a.Status == portal.Active || portal.MayManage(actor, a) != nil {
		return nil, nil
	}
	i, ok, err := s.Store.InvitationOf(v.r.Context(), v.portal.ID, a.ID)
	if err != nil || !ok {
		return nil, err
	}
	u := &userInvitation{Path: userPath(a.ID) + "/invitation", Send: v.t("Send the invitation again"), MayWithdraw: !i.Withdrawn}
	switch {
	case i.Withdrawn:
		u.State = v.t("It was withdrawn.")
	case i.Made.IsZero():
		u.State, u.Send = v.t("It was not sent yet."), v.t("Send the invitation")
	case i.Ends.IsZero():
		u.State = v.t("It is valid until the first sign-in through the organisation.")
	case i.Over(s.Now()):
		u.State = v.t("It lapsed on %s.", v.when(i.Ends).Human)
	default:
		u.State = v.t("It is valid until %s.", v.when(i.Ends).Human)
	}
	return u, nil
}
