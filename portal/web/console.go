package web

import (
	"fmt"
	"net/http"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

// consolePage is what people who look after a portal see first.
type consolePage struct {
	Tabs        []tab
	Portal      string
	People      []figure
	Plans       []figure
	SignIns     string // of the days below, in all
	Days        []dayFigure
	Attention   []attentionLine
	Newest      []eventRow
	HasPassword bool
}

// A figure is a number and what it counts.
type figure struct {
	Name, Value, Path string // Path is empty where this role may not look closer
	Note              string
}

type dayFigure struct {
	Day   moment
	Value string
}

// An attentionLine is something to do soon, and where.
type attentionLine struct{ Text, Path, Link string }

const signInDays = 30

// console shows only what is counted beforehand or found straight by an index:
// it takes as long with a hundred thousand people as with ten.
func (s *Site) console(v *visit) error {
	p := consolePage{Tabs: v.consoleTabs("dashboard"), Portal: v.portal.Name}
	ways, err := s.Store.Ways(v.r.Context(), v.portal.ID, v.member.Account.ID)
	if err != nil {
		return fmt.Errorf("read ways to sign in: %w", err)
	}
	p.HasPassword = ways.Password
	for _, fill := range []func(*visit, *consolePage) error{s.countPeople, s.countSignIns, s.attention} {
		if err := fill(v, &p); err != nil {
			return err
		}
	}
	if v.member.Account.Role.May(portal.SeeAudit) {
		links, err := s.Store.Events(v.r.Context(), v.portal.ID, portal.EventFilter{Action: "session.start", Newest: true, Limit: 8})
		if err != nil {
			return fmt.Errorf("read audit: %w", err)
		}
		if p.Newest, err = s.eventRows(v, links); err != nil {
			return err
		}
	}
	return v.render(http.StatusOK, "console", p)
}

func (s *Site) countPeople(v *visit, p *consolePage) error {
	counts, err := s.Store.Tallies(v.r.Context(), v.portal.ID, "status:")
	if err != nil {
		return fmt.Errorf("read tallies: %w", err)
	}
	for _, one := range []struct {
		status     portal.Status
		name, note string
	}{
		{portal.Active, v.t("Active"), ""},
		{portal.Invited, v.t("Invited"), v.t("have not signed in yet")},
		{portal.Disabled, v.t("Disabled"), v.t("not counted for billing")},
	} {
		p.People = append(p.People, figure{Name: one.name, Value: v.number(counts[string(one.status)]), Note: one.note,
			Path: "/admin/users?status=" + string(one.status)})
	}
	plans, err := s.Store.Plans(v.r.Context(), v.portal.ID)
	if err != nil {
		return fmt.Errorf("read plans: %w", err)
	}
	for _, one := range plans {
		f := figure{Name: one.Name, Value: v.number(one.Used), Path: "/admin/users?plan=" + one.ID, Note: v.t("as many as wanted")}
		if one.Seats > 0 {
			f.Note = v.t("of %d licences", one.Seats)
		}
		p.Plans = append(p.Plans, f)
	}
	return nil
}

// countSignIns shows the last days, today's last. They are counted by days of UTC.
func (s *Site) countSignIns(v *visit, p *consolePage) error {
	counts, err := s.Store.Tallies(v.r.Context(), v.portal.ID, "signin:")
	if err != nil {
		return fmt.Errorf("read tallies: %w", err)
	}
	culture, _ := v.culture()
	var all int64
	for i := range signInDays {
		day := s.Now().UTC().AddDate(0, 0, -i)
		n := counts[day.Format(time.DateOnly)]
		all += n
		p.Days = append(p.Days, dayFigure{Day: moment{Human: culture.Date(day), Machine: day.Format(time.DateOnly)}, Value: v.number(n)})
	}
	p.SignIns = v.t("%d sign-ins in the last 30 days", all)
	return nil
}

func (s *Site) attention(v *visit, p *consolePage) error {
	a, err := s.Store.Attention(v.r.Context(), v.portal.ID)
	if err != nil {
		return err
	}
	add := func(text, path string, may portal.Permission) {
		line := attentionLine{Text: text}
		if v.member.Account.Role.May(may) {
			line.Path, line.Link = path, v.t("Look at it")
		}
		p.Attention = append(p.Attention, line)
	}
	if a.Recoveries > 0 {
		add(v.t("%d people have lost their second factor and ask for help.", a.Recoveries), "/admin/recoveries", portal.AllowRecoveries)
	}
	if a.Owners < 2 {
		add(v.t("Fewer than two people are owners. If the one cannot sign in, nobody can make another."), "/admin/users?role=administrator", portal.SeeUsers)
	}
	for _, c := range a.Certificates {
		text := v.t("The certificate of “%s” ends on %s. Ask your identity provider for the next one.", c.Name, v.day(c.Ends).Human)
		if !c.Ends.After(s.Now()) {
			text = v.t("The certificate of “%s” ended on %s. Ask your identity provider for the next one.", c.Name, v.day(c.Ends).Human)
		}
		add(text, "/admin/connections", portal.MoveConnections)
	}
	if a.Sender {
		add(v.t("Whoever invitations were to come from may not be their sender any more. They come from the operator."), "/admin/notifications", portal.ChangeSettings)
	}
	if a.Lapsed > 0 {
		add(v.t("%d invitations have lapsed in the last 30 days.", a.Lapsed), "/admin/users?invitation=lapsed", portal.SeeUsers)
	}
	if a.Lapsing > 0 {
		add(v.t("%d invitations lapse within a day.", a.Lapsing), "/admin/users?invitation=waiting", portal.SeeUsers)
	}
	if a.Expiring > 0 {
		add(v.t("%d licences end within 30 days and are not renewed.", a.Expiring), "/admin/licences", portal.SeeLicences)
	}
	for _, name := range a.Unrouted {
		add(v.t("The approved domain %s has no sign-in of its own yet: the global page finds its people by their addresses only.", name), "/admin/domains", portal.ApproveDomains)
	}
	return nil
}
