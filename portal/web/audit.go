package web

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/portal"
)

type auditPage struct {
	page.Form
	Tabs                                        []tab
	Person, Group, Code, Reference, From, Until page.Field
	Account                                     string // ID of the one person looked for
	Who                                         string // what they are called
	Choices                                     []personRef
	Events                                      []eventRow
	Newer, Older                                string // local paths; empty: there is nothing more
	Export                                      string
}

// An eventRow is one row of the audit log, in words, with what makes it precise.
type eventRow struct {
	When               moment
	What               string
	Subject            personRef // whom it happened to; zero: the portal
	Actor              personRef // who did it, when it was somebody else
	About              personRef // whom it was about
	Target             string
	Code, Method       string
	Reference, Network string
	Refused            bool
}

// A personRef names an account where the visitor may look at it.
type personRef struct{ Name, Path string }

const eventsOnPage = 50

var (
	fieldPerson    = field{"person", 200}
	fieldAccount   = field{"account", 32}
	fieldGroup     = field{"group", 20}
	fieldEventCode = field{"code", 60}
	fieldReference = field{"reference", 20}
	fieldFrom      = field{"from", 10}
	fieldUntil     = field{"until", 10}
	fieldNewer     = field{"newer", 20}
	fieldOlder     = field{"older", 20}
)

// auditFields are what the audit log is looked through by.
var auditFields = []field{fieldPerson, fieldAccount, fieldGroup, fieldEventCode, fieldReference, fieldFrom, fieldUntil}

// audit is the audit log, newest first.
func (s *Site) audit(v *visit) error {
	q, err := v.query(append(slices.Clone(auditFields), fieldNewer, fieldOlder)...)
	if err != nil {
		return err
	}
	p := v.auditPageOf(q)
	f, err := s.auditFilter(v, q, &p)
	if err != nil {
		e, err := v.shown(err)
		if err != nil {
			return err
		}
		p.Form = withProblem(e, &p.Person, &p.Group, &p.Code, &p.Reference, &p.From, &p.Until)
		return v.render(e.Kind.Status(), "audit", p)
	}
	f.Newest, f.Limit = true, eventsOnPage+1
	newer, older := sequence(q["newer"]), sequence(q["older"])
	switch {
	case len(p.Choices) > 0:
		return v.render(http.StatusOK, "audit", p)
	case newer > 0:
		f.Newest, f.After = false, newer
	case older > 0:
		f.Before = older
	}
	links, err := s.Store.Events(v.r.Context(), v.portal.ID, f)
	if err != nil {
		return fmt.Errorf("read audit: %w", err)
	}
	more := len(links) > eventsOnPage
	if more {
		links = links[:eventsOnPage]
	}
	if newer > 0 {
		slices.Reverse(links)
	}
	if len(links) > 0 {
		first, last := links[0].Seq, links[len(links)-1].Seq
		if older > 0 || newer > 0 && more {
			p.Newer = auditPath(q, "newer", first)
		}
		if newer > 0 || more {
			p.Older = auditPath(q, "older", last)
		}
	}
	p.Export = strings.Replace(auditPath(q, "", 0), "/admin/audit", "/admin/audit/export.csv", 1)
	if p.Events, err = s.eventRows(v, links); err != nil {
		return err
	}
	return v.render(http.StatusOK, "audit", p)
}

func sequence(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0
	}
	return n
}

// auditPath is the page with the same filters, from another place on.
func auditPath(q values, place string, seq int64) string {
	u := url.Values{}
	for _, f := range auditFields {
		if q[f.name] != "" {
			u.Set(f.name, q[f.name])
		}
	}
	if place != "" {
		u.Set(place, strconv.FormatInt(seq, 10))
	}
	return strings.TrimSuffix("/admin/audit?"+u.Encode(), "?")
}

// auditPageOf is the page with its form as it was sent.
func (v *visit) auditPageOf(q values) auditPage {
	groups := []page.Option{{Text: v.t("Everything")}}
	for _, g := range eventGroups {
		groups = append(groups, page.Option{Value: g.name, Text: v.t(g.text)})
	}
	text := func(f field, label, kind string) page.Field {
		return page.Field{Name: f.name, Label: label, Type: kind, Value: q[f.name], Optional: true}
	}
	p := auditPage{
		Tabs:      v.consoleTabs("audit"),
		Person:    text(fieldPerson, v.t("Person"), "search"),
		Group:     page.Field{Name: fieldGroup.name, Label: v.t("What"), Value: q["group"], Options: groups},
		Code:      text(fieldEventCode, v.t("Code"), "text"),
		Reference: text(fieldReference, v.t("Reference"), "text"),
		From:      text(fieldFrom, v.t("First day"), "date"),
		Until:     text(fieldUntil, v.t("Last day"), "date"),
	}
	p.Person.Hint = v.t("Name or address")
	p.Reference.Hint = v.t("As the person read it")
	return p
}

