package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

// PutPolicy replaces the sign-in policy of a portal by that of set, if it is still
// what was edited: set.PolicyVersion is the version of that.
func (s *Store) PutPolicy(ctx context.Context, portalID string, v portal.Visitor, set portal.Settings) error {
	return s.editSettings(ctx, portalID, v, func(u *unit, old portal.Settings) (portal.Settings, error) {
		if old.PolicyVersion != set.PolicyVersion {
			return old, errStale
		}
		now := old.WithPolicy(set)
		now.PolicyVersion++
		if err := portal.CheckPolicy(now, s.Lifetimes); err != nil || now.TrustDays >= old.TrustDays {
			return now, err
		}
		return now, u.trustLess(ctx, now.TrustDays)
	})
}

// trustLess ends trust in browsers that goes on for longer than is allowed now:
// allowing more again does not bring it back.
func (u *unit) trustLess(ctx context.Context, days int) error {
	until := int64(0)
	if days > 0 {
		until = micros(u.now.Add(time.Duration(days) * 24 * time.Hour))
	}
	_, err := u.ExecContext(ctx, `UPDATE devices SET trusted = $1 WHERE trusted > $1 AND account IN (SELECT id FROM accounts WHERE portal = $2)`, until, u.portal)
	return err
}

// WithoutFactor is how many people of a portal can sign in and have no second
// factor, whom a stricter policy leads to set one up.
func (s *Store) WithoutFactor(ctx context.Context, portalID string) (n int64, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT n FROM tallies WHERE portal = $1 AND name = $2`, portalID, unfactored).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return n, failed("count accounts without a factor", err)
}
