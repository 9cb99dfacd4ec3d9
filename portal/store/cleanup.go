package store

import (
	"context"
	"time"
)

// deviceLife is how long a browser is remembered after its last sign-in.
const deviceLife = 180 * 24 * time.Hour

// Cleanup removes rows whose time is over, at most limit of each sort, so that
// it never holds the database for long; it is run again and again. Links are
// kept for a week beyond their end.
func (s *Store) Cleanup(ctx context.Context, limit int) (removed int64, err error) {
	now := s.now()
	for _, old := range []struct {
		table, key, over string
		before           time.Time
	}{
		{"federations", "state", "expires", now},
		{"attempts", "digest", "expires", now},
		{"tickets", "id", "expires", now},
		{"assertions", "digest", "expires", now},
		{"sessions", "digest", "idle", now},
		{"tokens", "digest", "expires", now.Add(-7 * 24 * time.Hour)},
		{"letters", "id", "expires", now},
		{"throttle", "bucket", "full_until", now},
	} {
		res, err := s.db.ExecContext(ctx, `DELETE FROM `+old.table+` WHERE `+old.key+` IN (SELECT `+old.key+` FROM `+old.table+
			` WHERE `+old.over+` <= $1 ORDER BY `+old.over+` LIMIT $2)`, micros(old.before), limit)
		if err != nil {
			return removed, failed("clean up "+old.table, err)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return removed, failed("clean up "+old.table, err)
		}
		removed += n
	}
	_, err = s.db.ExecContext(ctx, `DELETE FROM devices WHERE seen <= $1`, micros(now.Add(-deviceLife)))
	return removed, failed("clean up devices", err)
}
