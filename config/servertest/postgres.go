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

	filling sync.Mutex
	filled  map[string]string // templates, by what they are filled with
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
	return theCluster(t).database(t, "template0")
}

// PostgresWith is Postgres with what fill puts into a database. For each key it is
// called once in a process, and must have closed its connections; every test gets
// a copy.
func PostgresWith(t testing.TB, key string, fill func(url string) error) string {
	t.Helper()
	c := theCluster(t)
	return c.database(t, c.template(t, key, fill))
}

func theCluster(t testing.TB) *cluster {
	t.Helper()
	c, err := shared()
	switch {
	case errors.Is(err, errNoPostgres):
		absent(t, err.Error())
	case err != nil:
		t.Fatalf("servertest: starting PostgreSQL: %v", err)
	}
	return c
}

// template is the database that fill has filled. It lives as long as the cluster.
func (c *cluster) template(t testing.TB, key string, fill func(url string) error) string {
	t.Helper()
	c.filling.Lock()
	defer c.filling.Unlock()
	if name := c.filled[key]; name != "" {
		return name
	}
	name := c.create(t, "template0")
	if err := fill(c.url(name)); err != nil {
		t.Fatalf("servertest: filling a database: %v", err)
	}
	if c.filled == nil {
		c.filled = map[string]string{}
	}
	c.filled[key] = name
	return name
}

func (c *cluster) create(t testing.TB, template string) (name string) {
	t.Helper()
	name = "test" + strconv.FormatInt(c.made.Add(1), 10)
	if _, err := c.db.Exec("CREATE DATABASE " + name + " TEMPLATE " + template); err != nil {
		t.Fatalf("servertest: creating a database: %v", err)
	}
	return name
}

// database is a copy of a template, which is dropped when t ends.
func (c *cluster) database(t testing.TB, template string) (url string) {
	t.Helper()
	name := c.create(t, template)
	t.Cleanup(func() {
		// FORCE: a test that failed may have left connections open.
		if _, err := c.db.Exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Errorf("servertest: dropping a database: %v", err)
		}
	})
	return c.url(name)
}

func newCluster() (*cluster, error) {
	pg, err := findPostgres()
	if err != nil {
		return nil, err
	}
	dir, err := folder("postgres", pg.who)
	if err != nil {
		return nil, err
	}
	if err := pg.initialise(dir); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	c := new(cluster)
	err = onFreePort(func(port int) error {
		if c.db != nil {
			c.db.Close()
		}
		c.addr = loopback(port)
		p, err := start(dir, "QUIT", pg.who, nil, pg.server(dir, port)...)
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

// postgres is PostgreSQL as it is installed: the folder of its programs, and
// whom it runs as, since it refuses to run as root.
type postgres struct {
	bin string
	who *syscall.Credential
}

func findPostgres() (postgres, error) {
	initdb, ok := find("initdb", "/usr/lib/postgresql/*/bin/initdb", "/usr/local/opt/postgresql*/bin/initdb")
	if !ok {
		return postgres{}, errNoPostgres
	}
	// All programs must be of one version, so the server is initdb's neighbour
	// and not whatever PATH has.
	if real, err := filepath.EvalSymlinks(initdb); err == nil {
		initdb = real
	}
	pg := postgres{bin: filepath.Dir(initdb)}
	if _, err := os.Stat(filepath.Join(pg.bin, "postgres")); err != nil {
		return postgres{}, fmt.Errorf("%w: initdb is there, its server is not", errNoPostgres)
	}
	var err error
	pg.who, err = unprivileged()
	return pg, err
}

// run runs one of the programs to its end.
func (pg postgres) run(dir, program string, args ...string) error {
	cmd := exec.Command(filepath.Join(pg.bin, program), args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: pg.who}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, out)
	}
	return nil
}

// data is where a server keeps everything, inside its folder.
func data(dir string) string { return filepath.Join(dir, "data") }

// initialise makes an empty cluster.
func (pg postgres) initialise(dir string) error {
	return pg.run(dir, "initdb", "--pgdata", data(dir), "--username", "postgres", "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
}

// server is the command line of a server on what is in dir.
func (pg postgres) server(dir string, port int) []string {
	return []string{filepath.Join(pg.bin, "postgres"), "-D", data(dir), "-h", "127.0.0.1", "-p", strconv.Itoa(port),
		"-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "synchronous_commit=off",
		"-c", "full_page_writes=off", "-c", "max_connections=200", "-c", "shared_buffers=32MB",
		"-c", "autovacuum=off", "-c", "max_wal_size=64MB", "-c", "min_wal_size=32MB"}
}
