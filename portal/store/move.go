package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	People     int64            // who have a confirmed address in it; under a wildcard, once for each of its names
	Told       Told             // who has heard of a move so far; nobody of nobody: all have
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

// DomainStates are the domains of a portal, by name, with as many people as the
// footings say.
func (s *Store) DomainStates(ctx context.Context, portalID string) ([]DomainState, error) {
	connections, err := s.ConnectionStates(ctx, portalID)
	if err != nil {
		return nil, err
	}
	all, err := s.Domains(ctx, portalID)
	if err != nil {
		return nil, err
	}
	told, err := s.Tellings(ctx, portalID)
	if err != nil {
		return nil, err
	}
	out := make([]DomainState, len(all))
	for i, d := range all {
		out[i].Domain, out[i].Told = d, told[d.Name]
		if at := slices.IndexFunc(connections, func(c ConnectionState) bool { return c.ID == d.Connection }); at >= 0 {
			out[i].Connection = &connections[at]
		}
	}
	people, err := readFootings(ctx, s.db, portalID)
	if err != nil {
		return nil, failed("count people", err)
	}
	for _, p := range people {
		if d, ok := covering(all, p.domain, func(d portal.Domain) portal.Domain { return d }); ok {
			out[slices.IndexFunc(all, func(o portal.Domain) bool { return o.Name == d.Name })].People += p.n
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
		u.audit(portal.Event{Action: "connection.moved", Target: name + ": " + m.Before.Seen() + " > " + to.Seen()})
		return u.setWay(ctx, d, to, true)
	})
	return m, err
}

// setWay writes how a domain signs in, and has the directory hear of it; letters
// says whether people who lose their only way in do as well.
func (u *unit) setWay(ctx context.Context, d portal.Domain, to portal.Way, letters bool) error {
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
	d.Connection, d.Password, d.JIT = to.Connection, to.Password, to.JIT
	u.moved = append(u.moved, telling{domain: d, letters: letters})
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
		return u.setWay(ctx, state.Domain, m.Before, false)
	})
	return m, err
}
