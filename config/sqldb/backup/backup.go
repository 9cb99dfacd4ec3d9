// Package backup writes the rows of a database into a stream and back, from
// either database into either.
//
// A backup is gzip around lines of JSON: a header, then for each table a line
// with its columns and one line for each row, and at the end a line with an
// HMAC over everything before it. The columns are read from the database, so a
// migration that adds one needs no change here.
//
// [Write] reads everything in one transaction, which sees the database as it
// was at one moment, and holds nobody up. [Verify] reads a backup to its end
// and writes nothing. [Restore] fills a migrated, empty database in one
// transaction and commits only what carried a true HMAC at its end, so that a
// backup cut short or changed leaves nothing behind, whoever calls it and in
// whatever order.
//
// Who can make a backup that is believed is who has the key of the HMAC.
// Keeping a backup from being read is the business of the caller, who puts
// encryption around the stream.
package backup

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// format is the number of this format.
const format = 1

// A Header says what a backup is of.
type Header struct {
	Format       int       `json:"domicile_backup"`
	Role         string    `json:"role"`
	Region       string    `json:"region,omitempty"`
	Jurisdiction string    `json:"jurisdiction,omitempty"`
	Schema       int64     `json:"schema"`
	Taken        time.Time `json:"taken"`
	Binary       string    `json:"binary"`
}

// A Table is one that is restored. Fresh is an SQL condition that rows put there
// by a migration fulfil; empty: a migration puts none there.
type Table struct {
	Name, Fresh string
}

// Progress is how far a backup or a restore has got.
type Progress struct {
	Table  string // the one at hand
	Tables int    // begun so far
	Rows   int64
	Bytes  int64 // of lines, before they are compressed
}

// noteEvery is how many rows go by between two reports of progress.
const noteEvery = 1000

// ErrBroken is a backup that is not what was written: cut short, changed, or
// written by somebody without the key.
var ErrBroken = errors.New("the backup is broken")

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrBroken}, args...)...)
}

// A control line stands between the rows.
type control struct {
	Table   string   `json:"table,omitempty"`
	Columns []column `json:"columns,omitempty"`

	Rows int64  `json:"rows,omitempty"` // of all tables; only the last line has these
	HMAC []byte `json:"hmac,omitempty"`
}

// A column is one of a table. Kind is one of text, integer, bytes and boolean.
type column struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
}

// kinds are what the columns of our schemas are declared as, as each database
// spells it.
var kinds = map[string]string{
	"TEXT": "text", "text": "text",
	"BIGINT": "integer", "bigint": "integer", "INTEGER": "integer", "integer": "integer", "SMALLINT": "integer", "smallint": "integer",
	"BYTEA": "bytes", "bytea": "bytes", "BLOB": "bytes",
	"BOOLEAN": "boolean", "boolean": "boolean",
}

// columns reads the columns of a table, in the order of their names.
func columns(ctx context.Context, tx *sql.Tx, postgres bool, table string) ([]column, error) {
	query := `SELECT name, type FROM pragma_table_info($1)`
	if postgres {
		query = `SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1`
	}
	rows, err := tx.QueryContext(ctx, query, table)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []column
	for rows.Next() {
		var name, declared string
		if err := rows.Scan(&name, &declared); err != nil {
			return nil, err
		}
		kind, ok := kinds[declared]
		if !ok {
			return nil, fmt.Errorf("table %s: column %s is declared as %s, which cannot be backed up", table, name, declared)
		}
		all = append(all, column{name, kind})
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there is no table %s", table)
	}
	slices.SortFunc(all, func(a, b column) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// quoted are the names of columns as a list in SQL.
func quoted(all []column) string {
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = `"` + c.Name + `"`
	}
	return strings.Join(names, ", ")
}

// patient takes away the time limits that a pool gives its statements: reading
// or writing all there is takes as long as it takes.
func patient(ctx context.Context, tx *sql.Tx, postgres bool) error {
	if !postgres {
		return nil
	}
	for _, limit := range []string{"statement_timeout", "idle_in_transaction_session_timeout"} {
		if _, err := tx.ExecContext(ctx, `SET LOCAL `+limit+` = 0`); err != nil {
			return err
		}
	}
	return nil
}

// seal is the HMAC at the end of a backup.
func seal(secret, sum []byte) ([]byte, error) {
	if len(secret) < 32 {
		return nil, fmt.Errorf("backup key: want 32 bytes or more, have %d", len(secret))
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "domicile backup", sha256.Size)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(sum)
	return mac.Sum(nil), nil
}
