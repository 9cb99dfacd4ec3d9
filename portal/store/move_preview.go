package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// A MovePreview says who would be what to a move. Nothing is changed by it.
type MovePreview struct {
	Domain portal.Domain
	To     portal.Way
	Counts map[portal.MoveClass]int
	Total  int
	People []portal.MovedPerson // one page of the class asked for, or of everybody, class by class
	Self   *portal.MovedPerson  // who asks, if they have an address in the domain
}

// MovePageSize is how many people a page of a preview lists.
const MovePageSize = 50

// PreviewMove says how many of those with a confirmed address in the domain would
// be what, as the move and the sign-ins after it decide it, and lists a page of
// them. page counts from 0; class "" lists everybody. However many there are, it
// reads their footings' numbers and the people of the page.
func (s *Store) PreviewMove(ctx context.Context, portalID, name string, to portal.Way, self string, class portal.MoveClass, page int) (v MovePreview, err error) {
	if v.Domain, v.To, err = movable(ctx, s.db, portalID, name, to); err != nil {
		return v, failed("read domains", err)
	}
	v.Counts = map[portal.MoveClass]int{}
	names, err := namesIn(ctx, s.db, v.Domain)
	if err != nil {
		return v, failed("read domains", err)
	}
	if len(names) == 0 {
		return v, nil
	}
	m := moving{portal: portalID, names: names, to: v.To}
	groups, err := m.groups(ctx, s.db)
	if err != nil {
		return v, failed("count people", err)
	}
	for _, g := range groups {
		v.Counts[g.class] += g.n
		v.Total += g.n
	}
	page = min(max(page, 0), v.Total/MovePageSize+1) // whatever was typed, it is a place in the list
	if v.People, err = m.list(ctx, s.db, groups, class, page*MovePageSize, MovePageSize); err != nil {
		return v, failed("read people", err)
	}
	v.Self, err = m.person(ctx, s.db, self)
	return v, failed("read people", err)
}

// moving is a move of the domains of addresses that one domain covers.
type moving struct {
	portal string
	names  []string
	to     portal.Way
}

// A moveGroup is people who are alike to a move: those of one footing in one
// domain, or somebody by themselves.
type moveGroup struct {
	class         portal.MoveClass
	name, footing string
	n             int
	one           *portal.MovedPerson
}

// groups are everybody that a move is about, once each, class by class. Who has
// addresses in several of its domains is in several counts, and looked at one by
// one: only under a wildcard are there such people.
func (m moving) groups(ctx context.Context, q querier) ([]moveGroup, error) {
	counts, err := readFootings(ctx, q, m.portal, m.names...)
	if err != nil {
		return nil, err
	}
	var out []moveGroup
	seen := map[string]bool{}
	for _, c := range counts {
		if len(m.names) == 1 || !c.Several {
			out = append(out, moveGroup{class: m.to.Class(c.Moved(m.to)), name: c.domain, footing: c.text, n: int(c.n)})
			continue
		}
		ids, err := m.holders(ctx, q, c)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			if seen[id] {
				continue
			}
			seen[id] = true
			p, err := m.person(ctx, q, id)
			if err != nil {
				return nil, err
			}
			if p != nil {
				out = append(out, moveGroup{class: m.to.Class(*p), n: 1, one: p})
			}
		}
	}
	order := portal.MoveClasses()
	slices.SortStableFunc(out, func(a, b moveGroup) int { return slices.Index(order, a.class) - slices.Index(order, b.class) })
	return out, nil
}

