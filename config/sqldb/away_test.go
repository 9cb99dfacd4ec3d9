package sqldb_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/config/sqldb"
	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
)

// TestAway: what is worth waiting for, and what an operator has to mend.
func TestAway(t *testing.T) {
	for code, want := range map[string]bool{
		"08006": true, "25006": true, "40001": true, "53300": true, "55P03": true, "57P01": true, "57P03": true, "57014": true, "58030": true, "XX001": true,
		"28000": false, "28P01": false, "3D000": false, "42501": false, "42P01": false, "22023": false, "0A000": false,
	} {
		if got := sqldb.Away(errors.Join(errors.New("on the way"), &pgconn.PgError{Code: code})); got != want {
			t.Errorf("%s: away is %v", code, got)
		}
	}
	for _, err := range []error{context.DeadlineExceeded, io.ErrUnexpectedEOF, os.ErrNotExist, &net.OpError{Op: "dial", Err: errors.New("refused")}} {
		if !sqldb.Away(err) {
			t.Errorf("%v is an answer", err)
		}
	}
	if sqldb.Away(nil) || sqldb.Away(&sqldb.VersionError{Have: 1, Want: 2}) {
		t.Error("an answer is taken for none")
	}
}

// TestOpenLazy: what is asked of a database that is not there, or not ours.
func TestOpenLazy(t *testing.T) {
	real, err := url.Parse(servertest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	other := *real
	other.Path = "/no_such_database"
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = refusing.Close()
	damaged := filepath.Join(t.TempDir(), "damaged.db")
	if err := os.WriteFile(damaged, make([]byte, 8192), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		location string
		away     bool
	}{
		"nobody listens":   {"postgres://u:hidden@" + refusing.Addr().String() + "/x", true},
		"nobody answers":   {"postgres://u:hidden@" + silent.Addr().String() + "/x", true},
		"no such database": {other.String(), false},
		"no such folder":   {"sqlite:" + filepath.Join(t.TempDir(), "missing", "x.db"), true},
		"damaged":          {"sqlite:" + damaged, true},
		"empty":            {"sqlite:" + filepath.Join(t.TempDir(), "x.db"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := sqldb.Options{}.OpenLazy(c.location)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := sqldb.Check(ctx, db, migrations(1)); err == nil || sqldb.Away(err) != c.away {
				t.Errorf("away is %v for: %v", !c.away, err)
			}
		})
	}
	for _, location := range []string{"", "mysql://x", "sqlite:", "postgres://u:hidden@127.0.0.1:port/x"} {
		if db, err := (sqldb.Options{}).OpenLazy(location); err == nil {
			_ = db.Close()
			t.Errorf("%q was opened", location)
		}
	}
}

// TestMountedLater: a lazily opened SQLite database is used once its folder is there.
func TestMountedLater(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mount")
	db, err := sqldb.Options{}.OpenLazy("sqlite:" + filepath.Join(dir, "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := sqldb.Check(t.Context(), db, migrations(1)); !sqldb.Away(err) {
		t.Fatalf("without its folder: %v", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	there, err := sqldb.Open(t.Context(), "sqlite:"+filepath.Join(dir, "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = there.Close() }()
	if err := sqldb.Migrate(t.Context(), there, migrations(1)); err != nil {
		t.Fatal(err)
	}
	if err := sqldb.Check(t.Context(), db, migrations(1)); err != nil {
		t.Error(err)
	}
}

// TestWritable: a server that has become a copy answers reads and takes no change.
func TestWritable(t *testing.T) {
	none := fstest.MapFS{"0001_none.sql": {Data: []byte("-- +goose Up\nSELECT 1;\n")}}
	sqltest.Each(t, none, func(t *testing.T, db *sql.DB) {
		if err := sqldb.Writable(t.Context(), db); err != nil {
			t.Error(err)
		}
	})
	location := servertest.Postgres(t)
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery += "&default_transaction_read_only=on"
	db, err := sqldb.Open(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := sqldb.Writable(t.Context(), db); err == nil {
		t.Error("a read-only database is said to take changes")
	}
}
