package store

import "context"

// WithoutFactor is how many people of a portal can sign in and have no second
// factor, whom a stricter policy leads to set one up.
func (s *Store) WithoutFactor(ctx context.Context, portalID string) (n int64, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM accounts a WHERE a.portal = $1 AND a.status <> 'disabled'
		AND NOT EXISTS (SELECT 1 FROM factors f WHERE f.account = a.id AND f.confirmed > 0)`, portalID).Scan(&n)
	return n, failed("count accounts without a factor", err)
}