// holders are the accounts of a footing.
func (m moving) holders(ctx context.Context, q querier, c counted) (ids []string, err error) {
	rows, err := q.QueryContext(ctx, `SELECT account FROM addresses WHERE portal = $1 AND domain = $2 AND footing = $3 AND footing <> '' ORDER BY address`,
		m.portal, c.domain, c.text)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// list reads some people of a class, by footing and address: an index has them in
// that order, so that no page is far away.
func (m moving) list(ctx context.Context, q querier, groups []moveGroup, class portal.MoveClass, skip, limit int) ([]portal.MovedPerson, error) {
	var out []portal.MovedPerson
	for _, g := range groups {
		switch {
		case class != "" && g.class != class:
			continue
		case skip >= g.n:
			skip -= g.n
			continue
		case len(out) >= limit:
			return out, nil
		case g.one != nil:
			out = append(out, *g.one)
			continue
		}
		people, err := m.page(ctx, q, g, skip, limit-len(out))
		if err != nil {
			return nil, err
		}
		out, skip = append(out, people...), 0
	}
	return out, nil
}

// page reads people of one footing; what they are to the move is the footing's.
func (m moving) page(ctx context.Context, q querier, g moveGroup, skip, limit int) ([]portal.MovedPerson, error) {
	f, ok := portal.ParseFooting(g.footing)
	if !ok {
		return nil, errFooting
	}
	rows, err := q.QueryContext(ctx, `SELECT `+movedColumns+`, h.address
		FROM (SELECT address, account FROM addresses WHERE portal = $1 AND domain = $2 AND footing = $3 AND footing <> ''
			ORDER BY address LIMIT `+strconv.Itoa(limit)+` OFFSET `+strconv.Itoa(skip)+`) AS h `+movedTables+` ORDER BY h.address`,
		m.portal, g.name, g.footing)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []portal.MovedPerson
	for rows.Next() {
		p := f.Moved(m.to)
		if err := scanMoved(rows, &p); err != nil {
			return nil, err
		}
		p.Account.Portal = m.portal
		out = append(out, p)
	}
	return out, rows.Err()
}

const (
	movedColumns = `a.id, a.status, a.given_name, a.family_name, a.language, p.address`
	movedTables  = `JOIN accounts a ON a.id = h.account JOIN addresses p ON p.account = a.id AND p.is_primary`
)

func scanMoved(row scanner, p *portal.MovedPerson, more ...any) error {
	var primary, address string
	into := []any{&p.Account.ID, &p.Account.Status, &p.Account.GivenName, &p.Account.FamilyName, &p.Account.Language, &primary, &address}
	err := row.Scan(append(into, more...)...)
	if err != nil {
		return err
	}
	if p.Address, err = discovery.ParseAddress(address); err == nil {
		p.Account.Primary, err = discovery.ParseAddress(primary)
	}
	if err != nil {
		return fmt.Errorf("account %s: an address does not parse", p.Account.ID)
	}
	return nil
}

// person is one account as a move looks at it; nil: it has no confirmed address in
// its domains. Of several the first counts, and any proven one will do.
func (m moving) person(ctx context.Context, q querier, accountID string) (*portal.MovedPerson, error) {
	if accountID == "" {
		return nil, nil
	}
	narrow := &accountQuery{args: []any{m.portal, accountID}}
	rows, err := q.QueryContext(ctx, `SELECT `+movedColumns+`, h.address, h.footing FROM addresses h `+movedTables+`
		WHERE h.portal = $1 AND h.account = $2 AND h.footing <> '' AND h.domain IN (`+narrow.list(m.names)+`) ORDER BY h.is_primary DESC, h.address`, narrow.args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var found *portal.MovedPerson
	for rows.Next() {
		var p portal.MovedPerson
		var text string
		if err := scanMoved(rows, &p, &text); err != nil {
			return nil, err
		}
		f, ok := portal.ParseFooting(text)
		if !ok {
			return nil, errFooting
		}
		is := f.Moved(m.to)
		if found == nil {
			is.Account, is.Address = p.Account, p.Address
			is.Account.Portal = m.portal
			found = &is
			continue
		}
		found.Proven, found.Elsewhere = found.Proven || is.Proven, found.Elsewhere && is.Elsewhere
	}
	return found, rows.Err()
}
