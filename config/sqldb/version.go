package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/stdlib"
)

// Version is the number of the newest of migrations, at which db must be
// exactly: else the error is a [*VersionError].
func Version(ctx context.Context, db *sql.DB, migrations fs.FS) (int64, error) {
	if err := Check(ctx, db, migrations); err != nil {
		return 0, err
	}
	p, err := provider(db, migrations)
	if err != nil {
		return 0, fmt.Errorf("read the database's version: %w", err)
	}
	v, err := p.GetDBVersion(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the database's version: %w", err)
	}
	return v, nil
}

// OnPostgres reports which of the two db is, for what they have no common words
// for.
func OnPostgres(db *sql.DB) bool {
	_, ok := db.Driver().(*stdlib.Driver)
	return ok
}