// auditFilter reads what is looked for. A person may be typed in any way that
// finds them; when that is more than one, the page lets the visitor choose.
func (s *Site) auditFilter(v *visit, q values, p *auditPage) (f portal.EventFilter, err error) {
	f = portal.EventFilter{Code: strings.TrimSpace(q["code"]), Reference: portal.SpelledReference(q["reference"])}
	if q["group"] != "" {
		if f.Actions = actionsOf(q["group"]); f.Actions == nil {
			return f, badField("group", "group_unknown", "Choose one of the groups.")
		}
	}
	_, zone := v.culture()
	if f.Since, err = dayIn(q["from"], "from", zone); err != nil {
		return f, err
	}
	if f.Until, err = dayIn(q["until"], "until", zone); err != nil {
		return f, err
	}
	if !f.Until.IsZero() {
		f.Until = f.Until.AddDate(0, 0, 1)
		if !f.Since.Before(f.Until) {
			return f, badField("until", "period_empty", "The last day is before the first.")
		}
	}
	return f, s.auditPerson(v, q, p, &f)
}

func (s *Site) auditPerson(v *visit, q values, p *auditPage, f *portal.EventFilter) error {
	if id := q["account"]; id != "" {
		a, ok, err := s.Store.AccountByID(v.r.Context(), v.portal.ID, id)
		if err != nil {
			return fmt.Errorf("read account: %w", err)
		}
		if !ok {
			return s.refuseTarget(v, id, &discovery.Error{Kind: discovery.NotFound, Code: "account_unknown"})
		}
		f.Person, p.Account, p.Who = a.ID, a.ID, nameOf(a)
		p.Person.Value = ""
		return nil
	}
	if strings.TrimSpace(q["person"]) == "" {
		return nil
	}
	found, err := s.Store.FindAccounts(v.r.Context(), v.portal.ID, portal.AccountFilter{Query: q["person"], Limit: 20})
	if err != nil {
		return fmt.Errorf("find accounts: %w", err)
	}
	switch len(found.Accounts) {
	case 0:
		return badField("person", "person_unknown", "Nobody in this portal matches.")
	case 1:
		f.Person, p.Who = found.Accounts[0].ID, nameOf(found.Accounts[0].Account)
		return nil
	}
	for _, a := range found.Accounts {
		one := values{}
		for name, value := range q {
			one[name] = value
		}
		delete(one, "person")
		one["account"] = a.ID
		p.Choices = append(p.Choices, personRef{Name: nameOf(a.Account) + ", " + a.Primary.Clear(), Path: auditPath(one, "", 0)})
	}
	return nil
}

// dayIn is the beginning of a day where the administrator is.
func dayIn(s, name string, zone *time.Location) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.ParseInLocation(time.DateOnly, s, zone)
	if err != nil || t.Year() < 2000 || t.Year() > 2200 {
		return time.Time{}, badField(name, "date_unknown", "Write the day like 2026-11-21.")
	}
	return t, nil
}

// eventRows are rows of the audit log with the names of the people in them.
func (s *Site) eventRows(v *visit, links []portal.Link) ([]eventRow, error) {
	var ids []string
	for _, l := range links {
		ids = append(ids, l.Account, l.Actor, l.Target)
	}
	people, err := s.Store.AccountsByID(v.r.Context(), v.portal.ID, slices.DeleteFunc(ids, func(id string) bool { return len(id) != 32 }))
	if err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	see := v.member.Account.Role.May(portal.SeeUsers)
	named := func(id string) personRef {
		a, ok := people[id]
		switch {
		case !ok:
			return personRef{Name: id}
		case !see:
			return personRef{Name: nameOf(a)}
		}
		return personRef{Name: nameOf(a), Path: userPath(id)}
	}
	rows := make([]eventRow, len(links))
	for i, l := range links {
		rows[i] = eventRow{
			When: v.when(l.At), What: v.eventText(l.Action), Subject: named(l.Account), Actor: named(l.Actor), Target: v.eventTarget(l.Action, l.Target),
			Code: l.Code, Method: v.eventWay(l.Method), Reference: l.Reference, Network: l.Client, Refused: strings.HasSuffix(l.Action, ".refused"),
		}
		if l.Actor == "" && l.Method == "operator" {
			rows[i].Actor.Name = v.t("the operator")
		}
		if _, ok := people[l.Target]; ok {
			rows[i].About, rows[i].Target = named(l.Target), ""
		}
	}
	return rows, nil
}

// exportAudit hands over what the filter finds, oldest last, up to this moment.
func (s *Site) exportAudit(v *visit) error {
	if v.passive() {
		return v.nobody()
	}
	q, err := v.query(auditFields...)
	if err != nil {
		return err
	}
	var p auditPage
	f, err := s.auditFilter(v, q, &p)
	if err != nil {
		return err
	}
	if len(p.Choices) > 0 {
		return badField("person", "person_several",
			"Several people match. Choose one of them first.")
	}
	var said []string
	for _, field := range auditFields {
		if q[field.name] != "" {
			said = append(said, field.name)
		}
	}
	last, err := s.Store.StartAuditExport(v.r.Context(), v.portal.ID, v.visitor(), cmp.Or(strings.Join(said, " "), "everything"))
	if err != nil {
		return err
	}
	f.Before = last + 1
	out := v.startExport("audit")
	_ = out.line("at", "action", "what", "code", "method", "account", "actor", "target", "reference", "client", "served_by")
	return out.finish(s.Store.EachEvent(out.ctx, v.portal.ID, f, func(l portal.Link) error {
		return out.line(l.At.UTC().Format(time.RFC3339), l.Action, v.eventText(l.Action), l.Code, l.Method, l.Account, l.Actor, l.Target, l.Reference, l.Client, l.Via)
	}))
}
