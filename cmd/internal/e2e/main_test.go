package e2e

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
)

// suite is the one browser that all tests of this process share. It ends with
// the process.
var suite shared

type shared struct {
	chromium string // path of the browser, set before it is started

	mu      sync.Mutex
	end     []context.CancelFunc
	scripts map[string]bool // flows on whose way a page carries a script
}

func TestMain(m *testing.M) {
	planttest.Main(m, func() {
		for _, f := range slices.Backward(suite.end) {
			f()
		}
	})
}

// atEnd is called after the last test.
func (s *shared) atEnd(f context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = append(s.end, f)
}

// both walks a flow with scripts off, and then with scripts if a page on the way
// carries one. Where none does, the second walk would see the same bytes.
func both(t *testing.T, walk func(t *testing.T, scripts bool)) {
	walked := false // nor is it when -run asks for the other walk alone
	t.Run("no scripts", func(t *testing.T) {
		walk(t, false)
		walked = true
	})
	if walked && !suite.scripted(t) {
		return
	}
	t.Run("scripts", func(t *testing.T) { walk(t, true) })
}

// flow is the test that t belongs to.
func flow(t testing.TB) string {
	name, _, _ := strings.Cut(t.Name(), "/")
	return name
}

// carriesScript notes that a page on the way of a flow carries a script.
func (s *shared) carriesScript(t testing.TB) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.scripts == nil {
		s.scripts = map[string]bool{}
	}
	s.scripts[flow(t)] = true
}

func (s *shared) scripted(t testing.TB) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.scripts[flow(t)]
}
