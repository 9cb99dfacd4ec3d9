package servertest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

// A PostgresServer is one PostgreSQL with a database for the test, of its own
// process, which may be killed.
type PostgresServer struct {
	*Control
	Addr string
	URL  string // of the database
}

// PostgresPair starts a primary and a replica that streams from it and answers
// reads. The primary keeps what the replica has not got yet for as long as that
// is away.
func PostgresPair(t testing.TB) (primary, replica *PostgresServer) {
	t.Helper()
	pg, err := findPostgres()
	if err != nil {
		absent(t, err.Error())
	}
	// What was answered for must survive the kill, so unlike elsewhere commits
	// wait for the log to be written out of the process.
	primary, err = pg.launch(t, "the primary", pg.initialise)
	if err == nil {
		err = primary.create()
	}
	if err != nil {
		t.Fatalf("servertest: starting a primary: %v", err)
	}
	host, port := "127.0.0.1", primary.Addr[len("127.0.0.1:"):]
	replica, err = pg.launch(t, "the replica", func(dir string) error {
		// A second attempt, on another port, finds the slot of the first.
		slot := "replica" + strconv.FormatInt(time.Now().UnixNano(), 36)
		return pg.run(dir, "pg_basebackup", "--host", host, "--port", port, "--username", "postgres", "--pgdata", data(dir),
			"--write-recovery-conf", "--create-slot", "--slot", slot, "--wal-method", "stream", "--checkpoint", "fast", "--no-sync")
	})
	if err != nil {
		t.Fatalf("servertest: starting a replica: %v", err)
	}
	return primary, replica
}

// launch fills a folder and starts a server on it.
func (pg postgres) launch(t testing.TB, name string, fill func(dir string) error) (*PostgresServer, error) {
	t.Helper()
	s := new(PostgresServer)
	err := onFreePort(func(port int) error {
		dir, err := folder("postgres", pg.who)
		if err != nil {
			return err
		}
		if err := fill(dir); err != nil {
			os.RemoveAll(dir)
			return err
		}
		s.Addr = loopback(port)
		s.URL = fmt.Sprintf("postgres://postgres@%s/directory?sslmode=disable", s.Addr)
		s.Control, err = control(t, name, dir, command{
			argv: append(pg.server(dir, port), "-c", "synchronous_commit=local"), stop: "QUIT", who: pg.who, probe: s.answers,
		})
		return err
	})
	return s, err
}

// on does something with the database that every cluster has.
func (s *PostgresServer) on(ctx context.Context, do func(context.Context, *sql.DB) error) error {
	db, err := sql.Open("pgx", fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable&connect_timeout=2", s.Addr))
	if err != nil {
		return err
	}
	defer db.Close()
	return do(ctx, db)
}

func (s *PostgresServer) answers(ctx context.Context) error {
	return s.on(ctx, func(ctx context.Context, db *sql.DB) error { return db.PingContext(ctx) })
}

func (s *PostgresServer) create() error {
	return s.on(context.Background(), func(ctx context.Context, db *sql.DB) error {
		_, err := db.ExecContext(ctx, "CREATE DATABASE directory TEMPLATE template0")
		return err
	})
}
