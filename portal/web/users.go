package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

type usersPage struct {
	page.Form
	Tabs                                          []tab
	Query, Status, Role, Plan, Domain, Invitation page.Field
	Users                                         []userRow
	Filtered                                      bool
	Total                                         string // of all accounts; empty when only some are asked for
	Earlier, Later                                string // local paths; empty: there are no more
	Export, Invite, Import                        string // local paths; empty: this role may not
}

type userRow struct {
	Path, Name, Address string
	Status              badge
	Role, Plan          string
	LastSignIn          moment
}

// A badge is a word that says in what state something is.
type badge struct{ Text, Class string }

// statusBadge is the state of an account.
func (v *visit) statusBadge(a portal.Account) badge {
	switch {
	case a.MergedInto != "":
		return badge{v.t("Joined"), "off"}
	case a.Status == portal.Disabled:
		return badge{v.t("Disabled"), "off"}
	case a.Status == portal.Invited:
		return badge{v.t("Invited"), "warn"}
	}
	return badge{v.t("Active"), "good"}
}

var (
	fieldQuery      = field{"q", 200}
	fieldStatus     = field{"status", 20}
	fieldDomain     = field{"domain", 255}
	fieldInvitation = field{"invitation", 20}
	fieldBackFrom   = field{"before", 32}
)

// userFields are what people are looked for by. What is typed stands in the
// address of the page, so that a list can be kept as a bookmark, reloaded, and
// gone back to; an administrator's own history is the only place that keeps it.
// No log of ours has queries, and no site is told where a visitor comes from.
var userFields = []field{fieldQuery, fieldStatus, fieldRole, fieldPlan, fieldDomain, fieldInvitation}

// users lists the people of the portal.
func (s *Site) users(v *visit) error {
	q, err := v.query(append(slices.Clone(userFields), fieldAfter, fieldBackFrom)...)
	if err != nil {
		return err
	}
	p, err := s.usersPageOf(v, q)
	if err != nil {
		return err
	}
	f, err := userFilter(q)
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		p.Form = withProblem(e, &p.Query, &p.Status, &p.Role, &p.Plan, &p.Domain, &p.Invitation)
		return v.render(e.Kind.Status(), "users", p)
	}
	f.After, f.Before = q["after"], q["before"]
	found, err := s.Store.FindAccounts(v.r.Context(), v.portal.ID, f)
	if err != nil {
		return fmt.Errorf("find accounts: %w", err)
	}
	for _, a := range found.Accounts {
		p.Users = append(p.Users, userRow{Path: userPath(a.ID), Name: nameOf(a.Account), Address: a.Primary.Clear(),
			Status: v.statusBadge(a.Account), Role: v.roleName(a.Role), Plan: a.Plan, LastSignIn: v.when(a.LastSignIn)})
	}
	if n := len(found.Accounts); n > 0 {
		if found.Earlier {
			p.Earlier = usersPath(q, "before", found.Accounts[0].ID)
		}
		if found.Later {
			p.Later = usersPath(q, "after", found.Accounts[n-1].ID)
		}
	}
	return v.render(http.StatusOK, "users", p)
}

// usersPath is the list with the same filters, from another place on.
func usersPath(q values, place, id string) string {
	u := url.Values{}
	for _, f := range userFields {
		if q[f.name] != "" {
			u.Set(f.name, q[f.name])
		}
	}
	if place != "" {
		u.Set(place, id)
	}
	return strings.TrimSuffix("/admin/users?"+u.Encode(), "?")
}

