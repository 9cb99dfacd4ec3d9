package store

import (
	"context"
	"database/sql"
	"errors"
)

// WithoutFactor is how many people of a portal can sign in and have no second
// factor, whom a stricter policy leads to set one up.
func (s *Store) WithoutFactor(ctx context.Context, portalID string) (n int64, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT n FROM tallies WHERE portal = $1 AND name = $2`, portalID, unfactored).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return n, failed("count accounts without a factor", err)
}
