package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/portal"
)

// PutDomain says how addresses in a domain sign in to a portal. Another portal
// may have the same domain: its people are then offered both.
func (s *Store) PutDomain(ctx context.Context, d portal.Domain) (changed bool, err error) {
	if d.Name, err = discovery.ParseRouteDomain(d.Name); err != nil {
		return false, err
	}
	// The front door would refuse the route; and no IdP may speak for everybody
	// at a provider of mailboxes.
	if err = discovery.Routable(d.Name); err != nil {
		return false, err
	}
	if d.Connection == "" {
		d.Password, d.JIT = true, false
	}
	if d.Proof == "" {
		d.Proof = "operator"
	}
	err = s.change(ctx, d.Portal, portal.Visitor{}, func(u *unit) error {
		var conn sql.NullString
		if d.Connection != "" {
			c, _, err := s.readConnection(ctx, u, d.Connection)
			if errors.Is(err, sql.ErrNoRows) || err == nil && c.Portal != d.Portal {
				return errNoConnection
			}
			if err != nil {
				return err
			}
			conn = sql.NullString{String: d.Connection, Valid: true}
		}
		all, err := readDomains(ctx, u, d.Portal)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(all, func(o portal.Domain) bool { return o.Name == d.Name }); i >= 0 {
			old := all[i]
			d.Proven = old.Proven
			if old == d {
				return nil
			}
		}
		changed = true
		u.audit(portal.Event{Action: "domain.put", Method: "operator", Target: d.Name})
		_, err = u.ExecContext(ctx, `INSERT INTO domains (portal, name, connection, password, jit, proof, proven)
			VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (portal, name) DO UPDATE SET
			connection = excluded.connection, password = excluded.password, jit = excluded.jit, proof = excluded.proof`,
			d.Portal, d.Name, conn, d.Password, d.JIT, d.Proof, micros(u.now))
		if err != nil {
			return err
		}
		u.publish(portal.RouteChanged, d.Name)
		u.moved = append(u.moved, telling{domain: d})
		return nil
	})
	return changed && err == nil, err
}

// namesIn are the domains of addresses that d covers, and no more specific domain
// of the portal.
func namesIn(ctx context.Context, q querier, d portal.Domain) ([]string, error) {
	if !strings.HasPrefix(d.Name, "*.") {
		return []string{d.Name}, nil
	}
	all, err := readDomains(ctx, q, d.Portal)
	if err != nil {
		return nil, err
	}
	rows, err := q.QueryContext(ctx, `SELECT DISTINCT domain FROM footings WHERE portal = $1 AND n > 0`, d.Portal)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		if !d.Covers(name) {
			continue
		}
		if by, ok := covering(all, name, func(d portal.Domain) portal.Domain { return d }); ok && by.Name == d.Name {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, rows.Err()
}

// DomainFor is the portal's domain that covers a name, the most specific if
// there are several.
func (s *Store) DomainFor(ctx context.Context, portalID, name string) (portal.Domain, bool, error) {
	d, ok, err := domainFor(ctx, s.db, portalID, name)
	return d, ok, failed("read domains", err)
}

func domainFor(ctx context.Context, q querier, portalID, name string) (portal.Domain, bool, error) {
	all, err := readDomains(ctx, q, portalID)
	if err != nil {
		return portal.Domain{}, false, err
	}
	d, ok := covering(all, name, func(d portal.Domain) portal.Domain { return d })
	return d, ok, nil
}

// allowsPassword reports whether somebody who comes by an address may use a portal
// password. An organisation that has switched passwords off has done so for its
// people, whichever of their addresses they type: for those whose primary one is
// in its domain.
func allowsPassword(ctx context.Context, q querier, portalID string, typed discovery.Address, a *account) (bool, error) {
	all, err := readDomains(ctx, q, portalID)
	if err != nil {
		return false, err
	}
	names := []string{typed.Domain()}
	if a != nil {
		names = append(names, a.Primary.Domain())
	}
	for _, name := range names {
		if d, ok := covering(all, name, func(d portal.Domain) portal.Domain { return d }); ok && !d.AllowsPassword() {
			return false, nil
		}
	}
	return true, nil
}

// covering is the most specific of all whose domain covers a name.
func covering[T any](all []T, name string, domain func(T) portal.Domain) (found T, ok bool) {
	for _, candidate := range portal.Candidates(name) {
		for _, t := range all {
			if d := domain(t); d.Name == candidate {
				return t, d.Covers(name)
			}
		}
	}
	return found, false
}

// Domains are those of a portal, by name.
func (s *Store) Domains(ctx context.Context, portalID string) ([]portal.Domain, error) {
	all, err := readDomains(ctx, s.db, portalID)
	return all, failed("read domains", err)
}

func readDomains(ctx context.Context, q querier, portalID string) ([]portal.Domain, error) {
	rows, err := q.QueryContext(ctx, `SELECT portal, name, COALESCE(connection, ''), password, jit, proof, proven
		FROM domains WHERE portal = $1 ORDER BY name`, portalID)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []portal.Domain
	for rows.Next() {
		var d portal.Domain
		var proven int64
		if err := rows.Scan(&d.Portal, &d.Name, &d.Connection, &d.Password, &d.JIT, &d.Proof, &proven); err != nil {
			return nil, err
		}
		d.Proven = when(proven)
		out = append(out, d)
	}
	return out, rows.Err()
}

// kindOf is the protocol of a connection, for a domain's ways.
func kindOf(ctx context.Context, q querier, connection string) (federation.Kind, error) {
	if connection == "" {
		return "", nil
	}
	var kind string
	err := q.QueryRowContext(ctx, `SELECT kind FROM connections WHERE id = $1`, connection).Scan(&kind)
	return federation.Kind(kind), err
}
