package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
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
			"expand": expand,
			"asks":   asks,
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
