package servertest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A RedisServer is a Redis that keeps nothing on disk: after Kill and Start it is
// empty.
type RedisServer struct {
	*Control
	Addr string
}

// RedisOptions say how a Redis is to be. The zero value lets anybody do anything.
type RedisOptions struct {
	Config            []string // lines of its configuration, such as those of users
	CertFile, KeyFile string   // speak TLS and nothing else
	Sentinel          bool     // be a Sentinel
}

// Redis starts a Redis server for t alone and returns its host and port. It
// keeps nothing on disk.
func Redis(t testing.TB) string {
	t.Helper()
	return ControlledRedis(t).Addr
}

// ControlledRedis is Redis for a test that kills it.
func ControlledRedis(t testing.TB) *RedisServer {
	t.Helper()
	return RedisWith(t, RedisOptions{})
}

// RedisWith is ControlledRedis with options.
func RedisWith(t testing.TB, o RedisOptions) *RedisServer {
	t.Helper()
	server, ok := find("redis-server", "/usr/bin/redis-server", "/usr/local/bin/redis-server")
	if !ok {
		absent(t, "Redis is not installed")
	}
	s := new(RedisServer)
	err := onFreePort(func(port int) error {
		dir, err := folder("redis", nil)
		if err != nil {
			return err
		}
		// A file, because a Sentinel writes to its own and users do not fit a
		// command line.
		conf := filepath.Join(dir, "redis.conf")
		if err := os.WriteFile(conf, []byte(o.text(dir, port)), 0o600); err != nil {
			os.RemoveAll(dir)
			return err
		}
		argv := []string{server, conf}
		if o.Sentinel {
			argv = append(argv, "--sentinel")
		}
		s.Addr = loopback(port)
		s.Control, err = control(t, "Redis", dir, command{argv: argv, stop: "TERM", probe: answers(s.Addr)})
		return err
	})
	if err != nil {
		t.Fatalf("servertest: starting Redis: %v", err)
	}
	return s
}

func (o RedisOptions) text(dir string, port int) string {
	lines := []string{"bind 127.0.0.1", "dir " + dir}
	if o.CertFile != "" {
		lines = append(lines, "port 0", "tls-port "+strconv.Itoa(port), "tls-cert-file "+o.CertFile, "tls-key-file "+o.KeyFile,
			"tls-ca-cert-file "+o.CertFile, "tls-auth-clients no")
	} else {
		lines = append(lines, "port "+strconv.Itoa(port))
	}
	if !o.Sentinel {
		lines = append(lines, `save ""`, "appendonly no")
	}
	return strings.Join(append(lines, o.Config...), "\n") + "\n"
}
