package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

var errNoPortal = &discovery.Error{Kind: discovery.NotFound, Field: "portal", Code: "portal_unknown",
	Say: "There is no such portal in this region."}

var errNoHost = &discovery.Error{Kind: discovery.Misdirected, Code: "host_unknown"}

// CreatePortal makes a portal, or updates the name, the disclosure, the contact
// and KeepSigned of the one with that ID. Its URL never changes: IdPs were told
// addresses that start with it. Changed is false when all was so before.
func (s *Store) CreatePortal(ctx context.Context, p portal.Portal) (changed bool, err error) {
	host, err := portal.CheckPortal(p)
	if err != nil {
		return false, err
	}
	p.Disclosure = portal.DisclosureOf(p)
	err = s.change(ctx, "", portal.Visitor{}, func(u *unit) error {
		old, err := readPortal(ctx, u, `id = $1`, p.ID)
		if errors.Is(err, sql.ErrNoRows) {
			changed = true
			return u.insertPortal(ctx, p, host)
		}
		if err != nil {
			return err
		}
		if old.URL != p.URL {
			return &discovery.Error{Kind: discovery.Conflict, Field: "url", Code: "portal_url",
				Say: "This portal exists with another URL, and a portal's URL does not change."}
		}
		p.Created = old.Created
		if old == p {
			return nil
		}
		changed = true
		u.audit(portal.Event{Action: "portal.changed", Method: "operator", Target: p.ID})
		u.changes = append(u.changes, portal.Change{Topic: portal.PortalChanged, Portal: p.ID})
		_, err = u.ExecContext(ctx, `UPDATE portals SET name = $1, disclosure = $2, contact = $3, keep_signed = $4 WHERE id = $5`,
			p.Name, string(p.Disclosure), p.Contact, p.KeepSigned, p.ID)
		return err
	})
	return changed && err == nil, err
}

func (u *unit) insertPortal(ctx context.Context, p portal.Portal, host string) error {
	made, err := one(ctx, u, `INSERT INTO portals (id, name, url, host, disclosure, contact, keep_signed, created)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
		p.ID, p.Name, p.URL, host, string(p.Disclosure), p.Contact, p.KeepSigned, micros(u.now))
	if err != nil {
		return err
	}
	if !made {
		return &discovery.Error{Kind: discovery.Conflict, Field: "url", Code: "portal_host_taken",
			Say: "Another portal has this host name."}
	}
	_, err = u.ExecContext(ctx, `INSERT INTO audit_heads (portal, seq, hash) VALUES ($1, 0, '')`, p.ID)
	if err != nil {
		return err
	}
	u.audit(portal.Event{Action: "portal.created", Method: "operator", Target: p.ID})
	u.changes = append(u.changes, portal.Change{Topic: portal.PortalChanged, Portal: p.ID})
	return nil
}

// PortalByHost finds the portal that a request's Host header names, port
// included. An unknown one is Misdirected.
func (s *Store) PortalByHost(ctx context.Context, host string) (portal.Portal, error) {
	p, err := readPortal(ctx, s.db, `host = $1`, strings.ToLower(host))
	if errors.Is(err, sql.ErrNoRows) {
		return p, errNoHost
	}
	return p, failed("read portal", err)
}

// PortalByID: an unknown one is NotFound.
func (s *Store) PortalByID(ctx context.Context, id string) (portal.Portal, error) {
	p, err := readPortal(ctx, s.db, `id = $1`, id)
	if errors.Is(err, sql.ErrNoRows) {
		return p, errNoPortal
	}
	return p, failed("read portal", err)
}

// Portals are all portals of the region, by ID.
func (s *Store) Portals(ctx context.Context) ([]portal.Portal, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT `+portalColumns+` FROM portals ORDER BY id`)
	if err != nil {
		return nil, failed("read portals", err)
	}
	defer func() { _ = rows.Close() }()
	var out []portal.Portal
	for rows.Next() {
		p, err := scanPortal(rows)
		if err != nil {
			return nil, failed("read portals", err)
		}
		out = append(out, p)
	}
	return out, failed("read portals", rows.Err())
}

const portalColumns = `id, name, url, disclosure, contact, keep_signed, created`

func readPortal(ctx context.Context, q querier, where string, arg any) (portal.Portal, error) {
	return scanPortal(q.QueryRowContext(ctx, `SELECT `+portalColumns+` FROM portals WHERE `+where, arg))
}

type scanner interface{ Scan(dest ...any) error }

func scanPortal(row scanner) (portal.Portal, error) {
	var p portal.Portal
	var disclosure string
	var created int64
	err := row.Scan(&p.ID, &p.Name, &p.URL, &disclosure, &p.Contact, &p.KeepSigned, &created)
	p.Disclosure, p.Created = discovery.Disclosure(disclosure), when(created)
	return p, err
}
