package servertest

import (
	"bufio"
	"database/sql"
	"fmt"
	"net"
	"testing"
	"time"
)

func open(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// TestPostgresPair: the replica has what the primary was told, answers while the
// primary is dead, and catches up with what it missed while it was dead itself.
func TestPostgresPair(t *testing.T) {
	primary, replica := PostgresPair(t)
	write, read := open(t, primary.URL), open(t, replica.URL)
	if _, err := write.Exec("CREATE TABLE t (x BIGINT)"); err != nil {
		t.Fatal(err)
	}
	put := func(x int) {
		t.Helper()
		if _, err := write.Exec("INSERT INTO t VALUES ($1)", x); err != nil {
			t.Fatal(err)
		}
	}
	await := func(want int) {
		t.Helper()
		deadline := time.After(patience)
		for {
			var n int
			err := read.QueryRow("SELECT count(*) FROM t").Scan(&n)
			if err == nil && n == want {
				return
			}
			select {
			case <-deadline:
				t.Fatalf("the replica has %d rows (%v), want %d", n, err, want)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	put(1)
	await(1)

	replica.Kill()
	put(2)
	replica.Start()
	await(2)

	primary.Kill()
	await(2)
	if _, err := read.Exec("INSERT INTO t VALUES (3)"); err == nil {
		t.Error("the replica takes writes")
	}
	if err := write.Ping(); err == nil {
		t.Error("a killed primary answers")
	}
	primary.Start()
	put(3)
	await(3)
}

// TestControlledRedis: on the same port, and empty.
func TestControlledRedis(t *testing.T) {
	s := ControlledRedis(t)
	ask := func(question string) string {
		t.Helper()
		c, err := net.Dial("tcp", s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "%s\r\n", question)
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
	if got := ask("SET a b"); got != "+OK\r\n" {
		t.Fatalf("SET: %q", got)
	}
	s.Kill()
	if c, err := net.Dial("tcp", s.Addr); err == nil {
		c.Close()
		t.Error("a killed Redis takes connections")
	}
	s.Start()
	if got := ask("EXISTS a"); got != ":0\r\n" {
		t.Errorf("after a restart: %q", got)
	}
}
