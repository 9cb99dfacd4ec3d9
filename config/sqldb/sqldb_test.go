package sqldb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/domicile-sso/domicile/config/sqldb"
	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
)

func migrations(n int) fstest.MapFS {
	all := fstest.MapFS{
		"0001_first.sql": {Data: []byte(`-- +goose Up
CREATE TABLE thing (id TEXT PRIMARY KEY, n BIGINT NOT NULL, raw BYTEA, live BOOLEAN NOT NULL);
CREATE TABLE part (thing TEXT NOT NULL REFERENCES thing (id));
CREATE UNIQUE INDEX thing_live ON thing (n) WHERE live;
`)},
		"0002_second.sql": {Data: []byte("-- +goose Up\nALTER TABLE thing ADD COLUMN note TEXT NOT NULL DEFAULT '';\n")},
	}
	if n < 2 {
		delete(all, "0002_second.sql")
	}
	return all
}

func TestOneText(t *testing.T) {
	sqltest.Each(t, migrations(2), func(t *testing.T, db *sql.DB) {
		ctx := t.Context()
		const put = `INSERT INTO thing (id, n, raw, live) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`
		for i, want := range []int64{1, 0} {
			r, err := db.ExecContext(ctx, put, "a", int64(1)<<60, []byte{0, 0xff, '1'}, true)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := r.RowsAffected(); got != want {
				t.Errorf("insert %d changed %d rows, want %d", i, got, want)
			}
		}
		// $2 before $1: parameters are numbered, not counted.
		var n int64
		var raw []byte
		var live bool
		err := db.QueryRowContext(ctx, `UPDATE thing SET note = $2 WHERE id = $1 RETURNING n, raw, live`, "a", "x").Scan(&n, &raw, &live)
		if err != nil {
			t.Fatal(err)
		}
		if n != int64(1)<<60 || string(raw) != "\x00\xff1" || !live {
			t.Errorf("read back %d %q %v", n, raw, live)
		}
		if _, err := db.ExecContext(ctx, `INSERT INTO part (thing) VALUES ('nobody')`); err == nil {
			t.Error("a foreign key to nothing was accepted")
		}
	})
}

func TestWritersQueue(t *testing.T) {
	sqltest.Each(t, migrations(2), func(t *testing.T, db *sql.DB) {
		ctx := t.Context()
		if _, err := db.ExecContext(ctx, `INSERT INTO thing (id, n, live) VALUES ('a', 0, false)`); err != nil {
			t.Fatal(err)
		}
		errs := make(chan error, 50)
		var wg sync.WaitGroup
		for range cap(errs) {
			wg.Go(func() { errs <- bump(ctx, db) })
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
		var n int
		if err := db.QueryRowContext(ctx, `SELECT n FROM thing`).Scan(&n); err != nil || n != cap(errs) {
			t.Errorf("n = %d, %v; want %d", n, err, cap(errs))
		}
	})
}

func bump(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	var n int
	if err := tx.QueryRowContext(ctx, `UPDATE thing SET n = n + 1 RETURNING n`).Scan(&n); err != nil {
		return err
	}
	return tx.Commit()
}

func TestVersions(t *testing.T) {
	sqltest.Each(t, migrations(1), func(t *testing.T, db *sql.DB) {
		ctx := t.Context()
		var v *sqldb.VersionError
		if err := sqldb.Check(ctx, db, migrations(2)); !errors.As(err, &v) || v.Have != 1 || v.Want != 2 {
			t.Errorf("behind: %v", err)
		}
		for range 2 { // the second time there is nothing to do
			if err := sqldb.Migrate(ctx, db, migrations(2)); err != nil {
				t.Fatal(err)
			}
		}
		if err := sqldb.Check(ctx, db, migrations(2)); err != nil {
			t.Error(err)
		}
		if err := sqldb.Check(ctx, db, migrations(1)); !errors.As(err, &v) || v.Have != 2 || v.Want != 1 {
			t.Errorf("ahead: %v", err)
		}
		if err := sqldb.Migrate(ctx, db, migrations(1)); !errors.As(err, &v) {
			t.Errorf("migrate a database that is ahead: %v", err)
		}
	})
}

// Both roles count their schema from 1, so the number alone does not tell whose a
// database is.
func TestAnothersDatabase(t *testing.T) {
	theirs := fstest.MapFS{"0001_theirs.sql": {Data: []byte("-- +goose Up\nCREATE TABLE thing (id TEXT);\n")}}
	sqltest.Each(t, theirs, func(t *testing.T, db *sql.DB) {
		for n := range 2 {
			err := sqldb.Check(t.Context(), db, migrations(n+1))
			if err == nil || !strings.Contains(err.Error(), "the other role's") || sqldb.Away(err) {
				t.Errorf("%d migrations: %v", n+1, err)
			}
		}
		if err := sqldb.Check(t.Context(), db, theirs); err != nil {
			t.Error(err)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	for _, location := range []string{
		"", "mysql://x", "sqlite:", "sqlite:/x?mode=memory", "/just/a/path",
		"sqlite:" + filepath.Join(t.TempDir(), "missing", "x.db"),
		"postgres://u:hidden@127.0.0.1:1/x",
		"postgres://u:hidden@127.0.0.1:1/x?default_query_exec_mode=simple_protocol",
		"postgres://u:hidden@127.0.0.1:port/x",
	} {
		db, err := sqldb.Open(t.Context(), location)
		if err == nil {
			_ = db.Close()
			t.Errorf("%q was opened", location)
			continue
		}
		if strings.Contains(fmt.Sprint(err), "hidden") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func TestSQLiteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd %41 name ü.db")
	db, err := sqldb.Open(t.Context(), "sqlite:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := sqldb.Migrate(t.Context(), db, migrations(2)); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal"} {
		fi, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", suffix, fi.Mode())
		}
	}
}
