// Package sqldb opens the two databases Domicile runs on and keeps their
// schemas in step with the binary: SQLite, embedded and the default, and
// PostgreSQL.
//
// Both are reached through database/sql and spoken to with one SQL text ($1
// parameters, TEXT, BIGINT, BYTEA, BOOLEAN), so a store never asks which one
// it has.
package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Pool sizes. SQLite has one writer whatever we do; its connections serve
// readers beside it. Postgres counts connections of all our processes against
// one limit, commonly 100.
const (
	sqliteConns   = 8
	postgresConns = 16
)

// Open opens the database at location, "sqlite:/path/file.db" or
// "postgres://user:password@host/name", and makes sure that it answers. An
// error never repeats the location's password.
func Open(ctx context.Context, location string) (*sql.DB, error) {
	scheme, rest, _ := strings.Cut(location, ":")
	switch scheme {
	case "sqlite":
		return openSQLite(ctx, rest)
	case "postgres", "postgresql":
		return openPostgres(ctx, location)
	}
	return nil, errors.New(`a database URL starts with "sqlite:" or "postgres:"`)
}

func openSQLite(ctx context.Context, path string) (*sql.DB, error) {
	if path == "" || strings.ContainsAny(path, "?#\x00") {
		return nil, errors.New(`a SQLite database is "sqlite:" and the path of a file, without ? or #`)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	// SQLite would make the file readable by all; the -wal and -shm files
	// beside it take over the mode of this one.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	// In the DSN rather than by Exec, because it must hold for each connection
	// of the pool. With immediate transactions a writer queues at BEGIN instead
	// of failing half-way with SQLITE_BUSY, which no timeout mends.
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: url.Values{
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "foreign_keys(1)", "synchronous(FULL)"},
		"_txlock": {"immediate"},
	}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db.SetMaxOpenConns(sqliteConns)
	db.SetMaxIdleConns(sqliteConns)
	return ping(ctx, db)
}

func openPostgres(ctx context.Context, location string) (*sql.DB, error) {
	c, err := pgx.ParseConfig(location)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err) // pgx leaves the password out
	}
	if c.DefaultQueryExecMode == pgx.QueryExecModeSimpleProtocol {
		// Quoting on the client's side is where CVE-2026-41889 lived.
		return nil, errors.New("open database: the simple protocol is not supported")
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "domicile"
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 5 * time.Second
	}
	db := stdlib.OpenDB(*c)
	db.SetMaxOpenConns(postgresConns)
	db.SetMaxIdleConns(postgresConns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	db.SetConnMaxLifetime(time.Hour) // follow a fail-over behind a DNS name
	return ping(ctx, db)
}

func ping(ctx context.Context, db *sql.DB) (*sql.DB, error) {
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("open database: %w", err)
	}
	return db, nil
}
