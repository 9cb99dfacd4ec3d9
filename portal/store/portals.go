package store

import (
	"context"
	"database/sql"
	"errors"
	"reflect"
	"strings"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

var errNoPortal = &discovery.Error{Kind: discovery.NotFound, Field: "portal", Code: "portal_unknown",
	Say: "There is no such portal in this region."}

var errHostTaken = &discovery.Error{Kind: discovery.Conflict, Field: "url", Code: "portal_host_taken",
	Say: "Another portal has this host name."}

var errNoHost = &discovery.Error{Kind: discovery.Misdirected, Code: "host_unknown"}

// CreatePortal makes a portal, or updates the name, the disclosure, the contact,
// KeepSigned and the standbys of the one with that ID. Its URL never changes: IdPs were told
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
		if reflect.DeepEqual(old, p) {
			return nil
		}
		if err := u.putStandbys(ctx, p); err != nil {
			return err
		}
		changed = true
		u.audit(portal.Event{Action: "portal.changed", Method: "operator", Target: p.ID})
		u.changes = append(u.changes, portal.Change{Topic: portal.PortalChanged, Portal: p.ID})
		_, err = u.ExecContext(ctx, `UPDATE portals SET name = $1, disclosure = $2, contact = $3, keep_signed = $4, standbys = $5 WHERE id = $6`,
			p.Name, string(p.Disclosure), p.Contact, p.KeepSigned, discovery.StandbyText(p.Standbys), p.ID)
		return err
	})
	return changed && err == nil, err
}

func (u *unit) insertPortal(ctx context.Context, p portal.Portal, host string) error {
	made, err := one(ctx, u, `INSERT INTO portals (id, name, url, host, disclosure, contact, keep_signed, created, standbys)
		SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS TEXT), CAST($6 AS TEXT),
			CAST($7 AS BOOLEAN), CAST($8 AS BIGINT), CAST($9 AS TEXT)
		WHERE NOT EXISTS (SELECT 1 FROM standby_hosts WHERE host = $4) ON CONFLICT DO NOTHING`,
		p.ID, p.Name, p.URL, host, string(p.Disclosure), p.Contact, p.KeepSigned, micros(u.now), discovery.StandbyText(p.Standbys))
	if err != nil {
		return err
	}
	if !made {
		return errHostTaken
	}
	if err := u.putStandbys(ctx, p); err != nil {
		return err
	}
	_, err = u.ExecContext(ctx, `INSERT INTO audit_heads (portal, seq, hash) VALUES ($1, 0, '')`, p.ID)
	if err != nil {
		return err
	}
	if err := u.insertSettings(ctx, portal.DefaultSettings(p.ID)); err != nil {
		return err
	}
	if err := u.insertPlans(ctx, p.ID); err != nil {
		return err
	}
	u.audit(portal.Event{Action: "portal.created", Method: "operator", Target: p.ID})
	u.changes = append(u.changes, portal.Change{Topic: portal.PortalChanged, Portal: p.ID})
	return nil
}

// PortalByHost finds the portal that a request's Host header names, port
// included. An unknown one is Misdirected: processes that stand in answer to the
// hosts they have as a standby and to no other, and the region's own never to those.
func (s *Store) PortalByHost(ctx context.Context, host string) (portal.Portal, error) {
	where, args := `host = $1`, []any{strings.ToLower(host)}
	if s.StandIn != "" {
		where, args = `id = (SELECT portal FROM standby_hosts WHERE host = $1 AND region = $2)`, append(args, s.StandIn)
	}
	p, err := readPortal(ctx, s.db, where, args...)
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

const portalColumns = `id, name, url, disclosure, contact, keep_signed, created, standbys`

func readPortal(ctx context.Context, q querier, where string, args ...any) (portal.Portal, error) {
	return scanPortal(q.QueryRowContext(ctx, `SELECT `+portalColumns+` FROM portals WHERE `+where, args...))
}

type scanner interface{ Scan(dest ...any) error }

func scanPortal(row scanner) (portal.Portal, error) {
	var p portal.Portal
	var disclosure, standbys string
	var created int64
	err := row.Scan(&p.ID, &p.Name, &p.URL, &disclosure, &p.Contact, &p.KeepSigned, &created, &standbys)
	p.Disclosure, p.Created, p.Standbys = discovery.Disclosure(disclosure), when(created), discovery.ParseStandbys(standbys)
	return p, err
}
