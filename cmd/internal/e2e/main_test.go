package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// suite is what all tests of this process share: one browser, one build of the
// binary. It ends with the process.
var suite shared

type shared struct {
	chromium string // path of the browser, set before it is started
	dir      string

	mu      sync.Mutex
	end     []func()
	servers []*server // at work
	ports   map[int]bool
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "domicile-e2e-")
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
	for _, f := range slices.Backward(suite.end) {
		f()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// folder is a folder that lasts as long as the process.
func (s *shared) folder(name string) string { return filepath.Join(s.dir, name) }

// atEnd is called after the last test.
func (s *shared) atEnd(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = append(s.end, f)
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

// enlist adds a server to those at work.
func (s *shared) enlist(v *server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.servers = append(s.servers, v)
}

// dismiss takes it off again.
func (s *shared) dismiss(v *server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.servers = slices.DeleteFunc(s.servers, func(w *server) bool { return w == v })
}

// tails logs what the servers of a failing test printed last, while they are
// still at the place where it failed.
func (s *shared) tails(t testing.TB) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.servers {
		if strings.HasPrefix(t.Name(), v.t.Name()) {
			t.Logf("%s printed last:\n%s", v.name, v.tail())
		}
	}
}

// both walks a flow with scripts and without.
func both(t *testing.T, walk func(t *testing.T, scripts bool)) {
	t.Run("scripts", func(t *testing.T) { walk(t, true) })
	t.Run("no scripts", func(t *testing.T) { walk(t, false) })
}
