package store

import (
	"cmp"
	"context"
	"slices"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// ApprovedDomains are those in which members may be added to a portal, by name,
// with how many accounts have their primary address in each.
func (s *Store) ApprovedDomains(ctx context.Context, portalID string) ([]portal.ApprovedDomain, error) {
	out, err := readApproved(ctx, s.db, portalID)
	if err != nil {
		return nil, failed("read approved domains", err)
	}
	people, err := readFootings(ctx, s.db, portalID)
	if err != nil {
		return nil, failed("count accounts", err)
	}
	for _, p := range people {
		if i := portal.CoveringDomain(p.domain, out); p.Primary && i >= 0 {
			out[i].Accounts += p.n
		}
	}
	return out, nil
}

// readApproved are the approved domains without counts: the list itself, and
// the domains that people sign in with.
func readApproved(ctx context.Context, q querier, portalID string) ([]portal.ApprovedDomain, error) {
	domains, err := readDomains(ctx, q, portalID)
	if err != nil {
		return nil, err
	}
	var out []portal.ApprovedDomain
	for _, d := range domains {
		out = append(out, portal.ApprovedDomain{Name: d.Name, Added: d.Proven, SignIn: true})
	}
	rows, err := q.QueryContext(ctx, `SELECT name, added, added_by FROM approved_domains WHERE portal = $1 ORDER BY name`, portalID)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var d portal.ApprovedDomain
		var added int64
		if err := rows.Scan(&d.Name, &added, &d.By); err != nil {
			return nil, err
		}
		d.Added = when(added)
		if !slices.ContainsFunc(out, func(o portal.ApprovedDomain) bool { return o.Name == d.Name }) {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b portal.ApprovedDomain) int { return cmp.Compare(a.Name, b.Name) })
	return out, rows.Err()
}

// maxApproved keeps the list one that fits a page, and one that is quickly gone
// through.
const maxApproved = 200

// ApproveDomain lets members be added in a domain. Changed is false when they
// could be before.
func (s *Store) ApproveDomain(ctx context.Context, portalID string, v portal.Visitor, name string) (approved string, changed bool, err error) {
	name, err = discovery.ParseRouteDomain(name)
	if err != nil {
		return "", false, err
	}
	err = s.change(ctx, portalID, v, func(u *unit) error {
		if _, err := u.actor(ctx, portal.ApproveDomains); err != nil {
			return err
		}
		all, err := readApproved(ctx, u, portalID)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(all, func(d portal.ApprovedDomain) bool { return d.Name == name }) {
			return nil
		}
		if len(all) >= maxApproved {
			return &discovery.Error{Kind: discovery.Conflict, Field: "domain", Code: "domains_many",
				Say: "There are 200 approved domains already. Remove one first."}
		}
		changed = true
		u.audit(portal.Event{Action: "domain.approved", Target: name})
		_, err = u.ExecContext(ctx, `INSERT INTO approved_domains (portal, name, added, added_by) VALUES ($1, $2, $3, $4)`,
			portalID, name, micros(u.now), v.Actor)
		return err
	})
	return name, changed && err == nil, err
}

// DisapproveDomain keeps new members in a domain from being added. Whoever is
// there stays.
func (s *Store) DisapproveDomain(ctx context.Context, portalID string, v portal.Visitor, name string) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		if _, err := u.actor(ctx, portal.ApproveDomains); err != nil {
			return err
		}
		gone, err := one(ctx, u, `DELETE FROM approved_domains WHERE portal = $1 AND name = $2`, portalID, name)
		if err != nil {
			return err
		}
		if !gone {
			return &discovery.Error{Kind: discovery.NotFound, Field: "domain", Code: "domain_unknown",
				Say: "This domain is not in the list of this portal."}
		}
		u.audit(portal.Event{Action: "domain.removed", Target: name})
		return nil
	})
}
