package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/portal"
)

// A ConnectionState is what an administrator sees of a connection: no secret, and
// nothing but what was read.
type ConnectionState struct {
	ID, Name   string
	Kind       federation.Kind
	End        time.Time // when the last certificate of a SAML IdP ends; zero: there is none
	LastSignIn time.Time // through it, by whomever; zero: never
}

// A DomainState is a domain with how its people sign in.
type DomainState struct {
	portal.Domain
	Connection *ConnectionState // nil: a password of the portal
	People     int64            // who have a confirmed address in it, counted as far as [ManyPeople]
}

// ConnectionStates are the connections of a portal, by ID.
func (s *Store) ConnectionStates(ctx context.Context, portalID string) ([]ConnectionState, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, name, kind, settings, last_sign_in FROM connections WHERE portal = $1 ORDER BY id`, portalID)
	if err != nil {
		return nil, failed("read connections", err)
	}
	defer func() { _ = rows.Close() }()
	var out []ConnectionState
	for rows.Next() {
		var c ConnectionState
		var text string
		var last int64
		if err := rows.Scan(&c.ID, &c.Name, &c.Kind, &text, &last); err != nil {
			return nil, failed("read connections", err)
		}
		var set settings
		if err := json.Unmarshal([]byte(text), &set); err != nil {
			return nil, failed("read connections", fmt.Errorf("decode settings of %s: %w", c.ID, err))
		}
		if set.SAML != nil {
			c.End = lastEnd(set.SAML.Certificates)
		}
		c.LastSignIn = when(last)
		out = append(out, c)
	}
	return out, failed("read connections", rows.Err())
}

// ManyPeople is how far the people of a domain are counted for a list: a preview
// of a move goes through all of them.
const ManyPeople = 2000

// DomainStates are the domains of a portal, by name. People are counted by what
// they are found by, which is a range of one index.
func (s *Store) DomainStates(ctx context.Context, portalID string) ([]DomainState, error) {
	connections, err := s.ConnectionStates(ctx, portalID)
	if err != nil {
		return nil, err
	}
	all, err := s.Domains(ctx, portalID)
	if err != nil {
		return nil, err
	}
	out := make([]DomainState, len(all))
	for i, d := range all {
		out[i].Domain = d
		if at := slices.IndexFunc(connections, func(c ConnectionState) bool { return c.ID == d.Connection }); at >= 0 {
			out[i].Connection = &connections[at]
		}
		names, err := namesIn(ctx, s.db, d)
		if err != nil {
			return nil, failed("read domains", err)
		}
		for _, name := range names {
			var n int64
			err := s.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM words WHERE portal = $1 AND word = $2 LIMIT $3) AS counted`,
				portalID, []byte(name), ManyPeople+1-out[i].People).Scan(&n)
			if err != nil {
				return nil, failed("count people", err)
			}
			if out[i].People += n; out[i].People > ManyPeople {
				break
			}
		}
	}
	return out, nil
}

var errNoDomain = &discovery.Error{Kind: discovery.NotFound, Code: "domain_unknown"}

