package servertest

import (
	"strconv"
	"testing"
)

// Redis starts a Redis server for t alone and returns its host and port. It
// keeps nothing on disk.
func Redis(t testing.TB) string {
	t.Helper()
	server, ok := find("redis-server", "/usr/bin/redis-server", "/usr/local/bin/redis-server")
	if !ok {
		absent(t, "Redis is not installed")
	}
	var addr string
	err := onFreePort(func(port int) error {
		dir, err := folder("redis", nil)
		if err != nil {
			return err
		}
		p, err := start(dir, "TERM", nil, nil, server, "--port", strconv.Itoa(port), "--bind", "127.0.0.1",
			"--save", "", "--appendonly", "no", "--dir", dir)
		if err != nil {
			return err
		}
		addr = loopback(port)
		if err := p.ready(answers(addr)); err != nil {
			p.stop()
			return err
		}
		t.Cleanup(p.stop)
		return nil
	})
	if err != nil {
		t.Fatalf("servertest: starting Redis: %v", err)
	}
	return addr
}
