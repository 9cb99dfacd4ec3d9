// Package planttest holds what tests of the real binary have in common: building
// it once, running its commands, keeping its servers, ports that nobody else is
// given meanwhile, and a mail server that keeps all letters.
//
// A plant is the product as operators run it: processes with configuration
// files, made by the commands of the binary alone. Each package of tests puts
// one together for itself.
package planttest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Patience bounds each wait. It is long because two cores may be building and
// testing everything else meanwhile; a healthy step takes a few milliseconds.
const Patience = 90 * time.Second

// suite is what all tests of this process share: the build of the binary, its
// servers, the ports they were given. It ends with the process.
var suite shared

type shared struct {
	dir string

	mu      sync.Mutex
	servers []*Server // at work
	ports   map[int]bool
}

// Main runs the tests of a package, then end, and leaves nothing behind. It is
// called by TestMain.
func Main(m *testing.M, end func()) {
	dir, err := os.MkdirTemp("", "domicile-plant-")
	if err != nil {
		panic(err)
	}
	suite.dir = dir
	// Under the race detector every command would linger for a second at its end,
	// and a test types dozens of them. Reports are printed where races happen.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=20 "+os.Getenv("GORACE")); err != nil {
		panic(err)
	}
	code := m.Run()
	if end != nil {
		end()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// Folder is a path that is removed with the process.
func Folder(name string) string { return filepath.Join(suite.dir, name) }

// Tails logs what the servers of a failing test printed last, while they are
// still at the place where it failed.
func Tails(t testing.TB) {
	suite.mu.Lock()
	defer suite.mu.Unlock()
	for _, s := range suite.servers {
		if strings.HasPrefix(t.Name(), s.t.Name()) {
			t.Logf("%s printed last:\n%s", s.Name, s.Tail())
		}
	}
}

// take gives each port to one asker only.
func (s *shared) take(port int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ports[port] {
		return false
	}
	if s.ports == nil {
		s.ports = map[int]bool{}
	}
	s.ports[port] = true
	return true
}

// Free finds ports nobody listens on, all different. They are below those that
// the system gives to whoever asks for just any: a server gets its port seconds
// after it was found here, or once more after an outage, and meanwhile other
// tests open hundreds of the other kind.
func Free(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	for range 1000 {
		port := 10000 + rand.IntN(20000)
		if !suite.take(port) {
			continue
		}
		l, err := net.Listen("tcp", Loopback(port))
		if err != nil {
			continue
		}
		l.Close()
		if ports = append(ports, port); len(ports) == n {
			return ports
		}
	}
	t.Fatalf("no %d free ports", n)
	return nil
}

// Loopback is an address of this machine.
func Loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// Dial connects to this machine whatever the name, as a browser does for names
// under localhost.
func Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	return d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

// PublicKey reads the key out of a file with remarks.
func PublicKey(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSuffix(line, "\n"); line != "" && !strings.HasPrefix(line, "#") {
			return line
		}
	}
	t.Fatalf("no key in %s", path)
	return ""
}

// Until waits for a condition of the world outside the test.
func Until(t testing.TB, what string, met func() bool) {
	t.Helper()
	if !Met(met) {
		t.Fatalf("%s: not in %v", what, Patience)
	}
}

// Met is Until for callers that know more of what was waited for in vain.
func Met(met func() bool) bool {
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !met() {
		select {
		case <-deadline.C:
			return false
		case <-tick.C:
		}
	}
	return true
}
