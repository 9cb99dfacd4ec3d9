package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

// charge takes one from every bucket, or none and says how long to wait. It
// takes before the try is made: fifty tries at once are fifty tries.
func (s *Store) charge(ctx context.Context, buckets []portal.Bucket) (wait time.Duration, err error) {
	now := micros(s.now())
	for i, b := range buckets {
		every, window := b.Every.Microseconds(), b.Window().Microseconds()
		var full int64
		// One statement decides and counts (generic cell rate algorithm).
		err := s.db.QueryRowContext(ctx, `INSERT INTO throttle (bucket, full_until) VALUES ($1, CAST($2 AS BIGINT) + CAST($3 AS BIGINT))
			ON CONFLICT (bucket) DO UPDATE SET full_until =
				CASE WHEN throttle.full_until > CAST($2 AS BIGINT) THEN throttle.full_until ELSE CAST($2 AS BIGINT) END + CAST($3 AS BIGINT)
			WHERE throttle.full_until + CAST($3 AS BIGINT) <= CAST($2 AS BIGINT) + CAST($4 AS BIGINT)
			RETURNING full_until`, b.Key, now, every, window).Scan(&full)
		if err == nil {
			continue
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return 0, failed("count try", err)
		}
		err = s.db.QueryRowContext(ctx, `SELECT full_until FROM throttle WHERE bucket = $1`, b.Key).Scan(&full)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return 0, failed("count try", err)
		}
		if err := s.refund(ctx, buckets[:i]); err != nil {
			return 0, err
		}
		return max(time.Duration(full+every-window-now)*time.Microsecond, time.Second), nil
	}
	return 0, nil
}

// refund gives back what a try took that turned out to be no guess.
func (s *Store) refund(ctx context.Context, buckets []portal.Bucket) error {
	for _, b := range buckets {
		_, err := s.db.ExecContext(ctx, `UPDATE throttle SET full_until = full_until - CAST($1 AS BIGINT) WHERE bucket = $2`, b.Every.Microseconds(), b.Key)
		if err != nil {
			return failed("count try", err)
		}
	}
	return nil
}
