package main

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/regions/consul"
)

// TestConsulScript plays sessions of an operator, each with a real Consul, whose
// tokens may do what the documentation says of each role, and where processes of
// eu-central have registered.
func TestConsulScript(t *testing.T) {
	files, err := filepath.Glob("testdata/consul/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no session: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { withConsul(t, servertest.Consul(t), file) })
	}
}

func withConsul(t *testing.T, s *servertest.ConsulServer, file string) {
	tokens := map[string]string{
		"signer": s.Token(t, `key_prefix "domicile/regions/" { policy = "write" }`),
		"portal": s.Token(t, `service "domicile-portal-eu-north" { policy = "write" }`),
		"front": s.Token(t, `
key_prefix "domicile/regions/" { policy = "read" }
service_prefix "domicile-portal-" { policy = "read" }
node_prefix "" { policy = "read" }`),
	}
	for in, ready := range map[consul.Instance]error{
		{ID: "one", Region: "eu-central", Jurisdiction: "EU", Address: "10.0.0.1", Port: 8443}: nil,
		{ID: "two", Region: "eu-central", Jurisdiction: "EU", Address: "10.0.0.2", Port: 8443}: os.ErrDeadlineExceeded,
		{ID: "odd", Region: "eu-central", Jurisdiction: "US", Address: "10.9.9.9", Port: 8443}: nil,
	} {
		register(t, s, in, ready)
	}
	testscript.Run(t, testscript.Params{
		Files: []string{file}, RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"until": until, "expand": expand, "asks": asks},
		Setup: func(env *testscript.Env) error {
			if err := ports(env); err != nil {
				return err
			}
			env.Setenv("CONSUL", "http://"+s.Addr)
			env.Setenv("TOKENS", strings.Join(slices.Collect(maps.Values(tokens)), "|"))
			for name, token := range tokens {
				if err := os.WriteFile(filepath.Join(env.WorkDir, name+".token"), []byte(token+"\n"), 0o600); err != nil {
					return err
				}
			}
			return os.WriteFile(filepath.Join(env.WorkDir, "open.token"), []byte(tokens["front"]), 0o644)
		},
	})
}

// register keeps a process registered until the test ends, and returns when it is.
func register(t *testing.T, s *servertest.ConsulServer, in consul.Instance, ready error) {
	t.Helper()
	c, err := consul.New(consul.Options{Address: "http://" + s.Addr, Token: s.Management, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	asked := make(chan struct{}, 2)
	go func() {
		defer close(done)
		c.Register(ctx, in, func(context.Context) error {
			select {
			case asked <- struct{}{}:
			default:
			}
			return ready
		})
	}()
	for range 2 { // asked for the second time, it has been registered
		select {
		case <-asked:
		case <-time.After(30 * time.Second):
			t.Fatal("nothing was registered")
		}
	}
}
