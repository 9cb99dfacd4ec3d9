package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// A VersionError is a schema that this binary cannot work with.
type VersionError struct {
	Have, Want int64
}

func (e *VersionError) Error() string {
	if e.Have < e.Want {
		return fmt.Sprintf("the database is at version %d and this binary needs %d: run domicile migrate up", e.Have, e.Want)
	}
	return fmt.Sprintf("the database is at version %d, ahead of the %d this binary knows: run a newer binary", e.Have, e.Want)
}

// Migrate brings db forward to the newest of migrations, which holds
// 0001_name.sql and so on at its root. Servers that start together take turns
// on Postgres. Migrating a database that is ahead is a [*VersionError]: there
// is no way back.
func Migrate(ctx context.Context, db *sql.DB, migrations fs.FS) error {
	p, err := provider(db, migrations)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if have > want {
		return &VersionError{have, want}
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// Check returns a [*VersionError] when db is not exactly at the newest of
// migrations.
func Check(ctx context.Context, db *sql.DB, migrations fs.FS) error {
	have, want, err := Versions(ctx, db, migrations)
	if err == nil && have != want {
		return &VersionError{have, want}
	}
	return err
}

// Versions returns the version that db is at, 0 when it is empty, and the newest
// of migrations. The database of another role is an error.
func Versions(ctx context.Context, db *sql.DB, migrations fs.FS) (have, want int64, err error) {
	p, err := provider(db, migrations)
	if err == nil {
		have, want, err = p.GetVersions(ctx)
	}
	if err == nil && have > 0 && have <= want {
		err = ours(ctx, db, migrations)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("check the database's version: %w", err)
	}
	return have, want, nil
}

// provider is goose without its package-level state: no registry, no logger.
func provider(db *sql.DB, migrations fs.FS) (*goose.Provider, error) {
	opts := []goose.ProviderOption{
		goose.WithDisableGlobalRegistry(true),
		goose.WithSlog(slog.New(slog.DiscardHandler)),
		goose.WithTableName("schema_version"),
	}
	dialect := goose.DialectSQLite3
	if _, ok := db.Driver().(*stdlib.Driver); ok {
		dialect = goose.DialectPostgres
		turns, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60), lock.WithUnlockTimeout(1, 60))
		if err != nil {
			return nil, err
		}
		opts = append(opts, goose.WithSessionLocker(turns))
	}
	return goose.NewProvider(dialect, db, migrations, opts...)
}