// movable is a domain of the portal and the way it is to be moved to, as far as
// the rules and the portal's connections allow. Another portal's connection is
// none.
func movable(ctx context.Context, q querier, portalID, name string, to portal.Way) (portal.Domain, portal.Way, error) {
	all, err := readDomains(ctx, q, portalID)
	if err != nil {
		return portal.Domain{}, to, err
	}
	i := slices.IndexFunc(all, func(d portal.Domain) bool { return d.Name == name })
	if i < 0 {
		return portal.Domain{}, to, errNoDomain
	}
	if to.Connection != "" {
		var n int
		err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM connections WHERE id = $1 AND portal = $2`, to.Connection, portalID).Scan(&n)
		if err != nil {
			return all[i], to, err
		}
		if n == 0 {
			return all[i], to, &discovery.Error{Kind: discovery.Invalid, Field: "to", Code: "connection_unknown", Say: "Choose one of the ways in the list."}
		}
	}
	to, err = all[i].MoveTo(to)
	return all[i], to, err
}

// A MovePreview says who would be what to a move. Nothing is changed by it.
type MovePreview struct {
	Domain portal.Domain
	To     portal.Way
	Counts map[portal.MoveClass]int
	Total  int
	People []portal.MovedPerson // one page of the class asked for, by name
	Self   *portal.MovedPerson  // who asks, if they have an address in the domain
}

// MovePageSize is how many people a page of a preview lists.
const MovePageSize = 50

// PreviewMove goes through everybody with a confirmed address in the domain, as
// the move and the sign-ins after it would. page counts from 0; class "" lists
// everybody.
func (s *Store) PreviewMove(ctx context.Context, portalID, name string, to portal.Way, self string, class portal.MoveClass, page int) (v MovePreview, err error) {
	if v.Domain, v.To, err = movable(ctx, s.db, portalID, name, to); err != nil {
		return v, failed("read domains", err)
	}
	v.Counts = map[portal.MoveClass]int{}
	seen := 0
	err = eachMoved(ctx, s.db, v.Domain, v.To, func(p portal.MovedPerson) {
		c := v.To.Class(p)
		v.Counts[c]++
		v.Total++
		if p.Account.ID == self {
			v.Self = &p
		}
		if class != "" && c != class {
			return
		}
		if seen/MovePageSize == page {
			v.People = append(v.People, p)
		}
		seen++
	})
	return v, failed("read people", err)
}

// eachMoved reads everybody with a confirmed address in the domain, by name, once
// each. Who is known to the new connection was signed in by it before.
func eachMoved(ctx context.Context, q querier, d portal.Domain, to portal.Way, do func(portal.MovedPerson)) error {
	names, err := namesIn(ctx, q, d)
	if err != nil || len(names) == 0 {
		return err
	}
	args := []any{d.Portal, to.Connection}
	marks := make([]string, len(names))
	in := map[string]bool{}
	for i, name := range names {
		args, in[name] = append(args, name), true
		marks[i] = "$" + strconv.Itoa(len(args))
	}
	rows, err := q.QueryContext(ctx, `SELECT a.id, a.status, a.given_name, a.family_name, a.language, p.address, p.domain, h.address, h.proof,
		EXISTS (SELECT 1 FROM identities i WHERE i.account = a.id AND i.connection = $2),
		COALESCE(c.hash, '') <> '', COALESCE(c.temporary, FALSE)
		FROM addresses h JOIN accounts a ON a.id = h.account JOIN addresses p ON p.account = a.id AND p.is_primary
		LEFT JOIN credentials c ON c.account = a.id
		WHERE h.portal = $1 AND h.domain IN (`+strings.Join(marks, ", ")+`) AND h.confirmed > 0
		ORDER BY a.name_key, a.id, h.is_primary DESC, h.address`, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var last portal.MovedPerson
	flush := func() {
		if last.Account.ID != "" {
			do(last)
		}
	}
	for rows.Next() {
		var p portal.MovedPerson
		var primary, domain, address, proof string
		var has, temporary bool
		err := rows.Scan(&p.Account.ID, &p.Account.Status, &p.Account.GivenName, &p.Account.FamilyName, &p.Account.Language, &primary, &domain, &address, &proof,
			&p.Known, &has, &temporary)
		if err != nil {
			return err
		}
		p.Proven, p.Password, p.Temporary, p.Elsewhere = proof != "", has && !temporary, has && temporary, !in[domain]
		if p.Account.ID == last.Account.ID { // an alias in the domain: any proven one will do
			last.Proven = last.Proven || p.Proven
			continue
		}
		flush()
		if p.Address, err = discovery.ParseAddress(address); err == nil {
			p.Account.Primary, err = discovery.ParseAddress(primary)
		}
		if err != nil {
			return fmt.Errorf("account %s: an address does not parse", p.Account.ID)
		}
		p.Account.Portal, last = d.Portal, p
	}
	if err := rows.Err(); err != nil {
		return err
	}
	flush()
	return nil
}

// MoveDomain changes how a domain signs in, and nothing else: no account, no
// address, no identity, no password, no session. seen is the way that whoever
// confirms this was shown. Who loses their only way in is told by mail how to get
// a password.
func (s *Store) MoveDomain(ctx context.Context, portalID string, v portal.Visitor, name, seen string, to portal.Way) (m portal.Move, err error) {
	err = s.change(ctx, portalID, v, func(u *unit) error {
		if _, err := u.actor(ctx, portal.MoveConnections); err != nil {
			return err
		}
		d, to, err := movable(ctx, u, portalID, name, to)
		no := portal.Event{Action: "connection.move_refused", Target: name}
		if err != nil {
			return u.refuseKnown(no, err)
		}
		if d.Way().Seen() != seen {
			return u.refuse(no, errStale)
		}
		m = portal.Move{ID: newID(), Portal: portalID, Domain: name, Before: d.Way(), After: to, Account: v.Actor,
			Moved: u.now, UndoUntil: u.now.Add(portal.UndoMoveFor)}
		print, err := connectionPrint(ctx, u, m.Before.Connection)
		if err != nil {
			return err
		}
		_, err = u.ExecContext(ctx, `INSERT INTO moves (id, portal, domain, before_connection, before_password, before_jit, settings,
			after_connection, after_password, after_jit, account, moved, undo_until, undone)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0)`,
			m.ID, portalID, name, m.Before.Connection, m.Before.Password, m.Before.JIT, print,
			to.Connection, to.Password, to.JIT, m.Account, micros(m.Moved), micros(m.UndoUntil))
		if err != nil {
			return err
		}
		var lost []portal.MovedPerson
		err = eachMoved(ctx, u, d, to, func(p portal.MovedPerson) {
			if to.Class(p) == portal.MoveMailed {
				lost = append(lost, p)
			}
		})
		if err != nil {
			return err
		}
		if err := u.tellMoved(ctx, lost); err != nil {
			return err
		}
		u.audit(portal.Event{Action: "connection.moved", Target: name + ": " + m.Before.Seen() + " > " + to.Seen()})
		return u.setWay(ctx, d, to)
	})
	return m, err
}

// setWay writes how a domain signs in, and has the directory hear of it.
func (u *unit) setWay(ctx context.Context, d portal.Domain, to portal.Way) error {
	connection := sql.NullString{String: to.Connection, Valid: to.Connection != ""}
	ok, err := one(ctx, u, `UPDATE domains SET connection = $1, password = $2, jit = $3 WHERE portal = $4 AND name = $5`,
		connection, to.Password, to.JIT, u.portal, d.Name)
	if err == nil && !ok {
		err = errNoDomain
	}
	if err != nil {
		return err
	}
	u.publish(portal.RouteChanged, d.Name)
	u.publishPeople(d)
	return nil
}

// connectionPrint is what a connection is like, as a digest; empty for none.
func connectionPrint(ctx context.Context, q querier, id string) ([]byte, error) {
	if id == "" {
		return []byte{}, nil
	}
	var kind, text string
	err := q.QueryRowContext(ctx, `SELECT kind, settings FROM connections WHERE id = $1`, id).Scan(&kind, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return []byte{}, nil
	}
	sum := sha256.Sum256([]byte(kind + " " + text))
	return sum[:], err
}

// lettersAtOnce is how many letters one statement queues.
const lettersAtOnce = 100

// tellMoved queues a letter for each of people, who may be many.
func (u *unit) tellMoved(ctx context.Context, people []portal.MovedPerson) error {
	if len(people) == 0 {
		return nil
	}
	p, err := readPortal(ctx, u, `id = $1`, u.portal)
	if err != nil {
		return err
	}
	at := p.At(u.s.StandIn)
	if at == "" {
		at = p.URL
	}
	set, err := readSettings(ctx, u, u.portal)
	if err != nil {
		return err
	}
	from, err := u.from(ctx, portal.MovedLetter, set)
	if err != nil {
		return err
	}
	own := map[string]portal.MailText{} // by language
	u.posted = true
	for some := range slices.Chunk(people, lettersAtOnce) {
		var values []string
		var args []any
		for _, person := range some {
			a := person.Account
			language := cmp.Or(a.Language, set.Language)
			text, ok := own[language]
			if !ok {
				if text, err = readMailText(ctx, u, u.portal, portal.MovedLetter, language); err != nil {
					return err
				}
				own[language] = text
			}
			l := sealedLetter{Kind: portal.MovedLetter, To: person.Address.Clear(), Name: strings.TrimSpace(a.GivenName + " " + a.FamilyName),
				Portal: p.Name, URL: at, Contact: p.Contact, Language: language, Zone: set.Zone,
				From: from.Clear(), Subject: text.Subject, Opening: text.Opening}
			id := newID()
			plain, err := json.Marshal(l)
			if err != nil {
				return fmt.Errorf("encode letter: %w", err)
			}
			sealed, err := u.s.vault.Seal("letter "+id, plain)
			if err != nil {
				return err
			}
			row := make([]string, 0, 8)
			for _, value := range []any{id, u.portal, string(l.Kind), sealed, 0, micros(u.now), micros(u.now), micros(u.now.Add(portal.LetterLife))} {
				args = append(args, value)
				row = append(row, "$"+strconv.Itoa(len(args)))
			}
			values = append(values, "("+strings.Join(row, ", ")+")")
		}
		_, err := u.ExecContext(ctx, `INSERT INTO letters (id, portal, kind, sealed, tries, queued, due, expires) VALUES `+strings.Join(values, ", "), args...)
		if err != nil {
			return err
		}
	}
	return nil
}

const moveColumns = `id, portal, domain, before_connection, before_password, before_jit, settings,
	after_connection, after_password, after_jit, account, moved, undo_until, undone`

func scanMove(row scanner) (m portal.Move, print []byte, err error) {
	var moved, until, undone int64
	err = row.Scan(&m.ID, &m.Portal, &m.Domain, &m.Before.Connection, &m.Before.Password, &m.Before.JIT, &print,
		&m.After.Connection, &m.After.Password, &m.After.JIT, &m.Account, &moved, &until, &undone)
	m.Moved, m.UndoUntil, m.Undone = when(moved), when(until), when(undone)
	return m, print, err
}

// A PastMove is a move with why it cannot be undone now; nil: it can.
type PastMove struct {
	portal.Move
	Final error
}

// Moves are the last moves of a portal's domains, the newest first.
func (s *Store) Moves(ctx context.Context, portalID string, limit int) ([]PastMove, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT `+moveColumns+` FROM moves WHERE portal = $1 ORDER BY moved DESC, id LIMIT $2`, portalID, limit)
	if err != nil {
		return nil, failed("read moves", err)
	}
	defer func() { _ = rows.Close() }()
	var out []PastMove
	var prints [][]byte
	for rows.Next() {
		m, print, err := scanMove(rows)
		if err != nil {
			return nil, failed("read moves", err)
		}
		out, prints = append(out, PastMove{Move: m}), append(prints, print)
	}
	if err := rows.Err(); err != nil {
		return nil, failed("read moves", err)
	}
	for i := range out {
		state, err := moveState(ctx, s.db, out[i].Move, prints[i])
		if err != nil {
			return nil, failed("read moves", err)
		}
		out[i].Final = out[i].Undo(state, s.now())
	}
	return out, nil
}

