package servertest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// A cluster is a PostgreSQL server with databases by the dozen.
type cluster struct {
	addr string
	db   *sql.DB // on the database "postgres", to create others
	made atomic.Int64
}

func (c *cluster) url(database string) string {
	return fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", c.addr, database)
}

var errNoPostgres = errors.New("PostgreSQL is not installed")

// shared is the one cluster of this test process. It is a variable because
// nothing but the process itself knows when its last test is over; the watching
// shell removes the cluster then.
var shared = sync.OnceValues(newCluster)

// Postgres returns the URL of a fresh, empty database in a throwaway cluster,
// which the tests of one process share. The database is dropped when t ends.
func Postgres(t testing.TB) string {
	t.Helper()
	c, err := shared()
	switch {
	case errors.Is(err, errNoPostgres):
		absent(t, err.Error())
	case err != nil:
		t.Fatalf("servertest: starting PostgreSQL: %v", err)
	}
	name := "test" + strconv.FormatInt(c.made.Add(1), 10)
	if _, err := c.db.Exec("CREATE DATABASE " + name + " TEMPLATE template0"); err != nil {
		t.Fatalf("servertest: creating a database: %v", err)
	}
	t.Cleanup(func() {
		// FORCE: a test that failed may have left connections open.
		if _, err := c.db.Exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Errorf("servertest: dropping a database: %v", err)
		}
	})
	return c.url(name)
}

func newCluster() (*cluster, error) {
	initdb, ok := find("initdb", "/usr/lib/postgresql/*/bin/initdb", "/usr/local/opt/postgresql*/bin/initdb")
	if !ok {
		return nil, errNoPostgres
	}
	// Both programs must be of one version, so the server is initdb's neighbour
	// and not whatever PATH has.
	if real, err := filepath.EvalSymlinks(initdb); err == nil {
		initdb = real
	}
	server := filepath.Join(filepath.Dir(initdb), "postgres")
	if _, err := os.Stat(server); err != nil {
		return nil, fmt.Errorf("%w: initdb is there, its server is not", errNoPostgres)
	}
	as, err := unprivileged() // PostgreSQL refuses to run as root
	if err != nil {
		return nil, err
	}
	dir, err := folder("postgres", as)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	cmd := exec.Command(initdb, "--pgdata", data, "--username", "postgres", "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	if out, err := cmd.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	c := new(cluster)
	err = onFreePort(func(port int) error {
		if c.db != nil {
			c.db.Close()
		}
		c.addr = loopback(port)
		p, err := start(dir, "QUIT", as, nil, server, "-D", data, "-h", "127.0.0.1", "-p", strconv.Itoa(port),
			"-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "synchronous_commit=off",
			"-c", "full_page_writes=off", "-c", "max_connections=200", "-c", "shared_buffers=32MB",
			"-c", "autovacuum=off", "-c", "max_wal_size=64MB", "-c", "min_wal_size=32MB")
		if err != nil {
			return err
		}
		if c.db, err = sql.Open("pgx", c.url("postgres")); err != nil {
			return err
		}
		// Two tests that create databases at once only wait for one another.
		c.db.SetMaxOpenConns(1)
		return p.ready(func(ctx context.Context) error { return c.db.PingContext(ctx) })
	})
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return c, nil
}
