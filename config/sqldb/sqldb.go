// Package sqldb opens the two databases Domicile runs on and keeps their
// schemas in step with the binary: SQLite, embedded and the default, and
// PostgreSQL.
//
// Both are reached through database/sql and spoken to with one SQL text ($1
// parameters, TEXT, BIGINT, BYTEA, BOOLEAN), so a store never asks which one
// it has.
package sqldb

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Pool sizes. SQLite has one writer whatever we do; its connections serve
// readers beside it. Postgres counts connections of all our processes against
// one limit, commonly 100.
const (
	sqliteConns   = 8
	postgresConns = 16
)

// Options say how a database is used. The zero value is right for a server. They
// are about Postgres; SQLite has no need of them.
type Options struct {
	Connections int  // at most at once; 0: 16
	Replica     bool // reads are all that is wanted: any server will do
	Unhurried   bool // for a command that reads or writes everything: no time limits
}

// Open opens the database at location, "sqlite:/path/file.db" or
// "postgres://user:password@host/name", and makes sure that it answers. An
// error never repeats the location's password.
//
// A postgres: location may name several hosts, as libpq's may. Then the one that
// takes writes is used, unless the location or o.Replica says otherwise.
func Open(ctx context.Context, location string) (*sql.DB, error) {
	return Options{}.Open(ctx, location)
}

// Open is [Open] with these options.
func (o Options) Open(ctx context.Context, location string) (*sql.DB, error) {
	db, err := o.OpenLazy(location)
	if err != nil {
		return nil, err
	}
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		if path, ok := strings.CutPrefix(location, "sqlite:"); ok {
			err = cmp.Or(touch(path), err) // names the file
		}
		return nil, fmt.Errorf("open database: %w", err)
	}
	return db, nil
}

// OpenLazy is Open for whoever can do without the database: it is asked nothing
// yet, and may be away. Only a location that names none is an error.
func (o Options) OpenLazy(location string) (*sql.DB, error) {
	scheme, rest, _ := strings.Cut(location, ":")
	switch scheme {
	case "sqlite":
		return openSQLite(rest)
	case "postgres", "postgresql":
		return o.openPostgres(location)
	}
	return nil, errors.New(`a database URL starts with "sqlite:" or "postgres:"`)
}

func openSQLite(path string) (*sql.DB, error) {
	if path == "" || strings.ContainsAny(path, "?#\x00") {
		return nil, errors.New(`a SQLite database is "sqlite:" and the path of a file, without ? or #`)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	_ = touch(path) // where it fails so does the first question, since mode=rw makes no file
	// In the DSN rather than by Exec, because it must hold for each connection
	// of the pool. With immediate transactions a writer queues at BEGIN instead
	// of failing half-way with SQLITE_BUSY, which no timeout mends.
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: url.Values{
		"mode":    {"rw"},
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "foreign_keys(1)", "synchronous(FULL)"},
		"_txlock": {"immediate"},
	}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db.SetMaxOpenConns(sqliteConns)
	db.SetMaxIdleConns(sqliteConns)
	return db, nil
}

// touch makes the file, which SQLite would make readable by all; the -wal and
// -shm files beside it take over its mode.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}
