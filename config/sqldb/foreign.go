package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// errForeign is a database at the right version of something else: both roles
// count from 1.
var errForeign = errors.New("the database is the other role's, or not whole: name this role's own under database, or restore it")

var createTable = regexp.MustCompile(`(?m)^CREATE TABLE (\w+)`)

// ours reports whether db, which has been migrated, has the tables of the first of
// migrations. None of them may go in a later one.
func ours(ctx context.Context, db *sql.DB, migrations fs.FS) error {
	first, err := fs.Glob(migrations, "0001_*.sql")
	if err != nil || len(first) != 1 {
		return err
	}
	text, err := fs.ReadFile(migrations, first[0])
	if err != nil {
		return err
	}
	var ask []string
	for _, t := range createTable.FindAllSubmatch(text, -1) {
		ask = append(ask, "SELECT 1 FROM "+string(t[1])+" WHERE 1 = 0")
	}
	if len(ask) == 0 {
		return nil
	}
	rows, err := db.QueryContext(ctx, strings.Join(ask, " UNION ALL "))
	if err == nil {
		rows.Next()
		err = errors.Join(rows.Err(), rows.Close())
	}
	if err != nil && missing(err) {
		return fmt.Errorf("%w (%w)", errForeign, err)
	}
	return err
}

// missing reports whether err is about a table that is not there.
func missing(err error) bool {
	if p := (*pgconn.PgError)(nil); errors.As(err, &p) {
		return p.Code == "42P01"
	}
	return strings.Contains(err.Error(), "no such table")
}
