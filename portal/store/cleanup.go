package store

import (
	"context"
	"time"
)

// deviceLife is how long a browser is remembered after its last sign-in.
const deviceLife = 180 * 24 * time.Hour

// spentKept is how long beyond its end it is kept that a ticket or an assertion was
// spent. By the clock of a process that is ahead it would otherwise be over while
// it is still good by that of another, or by its own when it has been set right.
const spentKept = 24 * time.Hour

// throttleKept is how long beyond its emptiness a bucket is kept, since to a process
// whose clock is ahead it is empty before it is to the others: they would count
// afresh whenever that one has cleaned up. Not a day, as there may be many.
const throttleKept = time.Hour

// Cleanup removes rows whose time is over, at most limit of each sort, so that
// it never holds the database for long; it is run again and again, by several
// processes at once. Links are kept for a week beyond their end. What is over is
// asked once more of each row: another process may just have given it more time.
func (s *Store) Cleanup(ctx context.Context, limit int) (removed int64, err error) {
	now := s.now()
	for _, old := range []struct {
		table, key, over string
		before           time.Time
	}{
		{"federations", "state", "expires", now},
		{"attempts", "digest", "expires", now},
		{"tickets", "id", "expires", now.Add(-spentKept)},
		{"assertions", "digest", "expires", now.Add(-spentKept)},
		{"sessions", "digest", "idle", now},
		{"tokens", "digest", "expires", now.Add(-7 * 24 * time.Hour)},
		{"letters", "id", "expires", now},
		{"passed", "attempt", "expires", now},
		{"challenges", "id", "expires", now},
	} {
		res, err := s.db.ExecContext(ctx, `DELETE FROM `+old.table+` WHERE `+old.key+` IN (SELECT `+old.key+` FROM `+old.table+
			` WHERE `+old.over+` <= $1 ORDER BY `+old.over+` LIMIT $2) AND `+old.over+` <= $1`, micros(old.before), limit)
		if err != nil {
			return removed, failed("clean up "+old.table, err)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return removed, failed("clean up "+old.table, err)
		}
		removed += n
	}
	// A link that was not opened can be asked for again for a week.
	res, err := s.db.ExecContext(ctx, `DELETE FROM addresses WHERE confirmed = 0 AND NOT is_primary AND expires > 0 AND expires <= $1`,
		micros(now.Add(-7*24*time.Hour)))
	if err != nil {
		return removed, failed("clean up addresses", err)
	}
	if n, err := res.RowsAffected(); err == nil {
		removed += n
	}
	n, err := s.cleanThrottle(ctx, limit)
	removed += n
	if err != nil {
		return removed, failed("clean up throttle", err)
	}
	if err := s.cleanImports(ctx); err != nil {
		return removed, failed("clean up imports", err)
	}
	_, err = s.db.ExecContext(ctx, `DELETE FROM devices WHERE seen <= $1`, micros(now.Add(-deviceLife)))
	return removed, failed("clean up devices", err)
}

// cleanThrottle removes buckets one by one: a try takes from several of them in
// one transaction, in an order of its own, and a statement that waits for one row
// while it holds another could deadlock with it.
func (s *Store) cleanThrottle(ctx context.Context, limit int) (removed int64, err error) {
	now := micros(s.now().Add(-throttleKept))
	rows, err := s.db.QueryContext(ctx, `SELECT bucket FROM throttle WHERE full_until <= $1 ORDER BY full_until LIMIT $2`, now, limit)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	var buckets []string
	for rows.Next() {
		var bucket string
		if err := rows.Scan(&bucket); err != nil {
			return 0, err
		}
		buckets = append(buckets, bucket)
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	for _, bucket := range buckets {
		gone, err := one(ctx, s.db, `DELETE FROM throttle WHERE bucket = $1 AND full_until <= $2`, bucket, now)
		if err != nil {
			return removed, err
		}
		if gone {
			removed++
		}
	}
	return removed, nil
}
