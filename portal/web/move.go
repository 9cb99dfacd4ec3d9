package web

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/store"
)

// domainName is a domain in a path, as it is stored: an exact name, or "*." and
// one. It is never escaped.
const domainName = `{domain:(?:\*\.)?[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+}`

type connectionsPage struct {
	page.Form
	Tabs    []tab
	Notice  string
	Domains []domainRow
	Moves   []moveRow
}

// A domainRow is a domain with how its people sign in.
type domainRow struct {
	Name, Way string
	End       moment // of the connection's last certificate
	EndBadge  string // how near that is; empty: far away
	People    string
	Last      moment // when somebody signed in through the connection
	Told      string // how far its people have been told of a move; empty: all have
	Move      string // local path
}

// A moveRow is a move that was made, and what has become of it.
type moveRow struct {
	ID, Domain    string
	Before, After string
	Moved, Until  moment
	Undone        moment
	Undo          bool
	Why           string // it cannot be undone
}

type movePage struct {
	page.Form
	Tabs    []tab
	Domain  string
	Now     string
	Choices []moveChoice
	Beside  bool
	JIT     bool

	// Once a way was chosen:
	Then       string // the way, in words; empty: none was chosen yet
	To         string
	Version    string
	Total      int
	Classes    []moveClassRow
	People     []movedRow
	Listed     string // the class that is listed
	Pages      []tab
	Warnings   []string
	Sure       bool // a box has to be ticked
	SureError  string
	Mailed     int
	UndoDays   int
	ChooseElse string
}

type moveChoice struct {
	Value, ID, Name, Detail string
	Chosen                  bool
}

type moveClassRow struct {
	Name, Says, Path string
	Count            int
	Current          bool
}

type movedRow struct {
	Name, Address, Primary, Class string
}

var (
	fieldTo      = field{"to", 60}
	fieldBeside  = field{"beside", 3}
	fieldJIT     = field{"jit", 3}
	fieldClass   = field{"class", 20}
	fieldPage    = field{"page", 6}
	fieldVersion = field{"version", 120}
	fieldSure    = field{"sure", 3}
	fieldMove    = field{"move", 64}
)

const (
	maxDomain   = 253 // letters of a domain; a path could have more
	movesShown  = 20
	endingSoon  = 30 * 24 * time.Hour
	domainMoved = "domain-moved"
	moveUndone  = "move-undone"
)

// connections lists the portal's domains with how their people sign in (S16).
func (s *Site) connections(v *visit) error {
	p, err := s.connectionsPage(v)
	if err != nil {
		return err
	}
	p.Notice = v.noticed(map[string]string{
		domainMoved: v.t("The domain is moved. From their next sign-in on, its people sign in the new way."),
		moveUndone:  v.t("The move is undone. People of the domain sign in the old way again."),
	})
	return v.render(http.StatusOK, "connections", p)
}

func (s *Site) connectionsPage(v *visit) (connectionsPage, error) {
	p := connectionsPage{Tabs: v.consoleTabs("connections")}
	ctx := v.r.Context()
	all, err := s.Store.DomainStates(ctx, v.portal.ID)
	if err != nil {
		return p, fmt.Errorf("read domains: %w", err)
	}
	connections, err := s.Store.ConnectionStates(ctx, v.portal.ID)
	if err != nil {
		return p, fmt.Errorf("read connections: %w", err)
	}
	for _, d := range all {
		row := domainRow{Name: d.Name, Way: v.way(d.Way(), connections), People: v.number(d.People), Move: movePath(d.Name)}
		if d.Told.People > 0 {
			row.Told = v.t("Under way: %d of %d people", min(d.Told.Done, d.Told.People), d.Told.People)
		}
		if c := d.Connection; c != nil {
			row.End, row.Last = v.day(c.End), v.when(c.LastSignIn)
			row.EndBadge, _ = v.ending(c.End)
		}
		p.Domains = append(p.Domains, row)
	}
	moves, err := s.Store.Moves(ctx, v.portal.ID, movesShown)
	if err != nil {
		return p, fmt.Errorf("read moves: %w", err)
	}
	for _, m := range moves {
		row := moveRow{ID: m.ID, Domain: m.Domain, Before: v.way(m.Before, connections), After: v.way(m.After, connections),
			Moved: v.when(m.Moved), Until: v.when(m.UndoUntil), Undone: v.when(m.Undone), Undo: m.Final == nil}
		var why *discovery.Error
		if m.Undone.IsZero() && errors.As(m.Final, &why) {
			row.Why = v.say(why)
		}
		p.Moves = append(p.Moves, row)
	}
	return p, nil
}