// moveState gathers what the rule about undoing looks at.
func moveState(ctx context.Context, q querier, m portal.Move, print []byte) (st portal.MoveState, err error) {
	all, err := readDomains(ctx, q, m.Portal)
	if err != nil {
		return st, err
	}
	if i := slices.IndexFunc(all, func(d portal.Domain) bool { return d.Name == m.Domain }); i >= 0 {
		st.Domain, st.Known = all[i], true
	}
	var later int
	err = q.QueryRowContext(ctx, `SELECT COUNT(*) FROM moves WHERE portal = $1 AND domain = $2 AND undone = 0 AND moved > $3 AND id <> $4`,
		m.Portal, m.Domain, micros(m.Moved), m.ID).Scan(&later)
	if err != nil {
		return st, err
	}
	st.Later = later > 0
	now, err := connectionPrint(ctx, q, m.Before.Connection)
	st.Changed = !bytes.Equal(now, print)
	return st, err
}

// UndoMove brings back how a domain signed in before a move, exactly. What people
// were linked to meanwhile stays, and is of no use until the domain is moved
// there again.
func (s *Store) UndoMove(ctx context.Context, portalID string, v portal.Visitor, id string) (m portal.Move, err error) {
	err = s.change(ctx, portalID, v, func(u *unit) error {
		if _, err := u.actor(ctx, portal.MoveConnections); err != nil {
			return err
		}
		var print []byte
		m, print, err = scanMove(u.QueryRowContext(ctx, `SELECT `+moveColumns+` FROM moves WHERE portal = $1 AND id = $2`, portalID, id))
		if errors.Is(err, sql.ErrNoRows) {
			return u.refuse(portal.Event{Action: "access.refused", Target: anID(id)}, &discovery.Error{Kind: discovery.NotFound, Code: "move_unknown"})
		}
		if err != nil {
			return err
		}
		state, err := moveState(ctx, u, m, print)
		if err != nil {
			return err
		}
		if err := m.Undo(state, u.now); err != nil {
			return u.refuseKnown(portal.Event{Action: "connection.move_refused", Target: m.Domain}, err)
		}
		ok, err := one(ctx, u, `UPDATE moves SET undone = $1 WHERE id = $2 AND undone = 0`, micros(u.now), id)
		if err != nil {
			return err
		}
		if !ok {
			return errStale
		}
		m.Undone = u.now
		u.audit(portal.Event{Action: "connection.undone", Target: m.Domain + ": " + m.After.Seen() + " > " + m.Before.Seen()})
		return u.setWay(ctx, state.Domain, m.Before)
	})
	return m, err
}
