package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/domicile-sso/domicile/config/sqldb"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"domicile": main})
}

// TestScript plays sessions that an operator could type.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup:               ports,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"until":  until,
			"says":   says,
			"expand": expand,
			"asks":   asks,
			"visit":  visit,
			"sql":    onDatabase,
		},
	})
}

// ports names free ports, for servers that have to know of each other.
func ports(env *testscript.Env) error {
	for _, name := range []string{"FRONT", "CLAIMS", "EU"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		env.Setenv(name, port)
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}

// until FILE TEXT waits until a file has a text, such as a log of a server that
// runs in the background.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: until file text")
	}
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		text, _ := os.ReadFile(ts.MkAbs(args[0]))
		if strings.Contains(string(text), args[1]) {
			return
		}
		select {
		case <-deadline:
			ts.Fatalf("%s never had %q:\n%s", args[0], args[1], text)
		case <-tick.C:
		}
	}
}

// says TEXT COMMAND… repeats a command of ours until it prints a text.
func says(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: says text command...")
	}
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ts.Exec(args[1], args[2:]...)
		if out := ts.ReadFile("stdout"); err == nil && strings.Contains(out, args[0]) {
			return
		}
		select {
		case <-deadline:
			ts.Fatalf("it never said %q: %v", args[0], err)
		case <-tick.C:
		}
	}
}

// asks PORT ADDRESS TEXT asks the front door where an address leads until the
// answer has a text.
func asks(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: asks port address text")
	}
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		answer := ""
		res, err := http.Post("http://localhost:"+args[0]+"/v1/discover", "application/json", strings.NewReader(`{"email":"`+args[1]+`"}`))
		if err == nil {
			body, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			answer = string(body)
		}
		if strings.Contains(answer, args[2]) {
			return
		}
		select {
		case <-deadline:
			ts.Fatalf("the front door never said %q: %s %v", args[2], answer, err)
		case <-tick.C:
		}
	}
}

var anyReference = regexp.MustCompile(`\b[A-Z2-7]{4}-[A-Z2-7]{4}\b`)

// visit PORT HOST PATH asks a portal for a page that refuses, and keeps the
// reference on it as $REFERENCE.
func visit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: visit port host path")
	}
	r, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+args[0]+args[2], nil)
	ts.Check(err)
	r.Host = args[1] + ":" + args[0]
	res, err := http.DefaultClient.Do(r)
	ts.Check(err)
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	ts.Check(err)
	reference := anyReference.FindString(string(body))
	if reference == "" {
		ts.Fatalf("%s: no reference on the page: %s", res.Status, body)
	}
	ts.Setenv("REFERENCE", reference)
}

// sql FILE STATEMENT does to a database what somebody with its password could.
func onDatabase(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sql file statement")
	}
	db, err := sqldb.Open(context.Background(), "sqlite:"+ts.MkAbs(args[0]))
	ts.Check(err)
	defer func() { _ = db.Close() }()
	_, err = db.Exec(args[1])
	ts.Check(err)
}

// expand FILE… replaces $NAME by variables and @FILE@ by what a file holds.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: expand file...")
	}
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		parts := strings.Split(text, "@@")
		for i := 1; i < len(parts); i += 2 {
			parts[i] = lastLine(ts.ReadFile(parts[i]))
		}
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(strings.Join(parts, "")), 0o600))
	}
}

// lastLine is the key in a key file, below its remarks.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