func movePath(domain string) string { return "/admin/connections/" + domain + "/move" }

// way is how a domain signs in, in words.
func (v *visit) way(w portal.Way, connections []store.ConnectionState) string {
	if w.Connection == "" {
		return v.t("A password of this portal")
	}
	name := w.Connection
	if i := slices.IndexFunc(connections, func(c store.ConnectionState) bool { return c.ID == w.Connection }); i >= 0 {
		name = connections[i].Name + " (" + protocol(connections[i].Kind) + ")"
	}
	if w.Password {
		return v.t("%s, or a password of this portal", name)
	}
	return name
}

func protocol(k federation.Kind) string {
	if k == federation.OIDC {
		return "OpenID Connect"
	}
	return "SAML"
}

// ending says how near the end of a connection's last certificate is.
func (v *visit) ending(end time.Time) (badge string, ended bool) {
	left := end.Sub(v.site.Now())
	switch {
	case end.IsZero(), left > endingSoon:
		return "", false
	case left <= 0:
		return v.t("expired"), true
	}
	return v.t("%d days left", int(left/(24*time.Hour))), false
}

// moveDomainForm asks where a domain is to be moved to and, once that is known,
// shows what it would mean to whom. Nothing is changed by looking.
func (s *Site) moveDomainForm(v *visit) error {
	q, err := v.query(fieldTo, fieldBeside, fieldJIT, fieldClass, fieldPage)
	if err != nil {
		return err
	}
	p, err := s.movePage(v, q)
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "move", p)
}

// wayOf reads the way that a form or a link names.
func wayOf(f values) portal.Way {
	w := portal.Way{Connection: f["to"], Password: f["beside"] == "yes", JIT: f["jit"] == "yes"}
	if w.Connection == "password" { // no connection can be called that
		w.Connection = ""
	}
	return w
}

// domainOf is the domain of the path, if it is the portal's.
func (s *Site) domainOf(v *visit) (store.DomainState, []store.ConnectionState, error) {
	ctx, name := v.r.Context(), mux.Vars(v.r)["domain"]
	connections, err := s.Store.ConnectionStates(ctx, v.portal.ID)
	if err != nil {
		return store.DomainState{}, nil, fmt.Errorf("read connections: %w", err)
	}
	all, err := s.Store.Domains(ctx, v.portal.ID)
	if err != nil {
		return store.DomainState{}, nil, fmt.Errorf("read domains: %w", err)
	}
	i := slices.IndexFunc(all, func(d portal.Domain) bool { return d.Name == name })
	if i < 0 {
		unknown := &discovery.Error{Kind: discovery.NotFound, Code: "domain_unknown"}
		name = name[:min(len(name), maxDomain)]
		return store.DomainState{}, nil, errors.Join(unknown, s.Store.Audit(ctx, portal.Event{
			Portal: v.portal.ID, Account: v.member.Account.ID, Action: "access.refused", Code: unknown.Code, Target: name,
			Reference: page.Reference(ctx), Client: portal.Network(page.Client(ctx))}))
	}
	d := store.DomainState{Domain: all[i]}
	if at := slices.IndexFunc(connections, func(c store.ConnectionState) bool { return c.ID == all[i].Connection }); at >= 0 {
		d.Connection = &connections[at]
	}
	return d, connections, nil
}

// movePage is the page with what can be chosen and, when q names a way, what it
// would mean.
func (s *Site) movePage(v *visit, q values) (movePage, error) {
	d, connections, err := s.domainOf(v)
	if err != nil {
		return movePage{}, err
	}
	p := movePage{Tabs: v.consoleTabs("connections"), Domain: d.Name, Now: v.way(d.Way(), connections), Version: d.Way().Seen(),
		Beside: q["beside"] == "yes", JIT: q["jit"] == "yes", UndoDays: int(portal.UndoMoveFor / (24 * time.Hour))}
	if q["to"] == "" {
		p.Beside, p.JIT = d.Password && d.Domain.Connection != "", d.JIT
	}
	for _, c := range connections {
		choice := moveChoice{Value: c.ID, ID: "to-" + c.ID, Name: c.Name, Detail: protocol(c.Kind), Chosen: c.ID == cmp.Or(q["to"], d.Domain.Connection)}
		if badge, _ := v.ending(c.End); badge != "" {
			choice.Detail += " · " + v.t("certificate: %s", badge)
		}
		p.Choices = append(p.Choices, choice)
	}
	p.Choices = append(p.Choices, moveChoice{Value: "password", ID: "to-password", Name: v.t("A password of this portal"),
		Detail: v.t("No organisation’s own sign-in is asked any more."), Chosen: cmp.Or(q["to"], d.Domain.Connection, "password") == "password"})
	if q["to"] == "" {
		return p, nil
	}
	return p, s.preview(v, &p, q, connections)
}

