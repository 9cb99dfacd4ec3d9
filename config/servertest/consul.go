package servertest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// A ConsulServer is a Consul of one server that keeps its data on disk: what was
// written survives Kill and Start.
type ConsulServer struct {
	*Control
	Addr       string // host:port of the HTTP interface
	Management string // a token that may do everything; empty where there are no ACLs

	client *api.Client
	tokens int
}

// Consul starts a Consul for t alone, where nobody may do anything without a
// token.
func Consul(t testing.TB) *ConsulServer {
	t.Helper()
	const management = "5a1e7f4c-2d0b-4c52-9d51-8b8f0c6a3e10"
	return newConsul(t, management, map[string]any{
		"enabled": true, "default_policy": "deny",
		"tokens": map[string]any{"initial_management": management, "agent": management},
	})
}

// OpenConsul starts a Consul as it is when nobody has set up its ACLs: everybody
// may do everything.
func OpenConsul(t testing.TB) *ConsulServer {
	t.Helper()
	return newConsul(t, "", map[string]any{"enabled": false})
}

func newConsul(t testing.TB, management string, acl map[string]any) *ConsulServer {
	t.Helper()
	s := &ConsulServer{Management: management}
	root, err := repository()
	if err != nil {
		t.Fatalf("servertest: %v", err)
	}
	binary, ok := find("consul", filepath.Join(root, ".cache", "consul", "consul"))
	if !ok {
		absent(t, "Consul is not installed")
	}
	err = onFreePort(func(port int) error {
		s.Addr = loopback(port)
		if s.client, err = api.NewClient(&api.Config{Address: s.Addr, Token: management}); err != nil {
			return err
		}
		dir, err := folder("consul", nil)
		if err != nil {
			return err
		}
		if err := configureConsul(dir, port, acl); err != nil {
			os.RemoveAll(dir)
			return err
		}
		s.Control, err = control(t, "Consul", dir, command{
			argv: []string{binary, "agent", "-config-file", filepath.Join(dir, "consul.json")},
			stop: "TERM", probe: s.works,
		})
		return err
	})
	if err != nil {
		t.Fatalf("servertest: starting Consul: %v", err)
	}
	return s
}

// configureConsul writes the settings of a server that elects itself at once,
// talks to nobody, and has only the listeners it cannot do without.
func configureConsul(dir string, port int, acl map[string]any) error {
	server, err := freePort()
	if err != nil {
		return err
	}
	gossip, err := freePort()
	if err != nil {
		return err
	}
	settings, err := json.Marshal(map[string]any{
		"server": true, "bootstrap_expect": 1, "node_name": "test", "datacenter": "test",
		"data_dir": filepath.Join(dir, "data"), "bind_addr": "127.0.0.1", "client_addr": "127.0.0.1",
		"ports": map[string]any{"http": port, "server": server, "serf_lan": gossip, "serf_wan": -1,
			"dns": -1, "grpc": -1, "https": -1},
		"performance":          map[string]any{"raft_multiplier": 1},
		"connect":              map[string]any{"enabled": false},
		"disable_update_check": true, "log_level": "warn", "acl": acl,
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "consul.json"), settings, 0o600)
}

// works asks for what needs a leader, the database and, where there are ACLs,
// the first token.
func (s *ConsulServer) works(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, _, err := s.client.KV().Get("anything", (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx))
	if err != nil {
		return err
	}
	nodes, _, err := s.client.Catalog().Nodes((&api.QueryOptions{}).WithContext(ctx))
	if err == nil && len(nodes) == 0 {
		err = fmt.Errorf("the server has not registered itself yet")
	}
	return err
}

// Token makes a token that may do what rules, in Consul's policy language, say.
func (s *ConsulServer) Token(t testing.TB, rules string) string {
	t.Helper()
	s.tokens++
	policy, _, err := s.client.ACL().PolicyCreate(&api.ACLPolicy{Name: "test-" + strconv.Itoa(s.tokens), Rules: rules}, nil)
	if err != nil {
		t.Fatalf("servertest: making a policy: %v", err)
	}
	token, _, err := s.client.ACL().TokenCreate(&api.ACLToken{Policies: []*api.ACLLink{{ID: policy.ID}}}, nil)
	if err != nil {
		t.Fatalf("servertest: making a token: %v", err)
	}
	return token.SecretID
}