// usersPageOf is the page with its form as it was sent.
func (s *Site) usersPageOf(v *visit, q values) (p usersPage, err error) {
	role := v.member.Account.Role
	p = usersPage{Tabs: v.consoleTabs("users"), Filtered: usersPath(q, "", "") != "/admin/users"}
	choice := func(f field, label string, options ...page.Option) page.Field {
		return page.Field{Name: f.name, Label: label, Value: q[f.name], Options: append([]page.Option{{Text: v.t("All")}}, options...)}
	}
	p.Query = page.Field{Name: "q", Label: v.t("Name or address"), Type: "search", Value: q["q"], Optional: true,
		Hint: v.t("The beginning of each word is enough.")}
	p.Status = choice(fieldStatus, v.t("Status"), page.Option{Value: "active", Text: v.t("Active")},
		page.Option{Value: "invited", Text: v.t("Invited")}, page.Option{Value: "disabled", Text: v.t("Disabled")})
	p.Role = choice(fieldRole, v.t("Role"))
	for _, r := range portal.Roles() {
		p.Role.Options = append(p.Role.Options, page.Option{Value: string(r), Text: v.roleName(r)})
	}
	p.Invitation = choice(fieldInvitation, v.t("Invitation"), page.Option{Value: string(portal.InvitationWaiting), Text: v.t("Waiting to be taken up")},
		page.Option{Value: string(portal.InvitationLapsed), Text: v.t("Lapsed")})
	p.Domain = page.Field{Name: "domain", Label: v.t("Domain"), Type: "text", Value: q["domain"], Optional: true}
	plans, err := s.Store.Plans(v.r.Context(), v.portal.ID)
	if err != nil {
		return p, fmt.Errorf("read plans: %w", err)
	}
	p.Plan = choice(fieldPlan, v.t("Plan"))
	for _, one := range plans {
		p.Plan.Options = append(p.Plan.Options, page.Option{Value: one.ID, Text: one.Name})
	}
	if !p.Filtered {
		counts, err := s.Store.Tallies(v.r.Context(), v.portal.ID, "status:")
		if err != nil {
			return p, fmt.Errorf("read tallies: %w", err)
		}
		var n int64
		for _, c := range counts {
			n += c
		}
		p.Total = v.t("%d people in this portal", n)
	}
	if role.May(portal.ExportUsers) {
		p.Export = strings.Replace(usersPath(q, "", ""), "/admin/users", "/admin/users/export.csv", 1)
	}
	if role.May(portal.InviteUsers) {
		p.Invite = "/admin/users/invite"
	}
	if role.May(portal.ImportUsers) {
		p.Import = "/admin/users/import"
	}
	return p, nil
}

// userFilter reads what is looked for; anything that is not offered is refused.
func userFilter(q values) (portal.AccountFilter, error) {
	f := portal.AccountFilter{Query: strings.TrimSpace(q["q"]), Status: portal.Status(q["status"]), Plan: q["plan"],
		Invitation: portal.InvitationState(q["invitation"])}
	if f.Query != "" && len(portal.FoldedWords(f.Query)) == 0 {
		return f, badField("q", "query_empty", "Type a name or an address.")
	}
	if _, err := portal.SearchWords(f.Query); err != nil {
		return f, err
	}
	switch f.Status {
	case "", portal.Active, portal.Invited, portal.Disabled:
	default:
		return f, badField("status", "status_unknown", "Choose one of the states.")
	}
	switch f.Invitation {
	case "", portal.InvitationWaiting, portal.InvitationLapsed:
	default:
		return f, badField("invitation", "invitation_unknown", "Choose one of the states.")
	}
	var err error
	if q["role"] != "" {
		if f.Role, err = portal.ParseRole(q["role"]); err != nil {
			return f, err
		}
	}
	if d := strings.TrimSpace(q["domain"]); d != "" {
		if f.Domain, err = discovery.ParseRouteDomain(d); err != nil {
			return f, badField("domain", "domain_unknown", "Enter a domain, for example acme.example.")
		}
	}
	return f, nil
}

// exportUsers hands over everybody whom the filter finds.
func (s *Site) exportUsers(v *visit) error {
	if v.passive() {
		return v.nobody()
	}
	q, err := v.query(userFields...)
	if err != nil {
		return err
	}
	f, err := userFilter(q)
	if err != nil {
		return err
	}
	if _, err := s.Store.StartExport(v.r.Context(), v.portal.ID, v.visitor(), f); err != nil {
		return err
	}
	out := v.startExport("users")
	_ = out.line("id", "email", "given_name", "family_name", "role", "status", "plan", "licence_ends", "language", "created", "last_sign_in")
	return out.finish(s.Store.EachAccount(out.ctx, v.portal.ID, f, func(a portal.ListedAccount) error {
		return out.line(a.ID, a.Primary.Clear(), a.GivenName, a.FamilyName, string(a.Role), string(a.Status), a.Plan,
			dated(a.LicenceEnds), a.Language, dated(a.Created), dated(a.LastSignIn))
	}))
}

// dated is a time as programs read it; "" for none.
func dated(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
