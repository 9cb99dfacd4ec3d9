package store

import (
	"context"
)

// tally counts n more of something in the use case that makes it so.
func (u *unit) tally(ctx context.Context, name string, n int64) error {
	_, err := u.ExecContext(ctx, `INSERT INTO tallies (portal, name, n) VALUES ($1, $2, $3)
		ON CONFLICT (portal, name) DO UPDATE SET n = tallies.n + excluded.n`, u.portal, name, n)
	return err
}

// Tallies are a portal's counters whose names begin with prefix, by the rest of
// their names: how many accounts have which status, or how many sign-ins there
// were on which day.
func (s *Store) Tallies(ctx context.Context, portalID, prefix string) (map[string]int64, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT name, n FROM tallies WHERE portal = $1 AND substr(name, 1, $2) = $3`,
		portalID, len(prefix), prefix)
	if err != nil {
		return nil, failed("read tallies", err)
	}
	defer func() { _ = rows.Close() }()
	out := map[string]int64{}
	for rows.Next() {
		var name string
		var n int64
		if err := rows.Scan(&name, &n); err != nil {
			return nil, failed("read tallies", err)
		}
		out[name[len(prefix):]] = n
	}
	return out, failed("read tallies", rows.Err())
}
