package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// Away reports whether err says that the database cannot be asked right now: it
// is not reached, does not answer in time, is starting, stopping, overloaded or
// damaged. The opposite is an answer that waiting does not change: a refused
// password, a database or table that is not there, another version.
func Away(err error) bool {
	if err == nil {
		return false
	}
	if v := (*VersionError)(nil); errors.As(err, &v) || errors.Is(err, errForeign) {
		return false
	}
	p := (*pgconn.PgError)(nil)
	if !errors.As(err, &p) || len(p.Code) != 5 {
		return true // it is the connection's, or SQLite's about its file
	}
	switch p.Code[:2] {
	case "08", "25", "40", "53", "55", "57", "58", "XX":
		// Connections, read-only after a fail-over, conflicts, resources, locks,
		// an operator's stop, the system below, damage.
		return true
	}
	return false
}

// errReadOnly is what a server says that has become, or is still, a copy.
var errReadOnly = errors.New("the database takes no changes: it is a copy, or set to read only")

// Writable reports why db takes no changes right now, or nil. It changes nothing
// itself. A PostgreSQL server that was demoted answers every read; SQLite only
// shows with the change itself, so there it is asked for a read.
func Writable(ctx context.Context, db *sql.DB) error {
	if !OnPostgres(db) {
		var pages int64
		if err := db.QueryRowContext(ctx, `PRAGMA schema_version`).Scan(&pages); err != nil {
			return fmt.Errorf("ask the database: %w", err)
		}
		return nil
	}
	var readOnly bool
	if err := db.QueryRowContext(ctx, `SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'`).Scan(&readOnly); err != nil {
		return fmt.Errorf("ask the database: %w", err)
	}
	if readOnly {
		return errReadOnly
	}
	return nil
}
