package store

import (
	"context"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

// charge takes one from every bucket, or none and says how long to wait. It
// takes before the try is made: fifty tries at once are fifty tries.
func (s *Store) charge(ctx context.Context, buckets ...portal.Bucket) (wait time.Duration, err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, failed("begin", err)
	}
	defer func() { _ = tx.Rollback() }()
	now := micros(s.now())
	for _, b := range buckets {
		every, window := b.Every.Microseconds(), b.Window().Microseconds()
		// One statement decides and counts (generic cell rate algorithm).
		ok, err := one(ctx, tx, `INSERT INTO throttle (bucket, full_until) VALUES ($1, CAST($2 AS BIGINT) + CAST($3 AS BIGINT))
			ON CONFLICT (bucket) DO UPDATE SET full_until =
				CASE WHEN throttle.full_until > CAST($2 AS BIGINT) THEN throttle.full_until ELSE CAST($2 AS BIGINT) END + CAST($3 AS BIGINT)
			WHERE throttle.full_until + CAST($3 AS BIGINT) <= CAST($2 AS BIGINT) + CAST($4 AS BIGINT)`, b.Key, now, every, window)
		if err != nil {
			return 0, failed("count try", err)
		}
		if ok {
			continue
		}
		var full int64
		if err := tx.QueryRowContext(ctx, `SELECT full_until FROM throttle WHERE bucket = $1`, b.Key).Scan(&full); err != nil {
			return 0, failed("count try", err)
		}
		return max(time.Duration(full+every-window-now)*time.Microsecond, time.Second), nil
	}
	return 0, failed("count try", tx.Commit())
}

// refund gives back what a try took that turned out to be no guess.
func (s *Store) refund(ctx context.Context, buckets ...portal.Bucket) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return failed("begin", err)
	}
	defer func() { _ = tx.Rollback() }()
	for _, b := range buckets {
		_, err := tx.ExecContext(ctx, `UPDATE throttle SET full_until = full_until - CAST($1 AS BIGINT) WHERE bucket = $2`, b.Every.Microseconds(), b.Key)
		if err != nil {
			return failed("count try", err)
		}
	}
	return failed("count try", tx.Commit())
}