// preview shows what the move would mean; a way that cannot be chosen is a
// problem of the form.
func (s *Site) preview(v *visit, p *movePage, q values, connections []store.ConnectionState) error {
	class := portal.MoveClass(q["class"])
	if class != "" && !slices.Contains(portal.MoveClasses(), class) {
		return badField("class", "class_unknown", "Choose one of the groups in the list.")
	}
	number := 1
	if q["page"] != "" {
		n, err := strconv.Atoi(q["page"])
		if err != nil || n < 1 {
			return badField("page", "page_unknown", "There is no such page.")
		}
		number = n
	}
	m, err := s.Store.PreviewMove(v.r.Context(), v.portal.ID, p.Domain, wayOf(q), v.member.Account.ID, class, number-1)
	var known *discovery.Error
	if errors.As(err, &known) && known.Field == "to" {
		p.Problems = []page.Problem{{Field: p.Choices[0].ID, Say: v.say(known)}}
		return nil
	}
	if err != nil {
		return fmt.Errorf("preview move: %w", err)
	}
	p.To, p.Then, p.Total = q["to"], v.way(m.To, connections), m.Total
	p.Beside, p.JIT = m.To.Password && m.To.Connection != "", m.To.JIT
	p.Mailed, p.ChooseElse = m.Counts[portal.MoveMailed], movePath(p.Domain)
	link := func(c portal.MoveClass, n int) string {
		u := url.Values{"to": {p.To}}
		for name, on := range map[string]bool{"beside": p.Beside, "jit": p.JIT} {
			if on {
				u.Set(name, "yes")
			}
		}
		if c != "" {
			u.Set("class", string(c))
		}
		if n > 1 {
			u.Set("page", strconv.Itoa(n))
		}
		return movePath(p.Domain) + "?" + u.Encode()
	}
	listed := m.Total
	for _, c := range portal.MoveClasses() {
		if m.Counts[c] == 0 && c != class {
			continue
		}
		name, says := v.moveClass(c, m.To)
		p.Classes = append(p.Classes, moveClassRow{Name: name, Says: says, Count: m.Counts[c], Path: link(c, 1), Current: c == class})
		if c == class {
			p.Listed, listed = name, m.Counts[c]
		}
	}
	for _, person := range m.People {
		name, _ := v.moveClass(m.To.Class(person), m.To)
		row := movedRow{Name: strings.TrimSpace(person.Account.GivenName + " " + person.Account.FamilyName), Address: person.Address.Clear(), Class: name}
		if person.Account.Primary != person.Address {
			row.Primary = person.Account.Primary.Clear()
		}
		p.People = append(p.People, row)
	}
	for _, n := range around(number, (listed+store.MovePageSize-1)/store.MovePageSize) {
		p.Pages = append(p.Pages, tab{Name: strconv.Itoa(n), Path: link(class, n), Current: n == number})
	}
	s.warn(v, p, m, connections)
	return nil
}

// around are the pages worth a link: the first, the last, and those beside the
// one that is shown.
func around(number, last int) []int {
	var out []int
	if last < 2 {
		return nil
	}
	for n := 1; n <= last; n++ {
		if n == 1 || n == last || n >= number-2 && n <= number+2 {
			out = append(out, n)
		}
	}
	return out
}

