package servertest

import (
	"bufio"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPostgresGivesFreshDatabases(t *testing.T) {
	for range 2 {
		db, err := sql.Open("pgx", Postgres(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		if _, err := db.Exec("CREATE TABLE t (x TEXT)"); err != nil {
			t.Errorf("a second database is not empty: %v", err)
		}
	}
}

func TestPostgresCopiesWhatWasFilledIn(t *testing.T) {
	fills, key := 0, t.TempDir() // another one each time, also with -count
	fill := func(url string) error {
		fills++
		db, err := sql.Open("pgx", url)
		if err != nil {
			return err
		}
		_, err = db.Exec("CREATE TABLE t (x TEXT)")
		return errors.Join(err, db.Close())
	}
	for range 2 {
		db, err := sql.Open("pgx", PostgresWith(t, key, fill))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		var n int
		if err := db.QueryRow("SELECT COUNT(*) FROM t").Scan(&n); err != nil || n != 0 {
			t.Errorf("%d rows of another test: %v", n, err)
		}
		if _, err := db.Exec("INSERT INTO t VALUES ('mine')"); err != nil {
			t.Error(err)
		}
	}
	if fills != 1 {
		t.Errorf("filled %d times", fills)
	}
}

func TestRedisAnswers(t *testing.T) {
	c, err := net.Dial("tcp", Redis(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "PING\r\n")
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || line != "+PONG\r\n" {
		t.Errorf("PING: %q, %v", line, err)
	}
}

// TestServersDieWithUs kills a test process without warning and waits for its
// server and its folder to be gone.
func TestServersDieWithUs(t *testing.T) {
	if os.Getenv("SERVERTEST_VICTIM") != "" {
		fmt.Println("ADDR", Redis(t))
		select {}
	}
	Redis(t) // skips here when there is none
	temp := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestServersDieWithUs$", "-test.v")
	cmd.Env = append(os.Environ(), "SERVERTEST_VICTIM=1", "TMPDIR="+temp)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var addr string
	for lines := bufio.NewScanner(out); addr == "" && lines.Scan(); {
		addr, _ = strings.CutPrefix(lines.Text(), "ADDR ")
		if addr == lines.Text() {
			addr = ""
		}
	}
	// What was connected to it ends with it. Its port may be somebody else's by
	// the time one asks again.
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("the victim's server %q: %v", addr, err)
	}
	defer conn.Close()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()

	deadline := time.Now().Add(patience)
	if err := conn.SetReadDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after %v the server on %s is still there", patience, addr)
	}
	for {
		left, _ := filepath.Glob(filepath.Join(temp, "*"))
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v the folders %q are still there", patience, left)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// told records how absent ended a test.
type told struct {
	testing.TB
	fatal, skip bool
}

func (t *told) Helper()               {}
func (t *told) Fatalf(string, ...any) { t.fatal = true }
func (t *told) Skipf(string, ...any)  { t.skip = true }

func TestAbsentFailsInCIOnly(t *testing.T) {
	for _, c := range []struct{ ci, want string }{{"true", "fatal"}, {"", "skip"}} {
		t.Setenv("CI", c.ci)
		var got told
		absent(&got, "a server")
		if got.fatal != (c.want == "fatal") || c.want == "skip" && !got.skip {
			t.Errorf("with CI=%q: %+v, want %s", c.ci, got, c.want)
		}
	}
}
