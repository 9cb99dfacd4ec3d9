package store

import (
	"context"

	"github.com/domicile-sso/domicile/portal"
)

// putStandbys replaces the hosts that a portal has at its standbys. No two
// portals have one host, whichever region serves it.
func (u *unit) putStandbys(ctx context.Context, p portal.Portal) error {
	if _, err := u.ExecContext(ctx, `DELETE FROM standby_hosts WHERE portal = $1`, p.ID); err != nil {
		return err
	}
	for _, s := range p.Standbys {
		put, err := one(ctx, u, `INSERT INTO standby_hosts (host, portal, region)
			SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT)
			WHERE NOT EXISTS (SELECT 1 FROM portals WHERE host = $1) ON CONFLICT DO NOTHING`,
			portal.HostOf(s.URL), p.ID, s.Region)
		if err != nil {
			return err
		}
		if !put {
			return errHostTaken
		}
	}
	return nil
}
