// Package sqltest runs a store's tests on both databases, because each is
// stricter than the other somewhere.
package sqltest

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/config/sqldb"
)

// Each calls f in a subtest "sqlite" and a subtest "postgres", with an empty
// database that migrations were applied to. It is closed and gone afterwards.
func Each(t *testing.T, migrations fs.FS, f func(t *testing.T, db *sql.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		f(t, SQLite(t, migrations))
	})
	t.Run("postgres", func(t *testing.T) {
		f(t, Postgres(t, migrations))
	})
}

// SQLite is a migrated database in a file of its own, for tests where one
// database is enough.
func SQLite(t testing.TB, migrations fs.FS) *sql.DB {
	t.Helper()
	db := open(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db"))
	if err := sqldb.Migrate(t.Context(), db, migrations); err != nil {
		t.Fatal(err)
	}
	return db
}

// Postgres is a migrated database in a throwaway cluster: a copy of one that was
// migrated once, because a hundred tests need it.
func Postgres(t testing.TB, migrations fs.FS) *sql.DB {
	t.Helper()
	location := servertest.PostgresWith(t, digest(t, migrations), func(location string) error {
		db, err := sqldb.Open(t.Context(), location)
		if err != nil {
			return err
		}
		return errors.Join(sqldb.Migrate(t.Context(), db, migrations), db.Close())
	})
	return open(t, location)
}

// digest tells one schema from another.
func digest(t testing.TB, migrations fs.FS) string {
	t.Helper()
	h := sha256.New()
	err := fs.WalkDir(migrations, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := fs.ReadFile(migrations, path)
		fmt.Fprintf(h, "%q %q\n", path, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Tables are the tables that migrations make, by name.
func Tables(t testing.TB, migrations fs.FS) []string {
	t.Helper()
	rows, err := SQLite(t, migrations).Query(`SELECT name FROM sqlite_master
		WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'schema_version' ORDER BY name`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return names
}

func open(t testing.TB, location string) *sql.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), location)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close the test database: %v", err)
		}
	})
	return db
}
