package store

import (
	"context"
	"database/sql"
	"fmt"
)

// A Table is one that a backup holds. Fresh is an SQL condition that the rows
// put there by a migration fulfil.
type Table struct{ Name, Fresh string }

// Kept are the tables that are backed up: all of them.
func Kept() []Table {
	return []Table{
		{"portals", ""}, {"routes", ""}, {"entries", ""}, {"progress", ""}, {"records", ""}, {"changes", "n = 0"},
	}
}

// Left are the tables that no backup holds.
func Left() []string { return nil }

// countersJump is how far counters that front doors watch jump at a restore:
// beyond what any of them has seen since the backup.
const countersJump = 1 << 40

// Restored makes a database that a backup was put into safe to answer from, in
// the transaction of the restore. What the backup says is found at once. What it
// does not say is not known, rather than not there, until its region has
// published everything again, which each does as soon as it hears that nothing
// of it has been applied; that also keeps an old batch from being played again
// on top of old rows. Rows of the directory hold no one-time facts.
func Restored(ctx context.Context, tx *sql.Tx) (regions int64, err error) {
	res, err := tx.ExecContext(ctx, `UPDATE progress SET last = 0, whole = $1, changed = changed + CAST($2 AS BIGINT)`, false, int64(countersJump))
	if err != nil {
		return 0, fmt.Errorf("have the regions publish again: %w", err)
	}
	if regions, err = res.RowsAffected(); err != nil {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE changes SET n = n + CAST($1 AS BIGINT)`, int64(countersJump)); err != nil {
		return 0, fmt.Errorf("move the counters on: %w", err)
	}
	return regions, nil
}