// warn says what an administrator would wish to have known.
func (s *Site) warn(v *visit, p *movePage, m store.MovePreview, connections []store.ConnectionState) {
	if i := slices.IndexFunc(connections, func(c store.ConnectionState) bool { return c.ID == m.To.Connection }); i >= 0 {
		if _, ended := v.ending(connections[i].End); ended {
			p.Warnings = append(p.Warnings, v.t("The certificate of this connection has expired: nobody can sign in by it until the operator puts that right."))
		}
		if connections[i].LastSignIn.IsZero() {
			p.Warnings = append(p.Warnings, v.t("Nobody has ever signed in through this connection. If it does not work, everybody who depends on it is locked out."))
		}
	}
	if m.Self == nil || !m.To.Endangers(*m.Self) {
		return
	}
	p.Sure = true
	if m.To.Connection == "" {
		p.Warnings = append(p.Warnings, v.t("This concerns you: you have no password for this portal. You get a mail that leads to one; without it you cannot sign in again."))
		return
	}
	p.Warnings = append(p.Warnings, v.t("This concerns you: this connection has never signed you in. If it does not recognise you, you cannot come back to undo the move."))
}

// moveClass is what a move means to people, as a heading and a sentence.
func (v *visit) moveClass(c portal.MoveClass, to portal.Way) (name, says string) {
	switch c {
	case portal.MoveKnown:
		return v.t("Known there already"), v.t("The connection has signed them in before, and knows them.")
	case portal.MoveRecognised:
		return v.t("Recognised by their address"), v.t("At their first sign-in there they are recognised by the address that they have proven. Account, aliases and messages stay theirs.")
	case portal.MoveInvited:
		if to.Connection == "" {
			return v.t("Invited"), v.t("They have not signed in yet. Their temporary password holds.")
		}
		return v.t("Invited"), v.t("They have not proven their address yet. The connection does that at their first sign-in; a temporary password is no longer valid.")
	case portal.MoveElsewhere:
		return v.t("Primary address elsewhere"), v.t("With their primary address, which is in another domain, they sign in as before.")
	case portal.MovePassword:
		return v.t("With their password"), v.t("They have a password of this portal already.")
	case portal.MoveMailed:
		return v.t("Without a way in"), v.t("They have no password. Each of them gets a mail that leads to one.")
	case portal.MoveReinvite:
		return v.t("To be invited again"), v.t("They were invited and have not signed in yet. Their invitation leads nowhere then: invite them once more.")
	}
	return v.t("Disabled"), v.t("They stay out.")
}

// moveDomain moves a domain, as the page before showed it.
func (s *Site) moveDomain(v *visit) error {
	f, err := v.form(fieldTo, fieldBeside, fieldJIT, fieldVersion, fieldSure)
	if err != nil {
		return err
	}
	for _, name := range []string{"to", "version"} {
		if f[name] == "" {
			return badField(name, "field_missing", "Choose first how people of this domain are to sign in.")
		}
	}
	p, err := s.movePage(v, f)
	if err != nil {
		return err
	}
	if p.Then == "" { // what was chosen cannot be: the page says why
		return v.render(http.StatusBadRequest, "move", p)
	}
	if p.Sure && f["sure"] != "yes" {
		p.SureError = v.t("Tick this box if you want to move the domain all the same.")
		p.Problems = []page.Problem{{Field: "sure", Say: p.SureError}}
		return v.render(http.StatusBadRequest, "move", p)
	}
	_, err = s.Store.MoveDomain(v.r.Context(), v.portal.ID, v.visitor(), p.Domain, f["version"], wayOf(f))
	if err == nil {
		return v.backTo("/admin/connections", domainMoved)
	}
	wrong, err := v.shown(err)
	if err != nil {
		return err
	}
	p.Form = page.Form{Problems: []page.Problem{{Say: wrong.Say}}}
	if wrong.Kind == discovery.Conflict {
		p.Differences = []page.Difference{{Field: "preview", Label: v.t("How people sign in"), Saved: p.Now, Typed: p.Then}}
	}
	return v.render(wrong.Kind.Status(), "move", p)
}

// undoMove brings back how a domain signed in before.
func (s *Site) undoMove(v *visit) error {
	f, err := v.form(fieldMove)
	if err != nil {
		return err
	}
	if f["move"] == "" {
		return badField("move", "field_missing", "Choose the move that is to be undone.")
	}
	_, err = s.Store.UndoMove(v.r.Context(), v.portal.ID, v.visitor(), f["move"])
	if err == nil {
		return v.backTo("/admin/connections", moveUndone)
	}
	wrong, err := v.shown(err)
	if err != nil {
		return err
	}
	p, err := s.connectionsPage(v)
	if err != nil {
		return err
	}
	p.Problems = []page.Problem{{Say: wrong.Say}}
	return v.render(wrong.Kind.Status(), "connections", p)
}
